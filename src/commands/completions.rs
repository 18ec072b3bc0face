//! `awskeep completions SHELL`: what a shell loads to complete awskeep's command lines, and
//! the answers that it asks for then.
//!
//! Answers come from this machine alone, and fast: names of entries and profiles, no
//! secret, no question, nothing on stderr.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::cli::{Cli, OfShell};
use crate::commands::Invocation;
use crate::error::{Error, Kind, Result};
use crate::profiles::AwsFiles;
use crate::shell::completions;
use crate::store::entries::Entries;
use crate::store::{Deadline, Vault};
use crate::system::env::Env;

/// A person waits with a finger on the tab key.
const PATIENCE: Duration = Duration::from_millis(500);

pub fn run(context: &Invocation<'_>, args: &OfShell) -> Result<()> {
    context.env.ui.data(&completions::script(args.shell)?)
}

/// Answers `awskeep -- WORD…` for the shell that the variable names.
pub fn answer(env: &Env, arguments: Vec<OsString>) -> Result<()> {
    let words = arguments
        .into_iter()
        .skip_while(|word| word != "--")
        .skip(1);
    let mut answer = Vec::new();
    completions::side(env.var(completions::VARIABLE).unwrap_or_default())?
        .write_complete(
            &mut command(env),
            words.collect(),
            Some(&env.here),
            &mut answer,
        )
        .map_err(|error| {
            Error::new(Kind::Failed, "there is no answer to complete with").cause(error)
        })?;
    env.ui.data(&String::from_utf8_lossy(&answer))
}

/// The command line, with the names of this machine where it takes names.
fn command(env: &Env) -> Command {
    let entries = entries(env);
    let profiles = profiles(env);
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
fn entries(env: &Env) -> Vec<String> {
    let Ok(entries) = Entries::open(env) else {
        return Vec::new();
    };
    let kinds = entries.stores_in_use().unwrap_or_default();
    let mut names: Vec<String> = kinds
        .into_iter()
        .filter_map(|kind| Vault::open(kind, env, Deadline::PerCall(PATIENCE)).ok())
        .flat_map(|vault| vault.names().unwrap_or_default())
        .map(|name| name.to_string())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn profiles(env: &Env) -> Vec<String> {
    let Ok(files) = AwsFiles::read(env) else {
        return Vec::new();
    };
    let mut names = files.profile_names();
    names.sort();
    names
}
