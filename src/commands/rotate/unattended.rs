//! `awskeep rotate --if-due` without a person: whose turn it is, one run for each,
//! what is remembered of it, and what the next prompt is to say.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::automation::memory::{Memory, MemoryFile};
use crate::automation::notices;
use crate::automation::schedule;
use crate::automation::schedule::{LONGEST_SLEEP, NextTurn, ScheduleState, Situation, Work};
use crate::aws::place;
use crate::cli::Rotate;
use crate::commands::Invocation;
use crate::commands::rotate::{leave_receipt, one};
use crate::error::{Error, Kind, Result};
use crate::lifecycle::{options, report};
use crate::records::{Record, Records};
use crate::sessions::mfa::GivenCode;
use crate::store::entries::{Entries, Inventory, StoredEntry};
use crate::store::item::Item;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::types::time::Timestamp;

/// So many runs that died in a row are said once; one may be a closed laptop.
const MANY_LOST: u32 = 3;

/// Why nothing is rotated here without a person; none if it may be.
pub fn why_not_here(env: &Env) -> Option<&'static str> {
    if env.path_var("CI").is_some() {
        return Some("CI is set: keys are not rotated automatically in CI");
    }
    match MemoryFile::of(env) {
        Ok(memory) if memory.is_there() => None,
        Ok(_) | Err(_) => {
            Some("awskeep has no state folder of this user's here: nothing rotates automatically")
        }
    }
}

/// What a round did: the states to tell, and the failures to report.
#[derive(Default)]
pub struct Told {
    pub states: Vec<super::Told>,
    pub failures: Vec<Error>,
}

/// One round over all entries; only those in `names` are acted on, if it names any.
///
/// # Errors
/// `Kind::Failed` or `Kind::Unfinished` if nothing can be remembered: then nothing is done.
pub fn round(
    context: &Invocation<'_>,
    args: &Rotate,
    names: &[EntryName],
    stop: &Arc<AtomicBool>,
) -> Result<Told> {
    let env = context.env;
    if let Some(reason) = why_not_here(env) {
        env.ui.tell(reason);
        return Ok(Told::default());
    }
    let memory = MemoryFile::of(env)?;
    let Some(_only_one) = memory.try_lock_run()? else {
        env.ui.tell("another awskeep is rotating what is due");
        return Ok(Told::default());
    };
    let mut remembered = memory.begin(env.now())?;
    let mut round = Round {
        context,
        args,
        stop,
        memory: &memory,
        remembered: &mut remembered,
        told: Told::default(),
        receipts: receipts(env),
        next: env.now() + LONGEST_SLEEP,
    };
    round.say_lost_runs();
    let everything = Entries::open(env).and_then(|entries| {
        let inventory = entries.inventory()?;
        Ok((entries, inventory))
    });
    match everything {
        Ok((entries, inventory)) => round.entries(&entries, inventory, names),
        Err(failure) => round.stores(Some(failure)),
    }
    let (told, next) = (round.told, round.next);
    memory.end(remembered, next, env.now())?;
    Ok(told)
}

/// Without them an entry's turn only comes more often than it must.
fn receipts(env: &Env) -> Vec<Record> {
    let receipts = Records::of(env).and_then(|receipts| receipts.read());
    receipts.unwrap_or_default()
}

struct Round<'a> {
    context: &'a Invocation<'a>,
    args: &'a Rotate,
    stop: &'a Arc<AtomicBool>,
    memory: &'a MemoryFile,
    remembered: &'a mut Memory,
    told: Told,
    receipts: Vec<Record>,
    /// When the next round has something to do.
    next: Timestamp,
}

impl Round<'_> {
    fn entries(&mut self, entries: &Entries<'_>, inventory: Inventory, names: &[EntryName]) {
        let mut troubles = inventory.troubles.into_iter().chain(inventory.unreadable);
        let trouble = troubles.next();
        let held = inventory.held;
        if trouble.is_none() {
            // What a store that is locked just now holds is not gone.
            let is_there = |name: &EntryName| held.iter().any(|held| held.name() == name);
            self.remembered.entries.retain(|name, _| is_there(name));
        }
        self.stores(trouble);
        // Each is named; what is remembered of them is one thing, so that one is said later.
        self.told.failures.extend(troubles);
        for held in &held {
            let past = self.remembered.entries.remove(held.name());
            let past = past.unwrap_or_default();
            let chosen = names.is_empty() || names.contains(held.name());
            let past = match self.entry(entries, held, &past, chosen) {
                Ok(past) => past,
                // A person has removed it meanwhile.
                Err(failure) if failure.kind == Kind::NotFound => continue,
                Err(failure) => self.put_off(&past, failure),
            };
            self.remembered.entries.insert(held.name().clone(), past);
        }
    }

    /// Nobody sees how a run dies: the next ones come ever later, and say so.
    fn say_lost_runs(&self) {
        if self.remembered.begun == MANY_LOST + 1 {
            let command = "awskeep rotate --if-due --all";
            self.leave(&format!(
                "not rotated: the last {MANY_LOST} runs died half-way; {command}"
            ));
        }
    }

    /// What all entries have in common.
    fn stores(&mut self, trouble: Option<Error>) {
        let past = std::mem::take(&mut self.remembered.stores);
        let Some(failure) = trouble else { return };
        self.remembered.stores = self.put_off(&past, failure);
    }

    /// Something could not be looked at: the next round tries again.
    fn put_off(&mut self, past: &ScheduleState, failure: Error) -> ScheduleState {
        let past = self.failed(past, failure);
        let a_day_later = self.now() + schedule::A_DAY;
        self.next = self.next.min(past.not_before.unwrap_or(a_day_later));
        past
    }

    fn failed(&mut self, past: &ScheduleState, failure: Error) -> ScheduleState {
        let mut past = past.after_failure(&failure, self.now());
        self.say_trouble(&mut past, &failure.told(), failure.hints.first());
        self.told.failures.push(failure);
        past
    }

    fn entry(
        &mut self,
        entries: &Entries<'_>,
        held: &StoredEntry,
        past: &ScheduleState,
        chosen: bool,
    ) -> Result<ScheduleState> {
        let situation = self.situation(entries, held)?;
        let past = past.still_of(&situation);
        let mut past = match schedule::turn(&situation, &past) {
            NextTurn::At(time, work) if time <= situation.now && chosen => {
                self.turn(entries, held, past, work)?
            }
            NextTurn::At(..) | NextTurn::Never => past,
        };
        let held = entries.get(held.name())?;
        let situation = self.situation(entries, &held)?;
        past = past.about(&situation);
        if let NextTurn::At(time, _) = schedule::turn(&situation, &past) {
            self.next = self.next.min(time);
        }
        Ok(past)
    }

    fn turn(
        &mut self,
        entries: &Entries<'_>,
        held: &StoredEntry,
        past: ScheduleState,
        work: Work,
    ) -> Result<ScheduleState> {
        match work {
            Work::SayDue => Ok(self.say_due(held, past)),
            Work::SayWaits => {
                let mut past = past;
                let why = past.waits.clone().unwrap_or_default();
                let command = report::command_of_rest(&held.item);
                self.say_trouble(&mut past, &why, Some(&command));
                Ok(past)
            }
            Work::Rotate | Work::GoOn => self.rotate(entries, held, past),
        }
    }

    fn rotate(
        &mut self,
        entries: &Entries<'_>,
        held: &StoredEntry,
        past: ScheduleState,
    ) -> Result<ScheduleState> {
        let name = held.name();
        let past = self.say_endpoints(held, past);
        let no_code = GivenCode::default();
        let result = one(self.context, self.args, name, self.stop, &no_code);
        leave_receipt(self.context.env, name, result.as_ref().err(), self.stop);
        self.receipts = receipts(self.context.env);
        match result {
            Ok(state) => {
                let next_step = state.not_before();
                self.told.states.push(state);
                let past = past.after_success(next_step, self.now());
                let after = entries.get(name)?;
                self.tell_news(&held.item, &self.situation(entries, &after)?, &past);
                Ok(past)
            }
            Err(failure) => Ok(self.failed(&past, failure)),
        }
    }

    fn tell_news(&self, before: &Item, after: &Situation<'_>, past: &ScheduleState) {
        let next_turn = match schedule::turn(after, past) {
            NextTurn::At(time, _) => Some(time),
            NextTurn::Never => None,
        };
        if let Some(line) = notices::of(before, after.item, after.rules, next_turn) {
            self.leave(&line);
        }
    }

    /// Once, not at each run.
    fn say_endpoints(&self, held: &StoredEntry, past: ScheduleState) -> ScheduleState {
        let unused = place::unused_endpoints(self.context.env, &held.item);
        if let Some(line) = unused.as_ref().filter(|_| unused != past.endpoints_said) {
            self.leave(&format!("{}: {line}", held.name()));
        }
        ScheduleState {
            endpoints_said: unused.or(past.endpoints_said.clone()),
            ..past
        }
    }

    fn say_due(&mut self, held: &StoredEntry, past: ScheduleState) -> ScheduleState {
        let (name, id) = (held.name(), &held.item.current.id);
        self.leave(&format!(
            "{name}: {id} is due; now: awskeep rotate {name}; automatically from now on: awskeep config set auto on --entry {name}"
        ));
        ScheduleState {
            said_at: Some(self.now()),
            ..past
        }
    }

    fn say_trouble(&mut self, past: &mut ScheduleState, why: &str, command: Option<&String>) {
        let now = self.now();
        if !past.to_be_said(now) {
            return;
        }
        let why = why.lines().next().unwrap_or_default();
        let command = command.map_or(String::new(), |command| format!("; {command}"));
        self.leave(&format!("not rotated: {why}{command}"));
        past.said_at = Some(now);
    }

    /// A line that cannot be left is lost; `status` and the log have it all the same.
    fn leave(&self, line: &str) {
        let _ = self.memory.leave_notice(self.now(), line);
    }

    fn situation<'i>(&self, entries: &Entries<'_>, held: &'i StoredEntry) -> Result<Situation<'i>> {
        Ok(Situation {
            item: &held.item,
            rules: options::rules(&entries.settings, held.name(), &self.receipts)?,
            auto: entries.settings.auto(Some(held.name()))?,
            now: self.now(),
        })
    }

    fn now(&self) -> Timestamp {
        self.context.env.now()
    }
}
