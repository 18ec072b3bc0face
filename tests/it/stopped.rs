//! The real program, asked to stop in the middle of a rotation (SIGINT, SIGTERM,
//! SIGHUP): it finishes the save of a key that it has just received, says how to go
//! on, and the next run goes on with that very key.
#![cfg(unix)]

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Ran, Sandbox};
use crate::sim::faults::{Fault, Script, When};
use crate::sim::people::Rights;

const SIGNALS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

/// Runs the real program, which gets `signal` at the first request of `action`.
fn signalled(sandbox: &Sandbox, action: &str, when: When, signal: Signal) -> Ran {
    let arguments = ["rotate", "work", "--yes"];
    signalled_at(sandbox, &arguments, (action, 1), when, signal)
}

fn signalled_at(
    sandbox: &Sandbox,
    arguments: &[&str],
    (action, nth): (&str, u32),
    when: When,
    signal: Signal,
) -> Ran {
    let victim = Arc::new(AtomicI32::new(0));
    let at = Arc::clone(&victim);
    let strike = Fault::halt(when, move || {
        let end = Instant::now() + Duration::from_secs(20);
        while at.load(Ordering::SeqCst) == 0 && Instant::now() < end {
            std::thread::yield_now();
        }
        let pid = Pid::from_raw(at.load(Ordering::SeqCst)).expect("it runs");
        kill_process(pid, signal).expect("it is there");
    });
    sandbox
        .aws
        .set_script(Script::default().on(action, nth, strike));
    let child = sandbox
        .program(&[])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    victim.store(i32::try_from(child.id()).unwrap(), Ordering::SeqCst);
    let output = child.wait_with_output().unwrap();
    sandbox.aws.set_script(Script::default());
    output.into()
}

#[track_caller]
fn stopped_as_asked(ran: &Ran, hint: &str) {
    assert_eq!((ran.code, ran.out.as_str()), (7, ""), "{ran:?}");
    let said = "awskeep: entry work: stopped as asked; nothing is lost\nhint: awskeep rotate work";
    assert!(ran.err.ends_with(&format!("{said}{hint}\n")), "{ran:?}");
}

#[test]
fn a_key_just_received_is_saved_first() {
    for signal in SIGNALS {
        let sandbox = Sandbox::with_work();
        let ran = signalled(&sandbox, "CreateAccessKey", When::After, signal);
        stopped_as_asked(&ran, " --finish");
        assert_eq!(sandbox.served("work"), sandbox.key_id);
        let made = sandbox.living();
        assert_eq!(made.len(), 2);
        // It is kept: the next run makes no other one.
        sandbox.run(&["rotate", "work"], &[]).exits(0);
        assert_eq!(sandbox.living(), made);
        assert!(made.contains(&sandbox.served("work")));
        assert_ne!(sandbox.served("work"), sandbox.key_id);
    }
}

#[test]
fn stopped_before_a_key_is_made_none_is() {
    for signal in SIGNALS {
        let sandbox = Sandbox::with_work();
        let ran = signalled(&sandbox, "ListAccessKeys", When::Before, signal);
        stopped_as_asked(&ran, "");
        assert_eq!(sandbox.living(), [sandbox.key_id.as_str()]);
        sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
        assert_ne!(sandbox.served("work"), sandbox.key_id);
    }
}

#[test]
fn stopped_while_the_new_key_spreads_it_stays_pending() {
    for signal in SIGNALS {
        let sandbox = Sandbox::with_work();
        let ran = signalled(&sandbox, "GetUser", When::Before, signal);
        stopped_as_asked(&ran, " --finish");
        assert_eq!(sandbox.served("work"), sandbox.key_id);
        let made = sandbox.living();
        sandbox.run(&["rotate", "work"], &[]).exits(0);
        assert_eq!(sandbox.living(), made);
        assert_ne!(sandbox.served("work"), sandbox.key_id);
    }
}

#[test]
fn recover_stopped_before_a_key_is_made_makes_none() {
    for signal in SIGNALS {
        let sandbox = Sandbox::with_work();
        sandbox.keeps_plaintext(".aws");
        let at = sandbox.now();
        let (id, secret) = sandbox.aws.account(|account| {
            account.set_by_hand(&sandbox.key_id, None, at);
            account.add_user("/", "boss").rights = Rights::Everybody;
            account.add_key("boss", at - 60)
        });
        let keys = format!("[boss]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        sandbox.write(".aws/credentials", &keys);
        let arguments = ["recover", "work", "--via", "boss", "--yes"];
        // The last look before CreateAccessKey, with the intent written.
        let look = ("ListAccessKeys", 5);
        let ran = signalled_at(&sandbox, &arguments, look, When::After, signal);
        assert_eq!(ran.code, 7, "{ran:?}");
        let said = "awskeep: entry work: stopped as asked; nothing is lost\n\
                    hint: awskeep recover work --via boss\n";
        assert!(ran.err.ends_with(said), "{ran:?}");
        assert_eq!(sandbox.living(), [] as [String; 0]);
        sandbox.run(&arguments, &[]).exits(0);
        assert_eq!(sandbox.living(), [sandbox.served("work")]);
    }
}

#[test]
fn remove_killed_after_the_delete_can_be_run_again() {
    let sandbox = Sandbox::with_work();
    let arguments = ["remove", "work", "--delete-key", "--yes"];
    let delete = ("DeleteAccessKey", 1);
    signalled_at(&sandbox, &arguments, delete, When::After, Signal::KILL).exits(Ran::KILLED);
    assert_eq!(sandbox.living(), [] as [String; 0]);
    let again = sandbox.run(&arguments, &[]);
    assert_eq!(
        (again.code, again.err.as_str()),
        (
            0,
            "entry work is removed; key KEY is forgotten here and deleted at AWS\n"
        )
    );
    sandbox.run(&["status", "work"], &[]).exits(3);
}

#[test]
fn a_wait_can_be_cut_short() {
    for signal in SIGNALS {
        let sandbox = Sandbox::with_work();
        let arguments = ["rotate", "work", "--yes", "--wait"];
        // The look after the promote is the last one before the wait.
        let last_look = ("ListAccessKeys", 5);
        let ran = signalled_at(&sandbox, &arguments, last_look, When::After, signal).exits(7);
        let end = "entry work: stopped waiting as asked; the new key is in service, the old one is not \
                   retired yet\nhint: awskeep rotate work --finish\n";
        assert!(ran.err.ends_with(end), "{ran:?}");
        assert_ne!(sandbox.served("work"), sandbox.key_id);
        assert_eq!(sandbox.living().len(), 2);
        // Nothing failed.
        let check = sandbox.run(&["status", "--check"], &[]);
        assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
        let log = sandbox.run(&["log", "work"], &[]);
        assert!(!log.out.contains("failed"), "{log:?}");
    }
}
