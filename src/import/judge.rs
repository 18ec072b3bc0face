//! Whether one profile's key can be moved, and if not, why and what mends it. Pure.

use std::collections::BTreeSet;

use crate::import::classify::{
    FilePair, Migrate, Obstacle, ProfileChange, Stored, Verdict, Weight,
};
use crate::import::names;
use crate::profiles::document::Document;
use crate::profiles::edits;
use crate::profiles::edits::FoundKeys;
use crate::profiles::lint::KEY_LINES;
use crate::profiles::parse_helper;
use crate::types::keys::{AccessKey, EntryName, KeyIdKind, ProfileName};

/// For a profile whose key stands in the files.
pub(super) fn judge(files: FilePair<'_>, known: &Stored, name: &str) -> Result<Migrate, Obstacle> {
    let profile: ProfileName = name.parse().map_err(|failure| Obstacle::of(&failure))?;
    let key = one_key(files, &profile)?;
    refuse_other_sources(files, name)?;
    let holder = known.keys.get(&key.id);
    let shape = match files.entry_of(name) {
        Some(entry) if Some(&entry) == holder => ProfileChange::PointedAlready,
        Some(entry) => {
            return Err(Obstacle::new(
                format!(
                    "it uses entry {entry}, but {} stands in the files too and wins in most SDKs",
                    key.id
                ),
                format!(
                    "take the key's lines out, or take out credential_process and import again; who reads which: awskeep why {name}"
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
    Ok(Migrate {
        profile,
        key,
        entry,
        shape,
    })
}

fn shape_of_role(
    files: FilePair<'_>,
    name: &str,
    holder: Option<&EntryName>,
) -> Result<ProfileChange, Obstacle> {
    let Some((document, line, _)) = files.value(name, "role_arn") else {
        return Ok(ProfileChange::Pointed);
    };
    let place = format!("{}:{line}", document.name());
    match files.value(name, "source_profile") {
        Some((_, _, source)) if source == name => Ok(ProfileChange::ThroughBase),
        Some((_, _, source)) if holder.is_some() && files.entry_of(source).as_ref() == holder => {
            Ok(ProfileChange::PointedAlready)
        }
        Some((_, _, source)) => Err(Obstacle::new(
            format!(
                "it has a role whose source is {source} ({place}), and a key of its own that some SDKs use instead"
            ),
            "take the key's lines out, or move them to a profile of their own",
        )),
        None => Err(Obstacle::new(
            format!(
                "it has a role without a source_profile ({place}), which SDKs read differently"
            ),
            format!("add source_profile = {name} below role_arn, or take role_arn out"),
        )),
    }
}

/// The profile's one long-term key, wherever it stands.
fn one_key(files: FilePair<'_>, profile: &ProfileName) -> Result<AccessKey, Obstacle> {
    let mut found: Vec<(&Document, FoundKeys)> = Vec::new();
    for document in files.both() {
        let keys = edits::keys_in(document, profile).map_err(|failure| Obstacle::of(&failure))?;
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
        [one, other] if one.id == other.id => Err(Obstacle::new(
            format!("{} stands in both files with two different secrets", one.id),
            "take the wrong one's lines out",
        )),
        [one, other, ..] => Err(Obstacle::new(
            format!(
                "{} stands in {} and {} in {}: SDKs disagree which one counts",
                one.id,
                files.credentials.name(),
                other.id,
                files.config.name()
            ),
            "take the lines of the key that you do not use out",
        )),
        [] => Err(Obstacle::new("it has no key", "nothing to do")),
    }
}

fn refuse_temporary(document: &Document, keys: &FoundKeys) -> Result<(), Obstacle> {
    let temporary = keys
        .key_id()
        .is_some_and(|id| id.kind() == KeyIdKind::Temporary);
    let token = keys.token.as_ref().filter(|token| !token.value.is_empty());
    let line = match (token, temporary) {
        (Some(token), _) => token.line,
        (None, true) => keys.id.as_ref().map_or(1, |id| id.line),
        (None, false) => return Ok(()),
    };
    Err(Obstacle {
        reason: format!(
            "{}:{line}: a temporary key, which dies by itself within hours",
            document.name()
        ),
        mend: "nothing to do".into(),
        weight: Weight::Nothing,
    })
}

fn pair(document: &Document, keys: &FoundKeys) -> Result<AccessKey, Obstacle> {
    let name = document.name();
    let line = |found: &Option<edits::Located<_>>| found.as_ref().map_or(1, |found| found.line);
    match (&keys.id, &keys.secret) {
        (Some(id), Some(secret)) if id.value.is_empty() || secret.value.is_empty() => {
            Err(Obstacle::new(
                format!("{name}:{}: the key is blank", id.line.min(secret.line)),
                "take both lines out, or fill them in",
            ))
        }
        (Some(id), Some(_)) if keys.key_id().is_none() && keys.is_not_of_aws() => {
            Err(Obstacle::not_of_aws(format!("{name}:{}", id.line)))
        }
        (Some(_), Some(secret)) => keys.pair().ok_or_else(|| {
            let (at, what) = match keys.key_id() {
                None => (line(&keys.id), "this is not an access key id"),
                Some(_) => (secret.line, "this is not a secret access key"),
            };
            Obstacle::new(format!("{name}:{at}: {what}"), "correct the line")
        }),
        (Some(id), None) => Err(Obstacle::new(
            format!(
                "{name}:{}: there is an access key id but no secret",
                id.line
            ),
            "add the secret, or take the line out",
        )),
        (None, _) => Err(Obstacle::new(
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

fn refuse_other_sources(files: FilePair<'_>, name: &str) -> Result<(), Obstacle> {
    for (key, mend) in OTHERS {
        if let Some((document, line, _)) = files.value(name, key) {
            return Err(Obstacle::new(
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
            return Err(Obstacle::new(
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

/// For a key that was read elsewhere, and the profile that shall have it.
pub(super) fn judge_given(
    files: FilePair<'_>,
    known: &Stored,
    profile: &ProfileName,
    key: &AccessKey,
) -> Verdict {
    let name = profile.as_str();
    let has_keys = KEY_LINES
        .iter()
        .any(|line| files.value(name, line).is_some());
    let moved = if has_keys {
        judge(files, known, name).and_then(|found| {
            if found.key == *key {
                return Ok(found);
            }
            Err(Obstacle::new(
                format!("it has another key, {}, in the files", found.key.id),
                format!("name another profile, or first: awskeep import {name}"),
            ))
        })
    } else {
        judge_pointing(files, known, profile, key)
    };
    match moved {
        Ok(found) if found.shape == ProfileChange::PointedAlready && !has_keys => {
            Verdict::Done(found.entry)
        }
        Ok(found) => Verdict::Move(found),
        Err(refusal) => Verdict::Refused(refusal),
    }
}

fn judge_pointing(
    files: FilePair<'_>,
    known: &Stored,
    profile: &ProfileName,
    key: &AccessKey,
) -> Result<Migrate, Obstacle> {
    let name = profile.as_str();
    for document in files.both() {
        document
            .refuse_trouble(profile)
            .map_err(|failure| Obstacle::of(&failure))?;
    }
    refuse_other_sources(files, name)?;
    if let Some((document, line, _)) = files.value(name, "role_arn") {
        return Err(Obstacle::new(
            format!("it is a role ({}:{line})", document.name()),
            "name another profile, and make it this one's source_profile",
        ));
    }
    let holder = known.keys.get(&key.id);
    let shape = match files.entry_of(name) {
        Some(entry) if Some(&entry) == holder => ProfileChange::PointedAlready,
        Some(entry) => {
            return Err(Obstacle::new(
                format!("it uses entry {entry}, which has another key"),
                "name another profile",
            ));
        }
        None => ProfileChange::Pointed,
    };
    Ok(Migrate {
        profile: profile.clone(),
        key: key.clone(),
        entry: holder
            .cloned()
            .unwrap_or_else(|| names::entry_name(std::iter::once(name), &BTreeSet::new())),
        shape,
    })
}
