//! Which profiles' keys are moved, into which entries, and which are left alone and
//! why. Pure: both files and what is stored already go in, rows come out. Nothing
//! is proven here; AWS may still refuse a key.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use crate::failure::Failure;
use crate::keys::{AccessKey, AccessKeyId, EntryName, KeyIdKind, ProfileName};
use crate::profile_files::document::{Document, Header};
use crate::profile_files::edits::{self, FoundKeys};
use crate::profile_files::parse_helper;
use crate::profile_files::trouble::KEY_LINES;

/// What the stores hold already.
#[derive(Debug, Clone, Default)]
pub struct Known {
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
    Move(Move),
    Refused(Refusal),
    /// It uses awskeep, and no key of it is in a file.
    Done(EntryName),
}

/// A key that goes into an entry.
#[derive(Debug, Clone)]
pub struct Move {
    pub profile: ProfileName,
    pub key: AccessKey,
    pub entry: EntryName,
    pub shape: Shape,
}

/// What the profile becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
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
pub struct Refusal {
    pub reason: String,
    pub mend: String,
    pub weight: Weight,
}

/// Whether a refusal is worth a failing exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A long-term key stays in plaintext.
    KeyStays,
    /// Nothing that should be moved: a temporary key.
    Nothing,
}

impl Refusal {
    pub fn new(reason: impl Into<String>, mend: impl Into<String>) -> Refusal {
        Refusal {
            reason: reason.into(),
            mend: mend.into(),
            weight: Weight::KeyStays,
        }
    }

    pub fn of(failure: &Failure) -> Refusal {
        let reason = match &failure.cause {
            Some(cause) => format!("{}: {cause}", failure.message),
            None => failure.message.clone(),
        };
        let bare = reason
            .strip_prefix("profile ")
            .and_then(|rest| rest.split_once(" is left alone: "))
            .map(|(_, rest)| rest.to_owned());
        Refusal::new(bare.unwrap_or(reason), failure.hints.join("; "))
    }
}

/// Both files.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    pub config: &'a Document,
    pub credentials: &'a Document,
}

impl<'a> Files<'a> {
    /// The credentials file first, as SDKs prefer it.
    pub fn both(&self) -> [&'a Document; 2] {
        [self.credentials, self.config]
    }

    fn value(&self, profile: &str, key: &str) -> Option<(&'a Document, usize, &'a str)> {
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
pub fn rows(files: Files<'_>, known: &Known, wanted: &[ProfileName]) -> Vec<Row> {
    let names = files.profile_names();
    let mut rows: Vec<Row> = names
        .iter()
        .filter(|name| wanted.is_empty() || wanted.iter().any(|w| w.as_str() == *name))
        .filter_map(|name| row(files, known, name))
        .collect();
    if wanted.is_empty() {
        rows.extend(odd_headers(files));
    }
    refuse_two_secrets(&mut rows);
    name_entries(&mut rows, &names, known);
    rows
}

/// Rows for keys that come from elsewhere, each for one profile.
pub fn given_rows(files: Files<'_>, known: &Known, given: &[(ProfileName, AccessKey)]) -> Vec<Row> {
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

fn judge_given(files: Files<'_>, known: &Known, profile: &ProfileName, key: &AccessKey) -> Verdict {
    let name = profile.as_str();
    let has_keys = KEY_LINES
        .iter()
        .any(|line| files.value(name, line).is_some());
    let moved = if has_keys {
        judge(files, known, name).and_then(|found| {
            if found.key == *key {
                return Ok(found);
            }
            Err(Refusal::new(
                format!("it has another key, {}, in the files", found.key.id),
                format!("awskeep import {name} first, or name another profile"),
            ))
        })
    } else {
        judge_pointing(files, known, profile, key)
    };
    match moved {
        Ok(found) if found.shape == Shape::PointedAlready && !has_keys => {
            Verdict::Done(found.entry)
        }
        Ok(found) => Verdict::Move(found),
        Err(refusal) => Verdict::Refused(refusal),
    }
}

fn judge_pointing(
    files: Files<'_>,
    known: &Known,
    profile: &ProfileName,
    key: &AccessKey,
) -> Result<Move, Refusal> {
    let name = profile.as_str();
    for document in files.both() {
        document
            .refuse_trouble(profile)
            .map_err(|failure| Refusal::of(&failure))?;
    }
    refuse_other_sources(files, name)?;
    if let Some((document, line, _)) = files.value(name, "role_arn") {
        return Err(Refusal::new(
            format!("it is a role ({}:{line})", document.name()),
            "name another profile, and make it this one's source_profile",
        ));
    }
    let holder = known.keys.get(&key.id);
    let shape = match files.entry_of(name) {
        Some(entry) if Some(&entry) == holder => Shape::PointedAlready,
        Some(entry) => {
            return Err(Refusal::new(
                format!("it uses entry {entry}, which has another key"),
                "name another profile",
            ));
        }
        None => Shape::Pointed,
    };
    Ok(Move {
        profile: profile.clone(),
        key: key.clone(),
        entry: holder
            .cloned()
            .unwrap_or_else(|| names::entry_name(std::iter::once(name), &BTreeSet::new())),
        shape,
    })
}

fn row(files: Files<'_>, known: &Known, name: &str) -> Option<Row> {
    let has = |key: &&str| files.value(name, key).is_some();
    if !KEY_LINES.iter().any(|key| has(&key)) {
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

fn judge(files: Files<'_>, known: &Known, name: &str) -> Result<Move, Refusal> {
    let profile: ProfileName = name.parse().map_err(|failure| Refusal::of(&failure))?;
    let key = one_key(files, &profile)?;
    refuse_other_sources(files, name)?;
    let holder = known.keys.get(&key.id);
    let shape = match files.entry_of(name) {
        Some(entry) if Some(&entry) == holder => Shape::PointedAlready,
        Some(entry) => {
            return Err(Refusal::new(
                format!(
                    "it uses entry {entry}, but {} stands in the files too and wins in most SDKs",
                    key.id
                ),
                format!(
                    "take the key's lines out, or take out credential_process and import again; see awskeep why {name}"
                ),
            ));
        }
        None => shape_of_role(files, name, holder)?,
    };
    // Named when all keys are known.
    let entry = holder.cloned().unwrap_or_else(|| {
        let none = BTreeSet::new();
        names::entry_name(std::iter::once(name), &none)
    });
    Ok(Move {
        profile,
        key,
        entry,
        shape,
    })
}

fn shape_of_role(
    files: Files<'_>,
    name: &str,
    holder: Option<&EntryName>,
) -> Result<Shape, Refusal> {
    let Some((document, line, _)) = files.value(name, "role_arn") else {
        return Ok(Shape::Pointed);
    };
    let place = format!("{}:{line}", document.name());
    match files.value(name, "source_profile") {
        Some((_, _, source)) if source == name => Ok(Shape::ThroughBase),
        Some((_, _, source)) if holder.is_some() && files.entry_of(source).as_ref() == holder => {
            Ok(Shape::PointedAlready)
        }
        Some((_, _, source)) => Err(Refusal::new(
            format!(
                "it has a role whose source is {source} ({place}), and a key of its own that some SDKs use instead"
            ),
            "take the key's lines out, or move them to a profile of their own",
        )),
        None => Err(Refusal::new(
            format!(
                "it has a role without a source_profile ({place}), which SDKs read differently"
            ),
            format!("add source_profile = {name} below role_arn, or take role_arn out"),
        )),
    }
}

/// The profile's one long-term key, wherever it stands.
fn one_key(files: Files<'_>, profile: &ProfileName) -> Result<AccessKey, Refusal> {
    let mut found: Vec<(&Document, FoundKeys)> = Vec::new();
    for document in files.both() {
        let keys = edits::keys_in(document, profile).map_err(|failure| Refusal::of(&failure))?;
        if !keys.is_none() {
            found.push((document, keys));
        }
    }
    for (document, keys) in &found {
        refuse_temporary(document, keys)?;
    }
    let mut pairs = Vec::new();
    for (document, keys) in &found {
        pairs.push(pair(document, keys)?);
    }
    match pairs.as_slice() {
        [one] => Ok(one.clone()),
        [one, other] if one == other => Ok(one.clone()),
        [one, other] if one.id == other.id => Err(Refusal::new(
            format!("{} stands in both files with two different secrets", one.id),
            "take the wrong one's lines out",
        )),
        [one, other, ..] => Err(Refusal::new(
            format!(
                "{} stands in {} and {} in {}: SDKs disagree which one counts",
                one.id,
                files.credentials.name(),
                other.id,
                files.config.name()
            ),
            "take the lines of the key that you do not use out",
        )),
        [] => Err(Refusal::new("it has no key", "nothing to do")),
    }
}

fn refuse_temporary(document: &Document, keys: &FoundKeys) -> Result<(), Refusal> {
    let temporary = keys
        .key_id()
        .is_some_and(|id| id.kind() == KeyIdKind::Temporary);
    let token = keys.token.as_ref().filter(|token| !token.value.is_empty());
    let line = match (token, temporary) {
        (Some(token), _) => token.line,
        (None, true) => keys.id.as_ref().map_or(1, |id| id.line),
        (None, false) => return Ok(()),
    };
    Err(Refusal {
        reason: format!(
            "{}:{line}: a temporary key, which dies by itself within hours",
            document.name()
        ),
        mend: "nothing to do".into(),
        weight: Weight::Nothing,
    })
}

fn pair(document: &Document, keys: &FoundKeys) -> Result<AccessKey, Refusal> {
    let name = document.name();
    let line = |found: &Option<edits::Found<_>>| found.as_ref().map_or(1, |found| found.line);
    match (&keys.id, &keys.secret) {
        (Some(id), Some(secret)) if id.value.is_empty() || secret.value.is_empty() => {
            Err(Refusal::new(
                format!("{name}:{}: the key is blank", id.line.min(secret.line)),
                "take both lines out, or fill them in",
            ))
        }
        (Some(_), Some(secret)) => keys.pair().ok_or_else(|| {
            let (at, what) = match keys.key_id() {
                None => (line(&keys.id), "this is not an access key id"),
                Some(_) => (secret.line, "this is not a secret access key"),
            };
            Refusal::new(format!("{name}:{at}: {what}"), "correct the line")
        }),
        (Some(id), None) => Err(Refusal::new(
            format!(
                "{name}:{}: there is an access key id but no secret",
                id.line
            ),
            "add the secret, or take the line out",
        )),
        (None, _) => Err(Refusal::new(
            format!(
                "{name}:{}: there is half a key: no access key id beside it",
                line(&keys.secret).max(line(&keys.token))
            ),
            "add the id, or take the line out",
        )),
    }
}

/// Other sources of credentials, which win over a `credential_process` in some SDKs
/// and lose in others, and what to do about each.
const OTHERS: [(&str, &str); 6] = [
    ("credential_source", "take that line out"),
    ("web_identity_token_file", "take that line out"),
    (
        "sso_session",
        "take the key's lines out if you sign in by sso",
    ),
    (
        "sso_start_url",
        "take the key's lines out if you sign in by sso",
    ),
    (
        "sso_account_id",
        "take the key's lines out if you sign in by sso",
    ),
    (
        "login_session",
        "take the key's lines out if you use aws login",
    ),
];

fn refuse_other_sources(files: Files<'_>, name: &str) -> Result<(), Refusal> {
    for (key, mend) in OTHERS {
        if let Some((document, line, _)) = files.value(name, key) {
            return Err(Refusal::new(
                format!(
                    "it also has {key} ({}:{line}), and SDKs choose differently",
                    document.name()
                ),
                mend,
            ));
        }
    }
    for document in files.both() {
        let Some(process) = document.property(name, "credential_process") else {
            continue;
        };
        if parse_helper(&process.value).is_none() {
            return Err(Refusal::new(
                format!(
                    "it runs another credential_process ({}:{}), and SDKs choose differently",
                    document.name(),
                    process.line
                ),
                "take that line out, or the key's lines",
            ));
        }
    }
    Ok(())
}

/// Sections that are no profile to the specification, and hold key lines all the same.
fn odd_headers(files: Files<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for document in files.both() {
        for section in document.sections() {
            let holds = KEY_LINES.iter().any(|key| section.get(key).is_some());
            if !holds || section.header != Header::Other {
                continue;
            }
            rows.push(Row {
                profile: section.inner.clone(),
                key_id: section
                    .get(KEY_LINES[0])
                    .and_then(|property| property.value.parse().ok()),
                verdict: Verdict::Refused(Refusal::new(
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
            row.verdict = Verdict::Refused(Refusal::new(
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
fn name_entries(rows: &mut [Row], all: &[String], known: &Known) {
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
