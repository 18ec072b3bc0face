//! An AWS file as one SDK reads it, where that is more than the specification says. Pure.
//!
//! Observed by running botocore 1.44, the Go SDK 2 and the JavaScript SDK 3: a colon is an
//! equals sign to the first two, the first key of a section may be indented for all three,
//! and a key that is indented below another is a key to the last two.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::consumers::Reading;
use crate::profile_files::document::{BLANKS, Document, Property, Role, Stray};

/// The document with the properties that this reading finds.
pub(super) fn as_read(document: &Document, reading: Reading) -> Cow<'_, Document> {
    let found: Vec<(usize, Property)> = (0..document.lines.len())
        .filter_map(|index| Some((index, property(document, reading, index)?)))
        .collect();
    if found.is_empty() {
        return Cow::Borrowed(document);
    }
    let mut read = document.clone();
    for (index, property) in found {
        read.lines[index].role = Role::Property;
        let mut sections = read.sections_mut().iter_mut();
        let Some(section) = sections.find(|section| section.lines.contains(&index)) else {
            continue;
        };
        for above in &mut section.properties {
            if above.continuations.contains(&index) {
                above.continuations.clear();
                let first = above.value.split('\n').next().unwrap_or_default();
                above.value = Zeroizing::new(first.to_owned());
            }
        }
        section
            .properties
            .retain(|there| there.line != property.line);
        section.properties.push(property);
        section.properties.sort_by_key(|property| property.line);
    }
    Cow::Owned(read)
}

/// What the reading takes from a line that the specification reads otherwise.
fn property(document: &Document, reading: Reading, index: usize) -> Option<Property> {
    let line = &document.lines[index];
    let text = document.line_text(index);
    let colons = match reading {
        Reading::Specification => return None,
        Reading::Python | Reading::Go => true,
        Reading::JavaScript => false,
    };
    let below_another = match reading {
        Reading::Specification | Reading::Python => false,
        Reading::Go | Reading::JavaScript => true,
    };
    let opens_block = || {
        let mut properties = document.sections().iter().flat_map(|s| &s.properties);
        properties.any(|p| p.continuations.contains(&index) && p.value_at.is_empty())
    };
    let is_read = match line.role {
        Role::Stray(Stray::IndentedFirst) => {
            reading != Reading::Python || !goes_on(document, index)
        }
        Role::Stray(Stray::NoEquals) => colons && text.contains(':'),
        Role::Property => colons && text.find(':') < text.find('=') && text.contains(':'),
        Role::Continuation => below_another && !opens_block(),
        Role::Blank | Role::Comment | Role::Header | Role::Stray(_) => false,
    };
    if !is_read {
        return None;
    }
    let separators: &[char] = if colons { &['=', ':'] } else { &['='] };
    let (key, value) = text.split_once(separators)?;
    let written_key = key.trim_matches(BLANKS);
    if written_key.is_empty() || written_key.starts_with(['#', ';']) {
        return None;
    }
    let start = line.start + text.len() - value.trim_start_matches(BLANKS).len();
    let value = value.trim_matches(BLANKS);
    Some(Property {
        key: written_key.to_ascii_lowercase(),
        written_key: written_key.to_owned(),
        value: Zeroizing::new(value.to_owned()),
        line: index + 1,
        comment_behind: None,
        continuations: Vec::new(),
        value_at: start..start + value.len(),
    })
}

/// Whether the line is indented deeper than the key above it in its section, whose value goes
/// on there: Python counts characters, and takes the first key as deep as it stands.
fn goes_on(document: &Document, index: usize) -> bool {
    let depth = |index: usize| {
        let text = document.line_text(index);
        text.len() - text.trim_start_matches(BLANKS).len()
    };
    let mut key_at = None;
    let start = document
        .section_at(index)
        .map_or(0, |section| section.lines.start + 1);
    for line in start..=index {
        let is_key = match document.lines[line].role {
            Role::Blank | Role::Comment | Role::Header => false,
            Role::Property | Role::Continuation | Role::Stray(_) => {
                let text = document.line_text(line).trim_start_matches(BLANKS);
                !text.starts_with(['#', ';'])
            }
        };
        if is_key && key_at.is_none_or(|key_at| depth(line) <= key_at) {
            key_at = Some(depth(line));
            if line == index {
                return false;
            }
        }
    }
    true
}
