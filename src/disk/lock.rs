//! Locks between processes, by the kernel's own file locks: they end with the
//! process, however it ends. Edge.
//!
//! The file stays when the lock is released, since deleting it would let two hold
//! "the" lock. If something else deletes it, the next one notices and takes the new one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::failed;
use crate::failure::{Failure, Kind, Outcome};

/// How often a wait looks again; std has no lock with a deadline.
const STEP: Duration = Duration::from_millis(10);

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
    pub fn wait(path: &Path, how_long: Duration) -> Outcome<Lock> {
        let end = Instant::now() + how_long;
        loop {
            if let Some(lock) = Lock::try_now(path)? {
                return Ok(lock);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seconds = how_long.as_secs_f32();
                let message = format!("another awskeep is at work: {} is held", path.display());
                return Err(Failure::new(Kind::Unfinished, message)
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
    pub fn try_now(path: &Path) -> Outcome<Option<Lock>> {
        loop {
            let file = open(path).map_err(|error| failed("lock", path, &error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(failed("lock", path, &error)),
            }
            // A cleaner may have deleted the file between the open and the lock: then
            // the next one would lock another file of this name.
            if is_still(path, &file).map_err(|error| failed("lock", path, &error))? {
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

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options
            .mode(0o600)
            .custom_flags(i32::try_from(flags.bits()).expect("open flags are small"));
    }
    options.open(path)
}

#[cfg(unix)]
fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Windows keeps the name of a deleted file until its last handle is closed.
#[cfg(not(unix))]
fn is_still(path: &Path, _: &File) -> io::Result<bool> {
    fs::exists(path)
}

/// The folder for locks that every process of a user agrees on, whatever its
/// environment says: `/tmp/awskeep-UID`; on Windows below the local data folder.
///
/// # Errors
/// `Kind::Failed` if something else than our own closed folder has that name.
pub fn locks_dir() -> Outcome<PathBuf> {
    #[cfg(unix)]
    {
        let uid = rustix::process::geteuid().as_raw();
        let path = PathBuf::from(format!("/tmp/awskeep-{uid}"));
        own_folder(&path)?;
        Ok(path)
    }
    #[cfg(not(unix))]
    {
        let base = dirs::data_local_dir().ok_or_else(|| {
            Failure::new(Kind::Failed, "the system names no folder for local data")
        })?;
        let path = base.join("awskeep").join("locks");
        super::private_dir(&path)?;
        Ok(path)
    }
}

/// `/tmp` is everyone's: what stands there must be a folder itself, ours and closed.
#[cfg(unix)]
fn own_folder(path: &Path) -> Outcome<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("make the folder", path, &error)),
    }
    let there = fs::symlink_metadata(path).map_err(|error| failed("read", path, &error))?;
    let shown = path.display();
    let refuse = |why: &str| Failure::new(Kind::Failed, format!("the lock folder {shown} {why}"));
    if !there.is_dir() {
        return Err(refuse("is not a folder").hint(format!("rm {shown}")));
    }
    if there.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse("belongs to another user").hint(format!("ls -ld {shown}")));
    }
    if there.mode() & 0o077 != 0 {
        return Err(refuse("is open to others").hint(format!("chmod 700 {shown}")));
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
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
        let file = open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!is_still(&path, &file).unwrap());
        let other = Lock::try_now(&path).unwrap().unwrap();
        assert!(!is_still(&path, &file).unwrap());
        assert!(is_still(&path, &other.file).unwrap());

        // A waiter for a file that is deleted under its holder locks the new one.
        fs::remove_file(&path).unwrap();
        let waiter = Lock::wait(&path, Duration::from_secs(20)).unwrap();
        assert!(is_still(&path, &waiter.file).unwrap());
        assert!(Lock::try_now(&path).unwrap().is_none());
    }

    #[test]
    fn links_are_not_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(Lock::try_now(&path).is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn only_a_closed_folder_of_our_own_holds_locks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("awskeep-1000");
        own_folder(&path).unwrap();
        own_folder(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let failure = own_folder(&path).unwrap_err();
        assert_eq!(failure.hints, [format!("chmod 700 {}", path.display())]);
        let link = dir.path().join("link");
        symlink(dir.path(), &link).unwrap();
        let failure = own_folder(&link).unwrap_err();
        assert!(failure.message.contains("not a folder"), "{failure}");
        assert!(locks_dir().unwrap().is_dir());
    }
}
