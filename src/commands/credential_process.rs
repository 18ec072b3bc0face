//! `awskeep credential-process ENTRY`: opens the entry's store and prints the hot
//! path's answer. `serve` is all that runs when an SDK calls.

use super::Context;
use crate::cli::CredentialProcess;
use crate::credential_process;
use crate::failure::{Failure, Kind, Outcome};
use crate::keys::EntryName;
use crate::machine::Machine;
use crate::settings::Settings;
use crate::ui::ToTerminal;
use crate::vault::{Deadline, Vault, keychain};

pub fn run(context: &Context<'_>, args: &CredentialProcess) -> Outcome<()> {
    let entry = args.name.as_ref().or(args.entry.as_ref());
    let entry = entry.ok_or_else(|| Failure::new(Kind::Usage, "no entry was named"))?;
    let to_terminal = if args.force {
        ToTerminal::Force
    } else {
        ToTerminal::Refuse
    };
    serve(context.machine, entry, to_terminal)
}

/// Prints an entry's credential; one deadline covers everything.
pub fn serve(machine: &Machine, entry: &EntryName, to_terminal: ToTerminal) -> Outcome<()> {
    keychain::forbid_prompts();
    let settings = Settings::load(machine)?;
    let deadline = Deadline::Whole {
        from: machine.started,
        length: settings.deadline()?,
    };
    let vault = Vault::open(settings.store(Some(entry))?, machine, deadline)?;
    let answer = credential_process::answer(&vault, entry, &machine.clock)?;
    machine.ui.secret_data(&answer, to_terminal)
}
