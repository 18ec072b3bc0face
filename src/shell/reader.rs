//! Which shell reads what we print: found among the processes above this one, as far as
//! that is sure. Edge, with a pure core.
//!
//! `$(awskeep env work)` and `awskeep env work | source` run under the shell that reads;
//! `SHELL` only names the shell that a terminal opens with. A process whose stdout is ours
//! (`sh -c`, `timeout`) reads nothing, it hands on; the first one whose stdout is another
//! made the pipe.

use crate::types::shell::Shell;
#[cfg(target_os = "linux")]
use crate::ui;

/// One process above this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Above {
    /// The program's name, without its folder.
    pub name: String,
    pub stdout: Stdout,
    /// What a shell was given with `-c`.
    pub script: Option<String>,
}

/// Where another process prints to, compared with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdout {
    /// To the same terminal: whoever started us is at it.
    SameTerminal,
    /// To the same pipe or file.
    Same,
    Another,
    /// It is another user's process, or the system does not tell.
    NotKnown,
}

/// Programs that run another one and let its output through, some by a pipe of their own.
const HAND_ON: [&str; 14] = [
    "sudo", "doas", "env", "nice", "ionice", "chrt", "taskset", "timeout", "time", "setsid",
    "stdbuf", "setpriv", "runuser", "strace",
];

/// The shell that reads what we print; none where that is not sure.
pub fn of_process() -> Option<Shell> {
    reader(above())
}

/// The reader among the processes above, the nearest first.
fn reader(above: impl Iterator<Item = Above>) -> Option<Shell> {
    let mut is_relayed = false;
    for process in above {
        if HAND_ON.contains(&process.name.as_str()) {
            is_relayed |= process.stdout != Stdout::Same;
            continue;
        }
        let shell = Shell::of_program(&process.name);
        let stdout = match is_relayed {
            true => Stdout::NotKnown,
            false => process.stdout,
        };
        match (stdout, process.script) {
            (Stdout::Same, _) => {}
            (Stdout::NotKnown, Some(script)) => {
                let reads = ["eval", "source"].iter().any(|word| script.contains(word));
                return shell.filter(|_| reads);
            }
            (Stdout::NotKnown, None) | (Stdout::SameTerminal | Stdout::Another, _) => {
                return shell;
            }
        }
    }
    None
}

/// The text after `-c`, also in a bundle of flags such as `-ec`.
fn script_of(arguments: &[String]) -> Option<String> {
    let is_flag = |word: &&String| word.starts_with(['-', '+']);
    let mut flags = arguments.iter().skip(1).take_while(is_flag);
    let at = flags.position(|flag| !flag.starts_with("--") && flag.contains('c'))?;
    // `skip(1)`, then the one after it.
    arguments
        .iter()
        .skip(at + 2)
        .find(|word| !word.starts_with('-'))
        .cloned()
}

/// As many as anybody nests.
const MOST: usize = 32;

#[cfg(target_os = "linux")]
fn above() -> impl Iterator<Item = Above> {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    let printed_to = |id: &dyn std::fmt::Display| {
        let meta = fs::metadata(format!("/proc/{id}/fd/1")).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    let own = printed_to(&"self");
    let is_terminal = ui::prints_to_terminal();
    let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
    std::iter::successors(parent, |id| {
        parent_in(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    })
    .take(MOST)
    .map(move |id| {
        let of = |what: &str| format!("/proc/{id}/{what}");
        let comm = fs::read_to_string(of("comm")).unwrap_or_default();
        let exe = fs::read_link(of("exe")).ok();
        let arguments: Vec<String> = fs::read(of("cmdline"))
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        Above {
            name: name_of(
                exe.as_deref().and_then(std::path::Path::to_str),
                comm.trim_end(),
            ),
            stdout: match (own, printed_to(&id)) {
                (Some(own), Some(its)) if own == its && is_terminal => Stdout::SameTerminal,
                (Some(own), Some(its)) if own == its => Stdout::Same,
                (Some(_), Some(_)) => Stdout::Another,
                (None, _) | (_, None) => Stdout::NotKnown,
            },
            script: script_of(&arguments),
        }
    })
}

/// The parent in the text of `/proc/PID/stat`: the second word after the name in brackets.
#[cfg(target_os = "linux")]
fn parent_in(stat: &str) -> Option<i32> {
    let (_, after) = stat.rsplit_once(')')?;
    let parent = after.split_whitespace().nth(1)?.parse().ok()?;
    (parent > 0).then_some(parent)
}

/// The program behind a process: the name of its file, since a script's process is called like
/// the script; but where one file is many programs, and where it is not told, what the process
/// is called.
#[cfg(any(target_os = "linux", test))]
fn name_of(exe: Option<&str>, comm: &str) -> String {
    let exe = exe.map(|exe| exe.strip_suffix(" (deleted)").unwrap_or(exe));
    let name = exe.and_then(|exe| exe.rsplit('/').next());
    let is_many = |name: &str| {
        ["busybox", "toybox"].contains(&name)
            || name.starts_with("qemu-")
            || name.starts_with("ld-")
    };
    match name {
        Some(name) if !is_many(name) => name.to_owned(),
        Some(_) | None => comm.to_owned(),
    }
}

/// `ps` is part of macOS and of the other systems that have no `/proc`.
#[cfg(all(unix, not(target_os = "linux")))]
fn above() -> impl Iterator<Item = Above> {
    let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
    let asked = |id: i32, what: &str| {
        let output = std::process::Command::new("/bin/ps")
            .args(["-o", what, "-p", &id.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    std::iter::successors(parent, move |id| {
        asked(*id, "ppid=")?
            .parse()
            .ok()
            .filter(|parent| *parent > 1)
    })
    .take(MOST)
    .map(move |id| {
        let comm = asked(id, "comm=").unwrap_or_default();
        let name = comm.rsplit('/').next().unwrap_or_default();
        let arguments = asked(id, "args=").unwrap_or_default();
        let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        // The words of a script are not told apart: all of them are looked at.
        let script = script_of(&words).map(|_| arguments.clone());
        Above {
            name: name.trim_start_matches('-').to_owned(),
            stdout: Stdout::NotKnown,
            script,
        }
    })
}

#[cfg(not(unix))]
fn above() -> impl Iterator<Item = Above> {
    std::iter::empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn above(name: &str, stdout: Stdout, script: Option<&str>) -> Above {
        Above {
            name: name.to_owned(),
            stdout,
            script: script.map(str::to_owned),
        }
    }

    #[test]
    fn the_reader_is_the_shell_that_made_the_pipe() {
        use Stdout::{Another, NotKnown, Same, SameTerminal};
        for (chain, expected) in [
            // eval "$(awskeep env work)", with and without a process of its own for $(…)
            (vec![above("zsh", Another, None)], Some(Shell::Zsh)),
            (
                vec![above("bash", Same, None), above("bash", Another, None)],
                Some(Shell::Bash),
            ),
            // sh -c 'awskeep env work' | source
            (
                vec![
                    above("dash", Same, Some("awskeep env work")),
                    above("fish", Another, None),
                ],
                Some(Shell::Fish),
            ),
            // sh -c 'eval "$(awskeep env work)"', below fish
            (
                vec![
                    above("dash", Another, Some("eval …")),
                    above("fish", Another, None),
                ],
                Some(Shell::Bash),
            ),
            // sudo -u bob awskeep env work | source; sudo makes a pipe of its own
            (
                vec![above("sudo", Another, None), above("fish", Another, None)],
                Some(Shell::Fish),
            ),
            (
                vec![above("timeout", Same, None), above("zsh", Another, None)],
                Some(Shell::Zsh),
            ),
            // Who reads what sudo copies out of `sh -c`? Not sure.
            (
                vec![
                    above("sudo", NotKnown, None),
                    above("dash", Same, Some("sudo awskeep env work")),
                    above("fish", Another, None),
                ],
                None,
            ),
            (
                vec![above(
                    "bash",
                    NotKnown,
                    Some("eval \"$(awskeep env work)\""),
                )],
                Some(Shell::Bash),
            ),
            (vec![above("fish", NotKnown, None)], Some(Shell::Fish)),
            // --force, at a terminal
            (
                vec![
                    above("fish", SameTerminal, None),
                    above("bash", SameTerminal, None),
                ],
                Some(Shell::Fish),
            ),
            (
                vec![above("make", Another, None), above("bash", Another, None)],
                None,
            ),
            (
                vec![
                    above("sh", Same, Some("awskeep")),
                    above("python3.13", Another, None),
                ],
                None,
            ),
            (vec![], None),
        ] {
            assert_eq!(reader(chain.clone().into_iter()), expected, "{chain:?}");
        }
    }

    #[test]
    fn a_process_is_called_like_its_program() {
        for (exe, comm, expected) in [
            (Some("/usr/bin/bash"), "deploy.sh", "bash"),
            (Some("/usr/bin/bash (deleted)"), "bash", "bash"),
            (Some("/bin/busybox"), "ash", "ash"),
            (None, "sudo", "sudo"),
        ] {
            assert_eq!(name_of(exe, comm), expected);
        }
    }

    #[test]
    fn a_shells_script_is_found() {
        for (words, expected) in [
            (&["sh", "-c", "x"][..], Some("x")),
            (&["bash", "-e", "-uc", "x", "y"], Some("x")),
            (&["bash", "--norc", "-c", "x"], Some("x")),
            (&["bash", "-i"], None),
            (&["bash", "file", "-c", "x"], None),
            (&["-zsh"], None),
        ] {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            assert_eq!(script_of(&words).as_deref(), expected, "{words:?}");
        }
    }
}
