//! An AWS file as one SDK reads it, where that is other than the specification says. Pure.
//!
//! Observed by running botocore 1.44, the Go SDK 2 as Debian 12 has it (its `config` 1.17) and
//! the JavaScript SDK 3; `tests/live/differential.rs` does so with files that nobody wrote.

use std::borrow::Cow;
use std::collections::HashSet;

use zeroize::Zeroizing;

use crate::profiles::document::{BLANKS, Document, Property, Role, Section};
use crate::profiles::parse::header_of;
use crate::resolve::consumers::Reading;

/// A file with the sections and properties that a reading finds.
pub(super) struct AsRead<'a> {
    pub document: Cow<'a, Document>,
    /// Why the reading gives up on the whole file, with the line.
    pub refused: Option<String>,
}

pub(super) fn as_read(document: &Document, reading: Reading) -> AsRead<'_> {
    let mut reader = Reader {
        document,
        sections: Vec::new(),
        refused: None,
    };
    match reading {
        Reading::Specification => {
            return AsRead {
                document: Cow::Borrowed(document),
                refused: refused_by_specification(document),
            };
        }
        Reading::Python => reader.as_python(),
        Reading::Go => reader.as_go(),
        Reading::JavaScript => reader.as_java_script(),
    }
    AsRead {
        document: Cow::Owned(document.with_sections(reader.sections)),
        refused: reader.refused,
    }
}

fn refused_by_specification(document: &Document) -> Option<String> {
    let name = document.name();
    if document.text().starts_with('\u{feff}') {
        return Some(format!("{name}:1: a byte order mark"));
    }
    let is_stray = |index: &usize| matches!(document.lines[*index].role, Role::Stray(_));
    let line = (0..document.lines.len()).find(is_stray)? + 1;
    Some(format!("{name}:{line}: {UNREADABLE}"))
}

struct Reader<'a> {
    document: &'a Document,
    sections: Vec<Section>,
    refused: Option<String>,
}

impl Reader<'_> {
    /// The first reason stays.
    fn refuse(&mut self, index: usize, why: &str) {
        let (name, line) = (self.document.name(), index + 1);
        let why = format!("{name}:{line}: {why}");
        self.refused.get_or_insert(why);
    }

    fn open_section(&mut self, index: usize, inner: &str) {
        self.sections.push(Section {
            header: header_of(self.document.kind(), inner),
            inner: inner.to_owned(),
            line: index + 1,
            properties: Vec::new(),
            lines: index..index + 1,
        });
    }

    /// A key, as it is compared, of the last section; without a section it counts for nothing.
    fn add(&mut self, index: usize, key: String, value: &str) {
        let Some(section) = self.sections.last_mut() else {
            return;
        };
        section.properties.push(Property {
            written_key: key.clone(),
            key,
            value: Zeroizing::new(value.trim().to_owned()),
            line: index + 1,
            comment_behind: None,
            continuations: Vec::new(),
            value_at: 0..0,
        });
    }

    /// Python's configparser as botocore uses it: colons are equals signs, any key may be
    /// indented that is not deeper than the one above, comments end no value, and nothing may
    /// stand there twice. A blank value with lines below is a table of `key = value`.
    fn as_python(&mut self) {
        let document = self.document;
        let mut seen = HashSet::new();
        let (mut header, mut depth, mut in_value) = (None, 0, false);
        let lines = (0..document.lines.len())
            // A carriage return alone ends a line, too.
            .flat_map(|index| {
                document
                    .line_text(index)
                    .split('\r')
                    .map(move |line| (index, line))
            });
        for (index, line) in lines {
            let text = line.trim();
            if text.is_empty() || text.starts_with(['#', ';']) {
                continue;
            }
            let own_depth = line.chars().take_while(|c| c.is_whitespace()).count();
            if in_value && own_depth > depth {
                self.go_on(text);
                continue;
            }
            depth = own_depth;
            let inner = text
                .strip_prefix('[')
                .and_then(|text| text.rsplit_once(']'));
            if let Some((inner, _)) = inner.filter(|(inner, _)| !inner.is_empty()) {
                if inner != "DEFAULT" && !seen.insert((inner, None)) {
                    self.refuse(index, "the section is there twice");
                }
                (header, in_value) = (Some(inner), false);
                self.open_section(index, inner);
                continue;
            }
            match (header, text.split_once(['=', ':'])) {
                (Some(inner), Some((key, value))) if !key.trim().is_empty() => {
                    let key = key.trim().to_lowercase();
                    if !seen.insert((inner, Some(key.clone()))) {
                        self.refuse(index, "the key is there twice");
                    }
                    in_value = true;
                    self.add(index, key, value);
                }
                _ => self.refuse(index, UNREADABLE),
            }
        }
        self.refuse_bad_tables();
    }

    /// One more line of the value above.
    fn go_on(&mut self, text: &str) {
        let section = self.sections.last_mut();
        let Some(above) = section.and_then(|section| section.properties.last_mut()) else {
            return;
        };
        let mut value = Zeroizing::new(String::with_capacity(above.value.len() + 1 + text.len()));
        value.push_str(&above.value);
        value.push('\n');
        value.push_str(text);
        above.value = value;
    }

    /// botocore reads the tables of all sections, and what [DEFAULT] lends them.
    fn refuse_bad_tables(&mut self) {
        let is_default = |section: &&Section| section.inner == "DEFAULT";
        let is_bad = |property: &&Property| {
            let mut lines = property.value.lines();
            lines.next() == Some("") && lines.any(|line| !line.contains('='))
        };
        let shows = |section: &Section, key: &str| {
            let mut others = self.sections.iter().filter(|other| !is_default(other));
            !is_default(&section) || others.any(|other| other.get(key).is_none())
        };
        let bad = self.sections.iter().find_map(|section| {
            let mut bad = section.properties.iter().filter(is_bad);
            bad.find(|property| shows(section, &property.key))
        });
        if let Some(line) = bad.map(|property| property.line) {
            self.refuse(line - 1, "a line of the block below has no equals sign");
        }
    }

    /// Colons are equals signs, and any key may be indented. What has no value, or no equals
    /// sign, counts for nothing, and so does what is indented below it.
    fn as_go(&mut self) {
        let document = self.document;
        let mut in_block = false;
        for index in 0..document.lines.len() {
            let line = document.line_text(index);
            let text = line.trim_start_matches(BLANKS);
            in_block &= line.starts_with(BLANKS);
            if in_block || text.is_empty() || text.starts_with(['#', ';']) {
                continue;
            }
            if let Some(inner) = text.strip_prefix('[') {
                match inner.split_once(']') {
                    Some((inner, _)) => self.open_section(index, inner),
                    None => self.refuse(index, UNREADABLE),
                }
                continue;
            }
            let text = without_comment(text);
            let (key, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
            if key.trim().is_empty() || key.contains(['[', ']']) {
                self.refuse(index, UNREADABLE);
            }
            in_block = value.trim().is_empty();
            if !in_block {
                self.add(index, key.trim().to_lowercase(), value);
            }
        }
    }

    /// Any key may be indented, but what is indented below a blank value is a part of it.
    /// Keys are compared as they are written. Whatever makes no sense counts for nothing.
    fn as_java_script(&mut self) {
        let document = self.document;
        let mut in_block = false;
        for index in 0..document.lines.len() {
            let line = document.line_text(index);
            let text = without_comment(line);
            let header = text
                .strip_prefix('[')
                .and_then(|text| text.strip_suffix(']'));
            if let Some(inner) = header {
                in_block = false;
                self.open_section(index, inner);
                continue;
            }
            let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                continue;
            };
            if value.trim().is_empty() {
                in_block = true;
                continue;
            }
            in_block &= line.starts_with(BLANKS);
            if !in_block {
                self.add(index, key.trim().to_owned(), value);
            }
        }
    }
}

/// The line up to a comment, which starts at its beginning or behind a blank.
fn without_comment(line: &str) -> &str {
    let starts = |at: &usize| at == &0 || line[..*at].ends_with(char::is_whitespace);
    let mut marks = line.match_indices(['#', ';']).map(|(at, _)| at);
    line[..marks.find(starts).unwrap_or(line.len())].trim()
}

const UNREADABLE: &str = "the line cannot be read";
