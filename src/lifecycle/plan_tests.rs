//! Each row of the plan's table by name: what is known, and the next step.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::{KeyStatus, ListedKey};
use crate::lifecycle::model::*;
use crate::lifecycle::observed::*;
use crate::lifecycle::plan::{Death, LateUse, Refusal, Step, Wait, next_step};
use crate::store::durable::Kept;
use crate::store::item::{Intent, Item, Slot};
use crate::types::keys::{AccessKey, AccessKeyId};
use crate::types::lease::Attended;
use crate::types::time::{Span, Timestamp};

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000);
pub(super) const A: &str = "AKIAAAAAAAAAAAAAAAAA";
pub(super) const B: &str = "AKIABBBBBBBBBBBBBBBB";
const X: &str = "AKIAXXXXXXXXXXXXXXXX";

pub(super) fn id(text: &str) -> AccessKeyId {
    text.parse().unwrap()
}

fn slot(text: &str, saved_at: Timestamp) -> Slot {
    let mut slot = Slot::new(AccessKey::from_pasted(text, "secret").unwrap(), saved_at);
    slot.created_at = Some(saved_at);
    slot
}

pub(super) fn listed(text: &str, status: KeyStatus) -> ListedKey {
    ListedKey {
        id: id(text),
        status,
        created_at: None,
    }
}

pub(super) fn active(texts: &[&str]) -> Listing {
    Listing::Keys(
        texts
            .iter()
            .map(|text| listed(text, KeyStatus::Active))
            .collect(),
    )
}

/// `A` in service for a year and listed; a person wants a new key now.
pub(super) fn plain() -> Observed {
    let key = AccessKey::from_pasted(A, "secret").unwrap();
    let mut item = Item::new("work".parse().unwrap(), key, NOW - Span::days(365));
    item.current.created_at = Some(NOW - Span::days(365));
    Observed {
        item,
        listing: active(&[A]),
        aws_time: AwsTime::At(NOW),
        local_time: NOW,
        request: Request {
            trigger: Trigger::Now,
            attended: Attended::Yes,
            retire: RetireMode::No,
            settle: Span::seconds(15),
            hold: Span::days(14),
            max_age: Some(Span::days(90)),
            lease: Span::hours(1),
            discard: None,
            make_room: MakeRoom::Ask,
            in_files: Vec::new(),
        },
        intent_is: IntentIs::Ours,
        received: BTreeSet::new(),
        create: CreateSaid::NotAsked,
        proof: BTreeMap::new(),
        last_use: LastUseSaid::NotAsked,
        activated: BTreeSet::new(),
        kept: Kept::Yes,
        answers: Vec::new(),
        signed: Signed::ByCurrent,
    }
}

pub(super) fn intent() -> Observed {
    let mut known = plain();
    known.item.intent = Some(Intent {
        nonce: "n".into(),
        at: NOW - Span::minutes(1),
        host: "elsewhere".into(),
        seen: vec![id(A)],
        pad: String::new(),
        unknown: serde_json::Map::new(),
    });
    known
}

/// `B` made a minute ago, not yet proven.
pub(super) fn pending() -> Observed {
    let mut known = intent();
    known.item.pending = Some(slot(B, NOW - Span::minutes(1)));
    known.listing = active(&[A, B]);
    known
}

/// `A` in service since two days, `B` replaced; leases on it over since a day.
pub(super) fn replaced() -> Observed {
    let mut known = plain();
    known.request.trigger = Trigger::Finish;
    known.item.current.promoted_at = Some(NOW - Span::days(2));
    let mut previous = slot(B, NOW - Span::days(400));
    previous.leased_until = Some(NOW - Span::days(1));
    known.item.previous = Some(previous);
    known.listing = active(&[A, B]);
    known
}

/// `B` deactivated a day ago.
pub(super) fn held() -> Observed {
    let mut known = replaced();
    previous(&mut known).inactive_seen_at = Some(NOW - Span::days(1));
    known.listing = Listing::Keys(vec![
        listed(A, KeyStatus::Active),
        listed(B, KeyStatus::Inactive),
    ]);
    known
}

pub(super) fn previous(known: &mut Observed) -> &mut Slot {
    known.item.previous.as_mut().unwrap()
}

#[track_caller]
pub(super) fn check(mut known: Observed, change: impl FnOnce(&mut Observed), expected: Step) {
    change(&mut known);
    assert_eq!(next_step(&known), expected, "{known:#?}");
}

type Proofs = BTreeMap<AccessKeyId, Proof>;

pub(super) fn accepted(text: &str) -> Proofs {
    Proofs::from([(id(text), Proof::Accepted)])
}

pub(super) fn wrong(text: &str) -> Proofs {
    let said = "eve".into();
    Proofs::from([(id(text), Proof::Wrong { said })])
}

pub(super) fn not_accepted(text: &str, because: NotYet) -> Proofs {
    let said = "no".into();
    Proofs::from([(id(text), Proof::NotYet { said, because })])
}

#[test]
fn row_current_dead_refuses() {
    let dead = |death| Step::Refuse(Refusal::CurrentDead(death));
    for base in [plain, intent, pending, replaced] {
        for status in [KeyStatus::Inactive, KeyStatus::Expired] {
            let list = Listing::Keys(vec![listed(A, status)]);
            check(base(), |k| k.listing = list, dead(Death::Inactive));
        }
        let not_accepted = |k: &mut Observed| k.listing = Listing::NotAccepted;
        check(base(), not_accepted, dead(Death::NotAccepted));
        let absent = |since: Span| {
            move |k: &mut Observed| {
                k.listing = active(&[]);
                k.item.current.absent_seen_at = Some(NOW - since);
            }
        };
        check(base(), absent(Span::minutes(10)), dead(Death::Gone));
        let unseen = Step::Wait(Wait::CurrentUnseen);
        check(base(), absent(Span::seconds(599)), unseen);
    }
    let strange = Listing::Keys(vec![listed(A, KeyStatus::Other("Odd".into()))]);
    let refused = Step::Refuse(Refusal::StrangeStatus(id(A)));
    check(plain(), |k| k.listing = strange, refused);
}

#[test]
fn a_current_key_brought_back_just_now_may_still_be_listed_inactive() {
    let list = || Listing::Keys(vec![listed(A, KeyStatus::Inactive)]);
    let change = |age: u64| {
        move |k: &mut Observed| {
            k.listing = list();
            k.item.current.promoted_at = Some(NOW - Span::seconds(age));
        }
    };
    let until = NOW + Span::seconds(1);
    check(
        replaced(),
        change(119),
        Step::Wait(Wait::NotListedYet { until }),
    );
    let dead = Step::Refuse(Refusal::CurrentDead(Death::Inactive));
    check(replaced(), change(120), dead);
}

#[test]
fn row_undo_brings_the_previous_key_back() {
    let wanted = |mut known: Observed| {
        known.item.undo_wanted_at = Some(NOW);
        known
    };
    let pending_first = Step::DeletePending(id(B));
    check(wanted(pending()), |_| {}, pending_first);
    check(wanted(intent()), |_| {}, Step::ClearIntent);
    check(wanted(plain()), |_| {}, Step::ClearIntent);
    check(wanted(held()), |_| {}, Step::Activate(id(B)));
    check(wanted(replaced()), |_| {}, Step::Prove(id(B)));
    let activated = |k: &mut Observed| k.activated.extend([id(B)]);
    check(wanted(held()), activated, Step::Prove(id(B)));
    check(wanted(replaced()), |k| k.proof = accepted(B), Step::Swap);
    check(
        wanted(replaced()),
        |k| k.proof = accepted(A),
        Step::Prove(id(B)),
    );
    let tried = |age: u64| {
        move |k: &mut Observed| {
            previous(k).retire_started_at = Some(NOW - Span::seconds(age));
        }
    };
    let until = NOW + Span::seconds(1);
    let on_its_way = Step::Wait(Wait::RetireOnItsWay { until });
    check(wanted(replaced()), tried(59), on_its_way);
    check(wanted(replaced()), tried(60), Step::Activate(id(B)));
    let gone = |k: &mut Observed| {
        k.listing = active(&[A]);
        previous(k).absent_seen_at = Some(NOW - Span::minutes(15));
    };
    let refused = Step::Refuse(Refusal::UndoGone(id(B)));
    check(wanted(replaced()), gone, refused);
    let leaked = |k: &mut Observed| previous(k).revoked_at = Some(NOW);
    let refused = Step::Refuse(Refusal::Revoked(id(B)));
    check(wanted(replaced()), leaked, refused);
    let (id, said) = (id(B), "no".to_owned());
    let slow = Step::Wait(Wait::UndoNotProven { id, said });
    for because in [NotYet::NotAccepted, NotYet::NoAnswer] {
        let proof = not_accepted(B, because);
        check(wanted(replaced()), |k| k.proof = proof, slow.clone());
    }
}

#[test]
fn row_nothing_in_flight_and_not_due_is_done() {
    check(plain(), |k| k.request.trigger = Trigger::Finish, Step::Done);
    let age = |days: u64| {
        move |k: &mut Observed| {
            k.request.trigger = Trigger::IfDue;
            k.item.current.created_at = Some(NOW - Span::days(days));
        }
    };
    check(plain(), age(59), Step::Done);
    check(plain(), age(60), Step::WriteIntent);
    let never = |k: &mut Observed| {
        age(1_000)(k);
        k.request.max_age = None;
    };
    check(plain(), never, Step::Done);
}

#[test]
fn row_due_but_the_id_stands_in_a_file_refuses() {
    let place = InFile {
        path: "/home/me/.aws/credentials".into(),
        line: 2,
    };
    let step = Step::Refuse(Refusal::StandsInFile(place.clone()));
    check(plain(), |k| k.request.in_files = vec![place], step);
}

#[test]
fn row_due_but_another_key_exists_refuses() {
    let another = |k: &mut Observed| k.listing = active(&[A, X]);
    let step = Step::Refuse(Refusal::OtherKey(id(X)));
    check(plain(), another, step);
    let named = |k: &mut Observed| {
        another(k);
        k.request.discard = Some(id(X));
    };
    check(plain(), named, Step::Discard(id(X)));
    let other_named = |k: &mut Observed| {
        another(k);
        k.request.discard = Some(id(B));
    };
    check(plain(), other_named, Step::Refuse(Refusal::OtherKey(id(X))));
    // Having a receipt is not enough without an intent: it may be in use elsewhere.
    let received = |k: &mut Observed| {
        another(k);
        k.received.insert(id(X));
    };
    check(plain(), received, Step::Refuse(Refusal::OtherKey(id(X))));
}

#[test]
fn row_due_and_one_key_writes_an_intent() {
    check(plain(), |_| {}, Step::WriteIntent);
}

#[test]
fn a_foreign_fresh_intent_is_somebody_elses_rotation() {
    let foreign = |minutes: u64| {
        move |k: &mut Observed| {
            k.intent_is = IntentIs::Foreign;
            k.item.intent.as_mut().unwrap().at = NOW - Span::minutes(minutes);
        }
    };
    for base in [intent, pending] {
        let step = Step::Refuse(Refusal::SomebodyElseRotates {
            host: "elsewhere".into(),
            at: NOW - Span::minutes(9),
        });
        check(base(), foreign(9), step);
    }
    check(intent(), foreign(10), Step::WriteIntent);
    check(pending(), foreign(10), Step::Prove(id(B)));
}

#[test]
fn row_intent_and_a_key_with_a_receipt_deletes_it() {
    let change = |k: &mut Observed| {
        k.listing = active(&[A, X]);
        k.received.insert(id(X));
    };
    check(intent(), change, Step::DeleteLost(id(X)));
}

#[test]
fn row_intent_and_an_unexplained_key_asks() {
    for create in [
        CreateSaid::NotAsked,
        CreateSaid::NoAnswer,
        CreateSaid::Unclear("HTTP 403".into()),
        CreateSaid::MadeButLost,
    ] {
        let said = create.clone();
        let change = |k: &mut Observed| {
            k.listing = active(&[A, X]);
            k.received.insert(id(B));
            k.create = said;
        };
        let step = Step::Refuse(Refusal::Unexplained { id: id(X), create });
        check(intent(), change, step);
    }
    let named = |k: &mut Observed| {
        k.listing = active(&[A, X]);
        k.request.discard = Some(id(X));
    };
    check(intent(), named, Step::Discard(id(X)));
}

#[test]
fn row_intent_and_nothing_unexplained_mints() {
    check(intent(), |_| {}, Step::Mint);
    for said in [
        CreateSaid::NoAnswer,
        CreateSaid::Unclear("HTTP 403".into()),
        CreateSaid::MadeButLost,
    ] {
        let step = Step::Wait(Wait::NoAnswerToCreate(said.clone()));
        check(intent(), |k| k.create = said, step);
    }
}

#[test]
fn row_limit_exceeded_with_one_key_listed_is_unfinished() {
    let change = |k: &mut Observed| k.create = CreateSaid::LimitExceeded;
    check(intent(), change, Step::Refuse(Refusal::EarlierRequest));
}

#[test]
fn row_pending_of_another_user_refuses() {
    let step = Step::Refuse(Refusal::WrongPending {
        id: id(B),
        said: "eve".into(),
    });
    check(pending(), |k| k.proof = wrong(B), step);
}

#[test]
fn row_pending_inactive_refuses() {
    for status in [KeyStatus::Inactive, KeyStatus::Expired] {
        let list = Listing::Keys(vec![listed(A, KeyStatus::Active), listed(B, status)]);
        let change = |k: &mut Observed| {
            k.listing = list;
            k.proof = accepted(B);
        };
        check(
            pending(),
            change,
            Step::Refuse(Refusal::PendingDeactivated(id(B))),
        );
    }
    let odd = Listing::Keys(vec![
        listed(A, KeyStatus::Active),
        listed(B, KeyStatus::Other("Odd".into())),
    ]);
    check(
        pending(),
        |k| k.listing = odd,
        Step::Refuse(Refusal::StrangeStatus(id(B))),
    );
}

#[test]
fn row_pending_is_proven_settled_and_promoted() {
    check(pending(), |_| {}, Step::Prove(id(B)));
    check(pending(), |k| k.proof = accepted(A), Step::Prove(id(B)));
    check(pending(), |k| k.proof = accepted(B), Step::Promote);
    let made = NOW - Span::seconds(14);
    let young = |k: &mut Observed| {
        k.proof = accepted(B);
        k.item.pending.as_mut().unwrap().created_at = Some(made);
    };
    let until = NOW + Span::seconds(1);
    check(pending(), young, Step::Settle { until });
    let slow = |because| {
        let proof = not_accepted(B, because);
        move |k: &mut Observed| k.proof = proof
    };
    let (id, said) = (id(B), "no".to_owned());
    let step = Step::Wait(Wait::PendingNotProven { id, said });
    check(pending(), slow(NotYet::NotAccepted), step.clone());
    check(pending(), slow(NotYet::NoAnswer), step);
    check(pending(), slow(NotYet::Stopped), Step::Wait(Wait::Stopped));
}

#[test]
fn row_pending_gone_is_dropped() {
    let gone = |seconds: u64, because| {
        move |k: &mut Observed| {
            k.listing = active(&[A]);
            k.proof = not_accepted(B, because);
            let pending = k.item.pending.as_mut().unwrap();
            pending.absent_seen_at = Some(NOW - Span::seconds(seconds));
        }
    };
    check(pending(), gone(900, NotYet::NotAccepted), Step::DropPending);
    let (id, said) = (id(B), "no".to_owned());
    let step = Step::Wait(Wait::PendingNotProven { id, said });
    check(pending(), gone(899, NotYet::NotAccepted), step.clone());
    check(pending(), gone(900, NotYet::NoAnswer), step.clone());
    let back = |k: &mut Observed| {
        gone(900, NotYet::NotAccepted)(k);
        k.listing = active(&[A, B]);
    };
    check(pending(), back, step);
}

#[test]
fn row_previous_reactivated_refuses() {
    let seen = |seconds: u64| {
        move |k: &mut Observed| {
            k.last_use = LastUseSaid::Never;
            previous(k).inactive_seen_at = Some(NOW - Span::seconds(seconds));
        }
    };
    check(
        replaced(),
        seen(120),
        Step::Refuse(Refusal::Reactivated(id(B))),
    );
    let until = NOW + Span::seconds(1);
    check(
        replaced(),
        seen(119),
        Step::Wait(Wait::NotListedYet { until }),
    );
    for (early, expected) in [
        (RetireMode::Retire, Step::Wait(Wait::NotListedYet { until })),
        (RetireMode::Delete, Step::Delete(id(B))),
    ] {
        let change = |k: &mut Observed| {
            seen(119)(k);
            k.request.retire = early;
        };
        check(replaced(), change, expected);
    }
    for early in [RetireMode::Retire, RetireMode::Delete] {
        let change = |k: &mut Observed| {
            seen(120)(k);
            k.request.retire = early;
        };
        check(replaced(), change, Step::Deactivate(id(B)));
    }
}

#[test]
fn row_previous_leased_waits() {
    let leased = |k: &mut Observed| {
        k.last_use = LastUseSaid::Never;
        previous(k).leased_until = Some(NOW + Span::seconds(1));
    };
    let until = NOW + Span::seconds(1);
    check(replaced(), leased, Step::Wait(Wait::Leased { until }));
    for early in [RetireMode::Retire, RetireMode::Delete] {
        let change = |k: &mut Observed| {
            leased(k);
            k.request.retire = early;
        };
        check(replaced(), change, Step::Deactivate(id(B)));
    }
    let unknown = |k: &mut Observed| {
        k.last_use = LastUseSaid::Never;
        previous(k).leased_until = None;
    };
    let until = NOW - Span::days(400) + Span::days(36_500);
    check(replaced(), unknown, Step::Wait(Wait::Leased { until }));
}

#[test]
fn row_previous_used_late_refuses() {
    let used = |after: i64| {
        move |k: &mut Observed| {
            k.last_use = LastUseSaid::At {
                time: Timestamp(previous(k).leased_until.unwrap().0 + after),
                service: "s3".into(),
                region: "eu-west-1".into(),
            }
        }
    };
    check(replaced(), used(0), Step::Deactivate(id(B)));
    let use_of = LateUse {
        time: NOW - Span::days(1) + Span::seconds(1),
        service: "s3".into(),
        region: "eu-west-1".into(),
    };
    let step = Step::Refuse(Refusal::UsedLate { id: id(B), use_of });
    check(replaced(), used(1), step);
    check(replaced(), |_| {}, Step::AskLastUse(id(B)));
}

#[test]
fn unattended_the_last_use_is_asked_for_a_day_after_the_promote() {
    let promoted = |hours: u64, attended| {
        move |k: &mut Observed| {
            k.request.attended = attended;
            k.item.current.promoted_at = Some(NOW - Span::hours(hours));
            previous(k).leased_until = Some(NOW - Span::minutes(1));
        }
    };
    let until = NOW + Span::hours(1);
    let wait = Step::Wait(Wait::LastUseNotKnownYet { until });
    check(replaced(), promoted(23, Attended::No), wait);
    check(
        replaced(),
        promoted(24, Attended::No),
        Step::AskLastUse(id(B)),
    );
    check(
        replaced(),
        promoted(23, Attended::Yes),
        Step::AskLastUse(id(B)),
    );
}

#[test]
fn where_the_last_use_may_not_be_looked_at_a_week_passes() {
    let blind = |days: u64| {
        move |k: &mut Observed| {
            k.last_use = LastUseSaid::MayNotLook;
            previous(k).leased_until = Some(NOW - Span::days(days));
        }
    };
    let until = NOW + Span::days(1);
    check(replaced(), blind(6), Step::Wait(Wait::MayNotLook { until }));
    check(replaced(), blind(7), Step::Deactivate(id(B)));
}

#[test]
fn row_previous_active_is_deactivated() {
    check(
        replaced(),
        |k| k.last_use = LastUseSaid::Never,
        Step::Deactivate(id(B)),
    );
}

#[test]
fn row_previous_held_waits() {
    let until = NOW + Span::days(13);
    check(held(), |_| {}, Step::Wait(Wait::Held { until }));
    let still_leased = |k: &mut Observed| {
        previous(k).inactive_seen_at = Some(NOW - Span::days(20));
        previous(k).leased_until = Some(NOW + Span::days(1));
    };
    let until = NOW + Span::days(1);
    check(held(), still_leased, Step::Wait(Wait::Held { until }));
}

#[test]
fn unused_for_as_long_as_the_hold_counts_as_held() {
    let long = |k: &mut Observed, last_use| {
        previous(k).leased_until = Some(NOW - Span::days(14));
        k.last_use = last_use;
    };
    let at = |time| LastUseSaid::At {
        time,
        service: "s3".into(),
        region: "eu-west-1".into(),
    };
    check(held(), |k| long(k, LastUseSaid::Never), Step::Delete(id(B)));
    let before = at(NOW - Span::days(14));
    check(held(), |k| long(k, before), Step::Delete(id(B)));
    check(
        held(),
        |k| long(k, LastUseSaid::NotAsked),
        Step::AskLastUse(id(B)),
    );
    let until = NOW + Span::days(13);
    for last_use in [at(NOW - Span::days(13)), LastUseSaid::MayNotLook] {
        check(
            held(),
            |k| long(k, last_use),
            Step::Wait(Wait::Held { until }),
        );
    }
    let not_yet = |k: &mut Observed| {
        long(k, LastUseSaid::Never);
        previous(k).leased_until = Some(NOW - Span::days(14) + Span::seconds(1));
    };
    check(held(), not_yet, Step::Wait(Wait::Held { until }));
}

#[test]
fn row_previous_held_long_enough_is_deleted() {
    let over = |k: &mut Observed| previous(k).inactive_seen_at = Some(NOW - Span::days(14));
    check(held(), over, Step::Delete(id(B)));
    check(
        held(),
        |k| k.request.retire = RetireMode::Delete,
        Step::Delete(id(B)),
    );
    let until = NOW + Span::days(13);
    let retire = |k: &mut Observed| k.request.retire = RetireMode::Retire;
    check(held(), retire, Step::Wait(Wait::Held { until }));
}

#[test]
fn row_previous_gone_is_cleared() {
    let gone = |seconds: u64| {
        move |k: &mut Observed| {
            k.listing = active(&[A]);
            previous(k).absent_seen_at = Some(NOW - Span::seconds(seconds));
        }
    };
    check(held(), gone(900), Step::Clear);
    let until = NOW + Span::seconds(1);
    check(held(), gone(899), Step::Wait(Wait::GoneUnsure { until }));
}

#[test]
fn nothing_irreversible_trusts_one_clock_alone() {
    let never = |mut known: Observed| {
        known.last_use = LastUseSaid::Never;
        known
    };
    let mut proven = pending();
    proven.proof = accepted(B);
    let mut over = held();
    previous(&mut over).inactive_seen_at = Some(NOW - Span::days(14));
    let mut undo = replaced();
    undo.item.undo_wanted_at = Some(NOW);
    undo.proof = accepted(B);
    for known in [proven, never(replaced()), over, undo] {
        check(
            known.clone(),
            |k| k.aws_time = AwsTime::NotSaid,
            Step::Wait(Wait::NoAwsTime),
        );
        for local in [NOW + Span::seconds(301), NOW - Span::seconds(301)] {
            let step = Step::Wait(Wait::ClocksApart { aws: NOW, local });
            check(known.clone(), |k| k.local_time = local, step);
        }
        let step = next_step(&known);
        check(known, |k| k.local_time = NOW + Span::seconds(300), step);
    }
}

#[test]
fn an_item_with_one_key_in_two_places_is_left_alone() {
    let twice = |k: &mut Observed| k.item.previous = Some(k.item.current.clone());
    check(plain(), twice, Step::Refuse(Refusal::DamagedItem));
    let twice = |k: &mut Observed| k.item.pending = Some(k.item.current.clone());
    check(plain(), twice, Step::Refuse(Refusal::DamagedItem));
}

#[test]
fn what_lists_show_is_remembered() {
    let mut known = pending();
    known.item.previous = replaced().item.previous;
    known.item.previous.as_mut().unwrap().id = id(X);
    let item = &mut known.item;
    let rows = [listed(A, KeyStatus::Active), listed(X, KeyStatus::Inactive)];
    assert_eq!(remember(item, &rows, NOW), Learned::Something);
    assert_eq!(item.current.absent_seen_at, None);
    assert_eq!(item.pending.as_ref().unwrap().absent_seen_at, Some(NOW));
    assert_eq!(item.previous.as_ref().unwrap().inactive_seen_at, Some(NOW));
    // The first sight counts, and a key that is back was never gone.
    let later = NOW + Span::hours(1);
    assert_eq!(remember(item, &rows, later), Learned::Nothing);
    let rows = [listed(A, KeyStatus::Active), listed(B, KeyStatus::Active)];
    assert_eq!(remember(item, &rows, later), Learned::Something);
    assert_eq!(item.pending.as_ref().unwrap().absent_seen_at, None);
    let previous = item.previous.as_ref().unwrap();
    assert_eq!(previous.absent_seen_at, Some(later));
}

#[test]
fn row_previous_kept_for_a_sender_is_never_retired_here() {
    let kept = |mut known: Observed| {
        known.item.previous.as_mut().unwrap().kept_for = Some("build host".into());
        known
    };
    let refused = Step::Refuse(Refusal::KeptForSender(id(B)));
    for known in [replaced(), held()] {
        let retired = known.clone();
        check(kept(known.clone()), |_| {}, Step::Done);
        assert_ne!(next_step(&retired), Step::Done);
        let now = |k: &mut Observed| k.request.trigger = Trigger::Now;
        check(kept(known.clone()), now, refused.clone());
        let makes_room = |k: &mut Observed| {
            k.request.trigger = Trigger::Now;
            k.request.make_room = MakeRoom::Yes;
        };
        check(kept(known.clone()), makes_room, refused.clone());
        for retire in [RetireMode::Retire, RetireMode::Delete] {
            let early = |k: &mut Observed| k.request.retire = retire;
            check(kept(known.clone()), early, refused.clone());
        }
    }
    // The sender deleted it: two lists lack it.
    let gone = |minutes: u64| {
        move |k: &mut Observed| {
            k.listing = active(&[A]);
            previous(k).absent_seen_at = Some(NOW - Span::minutes(minutes));
        }
    };
    check(kept(replaced()), gone(15), Step::Clear);
    let until = NOW + Span::minutes(1);
    let unsure = Step::Wait(Wait::GoneUnsure { until });
    check(kept(replaced()), gone(14), unsure);
    // It is nobody's business of an MFA session either.
    let bare = |k: &mut Observed| {
        k.listing = Listing::NeedsMfa;
        k.aws_time = AwsTime::NotSaid;
    };
    check(kept(replaced()), bare, Step::Done);
}

#[test]
fn row_nothing_shown_without_mfa_asks_for_a_session_only_where_one_is_needed() {
    let bare = |change: fn(&mut Observed)| {
        move |k: &mut Observed| {
            k.listing = Listing::NeedsMfa;
            k.aws_time = AwsTime::NotSaid;
            k.request.trigger = Trigger::Finish;
            change(k);
        }
    };
    let needed = Step::Refuse(Refusal::NeedsMfa);
    let now = |k: &mut Observed| k.request.trigger = Trigger::Now;
    check(plain(), bare(|_| ()), Step::Done);
    check(plain(), bare(now), needed.clone());
    check(intent(), bare(|_| ()), needed.clone());
    check(pending(), bare(|_| ()), needed.clone());
    let discard = |k: &mut Observed| k.request.discard = Some(id(X));
    check(plain(), bare(discard), needed.clone());

    let leased = |k: &mut Observed| previous(k).leased_until = Some(NOW + Span::seconds(1));
    let until = NOW + Span::seconds(1);
    let waits = Step::Wait(Wait::Leased { until });
    check(replaced(), bare(leased), waits.clone());
    let over = |k: &mut Observed| previous(k).leased_until = Some(NOW);
    check(replaced(), bare(over), needed.clone());
    let alone = |k: &mut Observed| {
        k.request.attended = Attended::No;
        k.item.current.promoted_at = Some(NOW - Span::hours(23));
    };
    let until = NOW + Span::hours(1);
    let early = Step::Wait(Wait::LastUseNotKnownYet { until });
    check(replaced(), bare(alone), early);
    let retire = |k: &mut Observed| k.request.retire = RetireMode::Retire;
    check(replaced(), bare(retire), needed.clone());
    let undo = |k: &mut Observed| k.item.undo_wanted_at = Some(NOW);
    check(replaced(), bare(undo), needed.clone());

    check(held(), bare(|_| ()), Step::Wait(Wait::NextSession));
    check(held(), bare(now), needed.clone());
    let delete = |k: &mut Observed| k.request.retire = RetireMode::Delete;
    check(held(), bare(delete), needed.clone());
    check(held(), bare(undo), needed);
}
