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

/// Asks the keychain to unlock; a person has `wait` to answer its window.
///
/// # Errors
/// `Fault::Denied` if the person declines, `Fault::Frozen` if nobody answers.
#[cfg(target_os = "linux")]
pub fn unlock(machine: &Machine, wait: Duration) -> Result<(), Fault> {
    store(machine, wait)?.unlock(wait)
}

/// Locks the keychain's default collection.
#[cfg(target_os = "linux")]
pub fn lock(machine: &Machine, wait: Duration) -> Result<(), Fault> {
    store(machine, wait)?.lock()
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
pub fn unlock(_machine: &Machine, _wait: Duration) -> Result<(), Fault> {
    Err(Fault::Other(format!(
        "the {NAME} opens with your login; there is nothing to unlock here"
    )))
}

#[cfg(not(target_os = "linux"))]
pub fn lock(_machine: &Machine, _wait: Duration) -> Result<(), Fault> {
    Err(Fault::Other(format!(
        "the {NAME} is locked by the system, not by awskeep"
    )))
}
