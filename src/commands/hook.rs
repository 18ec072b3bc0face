//! `awskeep hook SHELL`: the hook, for those who load it in their own way.

use super::Context;
use crate::cli::OfShell;
use crate::failure::Outcome;
use crate::shells::hook;

pub fn run(context: &Context<'_>, args: &OfShell) -> Outcome<()> {
    context.machine.ui.data(hook::text(args.shell))
}
