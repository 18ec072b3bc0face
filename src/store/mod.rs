//! Where secrets live: one item per entry in the OS keychain or in the encrypted
//! file, behind keyring-core's traits. Edge.
//!
//! Every call runs under a deadline, in a thread of its own where the store does not
//! bound it itself: a frozen daemon costs seconds, never an endless wait. Nothing here prompts, and
//! nothing falls back from one store to another. Replacing updates in place;
//! what was written is read back and compared.

pub mod durable;
pub mod entries;
pub mod error;
pub mod file;
pub mod item;
pub mod keychain;
pub mod session_item;

use crate::types::store_kind::StoreKind;
use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use keyring_core::CredentialStore;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::store::error::StoreError;
use crate::store::session_item::KeptSession;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::types::time::Timestamp;
use durable::{Kept, TakenBy, Taker};
use item::{Item, Stored};

/// The keyring-core service name of every item.
pub const SERVICE: &str = "awskeep";

/// How often a key is saved again because the keychain was started anew meanwhile.
const SAVES: usize = 3;

/// What a window of the store's has where nobody is to be asked: some stores open one
/// that answers itself.
const QUIET_PATIENCE: Duration = Duration::from_millis(2_500);

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
    store: Result<Arc<CredentialStore>, StoreError>,
    deadline: Deadline,
    /// How long a person may take to answer a window of the store's before it deletes.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    patience: Duration,
}

/// The names that a store has items for, and what it could not look into.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    pub names: Vec<EntryName>,
    pub unseen: Vec<StoreError>,
}

/// One of several items that bear the same name.
#[derive(Debug)]
pub struct Twin {
    place: keyring_core::Entry,
    /// What it holds; none if that cannot be read.
    pub stored: Option<Stored>,
}

impl Twin {
    /// The item, if it is one that can be read.
    pub fn item(&self) -> Option<&Item> {
        match &self.stored {
            Some(Stored::Item(item)) => Some(item),
            Some(Stored::Alias(_)) | None => None,
        }
    }
}

/// What to do with a new item that cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unreadable {
    TakeBack,
    Leave,
}

impl Vault {
    /// Opens a store; nothing is asked of it yet.
    ///
    /// # Errors
    /// `Kind::Failed` if the user's folders are not known.
    pub fn open(kind: StoreKind, env: &Env, deadline: Deadline) -> Result<Vault> {
        let store = match kind {
            StoreKind::File => {
                let store: Arc<CredentialStore> =
                    Arc::new(file::FileStore::new(env.file_store_folder()?));
                Ok(store)
            }
            StoreKind::Keychain => keychain::open(env, deadline),
        };
        Ok(Vault {
            kind,
            store,
            deadline,
            patience: match env.ui.may_be_asked() {
                true => keychain::opening::PATIENCE,
                false => QUIET_PATIENCE,
            },
        })
    }

    pub fn new(kind: StoreKind, store: Arc<CredentialStore>, deadline: Deadline) -> Vault {
        Vault {
            kind,
            store: Ok(store),
            deadline,
            patience: Duration::ZERO,
        }
    }

    /// The stored bytes of an entry.
    ///
    /// # Errors
    /// Each `StoreError` as it is; `NoEntry` only if the store works and has none.
    pub fn bytes(&self, entry: &EntryName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.read(entry.as_str())
    }

    fn read(&self, user: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let user = user.to_owned();
        let read = move |store: &CredentialStore| {
            let found = store.build(SERVICE, &user, None)?.get_secret()?;
            Ok(Zeroizing::new(found))
        };
        if self.reads_within_deadline() {
            let read = read(self.store()?.as_ref()).map_err(StoreError::of);
            return read.map_err(|fault| self.named(fault));
        }
        self.within_deadline(read)
    }

    /// The fault with the name of the program behind the keychain in it.
    fn named(&self, fault: StoreError) -> StoreError {
        if fault == StoreError::NoEntry {
            return fault;
        }
        match self.provider() {
            Some(name) => fault.of_provider(&name),
            None => fault,
        }
    }

    /// The program that stands behind this store, where that is not always the same one.
    pub fn provider(&self) -> Option<String> {
        #[cfg(target_os = "linux")]
        return self.secret_service()?.provider();
        #[cfg(not(target_os = "linux"))]
        None
    }

    #[cfg(target_os = "linux")]
    fn secret_service(&self) -> Option<&keychain::SecretServiceStore> {
        self.store.as_ref().ok()?.as_any().downcast_ref()
    }

    /// The same store, which may bring up a window of its own and wait for a person.
    fn patient(&self) -> Vault {
        #[cfg_attr(not(target_os = "linux"), allow(unused_mut))]
        let mut patient = self.clone();
        #[cfg(target_os = "linux")]
        if let Some(store) = self.secret_service() {
            patient.store = Ok(Arc::new(store.patient(self.patience)));
            patient.deadline = match self.deadline {
                Deadline::PerCall(length) => Deadline::PerCall(length + self.patience),
                other @ (Deadline::Whole { .. } | Deadline::Inline) => other,
            };
        }
        patient
    }

    /// What is stored under a name; none if nothing is.
    ///
    /// # Errors
    /// `Kind::Store` if the store does not answer or the item cannot be read.
    pub fn find(&self, entry: &EntryName) -> Result<Option<Stored>> {
        match self.bytes(entry) {
            Ok(bytes) => item::decode(entry, &bytes).map(Some),
            Err(StoreError::NoEntry) => Ok(None),
            Err(fault) => Err(fault.failure(self.kind, Some(entry))),
        }
    }

    /// What a new item would take the place of; none if there is nothing, or only
    /// something damaged.
    ///
    /// # Errors
    /// `Kind::Store` if the store does not answer, or if an item of a newer program or of
    /// another name is there.
    pub fn replaceable(&self, entry: &EntryName) -> Result<Option<Stored>> {
        let bytes = match self.bytes(entry) {
            Ok(bytes) => bytes,
            Err(StoreError::NoEntry | StoreError::Corrupt(_)) => return Ok(None),
            Err(fault) => return Err(fault.failure(self.kind, Some(entry))),
        };
        self.replaceable_bytes(entry, &bytes)
    }

    fn replaceable_bytes(&self, entry: &EntryName, bytes: &[u8]) -> Result<Option<Stored>> {
        item::check_name(entry, bytes)?;
        if item::is_newer(bytes) {
            return Err(item::newer(entry));
        }
        Ok(item::decode(entry, bytes).ok())
    }

    /// Writes an item, in place if there is one, and reads it back.
    ///
    /// # Errors
    /// `Kind::Store` if the store refuses, if what it gives back differs, or if a
    /// newer program's item, or one of another name, stands there.
    pub fn save(&self, item: &Item) -> Result<()> {
        let bytes = item::encode(item)?;
        self.write(&item.entry, bytes)
    }

    /// The same, with a note of who took the key in service: `kept` goes by it.
    pub fn save_noting(&self, item: &mut Item, now: Timestamp) -> Result<()> {
        for _ in 0..SAVES {
            let taker = self.taker();
            item.current.taken_by = TakenBy::note(&taker, now);
            self.save(item)?;
            if self.taker() == taker {
                return Ok(());
            }
        }
        let again = format!("the {} was restarted again and again", self.kind);
        Err(Error::new(Kind::Store, again).hint("awskeep store list"))
    }

    /// Whether this store has kept the key that an item serves; it is asked for it here.
    pub fn kept(&self, item: &Item, now: Timestamp) -> Kept {
        let Some(taken_by) = &item.current.taken_by else {
            return Kept::Yes;
        };
        let taker = self.taker();
        // This very process gives the key back, and is still the one behind the keychain then.
        match self.find(&item.entry) {
            Ok(Some(Stored::Item(there))) if *there == *item && self.taker() == taker => {
                taken_by.kept(&taker, now)
            }
            Ok(_) | Err(_) => Kept::Unsure,
        }
    }

    /// Makes `old` answer for `new` until a time.
    pub fn save_alias(
        &self,
        old: &EntryName,
        new: &EntryName,
        until: crate::types::time::Timestamp,
    ) -> Result<()> {
        let bytes = item::encode_alias(old, new, until)?;
        self.write(old, bytes)
    }

    /// Deletes an entry's item; where the store asks a person first, that is waited for.
    /// Deleting what is not there is no failure.
    pub fn delete(&self, entry: &EntryName) -> Result<()> {
        let deleted = self.patient().erase(entry.as_str().to_owned());
        deleted.map_err(|fault| fault.failure(self.kind, Some(entry)))
    }

    /// All the items that bear this name, the one saved first at the front; for where
    /// `bytes` says that there are several.
    ///
    /// # Errors
    /// `Kind::Store` if the store does not answer, or a newer program's item is among them.
    /// One that is another entry's has that name inside.
    pub fn twins(&self, entry: &EntryName) -> Result<Vec<Twin>> {
        let user = entry.as_str().to_owned();
        // Bound to a store that waits for a person: one of them may have to be deleted.
        let patient = Arc::clone(
            self.patient()
                .store()
                .map_err(|fault| fault.failure(self.kind, Some(entry)))?,
        );
        let found = self.within_deadline(move |_| {
            let spec = HashMap::from([("service", SERVICE), ("username", user.as_str())]);
            let places = patient.search(&spec)?;
            let named = places
                .into_iter()
                .filter(|place| place.get_specifiers().is_some());
            named
                .map(|place| {
                    let bytes = match place.get_secret() {
                        Ok(bytes) => Zeroizing::new(bytes),
                        // Held by no one: what cannot be read is damaged.
                        Err(error) => match StoreError::of(error) {
                            StoreError::Corrupt(_) => Zeroizing::default(),
                            fault => return Err(fault.into()),
                        },
                    };
                    Ok((place, bytes))
                })
                .collect::<keyring_core::Result<Vec<_>>>()
        });
        let found = found.map_err(|fault| fault.failure(self.kind, Some(entry)))?;
        let mut twins = Vec::new();
        for (place, bytes) in found {
            // One of another entry, by its own name: what it holds is not forgotten.
            let inside = item::name_inside(&bytes);
            let stored = self.replaceable_bytes(inside.as_ref().unwrap_or(entry), &bytes)?;
            twins.push(Twin { place, stored });
        }
        twins.sort_by_key(|twin| twin.item().map(|item| item.current.saved_at));
        Ok(twins)
    }

    /// Deletes one of several items of a name, as `delete` does.
    pub fn delete_twin(&self, entry: &EntryName, twin: Twin) -> Result<()> {
        let deleted = self
            .patient()
            .within_deadline(move |_| twin.place.delete_credential());
        match deleted {
            Ok(()) | Err(StoreError::NoEntry) => Ok(()),
            Err(fault) => Err(fault.failure(self.kind, Some(entry))),
        }
    }

    /// Writes an item in the place of all that bear its name, and reads it back: first
    /// into one of them, so that a crash between leaves twins again, and loses nothing.
    pub fn save_over_twins(&self, item: &Item, twins: Vec<Twin>) -> Result<()> {
        let entry = &item.entry;
        let bytes = item::encode(item)?;
        let mut twins = twins.into_iter();
        if let Some(first) = twins.next() {
            let written = bytes.clone();
            self.within_deadline(move |_| first.place.set_secret(&written))
                .map_err(|fault| fault.failure(self.kind, Some(entry)))?;
        }
        for twin in twins {
            self.delete_twin(entry, twin)?;
        }
        self.save(item)
    }

    /// The MFA session that is kept for an entry; none if there is none, or only
    /// something that cannot be read or is another entry's.
    ///
    /// # Errors
    /// `Kind::Store` if the store does not answer.
    pub fn find_session(&self, entry: &EntryName) -> Result<Option<KeptSession>> {
        match self.read(&session_item::user_of(entry)) {
            Ok(bytes) => Ok(session_item::decode(entry, &bytes)),
            // One that nobody can read now counts as none: a new one takes a code, no more.
            Err(StoreError::NoEntry | StoreError::Corrupt(_) | StoreError::Hidden(_)) => Ok(None),
            Err(fault) => Err(fault.failure(self.kind, Some(entry))),
        }
    }

    /// Keeps an entry's MFA session, in the place of an older one, and reads it back.
    pub fn save_session(&self, entry: &EntryName, session: KeptSession) -> Result<()> {
        let bytes = session_item::encode(entry, session)?;
        self.put(
            entry,
            session_item::user_of(entry),
            bytes,
            Unreadable::TakeBack,
        )
    }

    /// Erases an entry's MFA session. Erasing what is not there is no failure. Nobody is
    /// asked: where the store asks before it deletes, the item stays and holds nothing.
    pub fn erase_session(&self, entry: &EntryName) -> Result<()> {
        let user = session_item::user_of(entry);
        let erased = match self.erase(user.clone()) {
            Err(StoreError::Denied(_)) => {
                let nothing = Zeroizing::new(session_item::ERASED.to_vec());
                self.within_deadline(move |store| {
                    store.build(SERVICE, &user, None)?.set_secret(&nothing)
                })
            }
            other => other,
        };
        erased.map_err(|fault| fault.failure(self.kind, Some(entry)))
    }

    fn erase(&self, user: String) -> Result<(), StoreError> {
        let deleted = self
            .within_deadline(move |store| store.build(SERVICE, &user, None)?.delete_credential());
        match deleted {
            Ok(()) | Err(StoreError::NoEntry) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// The names that the store has items for, sorted; old names of renamed entries
    /// included, MFA sessions not.
    ///
    /// # Errors
    /// Also if a part of the store cannot be looked into now.
    pub fn names(&self) -> Result<Vec<EntryName>, StoreError> {
        let mut found = self.look()?;
        match found.unseen.pop() {
            Some(fault) => Err(fault),
            None => Ok(found.names),
        }
    }

    /// The same, and what could not be looked into beside it.
    pub fn look(&self) -> Result<Names, StoreError> {
        let found = self.within_deadline(|store| {
            let spec = HashMap::from([("service", SERVICE)]);
            let mut found = Names::default();
            for entry in store.search(&spec)? {
                match entry.get_specifiers() {
                    Some((service, user)) if service == SERVICE => {
                        found.names.extend(user.parse::<EntryName>());
                    }
                    Some(_) => {}
                    None => found
                        .unseen
                        .extend(entry.get_secret().err().map(StoreError::of)),
                }
            }
            Ok(found)
        });
        found.map(|mut found| {
            found.names.sort();
            found.names.dedup();
            let unseen = found.unseen.into_iter();
            found.unseen = unseen.map(|fault| self.named(fault)).collect();
            found
        })
    }

    fn write(&self, entry: &EntryName, bytes: Zeroizing<Vec<u8>>) -> Result<()> {
        let unreadable = match self.bytes(entry) {
            Err(StoreError::NoEntry) => Unreadable::TakeBack,
            Err(StoreError::Corrupt(_)) => Unreadable::Leave,
            Err(fault) => return Err(fault.failure(self.kind, Some(entry))),
            Ok(there) => {
                self.replaceable_bytes(entry, &there)?;
                Unreadable::Leave
            }
        };
        self.put(entry, entry.as_str().to_owned(), bytes, unreadable)
    }

    fn put(
        &self,
        entry: &EntryName,
        user: String,
        bytes: Zeroizing<Vec<u8>>,
        unreadable: Unreadable,
    ) -> Result<()> {
        let name = user.clone();
        let written = bytes.clone();
        self.within_deadline(move |store| store.build(SERVICE, &user, None)?.set_secret(&written))
            .map_err(|fault| fault.failure(self.kind, Some(entry)))?;
        let failure = match self.read(&name) {
            Ok(back) if *back == *bytes => return Ok(()),
            Ok(_) => Error::new(
                Kind::Store,
                format!(
                    "the {} gave back something else than was saved for {entry}",
                    self.kind
                ),
            )
            .hint("awskeep store list"),
            Err(fault) => fault.failure(self.kind, Some(entry)),
        };
        Err(match unreadable {
            Unreadable::Leave => failure,
            Unreadable::TakeBack => match self.patient().erase(name) {
                Ok(()) => failure,
                Err(fault) => Error {
                    cause: Some(format!(
                        "{}; what was saved is still there and could not be removed: {fault}",
                        failure.cause.clone().unwrap_or_default()
                    )),
                    ..failure
                },
            },
        })
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

    fn store(&self) -> Result<&Arc<CredentialStore>, StoreError> {
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
    ) -> Result<T, StoreError> {
        let store = Arc::clone(self.store()?);
        if let Deadline::Inline = self.deadline {
            return call(store.as_ref()).map_err(StoreError::of);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::Builder::new()
            .spawn(move || {
                // The receiver is gone only if the deadline is over.
                let _ = sender.send(call(store.as_ref()));
            })
            .map_err(|error| StoreError::Other(format!("no thread could be started: {error}")))?;
        let result = match receiver.recv_timeout(self.deadline.left()) {
            Ok(result) => result.map_err(StoreError::of),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(StoreError::frozen(self.deadline.length())),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(StoreError::Other(
                "the call to the store ended without a result".into(),
            )),
        };
        result.map_err(|fault| self.named(fault))
    }
}
