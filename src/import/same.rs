//! Whether every SDK ends up with the same key as before, by the model of what each
//! SDK does. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::Files;
use crate::keys::EntryName;
use crate::profile_files::parse_helper;
use crate::profile_files::resolve::{Asked, Consumer, Inputs, Outcome, resolve};

/// Whom a program would be; key ids and our own helper lines come down to the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Entry(EntryName),
    Key(Option<String>),
    Process(String),
    Role(String, Box<Who>),
    Other(&'static str),
}

/// A profile that a consumer would resolve to somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Different {
    pub profile: String,
    pub consumer: Consumer,
    /// The profiles that its `source_profile` leads through, itself included.
    pub chain: Vec<String>,
}

/// The profiles that would change, among those that `moved` ones have a part in.
pub fn differences(
    before: Files<'_>,
    after: Files<'_>,
    moved: &BTreeSet<String>,
    entry_of_key: &BTreeMap<String, EntryName>,
) -> Vec<Different> {
    let mut found = Vec::new();
    for profile in before.profile_names() {
        let chain = chain(before, &profile);
        if !chain.iter().any(|name| moved.contains(name)) {
            continue;
        }
        let different = Consumer::ALL.into_iter().find(|consumer| {
            who(before, &profile, *consumer, entry_of_key)
                != who(after, &profile, *consumer, entry_of_key)
        });
        if let Some(consumer) = different {
            found.push(Different {
                profile,
                consumer,
                chain,
            });
        }
    }
    found
}

/// A consumer's name for people.
pub fn consumer_name(consumer: Consumer) -> &'static str {
    match consumer {
        Consumer::CliV1 => "the AWS CLI 1 and boto3",
        Consumer::CliV2 => "the AWS CLI 2",
        Consumer::Go => "the Go SDK (Terraform)",
        Consumer::JavaScript => "the JavaScript SDK",
        Consumer::Rust => "the Rust SDK",
        Consumer::Java => "the Java SDK",
    }
}

fn chain(files: Files<'_>, profile: &str) -> Vec<String> {
    let mut chain = vec![profile.to_owned()];
    loop {
        let at = chain.last().map_or("", String::as_str);
        let source = files
            .both()
            .into_iter()
            .find_map(|document| document.property(at, "source_profile"));
        match source {
            Some(source) if !chain.contains(&source.value) => chain.push(source.value.to_string()),
            Some(_) | None => return chain,
        }
    }
}

fn who(
    files: Files<'_>,
    profile: &str,
    consumer: Consumer,
    entry_of_key: &BTreeMap<String, EntryName>,
) -> Who {
    let none = BTreeMap::new();
    let inputs = Inputs {
        config: files.config,
        credentials: files.credentials,
        env: &none,
        asked: Asked::ByName(profile),
    };
    told(&resolve(inputs, consumer).outcome, entry_of_key)
}

fn told(outcome: &Outcome, entry_of_key: &BTreeMap<String, EntryName>) -> Who {
    match outcome {
        Outcome::Static { id, .. } => match id.as_ref().and_then(|id| entry_of_key.get(id)) {
            Some(entry) => Who::Entry(entry.clone()),
            None => Who::Key(id.clone()),
        },
        Outcome::Process { command, .. } => match parse_helper(command) {
            Some(helper) => Who::Entry(helper.entry),
            None => Who::Process(command.clone()),
        },
        Outcome::AssumeRole { role_arn, from, .. } => {
            Who::Role(role_arn.clone(), Box::new(told(from, entry_of_key)))
        }
        Outcome::Env => Who::Other("env"),
        Outcome::CredentialSource { .. } => Who::Other("credential source"),
        Outcome::Sso { .. } => Who::Other("sso"),
        Outcome::WebIdentity { .. } => Who::Other("web identity"),
        Outcome::Login { .. } => Who::Other("login"),
        Outcome::Container => Who::Other("container"),
        Outcome::Nothing => Who::Other("nothing"),
        Outcome::Error { .. } => Who::Other("error"),
    }
}
