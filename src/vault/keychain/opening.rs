//! Unlocking and locking the keychain, for `awskeep store unlock` and `lock`: the
//! only place where the system's own window may come up. Edge.

use std::time::Duration;

use crate::machine::Machine;
#[cfg(target_os = "linux")]
use crate::vault::Deadline;
use crate::vault::fault::Fault;

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

/// Which collections were opened, and which stay locked, as people call them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unlocked {
    pub opened: Vec<String>,
    pub still_locked: Vec<String>,
}

/// Asks the keychain to unlock all that holds an entry of ours, or may. A call may take
/// `wait`, a person `patience`; without any, no window comes up.
///
/// # Errors
/// `Fault::Dismissed` if the person declines, `Fault::Unanswered` if nobody answers in
/// time, `Fault::Confirms` if that changes nothing; the provider's name is in each.
#[cfg(target_os = "linux")]
pub fn unlock(machine: &Machine, wait: Duration, patience: Duration) -> Result<Unlocked, Fault> {
    let store = store(machine, wait)?.patient(patience);
    named(&store, store.unlock(crate::vault::SERVICE))
}

/// Locks the keychain's default collection.
#[cfg(target_os = "linux")]
pub fn lock(machine: &Machine, wait: Duration) -> Result<String, Fault> {
    let store = store(machine, wait)?.patient(PATIENCE);
    named(&store, store.lock())
}

/// What would be locked, as people call it.
#[cfg(target_os = "linux")]
pub fn default_label(machine: &Machine, wait: Duration) -> Result<String, Fault> {
    let store = store(machine, wait)?;
    named(&store, store.default_label())
}

/// The program behind the keychain, where that is not always the same one.
#[cfg(target_os = "linux")]
pub fn provider(machine: &Machine) -> Option<String> {
    store(machine, Duration::ZERO).ok()?.provider()
}

#[cfg(target_os = "linux")]
fn named<T>(store: &super::SecretServiceStore, result: Result<T, Fault>) -> Result<T, Fault> {
    result.map_err(|fault| match store.provider() {
        Some(name) => fault.of_provider(&name),
        None => fault,
    })
}

/// Labels and secrets of another program's collection, to be imported.
///
/// # Errors
/// `Fault::Absent` if there is no such collection, `Fault::Locked` if it is locked.
#[cfg(target_os = "linux")]
pub fn items_of_collection(
    machine: &Machine,
    name: &str,
    wait: Duration,
) -> Result<super::secret_service::Labelled, Fault> {
    store(machine, wait)?.items_of_collection(name)
}

#[cfg(target_os = "linux")]
fn store(machine: &Machine, wait: Duration) -> Result<super::SecretServiceStore, Fault> {
    Ok(super::SecretServiceStore::new(
        super::BusAddress::of_session(machine)?,
        Deadline::PerCall(wait),
    ))
}

#[cfg(not(target_os = "linux"))]
pub fn unlock(_machine: &Machine, _wait: Duration, _patience: Duration) -> Result<Unlocked, Fault> {
    Err(Fault::Other(format!(
        "the {NAME} opens with your login; there is nothing to unlock here"
    )))
}

#[cfg(not(target_os = "linux"))]
pub fn lock(_machine: &Machine, _wait: Duration) -> Result<String, Fault> {
    Err(Fault::Other(format!(
        "the {NAME} is locked by the system, not by awskeep"
    )))
}

#[cfg(not(target_os = "linux"))]
pub fn default_label(machine: &Machine, wait: Duration) -> Result<String, Fault> {
    lock(machine, wait)
}

#[cfg(not(target_os = "linux"))]
pub fn provider(_machine: &Machine) -> Option<String> {
    None
}
