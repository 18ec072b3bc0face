//! Whether one profile's key can be moved, and if not, why. Pure.

use crate::import::classify::obstacle::{Fault, Obstacle, refuse_lints};
use crate::import::classify::{Migrate, ProfileChange, Stored, Verdict, has_key, names};
use crate::profiles::document::Document;
use crate::profiles::edits::{FoundKeys, Located};
use crate::profiles::{CheckedFiles, parse_helper};
use crate::types::keys::{AccessKey, AccessKeyId, EntryName, KeyIdKind, ProfileName};

/// For a profile whose key stands in the files.
pub(super) fn judge(
    files: &CheckedFiles<'_>,
    known: &Stored,
    name: &str,
) -> Result<Migrate, Obstacle> {
    let profile: ProfileName = name.parse().map_err(|failure| Obstacle::of(&failure))?;
    let key = one_key(files, &profile)?;
    refuse_other_sources(files, name)?;
    let holder = known.keys.get(&key.id);
    let shape = match files.entry_of(name) {
        Some(entry) if Some(&entry) == holder => ProfileChange::PointedAlready,
        Some(entry) => {
            return Err(Obstacle::UsesEntry {
                profile,
                entry,
                id: key.id,
            });
        }
        None => shape_of_role(files, name, holder)?,
    };
    Ok(migrate(profile, key, holder, shape))
}

/// Named when all keys are known.
fn migrate(
    profile: ProfileName,
    key: AccessKey,
    holder: Option<&EntryName>,
    shape: ProfileChange,
) -> Migrate {
    let own = || names::entry_name(std::iter::once(profile.as_str()), |_| false);
    Migrate {
        entry: holder.cloned().unwrap_or_else(own),
        profile,
        key,
        shape,
    }
}

fn shape_of_role(
    files: &CheckedFiles<'_>,
    name: &str,
    holder: Option<&EntryName>,
) -> Result<ProfileChange, Obstacle> {
    let Some((document, role)) = files.property(name, "role_arn") else {
        return Ok(ProfileChange::Pointed);
    };
    let place = document.place(role.line);
    let Some((_, source)) = files.property(name, "source_profile") else {
        let profile = name.to_owned();
        return Err(Obstacle::RoleOnNothing { profile, place });
    };
    let source = source.value.as_str();
    if source == name {
        return Ok(ProfileChange::ThroughBase);
    }
    if holder.is_some() && files.entry_of(source).as_ref() == holder {
        return Ok(ProfileChange::PointedAlready);
    }
    let source = source.to_owned();
    Err(Obstacle::RoleOnAnother { source, place })
}

/// The profile's one long-term key, wherever it stands.
fn one_key(files: &CheckedFiles<'_>, profile: &ProfileName) -> Result<AccessKey, Obstacle> {
    let mut found: Vec<(&Document, FoundKeys)> = Vec::new();
    for file in files.in_order() {
        refuse_lints(file, profile)?;
        let keys = FoundKeys::of(file.document, profile);
        if !keys.is_none() {
            found.push((file.document, keys));
        }
    }
    for (document, keys) in &found {
        refuse_temporary(document, keys)?;
    }
    let mut pairs = Vec::new();
    for (document, keys) in &found {
        pairs.push((pair(document, keys)?, document.name().to_owned()));
    }
    match <[_; 2]>::try_from(pairs) {
        Ok([(one, _), (other, _)]) if one == other => Ok(one),
        Ok([(one, _), (other, _)]) if one.id == other.id => {
            Err(Obstacle::TwoSecretsInFiles(one.id))
        }
        Ok(both) => Err(Obstacle::TwoKeys(both.map(|(key, file)| (key.id, file)))),
        Err(mut pairs) => pairs.pop().map(|(key, _)| key).ok_or(Obstacle::NoKey),
    }
}

fn refuse_temporary(document: &Document, keys: &FoundKeys) -> Result<(), Obstacle> {
    let is_temporary = |id: &AccessKeyId| id.kind() == KeyIdKind::Temporary;
    let token = keys.token.as_ref().filter(|token| !token.value.is_empty());
    let id = keys
        .id
        .as_ref()
        .filter(|_| keys.key_id().as_ref().is_some_and(is_temporary));
    match token.or(id) {
        Some(Located { line, .. }) => Err(Obstacle::Line(document.place(*line), Fault::Temporary)),
        None => Ok(()),
    }
}

fn pair(document: &Document, keys: &FoundKeys) -> Result<AccessKey, Obstacle> {
    let at = |line| document.place(line);
    match (&keys.id, &keys.secret) {
        (Some(id), Some(secret)) => {
            if id.value.is_empty() || secret.value.is_empty() {
                let place = at(id.line.min(secret.line));
                return Err(Obstacle::Line(place, Fault::Blank));
            }
            let place = at(id.line);
            match keys.key_id() {
                None if keys.is_not_of_aws() => Err(Obstacle::Line(place, Fault::NotOfAws)),
                None => keys.pair().ok_or(Obstacle::Line(place, Fault::NotAnId)),
                Some(_) => keys
                    .pair()
                    .ok_or_else(|| Obstacle::Line(at(secret.line), Fault::NotASecret)),
            }
        }
        (Some(id), None) => Err(Obstacle::Line(at(id.line), Fault::NoSecret)),
        (None, _) => {
            let line = |found: &Option<Located<_>>| found.as_ref().map_or(1, |found| found.line);
            let place = at(line(&keys.secret).max(line(&keys.token)));
            Err(Obstacle::Line(place, Fault::NoId))
        }
    }
}

/// Other sources of credentials, which win over a `credential_process` in some SDKs
/// and lose in others, and what to do about each.
const OTHERS: [(&str, &str); 6] = [
    ("credential_source", "remove that line"),
    ("web_identity_token_file", "remove that line"),
    (
        "sso_session",
        "remove the key's lines if you sign in by sso",
    ),
    (
        "sso_start_url",
        "remove the key's lines if you sign in by sso",
    ),
    (
        "sso_account_id",
        "remove the key's lines if you sign in by sso",
    ),
    (
        "login_session",
        "remove the key's lines if you use aws login",
    ),
];

fn refuse_other_sources(files: &CheckedFiles<'_>, name: &str) -> Result<(), Obstacle> {
    for (key, fix) in OTHERS {
        if let Some((document, other)) = files.property(name, key) {
            let place = document.place(other.line);
            return Err(Obstacle::OtherSource { key, place, fix });
        }
    }
    for file in files.in_order() {
        let process = file.document.property(name, "credential_process");
        if let Some(process) = process.filter(|process| parse_helper(&process.value).is_none()) {
            let place = file.document.place(process.line);
            return Err(Obstacle::OtherProcess(place));
        }
    }
    Ok(())
}

/// For a key that was read elsewhere, and the profile that shall have it.
pub(super) fn judge_given(
    files: &CheckedFiles<'_>,
    known: &Stored,
    profile: &ProfileName,
    key: &AccessKey,
) -> Verdict {
    let has_key = has_key(files, profile.as_str());
    let moved = if has_key {
        judge(files, known, profile.as_str()).and_then(|found| {
            if found.key == *key {
                return Ok(found);
            }
            Err(Obstacle::AnotherKey {
                profile: profile.clone(),
                id: found.key.id,
            })
        })
    } else {
        judge_pointing(files, known, profile, key)
    };
    match moved {
        Ok(found) if found.shape == ProfileChange::PointedAlready && !has_key => {
            Verdict::Done(found.entry)
        }
        Ok(found) => Verdict::Move(found),
        Err(refusal) => Verdict::Refused(refusal),
    }
}

fn judge_pointing(
    files: &CheckedFiles<'_>,
    known: &Stored,
    profile: &ProfileName,
    key: &AccessKey,
) -> Result<Migrate, Obstacle> {
    let name = profile.as_str();
    for file in files.in_order() {
        refuse_lints(file, profile)?;
    }
    refuse_other_sources(files, name)?;
    if let Some((document, role)) = files.property(name, "role_arn") {
        let place = document.place(role.line);
        return Err(Obstacle::IsARole(place));
    }
    let holder = known.keys.get(&key.id);
    let shape = match files.entry_of(name) {
        Some(entry) if Some(&entry) == holder => ProfileChange::PointedAlready,
        Some(entry) => return Err(Obstacle::AnotherEntry(entry)),
        None => ProfileChange::Pointed,
    };
    Ok(migrate(profile.clone(), key.clone(), holder, shape))
}
