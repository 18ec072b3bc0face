//! The edges of the plan's rows: whose proof it is, the very second a time is over,
//! which steps need AWS's time.

use crate::lifecycle::model::*;
use crate::lifecycle::observed::*;
use crate::lifecycle::plan::{Question, Refusal, Step, Wait, next_step};
use crate::lifecycle::plan_tests::*;
use crate::store::durable::Kept;
use crate::types::lease::Attended;
use crate::types::time::Span;
use crate::ui::YesNo;

#[test]
fn undo_heeds_the_proof_of_the_key_that_it_is_about() {
    let wanted = |mut known: Observed| {
        known.item.undo_wanted_at = Some(NOW);
        known
    };
    let refused = Step::Refuse(Refusal::WrongPending {
        id: id(B),
        said: "eve".into(),
    });
    check(wanted(replaced()), |k| k.proof = wrong(B), refused);
    let again = || Step::Prove(id(B));
    check(wanted(replaced()), |k| k.proof = wrong(A), again());
    for because in [NotYet::NotAccepted, NotYet::NoAnswer, NotYet::Stopped] {
        let proof = not_accepted(A, because);
        check(wanted(replaced()), |k| k.proof = proof, again());
    }
    let stopped = not_accepted(B, NotYet::Stopped);
    let step = Step::Wait(Wait::Stopped);
    check(wanted(replaced()), |k| k.proof = stopped, step);
    // Both an intent and a replaced key: what was begun last is taken back first.
    let both = |k: &mut Observed| k.item.intent = intent().item.intent;
    check(wanted(replaced()), both, Step::ClearIntent);
}

#[test]
fn a_pending_key_is_not_judged_by_another_keys_proof() {
    for proof in [not_accepted(A, NotYet::NotAccepted), wrong(A)] {
        check(pending(), |k| k.proof = proof, Step::Prove(id(B)));
    }
}

#[test]
fn a_lease_that_ends_this_second_is_over() {
    let ends_now = |k: &mut Observed| {
        k.last_use = LastUseSaid::Never;
        previous(k).leased_until = Some(NOW);
    };
    check(replaced(), ends_now, Step::Deactivate(id(B)));
}

#[test]
fn what_can_be_taken_back_needs_no_aws_time() {
    let timeless = |k: &mut Observed| k.aws_time = AwsTime::NotSaid;
    check(plain(), timeless, Step::WriteIntent);
    check(intent(), timeless, Step::Mint);
    check(pending(), timeless, Step::Prove(id(B)));
    let unattended = |k: &mut Observed| {
        timeless(k);
        k.request.attended = Attended::Yes;
    };
    check(replaced(), unattended, Step::AskLastUse(id(B)));
    let other = |k: &mut Observed| {
        timeless(k);
        k.listing = active(&[A, B]);
    };
    check(plain(), other, Step::Refuse(Refusal::OtherKey(id(B))));
}

#[test]
fn a_key_is_young_for_ten_minutes_after_what_befell_it_last() {
    let ago = |seconds| NOW - Span::seconds(seconds);
    for (saved, created, promoted, young) in [
        (9_999, Some(599), None, true),
        (9_999, Some(600), None, false),
        (9_999, Some(86_400), Some(599), true),
        (9_999, Some(86_400), Some(600), false),
        (9_999, Some(599), Some(86_400), true),
        // An old key that was added just now is known everywhere.
        (5, Some(600), None, false),
        (5, None, None, false),
        (9_999, None, Some(599), true),
    ] {
        let mut slot = pending().item.pending.unwrap();
        slot.saved_at = ago(saved);
        slot.created_at = created.map(ago);
        slot.promoted_at = promoted.map(ago);
        let told = format!("{saved} {created:?} {promoted:?}");
        assert_eq!(is_young(&slot, NOW), young, "{told}");
    }
}

#[test]
fn a_key_that_was_active_in_between_is_held_anew() {
    use crate::aws::{KeyStatus, ListedKey};
    let shown = |status: KeyStatus| {
        [
            listed(A, KeyStatus::Active),
            ListedKey {
                status,
                ..listed(B, KeyStatus::Active)
            },
        ]
    };
    let inactive_since = NOW - Span::days(13);
    let mut known = held();
    previous(&mut known).inactive_seen_at = Some(inactive_since);
    previous(&mut known).leased_until = Some(NOW - Span::days(20));
    let item = &mut known.item;
    let mut look = |status, at| {
        remember(item, &shown(status), at);
        let previous = item.previous.as_ref().unwrap();
        (previous.inactive_seen_at, previous.reactivated_seen_at)
    };
    // A list that lags behind our own deactivation tells of nobody.
    let soon = inactive_since + Span::seconds(119);
    let first = Some(inactive_since);
    assert_eq!(look(KeyStatus::Active, soon), (first, None));
    let back = inactive_since + Span::minutes(2);
    assert_eq!(look(KeyStatus::Active, back), (first, Some(back)));
    // The first sight counts.
    assert_eq!(look(KeyStatus::Active, NOW), (first, Some(back)));
    let again = NOW - Span::days(1);
    assert_eq!(look(KeyStatus::Inactive, again), (Some(again), Some(back)));
    assert_eq!(look(KeyStatus::Inactive, NOW), (Some(again), Some(back)));
    // Unused or not: who had it back may want it back again.
    known.last_use = LastUseSaid::Never;
    let until = again + Span::days(14);
    check(known, |_| {}, Step::Wait(Wait::Held { until }));
}

#[test]
fn a_replaced_key_is_retired_only_once_the_store_has_kept_the_new_one() {
    let until = NOW + Span::seconds(9);
    let early = |mut known: Observed, early| {
        known.request.retire = early;
        known
    };
    for (known, retires) in [
        (
            early(replaced(), RetireMode::Retire),
            Step::Deactivate(id(B)),
        ),
        (early(held(), RetireMode::Delete), Step::Delete(id(B))),
    ] {
        let question = Question::RetireUnkept;
        let asked = Step::Ask(question.clone());
        for (kept, answer, expected) in [
            (Kept::Yes, None, retires.clone()),
            (Kept::From(until), None, Step::LetKeep { until }),
            (Kept::From(until), Some(YesNo::Yes), Step::LetKeep { until }),
            (Kept::Unsure, None, asked),
            (Kept::Unsure, Some(YesNo::No), Step::Wait(Wait::NotKept)),
            (Kept::Unsure, Some(YesNo::Yes), retires.clone()),
        ] {
            let mut known = known.clone();
            known.kept = kept;
            known.answers = answer
                .map(|answer| (question.clone(), answer))
                .into_iter()
                .collect();
            assert_eq!(next_step(&known), expected);
        }
    }
    let mut leased = replaced();
    leased.kept = Kept::Unsure;
    previous(&mut leased).leased_until = Some(until);
    assert_eq!(next_step(&leased), Step::Wait(Wait::Leased { until }));
}
