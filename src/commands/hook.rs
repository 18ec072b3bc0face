//! `awskeep hook SHELL`: the hook, for those who load it in their own way.

use crate::cli::OfShell;
use crate::commands::Invocation;
use crate::error::Result;
use crate::shell::hook;

pub fn run(context: &Invocation<'_>, args: &OfShell) -> Result<()> {
    context.env.ui.data(hook::text(args.shell))
}
