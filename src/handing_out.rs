//! Handing a profile, or its key itself, to another program: which variables are set,
//! and which must go because they would win over them. Edge.
//!
//! A key that is handed out as such has no way back: the item says until when it may
//! be in use, in one write under the lock, before the key leaves. A session dies by
//! itself, and says when; a static key with an expiry would kill botocore's children.

use crate::aws;
use crate::cli::{SessionArgs, Target};
use crate::entries::{Entries, Held};
use crate::failure::{Failure, Kind, Outcome};
use crate::iam_account::prove;
use crate::keys::{ProfileName, SecretKey};
use crate::machine::Machine;
use crate::profiles::Profiles;
use crate::settings::Key;
use crate::state::{self, Receipt};
use crate::time::Length;

/// Every variable that gives an SDK a key, a token or another source of them.
/// Source: AWS SDKs and Tools Reference Guide, "environment variables"; aws-vault and
/// older SDKs for the rest.
const SOURCES: [&str; 17] = [
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_ACCOUNT_ID",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_SESSION_EXPIRATION",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// awskeep's own secrets and where they are.
const OWN: [&str; 1] = ["AWSKEEP_PASSPHRASE_FILE"];

/// What another program's environment becomes.
#[derive(Debug)]
pub struct Variables {
    pub set: Vec<(&'static str, SecretKey)>,
    pub unset: Vec<&'static str>,
}

impl Variables {
    fn new(set: Vec<(&'static str, SecretKey)>, gone: &[&'static str]) -> Variables {
        let is_set = |name: &&str| set.iter().any(|(other, _)| other == name);
        let unset = SOURCES
            .iter()
            .chain(OWN.iter())
            .chain(gone)
            .filter(|name| !is_set(name))
            .copied()
            .collect();
        Variables { set, unset }
    }

    /// Name and value of what is set. Holds a secret.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.set.iter().map(|(name, value)| (*name, value.expose()))
    }
}

/// Only the profile's name: the program fetches, and refreshes, by itself.
///
/// # Errors
/// `Kind::NotFound` if no file has the profile.
pub fn by_profile(machine: &Machine, profile: &ProfileName) -> Outcome<Variables> {
    let hint = format!("awskeep add {profile}, or awskeep list");
    Profiles::read(machine)?.refuse_unknown(profile, &hint)?;
    let name = SecretKey::new(profile.to_string());
    Ok(Variables::new(vec![("AWS_PROFILE", name)], &[]))
}

/// What is handed out beside the profile's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// The key itself.
    Key,
    /// A temporary session of this length.
    Session(Length),
}

impl Handed {
    /// As the flags say it.
    pub fn of(args: &SessionArgs) -> Handed {
        if args.session {
            Handed::Session(args.duration)
        } else {
            Handed::Key
        }
    }

    /// The variables. `step` is what receipts call it.
    ///
    /// # Errors
    /// `Kind::Usage` for a role profile: its base's key is somebody else.
    pub fn variables(
        self,
        machine: &Machine,
        name: &ProfileName,
        step: &str,
    ) -> Outcome<Variables> {
        let entries = Entries::open(machine)?;
        let files = Profiles::read(machine)?;
        let held = meant(&entries, &files, name)?;
        let mut set = match self {
            Handed::Key => key(machine, &entries, &held, step)?,
            Handed::Session(length) => session(machine, &held, length, step)?,
        };
        let region = files.config.document.property(name.as_str(), "region");
        if let Some(region) = region {
            for variable in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
                if machine.var(variable).is_none() {
                    set.push((variable, SecretKey::new(region.value.to_string())));
                }
            }
        }
        // The JavaScript SDK prefers a profile to keys.
        Ok(Variables::new(set, &["AWS_PROFILE"]))
    }
}

fn meant(entries: &Entries<'_>, files: &Profiles, name: &ProfileName) -> Outcome<Held> {
    let role = [&files.config, &files.credentials]
        .into_iter()
        .find_map(|file| file.document.property(name.as_str(), "role_arn"));
    if role.is_some() {
        return Err(Failure::new(
            Kind::Usage,
            format!("profile {name} is a role; its key alone is not that role"),
        )
        .hint(format!(
            "awskeep exec {name} -- …, without --env and --session"
        )));
    }
    entries.meant(&Target {
        name: Some(name.to_string()),
        ..Target::default()
    })
}

type Set = Vec<(&'static str, SecretKey)>;

/// The key itself, noted as handed out before it is.
fn key(machine: &Machine, entries: &Entries<'_>, found: &Held, step: &str) -> Outcome<Set> {
    let _user = entries.lock_user(found.item.identity.as_ref(), found.name())?;
    let mut held = entries.get(found.name())?;
    let until = machine.now() + entries.settings.length(Key::EnvLease, Some(held.name()))?;
    if held.item.handed_out_until < Some(until) {
        held.item.handed_out_until = Some(until);
        held.vault.save(&held.item)?;
    }
    let slot = &held.item.current;
    state::note(
        machine,
        &Receipt::new(machine.now(), held.name(), step).key(&slot.id),
    );
    Ok(vec![
        ("AWS_ACCESS_KEY_ID", SecretKey::new(slot.id.to_string())),
        ("AWS_SECRET_ACCESS_KEY", slot.secret.clone()),
    ])
}

/// A session of the key's user. It outlives the key, so no lease is noted.
fn session(machine: &Machine, held: &Held, length: Length, step: &str) -> Outcome<Set> {
    let key = held.item.current.key();
    let account = aws::account(machine, &aws::place_of(&held.item))?;
    let answer = account
        .session(&key, length)
        .map_err(|failure| prove::refused(&key, "STS", &failure))?;
    let session = answer.value;
    let receipt = Receipt::new(machine.now(), held.name(), step).key(&key.id);
    state::note(
        machine,
        &receipt.result(format!("session until {}", session.expires_at)),
    );
    Ok(vec![
        (
            "AWS_ACCESS_KEY_ID",
            SecretKey::new(session.key.id.to_string()),
        ),
        ("AWS_SECRET_ACCESS_KEY", session.key.secret),
        ("AWS_SESSION_TOKEN", session.token),
        (
            "AWS_CREDENTIAL_EXPIRATION",
            SecretKey::new(session.expires_at.to_string()),
        ),
    ])
}
