//! What shells load to complete awskeep's command lines. Pure.

use clap_complete::env::{EnvCompleter, Shells};

use crate::error::{Error, Kind, Result};
use crate::shell::units::MARK;
use crate::types::shell::Shell;

/// Set by the shell's side, to the shell's name, when it asks for completions.
pub const VARIABLE: &str = "AWSKEEP_COMPLETE";

/// The shell's side of completing. The library's scripts fit this version of awskeep only.
///
/// # Errors
/// `Kind::Bug` if the library fails.
pub fn script(shell: Shell) -> Result<String> {
    if shell == Shell::Nushell {
        return Ok(include_str!("../../shell/completions.nu").into());
    }
    let mut script = Vec::new();
    side(shell.word())?
        .write_registration(VARIABLE, "awskeep", "awskeep", "awskeep", &mut script)
        .map_err(|error| Error::new(Kind::Bug, "the completions cannot be made").cause(error))?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// The file that `setup` installs: where the shell can do so, one that gets the script from
/// whichever awskeep is there by then.
pub fn file(shell: Shell) -> Result<String> {
    match shell {
        Shell::Bash => Ok(include_str!("../../shell/completions.bash").into()),
        Shell::Zsh => Ok(include_str!("../../shell/completions.zsh").into()),
        Shell::Fish => Ok(include_str!("../../shell/completions.fish").into()),
        Shell::PowerShell => Ok(format!("# {MARK}\n{}", script(shell)?)),
        Shell::Nushell => script(shell),
    }
}

/// The library's part for a shell.
///
/// # Errors
/// `Kind::Usage` if there is none.
pub fn side(shell: &str) -> Result<&'static dyn EnvCompleter> {
    // `Shells::completer` lends for no longer than the list lives.
    let sides = Shells::builtins().0;
    let found = sides.iter().copied().find(|side| side.is(shell));
    found.ok_or_else(|| {
        Error::new(Kind::Usage, format!("there are no completions for {shell}"))
            .hint("there are for bash, zsh, fish and powershell")
    })
}
