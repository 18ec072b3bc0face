//! The flags of what replaces keys, and of what tells about it. No behaviour.

use clap::{Args, ValueEnum};

use crate::types::target::Target;

use crate::types::keys::{AccessKeyId, EntryName, ProfileName};

#[derive(Debug, Default, Args)]
pub struct Rotate {
    /// The entries, or profiles that use them
    #[arg(value_name = "ENTRY", conflicts_with = "all")]
    pub names: Vec<String>,
    /// The entry
    #[arg(long, conflicts_with_all = ["names", "all"])]
    pub entry: Option<EntryName>,
    /// A profile that uses the entry
    #[arg(short, long, conflicts_with_all = ["names", "entry", "all"])]
    pub profile: Option<ProfileName>,
    /// All entries
    #[arg(long)]
    pub all: bool,
    /// Only what is due by its max_age; without a person, only entries whose auto is on
    #[arg(long)]
    pub if_due: bool,
    /// For shell hooks: show what happened, start the run as a process of its own, return
    #[arg(long, hide = true, requires_all = ["if_due", "all", "no_input"])]
    pub background: bool,
    /// The process that --background starts
    #[arg(long, hide = true, requires_all = ["if_due", "all", "no_input"])]
    pub detached: bool,
    /// Stay until the old key is inactive, or deleted
    #[arg(long, value_name = "UNTIL", num_args = 0..=1, require_equals = true,
          default_missing_value = "inactive")]
    pub wait: Option<WaitFor>,
    #[command(flatten)]
    pub mfa: MfaCode,
    #[command(flatten)]
    pub instead: RotateInstead,
}

/// Where keys may be handled with MFA only.
#[derive(Debug, Default, Args)]
pub struct MfaCode {
    /// Open an MFA session with the six-digit code on stdin, for users who need one
    #[arg(long)]
    pub mfa_code_stdin: bool,
}

/// What to do instead of a plain rotation.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
pub struct RotateInstead {
    /// Deactivate the old key without waiting for its leases
    #[arg(long)]
    pub retire_now: bool,
    /// Deactivate and delete the old key without waiting
    #[arg(long)]
    pub delete_now: bool,
    /// Bring the old key back while it is there; before the new one is in service, drop that
    #[arg(long)]
    pub undo: bool,
    /// Do what is ready to be done, and begin nothing
    #[arg(long)]
    pub finish: bool,
    /// Print what is known and the next step, and change nothing
    #[arg(long)]
    pub explain: bool,
    /// Delete this key of the IAM user, which no entry explains, and go on
    #[arg(long, value_name = "KEY_ID")]
    pub discard: Option<AccessKeyId>,
}

/// What `rotate --wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    Inactive,
    Deleted,
}

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub target: Target,
    /// Exit with 8 if anything wants attention
    #[arg(long)]
    pub check: bool,
    /// Ask AWS too: each key's status and last use
    #[arg(long)]
    pub online: bool,
    /// Print a few characters for a shell's prompt, as of the hook's last look; none if all is well
    #[arg(long, conflicts_with_all = ["check", "online", "json"])]
    pub prompt: bool,
}

#[derive(Debug, Args)]
pub struct Revoke {
    #[command(flatten)]
    pub target: Target,
    /// Deactivate this key of the same IAM user instead of the one that is served
    #[arg(long, value_name = "KEY_ID")]
    pub key: Option<AccessKeyId>,
    #[command(flatten)]
    pub mfa: MfaCode,
}

#[derive(Debug, Args)]
pub struct Recover {
    #[command(flatten)]
    pub target: Target,
    /// The profile whose rights are used: one that uses awskeep, or one with keys in the AWS files
    #[arg(long, value_name = "PROFILE")]
    pub via: ProfileName,
    /// Reactivate this inactive key of the entry; --yes does not answer that question
    #[arg(long, value_name = "KEY_ID")]
    pub reactivate: Option<AccessKeyId>,
    #[command(flatten)]
    pub mfa: MfaCode,
}

#[derive(Debug, Args)]
pub struct Log {
    #[command(flatten)]
    pub target: Target,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(flatten)]
    pub target: Target,
    /// The variant for users who must use MFA
    #[arg(long)]
    pub mfa: bool,
}
