//! Counts what a process asks of the bus, as dbus-monitor sees it. Edge.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::fixture::{Fixture, Home};

const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// The mark that says: everything before this has been seen.
const MARK: &str = "org.awskeep.Bench.Mark";
const MARK_SEEN: &str = "interface=org.awskeep.Bench; member=Mark";

/// A monitor on the fixture's bus.
pub struct Monitor<'a> {
    fixture: &'a Fixture,
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl<'a> Monitor<'a> {
    /// # Errors
    /// If dbus-monitor does not start or sees nothing.
    pub fn start(fixture: &'a Fixture) -> Result<Monitor<'a>, String> {
        let mut process = fixture
            .command(Home::Keychain, "dbus-monitor")
            .args(["--address", &fixture.address(), "type='method_call'"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("dbus-monitor (package dbus) does not start: {error}"))?;
        let stdout = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let monitor = Monitor {
            fixture,
            process,
            lines,
        };
        // Its first words are about itself, once it listens.
        let first = monitor.lines.recv_timeout(SEEN_WITHIN);
        first.map_err(|_| "dbus-monitor does not come to listen".to_owned())?;
        Ok(monitor)
    }

    /// The method calls of one process; those of the provider itself are not counted.
    ///
    /// # Errors
    /// If the process fails or the monitor falls silent.
    pub fn count(&self, command: &mut Command) -> Result<usize, String> {
        self.calls_until_mark()?;
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let status = status.map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!(
                "{} fails under dbus-monitor",
                command.get_program().display()
            ));
        }
        let calls = self.calls_until_mark()?;
        // Whoever was new on the bus, and is not the one who set the mark.
        Ok(calls
            .values()
            .filter(|calls| calls.iter().any(|call| call.ends_with("member=Hello")))
            .filter(|calls| !calls.iter().any(|call| call.ends_with(MARK_SEEN)))
            .map(Vec::len)
            .sum())
    }

    /// By sender.
    fn calls_until_mark(&self) -> Result<BTreeMap<String, Vec<String>>, String> {
        let marked = self
            .fixture
            .command(Home::Keychain, "dbus-send")
            .args([
                "--session",
                "--type=method_call",
                "--dest=org.freedesktop.DBus",
                "/",
                MARK,
            ])
            .status();
        marked.map_err(|error| format!("dbus-send (package dbus) does not start: {error}"))?;
        let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
        loop {
            let line = self.lines.recv_timeout(SEEN_WITHIN);
            let line = line.map_err(|_| "dbus-monitor fell silent".to_owned())?;
            let Some((_, call)) = line
                .strip_prefix("method call ")
                .and_then(|l| l.split_once("sender="))
            else {
                continue;
            };
            let is_mark = call.ends_with(MARK_SEEN);
            let sender = call.split(' ').next().unwrap_or_default().to_owned();
            calls.entry(sender).or_default().push(call.to_owned());
            if is_mark {
                return Ok(calls);
            }
        }
    }
}

impl Drop for Monitor<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
