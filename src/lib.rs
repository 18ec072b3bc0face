//! awskeep: AWS access keys that live in the OS keychain and replace themselves.
//!
//! The code map is ARCHITECTURE.md. In short: `commands` hold one verb each;
//! `credential_process` is the hot path; `vault` is where secrets live;
//! `profile_files` are `~/.aws/config` and `~/.aws/credentials`; `iam_account`
//! is what AWS knows of a key.

pub mod aws;
pub mod cli;
pub mod commands;
pub mod credential_process;
pub mod disk;
pub mod entries;
pub mod escape;
pub mod failure;
pub mod handing_out;
pub mod helper_path;
pub mod iam_account;
pub mod import;
pub mod keeping;
pub mod key_source;
pub mod keys;
pub mod lease;
pub mod machine;
pub mod passphrase;
pub mod policy;
pub mod profile_files;
pub mod profiles;
pub mod rotation;
pub mod schedule;
pub mod settings;
pub mod shells;
pub mod state;
pub mod table;
pub mod time;
pub mod ui;
pub mod vault;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::cli::{Cli, misplaced};
use crate::failure::{Kind, Outcome};
use crate::keys::EntryName;
use crate::machine::Machine;
use crate::shells::completions;
use crate::ui::{Confirmation, Person, ToTerminal};

/// The whole program: the process's arguments in, an exit code out.
pub fn main() -> ExitCode {
    let started = Instant::now();
    machine::forbid_dumps();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let machine = Machine::of_process(started);
    match run(machine, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => ExitCode::from(code),
    }
}

/// Parses, runs and reports; the error is the exit code.
pub fn run(mut machine: Machine, arguments: Vec<OsString>) -> Result<(), u8> {
    // What SDKs call, millions of times: no need to build the parser for it.
    if let Some(entry) = served_entry(&arguments) {
        let served = machine
            .refuse_odd_vars(machine::obeyed_by_the_helper)
            .and_then(|()| {
                commands::credential_process::serve(&machine, &entry, ToTerminal::Refuse)
            });
        if served.is_err() {
            machine.ui.hide(misplaced::secrets(&arguments));
        }
        return report(&machine, served);
    }
    machine.ui.hide(misplaced::secrets(&arguments));
    if machine.var(completions::VARIABLE).is_some() {
        return report(&machine, commands::completions::answer(&machine, arguments));
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return print_clap(&machine, &error),
    };
    if cli.global.no_input {
        machine.ui.person = Person::Absent("--no-input was given");
    }
    if cli.global.yes {
        machine.ui.confirmation = Confirmation::Yes;
    }
    report(&machine, commands::run(&machine, cli))
}

/// The entry, if this is exactly `awskeep credential-process ENTRY`.
fn served_entry(arguments: &[OsString]) -> Option<EntryName> {
    match arguments {
        [_, verb, entry] if verb == "credential-process" => entry.to_str()?.parse().ok(),
        _ => None,
    }
}

fn report(machine: &Machine, result: Outcome<()>) -> Result<(), u8> {
    result.map_err(|failure| {
        machine.ui.report(&failure);
        failure.kind.exit_code()
    })
}

/// Help and version are data; usage errors are not.
fn print_clap(machine: &Machine, error: &clap::Error) -> Result<(), u8> {
    let text = error.render().to_string();
    if error.use_stderr() {
        machine.ui.tell(text.trim_end());
        return Err(Kind::Usage.exit_code());
    }
    report(machine, machine.ui.data(&text))
}
