//! Handing a profile, or its key itself, to another program: which variables are set,
//! and which must go because they would win over them. Edge.
//!
//! A key that is handed out as such has no way back: the item says until when it may
//! be in use, in one write under the lock, before the key leaves. A session dies by
//! itself, and says when; a static key with an expiry would kill botocore's children.

use crate::aws::place;
use crate::aws::prove;
use crate::cli::{ProfileArgs, SessionArgs};
use crate::config::Key;
use crate::error::{Error, Kind, Result};
use crate::profiles::AwsFiles;
use crate::records;
use crate::records::Record;
use crate::store::entries::{Entries, StoredEntry};
use crate::system::env::Env;
use crate::system::secret_vars;
use crate::types::keys::{ProfileName, Secret};
use crate::types::target::Target;
use crate::types::time::Span;

/// The region for the SDKs that read the one, and for those that read the other.
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// The region that an `env` or `exec` has set: one that differs is the user's.
const OUR_REGION: &str = "AWSKEEP_SET_REGION";

/// What another program's environment becomes.
#[derive(Debug)]
pub struct Variables {
    pub set: Vec<(&'static str, Secret)>,
    pub unset: Vec<String>,
}

impl Variables {
    fn new(env: &Env, set: Set, more: &[&str], region: Option<&str>) -> Variables {
        let mut variables = Variables {
            set,
            unset: Vec::new(),
        };
        let names = secret_vars::sources(env).chain(more.iter().copied());
        variables.unset = names.map(str::to_owned).collect();
        variables.place(env, region);
        let Variables { set, unset } = &mut variables;
        unset.retain(|name| !set.iter().any(|(other, _)| other == name));
        variables
    }

    /// The region, in both variables or in none. What an earlier `env` left there goes; what
    /// the user has set stays as it is.
    fn place(&mut self, env: &Env, region: Option<&str>) {
        let ours = env.var(OUR_REGION);
        let is_users = |name: &&str| env.var(name).is_some_and(|set| Some(set) != ours);
        let users_own = REGIONS.iter().any(&is_users);
        let stale = REGIONS
            .iter()
            .filter(|name| ours.is_some() && !is_users(name));
        self.unset.extend(stale.map(ToString::to_string));
        self.unset.extend(ours.map(|_| OUR_REGION.to_owned()));
        if let (Some(region), false) = (region, users_own) {
            let names = REGIONS.into_iter().chain([OUR_REGION]);
            self.set
                .extend(names.map(|name| (name, Secret::new(region.to_owned()))));
        }
    }

    /// Name and value of what is set. Holds a secret.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.set.iter().map(|(name, value)| (*name, value.expose()))
    }
}

/// The profile that is named, else the one in `AWS_PROFILE`.
///
/// # Errors
/// `Kind::Usage` if neither names one.
pub fn profile_meant(env: &Env, args: &ProfileArgs) -> Result<ProfileName> {
    match (
        args.name.as_ref().or(args.profile.as_ref()),
        env.var("AWS_PROFILE"),
    ) {
        (Some(named), _) => Ok(named.clone()),
        (None, Some(name)) => name.parse(),
        (None, None) => Err(Error::new(
            Kind::Usage,
            "no profile is named, and AWS_PROFILE is not set",
        )
        .hint("awskeep list")),
    }
}

/// Only the profile's name: the program fetches, and refreshes, by itself.
///
/// # Errors
/// `Kind::NotFound` if no file has the profile.
pub fn by_profile(env: &Env, profile: &ProfileName) -> Result<Variables> {
    AwsFiles::read(env)?.refuse_unknown(profile, &format!("awskeep add {profile}"))?;
    let name = Secret::new(profile.to_string());
    // The SDK reads the profile's region by itself.
    Ok(Variables::new(env, vec![("AWS_PROFILE", name)], &[], None))
}

/// What is handed out beside the profile's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// The key itself.
    Key,
    /// A temporary session of this length.
    Session(Span),
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
    pub fn variables(self, env: &Env, name: &ProfileName, step: &str) -> Result<Variables> {
        let entries = Entries::open(env)?;
        let files = AwsFiles::read(env)?;
        let held = meant(&entries, &files, name)?;
        let set = match self {
            Handed::Key => key(env, &entries, &held, step)?,
            Handed::Session(length) => session(env, &held, length, step)?,
        };
        let region = files.config.document.property(name.as_str(), "region");
        let region = region.map(|region| region.value.to_string());
        // The JavaScript SDK prefers a profile to keys.
        Ok(Variables::new(
            env,
            set,
            &["AWS_PROFILE"],
            region.as_deref(),
        ))
    }
}

fn meant(entries: &Entries<'_>, files: &AwsFiles, name: &ProfileName) -> Result<StoredEntry> {
    if files.property(name.as_str(), "role_arn").is_some() {
        return Err(Error::new(
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

type Set = Vec<(&'static str, Secret)>;

/// The key itself, noted as handed out before it is.
fn key(env: &Env, entries: &Entries<'_>, found: &StoredEntry, step: &str) -> Result<Set> {
    let _user = entries.lock_user(found.item.identity.as_ref(), found.name())?;
    let mut held = entries.get(found.name())?;
    let until = env.now() + entries.settings.length(Key::EnvLease, Some(held.name()))?;
    if held.item.handed_out_until < Some(until) {
        held.item.handed_out_until = Some(until);
        held.vault.save(&held.item)?;
    }
    let slot = &held.item.current;
    records::note(
        env,
        &Record::new(env.now(), held.name(), step).key(&slot.id),
    );
    Ok(vec![
        ("AWS_ACCESS_KEY_ID", Secret::new(slot.id.to_string())),
        ("AWS_SECRET_ACCESS_KEY", slot.secret.duplicate()),
    ])
}

/// A session of the key's user. It outlives the key, so no lease is noted.
fn session(env: &Env, held: &StoredEntry, length: Span, step: &str) -> Result<Set> {
    let key = held.item.current.key();
    let account = place::account_of(env, &held.item)?;
    let answer = account
        .session(&key, length)
        .map_err(|failure| prove::refused(&key, "STS", &failure))?;
    let session = answer.value;
    let receipt = Record::new(env.now(), held.name(), step).key(&key.id);
    records::note(
        env,
        &receipt.result(format!("session until {}", session.expires_at)),
    );
    Ok(vec![
        ("AWS_ACCESS_KEY_ID", Secret::new(session.key.id.to_string())),
        ("AWS_SECRET_ACCESS_KEY", session.key.secret),
        ("AWS_SESSION_TOKEN", session.token),
        (
            "AWS_CREDENTIAL_EXPIRATION",
            Secret::new(session.expires_at.to_string()),
        ),
    ])
}
