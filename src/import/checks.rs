//! The proofs around the edits: that the helper serves each key before a file is
//! touched, and that every profile is who it was afterwards. Edge.

use std::collections::BTreeMap;

use super::plan::{Files, Move, Shape};
use super::run::{Before, Prepared, Proof};
use super::through;
use crate::aws;
use crate::entries::Entries;
use crate::failure::{Failure, Kind, Outcome};
use crate::iam_account::{Account, Signer, prove};
use crate::keys::{AccessKey, AccessKeyId, EntryName};
use crate::machine::Machine;
use crate::profile_files::command_line::{self, Platform};
use crate::profiles::Profiles;
use crate::vault::item::Item;

/// The line that SDKs will run must give each key before any file is touched.
pub(super) fn serve_all(
    machine: &Machine,
    entries: &Entries<'_>,
    now: &Prepared,
    before: Before<'_>,
) -> Outcome<()> {
    let mut served: Vec<&EntryName> = Vec::new();
    for found in now.moves() {
        if served.contains(&&found.entry) {
            continue;
        }
        before("serve")?;
        let line = command_line::build(&now.helper, &found.entry, Platform::HERE)?;
        same_key(
            &through::fetch(machine, &line)?,
            &entries.get(&found.entry)?.item,
        )?;
        served.push(&found.entry);
    }
    Ok(())
}

fn same_key(fetched: &AccessKey, item: &Item) -> Outcome<()> {
    if *fetched == item.current.key() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Failed,
        format!(
            "the helper serves {} for entry {}, which has {}",
            fetched.id, item.entry, item.current.id
        ),
    )
    .hint("check --helper-path: it may use another store"))
}

/// Every profile is fetched through, and must be who it was.
pub(super) fn fetch_all(
    machine: &Machine,
    entries: &Entries<'_>,
    now: &Prepared,
    proofs: &BTreeMap<AccessKeyId, Proof>,
) -> Outcome<()> {
    let written = Profiles::read(machine)?;
    let mut fetched: Vec<String> = Vec::new();
    for found in now.moves() {
        let line = line_of(&written, found)?;
        if fetched.contains(&line) {
            continue;
        }
        let fetch = || {
            let key = through::fetch(machine, &line)?;
            let item = entries.get(&found.entry)?.item;
            same_key(&key, &item)?;
            same_user(machine, &item, &key, proofs.get(&found.key.id))
        };
        fetch().map_err(|failure| failure.hint("put everything back: awskeep import --undo"))?;
        fetched.push(line);
    }
    Ok(())
}

fn line_of(written: &Profiles, found: &Move) -> Outcome<String> {
    let files = Files {
        config: &written.config.document,
        credentials: &written.credentials.document,
    };
    let process = |profile: &str| {
        files
            .both()
            .into_iter()
            .find_map(|document| document.property(profile, "credential_process"))
            .map(|property| property.value.to_string())
    };
    let profile = found.profile.as_str();
    let source = || {
        let source = files.config.property(profile, "source_profile")?;
        process(&source.value)
    };
    let line = match found.shape {
        Shape::Pointed => process(profile),
        Shape::ThroughBase => source(),
        Shape::PointedAlready => process(profile).or_else(source),
    };
    line.ok_or_else(|| {
        Failure::new(
            Kind::Unfinished,
            format!("profile {profile} was changed meanwhile"),
        )
        .hint("run it again")
    })
}

fn same_user(
    machine: &Machine,
    item: &Item,
    key: &AccessKey,
    proof: Option<&Proof>,
) -> Outcome<()> {
    let account = aws::account(machine, &aws::place_of(item))?;
    let answer = account
        .caller(Signer::Key(key))
        .map_err(|failure| prove::refused(key, "STS", &failure))?;
    let same = proof.is_some_and(|proof| {
        proof.proven.identity.user_id == answer.value.user_id
            && proof.proven.identity.arn.as_str() == answer.value.arn
    });
    if same {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Failed,
        format!(
            "entry {} is {} now, which it was not before",
            item.entry, answer.value.arn
        ),
    ))
}
