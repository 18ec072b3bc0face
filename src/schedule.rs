//! When an entry's turn comes without a person, and what is remembered between two
//! such runs: failures, refusals, what was said. Pure.
//!
//! What is remembered only makes runs rarer and quieter; it may be lost at any time.
//! Whether a key may be touched is the rotation's own decision, from AWS's word.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind};
use crate::lease::{Auto, due_at};
use crate::rotation::known::born;
use crate::rotation::life::{HandledBy, Rules};
use crate::rotation::plan::LAST_USE_KNOWN;
use crate::time::{Length, Time};
use crate::vault::item::{Item, Slot};

/// The first wait after a failure; it doubles with each further one.
pub const FIRST_BACK_OFF: Length = Length::hours(1);

/// The longest wait between two tries, and the least between two reminders.
pub const A_DAY: Length = Length::days(1);

/// Shells look again after this long at the latest, so that a clock that was wrong
/// for a while, or settings that were edited by hand, stop nothing for ever.
pub const LONGEST_SLEEP: Length = Length::days(7);

/// Times further ahead were noted while the clock was wrong.
pub const BELIEVABLE: Length = Length::days(8);

/// Trouble that usually passes by itself (offline, locked store) is said once it has
/// gone on for this long.
const PATIENCE: Length = Length::days(3);

/// An entry whose `auto` is on and whose key is due for so long is overdue.
const OVERDUE: Length = Length::days(2);

/// What an entry's turn is decided from.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    pub item: &'a Item,
    pub rules: Rules,
    pub auto: Auto,
    pub now: Time,
}

/// What is remembered of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// What the rest is about: the entry's key ids and settings. Others begin anew.
    pub about: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// No try before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Why it waits for a person, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// When something about it was last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said_at: Option<Time>,
    /// From when on a prompt shows that the key is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_due_at: Option<Time>,
    /// Since when a new key is on its way, or an old one on its way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Time>,
}

/// What to do for an entry, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing ever, as things are.
    Never,
    At(Time, Work),
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
pub fn turn(situation: &Situation<'_>, past: &Past) -> Turn {
    let Some((time, work)) = ready(situation) else {
        return Turn::Never;
    };
    let now = situation.now;
    let past = if past.about == subject(situation) {
        past.clone()
    } else {
        // Another key or other settings: only what was said is still said.
        Past {
            said_at: past.said_at.filter(|_| past.waits.is_none()),
            ..Past::default()
        }
    };
    let held_back = past
        .not_before
        .filter(|until| until.since(now) <= BELIEVABLE);
    let after_saying = past
        .said_at
        .filter(|said| *said <= now)
        .map(|said| said + A_DAY);
    match (past.waits, work) {
        (Some(_), _) => Turn::At(time.max(after_saying.unwrap_or(time)), Work::SayWaits),
        (None, Work::SayDue) => Turn::At(time.max(after_saying.unwrap_or(time)), work),
        (None, _) => Turn::At(time.max(held_back.unwrap_or(time)), work),
    }
}

/// When there is something to do, and what, as the item and the settings have it.
fn ready(situation: &Situation<'_>) -> Option<(Time, Work)> {
    let item = situation.item;
    if let Some(since) = begun_at(item) {
        return Some((since, Work::GoOn));
    }
    // A held key that takes an MFA session is deleted in the next rotation's.
    let next_session = situation.rules.handled_by == HandledBy::Session;
    let waits = |previous: &&Slot| next_session && previous.inactive_seen_at.is_some();
    if let Some(previous) = item.previous.as_ref().filter(|slot| !waits(slot)) {
        let leased_until = previous.leased_until?;
        let at = match previous.inactive_seen_at {
            Some(seen) => (seen + situation.rules.hold).max(leased_until),
            None => {
                let promoted = item.current.promoted_at.unwrap_or(leased_until);
                leased_until.max(promoted + LAST_USE_KNOWN)
            }
        };
        return Some((at, Work::GoOn));
    }
    let due = due_at(born(&item.current), situation.rules.max_age)?;
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
fn begun_at(item: &Item) -> Option<Time> {
    let begun = item.intent.as_ref().map(|intent| intent.at);
    let pending = item.pending.as_ref().map(|slot| slot.saved_at);
    item.undo_wanted_at.or(pending).or(begun)
}

/// Up to a thirtieth of `max_age`, the same for a key at each look: entries and
/// machines that began on one day need not rotate in one minute.
fn jitter(item: &Item, max_age: Length) -> Length {
    let mut hash = Sha256::new();
    hash.update(item.entry.as_str());
    hash.update(item.current.id.as_str());
    let digest = hash.finalize();
    let number = u64::from(u16::from_be_bytes([digest[0], digest[1]]));
    Length(most_jitter(max_age).0.saturating_mul(number) >> 16)
}

fn most_jitter(max_age: Length) -> Length {
    Length(max_age.0 / 30)
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

impl Past {
    /// What is remembered after a run that did what there was to do; the next step can
    /// be taken at `next_step`.
    #[must_use]
    pub fn after_success(&self, next_step: Option<Time>, now: Time) -> Past {
        Past {
            failures: 0,
            failing_since: None,
            waits: None,
            // A turn that changed nothing must not come again at once.
            not_before: Some((now + FIRST_BACK_OFF).max(next_step.unwrap_or(now))),
            ..self.clone()
        }
    }

    /// What is remembered after a run that failed.
    #[must_use]
    pub fn after_failure(&self, failure: &Failure, now: Time) -> Past {
        let failed = Past {
            failing_since: Some(self.failing_since.map_or(now, |since| since.min(now))),
            ..self.clone()
        };
        if needs_a_person(failure) {
            return Past {
                waits: Some(first_line(failure)),
                ..failed
            };
        }
        Past {
            failures: self.failures.saturating_add(1),
            not_before: Some(now + back_off(self.failures)),
            ..failed
        }
    }

    /// The same, about the entry as it is now.
    #[must_use]
    pub fn about(&self, situation: &Situation<'_>) -> Past {
        let (item, max_age) = (situation.item, situation.rules.max_age);
        let slack = match situation.auto {
            Auto::Off => Length::ZERO,
            Auto::On => most_jitter(max_age.unwrap_or_default()) + OVERDUE,
        };
        Past {
            about: subject(situation),
            shown_due_at: due_at(born(&item.current), max_age).map(|due| due + slack),
            begun_at: begun_at(item),
            ..self.clone()
        }
    }

    /// Whether trouble is to be said now: what needs a person at once, what may pass
    /// by itself after some days; both once a day.
    pub fn to_be_said(&self, now: Time) -> bool {
        let said_lately = self
            .said_at
            .is_some_and(|said| said <= now && now < said + A_DAY);
        (self.waits.is_some() || self.fails_lastingly(now)) && !said_lately
    }

    fn fails_lastingly(&self, now: Time) -> bool {
        self.failing_since
            .is_some_and(|since| now.since(since) >= PATIENCE)
    }
}

/// Whether only a person can mend it. What may pass by itself is tried again, ever later.
fn needs_a_person(failure: &Failure) -> bool {
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

fn first_line(failure: &Failure) -> String {
    failure
        .message
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn back_off(failures_before: u32) -> Length {
    Length(FIRST_BACK_OFF.0 << failures_before.min(10)).min(A_DAY)
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A few characters about what is remembered, for a shell's prompt; none if all is well.
pub fn prompt_mark<'a>(pasts: impl Iterator<Item = &'a Past>, now: Time) -> Option<PromptMark> {
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

fn mark_of(past: &Past, now: Time) -> Option<PromptMark> {
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
mod tests {
    use super::*;
    use crate::keys::AccessKey;

    const BORN: Time = Time(1_795_420_800);
    const RULES: Rules = Rules {
        max_age: Some(Length::days(90)),
        hold: Length::days(14),
        handled_by: HandledBy::Key,
    };

    fn slot(letter: &str) -> Slot {
        let id = format!("AKIA{}", letter.repeat(16));
        let key = AccessKey::from_pasted(&id, "secret/EXAMPLE").unwrap();
        Slot {
            created_at: Some(BORN),
            ..Slot::new(key, BORN)
        }
    }

    fn item(change: impl FnOnce(&mut Item)) -> Item {
        let mut item = Item::new("work".parse().unwrap(), slot("A").key(), BORN);
        item.current = slot("A");
        change(&mut item);
        item
    }

    fn after(days: u64) -> Time {
        BORN + Length::days(days)
    }

    fn at<'a>(item: &'a Item, auto: Auto, now: Time) -> Situation<'a> {
        Situation {
            item,
            rules: RULES,
            auto,
            now,
        }
    }

    #[test]
    fn what_comes_next_and_when() {
        let plain = item(|_| ());
        let jittered = due_at(BORN, RULES.max_age).unwrap() + jitter(&plain, Length::days(90));
        assert!(after(60) <= jittered && jittered < after(63));
        let replaced = |inactive_seen_at| {
            item(|item| {
                item.current.promoted_at = Some(after(60));
                item.previous = Some(slot("B"));
                let previous = item.previous.as_mut().unwrap();
                previous.leased_until = Some(after(60) + Length::minutes(65));
                previous.inactive_seen_at = inactive_seen_at;
            })
        };
        for (item, auto, expected) in [
            (&plain, Auto::On, Turn::At(jittered, Work::Rotate)),
            (&plain, Auto::Off, Turn::At(after(60), Work::SayDue)),
            (&replaced(None), Auto::Off, Turn::At(after(61), Work::GoOn)),
            (
                &replaced(Some(after(61))),
                Auto::On,
                Turn::At(after(75), Work::GoOn),
            ),
            (
                &self::item(|item| item.current.created_at = None),
                Auto::On,
                Turn::At(BORN, Work::Rotate),
            ),
            (
                &self::item(|item| item.pending = Some(slot("B"))),
                Auto::Off,
                Turn::At(BORN, Work::GoOn),
            ),
            (
                &self::item(|item| item.undo_wanted_at = Some(after(3))),
                Auto::On,
                Turn::At(after(3), Work::GoOn),
            ),
        ] {
            let situation = at(item, auto, after(1));
            assert_eq!(turn(&situation, &Past::default()), expected);
        }
        let never = Situation {
            rules: Rules {
                max_age: None,
                ..RULES
            },
            ..at(&plain, Auto::On, after(1_000))
        };
        assert_eq!(turn(&never, &Past::default()), Turn::Never);
        let in_session = |inactive_seen_at| {
            let item = replaced(inactive_seen_at);
            let rules = Rules {
                handled_by: HandledBy::Session,
                ..RULES
            };
            let situation = Situation {
                rules,
                ..at(&item, Auto::Off, after(1))
            };
            turn(&situation, &Past::default())
        };
        assert_eq!(in_session(None), Turn::At(after(61), Work::GoOn));
        let with_the_next = Turn::At(after(60), Work::SayDue);
        assert_eq!(in_session(Some(after(61))), with_the_next);
    }

    #[test]
    fn the_jitter_is_stable_and_differs_between_keys() {
        let of = |letter: &str| {
            let item = item(|item| item.current = slot(letter));
            jitter(&item, Length::days(90))
        };
        assert_eq!(of("A"), of("A"));
        let mut all: Vec<Length> = "ABCDEFGH".chars().map(|c| of(&c.to_string())).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|length| *length < Length::days(3)));
    }

    #[test]
    fn failures_double_the_wait_up_to_a_day() {
        let offline = Failure::new(Kind::Failed, "IAM cannot be reached");
        let mut past = Past::default();
        for hours in [1, 2, 4, 8, 16, 24, 24, 24] {
            past = past.after_failure(&offline, BORN);
            assert_eq!(past.not_before, Some(BORN + Length::hours(hours)));
        }
        assert_eq!(past.waits, None);
        assert!(!past.to_be_said(after(2)) && past.to_be_said(after(3)));
        let well = past.after_success(Some(after(5)), after(4));
        assert_eq!((well.failures, well.failing_since), (0, None));
        assert_eq!(well.not_before, Some(after(5)));
    }

    #[test]
    fn a_refusal_ends_with_the_key_or_the_settings_it_was_about() {
        let item = item(|_| ());
        let due = at(&item, Auto::On, after(70));
        let denied = Failure::new(Kind::Aws, "AWS denies it").hint("ask an admin");
        let past = Past::default()
            .after_failure(&denied, after(70))
            .about(&due);
        assert!(past.to_be_said(after(70)));
        assert!(matches!(turn(&due, &past), Turn::At(_, Work::SayWaits)));
        let said = Past {
            said_at: Some(after(70)),
            ..past
        };
        assert_eq!(turn(&due, &said), Turn::At(after(71), Work::SayWaits));
        let other_rules = Situation {
            rules: Rules {
                max_age: Some(Length::days(80)),
                ..RULES
            },
            ..due
        };
        assert!(matches!(
            turn(&other_rules, &said),
            Turn::At(_, Work::Rotate)
        ));
        let mut rotated = item.clone();
        rotated.current = slot("B");
        let rotated = at(&rotated, Auto::On, after(70));
        assert!(matches!(turn(&rotated, &said), Turn::At(_, Work::Rotate)));
    }

    #[test]
    fn times_noted_by_a_wrong_clock_do_not_count() {
        let item = item(|_| ());
        let now = at(&item, Auto::On, after(70));
        let from_the_future = Past {
            not_before: Some(after(700)),
            said_at: Some(after(700)),
            ..Past::default()
        }
        .about(&now);
        let Turn::At(time, Work::Rotate) = turn(&now, &from_the_future) else {
            panic!("{:?}", turn(&now, &from_the_future));
        };
        assert!(time < after(70));
        let off = at(&item, Auto::Off, after(70));
        let past = from_the_future.about(&off);
        assert_eq!(turn(&off, &past), Turn::At(after(60), Work::SayDue));
    }

    #[test]
    fn the_prompt_shows_the_most_urgent() {
        let item = item(|_| ());
        let waits = Past {
            waits: Some("denied".into()),
            ..Past::default()
        };
        let on_its_way = self::item(|item| item.pending = Some(slot("B")));
        let begun = Past::default().about(&at(&on_its_way, Auto::On, after(1)));
        let off = Past::default().about(&at(&item, Auto::Off, after(1)));
        let on = Past::default().about(&at(&item, Auto::On, after(1)));
        for (pasts, now, mark) in [
            (vec![&off, &on], after(59), None),
            (vec![&off], after(60), Some("key due")),
            (vec![&on], after(64), None),
            (vec![&on], after(66), Some("key due")),
            (vec![&begun, &off], after(1), Some("key+")),
            (vec![&off, &waits, &begun], after(70), Some("key!")),
        ] {
            let shown = prompt_mark(pasts.into_iter(), now).map(PromptMark::text);
            assert_eq!(shown, mark);
        }
    }
}
