//! What AWS refuses, and where it is another AWS: partitions, quarantines, roots.

use awskeep::sessions::denial::Expected;
use awskeep::sessions::denial::{Denial, wants_mfa};

use expect_test::expect;

use crate::sandbox::Sandbox;
use crate::sim::people::Status;

#[test]
fn a_key_of_any_partition_is_rotated_in_its_own() {
    for (partition, region) in [
        ("aws", "eu-central-1"),
        ("aws-cn", "cn-northwest-1"),
        ("aws-us-gov", "us-gov-west-1"),
        ("aws-iso", "us-iso-east-1"),
        ("aws-iso-b", "us-isob-east-1"),
        ("aws-iso-e", "eu-isoe-west-1"),
        ("aws-iso-f", "us-isof-south-1"),
        ("aws-eusc", "eusc-de-east-1"),
    ] {
        let sandbox = Sandbox::new();
        let at = sandbox.now() - 60;
        let (id, secret) = sandbox.aws.account(|account| {
            account.partition = partition.into();
            account.add_user("/team/", "carol");
            account.add_key("carol", at)
        });
        let added = sandbox.add_pair("work", &id, &secret, &["--region", region]);
        assert_eq!(added.code, 0, "{partition}: {added:?}");
        // Another partition's region is somebody else's AWS.
        let elsewhere = if partition == "aws" {
            "cn-north-1"
        } else {
            "us-east-1"
        };
        let wrong = ["--region", elsewhere, "--replace"];
        let refused = sandbox.add_pair("work", &id, &secret, &wrong);
        assert!(
            refused.code != 0 && refused.err.contains("is a region of"),
            "{refused:?}"
        );

        let rotated = sandbox.run(&["rotate", "work", "--yes", "--json"], &[]);
        assert_eq!(rotated.code, 0, "{partition}: {rotated:?}");
        let state = rotated.json();
        assert_eq!(state["previous"]["key_id"], id.as_str(), "{partition}");
        let policy = sandbox.run(&["policy", "work"], &[]).out;
        let resource = format!("\"arn:{partition}:iam::ACCOUNT:user/team/carol\"");
        assert!(policy.contains(&resource), "{policy}");
        let status = sandbox
            .aws
            .account(|account| account.key(&id).unwrap().status);
        assert_eq!(status, Some(Status::Active));
    }
}

#[test]
fn quarantine_policies_are_known_by_their_prefix() {
    let denied = |policy: &str| {
        format!(
            "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: \
             iam:CreateAccessKey on resource: user bob with an explicit deny in an \
             identity-based policy: arn:aws:iam::aws:policy/{policy}"
        )
    };
    for version in ["", "V2", "V3", "V4", "V9"] {
        let message = denied(&format!("AWSCompromisedKeyQuarantine{version}"));
        assert_eq!(Denial::of(&message), Denial::Quarantine);
        // No session would help: no code is asked for.
        for expected in [Expected::Yes, Expected::NotSaid] {
            assert!(!wants_mfa(&message, expected), "{version}");
        }
    }
    let other = Denial::of(&denied("NoKeysForBob"));
    assert_eq!(other, Denial::ExplicitDeny);
}

#[test]
fn a_users_key_that_turns_out_to_be_roots_is_never_promoted() {
    // Unchecked, and so not refused when it was added.
    let sandbox = Sandbox::new();
    let (id, secret) = sandbox.aws.account(|account| {
        account.add_root();
        account.add_key("root", 0)
    });
    sandbox
        .add_pair("all", &id, &secret, &["--no-verify"])
        .exits(0);
    let ran = sandbox.run(&["rotate", "all", "--yes"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (6, ""), "{ran:?}");
    ran.shows(expect![[r#"
        awskeep: AKIA…AAAC is a root user's key (arn:aws:iam::ACCOUNT:root)
        hint: make an access key for an IAM user with fewer rights, and delete the root key
        exit 6
    "#]]);
    let keys = sandbox
        .aws
        .account(|account| account.user("root").living_keys().count());
    assert_eq!(keys, 1);
}
