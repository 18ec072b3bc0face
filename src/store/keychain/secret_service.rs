//! The Secret Service (GNOME Keyring, KWallet, KeePassXC…) as a keyring-core
//! store. Edge.
//!
//! Reading is `wire.rs`; writing, deleting and listing go through the
//! secret-service crate, which is slower and knows more. An existing item is
//! updated in place. Only `unlock` brings up a window to open a collection: everything
//! else looks whether it is locked, and says so. A window to confirm a deletion comes
//! up only where a person's time was given for it. (Some providers let the person
//! confirm a write; that is theirs to do, and ends at our deadline.)

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use keyring_core::api::{CredentialApi, CredentialStoreApi};
use keyring_core::{Credential, Entry};
use secret_service::blocking::{Collection, Item, SecretService};
use secret_service::{EncryptionType, Error as ServiceError, SearchItemsResult};
use zbus::blocking::Connection;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};
use zeroize::Zeroizing;

use crate::store::Deadline;
use crate::store::error::StoreError;
use crate::store::keychain::Unlocked;
use crate::store::keychain::address::BusAddress;
use crate::store::keychain::{errors, wire, zbus_connection};

const CONTENT_TYPE: &str = "application/json";

/// The attribute names; `service` and `username` are those of the keyring family.
const SERVICE: &str = "service";
const USERNAME: &str = "username";
const APPLICATION: &str = "application";

const PROMPT: &str = "org.freedesktop.Secret.Prompt";
/// The path that stands for no prompt.
const NO_PROMPT: &str = "/";
/// The alias of the collection that is in memory only, where there is one.
const MEMORY_ALIAS: &str = "session";

/// Labels and secrets.
pub type Labelled = Vec<(String, Zeroizing<Vec<u8>>)>;

/// How long the bus may take to say who stands behind the keychain.
const NAME_WAIT: Duration = Duration::from_millis(100);
/// How much longer than a person a thread that waits for one is waited for.
const MARGIN: Duration = Duration::from_secs(5);

/// The Secret Service on one session bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretServiceStore {
    address: BusAddress,
    /// For each call on the bus, and for a whole read.
    deadline: Deadline,
    /// How long a person may take to answer a window of the keychain's; where it is
    /// nothing, none is brought up.
    patience: Duration,
}

impl SecretServiceStore {
    pub fn new(address: BusAddress, deadline: Deadline) -> SecretServiceStore {
        SecretServiceStore {
            address,
            deadline,
            patience: Duration::ZERO,
        }
    }

    /// The same, which may bring up windows of the keychain's for a person.
    #[must_use]
    pub fn patient(&self, patience: Duration) -> SecretServiceStore {
        SecretServiceStore {
            patience,
            ..self.clone()
        }
    }

    /// The program behind the keychain, by the name that people know; none if that
    /// cannot be found out at once.
    pub fn provider(&self) -> Option<String> {
        wire::provider(&self.address, NAME_WAIT)
    }

    /// How long the next call may take.
    fn timeout(&self) -> Duration {
        self.deadline.left()
    }

    /// Whether this store works here and now: bus, provider, an open default collection.
    ///
    /// # Errors
    /// `Absent`, `NoCollection`, `Locked`, `Denied`, `Died`, `Frozen` or `Other`.
    pub fn probe(&self) -> Result<(), StoreError> {
        wire::probe(&self.address, self.timeout())
    }

    /// Has the default collection, and every other one that holds an item of `service`
    /// or may hold one unseen, unlocked by the person who sits here: the only call that
    /// brings up a window for that.
    ///
    /// # Errors
    /// `Dismissed` if its window was closed (or could not be shown), `Unanswered` if nobody
    /// answered it in time, `Confirms` if items stay locked though all is open, and as `probe`.
    pub fn unlock(&self, service: &str) -> Result<Unlocked, StoreError> {
        let wanted = service.to_owned();
        let store = self.clone();
        self.within(self.timeout() + self.patience + MARGIN, move |_| {
            store.with_service(|service, connection| store.unlock_all(service, connection, &wanted))
        })
    }

    fn unlock_all(
        &self,
        service: &SecretService<'_>,
        connection: &Connection,
        wanted: &str,
    ) -> Result<Unlocked, StoreError> {
        let mut done = Unlocked::default();
        // First of all: where it is locked, a search may open a window of its own.
        let default = self.default_collection(service)?;
        self.open_one(&default, connection, &mut done.opened)?;
        let ours = HashMap::from([(SERVICE, wanted)]);
        let found = self.search_all(service, ours.clone())?;
        for collection in self.collections(service)? {
            if !self.is_locked(&collection)? {
                continue;
            }
            let path = collection.collection_path.as_str();
            let holds_ours = found
                .locked
                .iter()
                .any(|item| wire::collection_of(item.item_path.as_str()) == path);
            if holds_ours {
                self.open_one(&collection, connection, &mut done.opened)?;
            } else if self.shows_nothing(&collection)? {
                match self.open_one(&collection, connection, &mut done.opened) {
                    // Whether it matters, only its owner knows.
                    Err(StoreError::Dismissed(_)) => done.still_locked.push(label(&collection)),
                    other => other?,
                }
            }
        }
        for item in &self.search_all(service, ours)?.locked {
            match self.why_locked(service, item) {
                fault @ StoreError::Confirms(_) => return Err(fault),
                _ => done.still_locked.push(item.item_path.as_str().to_owned()),
            }
        }
        Ok(done)
    }

    /// Opens a collection unless it is open, by the keychain's own window.
    fn open_one(
        &self,
        collection: &Collection<'_>,
        connection: &Connection,
        opened: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        if !self.is_locked(collection)? {
            return Ok(());
        }
        self.change_lock(connection, "Unlock", collection)?;
        // A window that was answered is not yet a collection that opened.
        if self.is_locked(collection)? {
            return Err(errors::dismissed());
        }
        opened.push(label(collection));
        Ok(())
    }

    /// Locks the default collection, and says how it is called.
    ///
    /// # Errors
    /// As `probe`, without `Locked`.
    pub fn lock(&self) -> Result<String, StoreError> {
        let store = self.clone();
        self.within(self.timeout() + self.patience + MARGIN, move |_| {
            store.with_service(|service, connection| {
                let collection = store.default_collection(service)?;
                match store.change_lock(connection, "Lock", &collection) {
                    Err(StoreError::Dismissed(why)) => {
                        Err(StoreError::Other(format!("it did not lock: {why}")))
                    }
                    other => other.map(|()| label(&collection)),
                }
            })
        })
    }

    /// How the default collection is called; nothing comes up and nothing changes.
    ///
    /// # Errors
    /// As `probe`, without `Locked`.
    pub fn default_label(&self) -> Result<String, StoreError> {
        self.within(self.timeout(), |store| {
            store.with_service(|service, _| Ok(label(&store.default_collection(service)?)))
        })
    }

    fn change_lock(
        &self,
        connection: &Connection,
        method: &str,
        collection: &Collection<'_>,
    ) -> Result<(), StoreError> {
        let reply = connection
            .call_method(
                Some(wire::PROVIDER),
                wire::SERVICE_PATH,
                Some(wire::SERVICE),
                method,
                &vec![&*collection.collection_path],
            )
            .map_err(|error| self.zbus_fault(&error))?;
        let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) = reply
            .body()
            .deserialize()
            .map_err(|error| self.zbus_fault(&error))?;
        self.answer(connection, prompt)
    }

    /// Lets a person answer the keychain's window, if there is one to answer.
    fn answer(&self, connection: &Connection, prompt: OwnedObjectPath) -> Result<(), StoreError> {
        if prompt.as_str() == NO_PROMPT {
            return Ok(());
        }
        let fault = |error: zbus::Error| self.zbus_fault(&error);
        let proxy =
            zbus::blocking::proxy::Builder::<zbus::blocking::Proxy<'static>>::new(connection)
                .destination(wire::PROVIDER)
                .and_then(|builder| builder.path(prompt))
                .and_then(|builder| builder.interface(PROMPT))
                .map(|builder| builder.cache_properties(zbus::proxy::CacheProperties::No))
                .and_then(|builder| builder.build())
                .map_err(fault)?;
        if self.patience.is_zero() {
            // Gone in any case when we are: a provider need not answer that.
            let _ = proxy.call_noreply("Dismiss", &());
            return Err(errors::asks_first());
        }
        // Before the window is asked for, or its answer could be missed.
        let mut completed = proxy.receive_signal("Completed").map_err(fault)?;
        let mut owners = proxy.receive_owner_changed().map_err(fault)?;
        let (sender, receiver) = mpsc::channel();
        let to_main = sender.clone();
        // Both threads are left behind if nobody answers, and end with the connection.
        thread::spawn(move || to_main.send(completed.next().map(|signal| signal.body())));
        thread::spawn(move || {
            let gone = owners.by_ref().find(Option::is_none);
            gone.map(|_| sender.send(None))
        });
        proxy.call_method("Prompt", &("",)).map_err(fault)?;
        match receiver.recv_timeout(self.patience) {
            Ok(Some(body)) => match body.deserialize::<(bool, OwnedValue)>() {
                Ok((false, _)) => Ok(()),
                Ok((true, _)) => Err(errors::dismissed()),
                Err(error) => Err(fault(error)),
            },
            Ok(None) => Err(StoreError::Died(
                "the keychain's service went away while its window was open".into(),
            )),
            Err(_) => {
                let _ = proxy.call_noreply("Dismiss", &());
                Err(errors::unanswered(self.patience))
            }
        }
    }

    /// Labels and secrets of another program's collection, to be imported.
    ///
    /// # Errors
    /// `Absent` if there is no such collection, `Locked` if it is locked, and as `probe`.
    pub fn items_of_collection(&self, name: &str) -> Result<Labelled, StoreError> {
        let name = name.to_owned();
        self.within(self.timeout(), move |store| {
            store.with_service(|service, _| {
                let all = store.collections(service)?;
                let path = format!("/org/freedesktop/secrets/collection/{name}");
                let found = all.into_iter().find(|collection| {
                    collection.collection_path.as_str() == path
                        || collection.get_label().is_ok_and(|label| label == name)
                });
                let Some(collection) = found else {
                    return Err(StoreError::Absent(format!("there is no collection {name}")));
                };
                store.check_open(&collection)?;
                let items = collection
                    .get_all_items()
                    .map_err(|error| store.fault(&error))?;
                items
                    .iter()
                    .map(|item| Ok((item.get_label()?, Zeroizing::new(item.get_secret()?))))
                    .collect::<Result<_, ServiceError>>()
                    .map_err(|error| store.fault(&error))
            })
        })
    }

    /// Runs a call in a thread of its own, since no timeout of zbus covers a handshake
    /// or a prompt; the thread is left behind and ends with the process.
    fn within<T: Send + 'static>(
        &self,
        deadline: Duration,
        call: impl FnOnce(&SecretServiceStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::Builder::new()
            .spawn(move || {
                // The receiver is gone only if the deadline is over.
                let _ = sender.send(call(&store));
            })
            .map_err(|error| StoreError::Other(format!("no thread could be started: {error}")))?;
        match receiver.recv_timeout(deadline) {
            Ok(result) => result,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(errors::frozen(deadline)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(StoreError::Other(
                "the call to the keychain ended without a result".into(),
            )),
        }
    }

    fn with_service<T>(
        &self,
        call: impl for<'a> FnOnce(&'a SecretService<'a>, &Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.connect()?;
        // That it is locked may be just why it was asked.
        match introduce(&connection, self.timeout()) {
            Ok(()) | Err(StoreError::Locked(_)) => {}
            Err(fault) => return Err(fault),
        }
        self.with_session(&connection, call)
    }

    /// As `with_service`, if the default collection is not locked: where it is, a search
    /// alone may open a window (KeePassXC).
    fn with_open_service<T>(
        &self,
        call: impl for<'a> FnOnce(&'a SecretService<'a>, &Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.connect()?;
        introduce(&connection, self.timeout())?;
        self.with_session(&connection, call)
    }

    fn with_session<T>(
        &self,
        connection: &Connection,
        call: impl for<'a> FnOnce(&'a SecretService<'a>, &Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let service =
            SecretService::connect_with_existing(EncryptionType::Plain, connection.clone())
                .map_err(|error| self.fault(&error))?;
        call(&service, connection)
    }

    /// The process behind the keychain; none if it cannot be seen.
    pub fn process(&self) -> Option<crate::store::durable::Process> {
        super::process::of_provider(&self.address, self.timeout())
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        zbus_connection::open(&self.address, self.timeout())
    }

    fn default_collection<'a>(
        &self,
        service: &'a SecretService<'a>,
    ) -> Result<Collection<'a>, StoreError> {
        let found = service.get_default_collection();
        found.map_err(|error| self.fault(&error))
    }

    fn collections<'a>(
        &self,
        service: &'a SecretService<'a>,
    ) -> Result<Vec<Collection<'a>>, StoreError> {
        let all = service.get_all_collections();
        all.map_err(|error| self.fault(&error))
    }

    fn is_locked(&self, collection: &Collection<'_>) -> Result<bool, StoreError> {
        collection.is_locked().map_err(|error| self.fault(&error))
    }

    fn shows_nothing(&self, collection: &Collection<'_>) -> Result<bool, StoreError> {
        let items = collection.get_all_items();
        items
            .map(|items| items.is_empty())
            .map_err(|error| self.fault(&error))
    }

    fn check_open(&self, collection: &Collection<'_>) -> Result<(), StoreError> {
        match self.is_locked(collection)? {
            true => Err(errors::locked()),
            false => Ok(()),
        }
    }

    /// Refuses a collection that is lost at logout.
    fn check_lasts(&self, service: &SecretService<'_>, collection: &str) -> Result<(), StoreError> {
        match service.get_collection_by_alias(MEMORY_ALIAS) {
            Ok(memory) if memory.collection_path.as_str() == collection => {
                Err(errors::memory_only())
            }
            // Most providers have none.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn search_all<'a>(
        &self,
        service: &'a SecretService<'a>,
        attributes: HashMap<&str, &str>,
    ) -> Result<SearchItemsResult<Item<'a>>, StoreError> {
        let found = service.search_items(attributes);
        found.map_err(|error| self.fault(&error))
    }

    /// Why an item is locked: with its collection, or for itself.
    fn why_locked(&self, service: &SecretService<'_>, item: &Item<'_>) -> StoreError {
        let path = wire::collection_of(item.item_path.as_str());
        let collection = OwnedObjectPath::try_from(path.to_owned())
            .ok()
            .and_then(|path| service.get_collection_by_path(path).ok());
        match collection.map(|collection| collection.is_locked()) {
            Some(Ok(false)) => errors::confirms(),
            Some(Ok(true) | Err(_)) | None => errors::locked_collection(path),
        }
    }

    /// The locked collections that show nothing of what they hold.
    fn hiding(&self, service: &SecretService<'_>) -> Result<Vec<StoreError>, StoreError> {
        let mut hiding = Vec::new();
        for collection in self.collections(service)? {
            if self.is_locked(&collection)? && self.shows_nothing(&collection)? {
                hiding.push(errors::hidden(collection.collection_path.as_str()));
            }
        }
        Ok(hiding)
    }

    fn zbus_fault(&self, error: &zbus::Error) -> StoreError {
        errors::of_zbus(error, self.timeout())
    }

    fn fault(&self, error: &ServiceError) -> StoreError {
        errors::of_service(error, self.timeout())
    }
}

impl CredentialStoreApi for SecretServiceStore {
    fn vendor(&self) -> String {
        "org.freedesktop.secrets".into()
    }

    fn id(&self) -> String {
        "the session's Secret Service".into()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        modifiers: Option<&HashMap<&str, &str>>,
    ) -> keyring_core::Result<Entry> {
        if let Some(name) = modifiers.and_then(|modifiers| modifiers.keys().next()) {
            return Err(keyring_core::Error::Invalid(
                (*name).to_owned(),
                "this store has no modifiers".into(),
            ));
        }
        Ok(self.entry(service, user))
    }

    /// The entries whose items have these attributes: one for each item, which reads,
    /// writes and deletes that very item. What a locked collection holds, or may hold, is
    /// an entry without a name, whose secret cannot be read: it says why.
    fn search(&self, spec: &HashMap<&str, &str>) -> keyring_core::Result<Vec<Entry>> {
        let entries = self.with_open_service(|service, _| {
            let found = self.search_all(service, spec.clone())?;
            if found.unlocked.is_empty() && found.locked.is_empty() {
                // It may be locked by now, or not be there.
                self.check_open(&self.default_collection(service)?)?;
            }
            let mut unseen = Vec::new();
            let mut entries = Vec::new();
            for item in &found.locked {
                match self.why_locked(service, item) {
                    StoreError::Confirms(_) => entries.extend(self.entry_of(item)?),
                    fault => unseen.push(fault),
                }
            }
            for item in &found.unlocked {
                entries.extend(self.entry_of(item)?);
            }
            unseen.extend(self.hiding(service)?);
            unseen.dedup();
            entries.extend(
                unseen
                    .into_iter()
                    .map(|why| Entry::new_with_credential(Arc::new(Unseen(why)))),
            );
            Ok(entries)
        })?;
        Ok(entries)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl SecretServiceStore {
    fn entry(&self, service: &str, user: &str) -> Entry {
        Entry::new_with_credential(Arc::new(ServiceCredential {
            store: self.clone(),
            service: service.to_owned(),
            user: user.to_owned(),
            item: None,
        }))
    }

    /// This very item; none if it is not named as ours are.
    fn entry_of(&self, item: &Item<'_>) -> Result<Option<Entry>, StoreError> {
        let mut attributes = item.get_attributes().map_err(|error| self.fault(&error))?;
        let (Some(service), Some(user)) = (attributes.remove(SERVICE), attributes.remove(USERNAME))
        else {
            return Ok(None);
        };
        Ok(Some(Entry::new_with_credential(Arc::new(
            ServiceCredential {
                store: self.clone(),
                service,
                user,
                item: Some(item.item_path.clone()),
            },
        ))))
    }
}

/// One entry's place: a name (a specifier, in keyring-core's words), or one of the
/// items that bear it (a wrapper).
#[derive(Debug)]
struct ServiceCredential {
    store: SecretServiceStore,
    service: String,
    user: String,
    item: Option<OwnedObjectPath>,
}

impl ServiceCredential {
    fn attributes(&self) -> [(&str, &str); 2] {
        [
            (SERVICE, self.service.as_str()),
            (USERNAME, self.user.as_str()),
        ]
    }

    /// This very item, or the one of this name; none if there is none.
    fn item<'a>(&self, service: &'a SecretService<'a>) -> Result<Option<Item<'a>>, StoreError> {
        if let Some(path) = &self.item {
            let item = service.get_item_by_path(path.clone());
            return item.map(Some).map_err(|error| self.store.fault(&error));
        }
        let attributes = HashMap::from(self.attributes());
        let mut found = self.store.search_all(service, attributes)?;
        match (found.unlocked.len(), found.locked.len()) {
            (1, 0) => Ok(found.unlocked.pop()),
            (0, 1) => match self.store.why_locked(service, &found.locked[0]) {
                StoreError::Confirms(_) => Ok(found.locked.pop()),
                fault => Err(fault),
            },
            (0, 0) => {
                // It may be locked by now, or not be there.
                self.store
                    .check_open(&self.store.default_collection(service)?)?;
                match self.store.hiding(service)?.pop() {
                    Some(fault) => Err(fault),
                    None => Ok(None),
                }
            }
            (_, _) => {
                let all = found.unlocked.iter().chain(&found.locked);
                let paths: Vec<&str> = all.map(|item| item.item_path.as_str()).collect();
                Err(errors::twins(&paths))
            }
        }
    }

    fn create(&self, service: &SecretService<'_>, secret: &[u8]) -> Result<(), StoreError> {
        let collection = self.store.default_collection(service)?;
        self.store.check_open(&collection)?;
        self.store
            .check_lasts(service, collection.collection_path.as_str())?;
        let mut attributes = HashMap::from(self.attributes());
        attributes.insert(APPLICATION, &self.service);
        let label = format!("{}: {}", self.service, self.user);
        // `replace` updates in place what another process may have made meanwhile.
        let created = collection.create_item(&label, attributes, secret, true, CONTENT_TYPE);
        created.map(drop).map_err(|error| self.store.fault(&error))
    }

    fn update(
        &self,
        service: &SecretService<'_>,
        item: &Item<'_>,
        secret: &[u8],
    ) -> Result<(), StoreError> {
        let path = item.item_path.as_str();
        self.store.check_lasts(service, wire::collection_of(path))?;
        match item.set_secret(secret, CONTENT_TYPE) {
            Ok(()) => Ok(()),
            Err(error) => match self.store.fault(&error) {
                StoreError::Locked(_) => Err(self.store.why_locked(service, item)),
                fault => Err(fault),
            },
        }
    }

    /// Also deletes what is locked for itself only: that takes no secret out.
    fn delete(&self, connection: &Connection, item: &Item<'_>) -> Result<(), StoreError> {
        let reply = connection
            .call_method(
                Some(wire::PROVIDER),
                &*item.item_path,
                Some(wire::ITEM),
                "Delete",
                &(),
            )
            .map_err(|error| self.store.zbus_fault(&error))?;
        let prompt: OwnedObjectPath = reply
            .body()
            .deserialize()
            .map_err(|error| self.store.zbus_fault(&error))?;
        self.store.answer(connection, prompt)
    }
}

impl CredentialApi for ServiceCredential {
    fn set_secret(&self, secret: &[u8]) -> keyring_core::Result<()> {
        self.store
            .with_open_service(|service, _| match self.item(service)? {
                Some(item) => self.update(service, &item, secret),
                None => self.create(service, secret),
            })?;
        Ok(())
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        if self.item.is_some() {
            return Ok(self.store.with_open_service(|service, _| {
                let Some(item) = self.item(service)? else {
                    return Err(StoreError::NoEntry);
                };
                item.get_secret()
                    .map_err(|error| match self.store.fault(&error) {
                        StoreError::Locked(_) => self.store.why_locked(service, &item),
                        fault => fault,
                    })
            })?);
        }
        let mut secret = wire::read(
            &self.store.address,
            &self.attributes(),
            self.store.timeout(),
        )?;
        // Moved out, not copied.
        Ok(std::mem::take(&mut *secret))
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        self.store
            .with_open_service(|service, connection| match self.item(service)? {
                Some(item) => self.delete(connection, &item),
                None => Err(StoreError::NoEntry),
            })?;
        Ok(())
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        self.store.with_open_service(|service, _| {
            self.item(service)?.map(drop).ok_or(StoreError::NoEntry)
        })?;
        // The attributes name it for good, so this stands for the item itself.
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        Some((self.service.clone(), self.user.clone()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A part of the keychain that nobody can look into now, and why.
#[derive(Debug)]
struct Unseen(StoreError);

impl Unseen {
    fn why<T>(&self) -> keyring_core::Result<T> {
        Err(self.0.clone().into())
    }
}

impl CredentialApi for Unseen {
    fn set_secret(&self, _secret: &[u8]) -> keyring_core::Result<()> {
        self.why()
    }
    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        self.why()
    }
    fn delete_credential(&self) -> keyring_core::Result<()> {
        self.why()
    }
    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        self.why()
    }
    fn get_specifiers(&self) -> Option<(String, String)> {
        None
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a person calls a collection; its path's end if that cannot be asked.
fn label(collection: &Collection<'_>) -> String {
    let path = collection.collection_path.as_str();
    match collection.get_label() {
        Ok(label) if !label.is_empty() => label,
        Ok(_) | Err(_) => path.rsplit('/').next().unwrap_or(path).to_owned(),
    }
}

/// The first calls, before a session is opened: one whose answer does not matter, and
/// whether the default collection is locked. See `wire`.
fn introduce(connection: &Connection, timeout: Duration) -> Result<(), StoreError> {
    let harmless = connection.call_method(
        Some(wire::PROVIDER),
        wire::SERVICE_PATH,
        Some(wire::PROPERTIES),
        "Get",
        &(wire::SERVICE, "Collections"),
    );
    match harmless.map_err(|error| errors::of_zbus(&error, timeout)) {
        Ok(_) | Err(StoreError::Other(_)) => {}
        Err(fault) => return Err(fault),
    }
    let asked = connection.call_method(
        Some(wire::PROVIDER),
        wire::DEFAULT_PATH,
        Some(wire::PROPERTIES),
        "Get",
        &(wire::COLLECTION, "Locked"),
    );
    let reply = match asked {
        Ok(reply) => reply,
        Err(zbus::Error::MethodError(name, ..)) if errors::is_no_object(name.as_str()) => {
            return has_collections(connection, timeout);
        }
        Err(error) => {
            return match errors::of_zbus(&error, timeout) {
                // That the provider cannot tell is no matter; that there is none, is.
                StoreError::Other(_) => Ok(()),
                fault => Err(fault),
            };
        }
    };
    let locked = reply.body().deserialize::<OwnedValue>();
    match locked.map(bool::try_from) {
        Ok(Ok(true)) => Err(errors::locked()),
        Ok(Ok(false) | Err(_)) | Err(_) => Ok(()),
    }
}

/// Fails if there is no collection at all: a search makes KeePassXC ask for a database then.
fn has_collections(
    connection: &zbus::blocking::Connection,
    timeout: Duration,
) -> Result<(), StoreError> {
    let asked = connection.call_method(
        Some(wire::PROVIDER),
        wire::SERVICE_PATH,
        Some(wire::PROPERTIES),
        "Get",
        &(wire::SERVICE, "Collections"),
    );
    let reply = match asked.map_err(|error| errors::of_zbus(&error, timeout)) {
        Ok(reply) => reply,
        // As in `introduce`.
        Err(StoreError::Other(_)) => return Ok(()),
        Err(fault) => return Err(fault),
    };
    let all = reply.body().deserialize::<OwnedValue>();
    match all.map(Vec::<zbus::zvariant::OwnedObjectPath>::try_from) {
        Ok(Ok(all)) if all.is_empty() => Err(errors::no_default_collection()),
        Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
    }
}
