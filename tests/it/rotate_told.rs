//! What `rotate --explain` and `--dry-run` foresee is what the run then does, told in
//! words; and what a dead key, or one that would be lost, is answered with.

use awskeep::types::time::{Span, Timestamp};

use expect_test::expect;

use crate::sandbox::{Ran, Sandbox};
use crate::sim::people::{Because, Status};
use crate::sim::{SimConfig, SimServer};

fn rotated() -> Sandbox {
    let sandbox = Sandbox::with_work_and_one_clock();
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
    sandbox
}

#[track_caller]
fn foresees(sandbox: &Sandbox, flags: &[&str], next: &str, words: &str) -> Ran {
    let before = sandbox.everything();
    let look = [&["rotate", "work", "--dry-run"], flags].concat();
    let said = sandbox.run(&look, &[]).exits(0);
    assert!(said.err.contains(words), "{said:?}");
    let told = sandbox.run(&[&look[..], &["--json"]].concat(), &[]);
    let json = told.json();
    assert_eq!(
        (&json["entry"], &json["next"]),
        (&"work".into(), &next.into())
    );
    let text = json["text"].as_str().unwrap();
    assert!(said.err.contains(text), "{said:?} {text}");
    // Words, and no names of the program's own.
    for debug in ["Time(", "Key(", "{ ", "None", "Some("] {
        assert!(!said.err.contains(debug), "{said:?}");
    }
    assert_eq!(sandbox.everything(), before);
    said
}

#[test]
fn a_step_is_foreseen_in_words() {
    let sandbox = Sandbox::with_work_and_one_clock();
    let new = "work: would ask AWS for a new key\n";
    foresees(&sandbox, &[], "write-intent", new);
    let idle = "work: would do nothing: nothing is begun";
    foresees(&sandbox, &["--finish"], "none", idle);
    let explained = sandbox.run(&["rotate", "work", "--explain"], &[]);
    for words in [
        "  current KEY: active, created 20",
        "(AWS's clock), here 20",
        "policy demand = now, ",
        "hold = ",
        "next step: ask AWS for a new key\n",
    ] {
        assert!(explained.out.contains(words), "{explained:?}");
    }
}

#[test]
fn a_wait_is_foreseen_and_so_is_what_a_person_wants_instead() {
    let sandbox = rotated();
    let leased = "stays active for what still uses it";
    let said = foresees(&sandbox, &["--finish"], "wait", leased);
    said.shows(expect![[r#"
        work: would wait until TIME: …AAAB stays active for what still uses it, and is deactivated then
        exit 0
    "#]]);
    foresees(&sandbox, &["--retire-now"], "deactivate", "deactivate KEY");
    // The replaced key is active: it is proven, then put back.
    foresees(&sandbox, &["--undo"], "prove", "until AWS knows KEY");
    sandbox
        .run(&["rotate", "work", "--retire-now", "--yes"], &[])
        .exits(0);
    let on_its_way = "may still be on its way";
    foresees(&sandbox, &["--undo"], "wait", on_its_way);
    sandbox.aws.clock().advance(120);
    foresees(&sandbox, &["--undo"], "activate", "activate KEY");
    foresees(&sandbox, &["--delete-now"], "delete", "delete KEY");
}

#[test]
fn a_refusal_is_foreseen_with_its_reason() {
    let sandbox = Sandbox::with_work_and_one_clock();
    sandbox.aws.account(|account| account.add_key("bob", 0));
    let words = "work: would be refused: its IAM user has another key";
    let said = foresees(&sandbox, &[], "refuse", words);
    assert!(said.err.contains("hint: if nothing uses"), "{said:?}");
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(5);
    let undo = ["rotate", "work", "--undo"];
    let real = sandbox.run(&undo, &[]);
    let looked = sandbox.run(&[&undo[..], &["--dry-run"]].concat(), &[]);
    assert_eq!((real.code, &real), (3, &looked));
}

#[test]
fn a_dead_key_that_was_added_just_now_is_told_at_once() {
    let sandbox = Sandbox::with_work_and_one_clock();
    sandbox
        .aws
        .account(|account| account.set_by_hand(&sandbox.key_id, Some(Status::Inactive), 0));
    sandbox.aws.clock().advance(60);
    let before = sandbox.now();
    let dead = sandbox.run(&["rotate", "work", "--yes"], &[]).exits(6);
    dead.shows(expect![[r#"
        awskeep: entry work: its key KEY is not accepted by AWS any more: disabled or rotated elsewhere
        hint: awskeep recover work --via PROFILE
        exit 6
    "#]]);
    assert_eq!(sandbox.now(), before);
}

#[test]
fn a_key_that_aws_has_known_for_days_is_not_waited_for() {
    // The user may not list keys, so that its age is not known here.
    let sandbox = Sandbox::new();
    sandbox.aws.clock().follow(&sandbox.clock);
    sandbox.aws.account(|account| {
        account
            .user_mut("bob")
            .deny("ListAccessKeys", Because::NotAllowed);
    });
    sandbox.add("work", &[]).exits(0);
    sandbox
        .aws
        .account(|account| account.set_by_hand(&sandbox.key_id, Some(Status::Inactive), 0));
    let before = sandbox.now();
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(6);
    assert_eq!(sandbox.now(), before);
}

#[test]
fn a_wait_for_a_young_key_is_told() {
    let sandbox = rotated();
    let current = sandbox.run(&["credential-process", "work"], &[]);
    let told = current.json();
    let new = told["AccessKeyId"].as_str().unwrap();
    let at = sandbox.now();
    sandbox
        .aws
        .account(|account| account.set_by_hand(new, Some(Status::Inactive), at));
    sandbox.aws.clock().advance(30);
    let began = sandbox.now();
    let dead = sandbox.run(&["rotate", "work"], &[]).exits(6);
    let until = Timestamp(began) + Span::minutes(2);
    let line = format!(
        "work: AWS does not accept {new} everywhere yet; trying until {until}, Ctrl-C is safe\n"
    );
    assert_eq!(dead.err.matches(&line).count(), 1, "{dead:?}");
    assert!(sandbox.now() >= until.0, "it was waited");
}

#[test]
fn without_a_network_nothing_is_waited_for() {
    let mut sandbox = Sandbox::with_work_and_one_clock();
    // Its address answers no more.
    sandbox.aws = SimServer::start(SimConfig::default());
    let before = sandbox.now();
    let offline = sandbox.run(&["rotate", "work", "--yes"], &[]).exits(1);
    offline.shows(expect![[r#"
        awskeep: entry work: IAM cannot be reached to check KEY: NotConnected: Connection refused (os error 111)
        hint: check the network and proxies, then run it again
        exit 1
    "#]]);
    assert_eq!(sandbox.now(), before);
}

#[test]
fn what_would_lose_a_replaced_key_names_what_lets_one_go_on() {
    let sandbox = rotated();
    let replace = |sandbox: &Sandbox| sandbox.add("work", &["--replace"]);
    let remove = |sandbox: &Sandbox| sandbox.run(&["remove", "work", "--yes"], &[]);
    let delete = "hint: delete that key at AWS now: awskeep rotate work --delete-now\n";
    for ran in [replace(&sandbox), remove(&sandbox)] {
        assert_eq!(ran.code, 7, "{ran:?}");
        assert!(ran.err.contains(delete), "{ran:?}");
        assert!(ran.err.contains("or deactivate it after 20"), "{ran:?}");
    }
    sandbox
        .run(&["rotate", "work", "--retire-now", "--yes"], &[])
        .exits(0);
    let held = remove(&sandbox).exits(7);
    assert!(held.err.contains(delete), "{held:?}");
    held.shows(expect![[r#"
        awskeep: removing entry work would lose the replaced key KEY
        hint: delete that key at AWS now: awskeep rotate work --delete-now
        hint: or after TIME: awskeep rotate work --finish
        exit 7
    "#]]);
    sandbox
        .run(&["rotate", "work", "--delete-now", "--yes"], &[])
        .exits(0);
    remove(&sandbox).exits(0);
}
