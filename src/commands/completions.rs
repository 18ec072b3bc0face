//! `awskeep completions SHELL`: what a shell loads to complete awskeep's command lines, and
//! the answers that it asks for then.
//!
//! Answers come from this machine alone, and fast: names of entries and profiles, no
//! secret, no question, nothing on stderr.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::Context;
use crate::cli::{Cli, OfShell};
use crate::entries::Entries;
use crate::failure::{Failure, Kind, Outcome};
use crate::machine::Machine;
use crate::profiles::Profiles;
use crate::shells::completions;
use crate::vault::{Deadline, Vault};

/// A person waits with a finger on the tab key.
const PATIENCE: Duration = Duration::from_millis(500);

pub fn run(context: &Context<'_>, args: &OfShell) -> Outcome<()> {
    context.machine.ui.data(&completions::script(args.shell)?)
}

/// Answers `awskeep -- WORD…` for the shell that the variable names.
pub fn answer(machine: &Machine, arguments: Vec<OsString>) -> Outcome<()> {
    let words = arguments
        .into_iter()
        .skip_while(|word| word != "--")
        .skip(1);
    let mut answer = Vec::new();
    completions::side(machine.var(completions::VARIABLE).unwrap_or_default())?
        .write_complete(
            &mut command(machine),
            words.collect(),
            Some(&machine.here),
            &mut answer,
        )
        .map_err(|error| {
            Failure::new(Kind::Failed, "there is no answer to complete with").cause(error)
        })?;
    machine.ui.data(&String::from_utf8_lossy(&answer))
}

/// The command line, with the names of this machine where it takes names.
fn command(machine: &Machine) -> Command {
    let entries = entries(machine);
    let profiles = profiles(machine);
    let mut either = [entries.clone(), profiles.clone()].concat();
    either.sort();
    either.dedup();
    with_names(Cli::command(), &|arg| match arg.get_id().as_str() {
        "profile" | "profiles" | "via" => &profiles,
        "name" | "names" => &either,
        "entry" | "entries" | "old" | "auto" => &entries,
        _ => &[],
    })
}

fn with_names<'n>(command: Command, names: &dyn Fn(&Arg) -> &'n [String]) -> Command {
    let command = command.mut_args(|arg| match names(&arg) {
        [] => arg,
        names => {
            let names = names.to_vec();
            arg.add(ArgValueCompleter::new(move |begun: &OsStr| {
                let begun = begun.to_string_lossy();
                let fitting = names.iter().filter(|name| name.starts_with(&*begun));
                fitting.map(CompletionCandidate::new).collect()
            }))
        }
    });
    command.mut_subcommands(|sub| with_names(sub, names))
}

/// Names only: no item is opened. A store that does not answer has no names.
fn entries(machine: &Machine) -> Vec<String> {
    let Ok(entries) = Entries::open(machine) else {
        return Vec::new();
    };
    let kinds = entries.stores_in_use().unwrap_or_default();
    let mut names: Vec<String> = kinds
        .into_iter()
        .filter_map(|kind| Vault::open(kind, machine, Deadline::PerCall(PATIENCE)).ok())
        .flat_map(|vault| vault.names().unwrap_or_default())
        .map(|name| name.to_string())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn profiles(machine: &Machine) -> Vec<String> {
    let Ok(files) = Profiles::read(machine) else {
        return Vec::new();
    };
    let mut names = [
        files.config.document.profile_names(),
        files.credentials.document.profile_names(),
    ]
    .concat();
    names.sort();
    names.dedup();
    names
}
