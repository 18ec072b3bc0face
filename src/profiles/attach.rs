//! Points profiles of this machine's AWS files at an entry, or away from it. Edge; the
//! edits themselves are those of `edits`.
//!
//! Every change is one file, checked by the AWS SDK's own parser before it is
//! renamed into place: it must differ by exactly what was meant.

use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::profiles::aws_files::AwsFiles;
use crate::profiles::command_line;
use crate::profiles::command_line::{Helper, Platform};
use crate::profiles::document::{Document, FileKind};
use crate::profiles::edits;
use crate::profiles::files::{AwsFile, Replaced};
use crate::profiles::lint::Checked;
use crate::profiles::sdk_reader;
use crate::profiles::sdk_reader::Change;
use crate::profiles::undo::Edited;
use crate::system::disk;
use crate::system::disk::{Locks, Taken};
use crate::system::env::Env;
use crate::types::keys::{AccessKey, EntryName, ProfileName};

/// The property that makes SDKs run us.
const PROCESS: &str = "credential_process";

/// Held while an AWS file is replaced.
const LOCK: &str = "profile-files.lock";

/// A profile to be pointed at an entry.
#[derive(Debug, Clone)]
pub struct Attach {
    pub profile: ProfileName,
    pub helper_path: String,
    /// Written too, if the profile has none.
    pub region: Option<String>,
}

impl AwsFiles {
    /// # Errors
    /// `Kind::Failed` if a file is there but cannot be read, or is not UTF-8.
    pub fn read(env: &Env) -> Result<AwsFiles> {
        Ok(AwsFiles {
            config: AwsFile::read(&env.aws_config_file()?, FileKind::Config)?,
            credentials: AwsFile::read(&env.aws_credentials_file()?, FileKind::Credentials)?,
        })
    }

    /// Whether the profile can be pointed at the entry.
    ///
    /// # Errors
    /// `Kind::Failed` naming file, line and fix: a section that SDKs read
    /// differently, or another source of credentials in the profile.
    pub fn check_pointing(&self, pointing: &Attach, entry: &EntryName) -> Result<()> {
        let profile = &pointing.profile;
        self.refuse_other_sources(profile)?;
        self.config.refuse_unsafe()?;
        self.pointed(pointing, entry).map(|_| ())
    }

    /// Points the profile at the entry.
    pub fn point(mut self, env: &Env, pointing: &Attach, entry: &EntryName) -> Result<()> {
        let _lock = lock(env)?;
        self.check_pointing(pointing, entry)?;
        let (edited, changes) = self.pointed(pointing, entry)?;
        replace(&mut self.config, edited, &changes).map(drop)
    }

    /// Points a profile that uses awskeep at another entry; the helper's path stays.
    pub fn repoint(mut self, env: &Env, profile: &ProfileName, entry: &EntryName) -> Result<()> {
        let _lock = lock(env)?;
        for file in [&mut self.config, &mut self.credentials] {
            let Some(helper) = own_process(&file.document, profile) else {
                continue;
            };
            let value = command_line::build(&helper.path, entry, Platform::HERE)?;
            let edited = edits::set_property(&file.document, profile, PROCESS, &value)?;
            replace(file, edited, &[Change::set(profile, PROCESS)])?;
        }
        Ok(())
    }

    /// Takes our `credential_process` out of a profile, and its section if nothing is left
    /// and no other profile names it.
    pub fn unpoint(mut self, env: &Env, profile: &ProfileName) -> Result<()> {
        let _lock = lock(env)?;
        let is_source = !self.with_source(profile).is_empty();
        for file in [&mut self.config, &mut self.credentials] {
            if own_process(&file.document, profile).is_none() {
                continue;
            }
            let mut edited = edits::remove_property(&file.document, profile, PROCESS)?;
            if !is_source {
                edited = edited.then(|document| edits::drop_empty_section(document, profile))?;
            }
            let changes = [Change::removed(profile, PROCESS), Change::dropped(profile)];
            replace(file, edited, &changes)?;
        }
        Ok(())
    }

    /// Writes the pair into the credentials file and takes our own
    /// `credential_process` out: the keys first, so that the profile always answers.
    pub fn put_keys(mut self, env: &Env, profile: &ProfileName, key: &AccessKey) -> Result<()> {
        let _lock = lock(env)?;
        let (config, credentials) = edits::put_keys(
            &self.config.document,
            &self.credentials.document,
            profile,
            key,
        )?;
        let changes = [
            Change::set(profile, "aws_access_key_id"),
            Change::set(profile, "aws_secret_access_key"),
            Change::removed(profile, PROCESS),
        ];
        let replaced = replace(&mut self.credentials, credentials, &changes)?;
        tell_closed(env, &self.credentials, replaced);
        let config = config.then(|document| edits::drop_empty_section(document, profile))?;
        let changes = [Change::removed(profile, PROCESS), Change::dropped(profile)];
        replace(&mut self.config, config, &changes).map(drop)
    }

    fn pointed(&self, pointing: &Attach, entry: &EntryName) -> Result<(Edited, Vec<Change>)> {
        let profile = &pointing.profile;
        let value = command_line::build(&pointing.helper_path, entry, Platform::HERE)?;
        let document = &self.config.document;
        let mut edited = edits::set_property(document, profile, PROCESS, &value)?;
        let mut changes = vec![Change::set(profile, PROCESS)];
        let has_region = document.property(profile.as_str(), "region").is_some();
        if let (Some(region), false) = (&pointing.region, has_region) {
            edited =
                edited.then(|document| edits::set_property(document, profile, "region", region))?;
            changes.push(Change::set(profile, "region"));
        }
        Ok((edited, changes))
    }

    /// A profile has one source of credentials: what else stands there would win
    /// in some SDKs and lose in others.
    fn refuse_other_sources(&self, profile: &ProfileName) -> Result<()> {
        for file in [&self.config, &self.credentials] {
            Checked::of(&file.document).refuse_lints(profile)?;
            for (key, fix) in OTHERS {
                if let Some(property) = file.document.property(profile.as_str(), key) {
                    return Err(Error::new(
                        Kind::Failed,
                        format!(
                            "profile {profile} has {key} at {}:{}",
                            file.path.display(),
                            property.line
                        ),
                    )
                    .hint(format!(
                        "{fix}, or choose another profile with --profile, or --no-profile"
                    )));
                }
            }
            let process = file.document.property(profile.as_str(), PROCESS);
            if let Some(property) = process
                && command_line::parse_helper(&property.value).is_none()
            {
                return Err(Error::new(
                    Kind::Failed,
                    format!(
                        "profile {profile} runs another credential_process at {}:{}",
                        file.path.display(),
                        property.line
                    ),
                )
                .hint(
                    "remove that line, or choose another profile with --profile, or --no-profile",
                ));
            }
        }
        Ok(())
    }
}

/// Other sources of credentials in a profile, and what to do about each.
/// Source: the SDKs' chain orders; every pair of these resolves differently somewhere.
const OTHERS: [(&str, &str); 9] = [
    ("aws_access_key_id", "remove the key's lines from that file"),
    (
        "aws_secret_access_key",
        "remove the key's lines from that file",
    ),
    ("aws_session_token", "remove the key's lines from that file"),
    (
        "role_arn",
        "name a base profile and make it this profile's source_profile",
    ),
    ("credential_source", "remove that line"),
    ("web_identity_token_file", "remove that line"),
    ("sso_session", "remove the sso lines"),
    ("sso_start_url", "remove the sso lines"),
    ("login_session", "run aws logout for it"),
];

/// Holds off other runs of awskeep that would change the AWS files.
pub fn lock(env: &Env) -> Result<Locks> {
    env.lock(LOCK)
}

fn own_process(document: &Document, profile: &ProfileName) -> Option<Helper> {
    let property = document.property(profile.as_str(), PROCESS)?;
    command_line::parse_helper(&property.value)
}

/// Takes away what an awskeep that was killed left beside the AWS files: it may hold a
/// secret. Nobody is at work on them while their lock can be had.
pub fn sweep(env: &Env) {
    let files = [env.aws_config_file(), env.aws_credentials_file()];
    let mut left: Vec<PathBuf> = files
        .into_iter()
        .flatten()
        .flat_map(|file| disk::left_beside(&file))
        .collect();
    left.sort();
    left.dedup();
    if left.is_empty() {
        return;
    }
    let Some(Taken::Held(_lock)) = env.locks.glance(LOCK) else {
        return;
    };
    for path in left {
        if let Ok(true) = disk::remove(&path) {
            env.ui.tell(&format!(
                "{} was left behind by an awskeep that was killed, and is deleted",
                path.display()
            ));
        }
    }
}

/// Says that a file which others could read, and which got a secret, is closed to them.
pub fn tell_closed(env: &Env, file: &AwsFile, replaced: Replaced) {
    match replaced {
        Replaced::AsItWas => {}
        Replaced::ClosedToOthers => env.ui.tell(&format!(
            "{} could be read by others, and is yours alone to read now (mode 600)",
            file.path.display()
        )),
    }
}

/// Replaces the file, if the AWS SDK's own parser finds in it these changes and no other.
pub fn replace(file: &mut AwsFile, edited: Edited, changes: &[Change]) -> Result<Replaced> {
    let kind = file.document.kind();
    sdk_reader::differs_by_exactly(kind, file.document.text(), edited.document.text(), changes)
        .map_err(|what| {
            Error::new(
                Kind::Failed,
                format!("{} is left as it is", file.path.display()),
            )
            .cause(what)
            .hint("edit the profile by hand, then run it again")
        })?;
    file.replace(edited.document)
}
