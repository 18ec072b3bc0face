//! `awskeep exec PROFILE -- CMD…`: runs a program with a profile. On Unix this process
//! becomes the program, so that signals and the exit code are the program's own.

use std::ffi::OsStr;
use std::process::Command;

use super::{Context, Mode};
use crate::cli::Exec;
use crate::failure::{Failure, Kind, Outcome};
use crate::handing_out::{self, Handed, Variables};

pub fn run(context: &Context<'_>, args: &Exec) -> Outcome<()> {
    let machine = context.machine;
    let profile = &handing_out::profile_meant(machine, &args.profile)?;
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
        Handed::Key if !args.env => handing_out::by_profile(machine, profile)?,
        Handed::Key => Handed::Key.variables(machine, profile, "exec --env")?,
        session @ Handed::Session(_) => session.variables(machine, profile, "exec --session")?,
    };
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::new(Kind::Usage, "no command was given"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    become_it(with(command, &variables), program)
}

fn with(mut command: Command, variables: &Variables) -> Command {
    for name in &variables.unset {
        command.env_remove(name);
    }
    for name in handing_out::OWN {
        command.env_remove(name);
    }
    command.envs(variables.values());
    command
}

#[cfg(unix)]
fn become_it(mut command: Command, program: &OsStr) -> Outcome<()> {
    use std::os::unix::process::CommandExt;
    Err(cannot_run(program, &command.exec()))
}

#[cfg(not(unix))]
fn become_it(mut command: Command, program: &OsStr) -> Outcome<()> {
    let status = command
        .status()
        .map_err(|error| cannot_run(program, &error))?;
    std::process::exit(status.code().unwrap_or(1));
}

fn cannot_run(program: &OsStr, error: &std::io::Error) -> Failure {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Failed,
    };
    Failure::new(kind, format!("{} cannot be run", program.to_string_lossy())).cause(error)
}
