//! Where an MFA code comes from: stdin, the settings' `mfa_process`, or a person at
//! the terminal; and which device it is of. Edge.
//!
//! A code is got once and used once: AWS accepts none twice. Neither a code nor what
//! `mfa_process` prints, nor its command line (which may hold a seed), is told.

use std::cell::RefCell;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::aws::{Call, MfaDevice, prove};
use crate::cli::MfaCode;
use crate::config::{Key, Settings};
use crate::error::{Error, Kind, Result};
use crate::sessions::denial::Expected;
use crate::sessions::obtain::{Code, CodeSource, Opens};
use crate::system::disk;
use crate::system::env::Env;
use crate::system::secret_vars;
use crate::types::keys::{AccessKey, EntryName, Secret};

/// How long `mfa_process` may take: a person may have to touch a device.
const PROCESS_WAIT: Duration = Duration::from_secs(60);

/// More output than this is no code.
const MOST_OUTPUT: u64 = 4 * 1024;

/// A code given on stdin: there is one, for one session.
pub type GivenCode = RefCell<Option<Secret>>;

/// The sources of this machine for one entry.
pub struct Codes<'a> {
    pub env: &'a Env,
    pub settings: &'a Settings,
    pub entry: &'a EntryName,
    pub given: &'a GivenCode,
}

impl CodeSource for Codes<'_> {
    fn expected(&self) -> Expected {
        let set = |key| self.settings.value(key, Some(self.entry)).is_some();
        if set(Key::MfaSerial) || set(Key::MfaProcess) {
            Expected::Yes
        } else {
            Expected::NotSaid
        }
    }

    fn opens(&self) -> Opens {
        match self.given.borrow().is_some() {
            true => Opens::AtOnce,
            false => Opens::WhenNeeded,
        }
    }

    fn code(
        &self,
        key: &AccessKey,
        devices: &dyn Fn() -> Call<Vec<MfaDevice>>,
    ) -> Result<Option<Code>> {
        let process = self.settings.value(Key::MfaProcess, Some(self.entry));
        let attended = self.env.ui.attended();
        if self.opens() == Opens::WhenNeeded && process.is_none() && !attended {
            return Ok(None);
        }
        let serial = self.serial(key, devices)?;
        let given = self.given.borrow_mut().take();
        let digits = match (given, process) {
            (Some(digits), _) => digits,
            (None, Some((command, _))) => self.printed(&command)?,
            (None, None) => {
                let ui = &self.env.ui;
                ui.tell(&format!(
                    "entry {}: its IAM user may handle keys in an MFA session only; one code does for the whole rotation",
                    self.entry
                ));
                let text = ui.ask(&format!("code of {serial}"))?;
                digits_of(&Zeroizing::new(text), "this")?
            }
        };
        Ok(Some(Code { serial, digits }))
    }
}

impl Codes<'_> {
    /// The device that the settings name, else the only one that gives codes, else
    /// the one that a person chooses.
    fn serial(
        &self,
        key: &AccessKey,
        devices: &dyn Fn() -> Call<Vec<MfaDevice>>,
    ) -> Result<String> {
        let entry = self.entry;
        let set_it = format!("awskeep config set mfa_serial SERIAL --entry {entry}");
        if let Some((serial, _)) = self.settings.value(Key::MfaSerial, Some(entry)) {
            let device = MfaDevice { serial };
            return match device.gives_codes() {
                true => Ok(device.serial),
                false => Err(console_only(entry, &device.serial)),
            };
        }
        let all = devices().map_err(|no| {
            prove::refused(key, "IAM", &no).hint(format!("name the device yourself: {set_it}"))
        })?;
        let usable: Vec<&str> = all
            .value
            .iter()
            .filter(|device| device.gives_codes())
            .map(|device| device.serial.as_str())
            .collect();
        match (usable.as_slice(), all.value.first()) {
            ([only], _) => Ok((*only).to_owned()),
            ([], Some(device)) => Err(console_only(entry, &device.serial)),
            ([], None) => Err(Error::new(
                Kind::PersonNeeded,
                "its IAM user has no MFA device, and may handle keys with one only",
            )
            .entry(entry)
            .hint("register a device that shows codes in the AWS console, then run it again")),
            (several, _) if self.env.ui.attended() => self.chosen(several),
            (several, _) => Err(Error::new(
                Kind::PersonNeeded,
                format!(
                    "its IAM user has several MFA devices: {}",
                    several.join(", ")
                ),
            )
            .entry(entry)
            .hint(format!("say which: {set_it}"))),
        }
    }

    fn chosen(&self, devices: &[&str]) -> Result<String> {
        let ui = &self.env.ui;
        for (number, serial) in (1..).zip(devices) {
            ui.tell(&format!("{number}: {serial}"));
        }
        let most = devices.len();
        let answer = ui.ask(&format!("which of these MFA devices? 1 to {most}"))?;
        let number = answer.trim().parse::<usize>().ok();
        let serial = number.and_then(|number| devices.get(number.checked_sub(1)?));
        serial.map(|serial| (*serial).to_owned()).ok_or_else(|| {
            Error::new(
                Kind::PersonNeeded,
                format!("there is no such device: 1 to {most}"),
            )
        })
    }

    /// What the command of the settings prints.
    fn printed(&self, command: &str) -> Result<Secret> {
        let path = &self.settings.path;
        if let Some(open) = disk::others_can_write(path)? {
            return Err(Error::new(
                Kind::Failed,
                format!(
                    "mfa_process of {} is not run: others can write {}",
                    path.display(),
                    open.display()
                ),
            )
            .hint(disk::how_to_close(&open)));
        }
        let (stderr, group) = match self.env.ui.attended() {
            true => (Stdio::inherit(), Group::Ours),
            false => (Stdio::null(), Group::Own),
        };
        let mut program = shell(command);
        program.current_dir(&self.env.here).stderr(stderr);
        for name in secret_vars::secrets(self.env) {
            program.env_remove(name);
        }
        run(program, group, PROCESS_WAIT)
            .and_then(|text| digits_of(&text, "what mfa_process printed"))
            .map_err(|failure| {
                failure.hint(format!(
                    "awskeep config get mfa_process --entry {} prints the command: try it",
                    self.entry
                ))
            })
    }
}

fn console_only(entry: &EntryName, serial: &str) -> Error {
    Error::new(
        Kind::PersonNeeded,
        format!(
            "{serial} is a security key or passkey, which AWS takes in its console only, never from programs"
        ),
    ).entry(entry)
    .hint("register another device for the user that shows codes (up to eight are allowed), then run it again")
}

/// What the flags give.
///
/// # Errors
/// `Kind::Usage` if stdin holds something else than six digits.
pub fn given(flags: &MfaCode) -> Result<GivenCode> {
    let code = match flags.mfa_code_stdin {
        true => Some(from_stdin()?),
        false => None,
    };
    Ok(RefCell::new(code))
}

fn from_stdin() -> Result<Secret> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .take(MOST_OUTPUT)
        .read_to_string(&mut text)
        .map_err(|error| Error::new(Kind::Failed, "stdin cannot be read").cause(error))?;
    digits_of(&text, "what --mfa-code-stdin read")
}

/// Six digits, and blanks around them. What else it is is not repeated.
fn digits_of(text: &str, what: &str) -> Result<Secret> {
    let digits = text.trim();
    if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Secret::new(digits.to_owned()));
    }
    Err(Error::new(
        Kind::Usage,
        format!("{what} is not an MFA code: six digits are expected"),
    ))
}

/// The process group that a command runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// One of its own, which ends as a whole.
    Own,
    /// Ours, where somebody is at the terminal: a group of its own could not ask there, nor
    /// be stopped from there.
    Ours,
}

/// Tells the command's processes from others, wherever they are.
const MARK: &str = "AWSKEEP_MFA_PROCESS";

/// Runs a command; stdin is empty, and what it prints stays here. When the time is over, all
/// that it has started ends with it.
fn run(mut program: Command, group: Group, limit: Duration) -> Result<Zeroizing<String>> {
    let failed = |why: String| Error::new(Kind::Failed, format!("mfa_process {why}"));
    program
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .env(MARK, std::process::id().to_string());
    #[cfg(unix)]
    if group == Group::Own {
        std::os::unix::process::CommandExt::process_group(&mut program, 0);
    }
    let mut child = program
        .spawn()
        .map_err(|error| failed("cannot be started".into()).cause(error))?;
    #[cfg(unix)]
    let id = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut text = Zeroizing::new(String::with_capacity(MOST_OUTPUT as usize));
        let read = match child.stdout.take() {
            Some(out) => out.take(MOST_OUTPUT).read_to_string(&mut text).map(|_| ()),
            None => Ok(()),
        };
        // The receiver is gone only if the wait is over.
        let _ = sender.send(
            read.and_then(|()| child.wait())
                .map(|status| (status, text)),
        );
    });
    match receiver.recv_timeout(limit) {
        Ok(Ok((status, text))) if status.success() => Ok(text),
        Ok(Ok((status, _))) => Err(failed(format!("failed: {status}"))),
        Ok(Err(error)) => Err(failed("printed no text".into()).cause(error)),
        Err(_) => {
            #[cfg(unix)]
            end(id, group);
            Err(failed(format!(
                "did not end within {} seconds",
                limit.as_secs()
            )))
        }
    }
}

/// Ends a command and what it has started. What has ended meanwhile is no failure.
#[cfg(unix)]
fn end(id: rustix::process::Pid, group: Group) {
    use rustix::process::{Signal, kill_process, kill_process_group};
    match group {
        Group::Own => drop(kill_process_group(id, Signal::KILL)),
        Group::Ours => {
            let _ = kill_process(id, Signal::KILL);
            // Once more for what was started meanwhile.
            for _ in 0..3 {
                for other in marked() {
                    let _ = kill_process(other, Signal::KILL);
                }
            }
        }
    }
}

/// The processes of our group that the command has started.
#[cfg(target_os = "linux")]
fn marked() -> Vec<rustix::process::Pid> {
    let mark = format!("{MARK}={}", std::process::id());
    let group = rustix::process::getpgrp();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let ids = numbers.filter_map(rustix::process::Pid::from_raw);
    ids.filter(|id| {
        let path = format!("/proc/{}/environ", id.as_raw_pid());
        let environ = Zeroizing::new(std::fs::read(path).unwrap_or_default());
        let mut variables = environ.split(|byte| *byte == 0);
        variables.any(|variable| variable == mark.as_bytes())
            && rustix::process::getpgid(Some(*id)) == Ok(group)
    })
    .collect()
}

/// Elsewhere the environment of a process is not to be had.
#[cfg(all(unix, not(target_os = "linux")))]
fn marked() -> Vec<rustix::process::Pid> {
    Vec::new()
}

/// Through the shell, as git and ssh run the commands of their settings.
#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    use std::os::windows::process::CommandExt;
    let mut shell = Command::new("cmd.exe");
    // As it stands: cmd.exe does not read what Rust's quoting writes.
    shell.arg("/C").raw_arg(command);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits() {
        for text in ["123456", " 123456\r\n"] {
            let expected = Secret::new("123456".into());
            assert_eq!(digits_of(text, "it"), Ok(expected));
        }
        for text in ["", "12345", "1234567", "12345a", "１２３４５６", "123 456"] {
            let no = digits_of(text, "it").unwrap_err();
            assert_eq!(no.message, "it is not an MFA code: six digits are expected");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_runs_through_the_shell_and_keeps_what_it_prints_to_itself() {
        let run = |command: &str| run(shell(command), Group::Own, PROCESS_WAIT);
        let printed = run("printf '12%s\\n' 3456 | cat").unwrap();
        assert_eq!(printed.as_str(), "123456\n");
        assert_eq!(run("cat").unwrap().as_str(), "");
        let failed = run("echo 123456; exit 3").unwrap_err();
        assert_eq!(failed.to_string(), "mfa_process failed: exit status: 3");
        let endless = run("yes 123456");
        assert!(endless.is_err(), "{endless:?}");
    }

    /// `sleep` holds the pipe: it is not read to its end before all of them have gone.
    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_that_a_command_started_outlives_the_time_limit() {
        let folder = tempfile::tempdir().unwrap();
        for (group, more) in [(Group::Own, ""), (Group::Ours, ""), (Group::Ours, "; exit")] {
            let note = folder.path().join("ids");
            let command = format!(
                "sleep 1000 & echo $! >'{0}'; sh -c 'sleep 1000 & echo $! >>{0}; wait' & wait{more}",
                note.display()
            )
            .replace("wait; exit", "sleep 0.2; exit");
            let mut program = shell(&command);
            program.stderr(Stdio::null());
            let late = run(program, group, Duration::from_secs(1)).unwrap_err();
            assert_eq!(late.message, "mfa_process did not end within 1 seconds");
            let ids = std::fs::read_to_string(&note).unwrap();
            assert_eq!(ids.lines().count(), 2, "{ids}");
            for id in ids.lines() {
                let is_alive = || {
                    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
                    stat.is_ok_and(|stat| !stat.contains(") Z "))
                };
                let begun = std::time::Instant::now();
                while is_alive() {
                    assert!(
                        begun.elapsed() < Duration::from_secs(20),
                        "{group:?}: {id} lives on"
                    );
                    thread::yield_now();
                }
            }
        }
    }
}
