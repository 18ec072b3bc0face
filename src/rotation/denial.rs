//! What an AccessDenied of IAM means for whoever wants to rotate. Pure.
//!
//! Sources: AWS's access-denied message formats (IAM User Guide, "Troubleshoot
//! access denied error messages"); AWSCompromisedKeyQuarantine's policies; the
//! example policy that forces MFA for self-management.

use crate::failure::{Failure, Kind};
use crate::iam_account::CallFailure;
use crate::keys::EntryName;

/// Who or what denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// AWS or a person has quarantined the user.
    Quarantine,
    /// Even listing one's own keys is explicitly denied: what Force-MFA policies do.
    NeedsMfa,
    ExplicitDeny,
    Boundary,
    ServiceControlPolicy,
    NotAllowed,
}

impl Denial {
    /// `action` is the IAM action, such as `CreateAccessKey`.
    pub fn of(action: &str, message: &str) -> Denial {
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
        match (says("explicit deny"), action) {
            // A quarantine leaves the list allowed; Force-MFA denies it too.
            (true, "ListAccessKeys") => Denial::NeedsMfa,
            (true, _) => Denial::ExplicitDeny,
            (false, _) => Denial::NotAllowed,
        }
    }
}

/// A denied call, in words with the next step.
pub fn denied(entry: &EntryName, action: &str, refusal: &CallFailure) -> Failure {
    let (why, hint) = match Denial::of(action, &refusal.message) {
        Denial::Quarantine => (
            "AWS has quarantined this IAM user, because a key of it has leaked",
            "an admin must look at the user and detach the quarantine policy; nothing here can"
                .to_owned(),
        ),
        Denial::NeedsMfa => (
            "an explicit deny, as in policies that force MFA: this user may handle its keys with an MFA session only",
            format!("ask an admin to let {entry} rotate without MFA, or rotate it in the console"),
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
            format!("give the IAM user of {entry} the rights to handle its own keys"),
        ),
    };
    Failure::new(
        Kind::Aws,
        format!("entry {entry}: AWS denies {action}: {why}"),
    )
    .cause(&refusal.message)
    .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_told_apart() {
        let user = "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:X";
        for (action, tail, denial) in [
            (
                "ListAccessKeys",
                "with an explicit deny in an identity-based policy",
                Denial::NeedsMfa,
            ),
            (
                "CreateAccessKey",
                "with an explicit deny in an identity-based policy",
                Denial::ExplicitDeny,
            ),
            (
                "CreateAccessKey",
                "with an explicit deny in an identity-based policy: arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3",
                Denial::Quarantine,
            ),
            (
                "CreateAccessKey",
                "with an explicit deny in a service control policy",
                Denial::ServiceControlPolicy,
            ),
            (
                "CreateAccessKey",
                "because no permissions boundary allows the iam:X action",
                Denial::Boundary,
            ),
            (
                "CreateAccessKey",
                "because no identity-based policy allows the iam:X action",
                Denial::NotAllowed,
            ),
        ] {
            assert_eq!(Denial::of(action, &format!("{user} {tail}")), denial);
        }
    }
}
