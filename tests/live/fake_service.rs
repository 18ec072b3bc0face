//! A Secret Service that does what some providers do and gnome-keyring never: it hides
//! what is locked, wants each access confirmed, asks before it deletes, holds twins. Edge.
//!
//! It runs in the test's own process, on the bus of a `Keychain` without a provider, and
//! tells the test when its window comes up; the test answers it.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use zbus::ObjectServer;
use zbus::blocking::Connection;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

use crate::keychain::Keychain;
use crate::programs::PATIENCE;

const ROOT: &str = "/org/freedesktop/secrets";
const NONE: &str = "/";

/// Session, parameters, secret, content type.
type SecretStruct = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.Secret.Error")]
enum ServiceError {
    #[zbus(error)]
    ZBus(zbus::Error),
    IsLocked(String),
    NoSuchObject(String),
}

/// One item.
#[derive(Debug, Clone)]
pub struct FakeItem {
    path: String,
    collection: String,
    attributes: HashMap<String, String>,
    pub secret: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    /// Name, and whether it is locked.
    collections: Vec<(String, bool)>,
    default: Option<String>,
    /// The collection that is in memory only.
    session: Option<String>,
    hides_what_is_locked: bool,
    confirms_each_access: bool,
    asks_before_it_deletes: bool,
    asks_before_it_unlocks: bool,
    items: Vec<FakeItem>,
    made: usize,
    /// What each window is about: its number, and what happens if it is accepted.
    windows: Vec<Wish>,
}

#[derive(Debug, Clone)]
enum Wish {
    Unlock(Vec<String>),
    Delete(String),
}

impl State {
    fn is_locked(&self, collection: &str) -> bool {
        let mut all = self.collections.iter();
        all.any(|(name, locked)| name == collection && *locked)
    }

    fn grant(&mut self, wish: &Wish) {
        match wish {
            Wish::Unlock(paths) => {
                for (name, locked) in &mut self.collections {
                    *locked &= !paths.contains(&collection_path(name));
                }
            }
            Wish::Delete(path) => self.items.retain(|item| item.path != *path),
        }
    }

    fn ask(&mut self, wish: Wish) -> String {
        self.windows.push(wish);
        format!("{ROOT}/prompt/{}", self.windows.len() - 1)
    }

    fn collection_at(&self, path: &str) -> Option<String> {
        if path == format!("{ROOT}/aliases/default") {
            return self.default.clone();
        }
        let mut all = self.collections.iter();
        let found = all.find(|(name, _)| collection_path(name) == path);
        found.map(|(name, _)| name.clone())
    }
}

type Shared = Arc<Mutex<State>>;

fn state(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap()
}

fn path(text: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(text.to_owned()).unwrap()
}

fn collection_path(name: &str) -> String {
    format!("{ROOT}/collection/{name}")
}

struct Service(Shared, Sender<usize>);

#[zbus::interface(name = "org.freedesktop.Secret.Service", spawn = false)]
impl Service {
    fn open_session(&self, _algorithm: &str, _input: Value<'_>) -> (OwnedValue, OwnedObjectPath) {
        let nothing = OwnedValue::try_from(Value::from("")).unwrap();
        (nothing, path(&format!("{ROOT}/session/1")))
    }

    fn search_items(
        &self,
        attributes: HashMap<String, String>,
    ) -> (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) {
        let state = state(&self.0);
        let (mut open, mut locked) = (Vec::new(), Vec::new());
        for item in &state.items {
            let has = |(name, value): (&String, &String)| item.attributes.get(name) == Some(value);
            if !attributes.iter().all(has) {
                continue;
            }
            let is_locked = state.is_locked(&item.collection);
            if is_locked && state.hides_what_is_locked {
                continue;
            }
            match is_locked || state.confirms_each_access {
                true => locked.push(path(&item.path)),
                false => open.push(path(&item.path)),
            }
        }
        (open, locked)
    }

    async fn unlock(
        &self,
        objects: Vec<OwnedObjectPath>,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> (Vec<OwnedObjectPath>, OwnedObjectPath) {
        let wish = Wish::Unlock(objects.iter().map(|path| path.to_string()).collect());
        let asked = {
            let mut state = state(&self.0);
            match state.asks_before_it_unlocks {
                true => Some(state.ask(wish)),
                false => {
                    state.grant(&wish);
                    None
                }
            }
        };
        match asked {
            Some(window) => {
                show(server, &window, &self.1).await;
                (Vec::new(), path(&window))
            }
            None => (objects, path(NONE)),
        }
    }

    fn lock(&self, objects: Vec<OwnedObjectPath>) -> (Vec<OwnedObjectPath>, OwnedObjectPath) {
        for (name, locked) in &mut state(&self.0).collections {
            *locked |= objects
                .iter()
                .any(|path| path.as_str() == collection_path(name));
        }
        (objects, path(NONE))
    }

    fn read_alias(&self, name: &str) -> OwnedObjectPath {
        let state = state(&self.0);
        let found = match name {
            "default" => state.default.as_ref(),
            "session" => state.session.as_ref(),
            _ => None,
        };
        path(&found.map_or(NONE.to_owned(), |name| collection_path(name)))
    }

    #[zbus(property)]
    fn collections(&self) -> Vec<OwnedObjectPath> {
        let state = state(&self.0);
        let all = state.collections.iter();
        all.map(|(name, _)| path(&collection_path(name))).collect()
    }
}

async fn show(server: &ObjectServer, window: &str, shown: &Sender<usize>) {
    let number = window.rsplit('/').next().unwrap().parse().unwrap();
    server
        .at(window, Window(number, shown.clone()))
        .await
        .unwrap();
}

/// A window: the test is told when it comes up, and answers it.
struct Window(usize, Sender<usize>);

#[zbus::interface(name = "org.freedesktop.Secret.Prompt", spawn = false)]
impl Window {
    fn prompt(&self, _window_id: &str) {
        // The test may be over.
        let _ = self.1.send(self.0);
    }
    fn dismiss(&self) {}
}

struct Collection(Shared, String, Sender<usize>);

impl Collection {
    fn name(&self) -> String {
        let found = state(&self.0).collection_at(&self.1);
        found.expect("the collection is there")
    }
}

#[zbus::interface(name = "org.freedesktop.Secret.Collection", spawn = false)]
impl Collection {
    async fn create_item(
        &self,
        properties: HashMap<String, OwnedValue>,
        secret: SecretStruct,
        _replace: bool,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> (OwnedObjectPath, OwnedObjectPath) {
        let attributes = properties["org.freedesktop.Secret.Item.Attributes"].try_clone();
        let attributes = HashMap::try_from(attributes.unwrap()).unwrap();
        let item = add(&self.0, &self.name(), attributes, secret.2);
        let made = Item(self.0.clone(), item.clone(), self.2.clone());
        server.at(item.as_str(), made).await.unwrap();
        (path(&item), path(NONE))
    }

    #[zbus(property)]
    fn locked(&self) -> bool {
        let name = self.name();
        state(&self.0).is_locked(&name)
    }

    #[zbus(property)]
    fn label(&self) -> String {
        self.name()
    }

    #[zbus(property)]
    fn items(&self) -> Vec<OwnedObjectPath> {
        let name = self.name();
        let state = state(&self.0);
        if state.is_locked(&name) && state.hides_what_is_locked {
            return Vec::new();
        }
        let all = state.items.iter();
        all.filter(|item| item.collection == name)
            .map(|item| path(&item.path))
            .collect()
    }
}

struct Item(Shared, String, Sender<usize>);

impl Item {
    fn found(&self) -> Result<FakeItem, ServiceError> {
        let state = state(&self.0);
        let item = state.items.iter().find(|item| item.path == self.1);
        let item = item.ok_or_else(|| ServiceError::NoSuchObject(self.1.clone()))?;
        Ok(item.clone())
    }

    fn readable(&self) -> Result<FakeItem, ServiceError> {
        let item = self.found()?;
        match self.is_locked(&item) {
            true => Err(ServiceError::IsLocked(self.1.clone())),
            false => Ok(item),
        }
    }

    fn is_locked(&self, item: &FakeItem) -> bool {
        let state = state(&self.0);
        state.confirms_each_access || state.is_locked(&item.collection)
    }
}

#[zbus::interface(name = "org.freedesktop.Secret.Item", spawn = false)]
impl Item {
    fn get_secret(&self, session: OwnedObjectPath) -> Result<(SecretStruct,), ServiceError> {
        let secret = self.readable()?.secret;
        Ok(((session, Vec::new(), secret, "text/plain".into()),))
    }

    fn set_secret(&self, secret: SecretStruct) -> Result<(), ServiceError> {
        self.readable()?;
        for item in &mut state(&self.0).items {
            if item.path == self.1 {
                item.secret.clone_from(&secret.2);
            }
        }
        Ok(())
    }

    async fn delete(
        &self,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> Result<OwnedObjectPath, ServiceError> {
        self.found()?;
        let wish = Wish::Delete(self.1.clone());
        let asked = {
            let mut state = state(&self.0);
            match state.asks_before_it_deletes {
                true => Some(state.ask(wish)),
                false => {
                    state.grant(&wish);
                    None
                }
            }
        };
        let Some(window) = asked else {
            return Ok(path(NONE));
        };
        show(server, &window, &self.2).await;
        Ok(path(&window))
    }

    #[zbus(property)]
    fn locked(&self) -> bool {
        self.found().is_ok_and(|item| self.is_locked(&item))
    }

    #[zbus(property)]
    fn label(&self) -> String {
        "an item".into()
    }

    #[zbus(property)]
    fn attributes(&self) -> HashMap<String, String> {
        let found = self.found();
        found.map(|item| item.attributes).unwrap_or_default()
    }
}

/// Adds an item; its path.
fn add(
    shared: &Shared,
    collection: &str,
    attributes: HashMap<String, String>,
    secret: Vec<u8>,
) -> String {
    let mut state = state(shared);
    state.made += 1;
    let path = format!("{}/{}", collection_path(collection), state.made);
    state.items.push(FakeItem {
        path: path.clone(),
        collection: collection.to_owned(),
        attributes,
        secret,
    });
    path
}

/// The service, until it is dropped.
pub struct FakeService {
    state: Shared,
    shown: Receiver<usize>,
    show: Sender<usize>,
    connection: Connection,
}

impl FakeService {
    /// On a keychain's bus, with these collections, all open; the first is the default.
    pub fn start(keychain: &Keychain, collections: &[&str]) -> FakeService {
        let (show, shown) = channel();
        let shared = Shared::default();
        let [(_, address)] = keychain.env();
        let builder = zbus::blocking::connection::Builder::address(address.as_str()).unwrap();
        let service = Service(shared.clone(), show.clone());
        let connection = builder.serve_at(ROOT, service).unwrap().build().unwrap();
        let fake = FakeService {
            state: shared,
            shown,
            show,
            connection,
        };
        for name in collections {
            state(&fake.state)
                .collections
                .push(((*name).to_owned(), false));
            fake.serve_collection(&collection_path(name));
        }
        if let Some(first) = collections.first() {
            state(&fake.state).default = Some((*first).to_owned());
            fake.serve_collection(&format!("{ROOT}/aliases/default"));
        }
        // Last, so that whoever sees the name finds all of it.
        fake.connection
            .request_name("org.freedesktop.secrets")
            .unwrap();
        fake
    }

    fn serve_collection(&self, at: &str) {
        let collection = Collection(self.state.clone(), at.to_owned(), self.show.clone());
        self.connection.object_server().at(at, collection).unwrap();
    }

    /// From now on it does not show what a locked collection holds.
    #[must_use]
    pub fn hiding(self) -> FakeService {
        state(&self.state).hides_what_is_locked = true;
        self
    }

    /// From now on each read wants a click.
    #[must_use]
    pub fn confirming(self) -> FakeService {
        state(&self.state).confirms_each_access = true;
        self
    }

    /// From now on a window comes up before it deletes.
    pub fn ask_before_deleting(&self) {
        state(&self.state).asks_before_it_deletes = true;
    }

    /// From now on a window comes up before it unlocks.
    pub fn ask_before_unlocking(&self) {
        state(&self.state).asks_before_it_unlocks = true;
    }

    /// From now on this collection counts as the one that is in memory only.
    pub fn keep_in_memory(&self, name: &str) {
        state(&self.state).session = Some(name.to_owned());
    }

    pub fn lock(&self, name: &str) {
        for (collection, locked) in &mut state(&self.state).collections {
            *locked |= collection == name;
        }
    }

    /// Puts another item with the attributes of an entry beside what is there.
    pub fn add_item(&self, collection: &str, entry: &str, secret: &[u8]) {
        let attributes = [("service", "awskeep"), ("username", entry)];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let path = add(
            &self.state,
            collection,
            attributes.into_iter().collect(),
            secret.to_owned(),
        );
        let item = Item(self.state.clone(), path.clone(), self.show.clone());
        self.connection.object_server().at(path, item).unwrap();
    }

    /// The items of an entry, whatever is locked.
    pub fn items(&self, entry: &str) -> Vec<FakeItem> {
        let state = state(&self.state);
        let all = state.items.iter();
        all.filter(|item| item.attributes["username"] == entry)
            .cloned()
            .collect()
    }

    /// Waits until a window is up; its number.
    #[track_caller]
    pub fn window(&self) -> usize {
        self.shown
            .recv_timeout(PATIENCE)
            .expect("a window comes up")
    }

    /// Whether a window came up that nobody has waited for.
    pub fn window_came_up(&self) -> bool {
        self.shown.try_recv().is_ok()
    }

    /// Answers a window as a person does: a yes does what was asked for.
    pub fn answer(&self, window: usize, answer: Answer) {
        let dismissed = answer == Answer::No;
        if !dismissed {
            let mut state = state(&self.state);
            let wish = state.windows[window].clone();
            state.grant(&wish);
        }
        let body = (dismissed, Value::from(""));
        self.connection
            .emit_signal(
                None::<&str>,
                format!("{ROOT}/prompt/{window}"),
                "org.freedesktop.Secret.Prompt",
                "Completed",
                &body,
            )
            .unwrap();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
}
