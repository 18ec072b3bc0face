//! Where secrets live: one item per entry in the OS keychain or in the encrypted
//! file, behind keyring-core's traits. Edge.
//!
//! Every call runs under a deadline, in a thread of its own where the store does not
//! bound it itself: a frozen daemon costs seconds, never an endless wait. Nothing here prompts, and
//! nothing falls back from one store to another. Replacing updates in place;
//! what was written is read back and compared.

pub mod durable;
pub mod fault;
pub mod file;
pub mod item;
pub mod keychain;
pub mod session;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use keyring_core::CredentialStore;
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind, Outcome};
use crate::keys::EntryName;
use crate::machine::Machine;
use durable::Taker;
use fault::Fault;
use item::{Item, Stored};
use session::KeptSession;

/// The keyring-core service name of every item.
pub const SERVICE: &str = "awskeep";

/// The stores one can choose between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoreKind {
    Keychain,
    File,
}

impl StoreKind {
    pub const ALL: [StoreKind; 2] = [StoreKind::Keychain, StoreKind::File];

    /// The word for it in settings and flags.
    pub fn word(self) -> &'static str {
        match self {
            StoreKind::Keychain => "keychain",
            StoreKind::File => "file",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreKind::Keychain => "keychain",
            StoreKind::File => "encrypted file",
        })
    }
}

impl FromStr for StoreKind {
    type Err = Failure;
    fn from_str(text: &str) -> Result<Self, Failure> {
        StoreKind::ALL
            .into_iter()
            .find(|kind| kind.word() == text)
            .ok_or_else(|| {
                Failure::new(Kind::Usage, format!("there is no store {text:?}"))
                    .hint("the stores are: keychain, file")
            })
    }
}

/// How long calls to a store may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Each call by itself.
    PerCall(Duration),
    /// All calls together, counted from a moment.
    Whole { from: Instant, length: Duration },
    /// None: the call runs in the caller's own thread. For stores that cannot
    /// block, such as those in memory.
    Inline,
}

impl Deadline {
    /// What is left of it for the next call.
    pub fn left(self) -> Duration {
        match self {
            Deadline::PerCall(length) => length,
            Deadline::Whole { from, length } => length.saturating_sub(from.elapsed()),
            Deadline::Inline => Duration::MAX,
        }
    }

    fn length(self) -> Duration {
        match self {
            Deadline::PerCall(length) | Deadline::Whole { length, .. } => length,
            Deadline::Inline => Duration::MAX,
        }
    }
}

/// One store, opened.
#[derive(Debug, Clone)]
pub struct Vault {
    pub kind: StoreKind,
    /// Why there is none is told by each call, so that whoever asks can go on without it.
    store: Result<Arc<CredentialStore>, Fault>,
    deadline: Deadline,
}

impl Vault {
    /// Opens a store; nothing is asked of it yet.
    ///
    /// # Errors
    /// `Kind::Failed` if the user's folders are not known.
    pub fn open(kind: StoreKind, machine: &Machine, deadline: Deadline) -> Outcome<Vault> {
        let store = match kind {
            StoreKind::File => {
                let store: Arc<CredentialStore> =
                    Arc::new(file::FileStore::new(machine.file_store_folder()?));
                Ok(store)
            }
            StoreKind::Keychain => keychain::open(machine, deadline),
        };
        Ok(Vault {
            kind,
            store,
            deadline,
        })
    }

    pub fn new(kind: StoreKind, store: Arc<CredentialStore>, deadline: Deadline) -> Vault {
        Vault {
            kind,
            store: Ok(store),
            deadline,
        }
    }

    /// The stored bytes of an entry.
    ///
    /// # Errors
    /// Each `Fault` as it is; `NoEntry` only if the store works and has none.
    pub fn bytes(&self, entry: &EntryName) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.read(entry.as_str())
    }

    fn read(&self, user: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let user = user.to_owned();
        let read = move |store: &CredentialStore| {
            let found = store.build(SERVICE, &user, None)?.get_secret()?;
            Ok(Zeroizing::new(found))
        };
        if self.reads_within_deadline() {
            return read(self.store()?.as_ref()).map_err(Fault::of);
        }
        self.within_deadline(read)
    }

    /// What is stored under a name; none if nothing is.
    ///
    /// # Errors
    /// `Kind::Store` if the store does not answer or the item cannot be read.
    pub fn find(&self, entry: &EntryName) -> Outcome<Option<Stored>> {
        match self.bytes(entry) {
            Ok(bytes) => item::decode(entry, &bytes).map(Some),
            Err(Fault::NoEntry) => Ok(None),
            Err(fault) => Err(fault.failure(self.kind, Some(entry))),
        }
    }

    /// What a new item would take the place of; none if there is nothing, or only
    /// something damaged.
    ///
    /// # Errors
    /// `Kind::Store` if the store does not answer, or if an item of a newer program or of
    /// another name is there.
    pub fn replaceable(&self, entry: &EntryName) -> Outcome<Option<Stored>> {
        let bytes = match self.bytes(entry) {
            Ok(bytes) => bytes,
            Err(Fault::NoEntry | Fault::Corrupt(_)) => return Ok(None),
            Err(fault) => return Err(fault.failure(self.kind, Some(entry))),
        };
        item::check_name(entry, &bytes)?;
        if item::is_newer(&bytes) {
            return Err(item::newer(entry));
        }
        Ok(item::decode(entry, &bytes).ok())
    }

    /// Writes an item, in place if there is one, and reads it back.
    ///
    /// # Errors
    /// `Kind::Store` if the store refuses, if what it gives back differs, or if a
    /// newer program's item, or one of another name, stands there.
    pub fn save(&self, item: &Item) -> Outcome<()> {
        let bytes = item::encode(item)?;
        self.write(&item.entry, bytes)
    }

    /// Makes `old` answer for `new` until a time.
    pub fn save_alias(
        &self,
        old: &EntryName,
        new: &EntryName,
        until: crate::time::Time,
    ) -> Outcome<()> {
        let bytes = item::encode_alias(old, new, until)?;
        self.write(old, bytes)
    }

    /// Deletes an entry's item. Deleting what is not there is no failure.
    pub fn delete(&self, entry: &EntryName) -> Outcome<()> {
        self.erase(entry, entry.as_str().to_owned())
    }

    /// The MFA session that is kept for an entry; none if there is none, or only
    /// something that cannot be read or is another entry's.
    ///
    /// # Errors
    /// `Kind::Store` if the store does not answer.
    pub fn find_session(&self, entry: &EntryName) -> Outcome<Option<KeptSession>> {
        match self.read(&session::user_of(entry)) {
            Ok(bytes) => Ok(session::decode(entry, &bytes)),
            Err(Fault::NoEntry | Fault::Corrupt(_)) => Ok(None),
            Err(fault) => Err(fault.failure(self.kind, Some(entry))),
        }
    }

    /// Keeps an entry's MFA session, in the place of an older one, and reads it back.
    pub fn save_session(&self, entry: &EntryName, session: &KeptSession) -> Outcome<()> {
        let bytes = session::encode(entry, session)?;
        self.put(entry, session::user_of(entry), bytes)
    }

    /// Erases an entry's MFA session. Erasing what is not there is no failure.
    pub fn erase_session(&self, entry: &EntryName) -> Outcome<()> {
        self.erase(entry, session::user_of(entry))
    }

    fn erase(&self, entry: &EntryName, user: String) -> Outcome<()> {
        let deleted = self
            .within_deadline(move |store| store.build(SERVICE, &user, None)?.delete_credential());
        match deleted {
            Ok(()) | Err(Fault::NoEntry) => Ok(()),
            Err(fault) => Err(fault.failure(self.kind, Some(entry))),
        }
    }

    /// The names that the store has items for, sorted; old names of renamed entries
    /// included, MFA sessions not.
    pub fn names(&self) -> Result<Vec<EntryName>, Fault> {
        let found = self.within_deadline(|store| {
            let spec = HashMap::from([("service", SERVICE)]);
            let entries = store.search(&spec)?;
            Ok(entries
                .iter()
                .filter_map(|entry| entry.get_specifiers())
                .filter(|(service, _)| service == SERVICE)
                .filter_map(|(_, user)| user.parse().ok())
                .collect::<Vec<EntryName>>())
        });
        found.map(|mut names| {
            names.sort();
            names.dedup();
            names
        })
    }

    fn write(&self, entry: &EntryName, bytes: Zeroizing<Vec<u8>>) -> Outcome<()> {
        self.replaceable(entry)?;
        self.put(entry, entry.as_str().to_owned(), bytes)
    }

    fn put(&self, entry: &EntryName, user: String, bytes: Zeroizing<Vec<u8>>) -> Outcome<()> {
        let name = user.clone();
        let written = bytes.clone();
        self.within_deadline(move |store| store.build(SERVICE, &user, None)?.set_secret(&written))
            .map_err(|fault| fault.failure(self.kind, Some(entry)))?;
        let back = self
            .read(&name)
            .map_err(|fault| fault.failure(self.kind, Some(entry)))?;
        if *back == *bytes {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Store,
            format!(
                "the {} gave back something else than was saved for {entry}",
                self.kind
            ),
        )
        .hint("awskeep store list"))
    }

    /// The program that takes what is saved here, and whether it syncs.
    pub fn taker(&self) -> Taker {
        #[cfg(target_os = "linux")]
        if let Ok(store) = &self.store
            && let Some(service) = store
                .as_any()
                .downcast_ref::<keychain::SecretServiceStore>()
        {
            return service.process().map_or(Taker::Unknown, Taker::Process);
        }
        // The encrypted file is synced by us; the others are the system's own.
        Taker::Syncs
    }

    fn store(&self) -> Result<&Arc<CredentialStore>, Fault> {
        self.store.as_ref().map_err(Clone::clone)
    }

    /// Whether the store bounds a read by itself. A thread would cost the hot path
    /// a twentieth of its time.
    fn reads_within_deadline(&self) -> bool {
        match self.kind {
            StoreKind::File => true,
            StoreKind::Keychain => cfg!(target_os = "linux"),
        }
    }

    /// Runs a call in a thread of its own and gives up at the deadline; the thread
    /// is left behind, and ends with the process.
    fn within_deadline<T: Send + 'static>(
        &self,
        call: impl FnOnce(&CredentialStore) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = Arc::clone(self.store()?);
        if let Deadline::Inline = self.deadline {
            return call(store.as_ref()).map_err(Fault::of);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::Builder::new()
            .spawn(move || {
                // The receiver is gone only if the deadline is over.
                let _ = sender.send(call(store.as_ref()));
            })
            .map_err(|error| Fault::Other(format!("no thread could be started: {error}")))?;
        match receiver.recv_timeout(self.deadline.left()) {
            Ok(result) => result.map_err(Fault::of),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(Fault::Frozen(
                self.deadline.length().as_secs_f64().to_string(),
            )),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Fault::Other(
                "the call to the store ended without a result".into(),
            )),
        }
    }
}
