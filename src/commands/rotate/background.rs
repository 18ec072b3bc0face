//! `awskeep rotate --if-due --all --no-input --background`: what a shell's hook calls.
//! Shows what happened meanwhile, starts the run that is due as a process of its own,
//! and returns at once. It never fails and never says anything else: it runs at a prompt.

use std::process::{Command, Stdio};

use crate::automation::memory::{MemoryFile, Start};
use crate::commands::Invocation;
use crate::commands::rotate::unattended::why_not_here;
use crate::system::env::Env;

pub fn run(context: &Invocation<'_>) {
    let env = context.env;
    if env.var("AWSKEEP_HOOK") == Some("off") || why_not_here(env).is_some() {
        return;
    }
    let glance = MemoryFile::of(env).and_then(|memory| memory.glance(env.now()));
    // A state folder that cannot be written: then nothing can be remembered either.
    let Ok(glance) = glance else { return };
    if let Some(line) = one_line(&glance.notices) {
        env.ui.tell(&line);
    }
    if glance.start == Start::Yes {
        // The next prompts try again.
        let _ = start(env);
    }
}

/// The newest notice, and how many more there were.
fn one_line(notices: &[String]) -> Option<String> {
    let (newest, others) = notices.split_last()?;
    Some(match others.len() {
        0 => format!("awskeep: {newest}"),
        more => format!("awskeep: {newest} (and {more} more: awskeep log)"),
    })
}

/// Starts the run detached: no descriptor of the shell's stays open in it. The new
/// session and the low priority it gives itself, by `--detached`.
fn start(env: &Env) -> std::io::Result<()> {
    let mut command = Command::new(&env.program);
    command
        .args(["rotate", "--if-due", "--all", "--no-input", "--detached"])
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(unix)]
    close_fds::set_fds_cloexec(3, &[]);
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        const DETACHED_PROCESS: u32 = 0x8;
        const BELOW_NORMAL_PRIORITY_CLASS: u32 = 0x4000;
        command.creation_flags(DETACHED_PROCESS | BELOW_NORMAL_PRIORITY_CLASS);
    }
    command.spawn().map(drop)
}

/// A run must not keep the shell's folder from being unmounted.
fn root() -> &'static str {
    if cfg!(windows) { "\\" } else { "/" }
}

/// A session of its own, so that closing the terminal does not end it; low priority.
/// What the system refuses is left as it is.
pub fn detach() {
    #[cfg(unix)]
    {
        let _ = rustix::process::setsid();
        let _ = rustix::process::nice(10);
    }
}
