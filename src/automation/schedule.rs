//! When an entry's turn comes without a person, and what is remembered between two
//! such runs: failures, refusals, what was said. Pure.
//!
//! What is remembered only makes runs rarer and quieter; it may be lost at any time.
//! Whether a key may be touched is the rotation's own decision, from AWS's word.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind};
use crate::lifecycle::report::{HandledBy, KeyRules};
use crate::lifecycle::timeline;
use crate::lifecycle::timeline::{deactivate_at, due_at};
use crate::store::item::{Item, Slot};
use crate::types::lease::{Attended, Auto};
use crate::types::time::{Span, Timestamp};

/// The first wait after a failure; it doubles with each further one.
pub const FIRST_BACK_OFF: Span = Span::hours(1);

/// The longest wait between two tries, and the least between two reminders.
pub const A_DAY: Span = Span::days(1);

/// Shells look again after this long at the latest, so that a clock that was wrong
/// for a while, or settings that were edited by hand, stop nothing for ever.
pub const LONGEST_SLEEP: Span = Span::days(7);

/// Times further ahead were noted while the clock was wrong.
pub const BELIEVABLE: Span = Span::days(8);

/// Trouble that usually passes by itself (offline, locked store) is said once it has
/// gone on for this long.
const PATIENCE: Span = Span::days(3);

/// An entry whose `auto` is on and whose key is due for so long is overdue.
const OVERDUE: Span = Span::days(2);

/// The part of `max_age` by which automatic rotations are spread.
const A_THIRTIETH: NonZeroU64 = NonZeroU64::new(30).expect("30 is not 0");

/// How many numbers of 16 bits there are.
const OF_A_NUMBER: NonZeroU64 = NonZeroU64::new(1 << 16).expect("65,536 is not 0");

/// What an entry's turn is decided from.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    pub item: &'a Item,
    pub rules: KeyRules,
    pub auto: Auto,
    pub now: Timestamp,
}

/// What is remembered of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// What the rest is about: the entry's key ids and settings. Others begin anew.
    pub about: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// No try before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Why it waits for a person, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// When something about it was last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said_at: Option<Timestamp>,
    /// From when on a prompt shows that the key is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_due_at: Option<Timestamp>,
    /// Since when a new key is on its way, or an old one on its way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// What was last said of endpoints in the environment that are not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints_said: Option<String>,
}

/// What to do for an entry, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextTurn {
    /// Nothing ever, as things are.
    Never,
    At(Timestamp, Work),
}

/// What a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Replace the key.
    Rotate,
    /// Go on with what was begun: put into service, deactivate, delete.
    GoOn,
    /// Say that the key is due, since `auto` is off.
    SayDue,
    /// Say again that a person is needed.
    SayWaits,
}

/// When the entry's turn comes, and for what.
pub fn turn(situation: &Situation<'_>, past: &ScheduleState) -> NextTurn {
    let Some((time, work)) = ready(situation) else {
        return NextTurn::Never;
    };
    let now = situation.now;
    let past = past.still_of(situation);
    let held_back = past
        .not_before
        .filter(|until| until.since(now) <= BELIEVABLE);
    let after_saying = past
        .said_at
        .filter(|said| *said <= now)
        .map(|said| said + A_DAY);
    match (past.waits, work) {
        (Some(_), _) => NextTurn::At(time.max(after_saying.unwrap_or(time)), Work::SayWaits),
        (None, Work::SayDue) => NextTurn::At(time.max(after_saying.unwrap_or(time)), work),
        (None, _) => NextTurn::At(time.max(held_back.unwrap_or(time)), work),
    }
}

/// When there is something to do, and what, as the item and the settings have it.
fn ready(situation: &Situation<'_>) -> Option<(Timestamp, Work)> {
    let item = situation.item;
    if let Some(since) = begun_at(item) {
        return Some((since, Work::GoOn));
    }
    // A held key that takes an MFA session is deleted in the next rotation's.
    let next_session = situation.rules.handled_by == HandledBy::Session;
    let waits = |previous: &&Slot| next_session && previous.inactive_seen_at.is_some();
    if let Some(previous) = item.previous.as_ref().filter(|slot| !waits(slot)) {
        let at = match previous.inactive_seen_at {
            Some(seen) => timeline::delete_at(previous, seen, situation.rules.hold),
            None => deactivate_at(&item.current, previous, Attended::No),
        };
        return Some((at, Work::GoOn));
    }
    let due = due_at(&item.current, situation.rules.max_age)?;
    match situation.auto {
        // How old it is only AWS knows: the run looks, and rotates if it is due.
        Auto::On if item.current.created_at.is_none() => {
            Some((item.current.saved_at, Work::Rotate))
        }
        Auto::On => Some((due + jitter(item, situation.rules.max_age?), Work::Rotate)),
        Auto::Off => Some((due, Work::SayDue)),
    }
}

/// Since when a rotation or an undo waits to be gone on with.
fn begun_at(item: &Item) -> Option<Timestamp> {
    let begun = item.intent.as_ref().map(|intent| intent.at);
    let pending = item.pending.as_ref().map(|slot| slot.saved_at);
    item.undo_wanted_at.or(pending).or(begun)
}

/// Up to a thirtieth of `max_age`, the same for a key at each look: entries and
/// machines that began on one day need not rotate in one minute.
fn jitter(item: &Item, max_age: Span) -> Span {
    let mut hash = Sha256::new();
    hash.update(item.entry.as_str());
    hash.update(item.current.id.as_str());
    let digest = hash.finalize();
    let number = u64::from(u16::from_be_bytes([digest[0], digest[1]]));
    most_jitter(max_age).times(number).part_of(OF_A_NUMBER)
}

fn most_jitter(max_age: Span) -> Span {
    max_age.part_of(A_THIRTIETH)
}

/// What memories are about: they end with the keys and settings that they were of.
fn subject(situation: &Situation<'_>) -> String {
    let slots = situation.item.slots();
    let ids: Vec<String> = slots
        .map(|(name, slot)| format!("{name} {}", slot.id))
        .collect();
    let max_age = situation
        .rules
        .max_age
        .map_or("never".into(), |age| age.to_string());
    format!(
        "{}; auto {:?}, max_age {max_age}, hold {}",
        ids.join(", "),
        situation.auto,
        situation.rules.hold
    )
}

impl ScheduleState {
    /// What of it still counts.
    #[must_use]
    pub fn still_of(&self, situation: &Situation<'_>) -> ScheduleState {
        match self.about == subject(situation) {
            true => self.clone(),
            false => self.anew(),
        }
    }

    /// Of another key, or under other settings, only what was said is still said.
    #[must_use]
    pub fn anew(&self) -> ScheduleState {
        ScheduleState {
            said_at: self.said_at.filter(|_| self.waits.is_none()),
            endpoints_said: self.endpoints_said.clone(),
            ..ScheduleState::default()
        }
    }

    /// What is remembered after a run that did what there was to do; the next step can
    /// be taken at `next_step`.
    #[must_use]
    pub fn after_success(&self, next_step: Option<Timestamp>, now: Timestamp) -> ScheduleState {
        ScheduleState {
            failures: 0,
            failing_since: None,
            waits: None,
            // A turn that changed nothing must not come again at once; what is further
            // ahead than shells sleep would not be believed.
            not_before: Some(
                next_step
                    .unwrap_or(now)
                    .clamp(now + FIRST_BACK_OFF, now + LONGEST_SLEEP),
            ),
            ..self.clone()
        }
    }

    /// What is remembered after a run that failed.
    #[must_use]
    pub fn after_failure(&self, failure: &Error, now: Timestamp) -> ScheduleState {
        let failed = ScheduleState {
            failing_since: Some(self.failing_since.map_or(now, |since| since.min(now))),
            ..self.clone()
        };
        if needs_a_person(failure) {
            return ScheduleState {
                waits: Some(first_line(failure)),
                // The back-off of an earlier failure is over.
                not_before: None,
                ..failed
            };
        }
        ScheduleState {
            waits: None,
            failures: self.failures.saturating_add(1),
            not_before: Some(now + doubled(FIRST_BACK_OFF, self.failures)),
            ..failed
        }
    }

    /// The same, about the entry as it is now.
    #[must_use]
    pub fn about(&self, situation: &Situation<'_>) -> ScheduleState {
        let (item, max_age) = (situation.item, situation.rules.max_age);
        let slack = match situation.auto {
            Auto::Off => Span::ZERO,
            Auto::On => most_jitter(max_age.unwrap_or_default()) + OVERDUE,
        };
        ScheduleState {
            about: subject(situation),
            shown_due_at: due_at(&item.current, max_age).map(|due| due + slack),
            begun_at: begun_at(item),
            ..self.clone()
        }
    }

    /// Whether trouble is to be said now: what needs a person at once, what may pass
    /// by itself after some days; both once a day.
    pub fn to_be_said(&self, now: Timestamp) -> bool {
        let said_lately = self
            .said_at
            .is_some_and(|said| said <= now && now < said + A_DAY);
        (self.waits.is_some() || self.fails_lastingly(now)) && !said_lately
    }

    fn fails_lastingly(&self, now: Timestamp) -> bool {
        self.failing_since
            .is_some_and(|since| now.since(since) >= PATIENCE)
    }
}

/// Whether only a person can mend it. What may pass by itself is tried again, ever later.
fn needs_a_person(failure: &Error) -> bool {
    match failure.kind {
        Kind::Failed | Kind::Store | Kind::Unfinished => false,
        Kind::Usage
        | Kind::NotFound
        | Kind::PersonNeeded
        | Kind::Aws
        | Kind::Attention
        | Kind::Bug => true,
    }
}

fn first_line(failure: &Error) -> String {
    failure
        .message
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A wait after so many others, each twice as long, up to a day.
pub fn doubled(first: Span, before: u32) -> Span {
    first.times(1 << before.min(10)).min(A_DAY)
}

pub fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A few characters about what is remembered, for a shell's prompt; none if all is well.
pub fn prompt_mark<'a>(
    pasts: impl Iterator<Item = &'a ScheduleState>,
    now: Timestamp,
) -> Option<PromptMark> {
    pasts.filter_map(|past| mark_of(past, now)).max()
}

/// From the least to the most urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PromptMark {
    /// A new key is on its way into service.
    NewKey,
    Due,
    /// A person is needed.
    Attention,
}

impl PromptMark {
    pub fn text(self) -> &'static str {
        match self {
            PromptMark::NewKey => "key+",
            PromptMark::Due => "key due",
            PromptMark::Attention => "key!",
        }
    }
}

fn mark_of(past: &ScheduleState, now: Timestamp) -> Option<PromptMark> {
    if past.waits.is_some() || past.fails_lastingly(now) {
        return Some(PromptMark::Attention);
    }
    if past.begun_at.is_some() {
        return Some(PromptMark::NewKey);
    }
    let due = past.shown_due_at.is_some_and(|due| now >= due);
    due.then_some(PromptMark::Due)
}

#[cfg(test)]
mod tests;
