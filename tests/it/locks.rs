//! Locks where somebody else stands in the way of them: a file at `/tmp/awskeep-UID`, no
//! home, no place at all.

use std::fs;
use std::sync::atomic::Ordering;

use crate::sandbox::Sandbox;
use crate::sim::faults::{Fault, Script};

/// What stands for the home of the password database and for `/tmp` is gone.
fn without_places(sandbox: &Sandbox) {
    fs::remove_dir_all(sandbox.lock_folder()).unwrap();
}

#[cfg(unix)]
#[test]
fn what_another_user_puts_in_tmp_first_stops_no_rotation() {
    let sandbox = Sandbox::with_work();
    let uid = rustix::process::geteuid().as_raw();
    let in_the_way = sandbox.lock_folder().join(format!("awskeep-{uid}"));
    fs::remove_dir_all(&in_the_way).unwrap();
    fs::write(&in_the_way, "").unwrap();
    for command in ["rotate", "revoke"] {
        let ran = sandbox.run(&[command, "work", "--yes"], &[]);
        assert_eq!(
            (ran.code, ran.err.contains("lock")),
            (0, false),
            "{command}: {ran:?}"
        );
    }
}

#[test]
fn without_any_place_for_a_lock_only_revoke_goes_on() {
    let sandbox = Sandbox::with_work();
    without_places(&sandbox);
    let ran = sandbox.run(&["rotate", "work", "--yes"], &[]).exits(7);
    assert!(
        ran.err.starts_with("awskeep: there is no place for a lock"),
        "{ran:?}"
    );
    let ran = sandbox.run(&["revoke", "work", "--yes"], &[]).exits(0);
    let warning = "warning: work is not locked, since there is no place for a lock";
    assert!(ran.err.starts_with(warning), "{ran:?}");
}

#[test]
fn without_a_lock_revoke_leaves_what_was_begun_lately_alone() {
    let sandbox = Sandbox::with_work();
    let never = Script::default().every("CreateAccessKey", Fault::Bare(503));
    sandbox.aws.set_script(never);
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(7);
    sandbox.aws.set_script(Script::default());
    without_places(&sandbox);
    let ran = sandbox.run(&["revoke", "work", "--yes"], &[]).exits(7);
    assert!(ran.err.contains("another awskeep rotates it"), "{ran:?}");
    sandbox.clock.fetch_add(11 * 60, Ordering::SeqCst);
    sandbox.aws.clock().advance(11 * 60);
    sandbox.run(&["revoke", "work", "--yes"], &[]).exits(0);
}

#[test]
fn with_the_lock_a_crashed_rotation_of_ours_is_gone_on_with_at_once() {
    let sandbox = Sandbox::with_work();
    let never = Script::default().every("CreateAccessKey", Fault::Bare(503));
    sandbox.aws.set_script(never);
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(7);
    sandbox.aws.set_script(Script::default());
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
}
