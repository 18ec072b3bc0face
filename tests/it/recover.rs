//! `recover --via`: a dead entry is back in service, and nothing else is touched.

use std::rc::Rc;

use awskeep::error::{Kind, Result};
use awskeep::lifecycle::execute::RunResult;
use awskeep::lifecycle::plan::{Refusal, Step, Wait};
use awskeep::types::time::Timestamp;

use crate::rotation_world::{Event, Other, Pacing, USER, Which, World};
use crate::sandbox::{Ran, Sandbox};
use crate::sim::faults::{Fault, Script, When};
use crate::sim::people::{Rights, Status};

/// Entry `work` of bob, and profile `boss` with an administrator's key in the files.
fn with_boss() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.keeps_plaintext(".aws");
    assert_eq!(sandbox.add("work", &[]).code, 0);
    let at = sandbox.now();
    let (id, secret) = sandbox.aws.account(|account| {
        account.add_user("/", "boss").rights = Rights::Everybody;
        account.add_key("boss", at - 60)
    });
    sandbox.write(
        ".aws/credentials",
        &format!("[boss]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"),
    );
    sandbox
}

fn by_hand(sandbox: &Sandbox, status: Option<Status>) {
    let at = sandbox.now();
    sandbox
        .aws
        .account(|account| account.set_by_hand(&sandbox.key_id, status, at));
}

fn recover(sandbox: &Sandbox, answers: &[&str]) -> Ran {
    sandbox.run(&["recover", "work", "--via", "boss", "--json"], answers)
}

/// The served key is active at AWS, its secret the one that AWS made, and in no file.
fn served(sandbox: &Sandbox) -> String {
    let told = sandbox.run(&["credential-process", "work"], &[]).json();
    let id = told["AccessKeyId"].as_str().unwrap().to_owned();
    let id = if id == "KEY" {
        sandbox.key_id.clone()
    } else {
        id
    };
    let key = sandbox
        .aws
        .account(|account| account.key(&id).unwrap().clone());
    assert_eq!(told["SecretAccessKey"], key.secret);
    assert_eq!(key.status, Some(Status::Active));
    no_file_holds(sandbox, &key.secret);
    id
}

fn no_file_holds(sandbox: &Sandbox, secret: &str) {
    for (path, bytes) in sandbox.everything() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(secret), "a secret in {path:?}");
    }
}

#[test]
fn an_inactive_key_is_activated_again() {
    let sandbox = with_boss();
    by_hand(&sandbox, Some(Status::Inactive));
    let asked = sandbox.run(&["recover", "work", "--via", "boss", "--no-input"], &[]);
    assert_eq!(asked.code, 5, "{asked:?}");
    let ran = recover(&sandbox, &["y"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let told = ran.json();
    assert_eq!(
        (&told["how"], &told["key_id"]),
        (&"reactivated".into(), &"KEY".into())
    );
    assert_eq!(served(&sandbox), sandbox.key_id);
    // And the entry can be rotated as ever.
    assert_eq!(sandbox.run(&["rotate", "work", "--yes"], &[]).code, 0);
}

#[test]
fn a_deleted_key_is_replaced_by_a_new_one() {
    let sandbox = with_boss();
    by_hand(&sandbox, None);
    let ran = recover(&sandbox, &["y"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["how"], "issued");
    assert_ne!(served(&sandbox), sandbox.key_id);
    let told = sandbox.run(&["status", "--json"], &[]).json();
    assert_eq!(told["entries"][0]["keys"].as_array().unwrap().len(), 1);
    let log = sandbox.run(&["log", "work", "--json"], &[]).json();
    let steps = log.as_array().unwrap().iter().map(|r| r["step"].clone());
    assert_eq!(
        steps.collect::<Vec<_>>(),
        ["add", "create", "prove", "recover"]
    );
    assert_eq!(
        sandbox.aws.account(|a| a.user("bob").living_keys().count()),
        1
    );
}

#[test]
fn a_key_of_the_entry_that_still_works_is_taken_before_a_new_one() {
    let sandbox = with_boss();
    assert_eq!(sandbox.run(&["rotate", "work", "--yes"], &[]).code, 0);
    let new = served(&sandbox);
    let at = sandbox.now();
    sandbox
        .aws
        .account(|account| account.set_by_hand(&new, None, at));
    let ran = recover(&sandbox, &["y"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["how"], "put-into-service");
    assert_eq!(served(&sandbox), sandbox.key_id);
}

#[test]
fn a_lost_reply_makes_no_second_orphan() {
    let sandbox = with_boss();
    by_hand(&sandbox, None);
    let lose = Script::default().on("CreateAccessKey", 1, Fault::LoseReply(When::After));
    sandbox.aws.set_script(lose);
    let ran = recover(&sandbox, &["y"]);
    assert_eq!(ran.code, 7, "{ran:?}");
    sandbox.aws.set_script(Script::default());
    let ran = recover(&sandbox, &["y"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // The orphan is there still: only a person knows whose it is.
    let bob = |sandbox: &Sandbox| sandbox.aws.account(|a| a.user("bob").living_keys().count());
    assert_eq!(bob(&sandbox), 2);
    served(&sandbox);
}

#[test]
fn two_foreign_keys_are_shown_and_left_alone() {
    let sandbox = with_boss();
    by_hand(&sandbox, None);
    let others = sandbox
        .aws
        .account(|account| [account.add_key("bob", 0).0, account.add_key("bob", 0).0]);
    let ran = recover(&sandbox, &["y"]);
    assert_eq!((ran.code, ran.out.as_str()), (5, ""), "{ran:?}");
    for id in &others {
        assert!(ran.err.contains(id.as_str()), "{ran:?}");
        let status = sandbox
            .aws
            .account(|account| account.key(id).unwrap().status);
        assert_eq!(status, Some(Status::Active));
    }
}

#[test]
fn what_is_not_dead_or_not_allowed_is_left_alone() {
    let sandbox = with_boss();
    let before = sandbox.everything();
    let fine = recover(&sandbox, &[]);
    assert_eq!((fine.code, &fine.json()["how"]), (0, &"nothing".into()));

    by_hand(&sandbox, Some(Status::Inactive));
    let said = sandbox.run(&["recover", "work", "--via", "boss", "--dry-run"], &[]);
    assert_eq!(said.code, 0);
    assert!(
        said.err
            .starts_with("would ask: KEY of entry work is inactive"),
        "{said:?}"
    );
    sandbox.aws.account(|account| {
        account.add_user("/", "eve");
    });
    for (via, code) in [("work", 2), ("nobody", 3)] {
        let ran = sandbox.run(&["recover", "work", "--via", via], &["y"]);
        assert_eq!(ran.code, code, "{via}: {ran:?}");
    }
    assert_eq!(sandbox.everything(), before);

    let (id, secret) = sandbox.aws.account(|account| account.add_key("eve", 0));
    sandbox.write(
        ".aws/credentials",
        &format!("[eve]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"),
    );
    let denied = sandbox.run(&["recover", "work", "--via", "eve"], &["y"]);
    assert_eq!(denied.code, 6, "{denied:?}");
    assert!(
        denied
            .err
            .contains("profile eve is not allowed to list keys"),
        "{denied:?}"
    );
}

#[test]
fn a_user_of_the_same_name_is_not_the_same_user() {
    let sandbox = with_boss();
    by_hand(&sandbox, None);
    sandbox
        .aws
        .account(|account| account.user_mut("bob").user_id = "AIDASOMEBODYELSE".into());
    let ran = recover(&sandbox, &["y"]);
    assert_eq!((ran.code, ran.out.as_str()), (6, ""), "{ran:?}");
    assert!(
        ran.err.contains("is not put into service, and kept"),
        "{ran:?}"
    );
    // Its secret is nowhere else, and the endpoint may have been the wrong one.
    let kept = || {
        let told = sandbox.run(&["status", "--json"], &[]).json();
        let pending = told["entries"][0]["keys"][1].clone();
        assert_eq!(pending["slot"], "pending");
        let id = pending["key_id"].as_str().unwrap().to_owned();
        let active = sandbox.aws.account(|a| a.key(&id).unwrap().status);
        assert_eq!(active, Some(Status::Active));
        id
    };
    let id = kept();
    let again = recover(&sandbox, &["y"]);
    assert_eq!((again.code, again.out.as_str()), (6, ""), "{again:?}");
    assert_eq!(kept(), id);
}

#[test]
fn a_status_that_nobody_knows_is_refused() {
    let sandbox = with_boss();
    by_hand(&sandbox, Some(Status::Unheard));
    let before = sandbox.everything();
    let ran = recover(&sandbox, &["y", "y"]);
    assert_eq!((ran.code, ran.out.as_str()), (5, ""), "{ran:?}");
    assert_eq!(
        ran.err,
        "awskeep: entry work: AWS gives KEY a status that this awskeep does not know\nhint: update awskeep\n"
    );
    assert_eq!(sandbox.everything(), before);
    let keys = sandbox.aws.account(|a| a.user("bob").living_keys().count());
    assert_eq!(keys, 1);
}

#[test]
fn a_reactivation_is_asked_for_by_key_id() {
    let sandbox = with_boss();
    by_hand(&sandbox, Some(Status::Inactive));
    let status = || {
        let key = sandbox
            .aws
            .account(|a| a.key(&sandbox.key_id).unwrap().status);
        key.unwrap()
    };
    let base = ["recover", "work", "--via", "boss"];
    let script = [&["--no-input"], &base[..], &["--yes"]].concat();
    let ran = sandbox.run(&script, &[]);
    assert_eq!((ran.code, status()), (5, Status::Inactive), "{ran:?}");
    assert_eq!(
        ran.err,
        "awskeep: would ask: KEY of entry work is inactive at AWS; reactivate it? only if you know who disabled it; \
         --yes does not answer it\n\
         hint: run it at a terminal, or: awskeep recover work --via boss --reactivate KEY\n"
    );
    for (id, code) in [("AKIAIOSFODNN7EXAMPLE", 3), (&*sandbox.key_id, 0)] {
        let ran = sandbox.run(&[&script[..], &["--reactivate", id]].concat(), &[]);
        assert_eq!(ran.code, code, "{ran:?}");
    }
    assert_eq!(
        (status(), served(&sandbox)),
        (Status::Active, sandbox.key_id.clone())
    );
}

#[test]
fn who_declines_a_reactivation_is_offered_a_new_key() {
    for (answers, code, how) in [
        (&["n", "y"][..], 0, "issued"),
        (&["n", "n"], 5, ""),
        (&["y"], 0, "reactivated"),
    ] {
        let sandbox = with_boss();
        by_hand(&sandbox, Some(Status::Inactive));
        let ran = recover(&sandbox, answers);
        assert_eq!(ran.code, code, "{answers:?}: {ran:?}");
        if code != 0 {
            continue;
        }
        assert_eq!(ran.json()["how"], how);
        let old = sandbox
            .aws
            .account(|a| a.key(&sandbox.key_id).unwrap().status);
        let reactivated = old == Some(Status::Active);
        assert_eq!(
            (reactivated, served(&sandbox) == sandbox.key_id),
            (how == "reactivated", how == "reactivated")
        );
    }
}

/// Bob's only key was deleted; what a recovery does then is struck by `events`.
fn struck(pacing: Pacing, events: &[(usize, Event)]) -> (Rc<World>, Result<RunResult>) {
    let world = World::new(pacing, events);
    world.person_sets(Which::Current, None);
    world.advance(700);
    let ended = world.recover().expect("nothing kills it");
    (world, ended)
}

#[track_caller]
fn recovered(ended: Result<RunResult>) {
    assert_eq!(ended.unwrap().step, Step::Done);
}

fn made(world: &World) -> usize {
    let aws = world.aws.account.borrow();
    aws.user(USER).keys.len() - 1
}

#[test]
fn a_save_that_fails_once_costs_no_key() {
    let (world, ended) = struck(Pacing::AtOnce, &[]);
    recovered(ended);
    let writes: Vec<usize> = world.writes.borrow().iter().copied().collect();
    let [_looked, _intent, pending, _serve] = writes[..] else {
        panic!("{writes:?}")
    };
    for failed in [vec![pending], vec![pending, pending + 1]] {
        let events: Vec<_> = failed.iter().map(|n| (*n, Event::LostBefore)).collect();
        let (world, ended) = struck(Pacing::AtOnce, &events);
        recovered(ended);
        assert_eq!(made(&world), 1);
    }
    // All tries fail: the key is deleted again, and the entry is as before.
    let events: Vec<_> = (pending..pending + 3)
        .map(|n| (n, Event::LostBefore))
        .collect();
    let (world, ended) = struck(Pacing::AtOnce, &events);
    let failure = ended.unwrap_err();
    assert_eq!(failure.kind, Kind::Store, "{failure}");
    let last = failure.hints.last().unwrap();
    assert_eq!(last, "then: awskeep recover work --via boss");
    let living = world.aws.account.borrow().user(USER).living_keys().count();
    assert_eq!((made(&world), living, world.item().pending), (1, 0, None));
}

#[test]
fn what_another_program_writes_meanwhile_is_not_written_over() {
    let (world, _) = struck(Pacing::Glacial, &[]);
    let writes = world.writes.borrow().clone();
    let until = Timestamp(1_999_999_999);
    for n in (0..world.effects.get()).filter(|n| !writes.contains(n)) {
        let event = Event::OtherWrites(Other::HandsOut(until));
        let (world, ended) = struck(Pacing::Glacial, &[(n, event)]);
        // It looks again, and continues from what is there: the new key is slow.
        let step = ended.unwrap().step;
        let slow = matches!(step, Step::Wait(Wait::PendingNotProven { .. }));
        assert!(slow, "{n}: {step:?}");
        assert_eq!(
            (world.store.overwrites(), made(&world)),
            (0, 1),
            "effect {n}"
        );
    }
}

#[test]
fn it_looks_once_more_before_it_makes_a_key() {
    let (world, _) = struck(Pacing::AtOnce, &[]);
    let intent = *world.writes.borrow().iter().nth(1).unwrap();
    // Another program took the intent away: a key is made under one of ours only.
    let taken = Event::OtherWrites(Other::AsItWas);
    let (world, ended) = struck(Pacing::AtOnce, &[(intent + 1, taken)]);
    recovered(ended);
    assert_eq!(made(&world), 1);
    // Two keys by then: there is no room.
    let world = World::new(Pacing::AtOnce, &[(intent + 1, Event::PersonCreates)]);
    world.person_sets(Which::Current, None);
    world.person_creates();
    let ended = world.recover().unwrap().unwrap();
    assert_eq!(ended.step, Step::Refuse(Refusal::TwoKeys));
    assert_eq!((made(&world), world.item().intent), (2, None));
}

#[test]
fn another_entrys_key_can_be_the_helper_in_need() {
    let sandbox = with_boss();
    let (id, secret) = sandbox.aws.account(|account| {
        let key = account.user("boss").keys[0].clone();
        (key.id, key.secret)
    });
    sandbox.write(".aws/credentials", "");
    assert_eq!(sandbox.add_pair("chief", &id, &secret, &[]).code, 0);
    by_hand(&sandbox, Some(Status::Inactive));
    let ran = sandbox.run(&["recover", "work", "--via", "chief"], &["y"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!format!("{ran:?}").contains(&secret));
    no_file_holds(&sandbox, &secret);
    assert_eq!(served(&sandbox), sandbox.key_id);
}

#[test]
fn a_new_key_that_is_slow_to_spread_is_taken_up_by_the_next_run() {
    let sandbox = with_boss();
    by_hand(&sandbox, None);
    sandbox.aws.set_script(Script::default().every(
        "GetUser",
        Fault::Refuse {
            status: 403,
            code: "InvalidClientTokenId",
            message: "The security token included in the request is invalid.",
        },
    ));
    let slow = recover(&sandbox, &["y"]);
    assert_eq!((slow.code, slow.out.as_str()), (7, ""), "{slow:?}");
    sandbox.aws.set_script(Script::default());
    let ran = recover(&sandbox, &["y"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["how"], "put-into-service");
    served(&sandbox);
    assert_eq!(
        sandbox.aws.account(|a| a.user("bob").living_keys().count()),
        1
    );
}
