//! What `import --undo` needs: the places and key ids of what was taken, and hashes
//! to tell whether a file is still what the import left. No secret. Edge (the state
//! folder).
//!
//! A record is written before the edits that it undoes, and marked finished after
//! them. It goes away with its undo, with the last of its entries, or after 30 days.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
use crate::import::classify::changes::FileWrite;
use crate::import::diff;
use crate::profiles::undo::Hunk;
use crate::profiles::{Document, FileKind};
use crate::system::disk;
use crate::system::env::Env;
use crate::types::keys::{AccessKeyId, EntryName};
use crate::types::time::{Span, Timestamp};

/// How long an import can be undone.
pub const KEPT: Span = Span::days(30);

/// One import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoRecord {
    pub v: u32,
    pub at: Timestamp,
    pub state: Progress,
    pub keys: Vec<RecordedKey>,
    pub profiles: Vec<String>,
    /// In the order of writing.
    pub writes: Vec<Write>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Announced; perhaps cut off half-way.
    Started,
    Finished,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedKey {
    pub entry: EntryName,
    pub key_id: AccessKeyId,
}

/// One write of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    pub file: FileKind,
    pub path: PathBuf,
    pub was: Prior,
    pub before: Hash,
    pub after: Hash,
    pub hunks: Vec<Hunk>,
    /// A short hash of each line afterwards, to show what has changed since.
    pub lines: Vec<String>,
}

/// Whether the file was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    There,
    Missing,
}

/// The SHA-256 of a whole file, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

impl Hash {
    pub fn of(text: &str) -> Hash {
        Hash(hex(&Sha256::digest(text.as_bytes())))
    }
}

/// Eight bytes of a line's hash.
pub fn line_hash(line: &str) -> String {
    hex(&Sha256::digest(line.as_bytes())[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Write {
    /// The announcement of one step; none if it changes nothing.
    pub fn of(step: &FileWrite, old: &Document, path: &Path, was: Prior) -> Option<Write> {
        let new = step.edited.document.text();
        if step.edited.is_nothing() || old.text() == new {
            return None;
        }
        Some(Write {
            file: old.kind(),
            path: path.to_owned(),
            was,
            before: Hash::of(old.text()),
            after: Hash::of(new),
            hunks: step.edited.undo.clone(),
            lines: diff::lines(new).into_iter().map(line_hash).collect(),
        })
    }
}

/// The records of this user on this machine.
pub struct UndoRecords {
    folder: PathBuf,
}

impl UndoRecords {
    pub fn of(env: &Env) -> Result<UndoRecords> {
        Ok(UndoRecords {
            folder: env.state_folder()?.join("import"),
        })
    }

    /// A path that no record has yet; later ones sort behind earlier ones, whatever the
    /// clock says meanwhile.
    pub fn new_path(&self, at: Timestamp) -> Result<PathBuf> {
        let last = self.paths()?.pop().and_then(|path| {
            let name = path.file_stem()?.to_str()?;
            let (time, number) = name.split_once('-')?;
            Some((time.parse().ok()?, number.parse::<u32>().ok()? + 1))
        });
        let (time, number) = last.unwrap_or_default().max((at.0, 0));
        Ok(self.folder.join(format!("{time:012}-{number:03}.json")))
    }

    pub fn write(&self, path: &Path, record: &UndoRecord) -> Result<()> {
        disk::private_dir(&self.folder)?;
        let json = serde_json::to_vec_pretty(record).map_err(|error| {
            Error::new(Kind::Bug, "an import's record cannot be written as JSON").cause(error)
        })?;
        disk::write_atomic(path, &json, 0o600)
    }

    /// All records, oldest first.
    ///
    /// # Errors
    /// `Kind::Failed` naming one that cannot be read, or that others could have written.
    pub fn all(&self) -> Result<Vec<(PathBuf, UndoRecord)>> {
        self.paths()?
            .into_iter()
            .map(|path| {
                refuse_others(&path)?;
                let bytes = disk::read_regular(&path, disk::MOST_TEXT)
                    .map_err(|error| disk::failed("read", &path, &error))?;
                let record = serde_json::from_slice(&bytes).map_err(|error| {
                    Error::new(
                        Kind::Failed,
                        format!("{} is not a record of an import", path.display()),
                    )
                    .cause(error)
                    .hint(format!("rm {}", disk::argument(&path)))
                })?;
                Ok((path, record))
            })
            .collect()
    }

    fn paths(&self) -> Result<Vec<PathBuf>> {
        let names = match std::fs::read_dir(&self.folder) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(disk::failed("read", &self.folder, &error)),
        };
        let mut paths: Vec<PathBuf> = names
            .filter_map(|name| Some(name.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect();
        paths.sort();
        Ok(paths)
    }

    /// Drops what is too old to be undone.
    pub fn forget_old(&self, now: Timestamp) -> Result<()> {
        for (path, record) in self.all()? {
            if now > record.at + KEPT {
                disk::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Drops the records whose keys are all gone with this entry.
    pub fn forget_entry(&self, entry: &EntryName) -> Result<()> {
        for (path, mut record) in self.all()? {
            if !record.keys.iter().any(|key| key.entry == *entry) {
                continue;
            }
            record.keys.retain(|key| key.entry != *entry);
            if record.keys.is_empty() {
                disk::remove(&path)?;
            } else {
                self.write(&path, &record)?;
            }
        }
        Ok(())
    }
}

/// A record says what is written into the AWS files: only ours is obeyed.
fn refuse_others(path: &Path) -> Result<()> {
    let Some(open) = disk::others_can_write(path)? else {
        return Ok(());
    };
    let (shown, open_shown) = (path.display(), open.display());
    Err(Error::new(
        Kind::Failed,
        format!("{shown} says what an undo writes, but others can write {open_shown}"),
    )
    .hint(format!(
        "if nobody else changed it: chmod go-w {}",
        disk::argument(&open)
    ))
    .hint(format!("if somebody did: rm {}", disk::argument(path))))
}
