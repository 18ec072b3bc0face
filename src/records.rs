//! Non-secret state: the receipts of what was done to which key. Edge.
//!
//! It may be deleted at any time: that loses receipts, nothing else. A receipt is
//! one JSON line, synced to disk before the next step; a torn last line (power
//! cut) is skipped by the reader and kept apart by the writer.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::system::disk;
use crate::system::env::Env;
use crate::types::keys::{AccessKeyId, EntryName, SlotName};
use crate::types::time::Timestamp;

/// More than a receipt takes.
#[cfg(target_os = "linux")]
const ROOM_BYTES: u64 = 4 << 10;

const MADE_UNDER: &str = "made under intent ";

const WAS: &str = "was ";

const FAILED: &str = "failed";

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub at: Timestamp,
    pub entry: EntryName,
    pub step: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<AccessKeyId>,
    /// Where that key was, or went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotName>,
    /// The nonce that the key was made under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Of a renamed entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_name: Option<EntryName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default)]
    pub outcome: Outcome,
    /// The same and more in words, for people and earlier programs.
    pub result: String,
}

/// Whether it was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    #[default]
    Done,
    Failed,
}

impl Record {
    pub fn new(at: Timestamp, entry: &EntryName, step: &str) -> Record {
        Record {
            at,
            entry: entry.clone(),
            step: step.to_owned(),
            key_id: None,
            slot: None,
            intent: None,
            old_name: None,
            request_id: None,
            outcome: Outcome::Done,
            result: "done".into(),
        }
    }

    #[must_use]
    pub fn key(mut self, id: &AccessKeyId) -> Record {
        self.key_id = Some(id.clone());
        self
    }

    #[must_use]
    pub fn slot(mut self, slot: Option<SlotName>) -> Record {
        self.slot = slot;
        self
    }

    #[must_use]
    pub fn made_under(mut self, nonce: &str) -> Record {
        self.intent = Some(nonce.to_owned());
        self.result(format!("{MADE_UNDER}{nonce}"))
    }

    #[must_use]
    pub fn renamed_from(mut self, old: &EntryName) -> Record {
        self.old_name = Some(old.clone());
        self.result(format!("{WAS}{old}"))
    }

    #[must_use]
    pub fn failed(mut self, why: &str) -> Record {
        self.outcome = Outcome::Failed;
        self.result(format!("{FAILED}: {why}"))
    }

    #[must_use]
    pub fn request(mut self, id: Option<&str>) -> Record {
        self.request_id = id.map(str::to_owned);
        self
    }

    #[must_use]
    pub fn result(mut self, result: impl Into<String>) -> Record {
        self.result = result.into();
        self
    }

    /// One line of the file; none if it cannot be read.
    fn of_line(line: &[u8]) -> Option<Record> {
        let line: Value = serde_json::from_slice(line).ok()?;
        let in_words = line.get("outcome").is_none();
        let mut record: Record = serde_json::from_value(line).ok()?;
        if in_words {
            record.take_fields_from_words();
        }
        Some(record)
    }

    /// Earlier programs said in the result alone what has fields now.
    fn take_fields_from_words(&mut self) {
        let words = self.result.as_str();
        self.intent = words.strip_prefix(MADE_UNDER).map(str::to_owned);
        self.old_name = words.strip_prefix(WAS).and_then(|old| old.parse().ok());
        if words.starts_with(FAILED) {
            self.outcome = Outcome::Failed;
        }
    }
}

/// The receipts of this user on this machine.
pub struct Records {
    path: PathBuf,
}

impl Records {
    pub fn of(env: &Env) -> Result<Records> {
        Ok(Records {
            path: env.state_folder()?.join("log").join("receipts.jsonl"),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a receipt could be written and synced now: asked before a key is made or
    /// deleted, since only its receipt says later whose it is.
    ///
    /// # Errors
    /// `Kind::Failed` if not.
    pub fn refuse_unwritable(&self) -> Result<()> {
        let file = self.open()?;
        let failed = |error: std::io::Error| disk::failed("write", &self.path, &error);
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            use rustix::io::Errno;
            let end = file.metadata().map_err(failed)?.len();
            let room = fallocate(&file, FallocateFlags::KEEP_SIZE, end, ROOM_BYTES);
            // Not every file system can say so beforehand.
            if let Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) = room {
                return Err(failed(errno.into()));
            }
        }
        file.sync_all().map_err(failed)
    }

    /// Appends one receipt and syncs it to disk.
    ///
    /// # Errors
    /// `Kind::Failed` if it cannot be written and synced.
    pub fn append(&self, receipt: &Record) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::new(
                Kind::Failed,
                format!("{} cannot be written", self.path.display()),
            )
            .cause(error)
        };
        let mut line = serde_json::to_string(receipt).map_err(|error| {
            Error::new(Kind::Bug, "a receipt cannot be written as JSON").cause(error)
        })?;
        line.push('\n');
        let mut file = self.open()?;
        if ends_torn(&mut file).map_err(failed)? {
            line.insert(0, '\n');
        }
        file.write_all(line.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)
    }

    fn open(&self) -> Result<File> {
        if let Some(folder) = self.path.parent() {
            disk::private_dir(folder)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(&self.path)
            .map_err(|error| disk::failed("write", &self.path, &error))
    }

    /// All receipts, oldest first; lines that cannot be read are skipped.
    ///
    /// # Errors
    /// `Kind::Failed` if the file is there but cannot be read.
    pub fn read(&self) -> Result<Vec<Record>> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(bytes
                .split(|byte| *byte == b'\n')
                .filter_map(Record::of_line)
                .collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::new(
                Kind::Failed,
                format!("{} cannot be read", self.path.display()),
            )
            .cause(error)),
        }
    }
}

/// Refuses to make, change or delete a key where no receipt of it can be written.
///
/// # Errors
/// `Kind::Failed` with the cause.
pub fn refuse_without_receipts(env: &Env) -> Result<()> {
    Records::of(env)
        .and_then(|receipts| receipts.refuse_unwritable())
        .map_err(|failure| Error {
            message: format!(
                "no key is made, changed or deleted without a receipt: {}",
                failure.message
            ),
            ..failure
        })
}

/// Notes what was done; a state folder that cannot be written is worth a warning,
/// not the loss of what was just done.
pub fn note(env: &Env, receipt: &Record) {
    let noted = Records::of(env).and_then(|receipts| receipts.append(receipt));
    if let Err(failure) = noted {
        env.ui
            .warn(&format!("no receipt is left of this: {}", failure.message));
    }
}

fn ends_torn(file: &mut std::fs::File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_survive_a_torn_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let receipts = Records {
            path: folder.path().join("log").join("receipts.jsonl"),
        };
        assert_eq!(receipts.read().unwrap(), []);
        let first = Record::new(Timestamp(1), &"work".parse().unwrap(), "add")
            .key(&"AKIAIOSFODNN7EXAMPLE".parse().unwrap());
        let second = Record::new(Timestamp(2), &"work".parse().unwrap(), "remove").failed("no");
        receipts.append(&first).unwrap();
        let torn = b"{\"at\":\"2026-11-23T";
        OpenOptions::new()
            .append(true)
            .open(&receipts.path)
            .unwrap()
            .write_all(torn)
            .unwrap();
        receipts.append(&second).unwrap();
        assert_eq!(receipts.read().unwrap(), [first, second]);
    }

    /// What a program wrote that had no fields for it.
    #[test]
    fn receipts_in_words_are_read_as_fields_and_keep_their_words() {
        let text = include_str!("../tests/cases/formats/receipts.jsonl");
        let read: Vec<Record> = text
            .lines()
            .map(|line| {
                let receipt = Record::of_line(line.as_bytes()).unwrap();
                let written = serde_json::to_value(&receipt).unwrap();
                let old: Value = serde_json::from_str(line).unwrap();
                for (field, value) in old.as_object().unwrap() {
                    assert_eq!(written[field], *value);
                }
                receipt
            })
            .collect();
        let with = |has: fn(&Record) -> bool| {
            let those = read.iter().filter(|receipt| has(receipt));
            those.map(|receipt| &*receipt.step).collect::<Vec<_>>()
        };
        assert_eq!(
            with(|receipt| receipt.outcome == Outcome::Failed),
            ["rotate", "mfa-session", "delete-key"]
        );
        assert_eq!(with(|receipt| receipt.intent.is_some()), ["create"]);
        let old = |receipt: &Record| receipt.old_name == Some("team".parse().unwrap());
        assert_eq!(with(|receipt| receipt.old_name.is_some()), ["rename"]);
        assert!(read.iter().any(old));
        let nonce = "31d2d1a97bec12e5b7766fe2b0b810c8";
        let ours = |receipt: &Record| receipt.intent.as_deref() == Some(nonce);
        assert!(read.iter().any(ours));
    }

    #[test]
    fn what_has_a_field_is_not_taken_from_words() {
        let line = br#"{"at":"2026-11-28T07:32:27Z","entry":"work","step":"note",
            "outcome":"done","result":"failed before, made under intent x"}"#;
        let read = Record::of_line(line).unwrap();
        assert_eq!((read.outcome, read.intent), (Outcome::Done, None));
    }

    #[test]
    fn earlier_programs_find_their_words() {
        let receipt = || Record::new(Timestamp(1), &"work".parse().unwrap(), "step");
        let old = "team".parse().unwrap();
        for (receipt, words) in [
            (receipt().made_under("n0"), "made under intent n0"),
            (receipt().renamed_from(&old), "was team"),
            (receipt().failed("Throttling"), "failed: Throttling"),
        ] {
            assert_eq!(receipt.result, words);
        }
    }
}
