//! What people type on a bad day: line breaks in values, the same command twice, a
//! secret in the id's place, bytes that are no text.

use std::ffi::OsStr;
use std::process::Command;

use crate::sandbox::Sandbox;

#[test]
fn a_setting_is_one_line() {
    let sandbox = Sandbox::new();
    let before = sandbox.read(".config/awskeep/config");
    for (key, value) in [
        ("mfa_process", "a\nb"),
        ("mfa_process", "true\n[entry work]\nauto = on"),
        ("mfa_serial", "x\rauto = on"),
    ] {
        let ran = sandbox.run(&["config", "set", key, value], &[]).exits(2);
        let hint = format!("hint: {key} takes one line without control characters\n");
        assert!(ran.err.ends_with(&hint), "{ran:?}");
        assert_eq!(ran.err.lines().count(), 2, "{ran:?}");
    }
    assert_eq!(sandbox.read(".config/awskeep/config"), before);
}

#[test]
fn a_store_can_be_chosen_twice_and_an_open_file_is_not_said_to_be_locked() {
    let sandbox = Sandbox::new();
    let again = ["store", "use", "file", "--without-passphrase", "--yes"];
    let ran = sandbox.run(&again, &[]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "new entries are kept in the encrypted file\n")
    );
    sandbox.run(&["store", "lock"], &[]).exits(2);
}

#[test]
fn a_secret_in_the_place_of_an_id_is_refused_before_the_next_question() {
    let sandbox = Sandbox::new();
    let secret = "abcdefghijklmnopqrstuvwxyz0123456789ABCD";
    let ran = sandbox
        .run(&["add", "work", "--no-profile"], &[secret, "second"])
        .exits(2);
    assert!(
        !ran.err.contains(secret) && !ran.err.contains("not shown"),
        "{ran:?}"
    );
}

#[test]
fn exec_and_env_take_the_profile_as_everywhere() {
    let mut sandbox = Sandbox::new();
    sandbox.add("work", &[]).exits(0);
    for arguments in [
        &["exec", "-p", "work", "--dry-run", "--", "true"][..],
        &["exec", "work", "--dry-run", "--", "true"],
    ] {
        let ran = sandbox.run(arguments, &[]);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (0, "would run true with AWS_PROFILE = work\n")
        );
    }
    let unnamed = ["exec", "--dry-run", "--", "true"];
    sandbox.run(&unnamed, &[]).exits(2);
    sandbox.vars.push(("AWS_PROFILE".into(), "work".into()));
    sandbox.run(&unnamed, &[]).exits(0);
    let code = sandbox.run(&["env", "--shell", "bash"], &[]).out;
    assert!(code.contains("export AWS_ACCESS_KEY_ID='KEY'"), "{code}");
    assert!(
        !code.contains("AWSKEEP_"),
        "the shell is the user's own: {code}"
    );
}

#[cfg(unix)]
#[test]
fn a_program_gets_its_arguments_as_they_are() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    sandbox.add("work", &[]).exits(0);
    let output = Command::new(sandbox.path("bin/awskeep"))
        .args(["exec", "work", "--", "printf", "%s"])
        .arg(OsStr::from_bytes(b"a\xffb"))
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"a\xffb", "{output:?}");
}
