//! A store in memory behind keyring-core's traits. Before each write it asks the
//! world that runs in this thread what goes wrong.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use awskeep::vault::fault::Fault as StoreFault;
use keyring_core::api::{Credential, CredentialApi, CredentialStoreApi};
use keyring_core::{Entry, Result as KeyringResult};

use crate::rotation_world::{At, Event, World, crash};

type Items = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A store in memory, behind keyring-core's traits.
#[derive(Clone, Default)]
pub struct Memory(Items);

struct MemoryEntry(Memory, String);

thread_local! {
    /// Asked before each write of the store by the world that runs in this thread.
    pub static ON_WRITE: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

impl CredentialStoreApi for Memory {
    fn vendor(&self) -> String {
        "memory".into()
    }
    fn id(&self) -> String {
        "memory".into()
    }
    fn build(&self, _: &str, user: &str, _: Option<&HashMap<&str, &str>>) -> KeyringResult<Entry> {
        let credential: Arc<Credential> = Arc::new(MemoryEntry(self.clone(), user.to_owned()));
        Ok(Entry::new_with_credential(credential))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl CredentialApi for MemoryEntry {
    fn set_secret(&self, secret: &[u8]) -> KeyringResult<()> {
        change(|| {
            let mut items = self.0.0.lock().unwrap();
            items.insert(self.1.clone(), secret.to_owned());
        })
    }
    fn get_secret(&self) -> KeyringResult<Vec<u8>> {
        let items = self.0.0.lock().unwrap();
        items
            .get(&self.1)
            .cloned()
            .ok_or(keyring_core::Error::NoEntry)
    }
    fn delete_credential(&self) -> KeyringResult<()> {
        change(|| drop(self.0.0.lock().unwrap().remove(&self.1)))
    }
    fn get_credential(&self) -> KeyringResult<Option<Arc<Credential>>> {
        Ok(None)
    }
    fn get_specifiers(&self) -> Option<(String, String)> {
        None
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// One change of the store, unless something strikes it.
fn change(write: impl Fn()) -> KeyringResult<()> {
    let world = ON_WRITE.with(|world| world.borrow().clone());
    let event = world.and_then(|world| world.tick_at(At::Write));
    let locked = || Err(StoreFault::Locked("locked meanwhile".into()).into());
    match event {
        None => write(),
        Some(Event::CrashBefore | Event::LateAndCrash(_)) => crash(),
        Some(Event::CrashAfter) => {
            write();
            crash();
        }
        Some(Event::LostAfter | Event::Unreadable) => {
            write();
            return locked();
        }
        Some(_) => return locked(),
    }
    Ok(())
}
