//! Files: who else may write or read them, what a kill leaves of them, and what happens
//! where they cannot be written.
#![cfg(unix)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use expect_test::expect;

use crate::sandbox::{Ran, Sandbox};
use crate::sim::people::{Rights, Status};

fn mode(sandbox: &Sandbox, below: &str) -> u32 {
    fs::metadata(sandbox.path(below)).unwrap().mode() & 0o777
}

#[track_caller]
fn says(ran: &Ran, code: u8, err: &str) {
    assert_eq!((ran.code, ran.err.as_str()), (code, err));
}

#[test]
fn an_export_closes_a_file_that_others_can_read_and_says_so() {
    for (before, told) in [(0o644, 1), (0o600, 0)] {
        let sandbox = Sandbox::with_work();
        sandbox.keeps_plaintext(".aws");
        sandbox.write(".aws/credentials", "[other]\nregion = eu-west-1\n");
        sandbox.chmod(".aws/credentials", before);
        let ran = sandbox.run(&["export", "work", "--yes"], &[]).exits(0);
        let line = "~/.aws/credentials could be read by others, and is yours alone to read now (mode 600)\n";
        assert_eq!(ran.err.matches(line).count(), told, "{ran:?}");
        assert_eq!(mode(&sandbox, ".aws/credentials"), 0o600);
    }
}

#[test]
fn a_passphrase_file_that_others_can_read_is_refused() {
    let sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.path(".data/awskeep")).unwrap();
    sandbox.write("pass", "correct horse\n");
    let make = || {
        let arguments = ["store", "use", "file", "--passphrase-file", "pass", "--yes"];
        sandbox.run(&arguments, &[])
    };
    for open in [0o644, 0o640, 0o604] {
        sandbox.chmod("pass", open);
        says(
            &make(),
            1,
            "awskeep: the passphrase file ~/pass can be read by others\nhint: chmod 600 ~/pass\n",
        );
    }
    assert!(!sandbox.path(".data/awskeep").exists());
    sandbox.chmod("pass", 0o600);
    assert_eq!(make().code, 0);
}

#[test]
fn setup_looks_at_the_folder_of_a_hook_that_is_as_it_should_be() {
    let sandbox = Sandbox::new();
    let set_up = || sandbox.run(&["setup", "bash", "--yes"], &[]);
    assert_eq!(set_up().code, 0);
    sandbox.chmod(".data/awskeep", 0o777);
    let ran = set_up().exits(1);
    let said = "awskeep: ~/.data/awskeep/hook.bash is run by your shells, but others can write ~/.data/awskeep\n\
                hint: chmod go-w ~/.data/awskeep\n";
    assert!(ran.err.ends_with(said), "{ran:?}");
}

#[test]
fn a_profile_is_not_written_where_others_can_put_another_file() {
    let sandbox = Sandbox::new();
    sandbox.chmod(".aws", 0o777);
    let ran = sandbox.add("work", &[]).exits(1);
    let said = "awskeep: ~/.aws/config names programs that you then run, but others can write ~/.aws\n\
                hint: chmod go-w ~/.aws\n";
    assert!(ran.err.ends_with(said), "{ran:?}");
    let listed = sandbox.run(&["list", "--json"], &[]);
    assert!(!listed.out.contains("KEY"), "{listed:?}");
}

#[test]
fn what_a_killed_run_left_beside_the_aws_files_is_deleted_by_the_next() {
    let left = [
        ".aws/.awskeep-Ab12cd",
        ".aws/.credentials.awskeep-new",
        ".aws/.config.awskeep-new",
    ];
    for arguments in [&["list"][..], &["status"], &["config"], &["log"]] {
        let sandbox = Sandbox::with_work();
        for path in left {
            sandbox.write(path, &sandbox.secret);
        }
        sandbox.write(".aws/.awskeep-mine", "");
        // The helper and a dry run change nothing.
        sandbox.run(&["credential-process", "work"], &[]);
        sandbox.run(&["rename", "work", "job", "--dry-run"], &[]);
        assert!(left.iter().all(|path| sandbox.path(path).exists()));
        sandbox.run(arguments, &[]).exits(0);
        assert!(
            left.iter().all(|path| !sandbox.path(path).exists()),
            "{arguments:?}"
        );
        assert!(sandbox.path(".aws/.awskeep-mine").exists());
    }
}

/// The kernel kills the program at each effect of an export in turn.
#[cfg(target_os = "linux")]
#[test]
fn an_export_killed_anywhere_leaves_the_secret_in_its_file_or_nowhere() {
    for effect in ["fsync", "linkat", "rename,renameat,renameat2"] {
        for n in 1.. {
            assert!(n < 60, "an export ends");
            let sandbox = Sandbox::with_work();
            sandbox.keeps_plaintext(".aws");
            let injection = format!("inject={effect}:signal=KILL:when={n}");
            let trace = format!("trace={effect}");
            let quiet = ["strace", "-f", "-qq", "-o", "/dev/null"];
            let wrapper = [&quiet[..], &["-e", &trace, "-e", &injection]].concat();
            let status = sandbox
                .program(&wrapper)
                .args(["export", "work", "--yes"])
                .output()
                .unwrap_or_else(|error| panic!("{error}; tests/run installs strace"))
                .status;
            sandbox.run(&["list"], &[]).exits(0);
            let found = sandbox.files_with(&sandbox.secret);
            let in_its_file = found == [".aws/credentials"];
            assert!(in_its_file || found.is_empty(), "{effect} {n}: {found:?}");
            if status.success() {
                break;
            }
        }
    }
}

/// A folder where the receipts should be: nobody can write them, root neither.
fn without_receipts(sandbox: &Sandbox) {
    let log = sandbox.path(".state/awskeep/log");
    fs::remove_dir_all(&log).unwrap();
    fs::create_dir_all(log.join("receipts.jsonl")).unwrap();
}

#[test]
fn no_key_is_made_or_deleted_where_no_receipt_can_be_written() {
    for arguments in [
        &["rotate", "work", "--yes"][..],
        &["rotate", "work", "--delete-now", "--yes"],
        &["revoke", "work", "--yes"],
        &["remove", "work", "--delete-key", "--yes"],
        &["recover", "work", "--via", "boss", "--yes"],
    ] {
        let sandbox = Sandbox::with_work();
        sandbox.keeps_plaintext(".aws");
        let now = sandbox.aws.clock().now();
        let (id, secret) = sandbox.aws.account(|account| {
            account.add_user("/", "boss").rights = Rights::Everybody;
            if arguments[0] == "recover" {
                account.set_by_hand(&sandbox.key_id, None, now);
            }
            account.add_key("boss", now - 60)
        });
        sandbox.write(
            ".aws/credentials",
            &format!("[boss]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"),
        );
        without_receipts(&sandbox);
        let keys = || {
            sandbox.aws.account(|account| {
                let keys = account.user("bob").keys.iter();
                keys.map(|key| (key.id.clone(), key.status))
                    .collect::<Vec<_>>()
            })
        };
        let before = keys();
        let ran = sandbox.run(arguments, &[]).exits(1);
        let said = "no key is made, changed or deleted without a receipt: cannot write ~/.state/awskeep/log/receipts.jsonl";
        assert!(ran.err.contains(said), "{ran:?}");
        assert_eq!(keys(), before, "{arguments:?}");
        let status = sandbox.run(&["status", "work", "--json"], &[]);
        assert!(!status.out.contains("\"unfinished\": {"), "{status:?}");
    }
}

#[test]
fn a_replaced_key_is_deactivated_without_a_receipt_only_if_it_has_leaked() {
    for (flags, refused) in [
        (&["rotate", "work", "--retire-now", "--yes"][..], true),
        (&["rotate", "work", "--delete-now", "--yes"], true),
        (&["revoke", "work", "--key", "KEY", "--yes"], false),
    ] {
        let sandbox = Sandbox::with_work_and_one_clock();
        sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
        without_receipts(&sandbox);
        let arguments: Vec<&str> = flags
            .iter()
            .map(|word| match *word {
                "KEY" => sandbox.key_id.as_str(),
                word => word,
            })
            .collect();
        let ran = sandbox.run(&arguments, &[]);
        let (code, status, said) = match refused {
            true => (
                1,
                Status::Active,
                "no key is made, changed or deleted without a receipt: ",
            ),
            false => (
                0,
                Status::Inactive,
                "warning: no receipt is left of this: cannot write ~/.state/awskeep/log/receipts.jsonl",
            ),
        };
        assert!(ran.code == code && ran.err.contains(said), "{ran:?}");
        assert_eq!(
            sandbox.status_of(&sandbox.key_id),
            Some(status),
            "{flags:?}"
        );
    }
}

#[test]
fn an_add_that_could_not_write_the_profile_says_so_and_is_finished_by_the_next() {
    let mut sandbox = Sandbox::new();
    // No folder can be made there, by root neither.
    sandbox.vars = vec![("AWS_CONFIG_FILE".into(), "/proc/self/nothing/config".into())];
    let ran = sandbox.add("work", &[]).exits(1);
    let kept = sandbox.run(&["list", "--json"], &[]).out.contains("KEY");
    let said = "entry work keeps KEY, but profile work does not use it yet: ";
    assert_eq!(ran.err.contains(said), kept, "{ran:?}");
    sandbox.vars.clear();
    sandbox.add("work", &["--replace", "--no-profile"]).exits(0);
    sandbox.add("work", &[]).exits(0);
    assert!(
        sandbox
            .read(".aws/config")
            .contains("credential-process work")
    );
    // Another key is refused as before, and so is the same one once more.
    let again = sandbox.add("work", &[]);
    again.shows(expect![[r#"
        awskeep: entry work is there already, with KEY
        hint: put another key in its place: awskeep add work --replace
        exit 2
    "#]]);
    assert_eq!(again.code, 2);
    sandbox
        .add_pair(
            "work",
            "AKIAZZZZZZZZZZZZZZZZ",
            "other",
            &["--profile", "new"],
        )
        .exits(2);
}

#[test]
fn aws_files_are_found_by_names_that_are_not_utf_8() {
    let mut sandbox = Sandbox::new();
    let mut name = b"config-".to_vec();
    name.push(0xff);
    let path = sandbox.path("").join(OsString::from_vec(name));
    sandbox.odd_vars = vec![("AWS_CONFIG_FILE".into(), path.clone().into_os_string())];
    sandbox.add("work", &[]).exits(0);
    assert!(
        fs::read_to_string(path)
            .unwrap()
            .contains("credential-process work")
    );
    assert!(!sandbox.path(".aws/config").exists());
}
