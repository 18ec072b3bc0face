//! A store in memory behind keyring-core's traits. Before each write it asks the
//! world, whose rotator runs in this thread, what goes wrong.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use awskeep::store::error::StoreError as StoreFault;
use keyring_core::api::{Credential, CredentialApi, CredentialStoreApi};
use keyring_core::{Entry, Result as KeyringResult};

use crate::rotation_world::{Event, crash};

type Items = Arc<Mutex<HashMap<String, Arc<[u8]>>>>;

/// What is asked before each write.
pub type OnWrite = Rc<dyn Fn() -> Option<Event>>;

/// A store in memory, behind keyring-core's traits; and how many writes fell on
/// something else than their writer had read last.
#[derive(Clone, Default)]
pub struct Memory(Items, Arc<AtomicUsize>);

impl Memory {
    pub fn overwrites(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }

    /// What is kept for that user, as a read gives it.
    pub fn read(&self, user: &str) -> Option<Arc<[u8]>> {
        let found = self.0.lock().unwrap().get(user).cloned();
        LAST_READ.with(|last| last.borrow_mut().insert(user.to_owned(), found.clone()));
        found
    }
}

struct MemoryEntry(Memory, String);

thread_local! {
    pub static ON_WRITE: RefCell<Option<OnWrite>> = const { RefCell::new(None) };
    /// What this thread read last of each item.
    static LAST_READ: RefCell<HashMap<String, Option<Arc<[u8]>>>> = RefCell::default();
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
            let before = items.insert(self.1.clone(), secret.into());
            let seen = LAST_READ.with(|read| read.borrow().get(&self.1).cloned());
            if before.is_some() && seen.flatten() != before {
                self.0.1.fetch_add(1, Ordering::SeqCst);
            }
        })
    }
    fn get_secret(&self) -> KeyringResult<Vec<u8>> {
        let found = self.0.read(&self.1);
        let found = found.ok_or(keyring_core::Error::NoEntry)?;
        Ok(found.to_vec())
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
    let hook = ON_WRITE.with(|hook| hook.borrow().clone());
    let event = hook.and_then(|hook| hook());
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
