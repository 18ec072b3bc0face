//! The operating system's keychain as a keyring-core store: Secret Service on
//! Linux, the login keychain on macOS, Credential Manager on Windows. Edge.
//!
//! It picks by platform and nothing else: no fallback, no environment.

#[cfg(target_os = "linux")]
mod address;
#[cfg(target_os = "linux")]
mod errors;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "linux")]
mod marshal;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod provider;
#[cfg(target_os = "linux")]
mod secret_service;
#[cfg(target_os = "linux")]
mod unmarshal;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
mod wire;
#[cfg(all(test, target_os = "linux"))]
mod wire_tests;
#[cfg(target_os = "linux")]
mod zbus_connection;

#[cfg(target_os = "linux")]
pub use self::address::BusAddress;
#[cfg(target_os = "linux")]
pub use self::secret_service::SecretServiceStore;

#[cfg(target_os = "macos")]
pub use self::macos::{forbid_prompts, open};
#[cfg(windows)]
pub use self::windows::open;

pub mod opening;

#[cfg(target_os = "linux")]
use std::sync::Arc;

#[cfg(target_os = "linux")]
use keyring_core::CredentialStore;

#[cfg(target_os = "linux")]
use crate::store::Deadline;
use crate::store::error::StoreError;
#[cfg(target_os = "linux")]
use crate::system::env::Env;

/// Which collections were opened, and which stay locked, as people call them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unlocked {
    pub opened: Vec<String>,
    pub still_locked: Vec<String>,
}

/// The keychain of this platform. `deadline` is Linux's only: elsewhere the caller
/// bounds each call. Opening does not talk to it.
///
/// # Errors
/// `StoreError::Absent` if there is none.
#[cfg(target_os = "linux")]
pub fn open(env: &Env, deadline: Deadline) -> Result<Arc<CredentialStore>, StoreError> {
    let address = BusAddress::of_session(env)?;
    Ok(Arc::new(SecretServiceStore::new(address, deadline)))
}

/// Keeps the system from showing a dialog of its own for as long as this process
/// lives: a helper that waits for a click freezes whatever called it.
#[cfg(not(target_os = "macos"))]
pub fn forbid_prompts() {}
