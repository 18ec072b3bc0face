//! What each AWS SDK would do with a profile: which source of credentials wins, and
//! what it shadows. Pure: environment and both files come in as values. Looks at no
//! disk, runs nothing, asks no service. Used by `import`, `why` and `doctor`.
//!
//! One evaluator walks each consumer's list of sources; the lists, and the ways in
//! which consumers differ beside them, are data in `consumers`.

use std::collections::BTreeMap;

use serde::Serialize;

use self::consumers::{Chosen, Rules};
use self::lookup::Lookup;
use super::document::Document;

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
    pub config: &'a Document,
    pub credentials: &'a Document,
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
pub enum Place {
    Variable(String),
    /// The file's name as messages show it, and the 1-based line.
    Line(String, usize),
}

/// What a consumer ends up with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// Access key variables of the environment.
    Env,
    Static {
        place: Place,
        /// As it is written, if it has the form of an access key id.
        id: Option<String>,
    },
    Process {
        place: Place,
        command: String,
    },
    AssumeRole {
        role_arn: String,
        place: Place,
        from: Box<Outcome>,
    },
    /// `credential_source`: environment, container or instance signs the role.
    CredentialSource {
        place: Place,
        source: String,
    },
    Sso {
        place: Place,
    },
    WebIdentity {
        place: Place,
    },
    Login {
        place: Place,
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
    pub place: Place,
}

/// The answer for one consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolution {
    pub consumer: Consumer,
    /// The profile that this consumer reads.
    pub profile: String,
    pub outcome: Outcome,
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
    let config = dialect::as_read(inputs.config, rules.reading);
    let credentials = dialect::as_read(inputs.credentials, rules.reading);
    let inputs = Inputs {
        config: &config.document,
        credentials: &credentials.document,
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

fn choose(inputs: Inputs<'_>, rules: &Rules) -> (String, Chosen) {
    if let Asked::ByName(name) = inputs.asked {
        return (name.to_owned(), Chosen::InCode);
    }
    let set = |name: &&&str| inputs.env.get(**name).is_some_and(|v| !v.is_empty());
    match rules.profile_variables.iter().find(set) {
        Some(name) => (inputs.env[*name].clone(), Chosen::ByVariable),
        None => ("default".to_owned(), Chosen::NotAtAll),
    }
}

impl Outcome {
    /// Whether a role of the same profile comes on top.
    fn can_sign_a_role(&self) -> bool {
        match self {
            Outcome::Env
            | Outcome::Static { .. }
            | Outcome::Process { .. }
            | Outcome::CredentialSource { .. }
            | Outcome::Sso { .. }
            | Outcome::Login { .. } => true,
            // A web identity is that role already.
            Outcome::WebIdentity { .. }
            | Outcome::AssumeRole { .. }
            | Outcome::Container
            | Outcome::Nothing
            | Outcome::Error { .. } => false,
        }
    }

    /// The lines that the outcome rests on.
    fn places(&self) -> Vec<&Place> {
        match self {
            Outcome::Static { place, .. }
            | Outcome::Process { place, .. }
            | Outcome::CredentialSource { place, .. }
            | Outcome::Sso { place }
            | Outcome::WebIdentity { place }
            | Outcome::Login { place } => vec![place],
            Outcome::AssumeRole { place, from, .. } => {
                let mut places = from.places();
                places.push(place);
                places
            }
            Outcome::Env | Outcome::Container | Outcome::Nothing | Outcome::Error { .. } => {
                Vec::new()
            }
        }
    }
}
