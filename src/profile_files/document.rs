//! One AWS file as lines, sections and properties, without losing a byte. Pure.
//!
//! Reads what the SDKs' common specification reads: comments in the first column
//! only, ` #` and ` ;` end a value, an indented line goes on with the property
//! above. `text()` is always the input. Where SDKs disagree with the specification
//! is `trouble`'s business; changing text is that of `edits`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::keys::ProfileName;

/// Which of the two files a text is: headers mean different things in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    pub(super) lines: Range<usize>,
}

impl Section {
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
    pub(super) continuations: Vec<usize>,
    /// Where the value stands in the text; continuation lines not included.
    pub(super) value_at: Range<usize>,
}

/// Marks a property whose line ends with a comment, which botocore reads as value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommentBehind;

impl Property {
    /// Indices of all lines of this property.
    pub(super) fn all_lines(&self) -> impl Iterator<Item = usize> + '_ {
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
pub(super) enum Role {
    Blank,
    Comment,
    Header,
    Property,
    Continuation,
    Stray(Stray),
}

/// A line that makes the specification refuse the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stray {
    UnclosedHeader,
    BeforeAnySection,
    IndentedFirst,
    NoEquals,
    NoKey,
    SubPropertyNoEquals,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
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
    pub(super) lines: Vec<Line>,
    sections: Vec<Section>,
}

impl Document {
    /// Never fails: what makes no sense is kept and shows up in `troubles`.
    pub fn parse(kind: FileKind, text: &str) -> Document {
        let mut reader = Reader::new(kind, text);
        for index in 0..reader.lines.len() {
            reader.read_line(index);
        }
        if let Some(last) = reader.sections.last_mut() {
            last.lines.end = reader.lines.len();
        }
        Document {
            kind,
            name: kind.usual_name().to_owned(),
            text: Zeroizing::new(text.to_owned()),
            lines: reader.lines,
            sections: reader.sections,
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

    /// The whole file, byte for byte. Holds secrets.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The sections that a specification reader takes for this profile, in order.
    pub fn sections_of(&self, profile: &str) -> Vec<&Section> {
        let prefixed_default = self
            .sections
            .iter()
            .any(|s| s.header == Header::PrefixedDefault);
        let own = |s: &&Section| match &s.header {
            Header::Default => profile == "default" && !prefixed_default,
            Header::PrefixedDefault => profile == "default",
            Header::Profile(name) => name == profile,
            Header::SsoSession(_) | Header::Services(_) | Header::Other => false,
        };
        self.sections.iter().filter(own).collect()
    }

    /// The first section of this profile; the only one if it is not in trouble.
    pub fn section_of(&self, profile: &ProfileName) -> Option<&Section> {
        self.sections_of(profile.as_str()).first().copied()
    }

    /// The profile's property of this name (lower case); the last one wins.
    pub fn property(&self, profile: &str, key: &str) -> Option<&Property> {
        let sections = self.sections_of(profile);
        sections.into_iter().filter_map(|s| s.get(key)).next_back()
    }

    /// All profiles by name with the properties that the specification reads.
    /// Holds secrets.
    pub fn profiles(&self) -> BTreeMap<String, BTreeMap<String, &Property>> {
        let mut all: BTreeMap<String, BTreeMap<String, &Property>> = BTreeMap::new();
        for name in self.profile_names() {
            let properties = self
                .sections_of(&name)
                .into_iter()
                .flat_map(|s| &s.properties);
            let read = properties
                .filter(|p| is_identifier(&p.key))
                .map(|p| (p.key.clone(), p))
                .collect();
            all.insert(name, read);
        }
        all
    }

    /// The names of all profiles, in the order of the file, each once.
    pub fn profile_names(&self) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let names = self.sections.iter().filter_map(|s| match &s.header {
            Header::Default | Header::PrefixedDefault => Some("default".to_owned()),
            Header::Profile(name) => Some(name.clone()),
            Header::SsoSession(_) | Header::Services(_) | Header::Other => None,
        });
        names.filter(|name| seen.insert(name.clone())).collect()
    }

    /// A line without its line end.
    pub(super) fn line_text(&self, index: usize) -> &str {
        let line = &self.lines[index];
        &self.text[line.start..line.text_end]
    }

    /// A line with its line end.
    pub(super) fn whole_line(&self, index: usize) -> &str {
        let line = &self.lines[index];
        &self.text[line.start..line.end]
    }

    /// The line end of a line; empty for a last line without one.
    pub(super) fn line_end(&self, index: usize) -> &str {
        let line = &self.lines[index];
        &self.text[line.text_end..line.end]
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, lines) = (&self.name, self.lines.len());
        write!(f, "Document({name}, {lines} lines)")
    }
}

/// The characters that the specification takes in names of profiles and keys.
pub(super) fn is_identifier(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c);
    text.chars().all(allowed)
}

/// The specification's idea of white space.
pub(super) const BLANKS: [char; 2] = [' ', '\t'];

struct Reader<'a> {
    kind: FileKind,
    text: &'a str,
    lines: Vec<Line>,
    sections: Vec<Section>,
}

impl<'a> Reader<'a> {
    fn new(kind: FileKind, text: &'a str) -> Reader<'a> {
        let mut lines = Vec::new();
        let mut start = 0;
        for whole in text.split_inclusive('\n') {
            let end = start + whole.len();
            let bare = whole.strip_suffix('\n').unwrap_or(whole);
            let ended = bare.len() < whole.len();
            // A `\r` is part of a line end only before `\n`.
            let bare = bare.strip_suffix('\r').filter(|_| ended).unwrap_or(bare);
            lines.push(Line {
                start,
                text_end: start + bare.len(),
                end,
                role: Role::Blank,
            });
            start = end;
        }
        Reader {
            kind,
            text,
            lines,
            sections: Vec::new(),
        }
    }

    fn read_line(&mut self, index: usize) {
        let (start, end) = (self.lines[index].start, self.lines[index].text_end);
        let line = &self.text[start..end];
        self.lines[index].role = if line.trim_matches(BLANKS).is_empty() {
            Role::Blank
        } else if line.starts_with(['#', ';']) {
            Role::Comment
        } else if line.starts_with('[') {
            self.read_header(index, line)
        } else if line.starts_with(BLANKS) {
            self.read_continuation(index, line)
        } else {
            self.read_property(index, line, start)
        };
    }

    fn read_header(&mut self, index: usize, line: &str) -> Role {
        if let Some(last) = self.sections.last_mut() {
            last.lines.end = index;
        }
        let bare = without_comment(line, CommentNeeds::Nothing);
        let inner = bare.strip_prefix('[').and_then(|b| b.strip_suffix(']'));
        self.sections.push(Section {
            header: inner.map_or(Header::Other, |inner| header_of(self.kind, inner)),
            inner: inner.unwrap_or_default().to_owned(),
            line: index + 1,
            properties: Vec::new(),
            lines: index..index + 1,
        });
        match inner {
            Some(_) => Role::Header,
            None => Role::Stray(Stray::UnclosedHeader),
        }
    }

    fn read_property(&mut self, index: usize, line: &str, start: usize) -> Role {
        let Some(section) = self.sections.last_mut() else {
            return Role::Stray(Stray::BeforeAnySection);
        };
        let bare = without_comment(line, CommentNeeds::BlankBefore);
        let Some((key, value)) = bare.split_once('=') else {
            return Role::Stray(Stray::NoEquals);
        };
        let written_key = key.trim_matches(BLANKS);
        if written_key.is_empty() {
            return Role::Stray(Stray::NoKey);
        }
        let value_start = start + bare.len() - value.trim_start_matches(BLANKS).len();
        let value = value.trim_matches(BLANKS);
        let commented = bare.len() < line.trim_end_matches(BLANKS).len();
        section.properties.push(Property {
            key: written_key.to_ascii_lowercase(),
            written_key: written_key.to_owned(),
            value: Zeroizing::new(value.to_owned()),
            line: index + 1,
            comment_behind: commented.then_some(CommentBehind),
            continuations: Vec::new(),
            value_at: value_start..value_start + value.len(),
        });
        Role::Property
    }

    fn read_continuation(&mut self, index: usize, line: &str) -> Role {
        let Some(section) = self.sections.last_mut() else {
            return Role::Stray(Stray::BeforeAnySection);
        };
        let Some(property) = section.properties.last_mut() else {
            return Role::Stray(Stray::IndentedFirst);
        };
        // An empty first line opens a block of sub-properties, each `key = value`.
        let opens_block = property.value_at.is_empty();
        let named = without_comment(line.trim_matches(BLANKS), CommentNeeds::BlankBefore)
            .split_once('=')
            .is_some_and(|(key, _)| !key.trim_matches(BLANKS).is_empty());
        let mut value = Zeroizing::new(String::with_capacity(property.value.len() + line.len()));
        value.push_str(&property.value);
        value.push('\n');
        value.push_str(line.trim_matches(BLANKS));
        property.value = value;
        property.continuations.push(index);
        if opens_block && !named {
            return Role::Stray(Stray::SubPropertyNoEquals);
        }
        Role::Continuation
    }
}

#[derive(Clone, Copy)]
enum CommentNeeds {
    Nothing,
    BlankBefore,
}

/// The line up to a comment, trimmed at both ends.
fn without_comment(line: &str, needs: CommentNeeds) -> &str {
    let mut blank_before = false;
    for (at, c) in line.char_indices() {
        let may_start = match needs {
            CommentNeeds::Nothing => true,
            CommentNeeds::BlankBefore => blank_before,
        };
        if may_start && matches!(c, '#' | ';') {
            return line[..at].trim_matches(BLANKS);
        }
        blank_before = c.is_whitespace();
    }
    line.trim_matches(BLANKS)
}

fn header_of(kind: FileKind, inner: &str) -> Header {
    let inner = inner.trim_matches(BLANKS);
    let (prefix, name) = match inner.split_once(BLANKS) {
        Some((prefix, name)) => (Some(prefix.trim()), name.trim()),
        None => (None, inner),
    };
    if name.is_empty() || !is_identifier(name) {
        return Header::Other;
    }
    match (kind, prefix) {
        (FileKind::Config, None) if name == "default" => Header::Default,
        (FileKind::Config, None) => Header::Other,
        (FileKind::Config, Some("profile")) if name == "default" => Header::PrefixedDefault,
        (FileKind::Config, Some("profile")) => Header::Profile(name.to_owned()),
        (FileKind::Config, Some("sso-session")) => Header::SsoSession(name.to_owned()),
        (FileKind::Config, Some("services")) => Header::Services(name.to_owned()),
        (FileKind::Config, Some(_)) | (FileKind::Credentials, Some(_)) => Header::Other,
        (FileKind::Credentials, None) if name == "default" => Header::Default,
        (FileKind::Credentials, None) => Header::Profile(name.to_owned()),
    }
}
