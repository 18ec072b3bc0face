//! What a run would do next, in words: for `--explain` and `--dry-run`. Pure.

use serde::Serialize;

use crate::lifecycle::model::{Request, RetireMode, Trigger};
use crate::lifecycle::observed::{AwsTime, IntentIs, KeyState, Observed};
use crate::lifecycle::phrases::refusals::refused;
use crate::lifecycle::phrases::{
    clocks_apart, current_not_proven, current_unseen, no_answer, not_accepted_yet, old,
    pending_not_proven, retire_on_its_way,
};
use crate::lifecycle::plan::{Question, Refusal, Step, Wait};
use crate::system::disk::host_in;
use crate::types::lease::Attended;
use crate::types::time::Timestamp;

/// The next step: what `--json` prints of it.
#[derive(Debug, Serialize)]
pub struct Preview {
    pub entry: String,
    /// A word that programs may compare.
    pub next: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// What would be done, or why nothing would be.
    pub text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    #[serde(skip)]
    lead: Lead,
}

/// What kind of sentence the text is the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    Acts,
    Nothing,
    Refuses,
}

impl Preview {
    pub fn of(known: &Observed, step: &Step) -> Preview {
        let told = |next, lead, text: String| Preview {
            entry: known.item.entry.to_string(),
            next,
            not_before: None,
            text,
            hints: Vec::new(),
            lead,
        };
        let acts = |(next, text)| told(next, Lead::Acts, text);
        match step {
            Step::Done => {
                let text = "nothing is begun, and nothing is due".into();
                told("none", Lead::Nothing, text)
            }
            Step::Refuse(refusal) => match instead_of_refusing(refusal, known) {
                Some(asked) => acts(asked),
                None => {
                    let failure = refused(refusal, known);
                    Preview {
                        hints: failure.hints.clone(),
                        ..told("refuse", Lead::Refuses, failure.message)
                    }
                }
            },
            Step::Wait(wait) => waits(wait, known, acts),
            Step::Ask(question) => acts(asks(question, known)),
            _ => acts(done(step, known)),
        }
    }

    /// The line of `--dry-run`.
    pub fn line(&self) -> String {
        let how = match self.lead {
            Lead::Acts => "would ",
            Lead::Nothing => "would do nothing: ",
            Lead::Refuses => "would be refused: ",
        };
        let hints = self.hints.iter().map(|hint| format!("\nhint: {hint}"));
        let hints: String = hints.collect();
        format!("{}: {how}{}{hints}", self.entry, self.text)
    }
}

/// A word that programs may compare, and what is done.
type Act = (&'static str, String);

/// Where a run asks a person before it refuses.
fn instead_of_refusing(refusal: &Refusal, known: &Observed) -> Option<Act> {
    let attended = known.request.attended == Attended::Yes;
    match refusal {
        Refusal::NeedsMfa if attended => Some((
            "open-session",
            "ask for an MFA code and open a session: AWS shows the user's keys in one only".into(),
        )),
        Refusal::StandsInFile(place) if attended => Some((
            "ask",
            format!(
                "ask whether to continue, though {} is still in {}:{}",
                known.item.current.id, place.path, place.line
            ),
        )),
        _ => None,
    }
}

fn asks(question: &Question, known: &Observed) -> Act {
    let old = old(known);
    match question {
        Question::MakeRoom(_) => (
            "make-room",
            format!("delete the held key {old} at once, if you agree, to make room for a new one"),
        ),
        Question::RetireUnkept => (
            "wait",
            format!("wait: {old} is kept, since the keychain may not have the new key on disk yet"),
        ),
        Question::Reactivate(_) | Question::Serve(_) | Question::MakeKey => {
            ("ask", format!("ask: {}", super::question(question, known)))
        }
    }
}

fn done(step: &Step, known: &Observed) -> Act {
    let pending = known.item.pending.as_ref();
    let pending = pending.map_or_else(String::new, |slot| slot.id.to_string());
    let current = &known.item.current.id;
    match step {
        Step::WriteIntent => ("write-intent", "ask AWS for a new key".into()),
        Step::Mint => ("mint", "ask AWS for a new key, as was begun".into()),
        Step::ClearIntent => ("clear-intent", "forget the rotation that was begun".into()),
        Step::DeleteLost(id) => (
            "delete-lost",
            format!("delete {id}, which an interrupted rotation made and could not save"),
        ),
        Step::Discard(id) => ("discard", format!("delete {id}, as you said")),
        Step::Prove(id) => ("prove", format!("wait until AWS knows {id} everywhere")),
        Step::Settle { until } => (
            "settle",
            format!("wait until {until}, so that other regions learn of {pending}"),
        ),
        Step::Promote => ("promote", format!("put {pending} into service")),
        Step::DropPending => (
            "drop-pending",
            format!("forget {pending}, which no longer exists in AWS"),
        ),
        Step::DeletePending(id) => ("delete-pending", format!("delete the new key {id}")),
        Step::Activate(id) => ("activate", format!("activate {id}, to bring it back")),
        Step::Swap => ("swap", format!("put {} back into service", old(known))),
        Step::AskLastUse(id) => (
            "ask-last-use",
            format!("ask AWS when {id} was last used, and deactivate it unless that was too late"),
        ),
        Step::LetKeep { until } => (
            "let-keep",
            format!("wait until {until}, when the keychain has {current} on disk"),
        ),
        Step::Deactivate(id) => ("deactivate", format!("deactivate {id}")),
        Step::Delete(id) => ("delete", format!("delete {id}")),
        Step::Clear => (
            "clear",
            format!(
                "forget the replaced key {}, which no longer exists in AWS",
                old(known)
            ),
        ),
        Step::Done | Step::Refuse(_) | Step::Wait(_) | Step::Ask(_) => {
            ("none", format!("leave {current} in service"))
        }
    }
}

fn waits(wait: &Wait, known: &Observed, acts: impl Fn(Act) -> Preview) -> Preview {
    let old = old(known);
    let (until, why) = match wait {
        Wait::Leased { until } => (
            Some(*until),
            format!("{old} stays active for what still uses it, and is deactivated then"),
        ),
        Wait::LastUseNotKnownYet { until } => (
            Some(*until),
            format!("{old} stays active until AWS can tell its last use"),
        ),
        Wait::MayNotLook { until } => (
            Some(*until),
            format!("{old} stays active, since AWS does not let its last use be looked at"),
        ),
        Wait::Held { until } => (
            Some(*until),
            format!("{old} is inactive and held, and is deleted then"),
        ),
        Wait::NextSession => (
            None,
            format!("{old} is inactive, and is deleted in the MFA session of the next rotation"),
        ),
        Wait::NotKept => (
            None,
            format!("{old} is kept, since the keychain may not have the new key on disk yet"),
        ),
        Wait::NotListedYet { until } => (
            Some(*until),
            "AWS's lists do not show the last change yet".into(),
        ),
        Wait::GoneUnsure { until } => (
            Some(*until),
            format!("{old} is in no list any more; one more look makes sure"),
        ),
        Wait::RetireOnItsWay { until } => (Some(*until), retire_on_its_way(*until, known).message),
        Wait::CurrentUnseen => (None, current_unseen(known).message),
        Wait::NoAnswerToCreate(said) => (None, no_answer(said).into()),
        Wait::PendingNotProven { id, said } => (None, pending_not_proven(id, said, known).message),
        Wait::UndoNotProven { id, .. } => (None, not_accepted_yet(id)),
        Wait::CurrentNotProven { id, .. } => (None, current_not_proven(id)),
        Wait::Stopped => (None, "stopped as asked".into()),
        Wait::ClocksApart { aws, local } => (None, clocks_apart(*aws, *local, known).message),
        Wait::NoAwsTime => (None, "AWS's replies bear no date".into()),
    };
    let when = until.map_or_else(String::new, |until| format!(" until {until}"));
    Preview {
        not_before: until,
        ..acts(("wait", format!("wait{when}: {why}")))
    }
}

/// What `--explain` prints: everything that the next step was decided from.
pub fn explained(known: &Observed, foreseen: &Preview) -> String {
    let item = &known.item;
    let mut lines = vec![format!("entry {}", item.entry)];
    for (name, slot) in item.slots() {
        let mut line = format!("  {name} {}: {}", slot.id, state(known.state(&slot.id)));
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
        lines.push(format!(
            "  another key {}: {}",
            extra.id,
            state(known.state(&extra.id))
        ));
    }
    if let Some(intent) = &item.intent {
        let whose = match known.intent_is {
            IntentIs::Ours => "no run is at it",
            IntentIs::Foreign => "out of this lock's reach",
        };
        lines.push(format!(
            "  intent since {} from {} ({whose})",
            intent.at,
            host_in(&intent.host)
        ));
    }
    if let Some(at) = item.undo_wanted_at {
        lines.push(format!("  undo wanted since {at}"));
    }
    let clock = match known.aws_time {
        AwsTime::At(_) => "AWS's clock",
        AwsTime::NotSaid => "this machine's clock, AWS's is not known",
    };
    let (now, here) = (known.now(), known.local_time);
    lines.push(format!("time {now} ({clock}), here {here}"));
    lines.push(format!("policy {}", request(&known.request)));
    let how = match foreseen.lead {
        Lead::Acts => "",
        Lead::Nothing => "none: ",
        Lead::Refuses => "refuse: ",
    };
    lines.push(format!("next step: {how}{}", foreseen.text));
    lines.extend(foreseen.hints.iter().map(|hint| format!("  hint: {hint}")));
    lines.join("\n") + "\n"
}

fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Inactive => "inactive",
        KeyState::Strange => "of a status that this awskeep does not know",
        KeyState::Absent => "in no list",
        KeyState::NotLookedUp => "not looked up",
    }
}

fn request(request: &Request) -> String {
    let trigger = match request.trigger {
        Trigger::Finish => "finish",
        Trigger::IfDue => "if-due",
        Trigger::Now => "now",
        Trigger::Recover => "recover",
    };
    let attended = match request.attended {
        Attended::Yes => "yes",
        Attended::No => "no",
    };
    let retire = match request.retire {
        RetireMode::No => "no",
        RetireMode::Retire => "retire",
        RetireMode::Delete => "delete",
    };
    let never = || "never".to_owned();
    let max_age = request.max_age.map_or_else(never, |age| age.to_string());
    let mut words = vec![
        format!("demand = {trigger}"),
        format!("attended = {attended}"),
        format!("early = {retire}"),
        format!("settle = {}", request.settle),
        format!("hold = {}", request.hold),
        format!("max_age = {max_age}"),
        format!("lease = {}", request.lease),
    ];
    if let Some(id) = &request.discard {
        words.push(format!("discard = {id}"));
    }
    for place in &request.in_files {
        words.push(format!("in_file = {}:{}", place.path, place.line));
    }
    words.join(", ")
}
