//! The fixtures themselves: that they are what the other tests take them for, and
//! that they can fail.

use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::aws_server::{AwsServer, User};
use crate::clients::Client;
use crate::keychain::Keychain;
use crate::programs::{Ran, run, run_with_input};
use crate::sandbox::Sandbox;

fn lookup(sandbox: &Sandbox) -> Ran {
    // secret-tool has no time limit of its own.
    run(sandbox
        .command("timeout")
        .args(["2", "secret-tool", "lookup", "entry", "work"]))
}

#[test]
fn the_keychain_locks_freezes_dies_and_comes_back() {
    let mut keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    let mut store = sandbox.command("secret-tool");
    store.args(["store", "--label=awskeep", "entry", "work"]);
    run_with_input(&mut store, "a secret of sixteen").ok();
    assert_eq!(lookup(&sandbox).ok().stdout, "a secret of sixteen");

    keychain.lock();
    assert_eq!(lookup(&sandbox).stdout, "");
    keychain.unlock();
    keychain.stop();
    lookup(&sandbox).exits(124);
    keychain.cont();
    assert_eq!(lookup(&sandbox).ok().stdout, "a secret of sixteen");

    keychain.kill();
    lookup(&sandbox).exits(1);
    keychain.start_provider();
    assert_eq!(lookup(&sandbox).ok().stdout, "a secret of sixteen");
    sandbox.secret_scan(&["a secret of sixteen"]);
    keychain.kill_bus();
    lookup(&sandbox).exits(1);
}

/// A profile whose credential_process is a script that prints this key.
fn stand_in(sandbox: &Sandbox, profile: &str, json: &str) {
    let path = sandbox.write(
        &format!(".local/bin/{profile}"),
        &format!("#!/bin/sh\nprintf '%s\\n' '{json}'\n"),
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = sandbox.text(".aws/config");
    let section = format!(
        "[profile {profile}]\ncredential_process = {}\n",
        path.display()
    );
    sandbox.write(".aws/config", &(config + &section));
}

#[test]
fn each_client_asks_the_server_through_a_credential_process() {
    let server = AwsServer::start();
    let sandbox = Sandbox::new();
    for User { name, key, .. } in [&server.alice, &server.bob] {
        stand_in(&sandbox, name, &key.as_credential_process());
    }
    for client in Client::ALL {
        for User { name, arn, .. } in [&server.alice, &server.bob] {
            let who = client.caller_identity(&sandbox, &server, name);
            assert_eq!(who.as_ref(), Ok(arn), "{client:?}");
        }
    }

    server.set_status(&server.alice.key.id, "Inactive");
    for client in Client::ALL {
        let refused = client.caller_identity(&sandbox, &server, "alice");
        let said = refused.expect_err("an inactive key is refused");
        assert!(said.contains("InvalidClientTokenId"), "{client:?}: {said}");
    }
}

#[test]
fn the_server_checks_as_aws_does() {
    let server = AwsServer::start();
    let (alice, bob) = (&server.alice, &server.bob);
    let sandbox = Sandbox::new();
    let ask = |user: &User, secret: &str, arguments: &[&str]| {
        let mut aws = sandbox.command(crate::programs::in_test_env("venv/bin/aws"));
        aws.envs(server.env())
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_ACCESS_KEY_ID", &user.key.id)
            .env("AWS_SECRET_ACCESS_KEY", secret);
        let ran = run(aws.args(arguments));
        let code = ran.stderr.split(['(', ')']).nth(1).unwrap_or_default();
        (ran.code == Some(0), code.to_owned())
    };
    let as_alice = |arguments: &[&str]| ask(alice, &alice.key.secret, arguments);
    let refused = |code: &str| (false, code.to_owned());
    let done = (true, String::new());

    let identity = ["sts", "get-caller-identity"];
    assert_eq!(
        ask(alice, &bob.key.secret, &identity),
        refused("SignatureDoesNotMatch")
    );
    assert_eq!(as_alice(&["iam", "list-users"]), refused("AccessDenied"));
    let delete_bobs = ["iam", "delete-access-key", "--access-key-id", &bob.key.id];
    assert_eq!(as_alice(&delete_bobs), refused("NoSuchEntity"));

    server.lose_reply("CreateAccessKey");
    assert!(!as_alice(&["iam", "create-access-key"]).0);
    assert_eq!(server.keys(alice).len(), 2, "carried out all the same");
    assert_eq!(
        as_alice(&["iam", "create-access-key"]),
        refused("LimitExceeded")
    );

    server.lag(0.0, 3600.0);
    server.set_status(&alice.key.id, "Inactive");
    assert_eq!(as_alice(&identity), done, "a revoked key still works");
    server.delete_key(&alice.key.id);
    assert_eq!(as_alice(&identity), done, "a deleted key still works");
    server.lag(3600.0, 0.0);
    let late = User {
        key: server.create_key(alice),
        ..alice.clone()
    };
    assert_eq!(
        ask(&late, &late.key.secret, &identity),
        refused("InvalidClientTokenId")
    );
    server.set_policy(
        bob,
        &serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}],
        }),
    );
    assert_eq!(
        ask(bob, &bob.key.secret, &["iam", "list-access-keys"]),
        refused("AccessDenied")
    );
    let last = server.calls().pop().expect("there were calls");
    assert_eq!(last, ("ListAccessKeys".to_owned(), bob.key.id.clone(), 403));
}

#[test]
fn the_scan_finds_a_secret_in_each_form() {
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let hex: String = SECRET.bytes().map(|b| format!("{b:02x}")).collect();
    let mut planted = vec![
        ("as it is", format!("aws_secret_access_key = {SECRET}\n")),
        ("in hex", hex.to_uppercase()),
        ("in hex", hex),
        (
            "URL-encoded",
            SECRET.replace('/', "%2F").replace('+', "%2B"),
        ),
        ("JSON-escaped", SECRET.replace('/', "\\/")),
    ];
    for before in ["", "a", "ab", "{\"Secret\":\""] {
        let around = BASE64_STANDARD.encode(format!("{before}{SECRET}\"}}"));
        planted.push(("in base64", around));
    }
    for (form, text) in planted {
        let sandbox = Sandbox::new();
        sandbox.secret_scan(&[SECRET]);
        let path = sandbox.write(".local/state/awskeep/log/notes", &text);
        let found = sandbox.leaks(&[SECRET]);
        let expected = format!("{} holds one, {form}", path.display());
        assert!(found.contains(&expected), "{text}: {found:?}");
    }

    let sandbox = Sandbox::new();
    sandbox.note(run(sandbox.command("echo").arg(SECRET)));
    assert_eq!(sandbox.leaks(&[SECRET]).len(), 2, "as argument and output");
}

#[test]
#[should_panic(expected = "secrets leaked")]
fn a_leak_fails_the_test() {
    let sandbox = Sandbox::new();
    sandbox.write("notes", "a secret of sixteen");
    sandbox.secret_scan(&["a secret of sixteen"]);
}
