//! `rotate --wait`, `--all`, and what is said when a wait is cut short: the whole
//! program, with AWS's clock and this machine's kept in step.

use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::sandbox::{Ran, Sandbox};
use crate::sim::people::Status;

/// A sandbox with entry `work`, and one clock for here and AWS.
fn with_work() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.vars = vec![("AWSKEEP_SETTLE".into(), "0s".into())];
    sandbox.aws.clock().follow(&sandbox.clock);
    assert_eq!(sandbox.add("work", &[]).code, 0);
    sandbox.aws.take_journal();
    sandbox
}

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn status_of(sandbox: &Sandbox, id: &str) -> Option<Status> {
    sandbox
        .aws
        .account(|account| account.key(id).unwrap().status)
}

#[test]
fn wait_stays_until_the_old_key_is_inactive() {
    let sandbox = with_work();
    let began = sandbox.clock.load(Ordering::SeqCst);
    let ran = sandbox.run(&["rotate", "work", "--yes", "--wait", "--json"], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let state = json_of(&ran);
    assert_eq!(
        (&state["next"], &state["rotated"]),
        (&"delete".into(), &false.into())
    );
    assert_eq!(status_of(&sandbox, &sandbox.key_id), Some(Status::Inactive));
    // An hour's lease and its slack, with a look every ten minutes.
    let took = sandbox.clock.load(Ordering::SeqCst) - began;
    assert!((3_900..4_600).contains(&took), "{took}");
    let calls = sandbox.aws.take_journal().len();
    assert!(calls < 60, "{calls} calls");
    // What it waits for, and until when, is said once.
    assert_eq!(
        ran.err.matches("work: waiting until 20").count(),
        1,
        "{ran:?}"
    );
    // That it is in service is said when it is, not at the end of the wait.
    assert!(ran.err.contains("is in service since"), "{ran:?}");
}

#[test]
fn a_held_key_is_given_up_only_by_who_is_asked() {
    let sandbox = with_work();
    let rotate = |flags: &[&str], answers: &[&str]| {
        sandbox.run(&[&["rotate", "work"][..], flags].concat(), answers)
    };
    assert_eq!(rotate(&["--yes"], &[]).code, 0);
    assert_eq!(rotate(&["--retire-now", "--yes"], &[]).code, 0);
    let question = "KEY is held, inactive, and can still be brought back; delete it now to make room for a new key? [y/N] \n";
    for flags in [&[][..], &["--yes"]] {
        let declined = rotate(flags, &["n"]);
        assert_eq!(declined.code, 5, "{declined:?}");
        assert!(declined.err.contains(question), "{declined:?}");
        assert!(
            declined.err.contains("awskeep: entry work: not rotated: "),
            "{declined:?}"
        );
        assert_eq!(status_of(&sandbox, &sandbox.key_id), Some(Status::Inactive));
    }
    let agreed = rotate(&[], &["y"]);
    assert_eq!(agreed.code, 0, "{agreed:?}");
    assert_eq!(status_of(&sandbox, &sandbox.key_id), None);
}

#[test]
fn wait_for_deleted_stays_until_it_is_gone() {
    let sandbox = with_work();
    assert_eq!(sandbox.run(&["config", "set", "hold", "2h"], &[]).code, 0);
    let began = sandbox.clock.load(Ordering::SeqCst);
    let ran = sandbox.run(
        &["rotate", "work", "--yes", "--wait=deleted", "--json"],
        &[],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let state = json_of(&ran);
    assert_eq!(
        (&state["next"], &state["previous"]),
        (&"none".into(), &Value::Null)
    );
    assert_eq!(status_of(&sandbox, &sandbox.key_id), None);
    let took = sandbox.clock.load(Ordering::SeqCst) - began;
    assert!((3_900 + 7_200..13_000).contains(&took), "{took}");
    let unknown = sandbox.run(&["rotate", "work", "--wait=tomorrow"], &[]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
}

#[test]
fn all_rotates_what_it_can_and_says_what_it_cannot() {
    let sandbox = with_work();
    let now = sandbox.clock.load(Ordering::SeqCst);
    let (id, secret) = sandbox.aws.account(|account| {
        account.add_user("/", "carol");
        account.add_key("carol", now - 60)
    });
    assert_eq!(sandbox.add_pair("other", &id, &secret, &[]).code, 0);
    let second = sandbox
        .aws
        .account(|account| account.add_key("bob", now - 60).0);
    let ran = sandbox.run(&["rotate", "--all", "--yes", "--json"], &[]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.err.contains(&second), "{ran:?}");
    assert!(
        ran.err.contains("awskeep: not every entry was rotated"),
        "{ran:?}"
    );
    let states = json_of(&ran);
    assert_eq!(
        (&states[0]["entry"], &states[0]["rotated"]),
        (&"other".into(), &true.into())
    );
    assert_eq!(states.as_array().unwrap().len(), 1);
    assert_eq!(status_of(&sandbox, &sandbox.key_id), Some(Status::Active));
    for arguments in [
        &["rotate", "--all", "work"][..],
        &["rotate", "--all", "-p", "x"],
    ] {
        assert_eq!(sandbox.run(arguments, &[]).code, 2);
    }
}

#[test]
fn several_entries_of_one_user_are_one_rotation_each_at_a_time() {
    let sandbox = with_work();
    // The same user's second key under a second name: no third fits.
    let now = sandbox.clock.load(Ordering::SeqCst);
    let (id, secret) = sandbox
        .aws
        .account(|account| account.add_key("bob", now - 60));
    assert_eq!(sandbox.add_pair("spare", &id, &secret, &[]).code, 0);
    let ran = sandbox.run(&["rotate", "work", "spare", "--yes"], &[]);
    assert_eq!(ran.code, 5, "{ran:?}");
    // Neither takes the other's key for nobody's.
    let discard = sandbox.run(&["rotate", "work", "--discard", &id, "--yes"], &[]);
    assert_eq!(discard.code, 2, "{discard:?}");
    assert!(
        discard.err.contains("is a key of entry spare"),
        "{discard:?}"
    );
    for id in [&sandbox.key_id, &id] {
        assert_eq!(status_of(&sandbox, id), Some(Status::Active));
    }
}

#[test]
fn a_key_rotated_on_another_machine_is_said_to_be_and_named_recover() {
    let sandbox = with_work();
    let now = sandbox.clock.load(Ordering::SeqCst);
    sandbox.aws.account(|account| {
        account.add_key("bob", now - 60);
        account.set_by_hand(&sandbox.key_id, None, now - 30);
    });
    for _ in 0..2 {
        let ran = sandbox.run(&["rotate", "work", "--yes"], &[]);
        assert_eq!(ran.code, 6, "{ran:?}");
        assert!(ran.err.contains("rotated elsewhere"), "{ran:?}");
        assert!(
            ran.err.contains("hint: awskeep recover work --via PROFILE"),
            "{ran:?}"
        );
    }
    // It does not loop: a young key's refusal may pass, an old one's does not.
    let calls = sandbox.aws.take_journal().len();
    assert!(calls <= 300, "{calls} calls");
}

#[test]
fn a_wrong_clock_is_recognised() {
    let sandbox = with_work();
    // AWS is a day ahead, and says so where it refuses the signature.
    sandbox.aws.clock().advance(86_400);
    let ran = sandbox.run(&["rotate", "work", "--yes"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.contains("clock"), "{ran:?}");
    assert_eq!(status_of(&sandbox, &sandbox.key_id), Some(Status::Active));
}

#[test]
fn an_undo_of_a_key_that_is_gone_is_told_once_and_ends() {
    let sandbox = with_work();
    let rotate = |flags: &[&str]| sandbox.run(&[&["rotate", "work"][..], flags].concat(), &[]);
    assert_eq!(rotate(&["--yes"]).code, 0);
    let at = sandbox.clock.load(Ordering::SeqCst);
    sandbox
        .aws
        .account(|account| account.set_by_hand(&sandbox.key_id, None, at));
    let wait = |seconds| sandbox.clock.fetch_add(seconds, Ordering::SeqCst);
    wait(120);
    // One list proves nothing: it is tried.
    let tried = rotate(&["--undo"]);
    assert!(matches!(tried.code, 6 | 7), "{tried:?}");
    wait(16 * 60);
    let gone = rotate(&["--undo"]);
    assert_eq!(gone.code, 3, "{gone:?}");
    assert!(
        gone.err
            .contains("KEY is deleted at AWS and cannot be brought back"),
        "{gone:?}"
    );
    assert!(
        gone.err.contains("hint: awskeep rotate work --finish"),
        "{gone:?}"
    );
    assert_eq!(rotate(&["--finish"]).code, 0);
    assert_eq!(rotate(&["--undo"]).code, 3);
    let state = sandbox.run(&["status", "--json"], &[]);
    assert_eq!(
        json_of(&state)["entries"][0]["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
