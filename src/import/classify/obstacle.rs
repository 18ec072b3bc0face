//! Every reason for which an import leaves a key alone, with its text and what fixes it.
//! Pure.

use std::fmt;

use crate::error::{Error, Subject};
use crate::import::masking::by_shape;
use crate::profiles::{Checked, Lint};
use crate::resolve::Consumer;
use crate::types::escape;
use crate::types::keys::{AccessKeyId, EntryName, ProfileName};

/// Why a key is skipped. A place, the `String` where there is but one, is a file's name
/// and a line.
#[derive(Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// SDKs read the file, or the profile's section, differently.
    Lints {
        file: String,
        lints: Vec<Lint>,
    },
    /// A line of a key that not every SDK reads.
    HiddenKey {
        file: String,
        lint: Lint,
    },
    NoKey,
    Line(String, Fault),
    TwoSecrets(AccessKeyId),
    TwoSecretsInFiles(AccessKeyId),
    /// Each with the name of its file.
    TwoKeys([(AccessKeyId, String); 2]),
    /// The profile uses awskeep, and this key stands in the files too.
    UsesEntry {
        profile: ProfileName,
        entry: EntryName,
        id: AccessKeyId,
    },
    OtherSource {
        key: &'static str,
        place: String,
        fix: &'static str,
    },
    OtherProcess(String),
    RoleOnAnother {
        source: String,
        place: String,
    },
    RoleOnNothing {
        profile: String,
        place: String,
    },
    /// Of a key from elsewhere: the profile has this one.
    AnotherKey {
        profile: ProfileName,
        id: AccessKeyId,
    },
    /// Of a key from elsewhere.
    IsARole(String),
    /// Of a key from elsewhere.
    AnotherEntry(EntryName),
    /// This consumer would read `changed`, the profile itself or one on it, as another.
    SomebodyElse {
        profile: String,
        consumer: Consumer,
        changed: String,
    },
    /// What an edit, or AWS, says of this key alone.
    Refused {
        reason: String,
        fix: String,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    OddHeader,
    Blank,
    NotAnId,
    NotASecret,
    NoSecret,
    NoId,
    Temporary,
    NotOfAws,
}

impl Fault {
    /// What it is, and what fixes it.
    fn said(self) -> (&'static str, &'static str) {
        match self {
            Fault::OddHeader => (
                "this header names no profile that every SDK reads",
                "give it a plain name: [NAME] in the credentials file, [profile NAME] in the config file",
            ),
            Fault::Blank => ("the key is empty", "remove both lines, or fill them in"),
            Fault::NotAnId => ("this is not an access key id", "correct the line"),
            Fault::NotASecret => ("this is not a secret access key", "correct the line"),
            Fault::NoSecret => (
                "there is an access key id but no secret",
                "add the secret, or remove the line",
            ),
            Fault::NoId => (
                "there is half a key: no access key id beside it",
                "add the id, or remove the line",
            ),
            Fault::Temporary => (
                "a temporary key, which expires within hours",
                "nothing to do",
            ),
            Fault::NotOfAws => (
                "its key id is not one of AWS's",
                "nothing to do: it belongs to another service",
            ),
        }
    }
}

/// Whether a refusal is worth a failing exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A long-term key stays in plaintext.
    KeyStays,
    /// Nothing that should be moved: a temporary key, or another service's.
    Nothing,
}

impl Obstacle {
    pub fn of(failure: &Error) -> Obstacle {
        // The row says which profile it is.
        let what = match &failure.subject {
            Some(Subject::Profile(_)) => failure.message.clone(),
            Some(Subject::Entry(_)) | None => failure.told(),
        };
        let reason = match &failure.cause {
            Some(cause) => format!("{what}: {cause}"),
            None => what,
        };
        let fix = failure.hints.join("; ");
        Obstacle::Refused { reason, fix }
    }

    /// Values of the files stand in it, and one may be a secret in the wrong place.
    pub fn reason(&self) -> String {
        by_shape(&self.said().0)
    }

    pub fn fix(&self) -> String {
        by_shape(&self.said().1)
    }

    pub fn weight(&self) -> Weight {
        match self {
            // No failure, however often an import sees them.
            Obstacle::Line(_, Fault::Temporary | Fault::NotOfAws) => Weight::Nothing,
            _ => Weight::KeyStays,
        }
    }

    /// Whether it is what stops every profile of the file.
    pub fn is_of_the_file(&self, file: &Checked<'_>) -> bool {
        let (name, own) = match self {
            Obstacle::Lints { file, lints } => (file, lints.first()),
            Obstacle::HiddenKey { file, lint } => (file, Some(lint)),
            _ => return false,
        };
        let (Some(own), Some(first)) = (own, file.file_lints.first()) else {
            return false;
        };
        name == file.document.name() && (own.line, &own.what) == (first.line, &first.what)
    }

    /// The reason, and what fixes it.
    fn said(&self) -> (String, String) {
        let said = |reason: String, fix: &str| (reason, fix.to_owned());
        match self {
            Obstacle::Lints { file, lints } => {
                let reason = lints.first().map(|first| first.place_in(file));
                let fixes: Vec<String> = lints.iter().map(Lint::fix_of_line).collect();
                (reason.unwrap_or_default(), fixes.join("; "))
            }
            Obstacle::HiddenKey { file, lint } => said(lint.place_in(file), &lint.fix),
            Obstacle::NoKey => said("it has no key".to_owned(), "nothing to do"),
            Obstacle::Line(place, fault) => {
                let (what, fix) = fault.said();
                said(format!("{place}: {what}"), fix)
            }
            Obstacle::TwoSecrets(id) => said(
                format!("{id} is in several profiles with different secrets"),
                "correct the wrong one",
            ),
            Obstacle::TwoSecretsInFiles(id) => said(
                format!("{id} is in both files with two different secrets"),
                "remove the wrong one's lines",
            ),
            Obstacle::TwoKeys([(one, file), (other, another)]) => said(
                format!(
                    "{one} is in {file} and {other} in {another}: SDKs disagree which one counts"
                ),
                "take the lines of the key that you do not use out",
            ),
            Obstacle::UsesEntry { profile, entry, id } => (
                format!(
                    "it uses entry {entry}, but {id} is in the files too and wins in most SDKs"
                ),
                format!(
                    "remove the key's lines, or remove credential_process and import again; who reads which: awskeep why {profile}"
                ),
            ),
            Obstacle::OtherSource { key, place, fix } => said(
                format!("it also has {key} ({place}), and SDKs choose differently"),
                fix,
            ),
            Obstacle::OtherProcess(place) => said(
                format!(
                    "it runs another credential_process ({place}), and SDKs choose differently"
                ),
                "remove that line, or the key's lines",
            ),
            Obstacle::RoleOnAnother { source, place } => said(
                format!(
                    "it has a role whose source is {source} ({place}), and a key of its own that some SDKs use instead"
                ),
                "take the key's lines out, or move them to a profile of their own",
            ),
            Obstacle::RoleOnNothing { profile, place } => (
                format!(
                    "it has a role without a source_profile ({place}), which SDKs read differently"
                ),
                format!("add source_profile = {profile} below role_arn, or remove role_arn"),
            ),
            Obstacle::AnotherKey { profile, id } => (
                format!("it has another key, {id}, in the files"),
                format!("name another profile, or first: awskeep import {profile}"),
            ),
            Obstacle::IsARole(place) => said(
                format!("it is a role ({place})"),
                "name another profile, and make it this one's source_profile",
            ),
            Obstacle::AnotherEntry(entry) => said(
                format!("it uses entry {entry}, which has another key"),
                "name another profile",
            ),
            Obstacle::SomebodyElse {
                profile,
                consumer,
                changed,
            } => {
                let what = match changed == profile {
                    true => "it".to_owned(),
                    false => format!("profile {changed}, whose source it is,"),
                };
                (
                    format!(
                        "{} would then read {what} as another identity",
                        consumer.name()
                    ),
                    format!("awskeep why {}", escape::argument(changed)),
                )
            }
            Obstacle::Refused { reason, fix } => (reason.clone(), fix.clone()),
        }
    }
}

impl fmt::Debug for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason(), self.fix())
    }
}

/// Leaves a profile alone that SDKs read differently.
pub(super) fn refuse_lints(file: &Checked<'_>, profile: &ProfileName) -> Result<(), Obstacle> {
    match file.in_the_way(profile) {
        lints if lints.is_empty() => Ok(()),
        lints => Err(Obstacle::Lints {
            file: file.document.name().to_owned(),
            lints,
        }),
    }
}
