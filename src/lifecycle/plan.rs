//! What to do next, from what is known. Pure: one `if` per row of the table in
//! the design, in its order; every row has a test named after it.
//!
//! Deciding by age or by "never used" would delete other people's keys: a key that
//! nobody can explain is asked about, always.

use crate::aws::KeyStatus;
use crate::lifecycle::model::{CreateSaid, MakeRoom, RetireMode, Trigger};
use crate::lifecycle::observed::{
    AwsTime, CLOCKS_APART, IntentIs, KeyState, LIST_LAG, LastUseSaid, Listing, NotYet, Observed,
    Proof, is_young,
};
pub use crate::lifecycle::step::{Death, LateUse, Question, Refusal, Step, Wait};
use crate::lifecycle::timeline;
use crate::store::durable::Kept;
use crate::store::item::Slot;
use crate::types::keys::AccessKeyId;
use crate::types::time::{Span, Timestamp};
use crate::ui::YesNo;

/// Between the two lists that make sure that the current key is gone.
const CURRENT_GONE: Span = Span::minutes(10);

/// Between the two lists that make sure that another key is gone.
pub(super) const GONE: Span = Span::minutes(15);

/// A request that was sent so long ago has arrived or never will.
const ARRIVED: Span = Span::seconds(60);

/// How long somebody else's intent is respected.
const FOREIGN_FRESH: Span = Span::minutes(10);

/// The next step. What is irreversible needs AWS's time, and ours near it.
pub fn next_step(known: &Observed) -> Step {
    let step = once_kept(known, by_the_table(known));
    match (needs_time(&step), known.aws_time, known.clocks_apart()) {
        (false, _, _) => step,
        (true, AwsTime::At(aws), Some(apart)) if apart > CLOCKS_APART => {
            Step::Wait(Wait::ClocksApart {
                aws,
                local: known.local_time,
            })
        }
        (true, AwsTime::At(_), _) => step,
        (true, AwsTime::NotSaid, _) => Step::Wait(Wait::NoAwsTime),
    }
}

/// "a store has kept a key when it would survive a crash": until then the replaced key,
/// even inactive, is the only other one whose secret anybody has.
fn once_kept(k: &Observed, step: Step) -> Step {
    let retires = matches!(step, Step::Deactivate(_) | Step::Delete(_));
    match (k.kept, k.answer(&Question::RetireUnkept)) {
        (Kept::From(until), _) if retires => Step::LetKeep { until },
        (Kept::Unsure, None) if retires => Step::Ask(Question::RetireUnkept),
        (Kept::Unsure, Some(YesNo::No)) if retires => Step::Wait(Wait::NotKept),
        (Kept::Yes | Kept::From(_) | Kept::Unsure, _) => step,
    }
}

/// Whether the step cannot be taken back, or fixes a time.
fn needs_time(step: &Step) -> bool {
    match step {
        Step::Promote
        | Step::DropPending
        | Step::Swap
        | Step::Deactivate(_)
        | Step::Delete(_)
        | Step::Clear => true,
        Step::Done
        | Step::Refuse(_)
        | Step::Wait(_)
        | Step::Ask(_)
        | Step::WriteIntent
        | Step::ClearIntent
        | Step::DeleteLost(_)
        | Step::Discard(_)
        | Step::Mint
        | Step::Prove(_)
        | Step::Settle { .. }
        | Step::DeletePending(_)
        | Step::Activate(_)
        | Step::LetKeep { .. }
        | Step::AskLastUse(_) => false,
    }
}

fn by_the_table(k: &Observed) -> Step {
    let item = &k.item;
    if is_damaged(k) {
        return Step::Refuse(Refusal::DamagedItem);
    }
    if k.request.trigger == Trigger::Recover {
        return recover(k);
    }
    if let Some(step) = current_in_doubt(k) {
        return step;
    }
    if let Some(step) = foreign_intent(k) {
        return step;
    }
    if k.listing == Listing::NeedsMfa {
        return without_session(k);
    }
    if item.undo_wanted_at.is_some() {
        return undo(k);
    }
    if !k.in_flight() && !k.due() {
        return Step::Done;
    }
    if let Some(id) = named_by_a_person(k) {
        return Step::Discard(id);
    }
    if !k.in_flight() {
        return begin(k);
    }
    if let (None, Some(_)) = (&item.pending, &item.intent) {
        return after_intent(k);
    }
    if let Some(pending) = &item.pending {
        return after_mint(k, pending);
    }
    match &item.previous {
        Some(previous) => after_promote(k, previous),
        None => Step::Done,
    }
}

/// One key in two places: which of them is meant, nobody knows.
fn is_damaged(k: &Observed) -> bool {
    let others = [&k.item.pending, &k.item.previous];
    let mut others = others.into_iter().flatten();
    others.any(|slot| slot.id == k.item.current.id)
}

/// "current inactive, expired, or absent from two successful lists": the row that
/// comes before all others.
fn current_in_doubt(k: &Observed) -> Option<Step> {
    let current = &k.item.current;
    let dead = |death| Some(Step::Refuse(Refusal::CurrentDead(death)));
    if k.listing == Listing::NotAccepted {
        return dead(Death::NotAccepted);
    }
    match k.state(&current.id) {
        KeyState::Inactive if just_changed(k, current.promoted_at) => {
            Some(not_listed_yet(current.promoted_at))
        }
        KeyState::Inactive => dead(Death::Inactive),
        KeyState::Absent if k.absent_for(current, CURRENT_GONE) => dead(Death::Gone),
        KeyState::Absent => Some(Step::Wait(Wait::CurrentUnseen)),
        KeyState::Strange => Some(Step::Refuse(Refusal::StrangeStatus(current.id.clone()))),
        KeyState::Active | KeyState::NotLookedUp => None,
    }
}

/// "AWS shows nothing without an MFA session": what needs none goes on without it,
/// so that nobody is asked for a code too early or for a held key alone.
fn without_session(k: &Observed) -> Step {
    let item = &k.item;
    let begun = item.undo_wanted_at.is_some() || item.pending.is_some() || item.intent.is_some();
    let needed = Step::Refuse(Refusal::NeedsMfa);
    if begun || k.request.discard.is_some() || k.request.retire > RetireMode::No {
        return needed;
    }
    match &item.previous {
        None if k.due() => needed,
        None => Step::Done,
        Some(previous) if previous.kept_for.is_some() && !k.due() => Step::Done,
        Some(previous) if previous.inactive_seen_at.is_some() => match k.due() {
            true => needed,
            false => Step::Wait(Wait::NextSession),
        },
        Some(previous) => match too_early(k, previous) {
            Some(wait) => Step::Wait(wait),
            None => needed,
        },
    }
}

/// What an active `previous` waits for before anything is asked about it.
fn too_early(k: &Observed, previous: &Slot) -> Option<Wait> {
    let until = timeline::leased_until(previous);
    if k.now() < until {
        return Some(Wait::Leased { until });
    }
    let until = timeline::deactivate_at(&k.item.current, previous, k.request.attended);
    (k.now() < until).then_some(Wait::LastUseNotKnownYet { until })
}

/// "undo intent".
fn undo(k: &Observed) -> Step {
    let item = &k.item;
    if let Some(pending) = &item.pending {
        return Step::DeletePending(pending.id.clone());
    }
    let (None, Some(previous)) = (&item.intent, &item.previous) else {
        return Step::ClearIntent;
    };
    if previous.revoked_at.is_some() {
        return Step::Refuse(Refusal::Revoked(previous.id.clone()));
    }
    if k.absent_for(previous, GONE) {
        return Step::Refuse(Refusal::UndoGone(previous.id.clone()));
    }
    let id = previous.id.clone();
    if let Some(wait) = retire_on_its_way(k, previous) {
        return wait;
    }
    // Activating notes that no retirement is under way any more.
    let inactive = k.state(&id) == KeyState::Inactive && !k.activated.contains(&id);
    if inactive || previous.retire_started_at.is_some() {
        return Step::Activate(id);
    }
    back_in_service(k, id)
}

/// A request to deactivate a key that may still arrive.
fn retire_on_its_way(k: &Observed, previous: &Slot) -> Option<Step> {
    let until = previous.retire_started_at? + ARRIVED;
    (k.now() < until).then_some(Step::Wait(Wait::RetireOnItsWay { until }))
}

/// `previous`, active: proven, then current again.
fn back_in_service(k: &Observed, id: AccessKeyId) -> Step {
    match k.proof.get(&id).cloned() {
        None => Step::Prove(id),
        Some(Proof::Accepted) => Step::Swap,
        Some(Proof::Wrong { said }) => Step::Refuse(Refusal::WrongPending { id, said }),
        Some(Proof::NotYet { said, because }) => Step::Wait(match because {
            NotYet::Stopped => Wait::Stopped,
            NotYet::NotAccepted | NotYet::NoAnswer => Wait::UndoNotProven { id, said },
        }),
    }
}

/// "recover": the served key may be dead, and somebody else signs. A key of the entry is
/// taken if one can be had back, else a new one is made.
fn recover(k: &Observed) -> Step {
    if let Some(step) = foreign_intent(k) {
        return step;
    }
    if k.listing == Listing::NeedsMfa {
        return Step::Refuse(Refusal::NeedsMfa);
    }
    if let Some(step) = recover_current(k) {
        return step;
    }
    let item = &k.item;
    let in_no_slot = |id: &&AccessKeyId| item.slots().all(|(_, slot)| slot.id != **id);
    if let Some(lost) = k.received.iter().find(in_no_slot) {
        return Step::DeleteLost(lost.clone());
    }
    let pending = item.pending.as_ref();
    let previous = item.previous.as_ref();
    let own = pending
        .and_then(|pending| recover_pending(k, pending))
        .or_else(|| previous.and_then(|previous| recover_previous(k, previous)));
    own.unwrap_or_else(|| recover_by_a_new_key(k))
}

/// The rows "recover, current"; none if it cannot be used here.
fn recover_current(k: &Observed) -> Option<Step> {
    let current = &k.item.current;
    let id = current.id.clone();
    let is_listed = match k.status(&id) {
        Some(KeyStatus::Other(_)) => return Some(Step::Refuse(Refusal::StrangeStatus(id))),
        Some(KeyStatus::Expired) => return None,
        Some(KeyStatus::Inactive) if !k.activated.contains(&id) => return reactivate(k, current),
        Some(KeyStatus::Active | KeyStatus::Inactive) => true,
        // Lists lag: nothing is given up on the word of one alone.
        None => false,
    };
    match k.proof.get(&id).cloned() {
        None => Some(Step::Prove(id)),
        Some(Proof::Accepted) => Some(Step::Done),
        Some(Proof::Wrong { .. }) => None,
        Some(Proof::NotYet { said, because }) => match because {
            NotYet::Stopped => Some(Step::Wait(Wait::Stopped)),
            NotYet::NotAccepted if !(is_listed && is_young(current, k.now())) => None,
            NotYet::NotAccepted | NotYet::NoAnswer => {
                Some(Step::Wait(Wait::CurrentNotProven { id, said }))
            }
        },
    }
}

/// The rows "recover, pending": no settle, for there is no working key that could wait.
fn recover_pending(k: &Observed, pending: &Slot) -> Option<Step> {
    match k.status(&pending.id) {
        None if k.absent_for(pending, GONE) => None,
        Some(KeyStatus::Expired) => None,
        status => recover_slot(k, pending, status).map(|step| match step {
            Step::Swap => Step::Promote,
            Step::Wait(Wait::UndoNotProven { id, said }) => {
                Step::Wait(Wait::PendingNotProven { id, said })
            }
            step => step,
        }),
    }
}

/// The rows "recover, previous".
fn recover_previous(k: &Observed, previous: &Slot) -> Option<Step> {
    match k.status(&previous.id) {
        None | Some(KeyStatus::Expired) => None,
        status => recover_slot(k, previous, status),
    }
}

fn recover_slot(k: &Observed, slot: &Slot, status: Option<&KeyStatus>) -> Option<Step> {
    let id = slot.id.clone();
    if let Some(KeyStatus::Other(_)) = status {
        return Some(Step::Refuse(Refusal::StrangeStatus(id)));
    }
    if slot.revoked_at.is_some() {
        return None;
    }
    if let Some(wait) = retire_on_its_way(k, slot) {
        return Some(wait);
    }
    if status == Some(&KeyStatus::Inactive) && !k.activated.contains(&id) {
        return reactivate(k, slot);
    }
    let serve = Question::Serve(id.clone());
    let agreed = [&Question::MakeKey, &Question::Reactivate(id.clone())];
    match k.answer(&serve) {
        None if !agreed.into_iter().any(|question| k.agreed(question)) => Some(Step::Ask(serve)),
        Some(YesNo::No) => None,
        Some(YesNo::Yes) | None => Some(back_in_service(k, id)),
    }
}

/// Whoever deactivated a key had a reason: a person decides, key by key.
fn reactivate(k: &Observed, slot: &Slot) -> Option<Step> {
    let question = Question::Reactivate(slot.id.clone());
    match k.answer(&question) {
        _ if slot.revoked_at.is_some() => None,
        None => Some(Step::Ask(question)),
        Some(YesNo::Yes) => Some(Step::Activate(slot.id.clone())),
        Some(YesNo::No) => None,
    }
}

/// The rows "recover, nothing usable".
fn recover_by_a_new_key(k: &Observed) -> Step {
    if k.listed().len() > 1 {
        return Step::Refuse(Refusal::TwoKeys);
    }
    if let Some(pending) = &k.item.pending {
        return match k.status(&pending.id) {
            None if k.absent_for(pending, GONE) => Step::DropPending,
            Some(KeyStatus::Expired) => Step::DropPending,
            None | Some(_) => Step::Refuse(Refusal::WouldLose(pending.id.clone())),
        };
    }
    match k.answer(&Question::MakeKey) {
        None => Step::Ask(Question::MakeKey),
        Some(YesNo::Yes) => make_key(k),
        Some(YesNo::No) => Step::Refuse(Refusal::CurrentDead(Death::NotAccepted)),
    }
}

/// "a person names it": listed, in none of the slots.
fn named_by_a_person(k: &Observed) -> Option<AccessKeyId> {
    let extra = &k.extra()?.id;
    (k.request.discard.as_ref() == Some(extra)).then(|| extra.clone())
}

/// The three rows "due".
fn begin(k: &Observed) -> Step {
    if let Some(place) = k.request.in_files.first() {
        return Step::Refuse(Refusal::StandsInFile(place.clone()));
    }
    if let Some(extra) = k.extra() {
        return Step::Refuse(Refusal::OtherKey(extra.id.clone()));
    }
    Step::WriteIntent
}

/// The rows "intent, nothing pending".
fn after_intent(k: &Observed) -> Step {
    if let Some(extra) = k.extra() {
        if k.received.contains(&extra.id) {
            return Step::DeleteLost(extra.id.clone());
        }
        return Step::Refuse(Refusal::Unexplained {
            id: extra.id.clone(),
            create: k.create.clone(),
        });
    }
    make_key(k)
}

/// Under an intent of ours, and once.
fn make_key(k: &Observed) -> Step {
    let ours = k.item.intent.is_some() && k.intent_is == IntentIs::Ours;
    match k.create {
        CreateSaid::NotAsked if !ours => Step::WriteIntent,
        CreateSaid::NotAsked => Step::Mint,
        CreateSaid::LimitExceeded => Step::Refuse(Refusal::EarlierRequest),
        CreateSaid::NoAnswer | CreateSaid::Unclear(_) | CreateSaid::MadeButLost => {
            Step::Wait(Wait::NoAnswerToCreate(k.create.clone()))
        }
    }
}

/// "a foreign fresh intent means that somebody else rotates".
fn foreign_intent(k: &Observed) -> Option<Step> {
    let intent = k.item.intent.as_ref()?;
    let fresh = k.now().since(intent.at) < FOREIGN_FRESH;
    (k.intent_is == IntentIs::Foreign && fresh).then(|| {
        Step::Refuse(Refusal::SomebodyElseRotates {
            host: intent.host.clone(),
            at: intent.at,
        })
    })
}

/// The rows "pending".
fn after_mint(k: &Observed, pending: &Slot) -> Step {
    let id = pending.id.clone();
    let proof = k.proof.get(&id).cloned();
    if let Some(Proof::Wrong { said }) = proof {
        return Step::Refuse(Refusal::WrongPending { id, said });
    }
    match k.state(&id) {
        KeyState::Inactive => return Step::Refuse(Refusal::PendingDeactivated(id)),
        KeyState::Strange => return Step::Refuse(Refusal::StrangeStatus(id)),
        KeyState::Active | KeyState::Absent | KeyState::NotLookedUp => {}
    }
    match proof {
        None | Some(Proof::Wrong { .. }) => Step::Prove(id),
        Some(Proof::Accepted) => {
            let until = timeline::settled_at(pending, k.request.settle);
            match k.now() < until {
                true => Step::Settle { until },
                false => Step::Promote,
            }
        }
        Some(Proof::NotYet { said, because }) => match because {
            NotYet::Stopped => Step::Wait(Wait::Stopped),
            NotYet::NotAccepted if k.absent_for(pending, GONE) => Step::DropPending,
            NotYet::NotAccepted | NotYet::NoAnswer => {
                Step::Wait(Wait::PendingNotProven { id, said })
            }
        },
    }
}

/// The rows "previous".
fn after_promote(k: &Observed, previous: &Slot) -> Step {
    let id = previous.id.clone();
    let is_kept = previous.kept_for.is_some();
    match k.state(&id) {
        KeyState::Active | KeyState::Inactive if is_kept => kept_for_sender(k, id),
        KeyState::Active => previous_active(k, previous),
        KeyState::Inactive => previous_inactive(k, previous),
        KeyState::Absent if k.absent_for(previous, GONE) => Step::Clear,
        // It goes whether a list lags or not: a leaked key is not kept waiting for it.
        KeyState::Absent if !is_kept && early(k, previous) == RetireMode::Delete => {
            Step::Delete(id)
        }
        KeyState::Absent => Step::Wait(Wait::GoneUnsure {
            until: previous.absent_seen_at.unwrap_or(k.now()) + GONE,
        }),
        KeyState::Strange => Step::Refuse(Refusal::StrangeStatus(id)),
        KeyState::NotLookedUp => Step::Refuse(Refusal::CurrentDead(Death::NotAccepted)),
    }
}

/// "previous kept for a sender": never deactivated or deleted here.
fn kept_for_sender(k: &Observed, id: AccessKeyId) -> Step {
    match k.due() || k.request.retire > RetireMode::No {
        true => Step::Refuse(Refusal::KeptForSender(id)),
        false => Step::Done,
    }
}

fn previous_active(k: &Observed, previous: &Slot) -> Step {
    let id = previous.id.clone();
    if just_changed(k, previous.inactive_seen_at) {
        return match early(k, previous) {
            RetireMode::Delete => Step::Delete(id),
            RetireMode::No | RetireMode::Retire => not_listed_yet(previous.inactive_seen_at),
        };
    }
    if early(k, previous) >= RetireMode::Retire {
        return Step::Deactivate(id);
    }
    if previous.inactive_seen_at.is_some() {
        return Step::Refuse(Refusal::Reactivated(id));
    }
    if let Some(wait) = too_early(k, previous) {
        return Step::Wait(wait);
    }
    if let Some(step) = last_use_gate(k, previous) {
        return step;
    }
    Step::Deactivate(id)
}

/// "previous active, last used later than `leased_until`".
fn last_use_gate(k: &Observed, previous: &Slot) -> Option<Step> {
    let leased_until = timeline::leased_until(previous);
    match &k.last_use {
        LastUseSaid::NotAsked => Some(Step::AskLastUse(previous.id.clone())),
        LastUseSaid::Never => None,
        LastUseSaid::At { time, .. } if *time <= leased_until => None,
        LastUseSaid::At {
            time,
            service,
            region,
        } => Some(Step::Refuse(Refusal::UsedLate {
            id: previous.id.clone(),
            use_of: LateUse {
                time: *time,
                service: service.clone(),
                region: region.clone(),
            },
        })),
        LastUseSaid::MayNotLook => {
            let until = timeline::deactivate_unseen_at(previous);
            (k.now() < until).then_some(Step::Wait(Wait::MayNotLook { until }))
        }
    }
}

fn previous_inactive(k: &Observed, previous: &Slot) -> Step {
    let leased_until = timeline::leased_until(previous);
    let seen = previous.inactive_seen_at.unwrap_or(k.now());
    let held_until = timeline::delete_at(previous, seen, k.request.hold);
    let unused = match &k.last_use {
        LastUseSaid::Never => true,
        LastUseSaid::At { time, .. } => *time <= leased_until,
        LastUseSaid::NotAsked | LastUseSaid::MayNotLook => false,
    };
    // Unused since its last lease ended, and that for longer than the hold: nobody
    // would miss it, however short it has been inactive. Who had it back would.
    let had_back = previous.reactivated_seen_at.is_some();
    let unused_long = k.now() >= timeline::delete_unused_at(previous, k.request.hold) && !had_back;
    if early(k, previous) == RetireMode::Delete || k.now() >= held_until || (unused && unused_long)
    {
        return Step::Delete(previous.id.clone());
    }
    if unused_long && k.last_use == LastUseSaid::NotAsked {
        return Step::AskLastUse(previous.id.clone());
    }
    let question = Question::MakeRoom(previous.id.clone());
    if k.request.trigger == Trigger::Now && k.answer(&question).is_none() {
        return Step::Ask(question);
    }
    Step::Wait(Wait::Held { until: held_until })
}

/// What may be done to `previous` before its time: what a person wants of it, and one that
/// is in the way of a new key goes.
fn early(k: &Observed, previous: &Slot) -> RetireMode {
    let question = Question::MakeRoom(previous.id.clone());
    let makes_room = k.request.make_room == MakeRoom::Yes || k.agreed(&question);
    match k.request.trigger == Trigger::Now && makes_room {
        true => RetireMode::Delete,
        false => k.request.retire,
    }
}

fn just_changed(k: &Observed, at: Option<Timestamp>) -> bool {
    at.is_some_and(|at| k.now() < at + LIST_LAG)
}

fn not_listed_yet(at: Option<Timestamp>) -> Step {
    let until = at.unwrap_or_default() + LIST_LAG;
    Step::Wait(Wait::NotListedYet { until })
}
