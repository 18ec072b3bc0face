//! The encrypted file: a folder of age files that the stock `age` program opens
//! without us, for machines with no keychain. Edge.
//!
//! `identity.age` is the key, sealed with a passphrase; or `identity.txt`, plain, for
//! unattended machines, made only when asked for by name. `recipient.txt` is its public
//! half. `entries/NAME.age` are encrypted to it. Reading and writing entries never runs
//! the passphrase's slow KDF: `unlock` does, and leaves the key in the kernel's keyring.

mod entries;
mod identity;
mod names;
pub mod opened;
pub mod passphrase;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::store::error::StoreError;
use crate::system::disk;
use crate::system::disk::Lock;
use crate::types::keys::Secret;
use crate::types::store_kind::StoreKind;
use crate::types::time::{Span, Timestamp};
use identity::Unreadable;

const SEALED: &str = "identity.age";
const PLAIN: &str = "identity.txt";
const RECIPIENT: &str = "recipient.txt";
const ENTRIES: &str = "entries";
const LOCK: &str = ".lock";

/// No file here is nearly as large; more is damage, and is not read into memory.
const MOST_BYTES: u64 = 64 * 1024;

/// Making an identity takes about a second.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Whether the encrypted file is there and open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    Missing,
    Locked,
    /// Opened with the passphrase, until a time.
    Open {
        until: Option<Timestamp>,
    },
    /// Its key is not sealed: always open.
    WithoutPassphrase,
}

/// The encrypted file in one folder; implements keyring-core's `CredentialStoreApi`.
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: PathBuf,
    work: u8,
}

impl FileStore {
    /// Nothing is read or made before it is needed.
    pub fn new(folder: PathBuf) -> FileStore {
        FileStore {
            folder,
            work: identity::WORK,
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it is there and open. Runs no KDF.
    ///
    /// # Errors
    /// `Denied` if others can get at it, `Absent` if the kernel's keyring is blocked.
    pub fn state(&self) -> Result<FileState, StoreError> {
        match self.key() {
            Ok(Key { sealed: false, .. }) => Ok(FileState::WithoutPassphrase),
            Ok(Key { until, .. }) => Ok(FileState::Open { until }),
            Err(StoreError::Locked(_)) => Ok(FileState::Locked),
            Err(StoreError::Absent(_)) if !self.exists()? => Ok(FileState::Missing),
            Err(fault) => Err(fault),
        }
    }

    /// Makes a new file whose key is sealed with a passphrase; it is locked afterwards.
    ///
    /// # Errors
    /// `Kind::Usage` if the passphrase is empty, `Kind::Store` if there is a file,
    /// `Kind::Failed` if it cannot be written.
    pub fn create(&self, passphrase: &Secret) -> Result<()> {
        refuse_empty(passphrase)?;
        self.make(SEALED, |identity| {
            identity::seal(identity, passphrase, self.work).ok_or_else(age_failed)
        })
    }

    /// Makes a new file whose key anyone can use who can read our files.
    ///
    /// # Errors
    /// Those of `create`.
    pub fn create_without_passphrase(&self) -> Result<()> {
        // The one plain key that is ever written, because a person asked for it.
        self.make(PLAIN, |identity| {
            Ok(identity::text(identity).as_bytes().to_vec())
        })
    }

    /// Opens the file for all our processes until the time that is returned.
    ///
    /// # Errors
    /// `Kind::Store` if the passphrase is wrong, the file is missing or damaged, or the
    /// kernel's keyring does not take the key; `Kind::Usage` if there is nothing to open.
    pub fn unlock(
        &self,
        passphrase: &Secret,
        for_how_long: Span,
        now: Timestamp,
    ) -> Result<Timestamp> {
        refuse_empty(passphrase)?;
        if for_how_long == Span::ZERO {
            return Err(Error::new(
                Kind::Usage,
                "a file cannot be opened for no time",
            ));
        }
        // The kernel counts in 32 bits.
        let how_long = for_how_long.min(Span::seconds(u64::from(u32::MAX)));
        let identity = self.unseal(passphrase)?;
        let recipient = identity.to_public().to_string();
        if self.recipient().ok().as_deref() != Some(recipient.as_str()) {
            self.write_recipient(&recipient)?;
        }
        let until = now + how_long;
        opened::keep(
            &recipient,
            identity.to_string().expose_secret(),
            until,
            how_long,
        )
        .map_err(|fault| fault.failure(StoreKind::File, None))?;
        Ok(until)
    }

    /// Closes the file for all our processes. Closing a closed one is no failure.
    ///
    /// # Errors
    /// `Kind::Store` if the kernel's keyring does not answer.
    pub fn lock(&self) -> Result<()> {
        match self.recipient() {
            Ok(recipient) => {
                opened::close(&recipient).map_err(|fault| fault.failure(StoreKind::File, None))
            }
            // Without its name nothing can have been read from there either.
            Err(StoreError::Locked(_) | StoreError::Absent(_)) => Ok(()),
            Err(fault) => Err(fault.failure(StoreKind::File, None)),
        }
    }

    /// Seals the key with another passphrase. Entries stay as they are.
    ///
    /// # Errors
    /// Those of `unlock` and `create`.
    pub fn change_passphrase(&self, old: &Secret, new: &Secret) -> Result<()> {
        refuse_empty(new)?;
        let _lock = Lock::wait(&self.path(LOCK), LOCK_WAIT)?;
        let identity = self.unseal(old)?;
        let sealed = identity::seal(&identity, new, self.work).ok_or_else(age_failed)?;
        disk::write_atomic(&self.path(SEALED), &sealed, 0o600)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The recipient goes first: who finds an identity finds its recipient as well.
    fn make(&self, file: &str, bytes: impl Fn(&Identity) -> Result<Vec<u8>>) -> Result<()> {
        disk::private_dir(&self.folder)?;
        let failure = |fault: StoreError| fault.failure(StoreKind::File, None);
        self.check_folder().map_err(failure)?;
        let _lock = Lock::wait(&self.path(LOCK), LOCK_WAIT)?;
        if self.exists().map_err(failure)? {
            let message = format!("there is an encrypted file in {}", self.folder.display());
            return Err(Error::new(Kind::Store, message).hint("awskeep store unlock"));
        }
        disk::private_dir(&self.path(ENTRIES))?;
        let identity = Identity::generate();
        let bytes = Zeroizing::new(bytes(&identity)?);
        self.write_recipient(&identity.to_public().to_string())?;
        disk::write_atomic(&self.path(file), &bytes, 0o600)
    }

    fn write_recipient(&self, recipient: &str) -> Result<()> {
        let line = format!("{recipient}\n");
        disk::write_atomic(&self.path(RECIPIENT), line.as_bytes(), 0o600)
    }

    fn exists(&self) -> Result<bool, StoreError> {
        for name in [PLAIN, SEALED] {
            let path = self.path(name);
            if fs::exists(&path).map_err(|error| io_fault("read", &path, &error))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key, from wherever it can be had without a passphrase.
    fn key(&self) -> Result<Key, StoreError> {
        self.check_folder()?;
        if let Some(text) = self.read(PLAIN)? {
            let text = std::str::from_utf8(&text).ok();
            let identity = text.and_then(identity::parse).ok_or_else(|| {
                StoreError::Corrupt(format!("{} holds no identity", self.path(PLAIN).display()))
            })?;
            return Ok(Key {
                identity,
                sealed: false,
                until: None,
            });
        }
        if !self.exists()? {
            return Err(missing());
        }
        let cached = opened::read(&self.recipient()?)?;
        let cached = cached.ok_or_else(|| StoreError::Locked("it is closed".into()))?;
        let identity = cached.identity.parse().map_err(|_| {
            StoreError::Corrupt("the kernel's keyring holds no identity; lock and unlock".into())
        })?;
        Ok(Key {
            identity,
            sealed: true,
            until: cached.until,
        })
    }

    fn recipient(&self) -> Result<String, StoreError> {
        let text = self.read(RECIPIENT)?.ok_or_else(|| {
            StoreError::Locked(format!("{} is missing", self.path(RECIPIENT).display()))
        })?;
        Ok(String::from_utf8_lossy(&text).trim().to_owned())
    }

    fn unseal(&self, passphrase: &Secret) -> Result<Identity> {
        let failure = |fault: StoreError| fault.failure(StoreKind::File, None);
        self.check_folder().map_err(failure)?;
        let path = self.path(SEALED);
        let sealed = self.read(SEALED).map_err(failure)?;
        let sealed = sealed.ok_or_else(|| match self.exists() {
            Ok(true) => Error::new(Kind::Usage, "the encrypted file has no passphrase"),
            Ok(false) => failure(missing()),
            Err(fault) => failure(fault),
        })?;
        identity::unseal(&sealed, passphrase).map_err(|why| match why {
            Unreadable::WrongPassphrase => Error::new(Kind::Store, "the passphrase is wrong").hint(
                format!("age -d {} should take the same passphrase", path.display()),
            ),
            Unreadable::NotForUs | Unreadable::Damaged => {
                Error::new(Kind::Store, format!("{} is damaged", path.display()))
                    .hint("put a backup of this file back")
            }
        })
    }

    /// One of our files; none if it is not there.
    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        read_own(&self.path(name))
    }

    fn check_folder(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.folder) {
            Ok(there) => only_ours(&self.folder, &there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
            Err(error) => Err(io_fault("read", &self.folder, &error)),
        }
    }
}

/// The opened key and where it came from.
struct Key {
    identity: Identity,
    sealed: bool,
    until: Option<Timestamp>,
}

fn missing() -> StoreError {
    StoreError::Absent("no encrypted file has been made yet".into())
}

fn age_failed() -> Error {
    Error::new(Kind::Bug, "the identity could not be encrypted")
}

fn refuse_empty(passphrase: &Secret) -> Result<()> {
    if passphrase.is_empty() {
        return Err(
            Error::new(Kind::Usage, "an empty passphrase protects nothing")
                .hint("choose one of several words"),
        );
    }
    Ok(())
}

fn io_fault(doing: &str, path: &Path, error: &io::Error) -> StoreError {
    disk_fault(&disk::failed(doing, path, error))
}

fn disk_fault(failure: &Error) -> StoreError {
    let cause = failure.cause.as_deref().unwrap_or("no cause given");
    StoreError::Other(format!("{}: {cause}", failure.message))
}

/// Reads a regular file that only we can get at; no link, pipe or device.
fn read_own(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).expect("open flags are small"));
    }
    let fault = |error: &io::Error| io_fault("read", path, error);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(&error)),
    };
    let there = file.metadata().map_err(|error| fault(&error))?;
    only_ours(path, &there)?;
    if !there.is_file() || there.len() > MOST_BYTES {
        return Err(StoreError::Corrupt(format!(
            "{} is not a file of ours",
            path.display()
        )));
    }
    // One byte more, so that the end is seen before the buffer has to grow.
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(there.len()).unwrap_or(0) + 1,
    ));
    file.take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| fault(&error))?;
    Ok(Some(bytes))
}

/// What others can read or write is not trusted: age files do not say who wrote them.
#[cfg(unix)]
fn only_ours(path: &Path, there: &fs::Metadata) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;
    let shown = path.display();
    if there.uid() != rustix::process::geteuid().as_raw() {
        return Err(StoreError::Denied(format!(
            "{shown} belongs to another user"
        )));
    }
    if there.mode() & 0o077 != 0 {
        let mode = if there.is_dir() { 700 } else { 600 };
        return Err(StoreError::Denied(format!(
            "{shown} is open to others: chmod {mode} {}",
            disk::argument(path)
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn only_ours(_: &Path, _: &fs::Metadata) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
