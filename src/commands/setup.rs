//! `awskeep setup [SHELL]`: lets keys rotate by themselves. It puts a hook into a shell's
//! startup file, or a timer where there is no shell, turns `auto` on for the entries that a
//! person names, and takes all of it (but `auto`) out again with `--remove`.
//!
//! A startup file that is not ours to edit is skipped: the lines are printed instead,
//! and the exit code says that a person is needed.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::automation::memory;
use crate::cli::SetupArgs;
use crate::commands::{Form, Invocation, Mode};
use crate::config;
use crate::config::Key;
use crate::error::{Error, Kind, Result};
use crate::shell::ask;
use crate::shell::ask::Loads;
use crate::shell::plan;
use crate::shell::plan::{ByHand, InShell, Plan};
use crate::shell::put::Direction;
use crate::store::entries::Entries;
use crate::system::disk;
use crate::system::env::Env;
use crate::system::secret_vars;
use crate::types::keys::EntryName;
use crate::types::shell::Shell;
use crate::ui::Confirmation;

const SHELLS: &str =
    "there are hooks for bash, zsh, fish, powershell and nushell; for bash: awskeep setup bash";

#[derive(Serialize)]
struct Report<'p> {
    changed: Vec<Changed<'p>>,
    by_hand: &'p Option<ByHand>,
    auto: &'p [EntryName],
    /// Commands that could not be run, and are left to a person.
    run_this: &'p [String],
    /// Whether new shells load the hook; null where that is not known.
    loaded: Option<bool>,
}

#[derive(Serialize)]
struct Changed<'p> {
    file: &'p Path,
    did: &'static str,
}

pub fn run(context: &Invocation<'_>, args: &SetupArgs) -> Result<()> {
    let env = context.env;
    if let (Some(shell), Some(how)) = (args.shell, args.r#become) {
        return Err(ask::become_shell(env, shell, how));
    }
    let direction = if args.remove {
        Direction::TakeOut
    } else {
        Direction::Put
    };
    let helper = args.helper_path.as_deref();
    let plan = if args.systemd {
        plan::for_systemd(env, helper, direction)?
    } else if args.launchd {
        plan::for_launchd(env, helper, direction)?
    } else {
        let shell = args.shell.map_or_else(|| own_shell(env), Ok)?;
        plan::for_shell(env, shell, direction)?
    };
    let auto = match direction {
        Direction::Put => auto(context, &args.auto)?,
        Direction::TakeOut => Vec::new(),
    };
    if context.mode == Mode::Say {
        let on = |entry: &EntryName| format!("let entry {entry} rotate automatically");
        let mut steps = plan.steps();
        steps.extend(auto.iter().map(on));
        if steps.is_empty() {
            steps.push(format!("change nothing: {} is as it should be", plan.what));
        }
        context.only_says(&steps);
        return Ok(());
    }
    if !plan.files.is_empty() && direction == Direction::Put {
        env.ui.tell(&plan.shown);
        env.ui.confirm("write this?")?;
    }
    let left = carry_out(env, &plan, &auto)?;
    // Also where nothing changes: the state folder may have been deleted since.
    if direction == Direction::Put {
        memory::look_again(env);
    }
    let loads = match &plan.shell {
        Some(in_shell) if direction == Direction::Put && plan.by_hand.is_none() => {
            Some(ask::loads(env, in_shell.shell, ask::PATIENT))
        }
        Some(_) | None => None,
    };
    let asked = plan.shell.as_ref().zip(loads.as_ref());
    report(context, &plan, &auto, &left, asked)
}

/// Does it; gives back the commands that could not be run.
fn carry_out(env: &Env, plan: &Plan, auto: &[EntryName]) -> Result<Vec<String>> {
    let mut left: Vec<&Vec<String>> = plan
        .before
        .iter()
        .filter(|words| run_program(env, words) == Ran::No)
        .collect();
    for change in &plan.files {
        change.make()?;
    }
    for link in &plan.links {
        disk::remove(link)?;
    }
    turn_on(env, auto)?;
    left.extend(
        plan.after
            .iter()
            .filter(|words| run_program(env, words) == Ran::No),
    );
    Ok(left.iter().map(|words| words.join(" ")).collect())
}

/// A shell, and what it answers.
type Asked<'a> = Option<(&'a InShell, &'a Loads)>;

fn report(
    context: &Invocation<'_>,
    plan: &Plan,
    auto: &[EntryName],
    left: &[String],
    asked: Asked<'_>,
) -> Result<()> {
    let changed = plan.files.iter().map(|change| Changed {
        file: &change.path,
        did: change.did(),
    });
    match context.form {
        Form::Json => context.env.ui.json(&Report {
            changed: changed.collect(),
            by_hand: &plan.by_hand,
            auto,
            run_this: left,
            loaded: match asked {
                Some((_, Loads::Yes)) => Some(true),
                Some((_, Loads::No(_))) => Some(false),
                Some((_, Loads::NotKnown(_) | Loads::NotAsked(_))) | None => None,
            },
        })?,
        Form::Text => tell(context, plan, auto, left, asked)?,
    }
    if let Some((InShell { shell, startup }, Loads::No(missing))) = asked {
        let failure = ask::failure(context.env, *shell, *missing, startup);
        if missing.is_as_it_was(context.env) {
            context.env.ui.tell(&failure.to_string());
        } else {
            return Err(failure);
        }
    }
    let Some(hand) = &plan.by_hand else {
        return Ok(());
    };
    let what = match hand.direction {
        Direction::Put => "add the lines above to it",
        Direction::TakeOut => "take the lines above out of it",
    };
    Err(Error::new(Kind::PersonNeeded, hand.why.clone())
        .hint(format!("{what} where it is made: {}", hand.file.display())))
}

fn tell(
    context: &Invocation<'_>,
    plan: &Plan,
    auto: &[EntryName],
    left: &[String],
    asked: Asked<'_>,
) -> Result<()> {
    let ui = &context.env.ui;
    for change in &plan.files {
        ui.tell(&format!("{} {}", change.did(), change.path.display()));
    }
    for entry in auto {
        ui.tell(&format!("entry {entry} rotates automatically from now on"));
    }
    match asked {
        // What is in the way is told at the end.
        Some((_, Loads::No(missing))) if !missing.is_as_it_was(context.env) => {}
        Some((_, Loads::NotKnown(why) | Loads::NotAsked(why))) => {
            if plan.changes_nothing() {
                ui.tell(&format!("the files of {} are as they should be", plan.what));
            }
            ui.tell(&format!("whether new shells load it is not known: {why}"));
        }
        Some((_, Loads::Yes | Loads::No(_))) if !plan.changes_nothing() => {
            ui.tell("shells that start from now on have the hook");
        }
        Some((_, Loads::Yes | Loads::No(_))) | None if plan.changes_nothing() => {
            ui.tell(&format!("{} is as it should be", plan.what));
        }
        Some((_, Loads::Yes | Loads::No(_))) | None => {}
    }
    if !plan.changes_nothing() && !plan.next.is_empty() {
        ui.tell(&plan.next);
    }
    for command in left {
        ui.tell(&format!("hint: {command}"));
    }
    match &plan.by_hand {
        Some(hand) => ui.data(&hand.lines),
        None => Ok(()),
    }
}

fn own_shell(env: &Env) -> Result<Shell> {
    match env.var("SHELL") {
        None if cfg!(windows) => Ok(Shell::PowerShell),
        None => {
            Err(Error::new(Kind::Usage, "$SHELL is not set: which shell is meant?").hint(SHELLS))
        }
        Some(path) => Shell::of_own_program(path).ok_or_else(|| {
            Error::new(Kind::Usage, format!("there is no hook for $SHELL, {path}")).hint(SHELLS)
        }),
    }
}

/// The entries whose `auto` is to go on: as the flags say, or as a person answers.
fn auto(context: &Invocation<'_>, flags: &[String]) -> Result<Vec<EntryName>> {
    let ui = &context.env.ui;
    // `--yes` says yes to what is written; it names no entry.
    let may_ask = ui.confirmation == Confirmation::Ask && context.mode == Mode::Act;
    if flags.is_empty() && !may_ask {
        return Ok(Vec::new());
    }
    let entries = Entries::open(context.env)?;
    let inventory = entries.inventory()?;
    let is_off = |entry: &EntryName| {
        let value = entries.settings.value(Key::Auto, Some(entry));
        value.is_none_or(|(value, _)| value != "on")
    };
    let names = inventory.held.iter().map(|held| held.name().clone());
    let off: Vec<EntryName> = names.filter(is_off).collect();
    let mut troubles = inventory.troubles.iter().chain(&inventory.unreadable);
    if !flags.is_empty() {
        if let (true, Some(trouble)) = (flags.iter().any(|flag| flag == "all"), troubles.next()) {
            return Err(trouble.clone());
        }
        return named(&entries, flags, &off);
    }
    troubles.for_each(|trouble| ui.warn(&trouble.message));
    if off.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = off.iter().map(EntryName::as_str).collect();
    ui.tell(
        "an entry may rotate automatically: at two thirds of its max_age it gets a new key without asking, \
         and the old key ends when what awskeep handed out has expired.\n\
         whatever else has a copy of the key (another machine, CI, a container, a program's own \
         settings) stops working then: leave such an entry out",
    );
    let answer = ui
        .ask(&format!(
            "which of these shall rotate automatically: {} (names, all, or none)",
            names.join(", ")
        ))
        .map_err(|failure| failure.hint("--auto ENTRY, --auto all, or --auto none"))?;
    let words = answer.split([',', ' ']).filter(|word| !word.is_empty());
    named(
        &entries,
        &words.map(str::to_owned).collect::<Vec<_>>(),
        &off,
    )
}

fn named(entries: &Entries<'_>, words: &[String], off: &[EntryName]) -> Result<Vec<EntryName>> {
    let mut chosen = Vec::new();
    for word in words {
        match word.as_str() {
            "none" => {}
            "all" => chosen.extend_from_slice(off),
            name => chosen.push(entries.get(&name.parse()?)?.name().clone()),
        }
    }
    chosen.retain(|entry| off.contains(entry));
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

fn turn_on(env: &Env, chosen: &[EntryName]) -> Result<()> {
    if chosen.is_empty() {
        return Ok(());
    }
    let entries = Entries::open(env)?;
    let _names = entries.lock_names()?;
    config::edit(&entries.settings.path, |text| {
        chosen.iter().fold(text.to_owned(), |text, entry| {
            config::with_setting(&text, Some(entry), Key::Auto, Some("on"))
        })
    })
}

#[derive(PartialEq, Eq)]
enum Ran {
    Yes,
    No,
}

/// Runs a service manager's command, if it is on PATH and answers.
fn run_program(env: &Env, words: &[String]) -> Ran {
    let [program, arguments @ ..] = words else {
        return Ran::No;
    };
    let mut candidates = env.on_path(program.as_ref());
    let found = candidates.find(|candidate| candidate.is_file());
    let Some(found) = found else {
        return Ran::No;
    };
    let output = Command::new(found)
        .args(arguments)
        .env_clear()
        .envs(secret_vars::vars_without_secrets(env))
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ran::Yes,
        Ok(_) | Err(_) => Ran::No,
    }
}
