//! The files that `setup` puts in place, renews and takes away. Edge.
//!
//! A change is planned against what a file holds, and made only if it still holds that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::shell::block;
use crate::shell::block::{BlockChange, Damage};
use crate::shell::units::MARK;
use crate::system::disk;

/// Whether files are put there or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Put,
    TakeOut,
}

/// One file, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    pub path: PathBuf,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

impl FileChange {
    /// A file that is all ours; none if it is so already.
    ///
    /// # Errors
    /// `Kind::Failed` if something else stands there: whatever is ours says so, or is in a
    /// folder of ours.
    pub fn whole(
        path: &Path,
        text: &str,
        direction: Direction,
        own_folder: Option<&Path>,
    ) -> Result<Option<FileChange>> {
        let before = read(path)?;
        if direction == Direction::Put {
            refuse_others(path)?;
        }
        let is_ours = |there: &[u8]| {
            own_folder.is_some_and(|folder| path.starts_with(folder))
                || String::from_utf8_lossy(there).contains(MARK)
        };
        let after = match (direction, &before) {
            (Direction::Put, Some(there)) if !is_ours(there) => {
                return Err(Error::new(
                    Kind::Failed,
                    format!("{} is there and not from awskeep setup", path.display()),
                )
                .hint(format!(
                    "mv {} {}",
                    disk::argument(path),
                    disk::argument(&path.with_added_extension("old"))
                )));
            }
            (Direction::TakeOut, Some(there)) if !is_ours(there) => before.clone(),
            (Direction::Put, _) => Some(text.as_bytes().to_vec()),
            (Direction::TakeOut, _) => None,
        };
        Ok(FileChange::of(path, before, after))
    }

    /// The block in a startup file; none if it is so already.
    ///
    /// # Errors
    /// `Kind::Failed` with file and line if marks are damaged.
    pub fn block(path: &Path, body: &str, direction: Direction) -> Result<Option<FileChange>> {
        let before = read(path)?;
        if direction == Direction::Put {
            refuse_others(path)?;
        }
        let changed = match direction {
            Direction::Put => block::put(before.as_deref(), body),
            Direction::TakeOut => block::take_out(before.as_deref()),
        };
        let after = match changed.map_err(|damage| damaged(path, &damage))? {
            BlockChange::Nothing => before.clone(),
            BlockChange::Write(text) => Some(text),
            BlockChange::Delete => None,
        };
        Ok(FileChange::of(path, before, after))
    }

    fn of(path: &Path, before: Option<Vec<u8>>, after: Option<Vec<u8>>) -> Option<FileChange> {
        (before != after).then(|| FileChange {
            path: path.to_owned(),
            before,
            after,
        })
    }

    /// What is done to the file, in one word.
    pub fn verb(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "write",
            (Some(_), Some(_)) => "change",
            (Some(_), None) => "delete",
        }
    }

    /// The same afterwards.
    pub fn did(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "written",
            (Some(_), Some(_)) => "changed",
            (Some(_), None) => "deleted",
        }
    }

    /// Makes the change.
    ///
    /// # Errors
    /// `Kind::Unfinished` if the file is another one by now; `Kind::Failed` with the path.
    pub fn make(&self) -> Result<()> {
        if read(&self.path)? != self.before {
            return Err(Error::new(
                Kind::Unfinished,
                format!(
                    "{} was changed by another process meanwhile",
                    self.path.display()
                ),
            )
            .hint("run it again"));
        }
        let Some(after) = &self.after else {
            return disk::remove(&self.path).map(drop);
        };
        refuse_others(&self.path)?;
        if self.before.is_some() {
            return disk::replace_keeping_mode(&self.path, after);
        }
        if let Some(folder) = self.path.parent().filter(|folder| !folder.is_dir()) {
            disk::private_dir(folder)?;
        }
        disk::write_atomic(&self.path, after, 0o644)
    }
}

/// Shells run what stands there, whether it is changed now or was put there before.
fn refuse_others(path: &Path) -> Result<()> {
    disk::refuse_others(path, "is run by your shells")
}

/// A file's bytes; none if it is not there.
///
/// # Errors
/// `Kind::Failed` with the path.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match disk::read_regular(path, disk::MOST_TEXT) {
        Ok(mut bytes) => Ok(Some(std::mem::take(&mut *bytes))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(disk::failed("read", path, &error)),
    }
}

/// Why a file is not for us to edit: something else makes it, or nobody may write it.
pub fn not_ours_to_edit(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    if real.starts_with("/nix/store") {
        return Some(format!("{} is made by nix", path.display()));
    }
    let there = fs::metadata(&real).ok()?;
    if there.permissions().readonly() || !folder_is_writable(&real) {
        return Some(format!("{} is read-only", path.display()));
    }
    None
}

/// Files are replaced by a rename, so it is the folder that counts.
#[cfg(unix)]
fn folder_is_writable(file: &Path) -> bool {
    let folder = file.parent().unwrap_or(file);
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn folder_is_writable(_: &Path) -> bool {
    true
}

fn damaged(path: &Path, damage: &Damage) -> Error {
    Error::new(
        Kind::Failed,
        format!("{}:{}: {}", path.display(), damage.line, damage.what),
    )
    .hint("remove the lines between awskeep's marks, and the marks, by hand; then run it again")
}
