//! Where each key of an entry is in its life, what comes next and by which command.
//! Pure, from the item and the receipts alone: nothing is asked of AWS, so what a
//! person did there is not seen here.

use serde::Serialize;

use crate::lifecycle::timeline::{born, deactivate_at, delete_at, due_at, leased_until};
use crate::records::{Outcome, Record};
use crate::store::item::{Item, Slot};
use crate::types::keys::{EntryName, SlotName};
use crate::types::lease::Attended;
use crate::types::time::{Span, Timestamp};

/// A rotation takes minutes; one begun longer ago than this needs somebody.
const UNFINISHED: Span = Span::hours(1);

/// How long after its time a retirement may still be to come without being noticed:
/// the last use can be asked a day after the promote, and runs are hours apart.
const RETIREMENT_SLACK: Span = Span::days(2);

/// What the settings say of an entry's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRules {
    /// None: keys never get too old.
    pub max_age: Option<Span>,
    pub hold: Span,
    pub handled_by: HandledBy,
    /// Whether somebody is there when a replaced key is deactivated: nobody where `auto`
    /// is on.
    pub retired: Attended,
}

/// What the user's keys are handled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandledBy {
    Key,
    /// An MFA session: a held key waits for the one that the next rotation opens.
    Session,
}

/// An entry's keys and what is to be done about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryReport {
    pub entry: EntryName,
    pub keys: Vec<KeyReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Unfinished>,
    pub attention: Vec<Attention>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyReport {
    pub slot: SlotName,
    pub key_id: String,
    /// AWS's word, else when it was saved here.
    pub created_at: Timestamp,
    pub age_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// When a person said that it has leaked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    pub next: Next,
    /// When the next step can be taken, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
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
    /// AWS does not accept it any more.
    Recover,
}

/// A rotation that was begun and has not put a key into service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    pub since: Timestamp,
    pub what: String,
    pub command: String,
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attention {
    pub why: String,
    pub command: String,
}

impl EntryReport {
    pub fn of(item: &Item, rules: KeyRules, now: Timestamp) -> EntryReport {
        let unfinished = unfinished(item);
        let keys: Vec<KeyReport> = item
            .slots()
            .map(|(name, slot)| key_life(name, slot, item, rules, now))
            .collect();
        let mut life = EntryReport {
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
                why: format!(
                    "{} has been in no list of IAM since {since}",
                    item.current.id
                ),
                command: format!("awskeep rotate {} --explain", item.entry),
            });
        }
        life
    }
}

/// What does what is left to be done now.
pub fn command_of_rest(item: &Item) -> String {
    let making = item.pending.is_some() || item.intent.is_some();
    let flag = match (item.undo_wanted_at, &item.previous) {
        (Some(_), _) => " --undo",
        (None, _) if making => " --finish",
        (None, Some(previous)) if previous.inactive_seen_at.is_none() => " --finish",
        (None, _) => "",
    };
    format!("awskeep rotate {}{flag}", item.entry)
}

/// Nothing is begun, and no replaced key is still active.
pub fn is_idle(item: &Item) -> bool {
    let retired = item
        .previous
        .as_ref()
        .is_none_or(|previous| previous.inactive_seen_at.is_some());
    retired && item.pending.is_none() && item.intent.is_none() && item.undo_wanted_at.is_none()
}

/// That an MFA session ended before its work was done: that takes another code.
pub fn session_over(item: &Item, until: Timestamp) -> Option<Attention> {
    (!is_idle(item)).then(|| Attention {
        why: format!(
            "its MFA session ended {until}, before the rotation did: another code is needed"
        ),
        command: command_of_rest(item),
    })
}

/// The newest failure of an entry that nothing made good since: the same step done
/// later, or a new key in service.
pub fn last_failure<'r>(receipts: &'r [Record], entry: &EntryName) -> Option<&'r Record> {
    let mut failure: Option<&Record> = None;
    for receipt in receipts.iter().filter(|receipt| receipt.entry == *entry) {
        let mends = ["promote", "add", "recover"].contains(&receipt.step.as_str());
        if receipt.outcome == Outcome::Failed {
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
        command: format!("awskeep rotate {entry} --finish"),
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
    let what = format!(
        "a rotation was begun {}, and no new key of it is stored here",
        intent.at
    );
    Some(begun(intent.at, what))
}

fn key_life(
    name: SlotName,
    slot: &Slot,
    item: &Item,
    rules: KeyRules,
    now: Timestamp,
) -> KeyReport {
    let born = born(slot);
    let mut life = KeyReport {
        slot: name,
        key_id: slot.id.to_string(),
        created_at: born,
        age_s: now.since(born).0,
        due_at: None,
        leased_until: None,
        held_until: None,
        revoked_at: slot.revoked_at,
        next: Next::None,
        not_before: None,
        command: None,
    };
    match name {
        SlotName::Previous => retirement(&mut life, slot, item, rules),
        SlotName::Pending => {
            life.next = Next::Prove;
            life.command = Some(format!("awskeep rotate {} --finish", item.entry));
        }
        SlotName::Current => {
            life.due_at = due_at(slot, rules.max_age);
            if slot.absent_seen_at.is_some() {
                life.next = Next::LookAgain;
                life.command = Some(format!("awskeep rotate {} --explain", item.entry));
            } else if item.pending.is_some() || item.intent.is_some() {
                life.next = Next::BeReplaced;
                life.command = Some(format!("awskeep rotate {} --finish", item.entry));
            } else if let Some(due) = life.due_at {
                life.next = Next::Rotate;
                life.not_before = Some(due);
                life.command = Some(format!("awskeep rotate {}", item.entry));
            }
        }
    }
    life
}

fn retirement(life: &mut KeyReport, slot: &Slot, item: &Item, rules: KeyRules) {
    life.leased_until = Some(leased_until(slot));
    life.held_until = slot
        .inactive_seen_at
        .map(|seen| delete_at(slot, seen, rules.hold));
    (life.next, life.not_before) = if item.undo_wanted_at.is_some() {
        (Next::BringBack, None)
    } else if slot.absent_seen_at.is_some() {
        (Next::LookAgain, None)
    } else if life.held_until.is_some() {
        let alone = rules.handled_by == HandledBy::Key;
        (Next::Delete, life.held_until.filter(|_| alone))
    } else {
        let at = deactivate_at(&item.current, slot, rules.retired);
        (Next::Deactivate, Some(at))
    };
    let flag = match life.next {
        Next::BringBack => " --undo",
        Next::Delete if rules.handled_by == HandledBy::Session => "",
        Next::None
        | Next::Rotate
        | Next::BeReplaced
        | Next::Prove
        | Next::Deactivate
        | Next::Delete
        | Next::LookAgain
        | Next::Recover => " --finish",
    };
    life.command = Some(format!("awskeep rotate {}{flag}", item.entry));
}

/// Whether a key's next step is so late that somebody should know.
fn wanted(key: &KeyReport, entry: &EntryName, now: Timestamp) -> Option<Attention> {
    let at = key.not_before?;
    let (late, why) = match key.next {
        Next::Rotate => (
            now >= at,
            format!("{} has been due since {}", key.key_id, at.day()),
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
        Next::None
        | Next::BeReplaced
        | Next::Prove
        | Next::BringBack
        | Next::LookAgain
        | Next::Recover => return None,
    };
    late.then(|| Attention {
        why,
        command: key
            .command
            .clone()
            .unwrap_or_else(|| format!("awskeep rotate {entry}")),
    })
}

impl KeyReport {
    /// The next step in words, with its command.
    pub fn next_told(&self, now: Timestamp) -> String {
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
            (Next::Delete, false) if self.not_before.is_none() => {
                "delete in the MFA session of the next rotation"
            }
            (Next::Delete, false) => "delete once its hold is over",
            (Next::LookAgain, _) => "make sure that it is gone",
            (Next::Recover, _) => "recover",
        };
        match &self.command {
            Some(command) => format!("{what}: {command}"),
            None => what.into(),
        }
    }
}
