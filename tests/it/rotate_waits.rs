//! `rotate --wait`, `--all`, and what is said when a wait is cut short: the whole
//! program, with AWS's clock and this machine's kept in step.

use std::sync::atomic::Ordering;

use serde_json::Value;

use expect_test::expect;

use crate::sandbox::Sandbox;
use crate::sim::faults::{Fault, Script};
use crate::sim::people::Status;

#[test]
fn wait_stays_until_the_old_key_is_inactive() {
    let sandbox = Sandbox::with_work_and_one_clock();
    let began = sandbox.now();
    let ran = sandbox
        .run(&["rotate", "work", "--yes", "--wait", "--json"], &[])
        .exits(0);
    let state = ran.json();
    assert_eq!(
        (&state["next"], &state["rotated"]),
        (&"delete".into(), &false.into())
    );
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
    // An hour's lease and its slack, with a look every ten minutes.
    let took = sandbox.now() - began;
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
    ran.shows(expect![[r#"
        {
          "entry": "work",
          "key_id": "AKIA…AAAC",
          "rotated": false,
          "previous": {
            "key_id": "KEY",
            "leased_until": "TIME",
            "inactive_since": "TIME"
          },
          "next": "delete",
          "not_before": "TIME"
        }
        work: AKIA…AAAC has been in service since TIME
        …AAAB stays active for what still uses it; it is deactivated after TIME by awskeep rotate work --finish; undo: awskeep rotate work --undo
        work: waiting until TIME, with a look every 10 minutes; Ctrl-C is safe, and awskeep rotate work --finish does the rest
        exit 0
    "#]]);
}

#[test]
fn a_held_key_is_given_up_only_by_who_is_asked() {
    let sandbox = Sandbox::with_work_and_one_clock();
    let rotate = |flags: &[&str], answers: &[&str]| {
        sandbox.run(&[&["rotate", "work"][..], flags].concat(), answers)
    };
    assert_eq!(rotate(&["--yes"], &[]).code, 0);
    assert_eq!(rotate(&["--retire-now", "--yes"], &[]).code, 0);
    let question = "KEY is held, inactive, and can still be brought back; delete it now to make room for a new key? [y/N] \n";
    for flags in [&[][..], &["--yes"]] {
        let declined = rotate(flags, &["n"]).exits(5);
        assert!(declined.err.contains(question), "{declined:?}");
        assert!(
            declined.err.contains("awskeep: entry work: not rotated: "),
            "{declined:?}"
        );
        assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
    }
    rotate(&[], &["y"]).exits(0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), None);
}

#[test]
fn wait_for_deleted_stays_until_it_is_gone() {
    let sandbox = Sandbox::with_work_and_one_clock();
    sandbox.run(&["config", "set", "hold", "2h"], &[]).exits(0);
    let began = sandbox.now();
    let ran = sandbox
        .run(
            &["rotate", "work", "--yes", "--wait=deleted", "--json"],
            &[],
        )
        .exits(0);
    let state = ran.json();
    assert_eq!(
        (&state["next"], &state["previous"]),
        (&"none".into(), &Value::Null)
    );
    assert_eq!(sandbox.status_of(&sandbox.key_id), None);
    let took = sandbox.now() - began;
    assert!((3_900 + 7_200..13_000).contains(&took), "{took}");
    sandbox
        .run(&["rotate", "work", "--wait=tomorrow"], &[])
        .exits(2);
}

#[test]
fn all_rotates_what_it_can_and_says_what_it_cannot() {
    let sandbox = Sandbox::with_work_and_one_clock();
    let now = sandbox.now();
    let (id, secret) = sandbox.aws.account(|account| {
        account.add_user("/", "carol");
        account.add_key("carol", now - 60)
    });
    sandbox.add_pair("other", &id, &secret, &[]).exits(0);
    let second = sandbox
        .aws
        .account(|account| account.add_key("bob", now - 60).0);
    let ran = sandbox
        .run(&["rotate", "--all", "--yes", "--json"], &[])
        .exits(5);
    assert!(ran.err.contains(&second), "{ran:?}");
    ran.shows(expect![[r#"
        [
          {
            "entry": "other",
            "key_id": "AKIA…AAAE",
            "rotated": true,
            "previous": {
              "key_id": "AKIA…AAAC",
              "leased_until": "TIME",
              "inactive_since": null
            },
            "next": "deactivate",
            "not_before": "TIME"
          }
        ]
        awskeep: entry work: its IAM user has another key, and AWS allows two
          KEY Active, made TIME, 1d ago, current
          AKIA…AAAD Active, made TIME, 1m ago, not this entry's
        hint: if nothing uses AKIA…AAAD: awskeep rotate work --discard AKIA…AAAD
        awskeep: not every entry was rotated
        exit 5
    "#]]);
    let states = ran.json();
    assert_eq!(
        (&states[0]["entry"], &states[0]["rotated"]),
        (&"other".into(), &true.into())
    );
    assert_eq!(states.as_array().unwrap().len(), 1);
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Active));
    for arguments in [
        &["rotate", "--all", "work"][..],
        &["rotate", "--all", "-p", "x"],
    ] {
        sandbox.run(arguments, &[]).exits(2);
    }
}

#[test]
fn several_entries_of_one_user_are_one_rotation_each_at_a_time() {
    let sandbox = Sandbox::with_work_and_one_clock();
    // The same user's second key under a second name: no third fits.
    let now = sandbox.now();
    let (id, secret) = sandbox
        .aws
        .account(|account| account.add_key("bob", now - 60));
    sandbox.add_pair("spare", &id, &secret, &[]).exits(0);
    sandbox
        .run(&["rotate", "work", "spare", "--yes"], &[])
        .exits(5);
    // Neither takes the other's key for nobody's.
    let discard = sandbox
        .run(&["rotate", "work", "--discard", &id, "--yes"], &[])
        .exits(2);
    discard.shows(expect![[r#"
        awskeep: AKIA…AAAC is a key of entry spare
        hint: awskeep remove spare --delete-key
        exit 2
    "#]]);
    for id in [&sandbox.key_id, &id] {
        assert_eq!(sandbox.status_of(id), Some(Status::Active));
    }
}

#[test]
fn a_key_rotated_on_another_machine_is_said_to_be_and_named_recover() {
    let sandbox = Sandbox::with_work_and_one_clock();
    let now = sandbox.now();
    sandbox.aws.account(|account| {
        account.add_key("bob", now - 60);
        account.set_by_hand(&sandbox.key_id, None, now - 30);
    });
    for _ in 0..2 {
        let ran = sandbox.run(&["rotate", "work", "--yes"], &[]).exits(6);
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
    let sandbox = Sandbox::with_work_and_one_clock();
    // AWS is a day ahead, and says so where it refuses the signature.
    sandbox.aws.clock().advance(86_400);
    let ran = sandbox.run(&["rotate", "work", "--yes"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.contains("clock"), "{ran:?}");
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Active));
}

#[test]
fn an_undo_of_a_key_that_is_gone_is_told_once_and_ends() {
    let sandbox = Sandbox::with_work_and_one_clock();
    let rotate = |flags: &[&str]| sandbox.run(&[&["rotate", "work"][..], flags].concat(), &[]);
    assert_eq!(rotate(&["--yes"]).code, 0);
    let at = sandbox.now();
    sandbox
        .aws
        .account(|account| account.set_by_hand(&sandbox.key_id, None, at));
    let wait = |seconds| sandbox.clock.fetch_add(seconds, Ordering::SeqCst);
    wait(120);
    // One list proves nothing: it is tried.
    let tried = rotate(&["--undo"]);
    assert!(matches!(tried.code, 6 | 7), "{tried:?}");
    wait(16 * 60);
    let gone = rotate(&["--undo"]).exits(3);
    gone.shows(expect![[r#"
        awskeep: entry work: KEY is deleted at AWS and cannot be brought back; AKIA…AAAC stays in service
        hint: awskeep rotate work --finish
        exit 3
    "#]]);
    assert_eq!(rotate(&["--finish"]).code, 0);
    assert_eq!(rotate(&["--undo"]).code, 3);
    let state = sandbox.run(&["status", "--json"], &[]);
    assert_eq!(
        state.json()["entries"][0]["keys"].as_array().unwrap().len(),
        1
    );
}

/// A denial that names the user is an acceptance; any other is no matter of time.
#[test]
fn a_denial_that_names_nobody_is_not_waited_for() {
    let sandbox = Sandbox::with_work_and_one_clock();
    let denied = Fault::Refuse {
        status: 403,
        code: "AccessDenied",
        message: "User is not authorized to perform: iam:GetUser",
    };
    let script = Script::default().every("GetUser", denied);
    sandbox.aws.set_script(script);
    let began = sandbox.now();
    let ran = sandbox.run(&["rotate", "work", "--yes"], &[]).exits(7);
    assert!(
        ran.err
            .contains("stays pending; the old one is served: IAM: AccessDenied: User is not"),
        "{ran:?}"
    );
    let took = sandbox.now() - began;
    assert!(took < 10, "{took} s");
    let asked = sandbox.aws.take_journal();
    let asked = asked.iter().filter(|call| call.action == "GetUser");
    assert_eq!(asked.count(), 1);
    assert_eq!(sandbox.served("work"), sandbox.key_id);
    // Once it may be asked, the same key is put into service.
    sandbox.aws.set_script(Script::default());
    sandbox.run(&["rotate", "work", "--finish"], &[]).exits(0);
    assert_eq!(sandbox.living().len(), 2);
    assert_ne!(sandbox.served("work"), sandbox.key_id);
}

#[test]
fn an_answer_to_create_that_is_not_aws_s_is_told_as_an_answer() {
    for (fault, said) in [
        (Fault::Bare(403), "HTTP 403: an answer that is not AWS's: "),
        (Fault::Bare(502), "HTTP 502: an answer that is not AWS's: "),
        (Fault::server_error(), "ServiceFailure: "),
    ] {
        let sandbox = Sandbox::with_work_and_one_clock();
        let script = Script::default().every("CreateAccessKey", fault);
        sandbox.aws.set_script(script);
        let ran = sandbox.run(&["rotate", "work", "--yes"], &[]).exits(7);
        let told = format!(
            "awskeep: entry work: the answer to CreateAccessKey does not say whether a key was \
             made; the list shows no new key yet: {said}"
        );
        assert!(ran.err.contains(&told), "{ran:?}");
        // The intent stays: a request that was passed on may still arrive.
        let status = sandbox.run(&["status", "work", "--json"], &[]);
        assert!(status.out.contains("\"unfinished\": {"), "{status:?}");
    }
}
