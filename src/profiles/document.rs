//! One AWS file as lines, sections and properties, without losing a byte. Pure.
//!
//! Reads what the SDKs' common specification reads: comments in the first column
//! only, ` #` and ` ;` end a value, an indented line goes on with the property
//! above. `text()` is always the input. How it is read is `parse`'s business, where SDKs
//! disagree with the specification that of `lint`, changing text that of `edits`.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::types::keys::ProfileName;

/// Which of the two files a text is: headers mean different things in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// `~/.aws/config`: `[profile NAME]`, `[default]`, `[sso-session NAME]`, …
    Config,
    /// `~/.aws/credentials`: `[NAME]`.
    Credentials,
}

impl FileKind {
    /// How messages name the file when no path is known.
    pub fn usual_name(self) -> &'static str {
        match self {
            FileKind::Config => "~/.aws/config",
            FileKind::Credentials => "~/.aws/credentials",
        }
    }
}

/// What a section's header means to the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// `[default]`.
    Default,
    /// `[profile default]` in the config file; it replaces `[default]`.
    PrefixedDefault,
    /// `[profile NAME]` in the config file, `[NAME]` in the credentials file.
    Profile(String),
    SsoSession(String),
    Services(String),
    /// Anything else: ignored by the SDKs, kept by us.
    Other,
}

impl Header {
    /// The profile whose section it opens.
    pub fn profile(&self) -> Option<&str> {
        match self {
            Header::Default | Header::PrefixedDefault => Some("default"),
            Header::Profile(name) => Some(name),
            Header::SsoSession(_) | Header::Services(_) | Header::Other => None,
        }
    }
}

/// One `[header]` and what follows it, up to the next header.
#[derive(Debug, Clone)]
pub struct Section {
    pub header: Header,
    /// What stands between the brackets, byte for byte.
    pub inner: String,
    /// 1-based line number of the header.
    pub line: usize,
    pub properties: Vec<Property>,
    /// Index of the header's line and the index after the section's last line.
    pub(crate) lines: Range<usize>,
}

impl Section {
    /// Whether a line, by its 1-based number, stands in the section.
    pub fn has_line(&self, line: usize) -> bool {
        self.lines.contains(&(line - 1))
    }

    /// The property of this name (lower case); the last one if there are several.
    pub fn get(&self, key: &str) -> Option<&Property> {
        self.properties.iter().rfind(|p| p.key == key)
    }
}

/// One `key = value` with the indented lines that belong to it.
#[derive(Clone)]
pub struct Property {
    /// The key in lower case, as every SDK but JavaScript's compares it.
    pub key: String,
    /// The key as it is written.
    pub written_key: String,
    /// The value as the specification reads it; later lines follow a `\n` each.
    pub value: Zeroizing<String>,
    /// 1-based line number of the key.
    pub line: usize,
    /// Whether a comment stands behind the value on its line.
    pub comment_behind: Option<CommentBehind>,
    /// Indices of the indented lines that belong to this property.
    pub(crate) continuations: Vec<usize>,
    /// Where the value stands in the text; continuation lines not included.
    pub(crate) value_at: Range<usize>,
}

/// Marks a property whose line ends with a comment, which botocore reads as value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommentBehind;

impl Property {
    /// Indices of all lines of this property.
    pub(crate) fn all_lines(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.line - 1).chain(self.continuations.iter().copied())
    }

    /// Whether the value goes on over indented lines.
    pub fn has_continuations(&self) -> bool {
        !self.continuations.is_empty()
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: [property]", self.line)
    }
}

/// What one line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Blank,
    Comment,
    Header,
    Property,
    Continuation,
    Stray(Stray),
}

/// A line that makes the specification refuse the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stray {
    UnclosedHeader,
    BeforeAnySection,
    IndentedFirst,
    NoEquals,
    NoKey,
    SubPropertyNoEquals,
}

#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Where it starts, where its text ends, where the next line starts.
    pub start: usize,
    pub text_end: usize,
    pub end: usize,
    pub role: Role,
}

/// One AWS file. Holds secrets: `Debug` shows none, memory is wiped on drop.
#[derive(Clone)]
pub struct Document {
    kind: FileKind,
    name: String,
    text: Zeroizing<String>,
    pub(crate) lines: Vec<Line>,
    sections: Vec<Section>,
    /// Where each profile's sections are, once somebody asked.
    index: OnceLock<Index>,
}

/// Places in `Document::sections`.
#[derive(Clone, Default)]
struct Index {
    by_profile: HashMap<String, Vec<usize>>,
    others: Vec<usize>,
}

impl Document {
    pub(super) fn of_lines(
        kind: FileKind,
        text: &str,
        lines: Vec<Line>,
        sections: Vec<Section>,
    ) -> Document {
        Document {
            kind,
            name: kind.usual_name().to_owned(),
            text: Zeroizing::new(text.to_owned()),
            lines,
            sections,
            index: OnceLock::new(),
        }
    }

    /// The path that messages name instead of the usual one.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Document {
        self.name = name.into();
        self
    }

    pub fn kind(&self) -> FileKind {
        self.kind
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// How messages name a line, by its 1-based number.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }

    /// The whole file, byte for byte. Holds secrets.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The same text in another reading.
    pub(crate) fn with_sections(&self, sections: Vec<Section>) -> Document {
        Document {
            sections,
            index: OnceLock::new(),
            ..self.clone()
        }
    }

    /// The sections that a specification reader takes for this profile, in order.
    pub fn sections_of(&self, profile: &str) -> Vec<&Section> {
        let named = self.sections_named(profile);
        let is_replaced = named.iter().any(|s| s.header == Header::PrefixedDefault);
        named
            .into_iter()
            .filter(|s| !is_replaced || s.header == Header::PrefixedDefault)
            .collect()
    }

    /// The sections that bear this profile's name, in order: `[default]` too where there is
    /// a `[profile default]`.
    pub fn sections_named(&self, profile: &str) -> Vec<&Section> {
        let places = self.index().by_profile.get(profile);
        let places = places.map_or(&[][..], Vec::as_slice);
        places.iter().map(|&at| &self.sections[at]).collect()
    }

    /// The sections whose headers mean nothing to the specification, in order.
    pub fn other_sections(&self) -> Vec<&Section> {
        let others = self.index().others.iter();
        others.map(|&at| &self.sections[at]).collect()
    }

    /// The section that a line, by its index, is in.
    pub(crate) fn section_at(&self, line: usize) -> Option<&Section> {
        let after = self.sections.partition_point(|s| s.lines.start <= line);
        let section = self.sections.get(after.checked_sub(1)?)?;
        section.lines.contains(&line).then_some(section)
    }

    /// A section's text, header included, byte for byte. May hold secrets.
    pub fn text_of(&self, section: &Section) -> &str {
        let start = self.lines[section.lines.start].start;
        let end = self.lines[section.lines.end - 1].end;
        &self.text[start..end]
    }

    /// Made once: thousands of profiles must not cost their square.
    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut index = Index::default();
            for (at, section) in self.sections.iter().enumerate() {
                match section.header.profile() {
                    Some(name) => index
                        .by_profile
                        .entry(name.to_owned())
                        .or_default()
                        .push(at),
                    None if section.header == Header::Other => index.others.push(at),
                    None => {}
                }
            }
            index
        })
    }

    /// The first section of this profile; the only one if no lint is in its way.
    pub fn section_of(&self, profile: &ProfileName) -> Option<&Section> {
        self.sections_of(profile.as_str()).first().copied()
    }

    /// The profile's property of this name (lower case); the last one wins.
    pub fn property(&self, profile: &str, key: &str) -> Option<&Property> {
        let sections = self.sections_of(profile);
        sections.into_iter().filter_map(|s| s.get(key)).next_back()
    }

    /// The names of all profiles, in the order of the file, each once.
    pub fn profile_names(&self) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let names = self.sections.iter().filter_map(|s| s.header.profile());
        let first = names.filter(|name| seen.insert(*name));
        first.map(str::to_owned).collect()
    }

    /// A line without its line end.
    pub(crate) fn line_text(&self, index: usize) -> &str {
        let line = &self.lines[index];
        &self.text[line.start..line.text_end]
    }

    /// A line with its line end.
    pub(crate) fn whole_line(&self, index: usize) -> &str {
        let line = &self.lines[index];
        &self.text[line.start..line.end]
    }

    /// The line end of a line; empty for a last line without one.
    pub(crate) fn line_end(&self, index: usize) -> &str {
        let line = &self.lines[index];
        &self.text[line.text_end..line.end]
    }
}

impl AsRef<Document> for Document {
    fn as_ref(&self) -> &Document {
        self
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, lines) = (&self.name, self.lines.len());
        write!(f, "Document({name}, {lines} lines)")
    }
}

/// The characters that the specification takes in names of profiles and keys.
pub(crate) fn is_identifier(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c);
    text.chars().all(allowed)
}

/// The specification's idea of white space.
pub(crate) const BLANKS: [char; 2] = [' ', '\t'];
