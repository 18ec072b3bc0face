//! What an AccessDenied of IAM means for whoever wants to rotate. Pure.
//!
//! Sources: AWS's access-denied message formats (IAM User Guide, "Troubleshoot
//! access denied error messages"); AWSCompromisedKeyQuarantine's policies; the
//! example policy that forces MFA for self-management.

use crate::aws::CallFailure;
use crate::error::{Error, Kind};
use crate::types::keys::EntryName;

/// Who or what denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// AWS or a person has quarantined the user.
    Quarantine,
    ExplicitDeny,
    Boundary,
    ServiceControlPolicy,
    NotAllowed,
}

impl Denial {
    pub fn of(message: &str) -> Denial {
        let says = |words: &str| message.contains(words);
        if says("AWSCompromisedKeyQuarantine") {
            return Denial::Quarantine;
        }
        if says("service control policy") || says("resource control policy") {
            return Denial::ServiceControlPolicy;
        }
        if says("permissions boundary") {
            return Denial::Boundary;
        }
        if says("explicit deny") {
            Denial::ExplicitDeny
        } else {
            Denial::NotAllowed
        }
    }
}

/// Whether the settings say that the user has MFA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Yes,
    NotSaid,
}

/// Whether a denial of ListAccessKeys, signed by a bare key, is what policies answer
/// that force MFA: an explicit deny. (A quarantine denies other calls and leaves the
/// list allowed.) Policies that only *allow* with MFA answer as if nothing allowed it:
/// that counts where the settings say that the user has MFA.
pub fn wants_mfa(message: &str, expected: Expected) -> bool {
    match Denial::of(message) {
        Denial::ExplicitDeny => true,
        Denial::NotAllowed => expected == Expected::Yes,
        Denial::Quarantine | Denial::Boundary | Denial::ServiceControlPolicy => false,
    }
}

/// A denied call, in words with the next step; `action` is such as `CreateAccessKey`.
pub fn denied(entry: &EntryName, action: &str, refusal: &CallFailure) -> Error {
    let denial = Denial::of(&refusal.message);
    let (why, hint) = match denial {
        Denial::Quarantine => (
            "AWS has quarantined this IAM user, because a key of it has leaked",
            "an admin must look at the user and detach the quarantine policy; nothing here can"
                .to_owned(),
        ),
        Denial::ExplicitDeny => (
            "an explicit deny; AWS also attaches one to users whose key has leaked (AWSCompromisedKeyQuarantine)",
            "an admin must look at the user's policies".to_owned(),
        ),
        Denial::Boundary => (
            "the user's permissions boundary does not allow it",
            "ask an admin to widen the boundary".to_owned(),
        ),
        Denial::ServiceControlPolicy => (
            "a policy of the organisation forbids it",
            "ask whoever manages the AWS organisation".to_owned(),
        ),
        Denial::NotAllowed => (
            "no policy of the user allows it",
            format!("for the rights that it takes: awskeep policy {entry}"),
        ),
    };
    let denied = Error::new(Kind::Aws, format!("AWS denies {action}: {why}"))
        .entry(entry)
        .cause(&refusal.message)
        .hint(hint);
    match denial {
        Denial::NotAllowed => denied.hint(format!(
            "if it has them with MFA only: awskeep config set mfa_serial SERIAL --entry {entry}"
        )),
        Denial::Quarantine
        | Denial::ExplicitDeny
        | Denial::Boundary
        | Denial::ServiceControlPolicy => denied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_told_apart() {
        let user = "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:X";
        for (tail, denial, bare, with_settings) in [
            (
                "with an explicit deny in an identity-based policy",
                Denial::ExplicitDeny,
                true,
                true,
            ),
            (
                "with an explicit deny in an identity-based policy: arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3",
                Denial::Quarantine,
                false,
                false,
            ),
            (
                "with an explicit deny in a service control policy",
                Denial::ServiceControlPolicy,
                false,
                false,
            ),
            (
                "because no permissions boundary allows the iam:X action",
                Denial::Boundary,
                false,
                false,
            ),
            (
                "because no identity-based policy allows the iam:X action",
                Denial::NotAllowed,
                false,
                true,
            ),
        ] {
            let message = format!("{user} {tail}");
            assert_eq!(Denial::of(&message), denial);
            assert_eq!(wants_mfa(&message, Expected::NotSaid), bare, "{tail}");
            assert_eq!(wants_mfa(&message, Expected::Yes), with_settings, "{tail}");
        }
    }
}
