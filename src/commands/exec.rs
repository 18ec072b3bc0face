//! `awskeep exec PROFILE -- CMD…`: runs a program with a profile. On Unix this process
//! becomes the program, so that signals and the exit code are the program's own.

use std::ffi::OsStr;
use std::process::Command;

use crate::cli::Exec;
use crate::commands::{Invocation, Mode};
use crate::error::{Error, Kind, Result};
use crate::shell::env_export;
use crate::shell::env_export::{Handed, Variables};
use crate::system::secret_vars;

pub fn run(context: &Invocation<'_>, args: &Exec) -> Result<()> {
    let env = context.env;
    let profile = &env_export::profile_meant(env, &args.profile)?;
    if context.mode == Mode::Say {
        let how = if args.session.session {
            "a session of"
        } else if args.env {
            "the key of"
        } else {
            "AWS_PROFILE ="
        };
        let words: Vec<_> = args
            .command
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        context.only_says(&[format!("run {} with {how} {profile}", words.join(" "))]);
        return Ok(());
    }
    let variables = match Handed::of(&args.session) {
        Handed::Key if !args.env => env_export::by_profile(env, profile)?,
        Handed::Key => Handed::Key.variables(env, profile, "exec --env")?,
        session @ Handed::Session(_) => session.variables(env, profile, "exec --session")?,
    };
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Error::new(Kind::Usage, "no command was given"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    become_it(with(command, &variables), program)
}

fn with(mut command: Command, variables: &Variables) -> Command {
    for name in &variables.unset {
        command.env_remove(name);
    }
    for name in secret_vars::OWN {
        command.env_remove(name);
    }
    command.envs(variables.values());
    command
}

#[cfg(unix)]
fn become_it(mut command: Command, program: &OsStr) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(cannot_run(program, &command.exec()))
}

#[cfg(not(unix))]
fn become_it(mut command: Command, program: &OsStr) -> Result<()> {
    let status = command
        .status()
        .map_err(|error| cannot_run(program, &error))?;
    std::process::exit(status.code().unwrap_or(1));
}

fn cannot_run(program: &OsStr, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Failed,
    };
    Error::new(kind, format!("{} cannot be run", program.to_string_lossy())).cause(error)
}
