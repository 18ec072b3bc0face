//! Rotation against a strict IAM and STS, with the real keychain and real clients.

use crate::aws_server::{AwsServer, Key, REGION, User};
use crate::clients::Client;
use crate::keychain::Keychain;
use crate::programs::Ran;
use crate::sandbox::Sandbox;

/// A home with this user's key as the entry `work`, and profile `work`.
fn home(server: &AwsServer, keychain: &Keychain, user: &User) -> Sandbox {
    // moto knows a new key at once, so there is nothing to settle.
    let sandbox = Sandbox::new().on(keychain).with("AWSKEEP_SETTLE", "0s");
    let helper = sandbox.binary().display().to_string();
    let arguments = [
        "add",
        "work",
        "--stdin",
        "--endpoint-url",
        &server.endpoint,
        "--region",
        REGION,
        "--helper-path",
    ];
    let key = user.key.as_cli_prints_it();
    sandbox
        .awskeep_with_input(&[&arguments[..], &[&helper]].concat(), &key)
        .ok();
    sandbox
}

fn rotate(sandbox: &Sandbox, more: &[&str]) -> Ran {
    sandbox.awskeep(&[&["rotate", "work", "--yes"], more].concat())
}

/// The served key: its id and its secret.
fn served(sandbox: &Sandbox) -> (String, String) {
    let answer = sandbox
        .awskeep_printing(&["credential-process", "work"])
        .ok()
        .json();
    let field = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    (field("AccessKeyId"), field("SecretAccessKey"))
}

fn is_user(sandbox: &Sandbox, server: &AwsServer, user: &User) {
    for client in [Client::AwsCli, Client::Boto3] {
        let who = client.caller_identity(sandbox, server, "work");
        assert_eq!(who.as_ref(), Ok(&user.arn), "{client:?}");
    }
}

#[test]
fn a_key_is_replaced_undone_and_deleted_and_clients_go_on() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    // A user with a path: what names users by their path alone fails here.
    for user in [&server.alice, &server.bob] {
        let sandbox = home(&server, &keychain, user);
        rotate(&sandbox, &[]).ok();
        let (new, secret) = served(&sandbox);
        assert_ne!(new, user.key.id);
        is_user(&sandbox, &server, user);

        rotate(&sandbox, &["--undo"]).ok();
        assert_eq!(served(&sandbox).0, user.key.id);
        is_user(&sandbox, &server, user);

        rotate(&sandbox, &["--delete-now"]).ok();
        assert_eq!(server.keys(user).len(), 1, "{:?}", server.keys(user));
        is_user(&sandbox, &server, user);
        sandbox.secret_scan(&[&user.key.secret, &secret]);
        sandbox.awskeep(&["remove", "work", "--yes"]).ok();
    }
}

#[test]
fn a_second_key_is_never_touched_unasked() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let alice = &server.alice;
    let sandbox = home(&server, &keychain, alice);
    let other: Key = server.create_key(alice);
    let before = server.keys(alice);
    let refused = rotate(&sandbox, &[]).exits(5);
    assert!(refused.stderr.contains(&other.id), "{refused:?}");
    assert_eq!(server.keys(alice), before);
    // A person names it: then there is room.
    rotate(&sandbox, &["--discard", &other.id]).ok();
    assert!(
        server
            .keys(alice)
            .iter()
            .all(|key| !format!("{key:?}").contains(&other.id))
    );
    is_user(&sandbox, &server, alice);
}

#[test]
fn a_lost_reply_ends_with_one_word_of_a_person() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let alice = &server.alice;
    let sandbox = home(&server, &keychain, alice);
    server.lose_reply("CreateAccessKey");
    let lost = rotate(&sandbox, &[]);
    assert!(matches!(lost.code, Some(5 | 7)), "{lost:?}");
    assert_eq!(served(&sandbox).0, alice.key.id);
    is_user(&sandbox, &server, alice);

    let asked = rotate(&sandbox, &[]).exits(5);
    let id = asked
        .stderr
        .split("--discard ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let id = id
        .unwrap_or_else(|| panic!("no key is named: {asked:?}"))
        .to_owned();
    assert_ne!(id, alice.key.id);
    rotate(&sandbox, &["--discard", &id]).ok();
    assert_ne!(served(&sandbox).0, alice.key.id);
    is_user(&sandbox, &server, alice);
}

#[test]
fn a_locked_keychain_costs_no_key() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let alice = &server.alice;
    let sandbox = home(&server, &keychain, alice);
    keychain.lock();
    rotate(&sandbox, &[]).exits(4);
    assert_eq!(
        server.keys(alice).len(),
        1,
        "a key was made that could not be kept"
    );
}

#[test]
fn the_printed_policy_is_enough_and_less_is_not() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let bob = &server.bob;
    let sandbox = home(&server, &keychain, bob);
    let printed = sandbox.awskeep(&["policy", "work"]).ok();
    let mut policy = printed.json();
    let resource = &mut policy["Statement"][0]["Resource"];
    assert_eq!(*resource, bob.arn.as_str());
    // moto asks policies about the resource `*`, whatever the call is about.
    *resource = "*".into();
    server.set_policy(bob, &policy);
    rotate(&sandbox, &[]).ok();
    let (new, _) = served(&sandbox);
    assert_ne!(new, bob.key.id);
    rotate(&sandbox, &["--delete-now"]).ok();
    assert_eq!(server.keys(bob).len(), 1);

    // Each action is needed: without it AWS denies, which is said, and nothing is lost.
    let actions = policy["Statement"][0]["Action"].as_array().cloned();
    let actions = actions.expect("a list of actions");
    let rest = |without: &str| {
        let rest = actions.iter().filter(|action| *action != without);
        rest.cloned().collect::<Vec<_>>()
    };
    for denied in ["iam:CreateAccessKey", "iam:ListAccessKeys"] {
        policy["Statement"][0]["Action"] = rest(denied).into();
        server.set_policy(bob, &policy);
        let refused = rotate(&sandbox, &[]).exits(6);
        let action = denied.trim_start_matches("iam:");
        assert!(
            refused.stderr.contains(&format!("AWS denies {action}")),
            "{refused}"
        );
        assert_eq!(
            (served(&sandbox).0, server.keys(bob).len()),
            (new.clone(), 1)
        );
    }
    is_user(&sandbox, &server, bob);
}
