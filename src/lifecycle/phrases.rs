//! How a run ended, in words: the state, what comes next, and by what. Pure.

mod foreseen;
mod questions;
mod refusals;

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::lifecycle::execute::{Promoted, RunResult};
use crate::lifecycle::model::CreateSaid;
use crate::lifecycle::observed::{Observed, Signed};
pub use crate::lifecycle::phrases::foreseen::{Preview, explained};
use crate::lifecycle::plan::{Step, Wait};
use crate::lifecycle::report::command_of_rest;
use crate::lifecycle::timeline::leased_until;
use crate::store::durable;
use crate::types::keys::AccessKeyId;
use crate::types::time::Timestamp;
pub use questions::question;
use refusals::refused;

/// The state of an entry after a run: what `--json` prints.
#[derive(Debug, Serialize)]
pub struct RotationReport {
    pub entry: String,
    /// The key that is served.
    pub key_id: String,
    /// Whether this run put it into service.
    pub rotated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousKey>,
    /// The next step: a word that programs may compare.
    pub next: &'static str,
    /// When it can be taken, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    #[serde(skip)]
    pub line: String,
}

/// A key that was replaced.
#[derive(Debug, Serialize)]
pub struct PreviousKey {
    pub key_id: String,
    pub leased_until: Timestamp,
    pub inactive_since: Option<Timestamp>,
}

/// What the person or the schedule asked for, as far as the words depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A new key.
    NewKey,
    /// Only what is ready: that nothing is, is no failure.
    Finish,
    /// Something else: an undo, what is due, an old key hurried.
    Else,
}

/// The state to tell, or why the run counts as failed.
///
/// # Errors
/// Each refusal with its kind and next command; `Kind::Unfinished` while the new
/// key is not in service.
pub fn told(ended: &RunResult, asked: Wish) -> Result<RotationReport> {
    let known = &ended.known;
    let (next, until, line) = match &ended.step {
        Step::Refuse(refusal) => return Err(refused(refusal, known)),
        Step::Wait(wait) => waiting(wait, known, ended.promoted, asked)?,
        _ => ("none", None, in_service(known)),
    };
    let item = &known.item;
    let line = match (asked, ended.promoted, &item.previous) {
        (Wish::NewKey, Promoted::No, Some(_)) => {
            let entry = &item.entry;
            format!("{entry}: not rotated: the last rotation is not finished yet\n{line}")
        }
        (_, _, _) => line,
    };
    Ok(RotationReport {
        entry: item.entry.to_string(),
        key_id: item.current.id.to_string(),
        rotated: ended.promoted == Promoted::Yes,
        pending: item.pending.as_ref().map(|slot| slot.id.to_string()),
        previous: item.previous.as_ref().map(|slot| PreviousKey {
            key_id: slot.id.to_string(),
            leased_until: leased_until(slot),
            inactive_since: slot.inactive_seen_at,
        }),
        next,
        not_before: until,
        line,
    })
}

/// A word that programs may compare, a time, and a line.
type Told = (&'static str, Option<Timestamp>, String);

/// A wait with the new key in service is told; any other is a failure.
fn waiting(wait: &Wait, known: &Observed, promoted: Promoted, asked: Wish) -> Result<Told> {
    let entry = &known.item.entry;
    match wait {
        Wait::Leased { until } => {
            let why = "stays active for what still uses it";
            Ok(deactivated_after(*until, why, known))
        }
        Wait::LastUseNotKnownYet { until } => {
            let why = "stays active until AWS can tell its last use";
            Ok(deactivated_after(*until, why, known))
        }
        Wait::MayNotLook { until } => {
            let why = "stays active, since AWS does not let its last use be looked at";
            Ok(deactivated_after(*until, why, known))
        }
        Wait::Held { until } if asked == Wish::NewKey && promoted == Promoted::No => {
            Err(held(*until, known))
        }
        Wait::Held { until } => {
            let when = format!("after {} by awskeep rotate {entry} --finish", until.day());
            Ok(deleted(Some(*until), &when, known))
        }
        Wait::NextSession => {
            let when = "in the MFA session of the next rotation";
            Ok(deleted(None, when, known))
        }
        Wait::NotKept => {
            let previous = known.item.previous.as_ref();
            let next = match previous.and_then(|slot| slot.inactive_seen_at) {
                Some(_) => "delete",
                None => "deactivate",
            };
            Ok((next, None, not_kept(known)))
        }
        Wait::NotListedYet { until } => {
            let why = format!(
                "AWS's lists do not show the last change yet; continue: awskeep rotate {entry} --finish"
            );
            Ok(looked_at_again(*until, &why, known))
        }
        Wait::GoneUnsure { until } => {
            let old = old(known);
            let why =
                format!("{old} is in no list any more; one more look after {until} makes sure");
            Ok(looked_at_again(*until, &why, known))
        }
        Wait::CurrentUnseen if asked == Wish::Finish => {
            let why = current_unseen(known).told();
            Ok(("look-again", None, why))
        }
        Wait::CurrentUnseen => Err(current_unseen(known)),
        Wait::CurrentNotProven { id, said } => {
            Err(unfinished(&current_not_proven(id), known).cause(said))
        }
        Wait::NoAnswerToCreate(said) => {
            let mut failure = unfinished(no_answer(said), known);
            if let CreateSaid::Unclear(said) = said {
                failure = failure
                    .cause(said)
                    .hint("if that is not AWS's answer: check the endpoint and the proxies");
            }
            Err(failure)
        }
        Wait::PendingNotProven { id, said } => Err(pending_not_proven(id, said, known)),
        Wait::UndoNotProven { id, said } => {
            Err(unfinished(&not_accepted_yet(id), known).cause(said))
        }
        Wait::RetireOnItsWay { until } if asked == Wish::Finish => {
            let why = retire_on_its_way(*until, known).told();
            Ok(("look-again", Some(*until), why))
        }
        Wait::RetireOnItsWay { until } => Err(retire_on_its_way(*until, known)),
        Wait::Stopped => Err(unfinished("stopped as asked; nothing is lost", known)),
        Wait::ClocksApart { aws, local } => Err(clocks_apart(*aws, *local, known)),
        Wait::NoAwsTime => Err(unfinished(
            "the replies bear no date, and nothing irreversible trusts the local clock alone",
            known,
        )),
    }
}

fn deactivated_after(until: Timestamp, why: &str, known: &Observed) -> Told {
    let (serves, old, undo) = (in_service(known), old(known), undo(known));
    let entry = &known.item.entry;
    let line = format!(
        "{serves}\n{old} {why}; it is deactivated after {until} by awskeep rotate {entry} --finish; {undo}"
    );
    ("deactivate", Some(until), line)
}

fn deleted(not_before: Option<Timestamp>, when: &str, known: &Observed) -> Told {
    let (serves, old, undo) = (in_service(known), old(known), undo(known));
    let line = format!("{serves}\n{old} is inactive, deleted {when}; {undo}");
    ("delete", not_before, line)
}

fn not_kept(known: &Observed) -> String {
    format!(
        "{}\n{} is kept, since the keychain may not have the new key on disk yet; \
         restart the keychain, then: awskeep rotate {} --finish",
        in_service(known),
        old(known),
        known.item.entry
    )
}

fn looked_at_again(until: Timestamp, why: &str, known: &Observed) -> Told {
    let line = format!("{}\n{why}", in_service(known));
    ("look-again", Some(until), line)
}

fn unfinished(why: &str, known: &Observed) -> Error {
    let entry = &known.item.entry;
    Error::new(Kind::Unfinished, why)
        .entry(entry)
        .hint(command(known))
}

/// What a person types to continue.
fn command(known: &Observed) -> String {
    match &known.signed {
        Signed::ByCurrent => command_of_rest(&known.item),
        Signed::ByOther { via } => format!("awskeep recover {} --via {via}", known.item.entry),
    }
}

fn not_accepted_yet(id: &AccessKeyId) -> String {
    format!("AWS does not accept {id} everywhere yet")
}

fn current_not_proven(id: &AccessKeyId) -> String {
    format!("its key {id} is not accepted now, and may be soon: look again in a minute")
}

fn current_unseen(known: &Observed) -> Error {
    let current = &known.item.current.id;
    let why = format!(
        "IAM's list lacks its key {current}; one list proves nothing, look again in 10 minutes"
    );
    unfinished(&why, known)
}

fn no_answer(said: &CreateSaid) -> &'static str {
    match said {
        CreateSaid::MadeButLost => {
            "AWS made a key, but its secret was lost on the way; it does not show in the list yet"
        }
        CreateSaid::Unclear(_) => {
            "the answer to CreateAccessKey does not say whether a key was made; the list shows no new key yet"
        }
        CreateSaid::NotAsked | CreateSaid::LimitExceeded | CreateSaid::NoAnswer => {
            "no answer to CreateAccessKey; the list shows no new key yet"
        }
    }
}

fn pending_not_proven(id: &AccessKeyId, said: &str, known: &Observed) -> Error {
    let old = match known.signed {
        Signed::ByCurrent => "; the old one is served",
        Signed::ByOther { .. } => "",
    };
    let why =
        format!("the new key {id} is not known everywhere at AWS yet, and stays pending{old}");
    unfinished(&why, known).cause(said)
}

fn retire_on_its_way(until: Timestamp, known: &Observed) -> Error {
    let old = old(known);
    let why = format!(
        "a request to deactivate {old} may still be on its way; it can be brought back after {until}"
    );
    unfinished(&why, known)
}

pub(crate) fn clocks_apart(aws: Timestamp, local: Timestamp, known: &Observed) -> Error {
    let why = format!(
        "this machine's clock says {local}, AWS says {aws}; nothing irreversible is done on a wrong clock"
    );
    unfinished(&why, known).hint("set the clock, then run it again")
}

/// The replaced key.
fn old(known: &Observed) -> String {
    let previous = known.item.previous.as_ref();
    previous.map_or_else(String::new, |slot| short(&slot.id))
}

fn undo(known: &Observed) -> String {
    let previous = known.item.previous.as_ref();
    if previous.is_some_and(|slot| slot.revoked_at.is_some()) {
        return "it was revoked, and is never brought back".into();
    }
    format!("undo: awskeep rotate {} --undo", known.item.entry)
}

fn in_service(known: &Observed) -> String {
    let current = &known.item.current;
    match current.promoted_at {
        Some(at) => format!(
            "{}: {} has been in service since {at}",
            known.item.entry, current.id
        ),
        None => format!("{}: {} is in service", known.item.entry, current.id),
    }
}

fn held(until: Timestamp, known: &Observed) -> Error {
    let (entry, until) = (&known.item.entry, until.day());
    Error::new(
        Kind::PersonNeeded,
        format!(
            "not rotated: the replaced key {} is inactive, held until {until}, and takes the place of a new one",
            old(known)
        ),
    ).entry(entry)
    .hint(format!("delete it: awskeep rotate {entry} --delete-now"))
    .hint(format!("then replace this one: awskeep rotate {entry}"))
    .hint(format!("or bring it back: awskeep rotate {entry} --undo"))
}

/// `…J5A`: enough to tell two keys apart in a line.
pub(crate) fn short(id: &AccessKeyId) -> String {
    let text = id.as_str();
    format!("…{}", &text[text.len().saturating_sub(4)..])
}

/// What a step takes time for, and until when; none for what takes a moment.
pub fn progress(step: &Step, known: &Observed) -> Option<String> {
    Some(match step {
        Step::Mint => "asking AWS for a new key".into(),
        Step::Prove(id) => format!(
            "waiting until AWS knows {id} everywhere, for {} at most; Ctrl-C is safe",
            crate::lifecycle::proof::PATIENCE
        ),
        Step::Settle { until } => format!(
            "giving other regions and services {} to learn of it, until {until}; Ctrl-C is safe",
            known.request.settle
        ),
        Step::DeleteLost(id) => {
            format!("deleting {id}, which an interrupted rotation made and could not save")
        }
        Step::Activate(id) => format!("activating {id}"),
        Step::LetKeep { until } => durable::waiting(*until),
        Step::Deactivate(id) => format!("deactivating {id}"),
        Step::Delete(id) | Step::DeletePending(id) | Step::Discard(id) => format!("deleting {id}"),
        Step::Done
        | Step::Refuse(_)
        | Step::Wait(_)
        | Step::Ask(_)
        | Step::WriteIntent
        | Step::ClearIntent
        | Step::Promote
        | Step::DropPending
        | Step::Swap
        | Step::AskLastUse(_)
        | Step::Clear => return None,
    })
}
