//! Shell code that sets and unsets variables, quoted so that no value can be anything
//! but a value. Pure.

use std::str::FromStr;

use zeroize::Zeroizing;

use crate::failure::{Failure, Kind};

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

    /// The shell of a program's path, such as `$SHELL` has it.
    pub fn of_program(path: &str) -> Option<Shell> {
        let name = path.rsplit(['/', '\\']).next()?;
        let name = name.strip_suffix(".exe").unwrap_or(name);
        match name {
            "sh" | "dash" | "ksh" => Some(Shell::Bash),
            _ => Shell::of_own_program(path),
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

    /// One line that sets a variable for programs started from then on.
    pub fn set(self, name: &str, value: &str) -> Zeroizing<String> {
        let quoted = self.quoted(value);
        let quoted = quoted.as_str();
        Zeroizing::new(match self {
            Shell::Bash | Shell::Zsh => format!("export {name}={quoted}\n"),
            Shell::Fish => format!("set -gx {name} {quoted}\n"),
            Shell::PowerShell => format!("$env:{name} = {quoted}\n"),
            Shell::Nushell => format!("$env.{name} = {quoted}\n"),
        })
    }

    /// One line that takes a variable away; no failure where there is none.
    pub fn unset(self, name: &str) -> String {
        match self {
            Shell::Bash | Shell::Zsh => format!("unset {name}\n"),
            Shell::Fish => format!("set -e {name}\n"),
            Shell::PowerShell => {
                format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n")
            }
            Shell::Nushell => format!("hide-env --ignore-errors {name}\n"),
        }
    }

    /// A text as one word that means just itself.
    pub fn quoted(self, text: &str) -> Zeroizing<String> {
        // Room for the worst case, so that no copy of a secret is left behind.
        let mut out = Zeroizing::new(String::with_capacity(4 * text.len() + 2));
        let quote = match self {
            Shell::Nushell => '"',
            Shell::Bash | Shell::Zsh | Shell::Fish | Shell::PowerShell => '\'',
        };
        out.push(quote);
        for c in text.chars() {
            match (self, c) {
                (Shell::Bash | Shell::Zsh, '\'') => out.push_str("'\\''"),
                (Shell::Fish, '\'' | '\\') | (Shell::Nushell, '"' | '\\') => {
                    out.push('\\');
                    out.push(c);
                }
                // PowerShell takes typographic quotes for plain ones.
                (Shell::PowerShell, '\'' | '\u{2018}'..='\u{201b}') => {
                    out.push(c);
                    out.push(c);
                }
                (
                    Shell::Bash | Shell::Zsh | Shell::Fish | Shell::PowerShell | Shell::Nushell,
                    c,
                ) => out.push(c),
            }
        }
        out.push(quote);
        out
    }
}

impl FromStr for Shell {
    type Err = Failure;
    fn from_str(text: &str) -> Result<Shell, Failure> {
        Shell::ALL
            .into_iter()
            .find(|shell| shell.word() == text)
            .ok_or_else(|| {
                Failure::new(Kind::Usage, format!("there is no shell {text:?}"))
                    .hint("the shells are: bash, zsh, fish, powershell, nushell")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "a'b\"c\\d $HOME `id` $(id) !x \u{2019} ;&|<>*?[]{}~#% \\' \\n é\ttab";

    #[test]
    fn quoting() {
        for (shell, expected) in [
            (Shell::Bash, r#"export X='it'\''s "\"'"#),
            (Shell::Zsh, r#"export X='it'\''s "\"'"#),
            (Shell::Fish, r#"set -gx X 'it\'s "\\"'"#),
            (Shell::PowerShell, r#"$env:X = 'it''s "\"'"#),
            (Shell::Nushell, r#"$env.X = "it's \"\\\"""#),
        ] {
            assert_eq!(*shell.set("X", r#"it's "\""#), format!("{expected}\n"));
        }
    }

    #[test]
    fn shells_are_known_by_their_programs() {
        for (path, shell) in [
            ("/bin/bash", Some(Shell::Bash)),
            ("/usr/bin/dash", Some(Shell::Bash)),
            ("zsh", Some(Shell::Zsh)),
            ("/opt/fish", Some(Shell::Fish)),
            (r"C:\x\pwsh.exe", Some(Shell::PowerShell)),
            ("/b/nu", Some(Shell::Nushell)),
            ("/bin/tcsh", None),
            ("", None),
        ] {
            assert_eq!(Shell::of_program(path), shell, "{path}");
        }
    }

    /// In every real shell that this machine has.
    #[cfg(unix)]
    #[test]
    fn real_shells_give_the_value_back() {
        for (program, shell) in [
            ("sh", Shell::Bash),
            ("bash", Shell::Bash),
            ("zsh", Shell::Zsh),
            ("fish", Shell::Fish),
            ("pwsh", Shell::PowerShell),
            ("nu", Shell::Nushell),
        ] {
            let code = format!(
                "{}{}{}{}printenv X; printenv GONE\n",
                *shell.set("X", ODD),
                *shell.set("GONE", "still here"),
                shell.unset("GONE"),
                shell.unset("NEVER_WAS"),
            );
            let flag = if program == "pwsh" { "-Command" } else { "-c" };
            let output = std::process::Command::new(program)
                .args([flag, &code])
                .output();
            let Ok(output) = output else {
                // Not on this machine; sh is on every one.
                assert_ne!(program, "sh");
                continue;
            };
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(
                (said.as_str(), errors.as_str()),
                (format!("{ODD}\n").as_str(), ""),
                "{program}"
            );
        }
    }
}
