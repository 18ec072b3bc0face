//! Splices lines and remembers how to put them back, without remembering secrets.
//! Pure. What an edit takes is kept as text, but of an access key's lines only the
//! place and the key id; whoever undoes an edit brings the secret.
//!
//! A file without a final line end stays without one, so that an edit and its
//! opposite meet again.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::profiles::document::{Document, Property};
use crate::profiles::lint::KEY_LINES;
use crate::types::keys::{AccessKeyId, Secret};

/// What an edit gives: the new document, and the way back. No secret in `undo`.
#[derive(Debug, Clone)]
pub struct Edited {
    pub document: Document,
    /// Oldest first; `put_back` takes them newest first.
    pub undo: Vec<Hunk>,
}

impl Edited {
    /// An edit that changes nothing.
    pub fn nothing(document: &Document) -> Edited {
        Edited {
            document: document.clone(),
            undo: Vec::new(),
        }
    }

    pub fn is_nothing(&self) -> bool {
        self.undo.is_empty()
    }

    /// Goes on with another edit of the same file.
    pub fn then(self, edit: impl FnOnce(&Document) -> Result<Edited>) -> Result<Edited> {
        let next = edit(&self.document)?;
        let mut undo = self.undo;
        undo.extend(next.undo);
        let document = next.document;
        Ok(Edited { document, undo })
    }
}

/// One place that an edit changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// 0-based line of the text after the edit.
    pub line: usize,
    /// How many lines the edit put there.
    pub put: usize,
    /// The lines that stood there before.
    pub taken: Vec<TakenLine>,
}

/// One line that an edit took out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenLine {
    /// The whole line with its line end; never a line that holds a secret.
    Text(String),
    /// The line is still there, and had this line end.
    LineEnd(String),
    /// A line of an access key: `before`, the value, `after`.
    Key {
        before: String,
        field: KeyField,
        /// The id of the key that the value belongs to, when it stood beside it.
        id: Option<AccessKeyId>,
        after: String,
    },
}

/// Which of the lines of an access key. The id itself is no secret: it is `Text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyField {
    Secret,
    Token,
    /// What stands in the id's place is not an access key id: perhaps a secret.
    NotAnId,
}

/// Takes edits back, byte for byte. `now` must be the text that the last edit gave;
/// `secret_of` brings the value for a field of a key.
pub fn put_back(
    now: &Document,
    undo: &[Hunk],
    secret_of: impl Fn(KeyField, Option<&AccessKeyId>) -> Option<Secret>,
) -> Result<Document> {
    let whole = |index| Zeroizing::new(now.whole_line(index).to_owned());
    let mut lines: Vec<Zeroizing<String>> = (0..now.lines.len()).map(whole).collect();
    for hunk in undo.iter().rev() {
        let replaced = hunk.line..hunk.line + hunk.put;
        if replaced.end > lines.len() {
            return Err(Error::new(
                Kind::Failed,
                format!("{} is shorter than it was after the edit", now.name()),
            ));
        }
        let mut back = Vec::with_capacity(hunk.taken.len());
        for taken in &hunk.taken {
            let present = lines.get(hunk.line).map_or("", |line| line);
            let place = || format!("{}:{}", now.name(), hunk.line + 1);
            back.push(whole_again(taken, present, place, &secret_of)?);
        }
        lines.splice(replaced, back);
    }
    let length = lines.iter().map(|line| line.len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(length));
    lines.iter().for_each(|line| text.push_str(line));
    Ok(Document::parse(now.kind(), &text).named(now.name()))
}

/// The line as it was; `present` is what stands in its place now.
pub fn whole_again(
    taken: &TakenLine,
    present: &str,
    place: impl Fn() -> String,
    secret_of: impl Fn(KeyField, Option<&AccessKeyId>) -> Option<Secret>,
) -> Result<Zeroizing<String>> {
    Ok(Zeroizing::new(match taken {
        TakenLine::Text(whole) => whole.clone(),
        TakenLine::LineEnd(end) => {
            let bare = match present.strip_suffix('\n') {
                Some(bare) => bare.strip_suffix('\r').unwrap_or(bare),
                None => present,
            };
            format!("{bare}{end}")
        }
        TakenLine::Key {
            before,
            field,
            id,
            after,
        } => {
            let secret = secret_of(*field, id.as_ref()).ok_or_else(|| {
                let of = id
                    .as_ref()
                    .map_or_else(String::new, |id| format!(" of {id}"));
                Error::new(
                    Kind::NotFound,
                    format!("{}: the secret{of} that stood here is not known", place()),
                )
            })?;
            format!("{before}{}{after}", secret.expose())
        }
    }))
}

/// Lines to replace; an empty range inserts before `lines.start`.
/// The lines put must end with a line end each.
pub(super) struct Splice {
    pub lines: Range<usize>,
    pub put: Vec<Zeroizing<String>>,
}

/// Applies splices that are in order and do not touch each other.
pub(super) fn splice(old: &Document, splices: Vec<Splice>) -> Edited {
    if splices.is_empty() {
        return Edited::nothing(old);
    }
    let mut out = Output {
        // Room from the start: growing would leave copies of secrets behind.
        text: Zeroizing::new(String::with_capacity(old.text().len() + 1024)),
        lines: 0,
        undo: Vec::new(),
    };
    let mut next = 0;
    for splice in splices {
        out.keep(old, next..splice.lines.start);
        if !splice.put.is_empty() {
            out.end_last_line(line_end_of(old));
        }
        let line = out.lines;
        let taken = splice.lines.clone().map(|i| taken_line(old, i)).collect();
        splice.put.iter().for_each(|put| out.push(put));
        let put = out.lines - line;
        out.undo.push(Hunk { line, put, taken });
        next = splice.lines.end;
    }
    out.keep(old, next..old.lines.len());
    if !old.text().is_empty() && !old.text().ends_with('\n') {
        out.drop_final_line_end();
    }
    out.undo
        .retain(|hunk| hunk.put > 0 || !hunk.taken.is_empty());
    Edited {
        document: Document::parse(old.kind(), &out.text).named(old.name()),
        undo: out.undo,
    }
}

/// The line end that new lines get: that of the file's first line.
pub(super) fn line_end_of(document: &Document) -> &str {
    match document.lines.first() {
        Some(_) if !document.line_end(0).is_empty() => document.line_end(0),
        Some(_) | None => "\n",
    }
}

struct Output {
    text: Zeroizing<String>,
    lines: usize,
    undo: Vec<Hunk>,
}

impl Output {
    fn push(&mut self, whole_line: &str) {
        self.text.push_str(whole_line);
        self.lines += 1;
    }

    fn keep(&mut self, old: &Document, lines: Range<usize>) {
        lines.for_each(|i| self.push(old.whole_line(i)));
    }

    fn end_last_line(&mut self, line_end: &str) {
        if self.text.is_empty() || self.text.ends_with('\n') {
            return;
        }
        self.undo.push(Hunk {
            line: self.lines - 1,
            put: 1,
            taken: vec![TakenLine::LineEnd(String::new())],
        });
        self.text.push_str(line_end);
    }

    fn drop_final_line_end(&mut self) {
        let text = self.text.as_str();
        let bare = text.strip_suffix('\n').unwrap_or(text);
        let bare = bare.strip_suffix('\r').unwrap_or(bare);
        // A blank last line would vanish with its line end.
        if bare.len() == text.len() || bare.is_empty() || bare.ends_with('\n') {
            return;
        }
        let (keep, end) = (bare.len(), text[bare.len()..].to_owned());
        self.text.truncate(keep);
        let last = self.lines - 1;
        let is_put = |h: &Hunk| h.line <= last && last < h.line + h.put;
        if !self.undo.iter().any(is_put) {
            // Comes last to be undone first: lines may come back behind this one.
            let taken = vec![TakenLine::LineEnd(end)];
            let (line, put) = (last, 1);
            self.undo.push(Hunk { line, put, taken });
        }
    }
}

/// What may be remembered of a line that is taken out.
fn taken_line(old: &Document, index: usize) -> TakenLine {
    let text = || TakenLine::Text(old.whole_line(index).to_owned());
    let Some(section) = old.section_at(index) else {
        return text();
    };
    let own = |p: &&Property| p.all_lines().any(|i| i == index);
    let Some(property) = section.properties.iter().find(own) else {
        return text();
    };
    let is_key_line = KEY_LINES.contains(&property.key.as_str()) && property.line == index + 1;
    if !is_key_line || property.value_at.is_empty() {
        return text();
    }
    let id = section.get(KEY_LINES[0]).and_then(|p| p.value.parse().ok());
    let field = match property.key.as_str() {
        "aws_access_key_id" if property.value.parse::<AccessKeyId>().is_ok() => return text(),
        "aws_access_key_id" => KeyField::NotAnId,
        "aws_session_token" => KeyField::Token,
        _ => KeyField::Secret,
    };
    let line = &old.lines[index];
    TakenLine::Key {
        before: old.text()[line.start..property.value_at.start].to_owned(),
        field,
        id,
        after: old.text()[property.value_at.end..line.end].to_owned(),
    }
}
