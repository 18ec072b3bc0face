//! The flags of what hands a key or a profile to other programs. No behaviour.

use std::ffi::OsString;

use clap::Args;

use crate::types::keys::ProfileName;

use crate::types::shell::Shell;

use crate::types::time::Span;

#[derive(Debug, Args)]
pub struct Exec {
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Put the key itself into the environment, for programs that know nothing else
    #[arg(long, conflicts_with = "session")]
    pub env: bool,
    #[command(flatten)]
    pub session: SessionArgs,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// The profile that is handed out.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The profile (default: the one in AWS_PROFILE)
    #[arg(value_name = "PROFILE")]
    pub name: Option<ProfileName>,
    /// The profile, as a flag
    #[arg(short, long, conflicts_with = "name")]
    pub profile: Option<ProfileName>,
}

/// Temporary credentials instead of the key.
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// Pass temporary credentials of the key's user; they cannot call IAM
    #[arg(long)]
    pub session: bool,
    /// How long the temporary credentials are good for: 15m to 36h
    #[arg(long, value_name = "LENGTH", requires = "session", default_value = "1h",
          value_parser = session_length)]
    pub duration: Span,
}

/// Source: the model of GetSessionToken.
fn session_length(text: &str) -> Result<Span, String> {
    let length = Span::parse(text).ok_or("one number and one unit, such as 15m or 12h")?;
    if (Span::minutes(15)..=Span::hours(36)).contains(&length) {
        Ok(length)
    } else {
        Err("AWS gives 15m to 36h".into())
    }
}

/// A shell by its name or its program's, also one that only speaks like bash.
fn reading_shell(text: &str) -> Result<Shell, String> {
    Shell::of_program(text)
        .ok_or_else(|| "the shells are: sh, bash, zsh, fish, powershell, nushell".to_owned())
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  eval \"$(awskeep env work)\"     in bash, zsh and other POSIX shells
  awskeep env work | source       in fish")]
pub struct Env {
    #[command(flatten)]
    pub profile: ProfileArgs,
    #[command(flatten)]
    pub session: SessionArgs,
    /// sh, bash, zsh, fish, powershell or nushell (default: the shell that reads the output)
    #[arg(long, value_parser = reading_shell)]
    pub shell: Option<Shell>,
    /// Print the secret even to a terminal
    #[arg(long)]
    pub force: bool,
}
