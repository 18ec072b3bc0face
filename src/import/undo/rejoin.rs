//! Puts one write of an import back where the file has changed elsewhere since. Pure.
//!
//! The lines of then are found again in the file of now by their hashes. What the import
//! put goes if it is still there, what it took comes back where it stood, and every other
//! line stays. A line that awskeep itself has changed since is no obstacle: an entry that
//! was renamed, removed, or exported. A line that a person has changed is one.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use crate::error::Result;
use crate::import::diff;
use crate::import::record::{Write, line_hash};
use crate::profiles::command_line::parse_helper;
use crate::profiles::lint::KEY_LINES;
use crate::profiles::undo::{KeyField, TakenLine, whole_again};
use crate::profiles::{Document, Hunk};
use crate::types::keys::{AccessKeyId, EntryName, Secret};

/// What became of it.
pub enum Rejoined {
    /// The file as it would be, and what could not come back, in words.
    Into(Box<Document>, Vec<String>),
    /// A person has changed a line that the import wrote.
    Changed,
}

/// What is needed besides the file.
pub struct RejoinInput<'a> {
    /// The write, with the key ids that are current now.
    pub write: &'a Write,
    pub hunks: &'a [Hunk],
    /// Hashes of the lines that this import put into the file, in any of its writes.
    pub own: &'a BTreeSet<String>,
    /// The entries' names, now and then.
    pub names: &'a [(EntryName, EntryName)],
    pub secret_of: &'a dyn Fn(KeyField, Option<&AccessKeyId>) -> Option<Secret>,
}

/// The hashes of the lines that a write put.
pub fn put_lines(write: &Write) -> impl Iterator<Item = &String> {
    write
        .hunks
        .iter()
        .filter(|hunk| !is_line_end(hunk))
        .flat_map(|hunk| write.lines.iter().skip(hunk.line).take(hunk.put))
}

pub fn rejoin(now: &Document, given: &RejoinInput<'_>) -> Result<Rejoined> {
    let lines = diff::lines(now.text());
    let mut work = Work {
        now,
        given,
        place: places(&lines, given),
        gone: vec![false; lines.len()],
        back: BTreeMap::new(),
        left: Vec::new(),
        lines,
    };
    for hunk in given.hunks.iter().filter(|hunk| !is_line_end(hunk)) {
        let fits = if hunk.put > 0 {
            work.replace(hunk)?
        } else {
            work.insert(hunk)?
        };
        if !fits {
            return Ok(Rejoined::Changed);
        }
    }
    let new = work.joined();
    Ok(if work.others_stay(&new) {
        Rejoined::Into(Box::new(new), work.left)
    } else {
        Rejoined::Changed
    })
}

struct Work<'a> {
    now: &'a Document,
    given: &'a RejoinInput<'a>,
    lines: Vec<&'a str>,
    /// For each line of then, which line it is now.
    place: Vec<Option<usize>>,
    gone: Vec<bool>,
    /// Lines that come back, by the line of now that they stand before.
    back: BTreeMap<usize, Vec<Zeroizing<String>>>,
    left: Vec<String>,
}

fn is_line_end(hunk: &Hunk) -> bool {
    let is_end = |line: &TakenLine| matches!(line, TakenLine::LineEnd(_));
    !hunk.taken.is_empty() && hunk.taken.iter().all(is_end)
}

fn is_header(line: &str) -> bool {
    line.starts_with('[')
}

/// Where each line of then stands now. Line ends do not count, nor do new names of entries.
fn places(lines: &[&str], given: &RejoinInput<'_>) -> Vec<Option<usize>> {
    let then: BTreeSet<&String> = given.write.lines.iter().collect();
    let hash = |line: &&str| {
        let mut forms = Vec::new();
        for form in former_names(line, given.names) {
            let bare = form.trim_end_matches(['\r', '\n']).to_owned();
            forms.extend([format!("{bare}\n"), format!("{bare}\r\n"), bare]);
        }
        let mut hashes = forms.iter().map(|form| line_hash(form));
        hashes
            .find(|hash| then.contains(hash))
            .unwrap_or_else(|| line_hash(line))
    };
    let now: Vec<String> = lines.iter().map(hash).collect();
    let (then, now): (Vec<&str>, Vec<&str>) = (
        given.write.lines.iter().map(String::as_str).collect(),
        now.iter().map(String::as_str).collect(),
    );
    diff::kept(&then, &now)
}

/// The line, and the line as it was if the entry that it serves bore another name then.
fn former_names(line: &str, names: &[(EntryName, EntryName)]) -> Vec<String> {
    let mut forms = vec![line.to_owned()];
    let helper = line
        .split_once('=')
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case("credential_process"))
        .and_then(|(_, value)| parse_helper(value.trim()));
    if let Some(entry) = helper.map(|helper| helper.entry)
        && let Some(at) = line.rfind(entry.as_str())
    {
        let (before, after) = (&line[..at], &line[at + entry.as_str().len()..]);
        let then = names.iter().filter(|(now, _)| *now == entry);
        forms.extend(then.map(|(_, then)| format!("{before}{then}{after}")));
    }
    forms
}

impl Work<'_> {
    /// A place where the import put lines: they go, if they are still there.
    fn replace(&mut self, hunk: &Hunk) -> Result<bool> {
        let put = hunk.line..hunk.line + hunk.put;
        let there: Vec<usize> = put.clone().map_while(|line| self.place[line]).collect();
        let is_prefix = put.clone().filter_map(|line| self.place[line]).count() == there.len();
        let is_whole = there.len() == hunk.put;
        let between = self.between(put.start, put.end);
        let added = between.iter().map(|&line| self.lines[line]);
        if !hunk.taken.is_empty() && !is_whole {
            // The old lines are back already, or somebody wrote others.
            let old: Vec<&str> = hunk
                .taken
                .iter()
                .filter_map(|taken| match taken {
                    TakenLine::Text(text) => Some(text.trim_end()),
                    TakenLine::LineEnd(_) | TakenLine::Key { .. } => None,
                })
                .collect();
            return Ok(added.map(str::trim_end).eq(old));
        }
        let in_section = |line: &str| !line.trim().is_empty() && !line.starts_with(['#', ';']);
        let changed = added.take_while(|line| !is_header(line)).any(in_section);
        if !is_prefix || !is_whole && changed || !self.sections_are_whole(&there) {
            return Ok(false);
        }
        for &line in &there {
            self.gone[line] = true;
        }
        if let Some(&first) = there.first() {
            self.come_back(first, &hunk.taken)?;
        }
        Ok(true)
    }

    /// The lines of now that are new between two lines of then.
    fn between(&self, start: usize, end: usize) -> Vec<usize> {
        let before = self.place[..start].iter().flatten().next_back();
        let after = self.place[end..].iter().flatten().next();
        let known: BTreeSet<usize> = self.place.iter().flatten().copied().collect();
        let from = before.map_or(0, |line| line + 1);
        let to = after.copied().unwrap_or(self.lines.len());
        (from..to).filter(|line| !known.contains(line)).collect()
    }

    /// Whether nothing but these lines stands in the sections whose headers are among them.
    fn sections_are_whole(&self, there: &[usize]) -> bool {
        let headers = there.iter().filter(|&&line| is_header(self.lines[line]));
        headers.into_iter().all(|&header| {
            (header + 1..self.lines.len())
                .take_while(|&line| !is_header(self.lines[line]))
                .all(|line| there.contains(&line) || self.lines[line].trim().is_empty())
        })
    }

    /// A place where the import only took lines: they come back, section by section.
    fn insert(&mut self, hunk: &Hunk) -> Result<bool> {
        for group in groups(&hunk.taken) {
            if let Some(id) = self.unknown_key(group) {
                self.left.push(format!("{id} is not stored any more"));
                continue;
            }
            let header = group.iter().find_map(|taken| match taken {
                TakenLine::Text(text) if is_header(text) => Some(text.trim_end()),
                TakenLine::Text(_) | TakenLine::LineEnd(_) | TakenLine::Key { .. } => None,
            });
            let above = self.place_above(hunk.line);
            let fits = match header {
                Some(header) => {
                    match self.lines.iter().position(|line| line.trim_end() == header) {
                        Some(there) => self.keys_come_back(there + 1, headless(group))?,
                        None => {
                            let from = above.map_or(0, |line| line + 1);
                            let next = (from..self.lines.len())
                                .find(|&line| {
                                    is_header(self.lines[line]) || self.place.contains(&Some(line))
                                })
                                .unwrap_or(self.lines.len());
                            self.come_back(next, group)?;
                            true
                        }
                    }
                }
                None if group.iter().all(is_blank) => true,
                None => match above {
                    Some(above) => self.keys_come_back(above + 1, group)?,
                    None => false,
                },
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The line of now that stands above a line of then; what the import put does not count.
    fn place_above(&self, line: usize) -> Option<usize> {
        let above = (0..line).rev().find(|&line| {
            self.place[line].is_some() || !self.given.own.contains(&self.given.write.lines[line])
        })?;
        self.place[above]
    }

    /// A key that an entry brought back already stays as it is.
    fn keys_come_back(&mut self, before: usize, group: &[TakenLine]) -> Result<bool> {
        let header = (0..before).rev().find(|&line| is_header(self.lines[line]));
        let Some(header) = header else {
            return Ok(false);
        };
        let section = self
            .now
            .sections()
            .iter()
            .find(|section| section.line == header + 1);
        let has_key = |key: &&&str| section.is_some_and(|section| section.get(key).is_some());
        if KEY_LINES.iter().find(has_key).is_some() {
            let header = self.lines[header].trim_end();
            self.left.push(format!("{header} has a key already"));
        } else {
            self.come_back(before, group)?;
        }
        Ok(true)
    }

    fn come_back(&mut self, before: usize, taken: &[TakenLine]) -> Result<()> {
        for taken in taken {
            let place = || format!("{}:{}", self.now.name(), before + 1);
            let line = whole_again(taken, "", place, self.given.secret_of)?;
            self.back.entry(before).or_default().push(line);
        }
        Ok(())
    }

    fn unknown_key(&self, group: &[TakenLine]) -> Option<String> {
        group.iter().find_map(|taken| match taken {
            TakenLine::Key { field, id, .. }
                if (self.given.secret_of)(*field, id.as_ref()).is_none() =>
            {
                Some(id.as_ref().map_or("a key".to_owned(), ToString::to_string))
            }
            TakenLine::Key { .. } | TakenLine::Text(_) | TakenLine::LineEnd(_) => None,
        })
    }

    fn joined(&self) -> Document {
        let old = self.now.text();
        let line_end = if old.contains("\r\n") { "\r\n" } else { "\n" };
        let mut text = Zeroizing::new(String::with_capacity(old.len() + 4096));
        let mut push = |line: &str| {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push_str(line_end);
            }
            text.push_str(line);
        };
        for at in 0..=self.lines.len() {
            self.back
                .get(&at)
                .into_iter()
                .flatten()
                .for_each(|line| push(line));
            if at < self.lines.len() && !self.gone[at] {
                push(self.lines[at]);
            }
        }
        if !old.is_empty() && !old.ends_with('\n') {
            let bare = text.trim_end_matches(['\r', '\n']).len();
            text.truncate(bare);
        }
        Document::parse(self.now.kind(), &text).named(self.now.name())
    }

    /// Whether no profile changes but those whose lines came or went.
    fn others_stay(&self, new: &Document) -> bool {
        let changed = (0..self.lines.len()).filter(|line| self.gone[*line]);
        let mut touched: BTreeSet<&str> = BTreeSet::new();
        let inserted = self.back.keys().copied();
        for line in changed.chain(inserted) {
            let header = (0..=line.min(self.lines.len().saturating_sub(1)))
                .rev()
                .find(|&line| self.lines.get(line).is_some_and(|line| is_header(line)));
            touched.extend(header.map(|line| self.lines[line].trim_end()));
            let above = (0..line).rev().find(|&line| is_header(self.lines[line]));
            touched.extend(above.map(|line| self.lines[line].trim_end()));
        }
        let back = self.back.values().flatten();
        touched.extend(
            back.filter(|line| is_header(line))
                .map(|line| line.trim_end()),
        );
        let of = |document: &Document| -> BTreeMap<String, Vec<(String, Zeroizing<String>)>> {
            let mut sections: BTreeMap<String, Vec<_>> = BTreeMap::new();
            for section in document.sections() {
                let header = format!("[{}]", section.inner);
                if touched.iter().any(|touched| touched.starts_with(&header)) {
                    continue;
                }
                let properties = section.properties.iter();
                sections
                    .entry(header)
                    .or_default()
                    .extend(properties.map(|p| (p.key.clone(), p.value.clone())));
            }
            sections
        };
        of(self.now) == of(new)
    }
}

fn is_blank(taken: &TakenLine) -> bool {
    matches!(taken, TakenLine::Text(text) if text.trim().is_empty())
}

fn headless(group: &[TakenLine]) -> &[TakenLine] {
    let header = |taken: &TakenLine| matches!(taken, TakenLine::Text(text) if is_header(text));
    match group.iter().position(header) {
        Some(at) => &group[at + 1..],
        None => group,
    }
}

/// The lines by sections; blank lines above a header belong to it.
fn groups(taken: &[TakenLine]) -> Vec<&[TakenLine]> {
    let mut groups = Vec::new();
    let mut start = 0;
    for (at, line) in taken.iter().enumerate() {
        let is_new = matches!(line, TakenLine::Text(text) if is_header(text));
        let above = &taken[start..at];
        if let Some(last) = above.iter().rposition(|line| !is_blank(line))
            && is_new
        {
            groups.push(&taken[start..=start + last]);
            start += last + 1;
        }
    }
    groups.push(&taken[start..]);
    groups
}
