//! Where each key of an entry is in its life, what comes next and by which command.
//! Pure, from the item and the receipts alone: nothing is asked of AWS, so what a
//! person did there is not seen here.

use serde::Serialize;

use super::known::born;
use crate::keys::EntryName;
use crate::lease::due_at;
use crate::state::Receipt;
use crate::time::{Length, Time};
use crate::vault::item::{Item, Slot};

/// A rotation takes minutes; one begun longer ago than this needs somebody.
const UNFINISHED: Length = Length::hours(1);

/// How long after its time a retirement may still be to come without being noticed:
/// the last use can be asked a day after the promote, and runs are hours apart.
const RETIREMENT_SLACK: Length = Length::days(2);

/// What the settings say of an entry's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// None: keys never get too old.
    pub max_age: Option<Length>,
    pub hold: Length,
}

/// An entry's keys and what is to be done about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Life {
    pub entry: EntryName,
    pub keys: Vec<KeyLife>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Unfinished>,
    pub attention: Vec<Attention>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyLife {
    pub slot: &'static str,
    pub key_id: String,
    /// AWS's word, else when it was saved here.
    pub created_at: Time,
    pub age_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Time>,
    pub next: Next,
    /// When the next step can be taken, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// What takes the next step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// What comes next for a key; the words are those of `rotate --json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Next {
    None,
    Rotate,
    /// It stays until the new key is in service.
    BeReplaced,
    Prove,
    BringBack,
    Deactivate,
    Delete,
    LookAgain,
}

/// A rotation that was begun and has not put a key into service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    pub since: Time,
    pub what: String,
    pub command: String,
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attention {
    pub why: String,
    pub command: String,
}

impl Life {
    pub fn of(item: &Item, rules: Rules, now: Time) -> Life {
        let unfinished = unfinished(item);
        let keys: Vec<KeyLife> = item
            .slots()
            .map(|(name, slot)| key_life(name, slot, item, rules, now))
            .collect();
        let mut life = Life {
            entry: item.entry.clone(),
            attention: keys
                .iter()
                .filter_map(|key| wanted(key, &item.entry, now))
                .collect(),
            keys,
            unfinished,
        };
        if let Some(begun) = &life.unfinished
            && now.since(begun.since) >= UNFINISHED
        {
            life.attention.push(Attention {
                why: begun.what.clone(),
                command: begun.command.clone(),
            });
        }
        if let Some(since) = item.current.absent_seen_at {
            life.attention.push(Attention {
                why: format!("{} is in no list of IAM since {since}", item.current.id),
                command: format!("awskeep rotate {} --explain", item.entry),
            });
        }
        life
    }
}

/// The newest failure of an entry that nothing made good since: the same step done
/// later, or a new key in service.
pub fn last_failure<'r>(receipts: &'r [Receipt], entry: &EntryName) -> Option<&'r Receipt> {
    let mut failure: Option<&Receipt> = None;
    for receipt in receipts.iter().filter(|receipt| receipt.entry == *entry) {
        let failed = receipt.result.starts_with("failed");
        let mends = ["promote", "add", "recover"].contains(&receipt.step.as_str());
        if failed {
            failure = Some(receipt);
        } else if failure.is_some_and(|failure| mends || failure.step == receipt.step) {
            failure = None;
        }
    }
    failure
}

fn unfinished(item: &Item) -> Option<Unfinished> {
    let entry = &item.entry;
    let begun = |since, what| Unfinished {
        since,
        what,
        command: format!("awskeep rotate {entry}"),
    };
    if let Some(since) = item.undo_wanted_at {
        return Some(Unfinished {
            command: format!("awskeep rotate {entry} --undo"),
            ..begun(since, format!("an undo wanted since {since} is not done"))
        });
    }
    if let Some(pending) = &item.pending {
        let (since, id) = (pending.saved_at, &pending.id);
        return Some(begun(
            since,
            format!("the new key {id}, made {since}, is not in service"),
        ));
    }
    let intent = item.intent.as_ref()?;
    let what = format!("a rotation begun {} has made no key", intent.at);
    Some(begun(intent.at, what))
}

fn key_life(name: &'static str, slot: &Slot, item: &Item, rules: Rules, now: Time) -> KeyLife {
    let born = born(slot);
    let mut life = KeyLife {
        slot: name,
        key_id: slot.id.to_string(),
        created_at: born,
        age_s: now.since(born).0,
        due_at: None,
        leased_until: None,
        held_until: None,
        next: Next::None,
        not_before: None,
        command: None,
    };
    match name {
        "previous" => retirement(&mut life, slot, item, rules),
        "pending" => {
            life.next = Next::Prove;
            life.command = Some(format!("awskeep rotate {}", item.entry));
        }
        _ => {
            life.due_at = due_at(born, rules.max_age);
            if item.pending.is_some() || item.intent.is_some() {
                life.next = Next::BeReplaced;
            } else if let Some(due) = life.due_at {
                life.next = Next::Rotate;
                life.not_before = Some(due);
            }
            if life.next != Next::None {
                life.command = Some(format!("awskeep rotate {}", item.entry));
            }
        }
    }
    life
}

fn retirement(life: &mut KeyLife, slot: &Slot, item: &Item, rules: Rules) {
    life.leased_until = slot.leased_until;
    life.held_until = slot
        .inactive_seen_at
        .map(|seen| (seen + rules.hold).max(slot.leased_until.unwrap_or(seen)));
    (life.next, life.not_before) = if item.undo_wanted_at.is_some() {
        (Next::BringBack, None)
    } else if slot.absent_seen_at.is_some() {
        (Next::LookAgain, None)
    } else if life.held_until.is_some() {
        (Next::Delete, life.held_until)
    } else {
        (Next::Deactivate, life.leased_until)
    };
    let flag = match life.next {
        Next::BringBack => "--undo",
        Next::None
        | Next::Rotate
        | Next::BeReplaced
        | Next::Prove
        | Next::Deactivate
        | Next::Delete
        | Next::LookAgain => "--finish",
    };
    life.command = Some(format!("awskeep rotate {} {flag}", item.entry));
}

/// Whether a key's next step is so late that somebody should know.
fn wanted(key: &KeyLife, entry: &EntryName, now: Time) -> Option<Attention> {
    let at = key.not_before?;
    let (late, why) = match key.next {
        Next::Rotate => (
            now >= at,
            format!("{} is due since {}", key.key_id, at.day()),
        ),
        Next::Deactivate => (
            now >= at + RETIREMENT_SLACK,
            format!(
                "the replaced key {} is still active, though its leases ended {at}",
                key.key_id
            ),
        ),
        Next::Delete => (
            now >= at + RETIREMENT_SLACK,
            format!(
                "the replaced key {} is not deleted, though its hold ended {}",
                key.key_id,
                at.day()
            ),
        ),
        Next::None | Next::BeReplaced | Next::Prove | Next::BringBack | Next::LookAgain => {
            return None;
        }
    };
    late.then(|| Attention {
        why,
        command: key
            .command
            .clone()
            .unwrap_or_else(|| format!("awskeep rotate {entry}")),
    })
}

impl KeyLife {
    /// The next step in words, with its command.
    pub fn next_told(&self, now: Time) -> String {
        let ready = self.not_before.is_some_and(|at| now >= at);
        let what = match (self.next, ready) {
            (Next::None, _) => return "stays".into(),
            (Next::Rotate, false) => return "stays until it is due".into(),
            (Next::BeReplaced, _) => return "stays until the new key is in service".into(),
            (Next::Rotate, true) => "rotate",
            (Next::Prove, _) => "prove, then put into service",
            (Next::BringBack, _) => "bring back",
            (Next::Deactivate, true) => "deactivate",
            (Next::Deactivate, false) => "deactivate once its leases are over",
            (Next::Delete, true) => "delete",
            (Next::Delete, false) => "delete once its hold is over",
            (Next::LookAgain, _) => "make sure that it is gone",
        };
        match &self.command {
            Some(command) => format!("{what}: {command}"),
            None => what.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AccessKey;
    use crate::vault::item::Intent;

    const BORN: Time = Time(1_795_420_800);
    const RULES: Rules = Rules {
        max_age: Some(Length::days(90)),
        hold: Length::days(14),
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

    fn intent(at: Time) -> Option<Intent> {
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
        let now = BORN + Length::days(days);
        let life = Life::of(&item, RULES, now);
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
            &["AKIAAAAAAAAAAAAAAAAA is due since 22 Jan 2027"],
        );
        let gone = |item: &mut Item| item.current.absent_seen_at = Some(BORN);
        check(
            gone,
            1,
            "stays until it is due",
            &["AKIAAAAAAAAAAAAAAAAA is in no list of IAM since 2026-11-23T08:00:00Z"],
        );
    }

    #[test]
    fn what_was_begun_is_noticed_after_an_hour() {
        let made = |item: &mut Item| item.pending = slot("B", |_| ());
        let told = "prove, then put into service: awskeep rotate work";
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
            &["a rotation begun 2026-11-23T08:00:00Z has made no key"],
        );
    }

    #[test]
    fn a_replaced_key_is_leased_then_held_then_deleted() {
        let leased = |item: &mut Item| {
            item.previous = slot("B", |slot| slot.leased_until = Some(BORN + Length::days(1)));
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
            &[
                "the replaced key AKIABBBBBBBBBBBBBBBB is not deleted, though its hold ended 7 Dec 2026",
            ],
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
        let receipt = |entry: &EntryName, step: &str, result: &str| {
            Receipt::new(BORN, entry, step).result(result)
        };
        let failed = receipt(&entry, "deactivate", "failed: Throttling");
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
}
