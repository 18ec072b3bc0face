//! Which profiles' keys are moved, into which entries, and which are left alone and
//! why (`obstacle`). Pure: both files and what is stored already go in, rows come out. Nothing
//! is proven here; AWS may still refuse a key.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::classify::obstacle::{Fault, Obstacle};
use crate::import::classify::profile::{judge, judge_given};
use crate::import::masking::by_shape;
use crate::profiles::CheckedFiles;
use crate::profiles::document::{Document, Header};
use crate::profiles::lint::{HiddenKey, KEY_LINES, Lint};
use crate::types::keys::{AccessKey, AccessKeyId, EntryName, ProfileName};

pub mod changes;
pub(super) mod names;
pub mod obstacle;
mod profile;
mod same;

/// What the stores hold already.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Every key in any slot, and its entry.
    pub keys: BTreeMap<AccessKeyId, EntryName>,
    /// Names of entries, old names included.
    pub names: BTreeSet<EntryName>,
}

/// One profile that has something to do with keys.
#[derive(Debug, Clone)]
pub struct Row {
    /// The profile's name, or what stands in a header that is none.
    pub profile: String,
    pub key_id: Option<AccessKeyId>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone)]
pub enum Verdict {
    Move(Migrate),
    Refused(Obstacle),
    /// It uses awskeep, and no key of it is in a file.
    Done(EntryName),
}

/// A key that goes into an entry.
#[derive(Debug, Clone)]
pub struct Migrate {
    pub profile: ProfileName,
    pub key: AccessKey,
    pub entry: EntryName,
    pub shape: ProfileChange,
}

/// What the profile becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileChange {
    /// It gets a `credential_process`.
    Pointed,
    /// A role profile whose source is itself: a new profile gets the
    /// `credential_process` and becomes its source.
    ThroughBase,
    /// An earlier run pointed it already: only the key's lines go.
    PointedAlready,
}

/// Rows for the wanted profiles, or for all that have a key.
pub fn rows(files: &CheckedFiles<'_>, known: &Stored, wanted: &[ProfileName]) -> Vec<Row> {
    let names = files.profile_names();
    let hidden = hidden_keys(files);
    let mut rows: Vec<Row> = names
        .iter()
        .filter(|name| wanted.is_empty() || wanted.iter().any(|w| w.as_str() == *name))
        .filter_map(|name| row(files, known, name, hidden.get(name)))
        .collect();
    if wanted.is_empty() {
        rows.extend(odd_headers(files));
    }
    refuse_two_secrets(&mut rows);
    name_entries(&mut rows, &names, known);
    rows
}

/// Rows for keys that come from elsewhere, each for one profile.
pub fn given_rows(
    files: &CheckedFiles<'_>,
    known: &Stored,
    given: &[(ProfileName, AccessKey)],
) -> Vec<Row> {
    let mut rows: Vec<Row> = given
        .iter()
        .map(|(profile, key)| Row {
            profile: profile.to_string(),
            key_id: Some(key.id.clone()),
            verdict: judge_given(files, known, profile, key),
        })
        .collect();
    refuse_two_secrets(&mut rows);
    name_entries(&mut rows, &files.profile_names(), known);
    rows
}

/// For each profile that has a key's line which not every SDK reads, why it is skipped.
fn hidden_keys(files: &CheckedFiles<'_>) -> BTreeMap<String, Obstacle> {
    let mut refusals = BTreeMap::new();
    for file in files.in_order() {
        for hidden in file.document.hidden_keys() {
            if let Some(name) = hidden.section.and_then(|section| section.header.profile()) {
                let refusal = || hidden_key(file.document, &hidden);
                refusals.entry(name.to_owned()).or_insert_with(refusal);
            }
        }
    }
    refusals
}

fn hidden_key(document: &Document, hidden: &HiddenKey<'_>) -> Obstacle {
    Obstacle::HiddenKey {
        file: document.name().to_owned(),
        lint: Lint {
            line: hidden.line,
            what: hidden.what.to_owned(),
            fix: hidden.fix.to_owned(),
        },
    }
}

fn row(
    files: &CheckedFiles<'_>,
    known: &Stored,
    name: &str,
    hidden: Option<&Obstacle>,
) -> Option<Row> {
    let has_key = has_key(files, name);
    let verdict = match hidden {
        Some(refusal) if !has_key => Verdict::Refused(refusal.clone()),
        _ if !has_key => Verdict::Done(files.entry_of(name)?),
        _ => match judge(files, known, name) {
            Ok(found) => Verdict::Move(found),
            Err(refusal) => Verdict::Refused(refusal),
        },
    };
    let id = files.property(name, KEY_LINES[0]);
    Some(Row {
        profile: name.to_owned(),
        key_id: id.and_then(|(_, id)| id.value.parse().ok()),
        verdict,
    })
}

fn has_key(files: &CheckedFiles<'_>, name: &str) -> bool {
    let mut lines = KEY_LINES.iter();
    lines.any(|key| files.property(name, key).is_some())
}

/// Where the name of a profile would stand.
const NO_PROFILE: &str = "(no profile)";

/// Sections that are no profile to the specification, and hold key lines all the same.
fn odd_headers(files: &CheckedFiles<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for file in files.in_order() {
        let document = file.document;
        let hidden = document.hidden_keys();
        rows.extend(
            hidden
                .iter()
                .filter(|hidden| hidden.section.is_none())
                .map(|hidden| Row {
                    profile: NO_PROFILE.to_owned(),
                    key_id: None,
                    verdict: Verdict::Refused(hidden_key(document, hidden)),
                }),
        );
        let hides = |line: usize| {
            let mut sections = hidden.iter().filter_map(|hidden| hidden.section);
            sections.any(|section| section.line == line)
        };
        for section in document.sections() {
            let holds =
                KEY_LINES.iter().any(|key| section.get(key).is_some()) || hides(section.line);
            if !holds || section.header != Header::Other {
                continue;
            }
            rows.push(Row {
                profile: match by_shape(&section.inner) {
                    none if none.is_empty() => NO_PROFILE.to_owned(),
                    name => name,
                },
                key_id: section
                    .get(KEY_LINES[0])
                    .and_then(|property| property.value.parse().ok()),
                verdict: Verdict::Refused(Obstacle::Line(
                    document.place(section.line),
                    Fault::OddHeader,
                )),
            });
        }
    }
    rows
}

/// The same key id with two secrets: one of them is wrong, and nobody here knows which.
fn refuse_two_secrets(rows: &mut [Row]) {
    let mut keys: BTreeMap<AccessKeyId, Vec<AccessKey>> = BTreeMap::new();
    for row in rows.iter() {
        if let Verdict::Move(found) = &row.verdict {
            let seen = keys.entry(found.key.id.clone()).or_default();
            if !seen.contains(&found.key) {
                seen.push(found.key.clone());
            }
        }
    }
    for row in rows {
        if let Verdict::Move(found) = &row.verdict
            && keys[&found.key.id].len() > 1
        {
            let id = found.key.id.clone();
            row.verdict = Verdict::Refused(Obstacle::TwoSecrets(id));
        }
    }
}

/// Gives every new key one entry's name; profiles that bear the very name come first.
fn name_entries(rows: &mut [Row], all: &[String], known: &Stored) {
    let mut groups: Vec<(AccessKeyId, Vec<String>)> = Vec::new();
    let mut place: BTreeMap<AccessKeyId, usize> = BTreeMap::new();
    for row in rows.iter() {
        let Verdict::Move(found) = &row.verdict else {
            continue;
        };
        if known.keys.contains_key(&found.key.id) {
            continue;
        }
        let at = *place.entry(found.key.id.clone()).or_insert(groups.len());
        if at == groups.len() {
            groups.push((found.key.id.clone(), Vec::new()));
        }
        groups[at].1.push(row.profile.clone());
    }
    let mut taken: BTreeSet<String> = known.names.iter().map(ToString::to_string).collect();
    let profiles: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    let mut chosen: BTreeMap<AccessKeyId, EntryName> = BTreeMap::new();
    for (id, group) in &groups {
        // Other profiles' names are taken too, unless they have this key.
        let is_others =
            |name: &str| profiles.contains(name) && !group.iter().any(|own| own == name);
        let is_taken = |name: &str| taken.contains(name) || is_others(name);
        let name = names::entry_name(group.iter().map(String::as_str), is_taken);
        taken.insert(name.to_string());
        chosen.insert(id.clone(), name);
    }
    for row in rows {
        if let Verdict::Move(found) = &mut row.verdict
            && let Some(name) = chosen.get(&found.key.id)
        {
            found.entry = name.clone();
        }
    }
}
