//! Each row of the plan's table for `recover`, and where room is made, by name.

use crate::aws::KeyStatus;
use crate::lifecycle::model::*;
use crate::lifecycle::observed::*;
use crate::lifecycle::plan::{Death, Question, Refusal, Step, Wait};
use crate::lifecycle::plan_tests::*;
use crate::store::item::Slot;
use crate::types::keys::AccessKeyId;
use crate::types::time::Span;
use crate::ui::YesNo;

use KeyStatus::{Active, Expired, Inactive};

fn strange() -> KeyStatus {
    KeyStatus::Other("Odd".into())
}

/// The same under `recover`, signed by somebody else; `keys` are listed.
fn recover(mut known: Observed, keys: &[(&str, KeyStatus)]) -> Observed {
    known.request.trigger = Trigger::Recover;
    known.signed = Signed::ByOther {
        via: "boss".parse().unwrap(),
    };
    let rows = keys
        .iter()
        .map(|(text, status)| listed(text, status.clone()));
    known.listing = Listing::Keys(rows.collect());
    known
}

/// `A` is deleted, and STS says so.
fn without_current(known: Observed, keys: &[(&str, KeyStatus)]) -> Observed {
    let mut known = recover(known, keys);
    known.proof = not_accepted(A, NotYet::NotAccepted);
    known
}

fn say(known: &mut Observed, question: Question, answer: YesNo) {
    known.answers.push((question, answer));
}

fn reactivate(text: &str) -> Question {
    Question::Reactivate(id(text))
}

fn serve(text: &str) -> Question {
    Question::Serve(id(text))
}

fn prove(known: &mut Observed, proofs: std::collections::BTreeMap<AccessKeyId, Proof>) {
    known.proof.extend(proofs);
}

fn pending_slot(known: &mut Observed) -> &mut Slot {
    known.item.pending.as_mut().unwrap()
}

#[test]
fn row_recover_foreign_fresh_intent_refuses() {
    let known = recover(intent(), &[]);
    let at = known.item.intent.as_ref().unwrap().at;
    let step = Step::Refuse(Refusal::SomebodyElseRotates {
        host: "elsewhere".into(),
        at,
    });
    check(known, |k| k.intent_is = IntentIs::Foreign, step);
}

#[test]
fn row_recover_needs_a_session_of_the_other_profile() {
    let bare = |k: &mut Observed| k.listing = Listing::NeedsMfa;
    let needed = Step::Refuse(Refusal::NeedsMfa);
    check(recover(plain(), &[]), bare, needed);
}

#[test]
fn row_recover_current_that_works_is_done() {
    for keys in [&[(A, Active)][..], &[], &[(B, Active)]] {
        for base in [plain, intent, pending, replaced] {
            check(recover(base(), keys), |_| {}, Step::Prove(id(A)));
            let works = |k: &mut Observed| k.proof = accepted(A);
            check(recover(base(), keys), works, Step::Done);
        }
    }
}

#[test]
fn row_recover_current_not_proven_yet_waits() {
    let wait = || {
        let (id, said) = (id(A), "no".into());
        Step::Wait(Wait::CurrentNotProven { id, said })
    };
    let stopped = Step::Wait(Wait::Stopped);
    for keys in [&[(A, Active)][..], &[]] {
        for (because, step) in [
            (NotYet::NoAnswer, wait()),
            (NotYet::Stopped, stopped.clone()),
        ] {
            let change = |k: &mut Observed| k.proof = not_accepted(A, because);
            check(recover(plain(), keys), change, step);
        }
    }
    // Listed as active: a young key may not be known everywhere, an old one is.
    let young = |seconds| {
        move |k: &mut Observed| {
            k.proof = not_accepted(A, NotYet::NotAccepted);
            k.item.current.promoted_at = Some(NOW - Span::seconds(seconds));
        }
    };
    let make = Step::Ask(Question::MakeKey);
    check(recover(plain(), &[(A, Active)]), young(599), wait());
    check(recover(plain(), &[(A, Active)]), young(600), make.clone());
    check(recover(plain(), &[]), young(599), make);
}

#[test]
fn row_recover_current_unusable_here_is_passed_over() {
    let bad = |k: &mut Observed| k.proof = wrong(A);
    let active = [(A, Active), (B, Active)];
    check(recover(replaced(), &active), bad, Step::Ask(serve(B)));
    check(
        recover(plain(), &active[..1]),
        bad,
        Step::Ask(Question::MakeKey),
    );
    let expired = [(A, Expired)];
    check(
        recover(plain(), &expired),
        |_| {},
        Step::Ask(Question::MakeKey),
    );
}

#[test]
fn row_recover_current_inactive_is_activated_if_a_person_agrees() {
    let known = || recover(replaced(), &[(A, Inactive), (B, Active)]);
    check(known(), |_| {}, Step::Ask(reactivate(A)));
    let said = |answer| move |k: &mut Observed| say(k, reactivate(A), answer);
    check(known(), said(YesNo::Yes), Step::Activate(id(A)));
    // Declined: the next row is offered.
    check(known(), said(YesNo::No), Step::Ask(serve(B)));
    let activated = |k: &mut Observed| {
        said(YesNo::Yes)(k);
        k.activated.insert(id(A));
    };
    check(known(), activated, Step::Prove(id(A)));
    let back = |k: &mut Observed| {
        activated(k);
        k.proof = accepted(A);
    };
    check(known(), back, Step::Done);
}

#[test]
fn row_recover_revoked_is_never_brought_back() {
    let current = |k: &mut Observed| k.item.current.revoked_at = Some(NOW);
    let known = recover(held(), &[(A, Inactive), (B, Inactive)]);
    check(known.clone(), current, Step::Ask(reactivate(B)));
    let both = |k: &mut Observed| {
        current(k);
        previous(k).revoked_at = Some(NOW);
    };
    check(known, both, Step::Refuse(Refusal::TwoKeys));
    let active = without_current(replaced(), &[(B, Active)]);
    let leaked = |k: &mut Observed| previous(k).revoked_at = Some(NOW);
    check(active, leaked, Step::Ask(Question::MakeKey));
}

#[test]
fn row_recover_lost_key_is_deleted() {
    for keys in [&[(B, Active)][..], &[]] {
        let received = |k: &mut Observed| k.received.extend([id(B)]);
        let known = without_current(intent(), keys);
        check(known, received, Step::DeleteLost(id(B)));
        // One that is in a slot is not lost.
        let known = without_current(pending(), keys);
        check(known, received, Step::Ask(serve(B)));
    }
}

#[test]
fn row_recover_pending_is_promoted_without_settling() {
    for keys in [&[(B, Active)][..], &[]] {
        let known = || {
            let mut known = without_current(pending(), keys);
            pending_slot(&mut known).created_at = Some(NOW);
            known
        };
        check(known(), |_| {}, Step::Ask(serve(B)));
        for question in [serve(B), Question::MakeKey] {
            let agreed = |k: &mut Observed| say(k, question.clone(), YesNo::Yes);
            check(known(), agreed, Step::Prove(id(B)));
            let proven = |k: &mut Observed| {
                agreed(k);
                prove(k, accepted(B));
            };
            check(known(), proven, Step::Promote);
        }
    }
    let slow = |k: &mut Observed| {
        say(k, serve(B), YesNo::Yes);
        prove(k, not_accepted(B, NotYet::NotAccepted));
    };
    let (key, said) = (id(B), "no".into());
    let wait = Step::Wait(Wait::PendingNotProven { id: key, said });
    check(without_current(pending(), &[(B, Active)]), slow, wait);
    let inactive = || without_current(pending(), &[(B, Inactive)]);
    check(inactive(), |_| {}, Step::Ask(reactivate(B)));
    let agreed = |k: &mut Observed| say(k, reactivate(B), YesNo::Yes);
    check(inactive(), agreed, Step::Activate(id(B)));
    let activated = |k: &mut Observed| {
        agreed(k);
        k.activated.insert(id(B));
    };
    check(inactive(), activated, Step::Prove(id(B)));
}

#[test]
fn row_recover_pending_of_another_user_refuses_and_keeps_it() {
    let change = |k: &mut Observed| {
        say(k, serve(B), YesNo::Yes);
        prove(k, wrong(B));
    };
    let (id, said) = (id(B), "eve".into());
    let step = Step::Refuse(Refusal::WrongPending { id, said });
    check(without_current(pending(), &[(B, Active)]), change, step);
}

#[test]
fn row_recover_pending_gone_is_dropped_for_a_new_key() {
    let absent = |seconds| {
        move |k: &mut Observed| {
            pending_slot(k).absent_seen_at = Some(NOW - Span::seconds(seconds));
        }
    };
    let known = || without_current(pending(), &[]);
    check(known(), absent(899), Step::Ask(serve(B)));
    check(known(), absent(900), Step::DropPending);
    let expired = without_current(pending(), &[(B, Expired)]);
    check(expired, |_| {}, Step::DropPending);
}

#[test]
fn row_recover_pending_that_is_declined_is_not_lost() {
    let kept = Step::Refuse(Refusal::WouldLose(id(B)));
    let declined = |k: &mut Observed| say(k, reactivate(B), YesNo::No);
    let known = without_current(pending(), &[(B, Inactive)]);
    check(known, declined, kept.clone());
    let declined = |k: &mut Observed| say(k, serve(B), YesNo::No);
    check(without_current(pending(), &[]), declined, kept);
}

#[test]
fn row_recover_previous_is_swapped() {
    let active = || without_current(replaced(), &[(B, Active)]);
    check(active(), |_| {}, Step::Ask(serve(B)));
    let agreed = |k: &mut Observed| say(k, serve(B), YesNo::Yes);
    check(active(), agreed, Step::Prove(id(B)));
    let proven = |k: &mut Observed| {
        agreed(k);
        prove(k, accepted(B));
    };
    check(active(), proven, Step::Swap);
    let slow = |k: &mut Observed| {
        agreed(k);
        prove(k, not_accepted(B, NotYet::NotAccepted));
    };
    let (key, said) = (id(B), "no".into());
    let wait = Step::Wait(Wait::UndoNotProven { id: key, said });
    check(active(), slow, wait);
    let inactive = without_current(held(), &[(B, Inactive)]);
    check(inactive, |_| {}, Step::Ask(reactivate(B)));
    // Its deactivation may still be on its way.
    let tried = |k: &mut Observed| previous(k).retire_started_at = Some(NOW - Span::seconds(59));
    let until = NOW + Span::seconds(1);
    let wait = Step::Wait(Wait::RetireOnItsWay { until });
    check(active(), tried, wait);
    for keys in [&[][..], &[(B, Expired)]] {
        let gone = without_current(replaced(), keys);
        check(gone, |_| {}, Step::Ask(Question::MakeKey));
    }
}

#[test]
fn row_recover_unknown_status_refuses() {
    let refused = |text| Step::Refuse(Refusal::StrangeStatus(id(text)));
    check(recover(plain(), &[(A, strange())]), |_| {}, refused(A));
    let keys = [(B, strange())];
    check(without_current(pending(), &keys), |_| {}, refused(B));
    check(without_current(replaced(), &keys), |_| {}, refused(B));
    // What can be used without it is.
    let keys = [(A, Inactive), (B, strange())];
    check(recover(pending(), &keys), |_| {}, Step::Ask(reactivate(A)));
}

#[test]
fn row_recover_nothing_usable_and_two_keys_refuses() {
    let known = without_current(plain(), &[(B, Active), ("AKIAXXXXXXXXXXXXXXXX", Active)]);
    check(known, |_| {}, Step::Refuse(Refusal::TwoKeys));
}

#[test]
fn row_recover_nothing_usable_makes_a_key() {
    let known = || without_current(plain(), &[(B, Active)]);
    check(known(), |_| {}, Step::Ask(Question::MakeKey));
    let said = |answer| move |k: &mut Observed| say(k, Question::MakeKey, answer);
    check(known(), said(YesNo::Yes), Step::WriteIntent);
    let dead = Step::Refuse(Refusal::CurrentDead(Death::NotAccepted));
    check(known(), said(YesNo::No), dead);
    let begun = || without_current(intent(), &[]);
    check(begun(), said(YesNo::Yes), Step::Mint);
    let stale = |k: &mut Observed| {
        said(YesNo::Yes)(k);
        k.intent_is = IntentIs::Foreign;
        k.item.intent.as_mut().unwrap().at = NOW - Span::minutes(10);
    };
    check(begun(), stale, Step::WriteIntent);
    for create in [
        CreateSaid::NoAnswer,
        CreateSaid::Unclear("HTTP 403".into()),
        CreateSaid::MadeButLost,
    ] {
        let step = Step::Wait(Wait::NoAnswerToCreate(create.clone()));
        let lost = |k: &mut Observed| {
            said(YesNo::Yes)(k);
            k.create = create;
        };
        check(begun(), lost, step);
    }
}

#[test]
fn row_previous_held_makes_room_for_a_new_key_if_a_person_agrees() {
    let wanted = |k: &mut Observed| k.request.trigger = Trigger::Now;
    let question = Question::MakeRoom(id(B));
    check(held(), wanted, Step::Ask(question.clone()));
    let until = NOW + Span::days(13);
    for (answer, step) in [
        (YesNo::Yes, Step::Delete(id(B))),
        (YesNo::No, Step::Wait(Wait::Held { until })),
    ] {
        let said = |k: &mut Observed| {
            wanted(k);
            say(k, question.clone(), answer);
        };
        check(held(), said, step);
    }
}

#[test]
fn row_revoke_makes_room_at_once_and_retires_at_once() {
    let wanted = |trigger| {
        move |k: &mut Observed| {
            k.request.trigger = trigger;
            k.request.retire = RetireMode::Retire;
            k.request.make_room = MakeRoom::Yes;
            if let Some(previous) = &mut k.item.previous {
                previous.leased_until = Some(NOW + Span::days(1));
            }
        }
    };
    // In the way of the new key: deactivated, then deleted, whatever its leases.
    check(replaced(), wanted(Trigger::Now), Step::Deactivate(id(B)));
    check(held(), wanted(Trigger::Now), Step::Delete(id(B)));
    check(plain(), wanted(Trigger::Now), Step::WriteIntent);
    let gone = |k: &mut Observed| {
        wanted(Trigger::Now)(k);
        k.listing = active(&[A]);
        previous(k).absent_seen_at = Some(NOW);
    };
    check(held(), gone, Step::Delete(id(B)));
    // The leaked key, once another is in service.
    check(replaced(), wanted(Trigger::Finish), Step::Deactivate(id(B)));
    let until = NOW + Span::days(13);
    let held_on = |k: &mut Observed| {
        wanted(Trigger::Finish)(k);
        previous(k).leased_until = Some(NOW - Span::days(1));
    };
    check(held(), held_on, Step::Wait(Wait::Held { until }));
}
