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

use crate::automation::memory;
use crate::aws::place;
use crate::cli::Rotate;
use crate::commands::rotate::turn::{Turn, TurnResult};
use crate::commands::{Form, Invocation, Mode};
use crate::error::{Error, Kind, Result};
use crate::lifecycle::model::Trigger;
use crate::lifecycle::phrases;
use crate::lifecycle::phrases::{Preview, RotationReport, Wish};
use crate::lifecycle::{host, options, report};
use crate::records;
use crate::records::{Record, Records};
use crate::sessions::mfa;
use crate::sessions::mfa::GivenCode;
use crate::store::entries::Entries;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::types::target::Target;
use crate::types::time::{Span, Timestamp};

/// The longest single wait between two looks of `--wait`.
const WAIT_PIECE: Span = Span::minutes(10);

/// What is told of an entry in the end.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told {
    State(RotationReport),
    Foreseen(Preview),
}

impl Told {
    fn not_before(&self) -> Option<Timestamp> {
        match self {
            Told::State(state) => state.not_before,
            Told::Foreseen(foreseen) => foreseen.not_before,
        }
    }
}

pub fn run(context: &Invocation<'_>, args: &Rotate) -> Result<()> {
    if args.background {
        background::run(context);
        return Ok(());
    }
    if args.detached {
        background::detach();
    }
    let stop = host::stop_flag(context.env)?;
    let acts = context.mode == Mode::Act && !args.instead.explain;
    let alone = !context.env.ui.attended() && !args.mfa.mfa_code_stdin;
    if args.if_due && acts && alone {
        return by_itself(context, args, &stop);
    }
    let entries = Entries::open(context.env)?;
    let (names, broken) = meant(&entries, args)?;
    if args.mfa.mfa_code_stdin && names.len() > 1 {
        return Err(Error::new(
            Kind::Usage,
            "one MFA code opens a session for one entry: name one",
        ));
    }
    let given = mfa::given(&args.mfa)?;
    for name in &names {
        if let Ok(held) = entries.get(name) {
            place::warn_of_unused_endpoints(context.env, &held.item);
        }
    }
    let result = by_a_person(context, args, &names, broken, &stop, &given);
    if acts {
        match &result {
            Ok(()) => memory::forget(context.env, |name| names.contains(name)),
            Err(_) => memory::look_again(context.env),
        }
    }
    result
}

fn by_a_person(
    context: &Invocation<'_>,
    args: &Rotate,
    names: &[EntryName],
    mut broken: Vec<Error>,
    stop: &Arc<AtomicBool>,
    given: &GivenCode,
) -> Result<()> {
    if names.is_empty() && broken.len() == 1 {
        return Err(broken.swap_remove(0));
    }
    let alone = names.len() == 1 && broken.is_empty();
    let acts = context.mode == Mode::Act && !args.instead.explain;
    let mut states = Vec::new();
    let mut first_failure = None;
    for failure in broken {
        context.env.ui.report(&failure);
        first_failure = first_failure.or(Some(failure));
    }
    for name in names {
        let result = one(context, args, name, stop, given);
        if acts {
            leave_receipt(context.env, name, result.as_ref().err(), stop);
        }
        match result {
            Ok(state) => states.push(state),
            Err(failure) if alone => return Err(failure),
            Err(failure) => {
                context.env.ui.report(&failure);
                first_failure = first_failure.or(Some(failure));
            }
        }
    }
    tell(context, &states, names.len())?;
    match first_failure {
        None => Ok(()),
        Some(first) => Err(Error::new(first.kind, "not every entry was rotated")),
    }
}

/// What is due, without a person.
fn by_itself(context: &Invocation<'_>, args: &Rotate, stop: &Arc<AtomicBool>) -> Result<()> {
    let names = match args.all {
        true => Vec::new(),
        false => meant(&Entries::open(context.env)?, args)?.0,
    };
    let told = unattended::round(context, args, &names, stop)?;
    tell(context, &told.states, names.len())?;
    let mut failures = told.failures.into_iter();
    match (failures.next(), failures.len()) {
        (None, _) => Ok(()),
        (Some(only), 0) => Err(only),
        (Some(first), _) => {
            context.env.ui.report(&first);
            failures.for_each(|failure| context.env.ui.report(&failure));
            Err(Error::new(first.kind, "not every entry was rotated"))
        }
    }
}

/// What went wrong stays known until it is made good: `status` and the log show it.
fn leave_receipt(env: &Env, name: &EntryName, failure: Option<&Error>, stop: &AtomicBool) {
    let receipt = Record::new(env.now(), name, "rotate");
    match failure {
        Some(failure) => match failure.kind {
            // Somebody wanted it so: nothing failed.
            Kind::Unfinished if stop.load(Ordering::SeqCst) => {}
            Kind::Failed | Kind::Store | Kind::Aws | Kind::Unfinished | Kind::Bug => {
                records::note(env, &receipt.failed(&failure.told()));
            }
            // A person was there, or is needed and was told.
            Kind::Usage | Kind::NotFound | Kind::PersonNeeded | Kind::Attention => {}
        },
        None => {
            let known = Records::of(env).and_then(|receipts| receipts.read());
            let mended = known.is_ok_and(|known| {
                report::last_failure(&known, name)
                    .is_some_and(|failure| failure.step == receipt.step)
            });
            if mended {
                records::note(env, &receipt);
            }
        }
    }
}

fn tell(context: &Invocation<'_>, states: &[Told], asked: usize) -> Result<()> {
    let ui = &context.env.ui;
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
fn meant(entries: &Entries<'_>, args: &Rotate) -> Result<(Vec<EntryName>, Vec<Error>)> {
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
    context: &Invocation<'_>,
    args: &Rotate,
    name: &EntryName,
    stop: &Arc<AtomicBool>,
    given: &GivenCode,
) -> Result<Told> {
    let entries = Entries::open(context.env)?;
    let (mut request, about) = turn::request(context, &entries, args, name)?;
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
        let ended = match turn.take(name, &mut request)? {
            TurnResult::Run(ended) => ended,
            TurnResult::Look(foreseen) => return Ok(Told::Foreseen(foreseen)),
        };
        let asked = match (request.trigger, args.instead.finish) {
            (Trigger::Now, _) => Wish::NewKey,
            (Trigger::Finish, true) => Wish::Finish,
            (Trigger::Finish | Trigger::IfDue | Trigger::Recover, _) => Wish::Else,
        };
        let state = phrases::told(&ended, asked)?;
        // The lock is free again: others may work while this one waits.
        let Some(until) = options::still_to_wait(&ended, args.wait) else {
            return Ok(Told::State(state));
        };
        if request.trigger != Trigger::Finish {
            request.trigger = Trigger::Finish;
            context.env.ui.tell(&state.line);
        }
        if waits_until != Some(until) {
            waits_until = Some(until);
            let line = format!(
                "{name}: waiting until {until}, with a look every 10 minutes; Ctrl-C is safe, and awskeep rotate {name} --finish does the rest"
            );
            context.env.ui.tell(&line);
        }
        wait_until(context.env, name, until, stop)?;
    }
}

fn wait_until(env: &Env, name: &EntryName, until: Timestamp, stop: &AtomicBool) -> Result<()> {
    let end = until.min(env.now() + WAIT_PIECE);
    loop {
        if stop.load(Ordering::SeqCst) {
            return Err(Error::new(
                Kind::Unfinished,
                "stopped waiting as asked; the new key is in service, the old one is not retired yet",
            ).entry(name)
            .hint(format!("awskeep rotate {name} --finish")));
        }
        env.clock.wait(Duration::from_secs(1));
        if env.now() >= end {
            return Ok(());
        }
    }
}
