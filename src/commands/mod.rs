//! One file per verb: gather, decide, act, tell. No command imports another.

mod add;
pub mod completions;
mod config;
pub mod credential_process;
mod env;
mod exec;
mod export;
mod hook;
mod import;
mod list;
mod log;
mod man;
mod policy;
mod recover;
mod remove;
mod rename;
mod revoke;
mod rotate;
mod setup;
mod status;
mod store;
mod why;

use crate::cli::{Cli, Command, Rotate};
use crate::failure::{Failure, Outcome};
use crate::keys::EntryName;
use crate::machine::{self, Machine};
use crate::profiles;
use crate::rotation::known::Known;
use crate::rotation::plan::Step;
use crate::rotation::words;
use crate::state;
use crate::ui::Ui;

/// What every command is given.
pub struct Context<'m> {
    pub machine: &'m Machine,
    pub form: Form,
    pub mode: Mode,
}

/// How results are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
}

/// Whether things are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Act,
    /// `--dry-run`
    Say,
}

impl Context<'_> {
    /// A result: JSON to stdout, or a line to stderr.
    pub fn done(&self, line: &str, json: &impl serde::Serialize) -> Outcome<()> {
        match self.form {
            Form::Json => self.machine.ui.json(json),
            Form::Text => {
                self.machine.ui.tell(line);
                Ok(())
            }
        }
    }

    /// What a run is doing, for a person at the terminal; a pipe gets the result only.
    pub fn at_work(&self, entry: &EntryName, line: &str) {
        if self.form == Form::Text && self.machine.ui.attended() {
            self.machine.ui.tell(&format!("{entry}: {line}"));
        }
    }

    /// What a step takes time for.
    pub fn progress(&self, step: &Step, known: &Known) {
        if let Some(line) = words::progress(step, known) {
            self.at_work(&known.item.entry, &line);
        }
    }

    /// What would be done, under `--dry-run`; whether that is all.
    pub fn only_says(&self, plan: &[String]) -> bool {
        if self.mode == Mode::Say {
            for line in plan {
                self.machine.ui.tell(&format!("would {line}"));
            }
        }
        self.mode == Mode::Say
    }
}

/// Names all that is broken; the first of it is the command's own failure.
fn first_of(ui: &Ui, broken: Vec<Failure>) -> Outcome<()> {
    let mut broken = broken.into_iter();
    let Some(first) = broken.next() else {
        return Ok(());
    };
    broken.for_each(|failure| ui.report(&failure));
    Err(first)
}

/// What a command leaves: its own end, and the entries that a person wants rotated now.
struct Imported {
    result: Outcome<()>,
    rotate: Vec<EntryName>,
}

/// Goes on with the command `rotate`, whatever was refused before.
fn then_rotate(context: &Context<'_>, imported: Imported) -> Outcome<()> {
    if imported.rotate.is_empty() {
        return imported.result;
    }
    let args = Rotate {
        names: imported.rotate.iter().map(ToString::to_string).collect(),
        ..Rotate::default()
    };
    match (imported.result, rotate::run(context, &args)) {
        (Err(first), Err(second)) => {
            context.machine.ui.report(&first);
            Err(second)
        }
        (first, second) => first.and(second),
    }
}

/// Runs one command.
pub fn run(machine: &Machine, cli: Cli) -> Outcome<()> {
    let context = Context {
        machine,
        form: if cli.global.json {
            Form::Json
        } else {
            Form::Text
        },
        mode: if cli.global.dry_run {
            Mode::Say
        } else {
            Mode::Act
        },
    };
    match &cli.command {
        // What shells call by themselves says nothing at every prompt.
        Command::Hook(_) | Command::Completions(_) | Command::Man(_) => {}
        Command::Rotate(args) if args.background => {}
        Command::CredentialProcess(_) => machine.refuse_odd_vars(machine::obeyed_by_the_helper)?,
        _ => machine.refuse_odd_vars(machine::obeyed_as_text)?,
    }
    let looks_again = looks_again(&cli.command);
    // The helper is not kept waiting by what another command left.
    if context.mode == Mode::Act && !matches!(cli.command, Command::CredentialProcess(_)) {
        profiles::sweep(machine);
    }
    let result = match cli.command {
        Command::Add(args) => add::run(&context, &args),
        Command::Import(args) => {
            import::run(&context, &args).and_then(|imported| then_rotate(&context, imported))
        }
        Command::CredentialProcess(args) => credential_process::run(&context, &args),
        Command::Rotate(args) => rotate::run(&context, &args),
        Command::Status(args) => status::run(&context, &args),
        Command::Revoke(args) => revoke::run(&context, &args),
        Command::Recover(args) => recover::run(&context, &args),
        Command::Log(args) => log::run(&context, &args),
        Command::Policy(args) => policy::run(&context, &args),
        Command::List => list::run(&context),
        Command::Exec(args) => exec::run(&context, &args),
        Command::Env(args) => env::run(&context, &args),
        Command::Why(args) => why::run(&context, &args),
        Command::Remove(args) => remove::run(&context, &args),
        Command::Rename(args) => rename::run(&context, &args),
        Command::Export(args) => export::run(&context, &args),
        Command::Config(args) => config::run(&context, &args),
        Command::Store(args) => store::run(&context, &args),
        Command::Setup(args) => setup::run(&context, &args),
        Command::Hook(args) => hook::run(&context, &args),
        Command::Completions(args) => completions::run(&context, &args),
        Command::Man(args) => man::run(&context, &args),
    };
    if result.is_ok() && looks_again == LooksAgain::Yes && context.mode == Mode::Act {
        state::look_again(machine);
    }
    result
}

/// Whether a command changes what unattended runs go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LooksAgain {
    Yes,
    No,
}

fn looks_again(command: &Command) -> LooksAgain {
    match command {
        Command::Add(_)
        | Command::Import(_)
        | Command::Revoke(_)
        | Command::Recover(_)
        | Command::Remove(_)
        | Command::Rename(_)
        | Command::Store(_) => LooksAgain::Yes,
        // `rotate`, `setup` and `config` do so themselves.
        Command::Rotate(_)
        | Command::Config(_)
        | Command::Setup(_)
        | Command::Hook(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::CredentialProcess(_)
        | Command::Status(_)
        | Command::Log(_)
        | Command::Policy(_)
        | Command::List
        | Command::Exec(_)
        | Command::Env(_)
        | Command::Why(_)
        | Command::Export(_) => LooksAgain::No,
    }
}
