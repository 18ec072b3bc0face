//! Which entry a command is about, as the command line says it. Pure.

use clap::Args;

use crate::types::keys::{EntryName, ProfileName};

/// Whom a command is about.
#[derive(Debug, Clone, Default, Args)]
pub struct Target {
    /// The entry, or a profile that uses it
    #[arg(value_name = "ENTRY")]
    pub name: Option<String>,
    /// The entry
    #[arg(long, conflicts_with = "name")]
    pub entry: Option<EntryName>,
    /// A profile that uses the entry
    #[arg(short, long, conflicts_with_all = ["name", "entry"])]
    pub profile: Option<ProfileName>,
}
