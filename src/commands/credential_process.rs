//! `awskeep credential-process ENTRY`: opens the entry's store and prints the hot
//! path's answer. `serve` is all that runs when an SDK calls.

use crate::cli::CredentialProcess;
use crate::commands::Invocation;
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::serve;
use crate::store::{Deadline, Vault, keychain};
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::ui::ToTerminal;

pub fn run(context: &Invocation<'_>, args: &CredentialProcess) -> Result<()> {
    let entry = args.name.as_ref().or(args.entry.as_ref());
    let entry = entry.ok_or_else(|| Error::new(Kind::Usage, "no entry was named"))?;
    let to_terminal = if args.force {
        ToTerminal::Force
    } else {
        ToTerminal::Refuse
    };
    serve(context.env, entry, to_terminal)
}

/// Prints an entry's credential; one deadline covers everything.
pub fn serve(env: &Env, entry: &EntryName, to_terminal: ToTerminal) -> Result<()> {
    keychain::forbid_prompts();
    let settings = Settings::load(env)?;
    let deadline = Deadline::Whole {
        from: env.started,
        length: settings.deadline()?,
    };
    let vault = Vault::open(settings.store(Some(entry))?, env, deadline)?;
    let answer = serve::answer(&vault, entry, &env.clock)?;
    env.ui.secret_data(&answer, to_terminal)
}
