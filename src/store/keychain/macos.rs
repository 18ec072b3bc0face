//! The login keychain of macOS, through the keyring crate. Edge.

use std::sync::{Arc, OnceLock};

use keyring_core::CredentialStore;
use security_framework::os::macos::keychain::{KeychainUserInteractionLock, SecKeychain};

use crate::store::Deadline;
use crate::store::error::StoreError;
use crate::system::env::Env;

/// The login keychain; it has no bus and no deadline of its own.
///
/// # Errors
/// `StoreError::Absent` if it could not be opened.
pub fn open(_machine: &Env, _deadline: Deadline) -> Result<Arc<CredentialStore>, StoreError> {
    if let Err(error) = keyring::Entry::store_status() {
        return Err(StoreError::Absent(error.to_string()));
    }
    keyring_core::get_default_store()
        .ok_or_else(|| StoreError::Absent("the login keychain could not be opened".into()))
}

/// Keeps the system from showing a dialog of its own for as long as this process
/// lives: a helper that waits for a click freezes whatever called it.
pub fn forbid_prompts() {
    static GUARD: OnceLock<Option<KeychainUserInteractionLock>> = OnceLock::new();
    // If the system refuses, its dialog is still bounded by the vault's deadline.
    GUARD.get_or_init(|| SecKeychain::disable_user_interaction().ok());
}
