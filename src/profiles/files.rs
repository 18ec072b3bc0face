//! Reads the two AWS files and replaces them whole. Edge: the file system.
//! Refuses when somebody else changed the file in between, or could at any time. How a
//! file is replaced is `disk`'s; what the new text should be is decided elsewhere.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::profiles::document::{Document, FileKind};
use crate::system::disk;
use crate::system::disk::Readers;

/// A file as it was read, to be replaced only if it still is so.
#[derive(Debug)]
pub struct AwsFile {
    /// The path that people know it by.
    pub path: PathBuf,
    existed: bool,
    pub document: Document,
}

impl AsRef<Document> for AwsFile {
    fn as_ref(&self) -> &Document {
        &self.document
    }
}

impl AwsFile {
    /// Reads a file; a missing one is empty.
    pub fn read(path: &Path, kind: FileKind) -> Result<AwsFile> {
        let bytes = read_bytes(path).map_err(|e| failed(path, "cannot be read", &e))?;
        let existed = bytes.is_some();
        let bytes = bytes.unwrap_or_default();
        let text = std::str::from_utf8(&bytes).map_err(|e| {
            let good = &bytes[..e.valid_up_to()];
            let line = good.iter().filter(|b| **b == b'\n').count() + 1;
            Error::new(
                Kind::Failed,
                format!("{}:{line}: this line is not UTF-8", path.display()),
            )
            .hint("save the file as UTF-8")
        })?;
        Ok(AwsFile {
            path: path.to_owned(),
            existed,
            document: Document::parse(kind, text).named(path.display().to_string()),
        })
    }

    /// Replaces the file's text. Refuses if the file is no longer what was read, or if
    /// others may write it. Afterwards `document` is the new one. A file that gets another
    /// secret is its owner's alone to read.
    pub fn replace(&mut self, new: Document) -> Result<Replaced> {
        if new.text() == self.document.text() {
            return Ok(Replaced::AsItWas);
        }
        self.refuse_unsafe()?;
        if let Some(folder) = self.path.parent().filter(|folder| !is_there(folder)) {
            disk::private_dir(folder)?;
        }
        let readers = match secret_lines(new.text()) > secret_lines(self.document.text()) {
            true => Readers::Owner,
            false => Readers::Kept,
        };
        let closed = readers == Readers::Owner && others_can_read(&self.path);
        let unchanged = || self.refuse_changed();
        disk::replace_unchanged(&self.path, new.text().as_bytes(), readers, &unchanged)?;
        self.existed = true;
        self.document = new;
        Ok(match closed {
            true => Replaced::ClosedToOthers,
            false => Replaced::AsItWas,
        })
    }

    /// Refuses files that someone else could write, that cannot be replaced, or that a
    /// rename would detach.
    pub fn refuse_unsafe(&self) -> Result<()> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => Some(metadata),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed(&self.path, "cannot be read", &e)),
        };
        if metadata.as_ref().is_some_and(|there| !there.is_file()) {
            let message = format!("{} is not a file", self.path.display());
            return Err(Error::new(Kind::Failed, message));
        }
        disk::refuse_others(&self.path, "names programs that you then run")?;
        if let Some(metadata) = metadata {
            refuse_unsafe_mode(&metadata, &self.path)?;
        }
        disk::refuse_read_only(&self.path)
    }

    /// Re-reads, and refuses if the bytes are others than those that were read.
    fn refuse_changed(&self) -> Result<()> {
        let now = read_bytes(&self.path).map_err(|e| failed(&self.path, "cannot be read", &e))?;
        let same = match now {
            Some(bytes) => self.existed && *bytes == self.document.text().as_bytes(),
            None => !self.existed,
        };
        if same {
            return Ok(());
        }
        Err(Error::new(
            Kind::Unfinished,
            format!(
                "{} was changed by another program meanwhile",
                self.path.display()
            ),
        )
        .hint("run the command again"))
    }
}

/// Who can read a file that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// Whoever could before.
    AsItWas,
    /// Its owner alone; others could before.
    ClosedToOthers,
}

/// How many lines of a file hold a secret.
fn secret_lines(text: &str) -> usize {
    let is_secret = |line: &&str| {
        let line = line.trim_start();
        ["aws_secret_access_key", "aws_session_token"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    text.lines().filter(is_secret).count()
}

fn is_there(folder: &Path) -> bool {
    folder.as_os_str().is_empty() || folder.is_dir()
}

#[cfg(unix)]
fn others_can_read(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|there| there.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_can_read(_: &Path) -> bool {
    false
}

fn read_bytes(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match disk::read_regular(path, disk::MOST_TEXT) {
        Ok(bytes) => Ok(Some(bytes)),
        // A folder in its place is no file to the SDKs either; who writes is refused.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

fn failed(path: &Path, what: &str, cause: &io::Error) -> Error {
    Error::new(Kind::Failed, format!("{} {what}", path.display())).cause(cause)
}

#[cfg(unix)]
fn refuse_unsafe_mode(metadata: &fs::Metadata, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let argument = disk::argument(path);
    let path = path.display();
    if metadata.mode() & 0o200 == 0 {
        return Err(Error::new(Kind::Failed, format!("{path} is read-only"))
            .hint(format!("chmod u+w {argument}")));
    }
    if metadata.nlink() > 1 {
        return Err(Error::new(
            Kind::Failed,
            format!("{path} has a second name (hard link), which an edit would leave behind"),
        )
        .hint("replace the hard link by a symlink"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_unsafe_mode(metadata: &fs::Metadata, path: &Path) -> Result<()> {
    if metadata.permissions().readonly() {
        let path = path.display();
        return Err(Error::new(Kind::Failed, format!("{path} is read-only")));
    }
    Ok(())
}
