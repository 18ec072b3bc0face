//! Where policies force MFA: one code does a whole rotation, whatever kills it, and
//! every fault and person of `rotation.rs` at every effect breaks no promise.

use std::panic::catch_unwind;
use std::rc::Rc;

use awskeep::lifecycle::model::Trigger;
use awskeep::lifecycle::plan::{Refusal, Step};
use awskeep::store::item::Identity;
use awskeep::store::session_item::KeptSession;
use awskeep::types::keys::Secret;
use awskeep::types::time::Timestamp;

use crate::rotation::{CRASHES, FAULTS, PEOPLE, ROTATORS, spread, wanted};
use crate::rotation_lives::{finish_for_a_while, rotate_until_in_service};
use crate::rotation_world::{Event, Guard, Pacing, USER, World, request};
use crate::sim::people::Status;

const HOUR: i64 = 3_600;

/// A person rotates, then leaves; a day later the old key is retired without them.
fn live(pacing: Pacing, events: &[(usize, Event)]) -> Rc<World> {
    let world = World::guarded(Guard::Mfa, pacing, events);
    rotate_until_in_service(&world);
    world.person.set(false);
    world.advance(25 * HOUR);
    finish_for_a_while(&world);
    world
}

/// What the person comes back for: what they did themselves, and lost sessions.
fn end(world: &Rc<World>) {
    world.calm.set(true);
    world.person.set(true);
    world.person_relents();
    world.mend_clock();
    for _ in 0..3 {
        if world.item().current.promoted_at.is_none() {
            rotate_until_in_service(world);
        }
        world.advance(25 * HOUR);
        finish_for_a_while(world);
    }
}

/// One current key; the replaced one inactive; no key whose secret nobody has; and no
/// session left behind.
fn check_end(world: &Rc<World>) {
    let last = world.run(request(Trigger::Finish));
    let item = world.item();
    assert!(item.current.promoted_at.is_some(), "{last:?} {item:?}");
    assert_eq!((&item.pending, &item.intent), (&None, &None), "{last:?}");
    let aws = world.aws.account.borrow();
    let foreign = world.watch.foreign.borrow();
    let activated = world.watch.activated.borrow();
    let mut by_hand = false;
    for key in aws.user(USER).living_keys() {
        let status = key.status.unwrap();
        let replaced = item
            .previous
            .as_ref()
            .filter(|slot| slot.id.as_str() == key.id);
        if key.id == item.current.id.as_str() {
            assert_eq!(status, Status::Active, "{last:?} {item:?}");
        } else if replaced.is_some() && activated.contains(&key.id) {
            by_hand = true;
        } else if replaced.is_some() {
            assert_eq!(status, Status::Inactive, "{last:?} {item:?}");
        } else {
            assert!(
                foreign.contains(&key.id),
                "{} is nobody's: {last:?} {item:?}",
                key.id
            );
        }
    }
    let kept = world.vault.find_session(&world.entry).unwrap();
    assert!(
        by_hand || kept.is_none(),
        "a session is left behind: {last:?} {item:?}"
    );
}

#[test]
fn one_code_does_a_whole_rotation_whatever_kills_it() {
    let effects = live(Pacing::AtOnce, &[]).effects.get();
    // The list that is denied, the devices, then:
    let (opening, keeping) = (2, 3);
    let mut took_two = Vec::new();
    for at in 0..effects {
        for event in [Event::CrashBefore, Event::CrashAfter] {
            let world = live(Pacing::AtOnce, &[(at, event)]);
            let item = world.item();
            let aws = world.aws.account.borrow();
            match world.codes.get() {
                1 => {}
                2 => took_two.push((at, event)),
                more => panic!("{more} codes: {at} {event:?}"),
            }
            assert!(aws.sessions_given().len() <= world.codes.get() as usize);
            // Nobody was there for the retirement, and it is done.
            let previous = item.previous.expect("held until the next session");
            let status = aws.key(previous.id.as_str()).unwrap().status;
            assert_eq!(status, Some(Status::Inactive), "{at} {event:?}");
            let kept = world.vault.find_session(&world.entry).unwrap();
            assert_eq!(kept, None, "{at} {event:?}: a session is left behind");
        }
    }
    // Only what was never in the store can be lost: a code not sent yet, a reply not
    // received, a session not saved.
    let lost = [
        (opening, Event::CrashBefore),
        (opening, Event::CrashAfter),
        (keeping, Event::CrashBefore),
    ];
    assert_eq!(took_two, lost);
}

/// Every event at every effect; and some of the pairs of a crash and anything later.
fn schedules() -> Vec<(Pacing, Vec<(usize, Event)>)> {
    let events = || [&CRASHES[..], &FAULTS, &PEOPLE, &ROTATORS].concat();
    let mut all = Vec::new();
    for pacing in [Pacing::AtOnce, Pacing::Slow] {
        for at in 0..live(pacing, &[]).effects.get() {
            all.extend(
                events()
                    .into_iter()
                    .map(|event| (pacing, vec![(at, event)])),
            );
        }
    }
    let effects = live(Pacing::AtOnce, &[]).effects.get();
    let pairs = (0..effects).flat_map(|first| {
        let laters =
            (first + 1..effects + 8).flat_map(move |at| events().into_iter().map(move |e| (at, e)));
        laters.flat_map(move |later| CRASHES.map(|crash| vec![(first, crash), later]))
    });
    let pairs: Vec<_> = pairs.collect();
    let chosen = spread(pairs.len(), wanted(1_000, 4_500));
    all.extend(chosen.map(|number| (Pacing::AtOnce, pairs[number].clone())));
    all
}

#[test]
fn no_schedule_breaks_a_promise_where_mfa_is_forced() {
    let all = schedules();
    let mut broken = Vec::new();
    for (pacing, events) in &all {
        let lived = catch_unwind(|| {
            let world = live(*pacing, events);
            end(&world);
            check_end(&world);
        });
        if let Err(cause) = lived {
            let why = cause.downcast_ref::<String>().cloned().unwrap_or_default();
            broken.push(format!("{pacing:?} {events:?}: {why}"));
        }
    }
    let count = all.len();
    println!("{count} schedules, {} broke a promise", broken.len());
    assert!(
        broken.is_empty(),
        "{} of {count}: {broken:#?}",
        broken.len()
    );
}

#[test]
fn calls_on_keys_are_signed_by_the_session_and_all_else_by_the_key() {
    let world = live(Pacing::AtOnce, &[]);
    let journal = world.aws.journal.borrow();
    let by_session = |action: &str| {
        journal
            .iter()
            .filter(|entry| entry.action == action)
            .map(|entry| (entry.key_id.starts_with("ASIA"), entry.outcome == "ok"))
            .collect::<Vec<_>>()
    };
    let lists = by_session("ListAccessKeys");
    assert_eq!(lists[0], (false, false), "the first look is the bare key's");
    assert!(
        lists[1..].iter().all(|list| *list == (true, true)),
        "{lists:?}"
    );
    for action in ["CreateAccessKey", "UpdateAccessKey", "GetAccessKeyLastUsed"] {
        assert_eq!(by_session(action), [(true, true)], "{action}");
    }
    for action in [
        "GetCallerIdentity",
        "GetUser",
        "ListMFADevices",
        "GetSessionToken",
    ] {
        let calls = by_session(action);
        assert!(
            !calls.is_empty() && calls.iter().all(|call| *call == (false, true)),
            "{action}"
        );
    }
    let first = &journal[0].key_id;
    let opener = journal
        .iter()
        .find(|entry| entry.action == "GetSessionToken")
        .unwrap();
    assert_eq!(
        &opener.key_id, first,
        "the key in service opens the session"
    );
}

#[test]
fn a_session_is_used_for_its_own_user_and_until_shortly_before_its_end() {
    for (user_id, left, used) in [
        ("AIDASIM00000000000000", 301, true),
        ("AIDASIM00000000000000", 300, false),
        ("AIDASIM00000000000001", 301, false),
    ] {
        let world = World::guarded(Guard::Mfa, Pacing::AtOnce, &[]);
        rotate_until_in_service(&world);
        let kept = world.vault.find_session(&world.entry).unwrap().unwrap();
        let now = world.aws_now();
        let other = KeptSession::new(
            Identity {
                user_id: user_id.into(),
                ..world.identity.clone()
            },
            kept.id,
            kept.secret,
            kept.token,
            Timestamp(now + left + 25 * HOUR),
        );
        world.vault.save_session(&world.entry, other).unwrap();
        world.person.set(false);
        world.advance(25 * HOUR);
        finish_for_a_while(&world);
        let retired = world.item().previous.unwrap().inactive_seen_at.is_some();
        assert_eq!(retired, used, "{user_id} {left}");
        assert_eq!(world.codes.get(), 1);
    }
}

#[test]
fn a_session_that_aws_takes_no_more_is_erased_and_another_code_goes_on() {
    for token in [None, Some("FwoUNKNOWN")] {
        let world = World::guarded(Guard::Mfa, Pacing::AtOnce, &[]);
        rotate_until_in_service(&world);
        // 37 hours later it says that it is good for long: only AWS can tell.
        let mut kept = world.vault.find_session(&world.entry).unwrap().unwrap();
        kept.expires_at = Timestamp(world.aws_now() + 99 * HOUR);
        if let Some(token) = token {
            kept.token = Secret::new(token.into());
        }
        world.vault.save_session(&world.entry, kept).unwrap();
        world.person.set(false);
        world.advance(37 * HOUR);
        let ended = world.run(request(Trigger::Finish)).unwrap().unwrap();
        assert_eq!(ended.step, Step::Refuse(Refusal::NeedsMfa));
        assert_eq!(world.vault.find_session(&world.entry), Ok(None));
        world.person.set(true);
        finish_for_a_while(&world);
        check_end(&world);
        assert_eq!(world.codes.get(), 2);
    }
}
