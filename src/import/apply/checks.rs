//! The proofs around the edits: that the helper serves each key before a file is
//! touched, and that every profile is who it was afterwards. Edge.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::aws::place;
use crate::aws::{Account, Signer, prove};
use crate::error::{Error, Kind, Result};
use crate::import::apply::{Before, Prepared, ProvenKey};
use crate::import::classify::{Migrate, ProfileChange};
use crate::import::sources::key_input;
use crate::profiles::AwsFiles;
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
        same_key(&fetch(env, &line)?, &entries.get(&found.entry)?.item)?;
        served.push(&found.entry);
    }
    Ok(())
}

/// The key that an SDK would get: runs the line that stands in the profile. There is no
/// shell; the answer is read as strictly as the strictest SDK does: one JSON object, nothing
/// on stderr.
///
/// # Errors
/// `Kind::Failed` if the program cannot be run, fails, or answers something else.
fn fetch(env: &Env, line: &str) -> Result<AccessKey> {
    let words = command_line::words(line);
    let Some((program, arguments)) = words.split_first() else {
        return Err(Error::new(Kind::Bug, "a credential_process of no words"));
    };
    let failed = |what: &str| {
        Error::new(Kind::Failed, format!("{program} {what}"))
            .hint(format!("try it: {line}"))
            .hint("name the installed awskeep with --helper-path")
    };
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&env.vars)
        .current_dir(&env.here)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed("cannot be run").cause(error))?;
    let answer = Zeroizing::new(output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(failed("does not serve the key").cause(said.trim()));
    }
    if !said.is_empty() {
        return Err(failed(
            "writes to stderr, which some SDKs take for its answer",
        ));
    }
    let text = std::str::from_utf8(&answer).map_err(|_| failed("does not answer with text"))?;
    key_input::from_json(text)
        .and_then(|found| found.long_term())
        .map_err(|failure| failed("does not answer with a key").cause(failure.message))
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
        let check = || {
            let key = fetch(env, &line)?;
            let item = entries.get(&found.entry)?.item;
            same_key(&key, &item)?;
            same_user(env, &item, &key, proofs.get(&found.key.id))
        };
        check().map_err(|failure| failure.hint("put everything back: awskeep import --undo"))?;
        fetched.push(line);
    }
    Ok(())
}

fn line_of(written: &AwsFiles, found: &Migrate) -> Result<String> {
    let process = |profile: &str| {
        let found = written.property(profile, "credential_process");
        found.map(|(_, process)| process.value.to_string())
    };
    let profile = found.profile.as_str();
    let source = || {
        let source = written
            .config
            .document
            .property(profile, "source_profile")?;
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
