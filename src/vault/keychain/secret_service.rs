//! The Secret Service (GNOME Keyring, KWallet, KeePassXC…) as a keyring-core
//! store. Edge.
//!
//! Reading is `wire.rs`; writing, deleting and listing go through the
//! secret-service crate, which is slower and knows more. An existing item is
//! updated in place. Only `unlock` brings up a prompt to open a collection:
//! everything else looks whether it is locked, and says so. (Some providers let
//! the person confirm a write; that is theirs to do, and ends at our deadline.)

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use keyring_core::api::{CredentialApi, CredentialStoreApi};
use keyring_core::{Credential, Entry};
use secret_service::EncryptionType;
use secret_service::Error as ServiceError;
use secret_service::blocking::{Collection, Item, SecretService};
use zbus::zvariant::OwnedValue;
use zeroize::Zeroizing;

use super::address::BusAddress;
use super::{errors, wire, zbus_connection};
use crate::vault::Deadline;
use crate::vault::fault::Fault;

const CONTENT_TYPE: &str = "application/json";

/// The attribute names; `service` and `username` are those of the keyring family.
const SERVICE: &str = "service";
const USERNAME: &str = "username";
const APPLICATION: &str = "application";

/// Labels and secrets.
pub type Labelled = Vec<(String, Zeroizing<Vec<u8>>)>;

/// The Secret Service on one session bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretServiceStore {
    address: BusAddress,
    /// For each call on the bus, and for a whole read.
    deadline: Deadline,
}

impl SecretServiceStore {
    pub fn new(address: BusAddress, deadline: Deadline) -> SecretServiceStore {
        SecretServiceStore { address, deadline }
    }

    /// How long the next call may take.
    fn timeout(&self) -> Duration {
        self.deadline.left()
    }

    /// Whether this store works here and now: bus, provider, an open default collection.
    ///
    /// # Errors
    /// `Absent`, `Locked`, `Denied`, `Died`, `Frozen` or `Other`.
    pub fn probe(&self) -> Result<(), Fault> {
        wire::probe(&self.address, self.timeout())
    }

    /// Has the default collection unlocked by the person who sits here: the only
    /// call that brings up a prompt for it.
    ///
    /// # Errors
    /// `Denied` if the prompt was closed (or could not be shown), `Frozen` if nobody
    /// answered it within `deadline`, and as `probe`.
    pub fn unlock(&self, deadline: Duration) -> Result<(), Fault> {
        self.within(deadline, |store| {
            store.with_service(|service| {
                let collection = store.default_collection(service)?;
                collection.unlock().map_err(|error| store.fault(&error))?;
                store.check_open(&collection)
            })
        })
    }

    /// Locks the default collection.
    ///
    /// # Errors
    /// As `probe`, without `Locked`.
    pub fn lock(&self) -> Result<(), Fault> {
        self.within(self.timeout(), |store| {
            store.with_service(|service| {
                let collection = store.default_collection(service)?;
                collection.lock().map_err(|error| store.fault(&error))
            })
        })
    }

    /// Labels and secrets of another program's collection, to be imported.
    ///
    /// # Errors
    /// `Absent` if there is no such collection, `Locked` if it is locked, and as `probe`.
    pub fn items_of_collection(&self, name: &str) -> Result<Labelled, Fault> {
        let name = name.to_owned();
        self.within(self.timeout(), move |store| {
            store.with_service(|service| {
                let all = service
                    .get_all_collections()
                    .map_err(|error| store.fault(&error))?;
                let path = format!("/org/freedesktop/secrets/collection/{name}");
                let found = all.into_iter().find(|collection| {
                    collection.collection_path.as_str() == path
                        || collection.get_label().is_ok_and(|label| label == name)
                });
                let Some(collection) = found else {
                    return Err(Fault::Absent(format!("there is no collection {name}")));
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
        call: impl FnOnce(&SecretServiceStore) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = self.clone();
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::Builder::new()
            .spawn(move || {
                // The receiver is gone only if the deadline is over.
                let _ = sender.send(call(&store));
            })
            .map_err(|error| Fault::Other(format!("no thread could be started: {error}")))?;
        match receiver.recv_timeout(deadline) {
            Ok(result) => result,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(errors::frozen(deadline)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Fault::Other(
                "the call to the keychain ended without a result".into(),
            )),
        }
    }

    fn with_service<T>(
        &self,
        call: impl for<'a> FnOnce(&'a SecretService<'a>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let connection = self.connect()?;
        // That it is locked may be just why it was asked.
        match introduce(&connection, self.timeout()) {
            Ok(()) | Err(Fault::Locked(_)) => {}
            Err(fault) => return Err(fault),
        }
        self.with_session(connection, call)
    }

    /// As `with_service`, if the default collection is not locked: where it is, a search
    /// alone may open a window (KeePassXC).
    fn with_open_service<T>(
        &self,
        call: impl for<'a> FnOnce(&'a SecretService<'a>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let connection = self.connect()?;
        introduce(&connection, self.timeout())?;
        self.with_session(connection, call)
    }

    fn with_session<T>(
        &self,
        connection: zbus::blocking::Connection,
        call: impl for<'a> FnOnce(&'a SecretService<'a>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let service = SecretService::connect_with_existing(EncryptionType::Plain, connection)
            .map_err(|error| self.fault(&error))?;
        call(&service)
    }

    /// The process behind the keychain; none if it cannot be seen.
    pub fn process(&self) -> Option<crate::vault::durable::Process> {
        super::process::of_provider(&self.address, self.timeout())
    }

    fn connect(&self) -> Result<zbus::blocking::Connection, Fault> {
        zbus_connection::open(&self.address, self.timeout())
    }

    fn default_collection<'a>(
        &self,
        service: &'a SecretService<'a>,
    ) -> Result<Collection<'a>, Fault> {
        let found = service.get_default_collection();
        found.map_err(|error| self.fault(&error))
    }

    fn check_open(&self, collection: &Collection<'_>) -> Result<(), Fault> {
        match collection.is_locked().map_err(|error| self.fault(&error))? {
            true => Err(errors::locked()),
            false => Ok(()),
        }
    }

    /// The items with these attributes; fails if any of them, or the default collection
    /// (some providers hide what is locked), is locked.
    fn open_items<'a>(
        &self,
        service: &'a SecretService<'a>,
        attributes: HashMap<&str, &str>,
    ) -> Result<Vec<Item<'a>>, Fault> {
        let found = service
            .search_items(attributes)
            .map_err(|error| self.fault(&error))?;
        if let Some(item) = found.locked.first() {
            return Err(Fault::Locked(format!(
                "the item {} is locked",
                item.item_path.as_str()
            )));
        }
        if found.unlocked.is_empty() {
            self.check_open(&self.default_collection(service)?)?;
        }
        Ok(found.unlocked)
    }

    fn fault(&self, error: &ServiceError) -> Fault {
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

    /// The entries whose items have these attributes.
    fn search(&self, spec: &HashMap<&str, &str>) -> keyring_core::Result<Vec<Entry>> {
        let entries = self.with_open_service(|service| {
            let mut entries = Vec::new();
            for item in self.open_items(service, spec.clone())? {
                let attributes = item.get_attributes().map_err(|error| self.fault(&error))?;
                if let (Some(service), Some(user)) =
                    (attributes.get(SERVICE), attributes.get(USERNAME))
                {
                    entries.push(self.entry(service, user));
                }
            }
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
        }))
    }
}

/// One entry's place: a specifier, in keyring-core's words.
#[derive(Debug)]
struct ServiceCredential {
    store: SecretServiceStore,
    service: String,
    user: String,
}

impl ServiceCredential {
    fn attributes(&self) -> [(&str, &str); 2] {
        [
            (SERVICE, self.service.as_str()),
            (USERNAME, self.user.as_str()),
        ]
    }

    /// Hands the one item of this name to `call`; none if there is none.
    fn with_item<T>(
        &self,
        call: impl for<'a> FnOnce(&'a SecretService<'a>, Option<Item<'a>>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.store.with_open_service(|service| {
            let attributes = HashMap::from(self.attributes());
            let mut items = self.store.open_items(service, attributes)?;
            if items.len() > 1 {
                return Err(wire::two_items(
                    items.iter().map(|item| item.item_path.as_str()),
                ));
            }
            call(service, items.pop())
        })
    }

    fn create(&self, service: &SecretService<'_>, secret: &[u8]) -> Result<(), Fault> {
        let collection = self.store.default_collection(service)?;
        self.store.check_open(&collection)?;
        let mut attributes = HashMap::from(self.attributes());
        attributes.insert(APPLICATION, &self.service);
        let label = format!("{}: {}", self.service, self.user);
        // `replace` updates in place what another process may have made meanwhile.
        let created = collection.create_item(&label, attributes, secret, true, CONTENT_TYPE);
        created.map(drop).map_err(|error| self.store.fault(&error))
    }
}

impl CredentialApi for ServiceCredential {
    fn set_secret(&self, secret: &[u8]) -> keyring_core::Result<()> {
        self.with_item(|service, item| match item {
            Some(item) => item
                .set_secret(secret, CONTENT_TYPE)
                .map_err(|error| self.store.fault(&error)),
            None => self.create(service, secret),
        })?;
        Ok(())
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        let mut secret = wire::read(
            &self.store.address,
            &self.attributes(),
            self.store.timeout(),
        )?;
        // Moved out, not copied.
        Ok(std::mem::take(&mut *secret))
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        self.with_item(|_, item| match item {
            Some(item) => item.delete().map_err(|error| self.store.fault(&error)),
            None => Err(Fault::NoEntry),
        })?;
        Ok(())
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        self.with_item(|_, item| item.map(drop).ok_or(Fault::NoEntry))?;
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

/// The first call, before a session is opened: whether the default collection is
/// locked. See `wire`.
fn introduce(connection: &zbus::blocking::Connection, timeout: Duration) -> Result<(), Fault> {
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
                Fault::Other(_) => Ok(()),
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
) -> Result<(), Fault> {
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
        Err(Fault::Other(_)) => return Ok(()),
        Err(fault) => return Err(fault),
    };
    let all = reply.body().deserialize::<OwnedValue>();
    match all.map(Vec::<zbus::zvariant::OwnedObjectPath>::try_from) {
        Ok(Ok(all)) if all.is_empty() => Err(errors::no_default_collection()),
        Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
    }
}
