//! Where keys are in their lives, day by day.

use crate::lifecycle::report::*;
use crate::records::Record;
use crate::store::item::{Intent, Item, Slot};
use crate::types::keys::{AccessKey, EntryName};
use crate::types::lease::Attended;
use crate::types::time::{Span, Timestamp};

const BORN: Timestamp = Timestamp(1_795_420_800);
const RULES: KeyRules = KeyRules {
    max_age: Some(Span::days(90)),
    hold: Span::days(14),
    handled_by: HandledBy::Key,
    retired: Attended::Yes,
};

fn item() -> Item {
    Item::new("work".parse().unwrap(), key("A"), BORN)
}

fn key(letter: &str) -> AccessKey {
    AccessKey::from_pasted(&format!("AKIA{}", letter.repeat(16)), "secret/EXAMPLE").unwrap()
}

fn slot(letter: &str, change: impl FnOnce(&mut Slot)) -> Option<Slot> {
    let mut slot = Slot::new(key(letter), BORN);
    change(&mut slot);
    Some(slot)
}

fn intent(at: Timestamp) -> Option<Intent> {
    Some(Intent {
        nonce: "n".into(),
        at,
        host: "h".into(),
        seen: Vec::new(),
        pad: String::new(),
        unknown: serde_json::Map::new(),
    })
}

/// After so many days: the last key's next step in words, and what wants attention.
fn check(change: impl FnOnce(&mut Item), days: u64, told: &str, attention: &[&str]) {
    let mut item = item();
    change(&mut item);
    let now = BORN + Span::days(days);
    let life = EntryReport::of(&item, RULES, now);
    let last = life.keys.last().unwrap();
    assert_eq!(last.next_told(now), told);
    let whys: Vec<&str> = life.attention.iter().map(|a| a.why.as_str()).collect();
    assert_eq!(whys, attention);
}

#[test]
fn a_key_in_service_is_due_after_two_thirds() {
    check(|_| (), 59, "stays until it is due", &[]);
    check(
        |_| (),
        60,
        "rotate: awskeep rotate work",
        &["AKIAAAAAAAAAAAAAAAAA has been due since 22 Jan 2027"],
    );
    let gone = |item: &mut Item| item.current.absent_seen_at = Some(BORN);
    check(
        gone,
        1,
        "make sure that it is gone: awskeep rotate work --explain",
        &["AKIAAAAAAAAAAAAAAAAA has been in no list of IAM since 2026-11-23T08:00:00Z"],
    );
}

#[test]
fn what_was_begun_is_noticed_after_an_hour() {
    let made = |item: &mut Item| item.pending = slot("B", |_| ());
    let told = "prove, then put into service: awskeep rotate work --finish";
    check(made, 0, told, &[]);
    check(
        made,
        1,
        told,
        &["the new key AKIABBBBBBBBBBBBBBBB, made 2026-11-23T08:00:00Z, is not in service"],
    );
    check(
        |item| item.intent = intent(BORN),
        1,
        "stays until the new key is in service",
        &["a rotation was begun 2026-11-23T08:00:00Z, and no new key of it is stored here"],
    );
}

#[test]
fn a_replaced_key_is_leased_then_held_then_deleted() {
    let leased = |item: &mut Item| {
        item.previous = slot("B", |slot| slot.leased_until = Some(BORN + Span::days(1)));
    };
    let command = "awskeep rotate work --finish";
    check(
        leased,
        0,
        &format!("deactivate once its leases are over: {command}"),
        &[],
    );
    check(leased, 2, &format!("deactivate: {command}"), &[]);
    check(
        leased,
        3,
        &format!("deactivate: {command}"),
        &[
            "the replaced key AKIABBBBBBBBBBBBBBBB is still active, though its leases ended 2026-11-24T08:00:00Z",
        ],
    );
    let held = |item: &mut Item| {
        leased(item);
        if let Some(previous) = &mut item.previous {
            previous.inactive_seen_at = Some(BORN);
        }
    };
    check(
        held,
        13,
        &format!("delete once its hold is over: {command}"),
        &[],
    );
    check(held, 14, &format!("delete: {command}"), &[]);
    check(
        held,
        16,
        &format!("delete: {command}"),
        &["the replaced key AKIABBBBBBBBBBBBBBBB is not deleted, though its hold ended 7 Dec 2026"],
    );
    let undo = |item: &mut Item| {
        leased(item);
        item.undo_wanted_at = Some(BORN);
    };
    check(undo, 0, "bring back: awskeep rotate work --undo", &[]);
}

#[test]
fn a_failure_counts_until_it_is_made_good() {
    let entry: EntryName = "work".parse().unwrap();
    let other: EntryName = "home".parse().unwrap();
    let receipt =
        |entry: &EntryName, step: &str, result: &str| Record::new(BORN, entry, step).result(result);
    let failed = Record::new(BORN, &entry, "deactivate").failed("Throttling");
    for (later, expected) in [
        (vec![], Some(&failed)),
        (vec![receipt(&entry, "prove", "done")], Some(&failed)),
        (vec![receipt(&other, "deactivate", "done")], Some(&failed)),
        (vec![receipt(&entry, "deactivate", "done")], None),
        (vec![receipt(&entry, "promote", "replaces X")], None),
    ] {
        let mut receipts = vec![failed.clone()];
        receipts.extend(later);
        assert_eq!(last_failure(&receipts, &entry), expected);
    }
}

#[test]
fn where_keys_are_handled_in_sessions_a_held_key_waits_for_the_next() {
    let mut item = item();
    item.previous = slot("B", |slot| {
        slot.leased_until = Some(BORN);
        slot.inactive_seen_at = Some(BORN);
    });
    let rules = KeyRules {
        handled_by: HandledBy::Session,
        max_age: None,
        ..RULES
    };
    let now = BORN + Span::days(60);
    let life = EntryReport::of(&item, rules, now);
    assert_eq!(
        life.keys.last().unwrap().next_told(now),
        "delete in the MFA session of the next rotation: awskeep rotate work"
    );
    assert_eq!(life.attention, []);
}

#[test]
fn a_session_that_ended_too_early_is_told_with_the_command_that_goes_on() {
    let told = |change: fn(&mut Item)| {
        let mut item = item();
        change(&mut item);
        session_over(&item, BORN).map(|attention| attention.command)
    };
    let command = |flag: &str| Some(format!("awskeep rotate work{flag}"));
    assert_eq!(told(|_| ()), None);
    let replaced = |item: &mut Item| item.previous = slot("B", |_| ());
    assert_eq!(told(replaced), command(" --finish"));
    let held = |item: &mut Item| {
        item.previous = slot("B", |slot| slot.inactive_seen_at = Some(BORN));
    };
    assert_eq!(told(held), None);
    let pending = |item: &mut Item| item.pending = slot("B", |_| ());
    assert_eq!(told(pending), command(" --finish"));
    let begun = |item: &mut Item| item.intent = intent(BORN);
    assert_eq!(told(begun), command(" --finish"));
    let undone = |item: &mut Item| item.undo_wanted_at = Some(BORN);
    assert_eq!(told(undone), command(" --undo"));
}
