//! Which profiles' keys are moved, into which entries, and which are left alone and
//! why. Pure: both files and what is stored already go in, rows come out. Nothing
//! is proven here; AWS may still refuse a key.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Subject};
use crate::import::judge::{judge, judge_given};
use crate::import::masking::by_shape;
use crate::import::names;
use crate::profiles::document::{Document, Header};
use crate::profiles::lint::{HiddenKey, KEY_LINES};
use crate::profiles::parse_helper;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName, ProfileName};

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

/// Why a profile is left alone, and what a person can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    pub reason: String,
    pub mend: String,
    pub weight: Weight,
}

/// Whether a refusal is worth a failing exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A long-term key stays in plaintext.
    KeyStays,
    /// Nothing that should be moved: a temporary key, or another service's.
    Nothing,
}

impl Obstacle {
    pub fn new(reason: impl Into<String>, mend: impl Into<String>) -> Obstacle {
        Obstacle {
            // Values of the files stand in it, and one may be a secret in the wrong place.
            reason: by_shape(&reason.into()),
            mend: by_shape(&mend.into()),
            weight: Weight::KeyStays,
        }
    }

    /// A key of another service: no failure, however often an import sees it.
    pub fn not_of_aws(place: String) -> Obstacle {
        Obstacle {
            weight: Weight::Nothing,
            ..Obstacle::new(
                format!("{place}: its key id is not one of AWS's"),
                "nothing to do: it belongs to another service",
            )
        }
    }

    pub fn of(failure: &Error) -> Obstacle {
        // The row says which profile it is.
        let what = match &failure.subject {
            Some(Subject::Profile(_)) => failure.message.clone(),
            Some(Subject::Entry(_)) | None => failure.told(),
        };
        let reason = match &failure.cause {
            Some(cause) => format!("{what}: {cause}"),
            None => what,
        };
        Obstacle::new(reason, failure.hints.join("; "))
    }
}

/// Both files.
#[derive(Debug, Clone, Copy)]
pub struct FilePair<'a> {
    pub config: &'a Document,
    pub credentials: &'a Document,
}

impl<'a> FilePair<'a> {
    /// The credentials file first, as SDKs prefer it.
    pub fn both(&self) -> [&'a Document; 2] {
        [self.credentials, self.config]
    }

    pub(super) fn value(&self, profile: &str, key: &str) -> Option<(&'a Document, usize, &'a str)> {
        self.both().into_iter().find_map(|document| {
            let property = document.property(profile, key)?;
            Some((document, property.line, property.value.as_str()))
        })
    }

    /// The entry that a profile's own `credential_process` names.
    pub fn entry_of(&self, profile: &str) -> Option<EntryName> {
        let (_, _, value) = self.value(profile, "credential_process")?;
        Some(parse_helper(value)?.entry)
    }

    /// All profiles' names, each once.
    pub fn profile_names(&self) -> Vec<String> {
        let mut names = self.credentials.profile_names();
        let mut seen: BTreeSet<String> = names.iter().cloned().collect();
        for name in self.config.profile_names() {
            if seen.insert(name.clone()) {
                names.push(name);
            }
        }
        names
    }
}

/// Rows for the wanted profiles, or for all that have a key.
pub fn rows(files: FilePair<'_>, known: &Stored, wanted: &[ProfileName]) -> Vec<Row> {
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
    files: FilePair<'_>,
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

/// For each profile that has a key's line which not every SDK reads, why it is left alone.
fn hidden_keys(files: FilePair<'_>) -> BTreeMap<String, Obstacle> {
    let mut refusals = BTreeMap::new();
    for document in files.both() {
        for hidden in document.hidden_keys() {
            let name = hidden.section.and_then(|section| match &section.header {
                Header::Default | Header::PrefixedDefault => Some("default".to_owned()),
                Header::Profile(name) => Some(name.clone()),
                Header::SsoSession(_) | Header::Services(_) | Header::Other => None,
            });
            if let Some(name) = name {
                refusals
                    .entry(name)
                    .or_insert_with(|| hidden_key(document, &hidden));
            }
        }
    }
    refusals
}

fn hidden_key(document: &Document, hidden: &HiddenKey<'_>) -> Obstacle {
    let (name, line) = (document.name(), hidden.line);
    Obstacle::new(format!("{name}:{line}: {}", hidden.what), hidden.mend)
}

fn row(files: FilePair<'_>, known: &Stored, name: &str, hidden: Option<&Obstacle>) -> Option<Row> {
    let has_key = KEY_LINES.iter().any(|key| files.value(name, key).is_some());
    if let (false, Some(refusal)) = (has_key, hidden) {
        return Some(Row {
            profile: name.to_owned(),
            key_id: None,
            verdict: Verdict::Refused(refusal.clone()),
        });
    }
    if !has_key {
        let entry = files.entry_of(name)?;
        return Some(Row {
            profile: name.to_owned(),
            key_id: None,
            verdict: Verdict::Done(entry),
        });
    }
    let key_id = files
        .value(name, KEY_LINES[0])
        .and_then(|(_, _, value)| value.parse().ok());
    let verdict = match judge(files, known, name) {
        Ok(found) => Verdict::Move(found),
        Err(refusal) => Verdict::Refused(refusal),
    };
    Some(Row {
        profile: name.to_owned(),
        key_id,
        verdict,
    })
}

/// Where the name of a profile would stand.
const NO_PROFILE: &str = "(no profile)";

/// Sections that are no profile to the specification, and hold key lines all the same.
fn odd_headers(files: FilePair<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for document in files.both() {
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
                verdict: Verdict::Refused(Obstacle::new(
                    format!(
                        "{}:{}: this header names no profile that every SDK reads",
                        document.name(),
                        section.line
                    ),
                    "give it a plain name: [NAME] in the credentials file, [profile NAME] in the config file",
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
            row.verdict = Verdict::Refused(Obstacle::new(
                format!(
                    "{} stands in several profiles with different secrets",
                    found.key.id
                ),
                "correct the wrong one",
            ));
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
    let profiles: BTreeSet<&String> = all.iter().collect();
    let mut chosen: BTreeMap<AccessKeyId, EntryName> = BTreeMap::new();
    for (id, group) in &groups {
        // Other profiles' names are taken too, unless they have this key.
        let mut avoid = taken.clone();
        let wanted = names::entry_name(group.iter().map(String::as_str), &BTreeSet::new());
        let mut probe = wanted.to_string();
        let mut number = 2;
        while profiles.contains(&probe) && !group.contains(&probe) {
            avoid.insert(probe);
            probe = format!("{wanted}-{number}");
            number += 1;
        }
        let name = names::entry_name(group.iter().map(String::as_str), &avoid);
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
