//! `awskeep rotate [ENTRY…]`: replaces keys, and finishes, undoes or hurries what
//! was begun. The rotation itself is `rotation`'s; here is which entries are meant, by
//! whom, and what is told of them in the end.

mod background;
mod turn;
mod unattended;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::{Context, Form, Mode};
use crate::aws;
use crate::cli::{Rotate, Target};
use crate::entries::Entries;
use crate::failure::{Failure, Kind, Outcome};
use crate::keys::EntryName;
use crate::machine::Machine;
use crate::rotation::known::Demand;
use crate::rotation::mfa_code::{self, Given};
use crate::rotation::words::{self, Asked, Foreseen, State};
use crate::rotation::{host, life, wanted};
use crate::state::{self, Receipt, Receipts};
use crate::time::{Length, Time};
use turn::{Taken, Turn};

/// The longest single wait between two looks of `--wait`.
const WAIT_PIECE: Length = Length::minutes(10);

/// What is told of an entry in the end.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told {
    State(State),
    Foreseen(Foreseen),
}

impl Told {
    fn not_before(&self) -> Option<Time> {
        match self {
            Told::State(state) => state.not_before,
            Told::Foreseen(foreseen) => foreseen.not_before,
        }
    }
}

pub fn run(context: &Context<'_>, args: &Rotate) -> Outcome<()> {
    if args.background {
        background::run(context);
        return Ok(());
    }
    if args.detached {
        background::detach();
    }
    let stop = host::stop_flag(context.machine)?;
    let acts = context.mode == Mode::Act && !args.instead.explain;
    let alone = !context.machine.ui.attended() && !args.mfa.mfa_code_stdin;
    if args.if_due && acts && alone {
        return by_itself(context, args, &stop);
    }
    let entries = Entries::open(context.machine)?;
    let (names, broken) = meant(&entries, args)?;
    if args.mfa.mfa_code_stdin && names.len() > 1 {
        return Err(Failure::new(
            Kind::Usage,
            "one MFA code opens a session for one entry: name one",
        ));
    }
    let given = mfa_code::given(&args.mfa)?;
    for name in &names {
        if let Ok(held) = entries.get(name) {
            aws::warn_of_unused_endpoints(context.machine, &held.item);
        }
    }
    let result = by_a_person(context, args, &names, broken, &stop, &given);
    if acts {
        match &result {
            Ok(()) => state::forget(context.machine, |name| names.contains(name)),
            Err(_) => state::look_again(context.machine),
        }
    }
    result
}

fn by_a_person(
    context: &Context<'_>,
    args: &Rotate,
    names: &[EntryName],
    mut broken: Vec<Failure>,
    stop: &Arc<AtomicBool>,
    given: &Given,
) -> Outcome<()> {
    if names.is_empty() && broken.len() == 1 {
        return Err(broken.swap_remove(0));
    }
    let alone = names.len() == 1 && broken.is_empty();
    let acts = context.mode == Mode::Act && !args.instead.explain;
    let mut states = Vec::new();
    let mut first_failure = None;
    for failure in broken {
        context.machine.ui.report(&failure);
        first_failure = first_failure.or(Some(failure));
    }
    for name in names {
        let result = one(context, args, name, stop, given);
        if acts {
            leave_receipt(context.machine, name, result.as_ref().err(), stop);
        }
        match result {
            Ok(state) => states.push(state),
            Err(failure) if alone => return Err(failure),
            Err(failure) => {
                context.machine.ui.report(&failure);
                first_failure = first_failure.or(Some(failure));
            }
        }
    }
    tell(context, &states, names.len())?;
    match first_failure {
        None => Ok(()),
        Some(first) => Err(Failure::new(first.kind, "not every entry was rotated")),
    }
}

/// What is due, without a person.
fn by_itself(context: &Context<'_>, args: &Rotate, stop: &Arc<AtomicBool>) -> Outcome<()> {
    let names = match args.all {
        true => Vec::new(),
        false => meant(&Entries::open(context.machine)?, args)?.0,
    };
    let told = unattended::round(context, args, &names, stop)?;
    tell(context, &told.states, names.len())?;
    let mut failures = told.failures.into_iter();
    match (failures.next(), failures.len()) {
        (None, _) => Ok(()),
        (Some(only), 0) => Err(only),
        (Some(first), _) => {
            context.machine.ui.report(&first);
            failures.for_each(|failure| context.machine.ui.report(&failure));
            Err(Failure::new(first.kind, "not every entry was rotated"))
        }
    }
}

/// What went wrong stays known until it is made good: `status` and the log show it.
fn leave_receipt(
    machine: &Machine,
    name: &EntryName,
    failure: Option<&Failure>,
    stop: &AtomicBool,
) {
    let receipt = Receipt::new(machine.now(), name, "rotate");
    match failure {
        Some(failure) => match failure.kind {
            // Somebody wanted it so: nothing failed.
            Kind::Unfinished if stop.load(Ordering::SeqCst) => {}
            Kind::Failed | Kind::Store | Kind::Aws | Kind::Unfinished | Kind::Bug => {
                state::note(
                    machine,
                    &receipt.result(format!("failed: {}", failure.message)),
                );
            }
            // A person was there, or is needed and was told.
            Kind::Usage | Kind::NotFound | Kind::PersonNeeded | Kind::Attention => {}
        },
        None => {
            let known = Receipts::of(machine).and_then(|receipts| receipts.read());
            let mended = known.is_ok_and(|known| {
                life::last_failure(&known, name).is_some_and(|failure| failure.step == receipt.step)
            });
            if mended {
                state::note(machine, &receipt);
            }
        }
    }
}

fn tell(context: &Context<'_>, states: &[Told], asked: usize) -> Outcome<()> {
    let ui = &context.machine.ui;
    match (context.form, states) {
        (Form::Json, [only]) if asked == 1 => ui.json(only),
        (Form::Json, _) => ui.json(&states),
        (Form::Text, _) => {
            for state in states {
                match state {
                    Told::State(state) => ui.tell(&state.line),
                    // Told when it was looked at.
                    Told::Foreseen(_) => {}
                }
            }
            Ok(())
        }
    }
}

/// The entries that are meant; with `--all`, also what cannot be read: it stops no other.
fn meant(entries: &Entries<'_>, args: &Rotate) -> Outcome<(Vec<EntryName>, Vec<Failure>)> {
    if args.all {
        let inventory = entries.inventory()?;
        let names = inventory.held.iter().map(|held| held.name().clone());
        let mut broken = inventory.troubles;
        broken.extend(inventory.unreadable);
        return Ok((names.collect(), broken));
    }
    let mut targets: Vec<Target> = args
        .names
        .iter()
        .map(|name| Target {
            name: Some(name.clone()),
            ..Target::default()
        })
        .collect();
    if targets.is_empty() {
        targets.push(Target {
            name: None,
            entry: args.entry.clone(),
            profile: args.profile.clone(),
        });
    }
    let mut names = Vec::new();
    for target in &targets {
        let name = entries.meant(target)?.name().clone();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok((names, Vec::new()))
}

/// One entry.
fn one(
    context: &Context<'_>,
    args: &Rotate,
    name: &EntryName,
    stop: &Arc<AtomicBool>,
    given: &Given,
) -> Outcome<Told> {
    let entries = Entries::open(context.machine)?;
    let (mut policy, about) = turn::policy(context, &entries, args, name)?;
    let mut waits_until = None;
    loop {
        let turn = Turn {
            context,
            entries: &entries,
            args,
            about: &about,
            stop,
            given,
        };
        let ended = match turn.take(name, &mut policy)? {
            Taken::Run(ended) => ended,
            Taken::Look(foreseen) => return Ok(Told::Foreseen(foreseen)),
        };
        let asked = match (policy.demand, args.instead.finish) {
            (Demand::Now, _) => Asked::NewKey,
            (Demand::Finish, true) => Asked::Finish,
            (Demand::Finish | Demand::IfDue | Demand::Recover, _) => Asked::Else,
        };
        let state = words::told(&ended, asked)?;
        // The lock is free again: others may work while this one waits.
        let Some(until) = wanted::still_to_wait(&ended, args.wait) else {
            return Ok(Told::State(state));
        };
        if policy.demand != Demand::Finish {
            policy.demand = Demand::Finish;
            context.machine.ui.tell(&state.line);
        }
        if waits_until != Some(until) {
            waits_until = Some(until);
            let line = format!(
                "{name}: waiting until {until}, with a look every 10 minutes; Ctrl-C is safe, and awskeep rotate {name} --finish does the rest"
            );
            context.machine.ui.tell(&line);
        }
        wait_until(context.machine, name, until, stop)?;
    }
}

fn wait_until(machine: &Machine, name: &EntryName, until: Time, stop: &AtomicBool) -> Outcome<()> {
    let end = until.min(machine.now() + WAIT_PIECE);
    loop {
        if stop.load(Ordering::SeqCst) {
            return Err(Failure::new(
                Kind::Unfinished,
                format!("entry {name}: stopped waiting as asked; the new key is in service, the old one is not retired yet"),
            )
            .hint(format!("awskeep rotate {name} --finish")));
        }
        machine.clock.wait(Duration::from_secs(1));
        if machine.now() >= end {
            return Ok(());
        }
    }
}
