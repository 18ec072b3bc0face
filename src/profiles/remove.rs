//! Takes the lines of access keys out of one AWS file, and sections that became empty
//! with them, for one profile or for many at once. Pure; refused as all `edits` are.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::profiles::document::{BLANKS, Document, Role, Section};
use crate::profiles::edits::{keys_in, remove_lines};
use crate::profiles::lint::KEY_LINES;
use crate::profiles::undo::{Edited, splice};
use crate::types::keys::{AccessKeyId, ProfileName};

/// What `take_out_keys` did.
#[derive(Debug, Clone)]
pub struct TakenOut {
    pub edited: Edited,
    /// The lines that are gone, in the numbers of the old text.
    pub removed: Vec<RemovedLine>,
}

/// A line that was taken out; never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedLine {
    /// 1-based line of the old text.
    pub line: usize,
    /// One of `KEY_LINES`.
    pub key: &'static str,
    /// The key id of the section, when it is well formed.
    pub key_id: Option<AccessKeyId>,
}

/// Removes the lines of the profile's access key, whole: a blank or half a key left
/// behind is used, or fails, in some SDKs. The section's header stays.
pub fn take_out_keys(document: &Document, profile: &ProfileName) -> Result<TakenOut> {
    let mut takes = Removals::from(document);
    let removed = takes.keys(profile)?;
    Ok(TakenOut {
        edited: takes.done(),
        removed,
    })
}

/// Drops the profile's header if nothing is left below it. A comment keeps it: one
/// behind the header, directly above it, or below it; but a block directly above
/// the next header, with a blank line before it, belongs to that one.
pub fn drop_empty_section(document: &Document, profile: &ProfileName) -> Result<Edited> {
    let mut takes = Removals::from(document);
    takes.section_if_empty(profile)?;
    Ok(takes.done())
}

/// Lines of many profiles, taken out of one file in one pass.
pub struct Removals<'a> {
    document: &'a Document,
    /// For each line whether it goes.
    gone: Vec<bool>,
    /// The sections to drop if nothing is left in them, by the line of the header.
    emptied: BTreeMap<usize, &'a Section>,
}

impl<'a> Removals<'a> {
    pub fn from(document: &'a Document) -> Removals<'a> {
        Removals {
            document,
            gone: vec![false; document.lines.len()],
            emptied: BTreeMap::new(),
        }
    }

    /// As `take_out_keys`: the lines that go.
    pub fn keys(&mut self, profile: &ProfileName) -> Result<Vec<RemovedLine>> {
        let key_id = keys_in(self.document, profile)?.key_id();
        let Some(section) = self.document.section_of(profile) else {
            return Ok(Vec::new());
        };
        let mut removed: Vec<RemovedLine> = Vec::new();
        for key in KEY_LINES {
            removed.extend(section.get(key).map(|property| RemovedLine {
                line: property.line,
                key,
                key_id: key_id.clone(),
            }));
        }
        removed.sort_by_key(|r| r.line);
        removed.iter().for_each(|r| self.gone[r.line - 1] = true);
        Ok(removed)
    }

    /// As `drop_empty_section`, once all else is taken out.
    pub fn section_if_empty(&mut self, profile: &ProfileName) -> Result<()> {
        self.document.refuse_trouble(profile)?;
        if let Some(section) = self.document.section_of(profile) {
            self.emptied.insert(section.line - 1, section);
        }
        Ok(())
    }

    /// The new text, read once.
    pub fn done(mut self) -> Edited {
        self.drop_emptied();
        let lines = (0..self.gone.len()).filter(|&line| self.gone[line]);
        splice(self.document, remove_lines(lines))
    }

    fn drop_emptied(&mut self) {
        let emptied = std::mem::take(&mut self.emptied);
        let (mut seen, mut line_above) = (0, None);
        for (header, section) in emptied {
            line_above = (seen..header)
                .rev()
                .find(|&line| !self.gone[line])
                .or(line_above);
            seen = header;
            let comment_above =
                line_above.is_some_and(|line: usize| self.role(line) == Role::Comment);
            if !comment_above && let Some(end) = self.end_if_empty(section) {
                self.gone[header..end].fill(true);
                if end == self.gone.len() {
                    self.take_blanks_above(header);
                }
            }
        }
    }

    /// Where the lines end that go with an empty section's header; none if it stays.
    fn end_if_empty(&self, section: &Section) -> Option<usize> {
        let stays = |line: usize| !self.gone[line];
        let header = section.line - 1;
        let comment_behind = !self
            .document
            .line_text(header)
            .trim_end_matches(BLANKS)
            .ends_with(']');
        let mut own_lines = section.properties.iter().flat_map(|p| p.all_lines());
        if comment_behind || own_lines.any(stays) {
            return None;
        }
        let below = header + 1..section.lines.end;
        let end = below
            .clone()
            .find(|&line| stays(line) && self.role(line) != Role::Blank)
            .unwrap_or(below.end);
        let has_gap = (below.start..end).any(stays);
        let is_comment = |line: usize| !stays(line) || self.role(line) == Role::Comment;
        let rest_is_for_next = end == below.end
            || has_gap && below.end < self.gone.len() && (end..below.end).all(is_comment);
        rest_is_for_next.then_some(end)
    }

    /// At the end of the file the blank lines above a section go too, else those below.
    fn take_blanks_above(&mut self, header: usize) {
        for line in (0..header).rev() {
            if !self.gone[line] && self.role(line) != Role::Blank {
                return;
            }
            self.gone[line] = true;
        }
    }

    fn role(&self, line: usize) -> Role {
        self.document.lines[line].role
    }
}
