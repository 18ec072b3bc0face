//! `import --from`: a CSV file, the environment, aws-vault.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use expect_test::expect;

use crate::moving::{CONFIG, import};
use crate::sandbox::Sandbox;

#[test]
fn a_csv_file_becomes_an_entry_and_is_offered_for_removal() {
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    let text = format!(
        "Access key ID,Secret access key\r\n{},{}\r\n",
        sandbox.key_id, sandbox.secret
    );
    sandbox.write("bob_accessKeys.csv", &text);
    let url = sandbox.aws.url();
    let arguments = [
        "import",
        "--from",
        "csv",
        "bob_accessKeys.csv",
        "--endpoint-url",
        &url,
        "--helper-path",
        "bin/awskeep",
    ];
    let kept = sandbox.run(&arguments, &["y", "n"]).exits(0);
    kept.shows(expect![[r#"
        PROFILE  KEY                   ACCOUNT       WHAT HAPPENS
        bob      KEY  ACCOUNT  into entry bob
        move the keys of 1 profiles into a store, and remove them from the files? [y/N] 
        profile bob uses entry bob: KEY (arn:aws:iam::ACCOUNT:user/division/bob)
        undo: awskeep import --undo
        remove ~/bob_accessKeys.csv, which still holds the secret? [y/N] 
        ~/bob_accessKeys.csv still holds the secret: rm ~/bob_accessKeys.csv
        these keys stood in a file, so backups and other programs may have them; rotate bob now? [y/N] 
        not rotated; later: awskeep rotate bob
        exit 0
    "#]]);
    assert!(
        sandbox
            .read(CONFIG)
            .contains("[profile bob]\ncredential_process")
    );
    sandbox.run(&arguments, &["y"]).exits(0);
    assert_eq!(sandbox.files_with(&sandbox.secret), [""; 0]);
    sandbox.run(&["import", "--undo", "--yes"], &[]).exits(0);
    assert!(!sandbox.path(CONFIG).exists());
}

#[test]
fn a_csv_file_whose_key_was_not_imported_is_not_offered_for_removal() {
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    let text = "Access key ID,Secret access key\r\nAKIAZZZZZZZZZZZZZZZZ,gone\r\n";
    sandbox.write("old_accessKeys.csv", text);
    for answers in [&["y", "y"][..], &[]] {
        let flags: &[&str] = if answers.is_empty() { &["--yes"] } else { &[] };
        let url = sandbox.aws.url();
        let from = ["import", "--from", "csv", "old_accessKeys.csv"];
        let place = ["--endpoint-url", &url, "--helper-path", "bin/awskeep"];
        let ran = sandbox
            .run(&[&from[..], &place, flags].concat(), answers)
            .exits(1);
        assert!(!ran.err.contains("which still holds the secret"), "{ran:?}");
        assert_eq!(sandbox.read("old_accessKeys.csv"), text);
    }
}

#[test]
fn the_environments_key_becomes_an_entry() {
    let mut sandbox = Sandbox::new();
    sandbox.make_helper();
    sandbox
        .vars
        .push(("AWS_ACCESS_KEY_ID".into(), sandbox.key_id.clone()));
    sandbox
        .vars
        .push(("AWS_SECRET_ACCESS_KEY".into(), sandbox.secret.clone()));
    assert_eq!(import(&sandbox, &["--from", "env", "--yes"]).code, 2);
    let ran = import(&sandbox, &["--from", "env", "shell", "--yes"]).exits(0);
    ran.shows(expect![[r#"
        PROFILE  KEY                   ACCOUNT       WHAT HAPPENS
        shell    KEY  ACCOUNT  into entry shell
        warning: AWS_ACCESS_KEY_ID is set, and wins over every profile: unset it, and remove it from where it is set
        profile shell uses entry shell: KEY (arn:aws:iam::ACCOUNT:user/division/bob)
        undo: awskeep import --undo
        this key is in an environment, so rc files and other programs may have it: awskeep rotate shell
        exit 0
    "#]]);
    assert!(
        sandbox
            .read(CONFIG)
            .starts_with("[profile shell]\ncredential_process")
    );
}

#[test]
fn keys_of_aws_vault_in_pass_become_entries() {
    use base64::Engine;
    let mut sandbox = Sandbox::new();
    sandbox.make_helper();
    fs::create_dir(sandbox.path("pass")).unwrap();
    let bare = format!(
        "{{\"AccessKeyID\":\"{}\",\"SecretAccessKey\":\"{}\",\"SessionToken\":\"\"}}",
        sandbox.key_id, sandbox.secret
    );
    let data = base64::engine::general_purpose::STANDARD.encode(bare);
    // Stands for pass: the files are only encoded here, not encrypted.
    sandbox.write(
        "pass/work.gpg",
        &format!("{{\"Key\":\"work\",\"Data\":\"{data}\"}}"),
    );
    sandbox.write("pass/sts.GetSessionToken,d29yaw,,1690000000.gpg", "x");
    sandbox.write(
        "bin/pass",
        "#!/bin/sh\nexec /bin/cat \"$PASSWORD_STORE_DIR/$2.gpg\"\n",
    );
    fs::set_permissions(sandbox.path("bin/pass"), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, value) in [
        ("AWS_VAULT_BACKEND", "pass".into()),
        (
            "AWS_VAULT_PASS_CMD",
            sandbox.path("bin/pass").display().to_string(),
        ),
        (
            "PASSWORD_STORE_DIR",
            sandbox.path("pass").display().to_string(),
        ),
    ] {
        sandbox.vars.push((name.into(), value));
    }
    let ran = import(&sandbox, &["--from", "aws-vault", "--yes"]).exits(0);
    assert!(
        sandbox
            .read(CONFIG)
            .starts_with("[profile work]\ncredential_process"),
        "{ran:?}"
    );
    assert!(sandbox.path("pass/work.gpg").exists());
}
