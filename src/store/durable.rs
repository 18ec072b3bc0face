//! When a store has kept what it took: once it would survive a crash of the program that
//! took it, and not when that program has answered. Pure, but for `process_in`.
//!
//! Some keychains acknowledge a write and put it on disk later, or never: a key that is
//! deactivated in between may have been the only one that worked.

use serde::{Deserialize, Serialize};

use crate::types::time::{Span, Timestamp};

/// KWallet writes about 5 s after it has answered.
const KWALLET_WRITES_WITHIN: Span = Span::seconds(15);

/// The program that takes what is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taker {
    /// It answers when the bytes are on disk.
    Syncs,
    Process(Process),
    /// Which program it is cannot be seen.
    Unknown,
}

/// A keychain's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// In ticks since the machine's start; tells it from a later process of this number.
    pub started: u64,
    pub writes: Writes,
}

/// When a program puts on disk what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    AtOnce,
    Within(Span),
    /// Later, or when its person says so.
    SomeTime,
}

impl Writes {
    /// By the name of the process, which Linux cuts after 15 bytes.
    pub fn of(process: &str) -> Writes {
        match process {
            "gnome-keyring-d" => Writes::AtOnce,
            "kwalletd5" | "kwalletd6" | "ksecretd" => Writes::Within(KWALLET_WRITES_WITHIN),
            _ => Writes::SomeTime,
        }
    }
}

/// Who took a key, as it is noted in the item where that program did not sync at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBy {
    /// 0 where it could not be seen.
    pub pid: u32,
    pub started: u64,
    /// On disk from then on; none where only another process can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<Timestamp>,
}

/// Whether a store has kept a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    Yes,
    /// Not before this time.
    From(Timestamp),
    /// Not certain until another process of the keychain gives the key back.
    Unsure,
}

/// While that time is waited for.
pub fn waiting(until: Timestamp) -> String {
    format!("waiting until {until}, when the keychain has the key on disk (Ctrl-C is safe)")
}

impl TakenBy {
    /// What is to be noted of a write at `now`; none if it is kept at once.
    pub fn note(taker: &Taker, now: Timestamp) -> Option<TakenBy> {
        let (pid, started, writes) = match taker {
            Taker::Syncs => return None,
            Taker::Unknown => (0, 0, Writes::SomeTime),
            Taker::Process(Process {
                pid,
                started,
                writes,
            }) => (*pid, *started, *writes),
        };
        let written_by = match writes {
            Writes::AtOnce => return None,
            Writes::Within(length) => Some(now + length),
            Writes::SomeTime => None,
        };
        Some(TakenBy {
            pid,
            started,
            written_by,
        })
    }

    /// Whether the note is of this taker.
    pub fn is(&self, taker: &Taker) -> bool {
        match taker {
            Taker::Process(process) => (self.pid, self.started) == (process.pid, process.started),
            Taker::Unknown => self.pid == 0,
            Taker::Syncs => false,
        }
    }

    /// Whether the key is kept, which `taker` has just given back.
    pub fn kept(&self, taker: &Taker, now: Timestamp) -> Kept {
        let given_back_by_another = match taker {
            Taker::Syncs => true,
            Taker::Process(_) => self.pid != 0 && !self.is(taker),
            Taker::Unknown => false,
        };
        match self.written_by {
            _ if given_back_by_another => Kept::Yes,
            Some(until) if now >= until => Kept::Yes,
            // Further ahead: the clock was set back meanwhile.
            Some(until) if until.since(now) <= KWALLET_WRITES_WITHIN => Kept::From(until),
            Some(_) | None => Kept::Unsure,
        }
    }
}

/// A process by its number, as `/proc` shows it.
#[cfg(target_os = "linux")]
pub fn process_in(pid: u32) -> Option<Process> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let stat = read("stat")?;
    Some(Process {
        pid,
        started: start_of(&stat)?,
        writes: Writes::of(read("comm")?.trim_end()),
    })
}

/// Field 22 of `/proc/PID/stat`; the name before it may hold anything.
/// Source: proc_pid_stat(5).
#[cfg(target_os = "linux")]
fn start_of(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, name: &str) -> Taker {
        Taker::Process(Process {
            pid,
            started: 7,
            writes: Writes::of(name),
        })
    }

    #[test]
    fn a_key_is_kept_once_a_crash_of_the_daemon_cannot_lose_it() {
        let at = Timestamp(1_000);
        let s = Span::seconds;
        let (kwallet, keepassxc) = (process(5, "kwalletd5"), process(5, "keepassxc"));
        for (took, gives, after, expected) in [
            (&Taker::Syncs, &Taker::Syncs, s(0), Kept::Yes),
            (
                &process(5, "gnome-keyring-d"),
                &Taker::Unknown,
                s(0),
                Kept::Yes,
            ),
            (&kwallet, &kwallet, s(0), Kept::From(at + s(15))),
            (&kwallet, &kwallet, s(14), Kept::From(at + s(15))),
            (&kwallet, &kwallet, s(15), Kept::Yes),
            (&kwallet, &process(6, "kwalletd5"), s(1), Kept::Yes),
            (&keepassxc, &keepassxc, s(86_400), Kept::Unsure),
            (&keepassxc, &process(6, "keepassxc"), s(0), Kept::Yes),
            (&keepassxc, &Taker::Unknown, s(86_400), Kept::Unsure),
            (&keepassxc, &Taker::Syncs, s(0), Kept::Yes),
            (&Taker::Unknown, &keepassxc, s(86_400), Kept::Unsure),
        ] {
            let note = TakenBy::note(took, at);
            let kept = note.map_or(Kept::Yes, |note| note.kept(gives, at + after));
            assert_eq!(kept, expected, "{took:?}, {gives:?}, {after}");
        }
        let note = TakenBy::note(&kwallet, at).unwrap();
        assert_eq!(
            note.kept(&kwallet, at - s(60)),
            Kept::Unsure,
            "a clock set back"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_known_by_its_number_and_start() {
        let line = "12 (a) b (c)) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99";
        assert_eq!(start_of(line), Some(4_711));
        let ours = process_in(std::process::id()).unwrap();
        assert_eq!(process_in(std::process::id()), Some(ours));
        assert_eq!(process_in(u32::MAX), None);
    }
}
