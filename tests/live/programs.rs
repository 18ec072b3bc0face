//! Children with a time limit. Edge.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take that should take milliseconds, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a finished child left.
#[derive(Debug, Clone)]
pub struct Ran {
    pub what: String,
    pub stdout: String,
    pub stderr: String,
    /// None if a signal ended it.
    pub code: Option<i32>,
    pub took: Duration,
}

impl Ran {
    /// The child, if it succeeded; else the test fails and shows all of it.
    #[track_caller]
    pub fn ok(self) -> Ran {
        self.exits(0)
    }

    /// The child, if it ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ran { what, code, .. } = self;
        writeln!(f, "{what} ended with {code:?} after {:?}", self.took)?;
        write!(f, "stdout: {}\nstderr: {}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end, its input closed, at most for `PATIENCE`.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    command.stdin(Stdio::null());
    finish(started(command), "")
}

/// Runs a command with this on its stdin.
#[track_caller]
pub fn run_with_input(command: &mut Command, input: &str) -> Ran {
    command.stdin(Stdio::piped());
    finish(started(command), input)
}

/// Runs a command whose stdin is a pipe that stays open and never delivers.
#[track_caller]
pub fn run_with_silent_input(command: &mut Command) -> Ran {
    command.stdin(Stdio::piped());
    let mut started = started(command);
    let silent = started.child.stdin.take();
    let ran = finish(started, "");
    drop(silent);
    ran
}

/// A child whose outputs are piped, not waited for yet.
pub struct Started {
    what: String,
    child: Child,
    at: Instant,
}

#[track_caller]
pub fn started(command: &mut Command) -> Started {
    let what = shown(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let at = Instant::now();
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{what}: {error}; tests/run installs what is needed"));
    Started { what, child, at }
}

/// Waits for a child's end; a child that takes too long is killed and fails the test.
#[track_caller]
pub fn finish(started: Started, input: &str) -> Ran {
    let Started {
        what,
        mut child,
        at,
    } = started;
    let pid = pid_of(&child);
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input closes it: that is its right.
        let _ = stdin.write_all(input.as_bytes());
    }
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || done.send((child.wait_with_output(), at.elapsed())));
    let Ok((output, took)) = outcome.recv_timeout(PATIENCE) else {
        let _ = kill_process(pid, Signal::KILL);
        panic!("{what} did not end within {PATIENCE:?}");
    };
    ran(what, output.expect("the child can be waited for"), took)
}

fn ran(what: String, output: Output, took: Duration) -> Ran {
    Ran {
        what,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
        took,
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

pub fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// The first line that a child prints, within `PATIENCE`; the rest is left in the reader.
#[track_caller]
pub fn first_line<R: Read + Send + 'static>(what: &str, output: R) -> (String, BufReader<R>) {
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = String::new();
        let read = reader.read_line(&mut line);
        done.send((read.map(|_| line), reader))
    });
    let (line, reader) = outcome
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| panic!("{what} printed nothing within {PATIENCE:?}"));
    (line.unwrap_or_default().trim_end().to_owned(), reader)
}

/// Asks again and again until the answer is yes; fails the test after `PATIENCE`.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited {PATIENCE:?} until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A file that `tests/run` put under `target/test-env`.
#[track_caller]
pub fn in_test_env(path: &str) -> PathBuf {
    let found = repository().join("target/test-env").join(path);
    assert!(
        found.exists(),
        "{} is missing: run tests/run",
        found.display()
    );
    found
}

/// A file of `tests/env`.
pub fn in_env_sources(path: &str) -> PathBuf {
    repository().join("tests/env").join(path)
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
