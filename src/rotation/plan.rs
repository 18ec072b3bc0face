//! What to do next, from what is known. Pure: one `if` per row of the table in
//! the design, in its order; every row has a test named after it.
//!
//! Deciding by age or by "never used" would delete other people's keys: a key that
//! nobody can explain is asked about, always.

use super::known::{
    Activated, AwsTime, CLOCKS_APART, CreateSaid, Early, IntentIs, Known, LIST_LAG, LastUseSaid,
    Life, Listing, NotYet, Proof, Unsure,
};
pub use super::step::{Death, LateUse, Refusal, Step, Wait};
use super::timeline;
use crate::keys::AccessKeyId;
use crate::time::{Length, Time};
use crate::vault::durable::Kept;
use crate::vault::item::Slot;

/// Between the two lists that make sure that the current key is gone.
const CURRENT_GONE: Length = Length::minutes(10);

/// Between the two lists that make sure that another key is gone.
pub(super) const GONE: Length = Length::minutes(15);

/// A request that was sent so long ago has arrived or never will.
const ARRIVED: Length = Length::seconds(60);

/// How long somebody else's intent is respected.
const FOREIGN_FRESH: Length = Length::minutes(10);

/// The next step. What is irreversible needs AWS's time, and ours near it.
pub fn next_step(known: &Known) -> Step {
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
fn once_kept(k: &Known, step: Step) -> Step {
    let retires = matches!(step, Step::Deactivate(_) | Step::Delete(_));
    match (k.kept, k.policy.unsure) {
        (Kept::From(until), _) if retires => Step::LetKeep { until },
        (Kept::Unsure, Unsure::Wait) if retires => Step::Wait(Wait::NotKept),
        (Kept::Yes | Kept::From(_) | Kept::Unsure, Unsure::Wait | Unsure::GoOn) => step,
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

fn by_the_table(k: &Known) -> Step {
    let item = &k.item;
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

/// "current inactive, expired, or absent from two successful lists": the row that
/// comes before all others.
fn current_in_doubt(k: &Known) -> Option<Step> {
    let current = &k.item.current;
    let dead = |death| Some(Step::Refuse(Refusal::CurrentDead(death)));
    let others = [&k.item.pending, &k.item.previous];
    if others
        .iter()
        .any(|slot| slot.as_ref().is_some_and(|slot| slot.id == current.id))
    {
        return Some(Step::Refuse(Refusal::DamagedItem));
    }
    if k.listing == Listing::NotAccepted {
        return dead(Death::NotAccepted);
    }
    match k.life(&current.id) {
        Life::Inactive if just_changed(k, current.promoted_at) => {
            Some(not_listed_yet(current.promoted_at))
        }
        Life::Inactive => dead(Death::Inactive),
        Life::Absent if k.absent_for(current, CURRENT_GONE) => dead(Death::Gone),
        Life::Absent => Some(Step::Wait(Wait::CurrentUnseen)),
        Life::Strange => Some(Step::Refuse(Refusal::StrangeStatus(current.id.clone()))),
        Life::Active | Life::NotLookedUp => None,
    }
}

/// "AWS shows nothing without an MFA session": what needs none goes on without it,
/// so that nobody is asked for a code too early or for a held key alone.
fn without_session(k: &Known) -> Step {
    let item = &k.item;
    let begun = item.undo_wanted_at.is_some() || item.pending.is_some() || item.intent.is_some();
    let needed = Step::Refuse(Refusal::NeedsMfa);
    if begun || k.policy.discard.is_some() || k.policy.early > Early::No {
        return needed;
    }
    match &item.previous {
        None if k.due() => needed,
        None => Step::Done,
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
fn too_early(k: &Known, previous: &Slot) -> Option<Wait> {
    let until = timeline::leased_until(previous);
    if k.now() < until {
        return Some(Wait::Leased { until });
    }
    let until = timeline::deactivate_at(&k.item.current, previous, k.policy.attended);
    (k.now() < until).then_some(Wait::LastUseNotKnownYet { until })
}

/// "undo intent".
fn undo(k: &Known) -> Step {
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
    if let Some(tried) = previous.retire_started_at {
        let until = tried + ARRIVED;
        return if k.now() < until {
            Step::Wait(Wait::RetireOnItsWay { until })
        } else {
            // Activating notes that no retirement is under way any more.
            Step::Activate(id)
        };
    }
    if k.life(&id) == Life::Inactive && k.activated == Activated::No {
        return Step::Activate(id);
    }
    match &k.proof {
        Proof::Accepted { id: proven } if *proven == id => Step::Swap,
        Proof::Wrong { id: proven, said } if *proven == id => {
            let said = said.clone();
            Step::Refuse(Refusal::WrongPending { id, said })
        }
        Proof::NotYet {
            id: proven,
            said,
            because,
        } if *proven == id => match because {
            NotYet::Stopped => Step::Wait(Wait::Stopped),
            NotYet::NotAccepted | NotYet::NoAnswer => {
                let said = said.clone();
                Step::Wait(Wait::UndoNotProven { id, said })
            }
        },
        Proof::NotTried | Proof::Accepted { .. } | Proof::Wrong { .. } | Proof::NotYet { .. } => {
            Step::Prove(id)
        }
    }
}

/// "a person names it": listed, in none of the slots.
fn named_by_a_person(k: &Known) -> Option<AccessKeyId> {
    let extra = &k.extra()?.id;
    (k.policy.discard.as_ref() == Some(extra)).then(|| extra.clone())
}

/// The three rows "due".
fn begin(k: &Known) -> Step {
    if let Some(place) = k.policy.in_files.first() {
        return Step::Refuse(Refusal::StandsInFile(place.clone()));
    }
    if let Some(extra) = k.extra() {
        return Step::Refuse(Refusal::OtherKey(extra.id.clone()));
    }
    Step::WriteIntent
}

/// The rows "intent, nothing pending".
fn after_intent(k: &Known) -> Step {
    if let Some(extra) = k.extra() {
        if k.received.contains(&extra.id) {
            return Step::DeleteLost(extra.id.clone());
        }
        return Step::Refuse(Refusal::Unexplained {
            id: extra.id.clone(),
            create: k.create.clone(),
        });
    }
    match k.create {
        CreateSaid::NotAsked if k.intent_is == IntentIs::Foreign => Step::WriteIntent,
        CreateSaid::NotAsked => Step::Mint,
        CreateSaid::LimitExceeded => Step::Refuse(Refusal::EarlierRequest),
        CreateSaid::NoAnswer | CreateSaid::MadeButLost => {
            Step::Wait(Wait::NoAnswerToCreate(k.create.clone()))
        }
    }
}

/// "a foreign fresh intent means that somebody else rotates".
fn foreign_intent(k: &Known) -> Option<Step> {
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
fn after_mint(k: &Known, pending: &Slot) -> Step {
    let id = pending.id.clone();
    if let Proof::Wrong { id: proven, said } = &k.proof
        && *proven == id
    {
        let said = said.clone();
        return Step::Refuse(Refusal::WrongPending { id, said });
    }
    match k.life(&id) {
        Life::Inactive => return Step::Refuse(Refusal::PendingDeactivated(id)),
        Life::Strange => return Step::Refuse(Refusal::StrangeStatus(id)),
        Life::Active | Life::Absent | Life::NotLookedUp => {}
    }
    match &k.proof {
        Proof::Accepted { id: proven } if *proven == id => {
            let until = timeline::settled_at(pending, k.policy.settle);
            return match k.now() < until {
                true => Step::Settle { until },
                false => Step::Promote,
            };
        }
        Proof::NotYet {
            id: proven,
            said,
            because,
        } if *proven == id => {
            if *because == NotYet::NotAccepted && k.absent_for(pending, GONE) {
                return Step::DropPending;
            }
            let said = said.clone();
            return Step::Wait(match because {
                NotYet::Stopped => Wait::Stopped,
                NotYet::NotAccepted | NotYet::NoAnswer => Wait::PendingNotProven { id, said },
            });
        }
        Proof::NotTried | Proof::Accepted { .. } | Proof::Wrong { .. } | Proof::NotYet { .. } => {}
    }
    Step::Prove(id)
}

/// The rows "previous".
fn after_promote(k: &Known, previous: &Slot) -> Step {
    let id = previous.id.clone();
    match k.life(&id) {
        Life::Active => previous_active(k, previous),
        Life::Inactive => previous_inactive(k, previous),
        Life::Absent if k.absent_for(previous, GONE) => Step::Clear,
        Life::Absent => Step::Wait(Wait::GoneUnsure {
            until: previous.absent_seen_at.unwrap_or(k.now()) + GONE,
        }),
        Life::Strange => Step::Refuse(Refusal::StrangeStatus(id)),
        Life::NotLookedUp => Step::Refuse(Refusal::CurrentDead(Death::NotAccepted)),
    }
}

fn previous_active(k: &Known, previous: &Slot) -> Step {
    let id = previous.id.clone();
    if just_changed(k, previous.inactive_seen_at) {
        return match k.policy.early {
            Early::Delete => Step::Delete(id),
            Early::No | Early::Retire => not_listed_yet(previous.inactive_seen_at),
        };
    }
    if k.policy.early >= Early::Retire {
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
fn last_use_gate(k: &Known, previous: &Slot) -> Option<Step> {
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

fn previous_inactive(k: &Known, previous: &Slot) -> Step {
    let leased_until = timeline::leased_until(previous);
    let seen = previous.inactive_seen_at.unwrap_or(k.now());
    let held_until = timeline::delete_at(previous, seen, k.policy.hold);
    let unused = match &k.last_use {
        LastUseSaid::Never => true,
        LastUseSaid::At { time, .. } => *time <= leased_until,
        LastUseSaid::NotAsked | LastUseSaid::MayNotLook => false,
    };
    // Unused since its last lease ended, and that for longer than the hold: nobody
    // would miss it, however short it has been inactive. Who had it back would.
    let had_back = previous.reactivated_seen_at.is_some();
    let unused_long = k.now() >= timeline::delete_unused_at(previous, k.policy.hold) && !had_back;
    if k.policy.early == Early::Delete || k.now() >= held_until || (unused && unused_long) {
        return Step::Delete(previous.id.clone());
    }
    if unused_long && k.last_use == LastUseSaid::NotAsked {
        return Step::AskLastUse(previous.id.clone());
    }
    Step::Wait(Wait::Held { until: held_until })
}

fn just_changed(k: &Known, at: Option<Time>) -> bool {
    at.is_some_and(|at| k.now() < at + LIST_LAG)
}

fn not_listed_yet(at: Option<Time>) -> Step {
    let until = at.unwrap_or_default() + LIST_LAG;
    Step::Wait(Wait::NotListedYet { until })
}
