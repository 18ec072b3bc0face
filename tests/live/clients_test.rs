//! From a key as AWS hands it out to real clients that work with it, and no secret on the way.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::aws_server::{AwsServer, REGION, User};
use crate::clients::Client;
use crate::keychain::Keychain;
use crate::programs::Ran;
use crate::sandbox::Sandbox;

const PASSPHRASE: &str = "a passphrase of the test's own";

#[track_caller]
fn add(sandbox: &Sandbox, server: &AwsServer, entry: &str, json: &str, more: &[&str]) -> Ran {
    let helper = sandbox.binary().display().to_string();
    let mut arguments = vec!["add", entry, "--stdin", "--yes"];
    arguments.extend(["--endpoint-url", &server.endpoint, "--region", REGION]);
    arguments.extend(["--helper-path", &helper]);
    arguments.extend(more);
    sandbox.awskeep_with_input(&arguments, json).ok()
}

#[track_caller]
fn each_client_is(sandbox: &Sandbox, server: &AwsServer, profile: &str, user: &User) {
    for client in Client::ALL {
        let who = client.caller_identity(sandbox, server, profile);
        assert_eq!(who.as_ref(), Ok(&user.arn), "{client:?} as {profile}");
    }
}

#[test]
fn clients_get_their_keys_from_the_keychain() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    let (alice, bob) = (&server.alice, &server.bob);
    add(
        &sandbox,
        &server,
        "work",
        &alice.key.as_cli_prints_it(),
        &[],
    );
    let as_profile = ["--profile", "division/bob"];
    add(
        &sandbox,
        &server,
        "bob",
        &bob.key.as_credential_process(),
        &as_profile,
    );

    each_client_is(&sandbox, &server, "work", alice);
    each_client_is(&sandbox, &server, "division/bob", bob);
    let listed = sandbox.awskeep(&["list", "--json"]).ok().stdout;
    for shown in [
        &alice.key.id,
        &bob.key.id,
        "work",
        "division/bob",
        "keychain",
    ] {
        assert!(listed.contains(shown), "{shown}: {listed}");
    }
    // AWS knows the account now, so SDKs are told.
    let answer = sandbox
        .awskeep_printing(&["credential-process", "work"])
        .ok();
    let account = alice.arn.split(':').nth(4).expect("an ARN has an account");
    assert_eq!(answer.json()["AccountId"], account);
    sandbox.secret_scan(&[&alice.key.secret, &bob.key.secret]);
}

#[test]
fn clients_get_their_keys_from_the_encrypted_file_without_a_bus() {
    let server = AwsServer::start();
    let alice = &server.alice;
    let folder = tempfile::tempdir().unwrap();
    let passphrase = folder.path().join("passphrase");
    fs::write(&passphrase, format!("{PASSPHRASE}\n")).unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let shown = passphrase.display().to_string();
    let sandbox = Sandbox::new().with("AWSKEEP_PASSPHRASE_FILE", &shown);

    sandbox.awskeep(&["store", "use", "file"]).ok();
    sandbox.awskeep(&["store", "unlock", "--for", "10m"]).ok();
    let json = alice.key.as_cli_prints_it();
    add(&sandbox, &server, "work", &json, &["--store", "file"]);
    each_client_is(&sandbox, &server, "work", alice);

    sandbox.awskeep(&["store", "lock"]).ok();
    let locked = sandbox.awskeep(&["credential-process", "work"]).exits(4);
    assert_eq!(locked.stdout, "", "{locked}");
    for client in Client::ALL {
        let refused = client.caller_identity(&sandbox, &server, "work");
        assert!(refused.is_err(), "{client:?}: {refused:?}");
    }
    sandbox.secret_scan(&[&alice.key.secret, PASSPHRASE]);
}

#[test]
fn a_key_that_aws_refuses_is_not_stored() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    let alice = &server.alice;
    server.set_status(&alice.key.id, "Inactive");
    let helper = sandbox.binary().display().to_string();
    let arguments = ["add", "work", "--stdin", "--yes", "--region", REGION];
    let place = ["--endpoint-url", &server.endpoint, "--helper-path", &helper];
    let arguments = [&arguments[..], &place].concat();
    let refused = sandbox.awskeep_with_input(&arguments, &alice.key.as_cli_prints_it());
    refused.exits(6);
    sandbox.awskeep(&["credential-process", "work"]).exits(3);
    assert_eq!(sandbox.text(".aws/config"), "");
    sandbox.secret_scan(&[&alice.key.secret]);
}

#[test]
fn an_entry_is_renamed_exported_and_removed() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    let alice = &server.alice;
    add(
        &sandbox,
        &server,
        "work",
        &alice.key.as_cli_prints_it(),
        &[],
    );

    sandbox.awskeep(&["rename", "work", "job"]).ok();
    for name in ["job", "work"] {
        let answer = sandbox.awskeep_printing(&["credential-process", name]).ok();
        assert_eq!(answer.json()["AccessKeyId"], alice.key.id, "{name}");
    }
    let profile_of = |client: Client| client.caller_identity(&sandbox, &server, "work");
    assert_eq!(profile_of(Client::Boto3), Ok(alice.arn.clone()));
    sandbox.secret_scan(&[&alice.key.secret]);

    sandbox.awskeep(&["export", "job", "--yes"]).ok();
    assert!(sandbox.text(".aws/credentials").contains(&alice.key.secret));
    assert_eq!(profile_of(Client::AwsCli), Ok(alice.arn.clone()));
    sandbox.awskeep(&["remove", "job", "--yes"]).ok();
    sandbox.awskeep(&["credential-process", "job"]).exits(3);
}
