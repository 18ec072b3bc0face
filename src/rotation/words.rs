//! How a run ended, in words: the state, what comes next, and by what. Pure.

use serde::Serialize;

use super::known::{CreateSaid, Demand, Known};
use super::plan::{Death, Refusal, Step, Wait};
use super::run::{Ended, Promoted};
use super::{life, session};
use crate::failure::{Failure, Kind, Outcome};
use crate::keys::AccessKeyId;
use crate::time::Time;

/// The state of an entry after a run: what `--json` prints.
#[derive(Debug, Serialize)]
pub struct State {
    pub entry: String,
    /// The key that is served.
    pub key_id: String,
    /// Whether this run put it into service.
    pub rotated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Replaced>,
    /// The next step: a word that programs may compare.
    pub next: &'static str,
    /// When it can be taken, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    #[serde(skip)]
    pub line: String,
}

/// A key that was replaced.
#[derive(Debug, Serialize)]
pub struct Replaced {
    pub key_id: String,
    pub leased_until: Option<Time>,
    pub inactive_since: Option<Time>,
}

/// The state to tell, or why the run counts as failed.
///
/// # Errors
/// Each refusal with its kind and next command; `Kind::Unfinished` while the new
/// key is not in service.
pub fn told(ended: &Ended, demand: Demand) -> Outcome<State> {
    let known = &ended.known;
    let (next, until, line) = match &ended.step {
        Step::Refuse(refusal) => return Err(refused(refusal, known)),
        Step::Wait(wait) => waiting(wait, known, ended.promoted, demand)?,
        _ => ("none", None, in_service(known)),
    };
    let item = &known.item;
    Ok(State {
        entry: item.entry.to_string(),
        key_id: item.current.id.to_string(),
        rotated: ended.promoted == Promoted::Yes,
        pending: item.pending.as_ref().map(|slot| slot.id.to_string()),
        previous: item.previous.as_ref().map(|slot| Replaced {
            key_id: slot.id.to_string(),
            leased_until: slot.leased_until,
            inactive_since: slot.inactive_seen_at,
        }),
        next,
        not_before: until,
        line,
    })
}

type Told = (&'static str, Option<Time>, String);

fn waiting(wait: &Wait, known: &Known, promoted: Promoted, demand: Demand) -> Outcome<Told> {
    let entry = &known.item.entry;
    let serves = in_service(known);
    let old = known.item.previous.as_ref().map(|slot| short(&slot.id));
    let old = old.unwrap_or_default();
    let undo = format!("undo: awskeep rotate {entry} --undo");
    let retire = |until: &Time, why: &str| {
        format!(
            "{serves}\n{old} {why}; it is deactivated after {until}, by the next awskeep rotate {entry}; {undo}"
        )
    };
    let unfinished = |why: String| {
        Failure::new(Kind::Unfinished, format!("entry {entry}: {why}"))
            .hint(format!("awskeep rotate {entry}"))
    };
    let told = match wait {
        Wait::Leased { until } => (
            "deactivate",
            Some(*until),
            retire(until, "stays active for what still uses it"),
        ),
        Wait::LastUseNotKnownYet { until } => (
            "deactivate",
            Some(*until),
            retire(until, "stays active until AWS can tell its last use"),
        ),
        Wait::MayNotLook { until } => (
            "deactivate",
            Some(*until),
            retire(
                until,
                "stays active, since AWS does not let its last use be looked at",
            ),
        ),
        Wait::Held { .. } if demand == Demand::Now && promoted == Promoted::No => {
            return Err(held(known));
        }
        Wait::Held { until } => (
            "delete",
            Some(*until),
            format!(
                "{serves}\n{old} is inactive, deleted after {} by the next awskeep rotate {entry}; {undo}",
                until.day()
            ),
        ),
        Wait::NotListedYet { until } => (
            "look-again",
            Some(*until),
            format!(
                "{serves}\nAWS's lists do not show the last change yet; go on: awskeep rotate {entry} --finish"
            ),
        ),
        Wait::GoneUnsure { until } => (
            "look-again",
            Some(*until),
            format!(
                "{serves}\n{old} is in no list any more; one more look after {until} makes sure"
            ),
        ),
        Wait::NextSession => (
            "delete",
            None,
            format!(
                "{serves}\n{old} is inactive, deleted in the MFA session of the next rotation; {undo}"
            ),
        ),
        Wait::CurrentUnseen => {
            return Err(unfinished(format!(
                "IAM's list lacks its key {}; one list proves nothing, look again in 10 minutes",
                known.item.current.id
            )));
        }
        Wait::NoAnswerToCreate(said) => {
            return Err(unfinished(match said {
                CreateSaid::MadeButLost => {
                    "AWS made a key, but its secret was lost on the way; it does not show in the list yet".into()
                }
                CreateSaid::NotAsked | CreateSaid::LimitExceeded | CreateSaid::NoAnswer => {
                    "no answer to CreateAccessKey; the list shows no new key yet".into()
                }
            }));
        }
        Wait::PendingNotProven { id, said } => {
            return Err(unfinished(format!(
                "the new key {id} is not known everywhere at AWS yet, and stays pending; the old one is served"
            ))
            .cause(said));
        }
        Wait::UndoNotProven { id, said } => {
            return Err(unfinished(format!("{id} is not accepted again yet")).cause(said));
        }
        Wait::RetireOnItsWay { until } => {
            return Err(unfinished(format!(
                "a request to deactivate {old} may still be on its way; it can be brought back after {until}"
            )));
        }
        Wait::Stopped => {
            return Err(unfinished("stopped as asked; nothing is lost".into()));
        }
        Wait::ClocksApart { aws, local } => {
            return Err(unfinished(format!(
                "this machine's clock says {local}, AWS says {aws}; nothing irreversible is done on a wrong clock"
            ))
            .hint("set the clock, then run it again"));
        }
        Wait::NoAwsTime => {
            return Err(unfinished(
                "the replies bear no date, and nothing irreversible trusts the local clock alone"
                    .into(),
            ));
        }
    };
    Ok(told)
}

fn in_service(known: &Known) -> String {
    let current = &known.item.current;
    match current.promoted_at {
        Some(at) => format!(
            "{}: {} is in service since {at}",
            known.item.entry, current.id
        ),
        None => format!("{}: {} is in service", known.item.entry, current.id),
    }
}

fn held(known: &Known) -> Failure {
    let entry = &known.item.entry;
    let old = known.item.previous.as_ref().map(|slot| short(&slot.id));
    Failure::new(
        Kind::PersonNeeded,
        format!(
            "entry {entry}: the replaced key {} is held, inactive, and takes the place of a new one",
            old.unwrap_or_default()
        ),
    )
    .hint(format!(
        "awskeep rotate {entry} --delete-now deletes it; then rotate again"
    ))
    .hint(format!("awskeep rotate {entry} --undo brings it back"))
}

fn refused(refusal: &Refusal, known: &Known) -> Failure {
    let entry = &known.item.entry;
    let current = &known.item.current.id;
    let of = |kind, what: String| Failure::new(kind, format!("entry {entry}: {what}"));
    match refusal {
        Refusal::CurrentDead(death) => {
            let how = match death {
                Death::Inactive => "is not active at AWS",
                Death::NotAccepted => "is not accepted by AWS any more",
                Death::Gone => "is gone at AWS",
            };
            of(Kind::Aws, format!("its key {current} {how}: disabled or rotated elsewhere"))
                .hint(format!("awskeep recover {entry} --via PROFILE"))
        }
        Refusal::StandsInFile(place) => of(
            Kind::PersonNeeded,
            format!("{current} still stands in {}:{}; who reads it there would break", place.path, place.line),
        )
        .hint("take the key lines out, or let awskeep do it: awskeep import"),
        Refusal::OtherKey(id) => of(
            Kind::PersonNeeded,
            format!("its IAM user has another key, and AWS allows two\n{}", keys_told(known)),
        )
        .hint(format!("if nothing uses {id}: awskeep rotate {entry} --discard {id}")),
        Refusal::SomebodyElseRotates { host, at } => of(
            Kind::Unfinished,
            format!("somebody else rotates it, from {host} since {at}"),
        )
        .hint(format!("look again in 10 minutes: awskeep rotate {entry}")),
        Refusal::Unexplained { id, create } => unexplained(id, create, known),
        Refusal::EarlierRequest => of(
            Kind::Unfinished,
            "AWS says there are two keys, and lists one: an earlier request is still arriving".into(),
        )
        .hint(format!("in a minute: awskeep rotate {entry}")),
        Refusal::WrongPending { id, said } => of(
            Kind::Aws,
            format!("{id} is not what it should be, and is not put into service: {said}"),
        )
        .hint(format!("awskeep rotate {entry} --undo deletes it")),
        Refusal::PendingDeactivated(id) => of(
            Kind::PersonNeeded,
            format!("somebody deactivated the new key {id} before it was in service"),
        )
        .hint(format!("awskeep rotate {entry} --undo deletes it; or activate it at AWS")),
        Refusal::UndoGone(id) => of(
            Kind::NotFound,
            format!("{id} is deleted at AWS and cannot be brought back; {current} stays in service"),
        )
        .hint(format!("awskeep rotate {entry} --finish")),
        Refusal::Reactivated(id) => of(
            Kind::PersonNeeded,
            format!("somebody activated the replaced key {id} again; it is left alone"),
        )
        .hint(format!("deactivate it again: awskeep rotate {entry} --retire-now"))
        .hint(format!("or bring it back: awskeep rotate {entry} --undo")),
        Refusal::UsedLate { id, use_of } => of(
            Kind::PersonNeeded,
            format!(
                "the replaced key {id} was used at {} ({} in {}), after every lease on it was over; it stays active",
                use_of.time, use_of.service, use_of.region
            ),
        )
        .hint(format!("find who uses it; then: awskeep rotate {entry} --retire-now")),
        Refusal::StrangeStatus(id) => of(
            Kind::PersonNeeded,
            format!("AWS gives {id} a status that this awskeep does not know"),
        )
        .hint("update awskeep"),
        Refusal::NeedsMfa => session::needed(&life::command_of_rest(&known.item), entry),
        Refusal::DamagedItem => of(
            Kind::Store,
            format!("the stored item has {current} in two places"),
        )
        .hint(format!("awskeep add {entry} --replace")),
    }
}

fn unexplained(id: &AccessKeyId, create: &CreateSaid, known: &Known) -> Failure {
    let entry = &known.item.entry;
    let why = match create {
        CreateSaid::MadeButLost => "AWS made it just now, and its secret was lost on the way",
        CreateSaid::NoAnswer => {
            "AWS very likely made it just now: the answer to our request was lost"
        }
        CreateSaid::NotAsked | CreateSaid::LimitExceeded => {
            "a rotation that was interrupted may have made it, or a person did"
        }
    };
    Failure::new(
        Kind::PersonNeeded,
        format!(
            "entry {entry}: {id} is there, and only you can know whose it is: {why}\n{}",
            keys_told(known)
        ),
    )
    .hint(format!(
        "if nobody uses {id}, delete it and go on: awskeep rotate {entry} --discard {id}"
    ))
}

/// Every listed key on a line: status, age, whether it is the entry's own.
fn keys_told(known: &Known) -> String {
    let lines = known.listed().iter().map(|key| {
        let age = key.created_at.map_or("age not known".to_owned(), |at| {
            format!("made {at}, {} ago", known.now().since(at).rough())
        });
        let mine = known
            .item
            .slots()
            .find(|(_, slot)| slot.id == key.id)
            .map_or("not this entry's", |(name, _)| name);
        format!("  {} {:?}, {age}, {mine}", key.id, key.status)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `…J5A`: enough to tell two keys apart in a line.
pub(super) fn short(id: &AccessKeyId) -> String {
    let text = id.as_str();
    format!("…{}", &text[text.len().saturating_sub(4)..])
}

/// What `--explain` prints: everything that the next step was decided from.
pub fn explained(known: &Known, step: &Step) -> String {
    let item = &known.item;
    let mut lines = vec![format!("entry {}", item.entry)];
    for (name, slot) in item.slots() {
        let mut line = format!("  {name} {}: {:?}", slot.id, known.life(&slot.id));
        for (what, at) in [
            ("created", slot.created_at),
            ("saved", Some(slot.saved_at)),
            ("promoted", slot.promoted_at),
            ("leased until", slot.leased_until),
            ("retirement tried", slot.retire_started_at),
            ("inactive since", slot.inactive_seen_at),
            ("absent since", slot.absent_seen_at),
        ] {
            if let Some(at) = at {
                line.push_str(&format!(", {what} {at}"));
            }
        }
        lines.push(line);
    }
    if let Some(extra) = known.extra() {
        lines.push(format!("  another key {}: {:?}", extra.id, extra.status));
    }
    if let Some(intent) = &item.intent {
        lines.push(format!(
            "  intent since {} from {} ({:?})",
            intent.at, intent.host, known.intent_is
        ));
    }
    if let Some(at) = item.undo_wanted_at {
        lines.push(format!("  undo wanted since {at}"));
    }
    lines.push(format!(
        "time {} ({:?}), here {}",
        known.now(),
        known.aws_time,
        known.local_time
    ));
    lines.push(format!("policy {:?}", known.policy));
    lines.push(format!("next step {step}\n"));
    lines.join("\n")
}
