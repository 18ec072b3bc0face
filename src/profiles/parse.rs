//! Reads a text into the lines and sections of a `Document`, by the SDKs' common
//! specification. Pure. Never fails: what cannot be read becomes a stray line.

use zeroize::Zeroizing;

use crate::profiles::document::{
    BLANKS, CommentBehind, Document, FileKind, Header, Line, Property, Role, Section, Stray,
    is_identifier,
};

impl Document {
    /// Never fails: what makes no sense is kept, and `lint` finds it.
    pub fn parse(kind: FileKind, text: &str) -> Document {
        let mut reader = Reader::new(kind, text);
        #[cfg(test)]
        LINES_READ.set(LINES_READ.get() + reader.lines.len());
        for index in 0..reader.lines.len() {
            reader.read_line(index);
        }
        if let Some(last) = reader.sections.last_mut() {
            last.lines.end = reader.lines.len();
        }
        Document::of_lines(kind, text, reader.lines, reader.sections)
    }
}

#[cfg(test)]
thread_local! {
    /// All lines that this thread has read, for tests of how much work is done.
    pub(crate) static LINES_READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

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

pub(crate) fn header_of(kind: FileKind, inner: &str) -> Header {
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
