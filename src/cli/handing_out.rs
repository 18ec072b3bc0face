//! The flags of what hands a key or a profile to other programs. No behaviour.

use clap::Args;

use crate::keys::ProfileName;

use crate::shells::quote::Shell;

use crate::time::Length;

#[derive(Debug, Args)]
pub struct Exec {
    /// The profile
    pub profile: ProfileName,
    /// Put the key itself into the environment, for programs that know nothing else
    #[arg(long, conflicts_with = "session")]
    pub env: bool,
    #[command(flatten)]
    pub session: SessionArgs,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
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
    pub duration: Length,
}

/// Source: the model of GetSessionToken.
fn session_length(text: &str) -> Result<Length, String> {
    let length = Length::parse(text).ok_or("one number and one unit, such as 15m or 12h")?;
    if (Length::minutes(15)..=Length::hours(36)).contains(&length) {
        Ok(length)
    } else {
        Err("AWS gives 15m to 36h".into())
    }
}

#[derive(Debug, Args)]
pub struct Env {
    /// The profile
    pub profile: ProfileName,
    #[command(flatten)]
    pub session: SessionArgs,
    /// bash, zsh, fish, powershell or nushell (default: that of $SHELL)
    #[arg(long)]
    pub shell: Option<Shell>,
    /// Print the secret even to a terminal
    #[arg(long)]
    pub force: bool,
}
