//! IAM policies as data: the least that an IAM user needs to rotate its own key,
//! and what ends sessions that outlive a key. Pure.
//!
//! Sources: the Service Authorization Reference for IAM (all six key actions,
//! GetAccessKeyLastUsed too, take a `user` resource); IAM User Guide, "Managing
//! access keys" and "Revoke temporary security credentials".

use std::collections::BTreeMap;

use serde::Serialize;

use crate::types::keys::UserArn;
use crate::types::time::Timestamp;

/// A policy document; fields stand in the order that people write them in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    /// Older versions take `${aws:username}` literally.
    pub version: &'static str,
    pub statement: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    pub sid: &'static str,
    pub effect: &'static str,
    pub action: Vec<&'static str>,
    pub resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// Operator, then condition key, then value.
pub type Condition = BTreeMap<&'static str, BTreeMap<&'static str, String>>;

/// Whether the rights shall hold for MFA sessions only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mfa {
    NotAsked,
    Required,
}

/// What changes or shows a user's own keys.
const ON_KEYS: [&str; 5] = [
    "iam:CreateAccessKey",
    "iam:DeleteAccessKey",
    "iam:GetAccessKeyLastUsed",
    "iam:ListAccessKeys",
    "iam:UpdateAccessKey",
];

/// Any user of any account without a path: the variable is the bare name.
pub const ANY_USER: &str = "arn:aws:iam::*:user/${aws:username}";

/// The least that self-rotation needs; `user` is an ARN with its path.
pub fn self_rotation(user: &str, mfa: Mfa) -> PolicyDocument {
    let allow = |sid, action, resource: &str| Statement {
        sid,
        effect: "Allow",
        action,
        resource: resource.to_owned(),
        condition: None,
    };
    let statement = match mfa {
        Mfa::NotAsked => {
            let mut actions = ON_KEYS.to_vec();
            actions.insert(3, "iam:GetUser");
            vec![allow("RotateOwnKeys", actions, user)]
        }
        // An explicit deny, and not a condition on the right: so no other policy gives
        // the right without MFA, and AWS's words tell rotate that it takes a code.
        Mfa::Required => vec![
            // Signed by the bare key: how it gets to an MFA session at all.
            allow("OpenMfaSession", vec!["sts:GetSessionToken"], "*"),
            allow(
                "SeeOwnUser",
                vec!["iam:GetUser", "iam:ListMFADevices"],
                user,
            ),
            allow("RotateOwnKeys", ON_KEYS.to_vec(), user),
            Statement {
                effect: "Deny",
                // A bare key's requests do not have this condition key at all.
                condition: Some(condition(
                    "BoolIfExists",
                    "aws:MultiFactorAuthPresent",
                    "false",
                )),
                ..allow("NoKeysWithoutMfa", ON_KEYS.to_vec(), user)
            },
        ],
    };
    PolicyDocument {
        version: "2012-10-17",
        statement,
    }
}

/// Denies everything to sessions issued before a time. Requests signed by a
/// long-term key have no `aws:TokenIssueTime`, so the condition leaves them alone.
pub fn end_sessions_before(issued_before: Timestamp) -> PolicyDocument {
    PolicyDocument {
        version: "2012-10-17",
        statement: vec![Statement {
            sid: "EndOlderSessions",
            effect: "Deny",
            action: vec!["*"],
            resource: "*".into(),
            condition: Some(condition(
                "DateLessThan",
                "aws:TokenIssueTime",
                &issued_before.to_string(),
            )),
        }],
    }
}

impl PolicyDocument {
    /// On one line, for a command line.
    pub fn on_a_line(&self) -> String {
        // Strings and lists of strings cannot fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether `${aws:username}` in an ARN would match this user: it leaves the path out.
pub fn matches_by_name(user: &UserArn) -> bool {
    user.path() == "/"
}

fn condition(operator: &'static str, key: &'static str, value: &str) -> Condition {
    BTreeMap::from([(operator, BTreeMap::from([(key, value.to_owned())]))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mfa_splits_what_needs_it_from_what_leads_to_it() {
        let user = "arn:aws-cn:iam::123456789012:user/a/bob";
        let plain = self_rotation(user, Mfa::NotAsked);
        assert_eq!(plain.statement.len(), 1);
        assert_eq!(plain.statement[0].resource, user);
        assert_eq!(plain.statement[0].action.len(), 6);

        let mfa = self_rotation(user, Mfa::Required);
        let denied = mfa
            .statement
            .iter()
            .find(|one| one.effect == "Deny")
            .unwrap();
        let bare = condition("BoolIfExists", "aws:MultiFactorAuthPresent", "false");
        assert_eq!(
            (&denied.action[..], &denied.condition),
            (&ON_KEYS[..], &Some(bare))
        );
        let of_bare_key: Vec<_> = mfa
            .statement
            .iter()
            .filter(|one| one.effect == "Allow")
            .flat_map(|one| &one.action)
            .filter(|action| !ON_KEYS.contains(action))
            .collect();
        assert_eq!(
            of_bare_key,
            [
                &"sts:GetSessionToken",
                &"iam:GetUser",
                &"iam:ListMFADevices"
            ]
        );
    }

    #[test]
    fn older_sessions_are_denied_by_their_issue_time() {
        assert_eq!(
            end_sessions_before(Timestamp(1_795_420_800)).on_a_line(),
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"EndOlderSessions","Effect":"Deny","Action":["*"],"Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-23T08:00:00Z"}}}]}"#
        );
    }
}
