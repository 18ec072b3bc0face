//! Where the encrypted file's passphrase comes from, and making the file. Edge.

use std::path::{Path, PathBuf};

use crate::cli::{NewPassphrase, Passphrase};
use crate::error::{Error, Kind, Result};
use crate::store::file::{FileState, FileStore};
use crate::system::disk;
use crate::system::env::Env;
use crate::types::keys::Secret;
use crate::types::store_kind::StoreKind;
use crate::types::time::Span;

/// How long the file stays open after it was made.
pub const OPEN_LENGTH: Span = Span::hours(12);

/// A passphrase for a file that exists: from where the flags say, else asked once.
pub fn existing(env: &Env, from: Option<&Passphrase>) -> Result<Secret> {
    match given(env, from)? {
        Some(passphrase) => Ok(passphrase),
        None => env.ui.ask_secret("passphrase of the encrypted file"),
    }
}

/// Whether something is done, or only said, as under `--dry-run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    Done,
    OnlySaid,
}

/// Makes the encrypted file if there is none, and opens it.
///
/// # Errors
/// `Kind::PersonNeeded` if a passphrase must be chosen and nobody is there.
pub fn make_file_if_missing(env: &Env, from: Option<&Passphrase>, making: Making) -> Result<()> {
    let store = FileStore::new(env.file_store_folder()?);
    let state = store
        .state()
        .map_err(|fault| fault.failure(StoreKind::File, None))?;
    if state != FileState::Missing {
        return Ok(());
    }
    if making == Making::OnlySaid {
        env.ui
            .tell("would make an encrypted file, and ask for its passphrase");
        return Ok(());
    }
    let passphrase = match given(env, from)? {
        Some(passphrase) => passphrase,
        None => asked_twice(env, "the two passphrases differ; nothing was made")?,
    };
    store.create(&passphrase)?;
    env.ui.tell(
        "the encrypted file is made; without its passphrase nobody can open it, not even you",
    );
    store.unlock(&passphrase, OPEN_LENGTH, env.now())?;
    Ok(())
}

/// Opens the encrypted file if it is locked and the passphrase can be had: from
/// `AWSKEEP_PASSPHRASE_FILE`, else from a person. Nobody there: it stays locked, and
/// whoever reads from it says so.
///
/// # Errors
/// `Kind::Store` if the passphrase is wrong, `Kind::Failed` if its file cannot be read.
pub fn open_if_locked(env: &Env) -> Result<()> {
    let store = FileStore::new(env.file_store_folder()?);
    // Whatever else is wrong with it is told by the call that needs it.
    if !matches!(store.state(), Ok(FileState::Locked)) {
        return Ok(());
    }
    let passphrase = match given(env, None)? {
        Some(passphrase) => passphrase,
        None if env.ui.attended() => existing(env, None)?,
        None => return Ok(()),
    };
    store.unlock(&passphrase, OPEN_LENGTH, env.now())?;
    Ok(())
}

/// A new passphrase for a file that exists: from where the flags say, else asked twice.
pub fn chosen(env: &Env, from: &NewPassphrase) -> Result<Secret> {
    match (from.new_passphrase_fd, &from.new_passphrase_file) {
        (Some(fd), _) => read(
            &format!("--new-passphrase-fd {fd}"),
            Path::new(&format!("/dev/fd/{fd}")),
        ),
        (None, Some(path)) => read(&path.display().to_string(), &env.here.join(path)),
        (None, None) => asked_twice(env, "the two passphrases differ; nothing was changed"),
    }
}

fn asked_twice(env: &Env, if_they_differ: &str) -> Result<Secret> {
    let first = env.ui.ask_secret("new passphrase for the encrypted file")?;
    let second = env.ui.ask_secret("the same again")?;
    match first == second {
        true => Ok(first),
        false => Err(Error::new(Kind::PersonNeeded, if_they_differ)),
    }
}

/// Bytes; more is no passphrase but the wrong file.
const MOST_PASSPHRASE: u64 = 4 * 1024;

/// Whether the encrypted file was made.
pub fn file_is_there(env: &Env) -> Result<bool> {
    let state = FileStore::new(env.file_store_folder()?)
        .state()
        .map_err(|fault| fault.failure(StoreKind::File, None))?;
    Ok(state != FileState::Missing)
}

/// The passphrase that flags or `AWSKEEP_PASSPHRASE_FILE` give, without its line end.
fn given(env: &Env, from: Option<&Passphrase>) -> Result<Option<Secret>> {
    let fd = from.and_then(|from| from.passphrase_fd);
    let file = from
        .and_then(|from| from.passphrase_file.clone())
        .or_else(|| env.path_var("AWSKEEP_PASSPHRASE_FILE").map(Into::into));
    let (place, path) = match (fd, file) {
        (Some(fd), _) => (
            format!("--passphrase-fd {fd}"),
            PathBuf::from(format!("/dev/fd/{fd}")),
        ),
        (None, Some(path)) => (path.display().to_string(), env.here.join(path)),
        (None, None) => return Ok(None),
    };
    read(&place, &path).map(Some)
}

/// Without its line end.
fn read(place: &str, path: &Path) -> Result<Secret> {
    if !path.starts_with("/dev/fd")
        && let Ok(there) = std::fs::metadata(path)
        && there.is_file()
    {
        refuse_open(path, &there)?;
    }
    let text = disk::read_given(path, MOST_PASSPHRASE)
        .and_then(disk::text_of)
        .map_err(|error| {
            Error::new(
                Kind::Failed,
                format!("the passphrase cannot be read from {place}"),
            )
            .cause(error)
        })?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(Error::new(
            Kind::Usage,
            format!("the passphrase from {place} is empty"),
        ));
    }
    Ok(Secret::new(line.to_owned()))
}

/// As ssh does with a private key: a file of ours that others can read is refused, and
/// one that they can write, whoever owns it.
fn refuse_open(path: &Path, there: &std::fs::Metadata) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let is_ours = there.uid() == rustix::process::geteuid().as_raw();
        if is_ours && there.mode() & 0o077 != 0 {
            let shown = path.display();
            return Err(Error::new(
                Kind::Failed,
                format!("the passphrase file {shown} can be read by others"),
            )
            .hint(format!("chmod 600 {}", disk::argument(path))));
        }
    }
    #[cfg(not(unix))]
    let _ = there;
    disk::refuse_others(path, "has the passphrase")
}
