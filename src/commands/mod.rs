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

use crate::automation::memory;
use crate::cli::{Cli, Command, Rotate};
use crate::error::{Error, Result};
use crate::lifecycle::observed::Observed;
use crate::lifecycle::phrases;
use crate::lifecycle::plan::Step;
use crate::profiles::attach;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::ui::Ui;

/// What every command is given.
pub struct Invocation<'m> {
    pub env: &'m Env,
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

impl Invocation<'_> {
    /// A result: JSON to stdout, or a line to stderr.
    pub fn done(&self, line: &str, json: &impl serde::Serialize) -> Result<()> {
        match self.form {
            Form::Json => self.env.ui.json(json),
            Form::Text => {
                self.env.ui.tell(line);
                Ok(())
            }
        }
    }

    /// What a run is doing; a schedule gets the result only.
    pub fn at_work(&self, entry: &EntryName, line: &str) {
        if self.form == Form::Text && self.env.ui.tells_progress() {
            self.env.ui.tell(&format!("{entry}: {line}"));
        }
    }

    /// What a step takes time for.
    pub fn progress(&self, step: &Step, known: &Observed) {
        if let Some(line) = phrases::progress(step, known) {
            self.at_work(&known.item.entry, &line);
        }
    }

    /// What would be done, under `--dry-run`; whether that is all.
    pub fn only_says(&self, plan: &[String]) -> bool {
        if self.mode == Mode::Say {
            for line in plan {
                self.env.ui.tell(&format!("would {line}"));
            }
        }
        self.mode == Mode::Say
    }
}

/// Names all that is broken; the first of it is the command's own failure.
fn first_of(ui: &Ui, broken: Vec<Error>) -> Result<()> {
    let mut broken = broken.into_iter();
    let Some(first) = broken.next() else {
        return Ok(());
    };
    broken.for_each(|failure| ui.report(&failure));
    Err(first)
}

/// What a command leaves: its own end, and the entries that a person wants rotated now.
struct Imported {
    result: Result<()>,
    rotate: Vec<EntryName>,
}

/// Goes on with the command `rotate`, whatever was refused before.
fn then_rotate(context: &Invocation<'_>, imported: Imported) -> Result<()> {
    if imported.rotate.is_empty() {
        return imported.result;
    }
    let args = Rotate {
        names: imported.rotate.iter().map(ToString::to_string).collect(),
        ..Rotate::default()
    };
    match (imported.result, rotate::run(context, &args)) {
        (Err(first), Err(second)) => {
            context.env.ui.report(&first);
            Err(second)
        }
        (first, second) => first.and(second),
    }
}

/// Runs one command.
pub fn run(env: &Env, cli: Cli) -> Result<()> {
    let context = Invocation {
        env,
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
        Command::CredentialProcess(_) => {
            env.refuse_odd_vars(crate::system::env::obeyed_by_the_helper)?
        }
        _ => env.refuse_odd_vars(crate::system::env::obeyed_as_text)?,
    }
    let looks_again = looks_again(&cli.command);
    // The helper is not kept waiting by what another command left.
    if context.mode == Mode::Act && !matches!(cli.command, Command::CredentialProcess(_)) {
        attach::sweep(env);
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
        memory::look_again(env);
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
