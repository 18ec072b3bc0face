//! Why a profile's section must not be edited: places where the SDKs read an AWS
//! file differently, or not at all, so that an edit could change who a person is.
//! Pure. Finds and explains; nothing is mended here.
//!
//! A lint never quotes a line: what stands in the wrong place may be a secret.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};
use crate::profiles::document::{BLANKS, Document, Header, Role, Section, Stray, is_identifier};
use crate::types::keys::ProfileName;

/// One reason, with the place and what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lint {
    /// 1-based line number.
    pub line: usize,
    pub what: String,
    pub fix: String,
}

/// An access key's line that not every SDK reads.
#[derive(Debug, Clone, Copy)]
pub struct HiddenKey<'a> {
    /// None: it stands before the first section.
    pub section: Option<&'a Section>,
    /// 1-based line number.
    pub line: usize,
    pub what: &'static str,
    pub fix: &'static str,
}

/// The keys that hold an access key; their lines are secrets.
pub const KEY_LINES: [&str; 3] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
];

/// Keys whose value must mean the same to every SDK before anything is edited.
const MUST_BE_PLAIN: [&str; 7] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "credential_process",
    "credential_source",
    "role_arn",
    "source_profile",
];

/// What is wrong with a `\r` within a line, and its fix.
const LONE_RETURN: (&str, &str) = (
    "a carriage return is alone, which SDKs read differently",
    "end lines with LF or CRLF",
);

/// A document with what is wrong with it as a whole: found once, and in the way of every
/// profile.
#[derive(Debug)]
pub struct Checked<'a> {
    pub document: &'a Document,
    pub file_lints: Vec<Lint>,
}

impl AsRef<Document> for Checked<'_> {
    fn as_ref(&self) -> &Document {
        self.document
    }
}

impl<'a> Checked<'a> {
    pub fn of(document: &'a Document) -> Checked<'a> {
        let mut file_lints = Vec::new();
        document.find_in_whole_file(&mut file_lints);
        file_lints.sort();
        Checked {
            document,
            file_lints,
        }
    }

    /// Every reason not to edit this profile's section, by line. Empty: go ahead.
    pub fn lints(&self, profile: &ProfileName) -> Vec<Lint> {
        let mut found = self.file_lints.clone();
        let sections: Vec<&Section> = self.document.sections_meaning(profile).collect();
        several_sections(&sections, profile, &mut found);
        for section in sections {
            self.document.odd_header(section, profile, &mut found);
            repeated_keys(section, &mut found);
            self.document.strays_in(section, &mut found);
            self.document.odd_properties(section, &mut found);
        }
        found.sort();
        found.dedup();
        found
    }

    /// What is in the way of an edit. Lints of the whole file come alone: until they are
    /// fixed, a profile's own may be none at all.
    pub fn in_the_way(&self, profile: &ProfileName) -> Vec<Lint> {
        match &self.file_lints[..] {
            [] => self.lints(profile),
            of_the_file => of_the_file.to_vec(),
        }
    }

    /// Refuses, naming file, line and fix, if anything is in the way.
    pub fn refuse_lints(&self, profile: &ProfileName) -> Result<()> {
        let lints = self.in_the_way(profile);
        let Some(first) = lints.first() else {
            return Ok(());
        };
        let place = first.place_in(self.document.name());
        let refusal = Error::new(Kind::Failed, place).profile(profile);
        Err(lints
            .iter()
            .fold(refusal, |failure, lint| failure.hint(lint.fix_of_line())))
    }
}

impl Lint {
    /// Where it is, and what is wrong.
    pub fn place_in(&self, file: &str) -> String {
        format!("{file}:{}: {}", self.line, self.what)
    }

    pub fn fix_of_line(&self) -> String {
        format!("line {}: {}", self.line, self.fix)
    }
}

impl Document {
    /// What makes a parser give up on, or mix up, the whole file.
    fn find_in_whole_file(&self, found: &mut Vec<Lint>) {
        let has_mark = self.text().starts_with('\u{feff}');
        if has_mark {
            add(
                found,
                1,
                "the file starts with a byte order mark, which most SDKs refuse",
                "save the file as UTF-8 without a byte order mark",
            );
        }
        for (index, line) in self.lines.iter().enumerate() {
            let text = self.line_text(index);
            if text.contains('\r') {
                add(found, index + 1, LONE_RETURN.0, LONE_RETURN.1);
            }
            if line.role != Role::Header && text.trim_matches(BLANKS).starts_with('[') {
                indented_header(text, index + 1, found);
            }
            if let Role::Stray(stray) = line.role {
                if has_mark && stray == Stray::BeforeAnySection {
                    // The mark hides the first header.
                    continue;
                }
                if concerns_its_section(stray, text) {
                    continue;
                }
                let (what, fix) = stray_words(stray, text);
                add(found, index + 1, what, fix);
            }
        }
        headers_by_blanks(self.sections(), found);
        for section in self.sections().iter().filter(|s| s.inner == "DEFAULT") {
            add(
                found,
                section.line,
                "keys of a [DEFAULT] section reach every profile in the AWS CLI",
                "rename it to [default], or move its keys where they belong",
            );
        }
    }

    fn strays_in(&self, section: &Section, found: &mut Vec<Lint>) {
        for index in section.lines.clone() {
            let text = self.line_text(index);
            if let Role::Stray(stray) = self.lines[index].role
                && concerns_its_section(stray, text)
            {
                let (what, fix) = stray_words(stray, text);
                add(found, index + 1, what, fix);
            }
        }
    }

    /// Whether the section has lines that the AWS CLI reads and the specification does not,
    /// which makes the Rust SDK refuse the file.
    pub(super) fn is_unreadable(&self, section: &Section) -> bool {
        let mut found = Vec::new();
        self.strays_in(section, &mut found);
        !found.is_empty()
    }

    /// Lines of access keys that some SDK reads and the specification does not: one for
    /// each section, and one for what stands before the first.
    pub fn hidden_keys(&self) -> Vec<HiddenKey<'_>> {
        let mut hidden: Vec<HiddenKey<'_>> = Vec::new();
        for index in 0..self.lines.len() {
            if !self.hides_a_key(index) {
                continue;
            }
            let section = self.section_at(index);
            let line = index + 1;
            // Lines come in order: another one of this section is the last one found.
            let header = section.map(|section| section.line);
            if hidden
                .last()
                .is_some_and(|last| last.section.map(|section| section.line) == header)
            {
                continue;
            }
            let text = self.line_text(index);
            let (what, fix) = match self.lines[index].role {
                _ if text.contains('\r') => LONE_RETURN,
                Role::Stray(stray) => stray_words(stray, text),
                Role::Blank
                | Role::Comment
                | Role::Header
                | Role::Property
                | Role::Continuation => (
                    "an indented key is part of the value above to some SDKs",
                    "start the key in the first column",
                ),
            };
            hidden.push(HiddenKey {
                section,
                line,
                what,
                fix,
            });
        }
        hidden
    }

    fn hides_a_key(&self, index: usize) -> bool {
        let is_key_line = |text: &str| {
            text.split_once(['=', ':']).is_some_and(|(key, value)| {
                let key = key.trim().to_lowercase();
                KEY_LINES.contains(&key.as_str()) && !value.trim().is_empty()
            })
        };
        let is_plain = |section: &Section| {
            let mut properties = section.properties.iter();
            properties.any(|p| p.line == index + 1 && KEY_LINES.contains(&p.key.as_str()))
        };
        // To Python a carriage return alone ends a line, a comment's too.
        let own = match self.lines[index].role {
            Role::Blank | Role::Comment | Role::Header => 1,
            Role::Property | Role::Continuation | Role::Stray(_) => 0,
        };
        let text = self.line_text(index).trim_start_matches('\u{feff}');
        text.split('\r').skip(own).any(is_key_line) && !self.section_at(index).is_some_and(is_plain)
    }

    /// Sections that at least one SDK could take for this profile.
    fn sections_meaning<'a>(
        &'a self,
        profile: &'a ProfileName,
    ) -> impl Iterator<Item = &'a Section> + 'a {
        let others = self.other_sections().into_iter();
        let mut sections = self.sections_named(profile.as_str());
        sections.extend(others.filter(|s| self.means_if_unquoted(&s.inner, profile)));
        sections.sort_by_key(|section| section.line);
        sections.into_iter()
    }

    /// `[profile "work"]` and `["work"]` are the profile work to some SDKs only.
    fn means_if_unquoted(&self, inner: &str, profile: &ProfileName) -> bool {
        let unquoted = inner.replace(['"', '\''], "");
        let words: Vec<&str> = unquoted.split_whitespace().collect();
        match (self.kind(), words.as_slice()) {
            (super::FileKind::Config, ["profile", name]) => *name == profile.as_str(),
            (super::FileKind::Config, [name]) => profile.is_default() && *name == "default",
            (super::FileKind::Credentials, [name]) => *name == profile.as_str(),
            (super::FileKind::Config | super::FileKind::Credentials, _) => false,
        }
    }

    fn odd_header(&self, section: &Section, profile: &ProfileName, found: &mut Vec<Lint>) {
        let plain = match section.header {
            Header::PrefixedDefault => "[profile default]".to_owned(),
            Header::Profile(_) | Header::Default | Header::Other => {
                plain_header(self.kind(), profile)
            }
            Header::SsoSession(_) | Header::Services(_) => return,
        };
        let text = self.line_text(section.line - 1);
        let after = text.strip_prefix(&plain);
        let comment_is_clear = |rest: &str| {
            rest.trim_matches(BLANKS).is_empty() || rest.starts_with(BLANKS) && !rest.contains(']')
        };
        if !after.is_some_and(comment_is_clear) {
            add(
                found,
                section.line,
                "SDKs read this header differently (quotes, spaces, or a comment close to it)",
                format!("write it as {plain}"),
            );
        }
    }

    fn odd_properties(&self, section: &Section, found: &mut Vec<Lint>) {
        for property in &section.properties {
            let line = property.line;
            if !is_identifier(&property.key) || property.key.contains(':') {
                add(
                    found,
                    line,
                    "this line has no plain key before its `=`",
                    "write `key = value`",
                );
            }
            for &index in &property.continuations {
                self.odd_continuation(index, property.value_at.is_empty(), found);
            }
            if MUST_BE_PLAIN.contains(&property.key.as_str()) {
                self.must_be_plain(property, found);
            }
        }
        for index in section.lines.clone() {
            let odd = |c: char| c != '\t' && c != ' ' && (c.is_whitespace() || c.is_control());
            if self.lines[index].role != Role::Comment && self.line_text(index).contains(odd) {
                add(
                    found,
                    index + 1,
                    "there is an unusual space or control character here",
                    "write the line again with plain spaces",
                );
            }
        }
    }

    fn odd_continuation(&self, index: usize, in_block: bool, found: &mut Vec<Lint>) {
        let text = self.line_text(index).trim_matches(BLANKS);
        if text.starts_with(['#', ';']) {
            add(
                found,
                index + 1,
                "an indented comment is part of the value above to some SDKs",
                "start the comment in the first column",
            );
            return;
        }
        let key = text.split(['=', ':']).next().unwrap_or_default().trim_end();
        let looks_like_a_key = text.contains('=') && is_identifier(key);
        let is_key_line = KEY_LINES.contains(&key.to_ascii_lowercase().as_str());
        if looks_like_a_key && (is_key_line || !in_block) {
            add(
                found,
                index + 1,
                "an indented key is part of the value above to some SDKs",
                "start the key in the first column",
            );
        }
    }

    fn must_be_plain(&self, property: &super::Property, found: &mut Vec<Lint>) {
        let key = &property.key;
        if property.written_key != *key {
            add(
                found,
                property.line,
                format!("JavaScript's SDK does not see {key} unless it is in lower case"),
                format!("write {key}"),
            );
        }
        if property.comment_behind.is_some() {
            add(
                found,
                property.line,
                format!("the comment behind {key} is part of the value in the AWS CLI"),
                "put the comment on a line of its own",
            );
        }
        if property.has_continuations() {
            add(
                found,
                property.line,
                format!("the value of {key} continues over several lines"),
                "write it on one line",
            );
        }
        let quote = |c| property.value.starts_with(c) && property.value.ends_with(c);
        if quote('"') || quote('\'') {
            add(
                found,
                property.line,
                format!("the quotes are part of {key} to all SDKs but Go's"),
                "remove the quotes",
            );
        }
    }
}

/// The header that every SDK reads for this profile in such a file.
pub(super) fn plain_header(kind: super::FileKind, profile: &ProfileName) -> String {
    match kind {
        super::FileKind::Config if !profile.is_default() => format!("[profile {profile}]"),
        super::FileKind::Config | super::FileKind::Credentials => format!("[{profile}]"),
    }
}

fn add(found: &mut Vec<Lint>, line: usize, what: impl Into<String>, fix: impl Into<String>) {
    found.push(Lint {
        line,
        what: what.into(),
        fix: fix.into(),
    });
}

/// Two headers that differ in blanks only are one profile, merged in no fixed order, to
/// the Rust SDK: what it reads, and with it every check of an edit, is left to chance.
fn headers_by_blanks(sections: &[Section], found: &mut Vec<Lint>) {
    let mut first: BTreeMap<String, &Section> = BTreeMap::new();
    for section in sections {
        let words: Vec<&str> = section.inner.split_whitespace().collect();
        let there = *first.entry(words.join(" ")).or_insert(section);
        if there.inner != section.inner {
            add(
                found,
                section.line,
                format!(
                    "this header and the one on line {} differ only in spaces, which SDKs read differently",
                    there.line
                ),
                "write both the same way, or merge the sections",
            );
        }
    }
}

fn several_sections(sections: &[&Section], profile: &ProfileName, found: &mut Vec<Lint>) {
    let Some((first, more)) = sections.split_first() else {
        return;
    };
    let prefixed = |s: &Section| s.header == Header::PrefixedDefault;
    for section in more {
        let what = if profile.is_default() && prefixed(section) != prefixed(first) {
            format!(
                "[default] and [profile default] (line {}) are both there, and SDKs choose differently",
                first.line
            )
        } else {
            format!(
                "a second section of {profile} (the first is on line {}); the AWS CLI refuses the file",
                first.line
            )
        };
        add(
            found,
            section.line,
            what,
            format!("merge it into the section on line {}", first.line),
        );
    }
}

fn repeated_keys(section: &Section, found: &mut Vec<Lint>) {
    for (n, property) in section.properties.iter().enumerate() {
        let earlier = section.properties[..n]
            .iter()
            .find(|p| p.key == property.key);
        if let Some(earlier) = earlier {
            add(
                found,
                property.line,
                format!(
                    "the same key is on line {} already; the AWS CLI refuses the file",
                    earlier.line
                ),
                "remove one of the two lines",
            );
        }
    }
}

fn indented_header(text: &str, line: usize, found: &mut Vec<Lint>) {
    let closed = text.contains(']');
    if closed && text.starts_with(BLANKS) {
        add(
            found,
            line,
            "an indented section header is part of the value above to some SDKs",
            "start the header in the first column",
        );
    }
}

/// Whether a stray line is nobody else's business: the AWS CLI and most SDKs read it, and
/// the other sections too. The Rust SDK refuses the whole file, before an edit of another
/// section as after it.
fn concerns_its_section(stray: Stray, text: &str) -> bool {
    match stray {
        Stray::IndentedFirst => true,
        Stray::NoEquals => text.contains(':'),
        Stray::UnclosedHeader
        | Stray::BeforeAnySection
        | Stray::NoKey
        | Stray::SubPropertyNoEquals => false,
    }
}

fn stray_words(stray: Stray, text: &str) -> (&'static str, &'static str) {
    match stray {
        Stray::UnclosedHeader => (
            "this section header has no closing bracket",
            "end the header with ]",
        ),
        Stray::BeforeAnySection => (
            "this line comes before the first section, and SDKs refuse the file",
            "move it below a [section] header",
        ),
        Stray::IndentedFirst => (
            "the first key of a section is indented, and some SDKs refuse the file",
            "start the key in the first column",
        ),
        Stray::NoEquals if text.contains(':') => (
            "this line has a colon where SDKs want an equals sign",
            "write `key = value`",
        ),
        Stray::NoEquals => (
            "this line has no equals sign, and SDKs refuse the file",
            "write `key = value`, or put # in front of it",
        ),
        Stray::NoKey => (
            "there is no key before the equals sign, and SDKs refuse the file",
            "write `key = value`, or put # in front of it",
        ),
        Stray::SubPropertyNoEquals => (
            "this indented line has no equals sign, and some SDKs refuse the file",
            "write `key = value`, or start the comment in the first column",
        ),
    }
}
