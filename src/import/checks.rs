//! The proofs around the edits: that the helper serves each key before a file is
//! touched, and that every profile is who it was afterwards. Edge.

use std::collections::BTreeMap;

use crate::aws::place;
use crate::aws::{Account, Signer, prove};
use crate::error::{Error, Kind, Result};
use crate::import::apply::{Before, Prepared, ProvenKey};
use crate::import::classify::{FilePair, Migrate, ProfileChange};
use crate::import::through;
use crate::profiles::attach::AwsFiles;
use crate::profiles::command_line;
use crate::profiles::command_line::Platform;
use crate::store::entries::Entries;
use crate::store::item::Item;
use crate::system::env::Env;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName};

/// The line that SDKs will run must give each key before any file is touched.
pub(super) fn serve_all(
    env: &Env,
    entries: &Entries<'_>,
    now: &Prepared,
    before: Before<'_>,
) -> Result<()> {
    let mut served: Vec<&EntryName> = Vec::new();
    for found in now.moves() {
        if served.contains(&&found.entry) {
            continue;
        }
        before("serve")?;
        let line = command_line::build(&now.helper, &found.entry, Platform::HERE)?;
        same_key(
            &through::fetch(env, &line)?,
            &entries.get(&found.entry)?.item,
        )?;
        served.push(&found.entry);
    }
    Ok(())
}

fn same_key(fetched: &AccessKey, item: &Item) -> Result<()> {
    if *fetched == item.current.key() {
        return Ok(());
    }
    Err(Error::new(
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
    env: &Env,
    entries: &Entries<'_>,
    now: &Prepared,
    proofs: &BTreeMap<AccessKeyId, ProvenKey>,
) -> Result<()> {
    let written = AwsFiles::read(env)?;
    let mut fetched: Vec<String> = Vec::new();
    for found in now.moves() {
        let line = line_of(&written, found)?;
        if fetched.contains(&line) {
            continue;
        }
        let fetch = || {
            let key = through::fetch(env, &line)?;
            let item = entries.get(&found.entry)?.item;
            same_key(&key, &item)?;
            same_user(env, &item, &key, proofs.get(&found.key.id))
        };
        fetch().map_err(|failure| failure.hint("put everything back: awskeep import --undo"))?;
        fetched.push(line);
    }
    Ok(())
}

fn line_of(written: &AwsFiles, found: &Migrate) -> Result<String> {
    let files = FilePair {
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
        ProfileChange::Pointed => process(profile),
        ProfileChange::ThroughBase => source(),
        ProfileChange::PointedAlready => process(profile).or_else(source),
    };
    line.ok_or_else(|| {
        Error::new(
            Kind::Unfinished,
            format!("profile {profile} was changed meanwhile"),
        )
        .hint("run it again")
    })
}

fn same_user(env: &Env, item: &Item, key: &AccessKey, proof: Option<&ProvenKey>) -> Result<()> {
    let account = place::account(env, &place::place_of(item))?;
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
    Err(Error::new(
        Kind::Failed,
        format!(
            "entry {} is {} now, which it was not before",
            item.entry, answer.value.arn
        ),
    ))
}
