//! The shells that awskeep knows, by name. Pure.

use std::str::FromStr;

use crate::error::{Error, Kind};

/// The shells that `env` prints for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// bash, and every other POSIX shell.
    Bash,
    Zsh,
    Fish,
    PowerShell,
    Nushell,
}

impl Shell {
    pub const ALL: [Shell; 5] = [
        Shell::Bash,
        Shell::Zsh,
        Shell::Fish,
        Shell::PowerShell,
        Shell::Nushell,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
            Shell::PowerShell => "powershell",
            Shell::Nushell => "nushell",
        }
    }

    /// The shell whose code a program understands, such as `sh`; also by its path, and with
    /// a version behind it, such as `zsh-5.9`.
    pub fn of_program(path: &str) -> Option<Shell> {
        let name = path.rsplit(['/', '\\']).next()?;
        let name = name.strip_suffix(".exe").unwrap_or(name);
        let is_version = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
        match name.trim_end_matches(is_version) {
            "sh" | "ash" | "dash" | "ksh" | "mksh" | "oksh" | "yash" | "rbash" => Some(Shell::Bash),
            name => Shell::of_own_program(name),
        }
    }

    /// Likewise, but only for the shells themselves and not for those that speak like one.
    pub fn of_own_program(path: &str) -> Option<Shell> {
        let name = path.rsplit(['/', '\\']).next()?;
        match name.strip_suffix(".exe").unwrap_or(name) {
            "pwsh" => Some(Shell::PowerShell),
            "nu" => Some(Shell::Nushell),
            name => name.parse().ok(),
        }
    }
}

impl FromStr for Shell {
    type Err = Error;
    fn from_str(text: &str) -> Result<Shell, Error> {
        Shell::ALL
            .into_iter()
            .find(|shell| shell.word() == text)
            .ok_or_else(|| {
                Error::new(Kind::Usage, format!("there is no shell {text:?}"))
                    .hint("the shells are: bash, zsh, fish, powershell, nushell")
            })
    }
}

/// How a shell is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum How {
    /// As by a terminal's window.
    Interactive,
    /// As by ssh, by tmux, by each window on macOS.
    Login,
    /// Not to be asked for the hook, but where it reads its startup files.
    Place,
}
