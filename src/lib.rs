//! awskeep: AWS access keys that live in the OS keychain and replace themselves.
//!
//! The code map is ARCHITECTURE.md. In short: `commands` hold one verb each;
//! `serve` is the hot path; `lifecycle` is the life of an entry's keys; `store` is where
//! secrets live; `profiles` are `~/.aws/config` and `~/.aws/credentials`; `aws` is what AWS
//! knows of a key.

pub mod automation;
pub mod aws;
pub mod cli;
pub mod commands;
pub mod config;
pub mod error;
#[cfg(test)]
mod formats_tests;
pub mod import;
pub mod lifecycle;
pub mod profiles;
pub mod records;
pub mod resolve;
pub mod serve;
pub mod sessions;
pub mod shell;
pub mod store;
pub mod system;
pub mod types;
pub mod ui;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::cli::{Cli, misplaced};
use crate::error::{Kind, Result};
use crate::shell::completions;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::ui::{Confirmation, Person, ToTerminal};

/// The whole program: the process's arguments in, an exit code out.
pub fn main() -> ExitCode {
    let started = Instant::now();
    crate::system::env::forbid_dumps();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let env = Env::of_process(started);
    match run(env, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => ExitCode::from(code),
    }
}

/// Parses, runs and reports; the error is the exit code.
pub fn run(mut env: Env, arguments: Vec<OsString>) -> Result<(), u8> {
    // What SDKs call, millions of times: no need to build the parser for it.
    if let Some(entry) = served_entry(&arguments) {
        let served = env
            .refuse_odd_vars(crate::system::env::obeyed_by_the_helper)
            .and_then(|()| commands::credential_process::serve(&env, &entry, ToTerminal::Refuse));
        if served.is_err() {
            hide_secrets(&mut env, &arguments);
        }
        return report(&env, served);
    }
    hide_secrets(&mut env, &arguments);
    if env.var(completions::VARIABLE).is_some() {
        return report(&env, commands::completions::answer(&env, arguments));
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return print_clap(&env, &error),
    };
    if cli.global.no_input {
        env.ui.person = Person::Absent("--no-input was given");
    }
    if cli.global.yes {
        env.ui.confirmation = Confirmation::Yes;
    }
    report(&env, commands::run(&env, cli))
}

/// From now on no message says them, whichever argument or variable it is about.
fn hide_secrets(env: &mut Env, arguments: &[OsString]) {
    let obeyed = |name: &str| crate::system::env::obeyed_as_text(name);
    let values = env.vars.iter().filter(|(name, _)| obeyed(name));
    let values = values.map(|(_, value)| OsStr::new(value));
    let arguments = arguments.iter().map(OsString::as_os_str);
    let secrets = misplaced::secrets(arguments.chain(values));
    env.ui.hide(secrets);
}

/// The entry, if this is exactly `awskeep credential-process ENTRY`.
fn served_entry(arguments: &[OsString]) -> Option<EntryName> {
    match arguments {
        [_, verb, entry] if verb == "credential-process" => entry.to_str()?.parse().ok(),
        _ => None,
    }
}

fn report(env: &Env, result: Result<()>) -> Result<(), u8> {
    result.map_err(|failure| {
        env.ui.report(&failure);
        failure.kind.exit_code()
    })
}

/// Help and version are data; usage errors are not.
fn print_clap(env: &Env, error: &clap::Error) -> Result<(), u8> {
    let text = error.render().to_string();
    if error.use_stderr() {
        env.ui.tell(text.trim_end());
        return Err(Kind::Usage.exit_code());
    }
    report(env, env.ui.data(&text))
}
