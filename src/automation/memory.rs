//! What unattended runs remember between them, when shells shall look next, and the
//! lines they shall then show. Edge: small files in the state folder, all of which
//! may be deleted at any time.
//!
//! `next-due` is one integer, seconds since 1970, so that a shell can compare it with
//! its clock and start nothing; its modification time says the same, for shells that
//! can only compare files. `schedule.json` is what the runs remember. `notices/` holds
//! one line per file: whoever deletes the file shows the line.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::automation::schedule::{BELIEVABLE, LONGEST_SLEEP, ScheduleState, doubled, is_zero};
use crate::error::{Error, Kind, Result};
use crate::system::disk;
use crate::system::disk::Lock;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::types::time::{Span, Timestamp};

/// A run that was started is given this long before shells start another one.
const A_RUN: Span = Span::minutes(10);

/// How long a reader or writer of `schedule.json` waits for another.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// Larger is damaged: an entry takes some hundred bytes.
const MOST_REMEMBERED: u64 = 4 << 20;

/// How many notices wait for a prompt; older ones are dropped.
const MOST_NOTICES: usize = 100;

const MOST_IN_A_NOTICE: u64 = 64 << 10;

/// Gives each notice of a run a name of its own.
static NOTICES_LEFT: AtomicU32 = AtomicU32::new(0);

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// When the next run has something to do; none: nobody knows, look. A wish to look
    /// again that comes under a run outlasts it.
    #[serde(default)]
    pub next: Option<Timestamp>,
    /// When a shell last started a run that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    /// How many runs in a row have begun and not ended, this one counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub begun: u32,
    #[serde(default)]
    pub entries: BTreeMap<EntryName, ScheduleState>,
    /// What all entries have in common: stores that cannot be read, settings with mistakes.
    #[serde(default)]
    pub stores: ScheduleState,
}

/// What a shell is told when it looks.
#[derive(Debug, PartialEq, Eq)]
pub struct Glance {
    /// What happened since, each to be shown once.
    pub notices: Vec<String>,
    pub start: Start,
}

/// Whether a run is to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Yes,
    No,
}

/// The files of one user's state folder.
pub struct MemoryFile {
    folder: PathBuf,
}

impl MemoryFile {
    /// # Errors
    /// `Kind::Failed` if the user's state folder is not known.
    pub fn of(env: &Env) -> Result<MemoryFile> {
        Ok(MemoryFile {
            folder: env.state_folder()?,
        })
    }

    /// Whether awskeep has a state folder here: a container that was made anew has none.
    /// One of another user is none: `sudo` may keep HOME, and would leave files in it
    /// that its owner cannot write.
    pub fn is_there(&self) -> bool {
        fs::metadata(&self.folder).is_ok_and(|there| there.is_dir() && !disk::is_foreign(&there))
    }

    /// Whether there is also the number that shells look at.
    pub fn is_looked_at(&self) -> bool {
        self.is_there() && self.folder.join("next-due").is_file()
    }

    /// What is remembered; nothing if the file is missing or damaged.
    pub fn read(&self) -> Memory {
        small_file(&self.folder.join("schedule.json"), MOST_REMEMBERED)
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// A shell looks: takes the notices, and decides whether to start a run. Where the
    /// state folder cannot be written no run is to be started, since it could not
    /// remember anything.
    ///
    /// # Errors
    /// `Kind::Failed` or `Kind::Unfinished` if the state folder cannot be written.
    pub fn glance(&self, now: Timestamp) -> Result<Glance> {
        let _lock = self.lock()?;
        let mut remembered = self.read();
        let running = remembered
            .started_at
            .is_some_and(|at| at <= now && now < at + A_RUN);
        let is_due = match remembered.next {
            None => true,
            Some(next) => now >= next || next.since(now) > BELIEVABLE,
        };
        let start = if is_due && !running {
            remembered.started_at = Some(now);
            self.save(&remembered)?;
            self.write_next_due(now + A_RUN)?;
            Start::Yes
        } else {
            let again = remembered
                .started_at
                .filter(|_| running)
                .map(|at| at + A_RUN);
            self.write_next_due(again.or(remembered.next).unwrap_or(now + A_RUN))?;
            Start::No
        };
        // Last, since a look that fails shows nothing.
        let notices = self.take_notices();
        Ok(Glance { notices, start })
    }

    /// A run begins.
    ///
    /// # Errors
    /// As `glance`.
    pub fn begin(&self, now: Timestamp) -> Result<Memory> {
        let _lock = self.lock()?;
        let mut remembered = self.read();
        remembered.started_at = Some(now);
        remembered.next = Some(now + doubled(A_RUN, remembered.begun));
        remembered.begun = remembered.begun.saturating_add(1);
        self.save(&remembered)?;
        Ok(remembered)
    }

    /// A run ends: keeps what it remembers, and tells shells when to look next.
    ///
    /// # Errors
    /// As `glance`.
    pub fn end(&self, remembered: Memory, next: Timestamp, now: Timestamp) -> Result<()> {
        let _lock = self.lock()?;
        let still = self.read().next;
        let remembered = Memory {
            // No sooner than a run takes: whatever is wrong, prompts do not start one after another.
            next: still.map(|_| next.clamp(now + A_RUN, now + LONGEST_SLEEP)),
            started_at: None,
            begun: 0,
            ..remembered
        };
        self.save(&remembered)?;
        let next = remembered.next.filter(|_| self.notice_files().is_empty());
        self.write_next_due(next.unwrap_or(now))
    }

    /// Leaves a line for the next prompt of one shell.
    ///
    /// # Errors
    /// `Kind::Failed` if it cannot be written.
    pub fn leave_notice(&self, now: Timestamp, line: &str) -> Result<()> {
        let folder = self.folder.join("notices");
        disk::private_dir(&folder)?;
        // Where runs have a timer and nobody has a prompt, nobody takes them away.
        let there = self.notice_files();
        for oldest in there.iter().rev().skip(MOST_NOTICES - 1) {
            let _ = fs::remove_file(oldest);
        }
        let number = NOTICES_LEFT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:012}-{}-{number:04}", now.0.max(0), std::process::id());
        disk::write_atomic(&folder.join(name), line.as_bytes(), 0o600)
    }

    fn take_notices(&self) -> Vec<String> {
        let take = |file: PathBuf| {
            let bytes = small_file(&file, MOST_IN_A_NOTICE).unwrap_or_default();
            fs::remove_file(&file).ok()?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.lines().next().map(str::to_owned)
        };
        self.notice_files().into_iter().filter_map(take).collect()
    }

    /// Oldest first. Temp files of a writer that died are none.
    fn notice_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder.join("notices"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .map(|entry| entry.path())
            .collect();
        files.sort();
        files
    }

    /// The lock of a whole run: one at a time, however many shells start one.
    ///
    /// # Errors
    /// `Kind::Failed` if the state folder cannot be written.
    pub fn try_lock_run(&self) -> Result<Option<Lock>> {
        Lock::try_now(&self.folder.join("unattended.lock"))
    }

    fn lock(&self) -> Result<Lock> {
        Lock::wait(&self.folder.join("schedule.lock"), LOCK_WAIT)
    }

    fn save(&self, remembered: &Memory) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(remembered).map_err(|error| {
            Error::new(Kind::Bug, "the schedule cannot be written as JSON").cause(error)
        })?;
        disk::write_atomic(&self.folder.join("schedule.json"), &bytes, 0o600)
    }

    fn write_next_due(&self, next: Timestamp) -> Result<()> {
        let path = self.folder.join("next-due");
        let seconds = u64::try_from(next.0).unwrap_or(0);
        disk::write_atomic(&path, format!("{seconds}\n").as_bytes(), 0o600)?;
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let at = at.unwrap_or(UNIX_EPOCH);
        fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(at))
            .map_err(|error: io::Error| disk::failed("set the time of", &path, &error))
    }
}

/// Something changed that a schedule depends on: the next prompt looks. A state folder
/// that cannot be written makes that later, and nothing worse.
pub fn look_again(env: &Env) {
    forget(env, |_| false);
}

/// A person rotated or mended some entries, or changed their settings: what was in the
/// way is tried anew at the next prompt.
pub fn forget(env: &Env, which: impl Fn(&EntryName) -> bool) {
    let _ = MemoryFile::of(env).and_then(|memory| {
        disk::private_dir(&memory.folder)?;
        let _lock = memory.lock()?;
        let mut remembered = memory.read();
        for (_, past) in remembered
            .entries
            .iter_mut()
            .filter(|(name, _)| which(name))
        {
            *past = past.anew();
        }
        remembered.next = None;
        memory.save(&remembered)?;
        memory.write_next_due(env.now())
    });
}

/// The bytes of a file that is no larger than this; what is no file could never end.
fn small_file(path: &Path, most: u64) -> Option<Vec<u8>> {
    let there = fs::metadata(path).ok()?;
    if !there.is_file() || there.len() > most {
        return None;
    }
    fs::read(path).ok()
}
