//! What each AWS SDK would do with a profile: which source of credentials wins, and
//! what it shadows. Pure: environment and both files come in as values. Looks at no
//! disk, runs nothing, asks no service. Used by `import`, `why` and `doctor`.
//!
//! One evaluator walks each consumer's list of sources; the lists, and the ways in
//! which consumers differ beside them, are data in `consumers`.

use std::collections::BTreeMap;

use serde::Serialize;

use self::lookup::Lookup;
use crate::profiles::{AwsFiles, Document};
use crate::resolve::consumers::{Chosen, ConsumerRules};

pub use self::consumers::Consumer;

mod consumers;
mod dialect;
mod lookup;
#[cfg(test)]
mod tests;
mod walk;

/// What there is to look at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    pub files: AwsFiles<&'a Document>,
    pub env: &'a BTreeMap<String, String>,
    pub asked: Asked<'a>,
}

/// How the program says which profile it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// Not at all: `AWS_PROFILE` and the like decide.
    ByEnvironment,
    /// `--profile NAME`, or the same in code.
    ByName(&'a str),
}

/// A line of a file, or a variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    Variable(String),
    /// The file's name as messages show it, and the 1-based line.
    Line(String, usize),
}

/// What a consumer ends up with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Resolved {
    /// Access key variables of the environment.
    Env,
    Static {
        place: Location,
        /// As it is written, if it has the form of an access key id.
        id: Option<String>,
    },
    Process {
        place: Location,
        command: String,
    },
    AssumeRole {
        role_arn: String,
        place: Location,
        from: Box<Resolved>,
    },
    /// `credential_source`: environment, container or instance signs the role.
    CredentialSource {
        place: Location,
        source: String,
    },
    Sso {
        place: Location,
    },
    WebIdentity {
        place: Location,
    },
    Login {
        place: Location,
    },
    /// Nothing was found here; a container's role comes next.
    Container,
    /// Nothing was found here; the instance metadata service comes next, if any.
    Nothing,
    /// The consumer stops with an error.
    Error {
        text: String,
    },
}

/// A source that is there and not used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Shadowed {
    pub what: &'static str,
    pub place: Location,
}

/// The answer for one consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolution {
    pub consumer: Consumer,
    /// The profile that this consumer reads.
    pub profile: String,
    pub outcome: Resolved,
    pub shadows: Vec<Shadowed>,
}

/// What every consumer would do, in `Consumer::ALL`'s order.
pub fn resolve_all(inputs: Inputs<'_>) -> Vec<Resolution> {
    let one = |consumer| resolve(inputs, consumer);
    Consumer::ALL.into_iter().map(one).collect()
}

/// What this consumer would do.
pub fn resolve(inputs: Inputs<'_>, consumer: Consumer) -> Resolution {
    let rules = consumer.rules();
    let (profile, chosen) = choose(inputs, rules);
    let config = dialect::as_read(inputs.files.config, rules.reading);
    let credentials = dialect::as_read(inputs.files.credentials, rules.reading);
    let inputs = Inputs {
        files: AwsFiles {
            config: &config.document,
            credentials: &credentials.document,
        },
        ..inputs
    };
    let lookup = Lookup {
        inputs,
        refused: config.refused.as_ref().or(credentials.refused.as_ref()),
        rules,
    };
    let outcome = lookup.outcome(&profile, chosen);
    let shadows = lookup.shadows(&profile, &outcome);
    Resolution {
        consumer,
        profile,
        outcome,
        shadows,
    }
}

fn choose(inputs: Inputs<'_>, rules: &ConsumerRules) -> (String, Chosen) {
    if let Asked::ByName(name) = inputs.asked {
        return (name.to_owned(), Chosen::InCode);
    }
    let set = |name: &&&str| inputs.env.get(**name).is_some_and(|v| !v.is_empty());
    match rules.profile_variables.iter().find(set) {
        Some(name) => (inputs.env[*name].clone(), Chosen::ByVariable),
        None => ("default".to_owned(), Chosen::NotAtAll),
    }
}

impl Resolved {
    /// Whether a role of the same profile comes on top.
    fn can_sign_a_role(&self) -> bool {
        match self {
            Resolved::Env
            | Resolved::Static { .. }
            | Resolved::Process { .. }
            | Resolved::CredentialSource { .. }
            | Resolved::Sso { .. }
            | Resolved::Login { .. } => true,
            // A web identity is that role already.
            Resolved::WebIdentity { .. }
            | Resolved::AssumeRole { .. }
            | Resolved::Container
            | Resolved::Nothing
            | Resolved::Error { .. } => false,
        }
    }

    /// The lines that the outcome rests on.
    fn places(&self) -> Vec<&Location> {
        match self {
            Resolved::Static { place, .. }
            | Resolved::Process { place, .. }
            | Resolved::CredentialSource { place, .. }
            | Resolved::Sso { place }
            | Resolved::WebIdentity { place }
            | Resolved::Login { place } => vec![place],
            Resolved::AssumeRole { place, from, .. } => {
                let mut places = from.places();
                places.push(place);
                places
            }
            Resolved::Env | Resolved::Container | Resolved::Nothing | Resolved::Error { .. } => {
                Vec::new()
            }
        }
    }
}
