//! Unlocking and locking the keychain, for `awskeep store unlock` and `lock`: the
//! only place where the system's own window may come up. Edge.

use std::time::Duration;

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
pub fn unlock(bus_address: Option<&str>, wait: Duration) -> Result<(), Fault> {
    store(bus_address, wait)?.unlock(wait)
}

/// Locks the keychain's default collection.
#[cfg(target_os = "linux")]
pub fn lock(bus_address: Option<&str>, wait: Duration) -> Result<(), Fault> {
    store(bus_address, wait)?.lock()
}

/// Labels and secrets of another program's collection, to be imported.
///
/// # Errors
/// `Fault::Absent` if there is no such collection, `Fault::Locked` if it is locked.
#[cfg(target_os = "linux")]
pub fn items_of_collection(
    bus_address: Option<&str>,
    name: &str,
    wait: Duration,
) -> Result<super::secret_service::Labelled, Fault> {
    store(bus_address, wait)?.items_of_collection(name)
}

#[cfg(target_os = "linux")]
fn store(bus_address: Option<&str>, wait: Duration) -> Result<super::SecretServiceStore, Fault> {
    let uid = rustix::process::geteuid().as_raw();
    Ok(super::SecretServiceStore::new(
        super::BusAddress::find(bus_address, uid)?,
        Deadline::PerCall(wait),
    ))
}

#[cfg(not(target_os = "linux"))]
pub fn unlock(_bus_address: Option<&str>, _wait: Duration) -> Result<(), Fault> {
    Err(Fault::Other(format!(
        "the {NAME} opens with your login; there is nothing to unlock here"
    )))
}

#[cfg(not(target_os = "linux"))]
pub fn lock(_bus_address: Option<&str>, _wait: Duration) -> Result<(), Fault> {
    Err(Fault::Other(format!(
        "the {NAME} is locked by the system, not by awskeep"
    )))
}
