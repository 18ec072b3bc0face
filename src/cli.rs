//! Flags and subcommands as types. No behaviour.

mod exec;
pub mod misplaced;
mod rotating;

use crate::types::target::Target;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::types::keys::{EntryName, ProfileName};
use crate::types::shell::How;
use crate::types::shell::Shell;
use crate::types::store_kind::StoreKind;
use crate::types::time::Span;

pub use exec::*;
pub use rotating::*;

/// AWS access keys that live in the OS keychain and replace themselves.
#[derive(Debug, Parser)]
#[command(
    name = "awskeep",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 store missing or locked, \
    5 interactive input is needed, 6 AWS refused, 7 unfinished, 8 attention (--check), 70 a bug of ours"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Never ask; fail with exit code 5 and say what would have been asked (--yes still says yes)
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Answer yes to questions
    #[arg(short = 'y', long, global = true)]
    pub yes: bool,
    /// Say what would be done, and change nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store a key and point a profile at it
    Add(Add),
    /// Move the plaintext keys of the AWS files into a store
    Import(Import),
    /// Print an entry's key as AWS SDKs expect it from a credential_process
    CredentialProcess(CredentialProcess),
    /// Replace an entry's key with a new one, or finish what was begun
    ///
    /// With an earlier rotation unfinished, it finishes what is ready, says that it did not
    /// rotate, and begins no other. A replaced key that is held (inactive, can be brought back)
    /// takes the place of a new one: it is deleted only after a question, which --yes does not
    /// answer and --delete-now does. --finish never begins a rotation; it exits with 0 if nothing
    /// can be done now, and with 7 if something that is ready did not succeed.
    Rotate(Rotate),
    /// Show where each key is in its life, and what comes next
    Status(Status),
    /// A key has leaked: replace it and deactivate it at once
    Revoke(Revoke),
    /// The stored key is dead: bring it back or replace it with another profile's rights
    Recover(Recover),
    /// Show what was done to which key, and when
    Log(Log),
    /// Print the smallest IAM policy with which a user can rotate its own key
    Policy(PolicyArgs),
    /// Show the entries, their keys, and the profiles that use them
    #[command(visible_alias = "ls")]
    List,
    /// Run a program with a profile
    Exec(Exec),
    /// Print a profile's key as shell code
    Env(Env),
    /// Show which source of credentials wins for a profile in each SDK
    Why(Why),
    /// Forget an entry
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Give an entry another name; the old one answers for 30 days
    Rename(Rename),
    /// Put an entry's key back into the plaintext credentials file
    Export(Export),
    /// Show or change settings
    Config(Config),
    /// Where keys are kept: which stores work here, and moving between them
    #[command(subcommand)]
    Store(Store),
    /// Let keys rotate automatic: a hook in the shell's startup file, or a timer
    Setup(SetupArgs),
    /// Print a shell's hook
    Hook(OfShell),
    /// Print a shell's completions
    Completions(OfShell),
    /// Print the manual page
    Man(Man),
}

#[derive(Debug, Args)]
pub struct Add {
    /// The entry's name; also the profile's, unless --profile says otherwise
    #[arg(required_unless_present = "entry")]
    pub name: Option<EntryName>,
    /// The entry's name, as a flag
    #[arg(long, conflicts_with = "name")]
    pub entry: Option<EntryName>,
    #[command(flatten)]
    pub source: KeySourceArgs,
    /// The profile that shall use the entry
    #[arg(short, long)]
    pub profile: Option<ProfileName>,
    /// Write no profile
    #[arg(long, conflicts_with = "profile")]
    pub no_profile: bool,
    /// Put this key in the place of the one that the entry has
    #[arg(long)]
    pub replace: bool,
    /// Keep it in this store: keychain or file
    #[arg(long)]
    pub store: Option<StoreKind>,
    /// The region of the STS endpoint to prove the key at (default: the profile's, else us-east-1)
    #[arg(long)]
    pub region: Option<String>,
    /// An endpoint that is not AWS's own, for STS and IAM
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Do not ask AWS whether the key works
    #[arg(long)]
    pub no_verify: bool,
    /// The path of awskeep to write into the profile
    #[arg(long, value_name = "PATH")]
    pub helper_path: Option<PathBuf>,
}

/// Where the pair comes from; a person types it if nothing is said.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct KeySourceArgs {
    /// Read JSON from stdin: what aws iam create-access-key prints, or credential_process' form
    #[arg(long)]
    pub stdin: bool,
    /// Read the console's CSV file
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Read AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long)]
    pub env: bool,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The profiles (default: all that have a key)
    #[arg(value_name = "PROFILE")]
    pub profiles: Vec<ProfileName>,
    /// Where the keys are: files (the default), csv FILE, env, or aws-vault
    #[arg(long, num_args = 1..=2, value_names = ["SOURCE", "FILE"])]
    pub from: Vec<String>,
    /// Show the edits
    #[arg(long)]
    pub diff: bool,
    /// Put back what the last import changed
    #[arg(long, conflicts_with_all = ["profiles", "from", "diff", "rotate", "no_rotate"])]
    pub undo: bool,
    /// Rotate the keys afterwards, since backups may have them
    #[arg(long, conflicts_with = "no_rotate")]
    pub rotate: bool,
    /// Do not offer to rotate them
    #[arg(long)]
    pub no_rotate: bool,
    /// Keep them in this store: keychain or file
    #[arg(long)]
    pub store: Option<StoreKind>,
    /// The region of the STS endpoint to prove keys at (default: the profile's, else us-east-1)
    #[arg(long)]
    pub region: Option<String>,
    /// An endpoint that is not AWS's own, for STS and IAM
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// The path of awskeep to write into the profiles
    #[arg(long, value_name = "PATH")]
    pub helper_path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CredentialProcess {
    /// The entry
    #[arg(value_name = "ENTRY", required_unless_present = "entry")]
    pub name: Option<EntryName>,
    /// The entry, as a flag
    #[arg(long, conflicts_with = "name")]
    pub entry: Option<EntryName>,
    /// Print the secret even to a terminal
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Why {
    /// The profile (default: what each SDK takes)
    pub profile: Option<ProfileName>,
}

#[derive(Debug, Args)]
pub struct Remove {
    #[command(flatten)]
    pub target: Target,
    /// Also delete the key at AWS
    #[arg(long)]
    pub delete_key: bool,
}

#[derive(Debug, Args)]
pub struct Rename {
    /// The entry's name now
    pub old: EntryName,
    /// Its new name
    pub new: EntryName,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    pub action: Option<ConfigAction>,
    /// The entry whose settings are meant (default: all entries)
    #[arg(long, global = true)]
    pub entry: Option<EntryName>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Print one setting's value
    Get { key: String },
    /// Change a setting
    Set { key: String, value: String },
    /// Take a setting out, so that the next one in line applies
    Unset { key: String },
}

#[derive(Debug, Subcommand)]
pub enum Store {
    /// Show which stores work here, and why not
    #[command(visible_alias = "ls")]
    List,
    /// Keep new entries in this store
    Use {
        store: StoreKind,
        #[command(flatten)]
        passphrase: Passphrase,
        /// Make the encrypted file without a passphrase: whoever reads your files reads your keys
        #[arg(long)]
        without_passphrase: bool,
    },
    /// Move entries to another store
    Move {
        /// The store to move to
        to: StoreKind,
        /// The entries (default: all that are elsewhere)
        entries: Vec<EntryName>,
    },
    /// Open the store for a time
    Unlock {
        /// How long the encrypted file stays open
        #[arg(long = "for", value_name = "LENGTH", default_value = "12h", value_parser = length)]
        how_long: Span,
        #[command(flatten)]
        passphrase: Passphrase,
        /// Which store (default: the one in use)
        #[arg(long)]
        store: Option<StoreKind>,
    },
    /// Change the passphrase of the encrypted file; entries stay as they are
    #[command(name = "passphrase")]
    ChangePassphrase {
        #[command(flatten)]
        passphrase: Passphrase,
        #[command(flatten)]
        new_passphrase: NewPassphrase,
    },
    /// Close the store
    Lock {
        /// Which store (default: the one in use)
        #[arg(long)]
        store: Option<StoreKind>,
    },
}

#[derive(Debug, Args)]
pub struct SetupArgs {
    /// bash, zsh, fish, powershell or nushell (default: that of $SHELL)
    #[arg(value_parser = shell)]
    pub shell: Option<Shell>,
    /// Let this entry rotate by itself; all: every entry there is; none: leave it as it is
    #[arg(long, value_name = "ENTRY", conflicts_with = "remove")]
    pub auto: Vec<String>,
    /// A systemd timer of the user, instead of a shell's hook
    #[arg(long, conflicts_with_all = ["shell", "launchd"])]
    pub systemd: bool,
    /// A launchd agent of the user, instead of a shell's hook
    #[arg(long, conflicts_with = "shell")]
    pub launchd: bool,
    /// The path of awskeep that the timer or the agent runs
    #[arg(long, value_name = "PATH")]
    pub helper_path: Option<PathBuf>,
    /// Take out what setup has put there
    #[arg(long)]
    pub remove: bool,
    /// The process that setup and status start to ask a shell
    #[arg(long, hide = true, value_enum, requires = "shell")]
    pub r#become: Option<How>,
}

#[derive(Debug, Args)]
pub struct OfShell {
    /// bash, zsh, fish, powershell or nushell
    #[arg(value_parser = shell)]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// Where a passphrase comes from without a person.
#[derive(Debug, Args)]
pub struct Passphrase {
    /// Read the passphrase from this file descriptor
    #[arg(long, value_name = "FD")]
    pub passphrase_fd: Option<u32>,
    /// Read the passphrase from this file
    #[arg(
        long,
        value_name = "FILE",
        env = "AWSKEEP_PASSPHRASE_FILE",
        hide_env_values = true
    )]
    pub passphrase_file: Option<PathBuf>,
}

/// Where a new passphrase comes from without a person.
#[derive(Debug, Args)]
pub struct NewPassphrase {
    /// Read the new passphrase from this file descriptor
    #[arg(long, value_name = "FD")]
    pub new_passphrase_fd: Option<u32>,
    /// Read the new passphrase from this file
    #[arg(long, value_name = "FILE", conflicts_with = "new_passphrase_fd")]
    pub new_passphrase_file: Option<PathBuf>,
}

fn length(text: &str) -> Result<Span, String> {
    Span::parse(text).ok_or_else(|| "a length such as 12h, 30m or 1d is expected".to_owned())
}

/// A shell by its own name or its program's; one that only speaks like bash is not meant.
fn shell(text: &str) -> Result<Shell, String> {
    Shell::of_own_program(text)
        .ok_or_else(|| "the shells are: bash, zsh, fish, powershell, nushell".to_owned())
}
