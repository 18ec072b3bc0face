//! Reads the two AWS files and replaces them whole. Edge: the file system.
//! Follows symlinks, keeps mode and owner, refuses when somebody else changed the
//! file in between. What the new text should be is decided elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::document::{Document, FileKind};
use crate::disk;
use crate::failure::{Failure, Kind, Outcome};

/// Where the two files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    pub config: PathBuf,
    pub credentials: PathBuf,
}

impl Places {
    /// `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE`, else below `~/.aws`.
    /// A leading `~` is the home folder, as in the SDKs.
    pub fn find(home: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> Outcome<Places> {
        let place = |name: &str, usual: &str| {
            let path = variable(name).filter(|path| !path.is_empty());
            let path = path.unwrap_or_else(|| format!("~/.aws/{usual}"));
            match (path.strip_prefix("~/"), home) {
                (Some(below), Some(home)) => Ok(home.join(below)),
                (Some(_), None) => Err(Failure::new(
                    Kind::Failed,
                    format!("{path} cannot be found: no home folder is known"),
                )
                .hint(format!("set HOME or {name}"))),
                (None, _) => Ok(PathBuf::from(path)),
            }
        };
        Ok(Places {
            config: place("AWS_CONFIG_FILE", "config")?,
            credentials: place("AWS_SHARED_CREDENTIALS_FILE", "credentials")?,
        })
    }
}

/// A file as it was read, to be replaced only if it still is so.
#[derive(Debug)]
pub struct AwsFile {
    /// The path that people know it by.
    pub path: PathBuf,
    /// The file behind all symlinks.
    target: PathBuf,
    existed: bool,
    pub document: Document,
}

impl AwsFile {
    /// Reads a file; a missing one is empty.
    pub fn read(path: &Path, kind: FileKind) -> Outcome<AwsFile> {
        let target = behind_symlinks(path)?;
        let bytes = read_bytes(&target).map_err(|e| failed(path, "cannot be read", &e))?;
        let existed = bytes.is_some();
        let bytes = bytes.unwrap_or_default();
        let text = std::str::from_utf8(&bytes).map_err(|e| {
            let good = &bytes[..e.valid_up_to()];
            let line = good.iter().filter(|b| **b == b'\n').count() + 1;
            Failure::new(
                Kind::Failed,
                format!("{}:{line}: this line is not UTF-8", path.display()),
            )
            .hint("save the file as UTF-8")
        })?;
        Ok(AwsFile {
            path: path.to_owned(),
            target,
            existed,
            document: Document::parse(kind, text).named(path.display().to_string()),
        })
    }

    /// Replaces the file's text. Refuses if the file is no longer what was read, or if
    /// others may write it. Afterwards `document` is the new one.
    pub fn replace(&mut self, new: Document) -> Outcome<()> {
        if new.text() == self.document.text() {
            return Ok(());
        }
        self.refuse_unsafe()?;
        let unchanged = || self.refuse_changed();
        replace_file(&self.target, new.text(), unchanged).map_err(|e| match e {
            ReplaceError::Refused(failure) => failure,
            ReplaceError::Io(e) => disk::failed("replace", &self.path, &e),
        })?;
        self.existed = true;
        self.document = new;
        Ok(())
    }

    /// Refuses files that someone else could write, or that a rename would detach.
    pub fn refuse_unsafe(&self) -> Outcome<()> {
        let metadata = match fs::metadata(&self.target) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed(&self.path, "cannot be read", &e)),
        };
        let path = self.path.display();
        if !metadata.is_file() {
            return Err(Failure::new(Kind::Failed, format!("{path} is not a file")));
        }
        if let Some(open) = disk::others_can_write(&self.target)? {
            let shown = open.display();
            return Err(Failure::new(
                Kind::Failed,
                format!("{path} names programs that you then run, but others can write {shown}"),
            )
            .hint(format!("chmod go-w {}", disk::argument(&open))));
        }
        refuse_unsafe_mode(&metadata, &self.path)
    }

    /// Re-reads, and refuses if the bytes are others than those that were read.
    fn refuse_changed(&self) -> Outcome<()> {
        let now = read_bytes(&self.target).map_err(|e| failed(&self.path, "cannot be read", &e))?;
        let same = match now {
            Some(bytes) => self.existed && *bytes == self.document.text().as_bytes(),
            None => !self.existed,
        };
        if same {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Unfinished,
            format!(
                "{} was changed by another program meanwhile",
                self.path.display()
            ),
        )
        .hint("run the command again"))
    }
}

/// Holds off other runs of awskeep that would change the AWS files.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock for the AWS files, a file in this folder of awskeep's own. It is
/// free again when dropped, or when the process ends in any way.
pub fn lock(folder: &Path) -> Outcome<Lock> {
    let path = folder.join("profile-files.lock");
    let cannot = |e: io::Error| failed(&path, "cannot be locked", &e);
    create_folder(folder).map_err(cannot)?;
    let file = private()
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(fs::TryLockError::WouldBlock) => Err(Failure::new(
            Kind::Unfinished,
            "another awskeep is changing the AWS files",
        )
        .hint("run the command again when it is done")),
        Err(fs::TryLockError::Error(e)) => Err(cannot(e)),
    }
}

enum ReplaceError {
    Refused(Failure),
    Io(io::Error),
}

impl From<io::Error> for ReplaceError {
    fn from(e: io::Error) -> ReplaceError {
        ReplaceError::Io(e)
    }
}

/// Writes the text beside the file, flushes it, and renames it into place; mode and
/// owner are those of the old file, 0600 for a new one. `unchanged` is asked last.
/// The name beside it is fixed: what a killed run left is written over by the next.
fn replace_file(
    target: &Path,
    text: &str,
    unchanged: impl Fn() -> Outcome<()>,
) -> Result<(), ReplaceError> {
    let folder = target.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.awskeep-new"));
    remove_if_there(&beside)?;
    let written = write_beside(&beside, target, text)
        .map_err(ReplaceError::Io)
        .and_then(|()| unchanged().map_err(ReplaceError::Refused))
        .and_then(|()| fs::rename(&beside, target).map_err(ReplaceError::Io));
    if written.is_err() {
        // The first failure is the one to report; a leftover is written over later.
        let _ = fs::remove_file(&beside);
    }
    written?;
    Ok(flush_folder(folder)?)
}

fn write_beside(beside: &Path, target: &Path, text: &str) -> io::Result<()> {
    let mut file = private().create_new(true).open(beside)?;
    file.write_all(text.as_bytes())?;
    match fs::metadata(target) {
        Ok(old) => keep_mode_and_owner(&file, &old)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    file.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
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

/// The file at the end of all symlinks, even if it does not exist yet.
fn behind_symlinks(path: &Path) -> Outcome<PathBuf> {
    let mut at = path.to_owned();
    // The bound is Linux's own for symlinks in one path.
    for _ in 0..40 {
        match fs::read_link(&at) {
            Ok(next) => at = at.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(at),
        }
    }
    let path = path.display();
    Err(Failure::new(
        Kind::Failed,
        format!("{path} is a symlink that leads in a circle"),
    ))
}

fn failed(path: &Path, what: &str, cause: &io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("{} {what}", path.display())).cause(cause)
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    options
}

#[cfg(unix)]
fn create_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(not(unix))]
fn create_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(unix)]
fn keep_mode_and_owner(file: &File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(old.permissions())
}

#[cfg(not(unix))]
fn keep_mode_and_owner(_file: &File, _old: &fs::Metadata) -> io::Result<()> {
    // Windows gives the new file the access list of its folder, as it gave the old one.
    Ok(())
}

#[cfg(unix)]
fn flush_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn flush_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn refuse_unsafe_mode(metadata: &fs::Metadata, path: &Path) -> Outcome<()> {
    use std::os::unix::fs::MetadataExt;
    let argument = disk::argument(path);
    let path = path.display();
    if metadata.mode() & 0o200 == 0 {
        return Err(Failure::new(Kind::Failed, format!("{path} is read-only"))
            .hint(format!("chmod u+w {argument}")));
    }
    if metadata.nlink() > 1 {
        return Err(Failure::new(
            Kind::Failed,
            format!("{path} has a second name (hard link), which an edit would leave behind"),
        )
        .hint("replace the hard link by a symlink"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_unsafe_mode(metadata: &fs::Metadata, path: &Path) -> Outcome<()> {
    if metadata.permissions().readonly() {
        let path = path.display();
        return Err(Failure::new(Kind::Failed, format!("{path} is read-only")));
    }
    Ok(())
}
