//! What each command does, refuses, and leaves alone.

use expect_test::expect;

use crate::sandbox::Sandbox;

fn check(ran: &crate::sandbox::Ran, code: u8, err: &str) {
    assert_eq!((ran.code, ran.err.trim_end()), (code, err), "{}", ran.out);
}

#[test]
fn a_key_is_added_served_renamed_exported_and_removed() {
    let sandbox = Sandbox::new();
    sandbox.keeps_plaintext(".aws");
    sandbox.write(
        ".aws/config",
        "# mine\r\n[profile other]\r\nregion = eu-west-1\r\n",
    );
    check(
        &sandbox.add("work", &[]),
        0,
        "key.csv still holds the secret: remove it when the key is in use\n\
         entry work keeps KEY (arn:aws:iam::ACCOUNT:user/division/bob) in the encrypted file\n\
         use it: aws sts get-caller-identity --profile work",
    );
    let config = sandbox.read(".aws/config");
    let helper = sandbox.path("bin/awskeep");
    assert_eq!(
        config,
        format!(
            "# mine\r\n[profile other]\r\nregion = eu-west-1\r\n\r\n[profile work]\r\n\
             credential_process = {} credential-process work\r\n",
            helper.display()
        )
    );
    let served = sandbox.run(&["credential-process", "work"], &[]);
    check(&served, 0, "");
    let answer = served.json();
    assert_eq!(answer["SecretAccessKey"], sandbox.secret.as_str());

    check(
        &sandbox.run(&["rename", "work", "job"], &[]),
        0,
        &format!(
            "entry work is now job; it answers to work until {}",
            in_thirty_days(&sandbox)
        ),
    );
    assert!(
        sandbox
            .read(".aws/config")
            .contains("credential-process job\r\n")
    );
    assert_eq!(
        sandbox.run(&["credential-process", "work"], &[]).out,
        served.out
    );

    sandbox.run(&["export", "job"], &["n"]).exits(5);
    sandbox.run(&["export", "job"], &["yes"]).exits(0);
    assert_eq!(sandbox.files_with(&sandbox.secret), [".aws/credentials"]);
    assert_eq!(
        sandbox.read(".aws/config"),
        "# mine\r\n[profile other]\r\nregion = eu-west-1\r\n"
    );

    assert_eq!(
        sandbox
            .run(&["remove", "job", "--delete-key", "--yes"], &[])
            .code,
        0
    );
    assert_eq!(
        sandbox
            .aws
            .account(|account| account.user("bob").living_keys().count()),
        0
    );
    check(
        &sandbox.run(&["credential-process", "work"], &[]),
        3,
        "awskeep: no entry work in the encrypted file\nhint: awskeep list",
    );
}

fn in_thirty_days(sandbox: &Sandbox) -> String {
    let now = sandbox.now();
    awskeep::types::time::Timestamp(now + 30 * 86_400).day()
}

#[test]
fn an_old_name_answers_for_thirty_days() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &["--no-profile"]).exits(0);
    sandbox.run(&["rename", "work", "job"], &[]).exits(0);
    let move_to = |days: i64| {
        sandbox
            .clock
            .fetch_add(days * 86_400, std::sync::atomic::Ordering::SeqCst)
    };
    move_to(29);
    sandbox.run(&["credential-process", "work"], &[]).exits(0);
    move_to(2);
    check(
        &sandbox.run(&["credential-process", "work"], &[]),
        3,
        "awskeep: entry work was renamed to job\nhint: use job in the profile's credential_process",
    );
}

#[test]
fn add_refuses_before_anything_is_written() {
    let sandbox = Sandbox::new();
    let (id, secret) = (sandbox.key_id.as_str(), sandbox.secret.as_str());
    let root = sandbox.aws.account(|account| {
        account.add_root();
        account.add_key("root", 0)
    });
    sandbox.write(
        ".aws/config",
        "[profile role]\nrole_arn = arn:aws:iam::1:role/r\n[profile taken]\ncredential_process = /bin/other\n",
    );
    sandbox.write(
        ".aws/credentials",
        "[plain]\naws_access_key_id = AKIAZZZZZZZZZZZZZZZZ\n",
    );
    let before = sandbox.everything();
    for (name, pair, more, code, message) in [
        (
            "work",
            (id, ""),
            &[][..],
            2,
            "there is an access key id but no secret access key",
        ),
        (
            "work",
            ("", secret),
            &[],
            2,
            "there is a secret access key but no access key id",
        ),
        (
            "work",
            ("ASIAIOSFODNN7EXAMPLE", secret),
            &[],
            2,
            "ASIAIOSFODNN7EXAMPLE is a temporary key; it expires within hours",
        ),
        (
            "work",
            (id, "wrong"),
            &[],
            6,
            "STS says that the secret of KEY is wrong: ",
        ),
        (
            "work",
            ("AKIAIOSFODNN7EXAMPLE", secret),
            &[],
            6,
            "STS does not accept AKIAIOSFODNN7EXAMPLE: ",
        ),
        (
            "work",
            (&root.0, &root.1),
            &[],
            6,
            "is a root user's key (arn:aws:iam::ACCOUNT:root)",
        ),
        (
            "work",
            (id, secret),
            &["--region", "cn-north-1"],
            6,
            "KEY is of partition aws, but cn-north-1 is a region of aws-cn",
        ),
        (
            "a b",
            (id, secret),
            &[],
            2,
            "\"a b\" cannot be an entry's name",
        ),
        (
            "role",
            (id, secret),
            &[],
            1,
            "profile role has role_arn at ~/.aws/config:2",
        ),
        (
            "taken",
            (id, secret),
            &[],
            1,
            "profile taken runs another credential_process at ~/.aws/config:4",
        ),
        (
            "plain",
            (id, secret),
            &[],
            1,
            "profile plain has aws_access_key_id at ~/.aws/credentials:2",
        ),
        (
            "work",
            (id, secret),
            &["--no-endpoint", "--endpoint-url", "http://example.com"],
            2,
            "",
        ),
        ("work", (id, secret), &["--helper-path", "bin/none"], 2, ""),
    ] {
        let ran = sandbox.add_pair(name, pair.0, pair.1, more);
        assert_eq!(ran.code, code, "{name} {more:?}: {ran:?}");
        assert!(ran.err.contains(message), "{name} {more:?}: {ran:?}");
        assert!(ran.err.contains("hint: ") || code == 2, "no hint: {ran:?}");
        assert_eq!(ran.out, "");
        assert_eq!(
            sandbox.everything(),
            before,
            "{name} {more:?} changed something"
        );
    }
}

#[test]
fn an_endpoint_from_the_environment_needs_a_yes() {
    let mut sandbox = Sandbox::new();
    sandbox.keeps_plaintext("key.csv");
    sandbox
        .vars
        .push(("AWS_ENDPOINT_URL".into(), sandbox.aws.url()));
    let refused = sandbox.add("work", &["--no-endpoint"]).exits(5);
    refused.shows(expect![[r#"
        key.csv still holds the secret: remove it when the key is in use
        awskeep: would ask: URL is not AWS's own; prove the key there, and use it for this entry from now on?; --no-input was given
        hint: add --yes to answer yes, or run it at a terminal
        hint: name it if you mean it: --endpoint-url URL
        exit 5
    "#]]);
    sandbox.write(
        "key.csv",
        &format!(
            "Access key ID,Secret access key\n{},{}\n",
            sandbox.key_id, sandbox.secret
        ),
    );
    sandbox
        .run(
            &[
                "add",
                "work",
                "--csv",
                "key.csv",
                "--helper-path",
                "bin/awskeep",
            ],
            &["y"],
        )
        .exits(0);
    // Afterwards the environment has no say: another endpoint there changes nothing.
    sandbox.vars = vec![("AWS_ENDPOINT_URL".into(), "http://127.0.0.1:1".into())];
    sandbox
        .run(&["remove", "work", "--delete-key", "--yes"], &[])
        .exits(0);
}

#[test]
fn a_key_is_in_one_entry_only() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]).exits(0);
    check(
        &sandbox.add("work", &[]),
        2,
        "awskeep: entry work is there already, with KEY\n\
         hint: put another key in its place: awskeep add work --replace",
    );
    sandbox.add("second", &[]).exits(0);
    assert!(
        sandbox
            .read(".aws/config")
            .contains("[profile second]\ncredential_process = ")
    );
    let listed: serde_json::Value =
        serde_json::from_str(&sandbox.run(&["list", "--json"], &[]).out).unwrap();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1);
    assert_eq!(
        listed["entries"][0]["profiles"],
        serde_json::json!(["work", "second"])
    );
    sandbox.add("third", &["--no-profile"]).exits(2);
}

#[test]
fn replacing_keeps_the_entry_and_changes_the_key() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]).exits(0);
    let (id, secret) = sandbox.aws.account(|account| account.add_key("bob", 0));
    sandbox
        .add_pair("work", &id, &secret, &["--replace"])
        .exits(0);
    let served = sandbox.run(&["credential-process", "work"], &[]);
    assert!(served.out.contains(&id), "{served:?}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]).exits(0);
    let before = sandbox.everything();
    let calls = sandbox.aws.journal().len();
    for (arguments, says) in [
        (
            &["rename", "work", "job"][..],
            "would rename entry work to job in the encrypted file\nwould point profile work at job\n",
        ),
        (
            &["export", "work"],
            "would write KEY and its secret to ~/.aws/credentials for profile work\n",
        ),
        (
            &["remove", "work", "--delete-key"],
            "would delete KEY at AWS\nwould remove entry work from the encrypted file\n\
             would remove credential_process from profile work\n",
        ),
        (
            &["config", "set", "hold", "3d"],
            "would write ~/.config/awskeep/config: hold is now 3d for all entries\n",
        ),
    ] {
        let ran = sandbox.run(&[arguments, &["--dry-run"]].concat(), &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, says));
        assert_eq!(sandbox.everything(), before, "{arguments:?}");
    }
    assert_eq!(sandbox.aws.journal().len(), calls);
}

#[test]
fn questions_without_a_person_are_exit_5() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]).exits(0);
    let before = sandbox.everything();
    for arguments in [
        &["remove", "work"][..],
        &["export", "work"],
        &["add", "new", "--no-profile"],
    ] {
        let ran = sandbox
            .run(&[arguments, &["--no-input"]].concat(), &[])
            .exits(5);
        assert!(ran.err.contains("would ask"), "{ran:?}");
        assert_eq!(sandbox.everything(), before);
    }
}

#[test]
fn a_name_may_not_mean_two_entries() {
    let sandbox = Sandbox::new();
    let (id, secret) = sandbox.aws.account(|account| account.add_key("bob", 0));
    sandbox.add("one", &["--profile", "two"]).exits(0);
    assert_eq!(
        sandbox
            .add_pair("two", &id, &secret, &["--profile", "three"])
            .code,
        0
    );
    let ran = sandbox.run(&["export", "two", "--yes"], &[]);
    check(
        &ran,
        2,
        "awskeep: two is an entry, and a profile that uses entry one\nhint: say --entry two or --profile two",
    );
    let by_profile = sandbox.run(&["export", "--profile", "two", "--dry-run"], &[]);
    assert_eq!(
        by_profile.err,
        "would write KEY and its secret to ~/.aws/credentials for profile two\n"
    );
}

#[test]
fn settings_are_changed_line_by_line() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]).exits(0);
    sandbox.write(
        ".config/awskeep/config",
        "# keep me\n[default]\nstore = file\n",
    );
    sandbox
        .run(&["config", "set", "max_age", "30d"], &[])
        .exits(0);
    assert_eq!(
        sandbox
            .run(&["config", "set", "auto", "on", "--entry", "work"], &[])
            .code,
        0
    );
    assert_eq!(
        sandbox.read(".config/awskeep/config"),
        "# keep me\n[default]\nstore = file\nmax_age = 30d\n\n[entry work]\nauto = on\n"
    );
    assert_eq!(
        sandbox
            .run(&["config", "get", "auto", "--entry", "work"], &[])
            .out,
        "on\n"
    );
    sandbox.run(&["config", "unset", "max_age"], &[]).exits(0);
    assert_eq!(sandbox.run(&["config", "get", "max_age"], &[]).out, "90d\n");
    check(
        &sandbox.run(&["config", "set", "store", "keychain"], &[]),
        2,
        "awskeep: which store an entry is in is not changed by a setting: its key would not be found\n\
         hint: for new entries: awskeep store use keychain\n\
         hint: for those that are there: awskeep store move keychain",
    );
    sandbox.write(
        ".config/awskeep/config",
        "[default]\nstore = file\nmax_agee = 1d\n",
    );
    check(
        &sandbox.run(&["list"], &[]),
        2,
        "awskeep: ~/.config/awskeep/config: [default]: there is no setting \"max_agee\"\n\
         hint: did you mean max_age? all of them: awskeep config",
    );
    // A typo that the helper does not need stops nobody's work.
    sandbox.run(&["credential-process", "work"], &[]).exits(0);
}

#[test]
fn no_home_is_said() {
    let sandbox = Sandbox::new();
    let entry = sandbox.run(&["credential-process", "none"], &[]);
    check(
        &entry,
        3,
        "awskeep: no entry none in the encrypted file\nhint: awskeep list",
    );
}

#[test]
fn a_damaged_item_is_said_and_can_be_replaced() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &["--no-profile"]).exits(0);
    let path = sandbox.path(".data/awskeep/entries/work.age");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let damaged = sandbox.run(&["credential-process", "work"], &[]);
    assert_eq!((damaged.code, damaged.out.as_str()), (4, ""), "{damaged:?}");
    damaged.shows(expect![[r#"
        awskeep: the encrypted file, needed for entry work, holds something damaged: ~/.data/awskeep/entries/work.age is damaged
        hint: awskeep add work --replace
        exit 4
    "#]]);
    sandbox.run(&["list"], &[]).exits(4);
    sandbox.add("work", &["--no-profile", "--replace"]).exits(0);
    sandbox.run(&["credential-process", "work"], &[]).exits(0);
}

#[test]
fn an_item_of_a_newer_awskeep_is_served_and_never_harmed() {
    use awskeep::store::file::FileStore;
    use awskeep::store::{Deadline, SERVICE, Vault};
    use awskeep::types::store_kind::StoreKind;
    use keyring_core::api::CredentialStoreApi;

    let sandbox = Sandbox::new();
    sandbox.add("work", &[]).exits(0);
    let store = FileStore::new(sandbox.path(".data/awskeep"));
    let entry = store.build(SERVICE, "work", None).unwrap();
    let text = String::from_utf8(entry.get_secret().unwrap()).unwrap();
    let above = awskeep::store::item::VERSION + 1;
    let newer = text.replacen("\"v\":1", &format!("\"v\":{above},\"colour\":\"red\""), 1);
    entry.set_secret(newer.as_bytes()).unwrap();

    let served = sandbox.run(&["credential-process", "work"], &[]);
    assert!(served.out.contains(&sandbox.secret), "{served:?}");
    for arguments in [
        &["rename", "work", "job"][..],
        &["export", "work", "--yes"],
        &["store", "move", "file"],
    ] {
        sandbox.run(arguments, &[]);
        let deadline = Deadline::PerCall(std::time::Duration::from_secs(5));
        let vault = Vault::new(
            StoreKind::File,
            std::sync::Arc::new(store.clone()),
            deadline,
        );
        let kept = vault.bytes(&"work".parse().unwrap()).unwrap();
        assert_eq!(String::from_utf8_lossy(&kept), newer, "{arguments:?}");
    }
    let replaced = sandbox.add("work", &["--replace"]);
    check(
        &replaced,
        4,
        "key.csv still holds the secret: remove it when the key is in use\n\
         awskeep: entry work was written by a newer awskeep\nhint: update awskeep on this machine",
    );
}

#[test]
fn an_entry_that_is_in_the_store_already_is_said_to_be_there() {
    let sandbox = Sandbox::with_work();
    let said = "entry work is in the encrypted file already\n";
    for (flags, err) in [
        (&["--dry-run"][..], said.to_owned()),
        (&[], format!("{said}nothing was moved\n")),
    ] {
        let arguments = [&["store", "move", "file", "work"][..], flags].concat();
        let ran = sandbox.run(&arguments, &[]).exits(0);
        assert_eq!(ran.err, err);
    }
    let json = sandbox.run(&["store", "move", "file", "work", "--json"], &[]);
    assert_eq!(json.json()["moved"], serde_json::json!([]));
}
