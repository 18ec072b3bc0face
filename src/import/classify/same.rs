//! Whether every SDK ends up with the same key as before, by the model of what each
//! SDK does. Pure.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use crate::profiles::{AwsFiles, Document, parse_helper};
use crate::resolve::{Asked, Consumer, Inputs, Resolved, resolve};
use crate::types::keys::EntryName;

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
    before: AwsFiles<&Document>,
    after: AwsFiles<&Document>,
    moved: &BTreeSet<String>,
    entry_of_key: &BTreeMap<String, EntryName>,
) -> Vec<Different> {
    let mut found = Vec::new();
    for profile in before.profile_names() {
        let chain = before.chain(&profile);
        if !chain.iter().any(|name| moved.contains(name)) {
            continue;
        }
        // Only the sections that matter: hundreds of profiles must not cost their square.
        let was = before.map(|file| sections_of(file, &chain));
        let chain_after = after.chain(&profile);
        let is = after.map(|file| sections_of(file, &chain_after));
        let told = |part: &AwsFiles<Document>, consumer: Consumer| {
            who(part, &profile, consumer, entry_of_key)
        };
        let everybody: Vec<Who> = Consumer::ALL.map(|consumer| told(&was, consumer)).into();
        let different = Consumer::ALL
            .into_iter()
            .zip(&everybody)
            .find(|(consumer, before)| {
                let after = told(&is, *consumer);
                // What one SDK could not read may become what the others read all along.
                let is_mended = **before == Who::Other("error") && everybody.contains(&after);
                after != **before && !is_mended
            });
        let different = different.map(|(consumer, _)| consumer);
        // A profile that was nobody's may get a key.
        if let Some(consumer) = different
            && !nobody(&was, &profile)
        {
            found.push(Different {
                profile,
                consumer,
                chain,
            });
        }
    }
    found
}

/// These profiles' sections of a file, and what reaches every profile.
fn sections_of(document: &Document, profiles: &[String]) -> Document {
    let mut own = document.other_sections();
    own.retain(|section| section.inner == "DEFAULT");
    for profile in profiles {
        own.extend(document.sections_named(profile));
    }
    own.sort_by_key(|section| section.line);
    let mut text = Zeroizing::new(String::new());
    own.into_iter()
        .for_each(|section| text.push_str(document.text_of(section)));
    Document::parse(document.kind(), &text)
}

/// Whether no file gives the profile any credentials.
fn nobody(files: &AwsFiles<Document>, profile: &str) -> bool {
    Consumer::ALL.into_iter().all(|consumer| {
        matches!(
            who(files, profile, consumer, &BTreeMap::new()),
            Who::Other("nothing" | "container")
        )
    })
}

fn who(
    files: &AwsFiles<Document>,
    profile: &str,
    consumer: Consumer,
    entry_of_key: &BTreeMap<String, EntryName>,
) -> Who {
    let none = BTreeMap::new();
    let inputs = Inputs {
        files: files.documents(),
        env: &none,
        asked: Asked::ByName(profile),
    };
    told(&resolve(inputs, consumer).outcome, entry_of_key)
}

fn told(outcome: &Resolved, entry_of_key: &BTreeMap<String, EntryName>) -> Who {
    match outcome {
        Resolved::Static { id, .. } => match id.as_ref().and_then(|id| entry_of_key.get(id)) {
            Some(entry) => Who::Entry(entry.clone()),
            None => Who::Key(id.clone()),
        },
        Resolved::Process { command, .. } => match parse_helper(command) {
            Some(helper) => Who::Entry(helper.entry),
            None => Who::Process(command.clone()),
        },
        Resolved::AssumeRole { role_arn, from, .. } => {
            Who::Role(role_arn.clone(), Box::new(told(from, entry_of_key)))
        }
        Resolved::Env => Who::Other("env"),
        Resolved::CredentialSource { .. } => Who::Other("credential source"),
        Resolved::Sso { .. } => Who::Other("sso"),
        Resolved::WebIdentity { .. } => Who::Other("web identity"),
        Resolved::Login { .. } => Who::Other("login"),
        Resolved::Container => Who::Other("container"),
        Resolved::Nothing => Who::Other("nothing"),
        Resolved::Error { .. } => Who::Other("error"),
    }
}
