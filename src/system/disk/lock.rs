//! Locks between processes, by the kernel's own file locks: they end with the
//! process, however it ends. Edge.
//!
//! The file stays when the lock is released, since deleting it would let two hold
//! "the" lock. If something else deletes it, the next one notices and takes the new one.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::system::disk::{failed, platform};

/// How often a wait looks again; std has no lock with a deadline.
const STEP: Duration = Duration::from_millis(10);

/// More is no note of a holder.
const MOST_IN_A_NOTE: u64 = 200;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, waiting for its holder as long as given.
    ///
    /// # Errors
    /// `Kind::Unfinished` if it is still held then; `Kind::Failed` if the file cannot be used.
    pub fn wait(path: &Path, how_long: Duration) -> Result<Lock> {
        let end = Instant::now() + how_long;
        loop {
            if let Some(lock) = Lock::try_now(path)? {
                return Ok(lock);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seconds = how_long.as_secs_f32();
                let who = match Holder::of(path) {
                    Some(holder) => format!("another awskeep ({holder})"),
                    None => "another awskeep".to_owned(),
                };
                let message = format!("{who} is at work: {} is held", path.display());
                return Err(Error::new(Kind::Unfinished, message)
                    .cause(format!("not released within {seconds} s"))
                    .hint("run it again when the other has finished"));
            }
            thread::sleep(STEP.min(left));
        }
    }

    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    /// `Kind::Failed` if the file cannot be made or locked; a link is refused.
    pub fn try_now(path: &Path) -> Result<Option<Lock>> {
        loop {
            let file = platform::open_lock(path).map_err(|error| failed("lock", path, &error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(failed("lock", path, &error)),
            }
            // A cleaner may have deleted the file between the open and the lock: then
            // the next one would lock another file of this name.
            if platform::is_still(path, &file).map_err(|error| failed("lock", path, &error))? {
                note_holder(&file);
                return Ok(Some(Lock { file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing releases it too, unless a child has inherited the file.
        let _ = self.file.unlock();
    }
}

/// Who holds a lock, as far as can be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pid: u32,
    /// The program and its verb.
    command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.command.as_str() {
            "" => write!(f, "pid {}", self.pid),
            command => write!(f, "pid {}, {command}", self.pid),
        }
    }
}

impl Holder {
    /// Who holds the lock of this file: the kernel knows the process, and the file has
    /// the holder's own note, which may be one of an earlier holder.
    pub fn of(path: &Path) -> Option<Holder> {
        let mut note = Vec::new();
        let mut file = platform::open_lock(path).ok()?;
        io::Read::by_ref(&mut file)
            .take(MOST_IN_A_NOTE)
            .read_to_end(&mut note)
            .ok()?;
        let noted = Holder::parse(&String::from_utf8_lossy(&note));
        match (holder_by_kernel(&file), noted) {
            (Some(pid), Some(noted)) if noted.pid == pid => Some(noted),
            (Some(pid), _) => Some(Holder {
                pid,
                command: command_of(pid),
            }),
            (None, noted) => noted.filter(|noted| platform::is_alive(noted.pid)),
        }
    }

    fn parse(note: &str) -> Option<Holder> {
        let (pid, command) = note.lines().next()?.split_once(' ')?;
        Some(Holder {
            pid: pid.parse().ok()?,
            command: command.to_owned(),
        })
    }
}

/// Whoever waits is told; that it cannot be written is no harm.
fn note_holder(mut file: &File) {
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let note = format!("{} {}\n", std::process::id(), words(arguments));
    let _ = file
        .set_len(0)
        .and_then(|()| file.write_all(note.as_bytes()));
}

/// A program's name and its verb: the other arguments are nobody's business.
fn words(arguments: impl Iterator<Item = String>) -> String {
    let is_verb = |word: &String| {
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        !word.starts_with('-') && word.len() <= 20 && word.chars().all(plain)
    };
    let mut arguments = arguments;
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    match arguments.next().filter(is_verb) {
        Some(verb) => format!("{name} {verb}"),
        None => name,
    }
}

/// Linux says which process holds a lock, but for those of another pid namespace.
#[cfg(target_os = "linux")]
fn holder_by_kernel(file: &File) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let inode = file.metadata().ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    holder_in(&locks, inode)
}

/// The device is not compared: some file systems have another one here.
#[cfg(target_os = "linux")]
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = fields.as_slice() else {
            return None;
        };
        let is_it = place.rsplit(':').next() == Some(inode.to_string().as_str());
        pid.parse().ok().filter(|pid| is_it && *pid > 0)
    })
}

#[cfg(not(target_os = "linux"))]
fn holder_by_kernel(_: &File) -> Option<u32> {
    None
}

fn command_of(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments = bytes.split(|byte| *byte == 0);
    words(arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;

    #[test]
    fn one_holds_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::wait(&path, Duration::ZERO).unwrap();
        assert!(Lock::try_now(&path).unwrap().is_none());
        let failure = Lock::wait(&path, Duration::from_millis(20)).unwrap_err();
        assert!(failure.message.contains("lock is held"), "{failure}");
        drop(first);
        assert!(Lock::try_now(&path).unwrap().is_some());
    }

    #[test]
    fn a_waiter_gets_it_when_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::try_now(&path).unwrap().unwrap();
        let (sender, receiver) = mpsc::channel();
        let waiter = {
            let path = path.clone();
            thread::spawn(move || {
                sender.send(()).unwrap();
                Lock::wait(&path, Duration::from_secs(20)).unwrap()
            })
        };
        receiver.recv().unwrap();
        assert!(!waiter.is_finished());
        drop(first);
        let second = waiter.join().unwrap();
        assert!(Lock::try_now(&path).unwrap().is_none());
        drop(second);
    }

    #[test]
    fn a_lock_file_that_was_deleted_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = platform::open_lock(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!platform::is_still(&path, &file).unwrap());
        let other = Lock::try_now(&path).unwrap().unwrap();
        assert!(!platform::is_still(&path, &file).unwrap());
        assert!(platform::is_still(&path, &other.file).unwrap());

        // A waiter for a file that is deleted under its holder locks the new one.
        fs::remove_file(&path).unwrap();
        let waiter = Lock::wait(&path, Duration::from_secs(20)).unwrap();
        assert!(platform::is_still(&path, &waiter.file).unwrap());
        assert!(Lock::try_now(&path).unwrap().is_none());
    }

    #[test]
    fn a_holder_is_named_by_the_kernel_or_its_note() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:30:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 00:30:78 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 0 00:30:79 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 13 00:30:77 0 EOF\n\
                     4: -> FLOCK  ADVISORY  WRITE 14 00:30:77 0 EOF\n";
        for (inode, pid) in [(77, Some(13)), (78, Some(12)), (79, None), (7, None)] {
            assert_eq!(holder_in(locks, inode), pid, "{inode}");
        }
        for (arguments, shown) in [
            (
                &["/usr/bin/awskeep", "rotate", "work"][..],
                "awskeep rotate",
            ),
            (&["awskeep", "--no-input", "rotate"], "awskeep"),
            (&["awskeep", "wJalrXUtnFEMI/K7MDENG"], "awskeep"),
            (&[], ""),
        ] {
            let arguments = arguments.iter().map(ToString::to_string);
            assert_eq!(words(arguments), shown);
        }
        let us = std::process::id();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        // Nobody holds it: the note of one who lives may be right, others are not.
        for (note, pid) in [
            (format!("{us} awskeep add\n"), Some(us)),
            ("4194305 awskeep add\n".to_owned(), None),
            ("no note".to_owned(), None),
            (String::new(), None),
        ] {
            fs::write(&path, &note).unwrap();
            assert_eq!(Holder::of(&path).map(|holder| holder.pid), pid, "{note}");
        }
    }

    #[test]
    fn links_are_not_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(Lock::try_now(&path).is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }
}
