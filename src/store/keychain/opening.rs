//! Unlocking and locking the keychain, for `awskeep store unlock` and `lock`: the
//! only place where the system's own window may come up. Edge.

use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::store::Deadline;
use crate::store::error::StoreError;
use crate::store::keychain::Unlocked;
#[cfg(target_os = "linux")]
use crate::store::keychain::address::BusAddress;
#[cfg(target_os = "linux")]
use crate::store::keychain::secret_service::{Labelled, SecretServiceStore};
use crate::system::env::Env;

/// What this platform's keychain is called.
pub const NAME: &str = if cfg!(target_os = "macos") {
    "macOS login keychain"
} else if cfg!(windows) {
    "Windows Credential Manager"
} else {
    "Secret Service"
};

/// How long a person may take to answer the keychain's own window.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Asks the keychain to unlock all that holds an entry of ours, or may. A call may take
/// `wait`, a person `patience`; without any, no window comes up.
///
/// # Errors
/// `StoreError::Dismissed` if the person declines, `StoreError::Unanswered` if nobody answers in
/// time, `StoreError::Confirms` if that changes nothing; the provider's name is in each.
#[cfg(target_os = "linux")]
pub fn unlock(env: &Env, wait: Duration, patience: Duration) -> Result<Unlocked, StoreError> {
    let store = store(env, wait)?.patient(patience);
    named(&store, store.unlock(crate::store::SERVICE))
}

/// Locks the keychain's default collection.
#[cfg(target_os = "linux")]
pub fn lock(env: &Env, wait: Duration) -> Result<String, StoreError> {
    let store = store(env, wait)?.patient(PATIENCE);
    named(&store, store.lock())
}

/// What would be locked, as people call it.
#[cfg(target_os = "linux")]
pub fn default_label(env: &Env, wait: Duration) -> Result<String, StoreError> {
    let store = store(env, wait)?;
    named(&store, store.default_label())
}

/// The program behind the keychain, where that is not always the same one.
#[cfg(target_os = "linux")]
pub fn provider(env: &Env) -> Option<String> {
    store(env, Duration::ZERO).ok()?.provider()
}

#[cfg(target_os = "linux")]
fn named<T>(store: &SecretServiceStore, result: Result<T, StoreError>) -> Result<T, StoreError> {
    result.map_err(|fault| match store.provider() {
        Some(name) => fault.of_provider(&name),
        None => fault,
    })
}

/// Labels and secrets of another program's collection, to be imported.
///
/// # Errors
/// `StoreError::Absent` if there is no such collection, `StoreError::Locked` if it is locked.
#[cfg(target_os = "linux")]
pub fn items_of_collection(env: &Env, name: &str, wait: Duration) -> Result<Labelled, StoreError> {
    store(env, wait)?.items_of_collection(name)
}

#[cfg(target_os = "linux")]
fn store(env: &Env, wait: Duration) -> Result<SecretServiceStore, StoreError> {
    Ok(SecretServiceStore::new(
        BusAddress::of_session(env)?,
        Deadline::PerCall(wait),
    ))
}

#[cfg(not(target_os = "linux"))]
pub fn unlock(
    _machine: &Env,
    _wait: Duration,
    _patience: Duration,
) -> Result<Unlocked, StoreError> {
    Err(StoreError::Other(format!(
        "the {NAME} opens with your login; there is nothing to unlock here"
    )))
}

#[cfg(not(target_os = "linux"))]
pub fn lock(_machine: &Env, _wait: Duration) -> Result<String, StoreError> {
    Err(StoreError::Other(format!(
        "the {NAME} is locked by the system, not by awskeep"
    )))
}

#[cfg(not(target_os = "linux"))]
pub fn default_label(env: &Env, wait: Duration) -> Result<String, StoreError> {
    lock(env, wait)
}

#[cfg(not(target_os = "linux"))]
pub fn provider(_machine: &Env) -> Option<String> {
    None
}
