//! The encrypted file's passphrase: who is asked for it, where else it comes from, and
//! changing it. Needs the kernel's keyring.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

use crate::sandbox::{Ran, Sandbox};

const WORDS: &str = "open sesame";
const LOCKED: &str = "awskeep: the encrypted file, needed for entry work, is locked: it is closed\nhint: awskeep store unlock\n";

fn write_private(sandbox: &Sandbox, file: &str, text: &str) {
    sandbox.write(file, text);
    let path = sandbox.path(file);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Entry `work` in a file with a passphrase, which is locked.
fn locked() -> Sandbox {
    let mut sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.path(".data/awskeep")).unwrap();
    write_private(&sandbox, "words", &format!("{WORDS}\n"));
    sandbox
        .vars
        .push(("AWSKEEP_PASSPHRASE_FILE".into(), "words".into()));
    sandbox
        .run(&["store", "use", "file", "--yes"], &[])
        .exits(0);
    sandbox.add("work", &[]).exits(0);
    lock(&sandbox);
    sandbox
}

fn lock(sandbox: &Sandbox) {
    sandbox.run(&["store", "lock"], &[]).exits(0);
}

const COMMANDS: &[&[&str]] = &[
    &["list"],
    &["status"],
    &["policy", "work"],
    &["rotate", "work", "--explain"],
    &["env", "work", "--shell", "bash"],
    &["rotate", "work", "--yes"],
    &["rename", "work", "work2"],
    &["remove", "work2", "--yes"],
];

#[test]
fn the_variable_opens_a_locked_file_for_every_command_but_the_helper() {
    let sandbox = locked();
    for command in &COMMANDS[..7] {
        let helper = sandbox.run(&["credential-process", "work"], &[]);
        assert_eq!((helper.code, helper.err.as_str()), (4, LOCKED));
        let ran = sandbox.run(command, &[]);
        assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
        assert!(!ran.err.contains("passphrase"), "{command:?}: {ran:?}");
        lock(&sandbox);
    }
}

#[test]
fn a_person_is_asked_for_the_passphrase_of_a_locked_file_once() {
    let mut sandbox = locked();
    sandbox.vars.pop();
    for command in &COMMANDS[..7] {
        let ran = sandbox.run(command, &[WORDS]);
        assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
        let asked = ran
            .err
            .matches("passphrase of the encrypted file: ")
            .count();
        assert_eq!(asked, 1, "{command:?}: {ran:?}");
        lock(&sandbox);
    }
    let wrong = sandbox.run(&["status"], &["open"]);
    assert!(
        wrong.code == 4 && wrong.err.contains("the passphrase is wrong"),
        "{wrong:?}"
    );
    for not_asked in [
        &["store", "list"][..],
        &["store", "lock"],
        &["status", "--prompt"],
    ] {
        let ran = sandbox.run(not_asked, &[]);
        assert!(
            ran.code == 0 && !ran.err.contains("passphrase of"),
            "{ran:?}"
        );
    }
    let nobody = sandbox.run(&["rotate", "work", "--finish", "--no-input"], &[]);
    assert_eq!((nobody.code, nobody.err.as_str()), (4, LOCKED));
}

#[test]
fn the_passphrase_is_changed_and_entries_stay() {
    let sandbox = locked();
    let change = |answers: &[&str]| -> Ran { sandbox.run(&["store", "passphrase"], answers) };
    assert_eq!(change(&["one", "two"]).code, 5);
    let changed = change(&["new words", "new words"]);
    assert_eq!(
        (changed.code, changed.err.lines().last().unwrap()),
        (
            0,
            "the encrypted file has a new passphrase; copies of it (backups) open with the old one"
        )
    );
    let old = sandbox.run(&["store", "unlock"], &[]);
    assert!(
        old.code == 4 && old.err.contains("the passphrase is wrong"),
        "{old:?}"
    );
    write_private(&sandbox, "words", "new words");
    write_private(&sandbox, "newer", "newer words");
    sandbox
        .run(
            &[
                "store",
                "passphrase",
                "--new-passphrase-file",
                "newer",
                "--dry-run",
            ],
            &[],
        )
        .exits(0);
    let by_file = ["store", "passphrase", "--new-passphrase-file", "newer"];
    sandbox.run(&by_file, &[]).exits(0);
    fs::rename(sandbox.path("newer"), sandbox.path("words")).unwrap();
    sandbox.run(&["store", "unlock"], &[]).exits(0);
    sandbox.run(&["credential-process", "work"], &[]).exits(0);
    Sandbox::new()
        .run(&["store", "passphrase"], &["a", "b", "b"])
        .exits(2);
}

#[test]
fn how_long_the_file_is_open_is_told_by_the_machines_clock() {
    let sandbox = locked();
    sandbox.clock.store(1_900_000_000, Ordering::SeqCst);
    let opened = sandbox.run(&["store", "unlock", "--for", "1h"], &[]);
    assert_eq!(
        opened.err,
        "the encrypted file is open until 2030-03-17T18:46:40Z; close it: awskeep store lock\n"
    );
}
