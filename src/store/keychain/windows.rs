//! Windows' Credential Manager, through the keyring crate. Edge.
//!
//! Two of its defaults are not ours: items roam with the profile to other
//! machines, and `a.b` + `c` has the same target name as `a` + `b.c`. So each item
//! gets the target `awskeep:ENTRY` and stays on this machine.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::api::{CredentialApi, CredentialStoreApi};
use keyring_core::{Credential, CredentialStore, Entry, Error, Result};

use crate::store::Deadline;
use crate::store::error::StoreError;
use crate::system::env::Env;

/// Credential Manager; it has no bus and no deadline of its own.
///
/// # Errors
/// `StoreError::Absent` if it could not be opened.
pub fn open(
    _machine: &Env,
    _deadline: Deadline,
) -> std::result::Result<Arc<CredentialStore>, StoreError> {
    if let Err(error) = keyring::Entry::store_status() {
        return Err(StoreError::Absent(error.to_string()));
    }
    let inner = keyring_core::get_default_store()
        .ok_or_else(|| StoreError::Absent("Credential Manager could not be opened".into()))?;
    Ok(Arc::new(Targeted { inner }))
}

/// The store beneath, with targets and persistence that are ours.
#[derive(Debug)]
struct Targeted {
    inner: Arc<CredentialStore>,
}

impl CredentialStoreApi for Targeted {
    fn vendor(&self) -> String {
        self.inner.vendor()
    }

    fn id(&self) -> String {
        self.inner.id()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        _modifiers: Option<&HashMap<&str, &str>>,
    ) -> Result<Entry> {
        let target = format!("{service}:{user}");
        let modifiers = HashMap::from([("target", target.as_str()), ("persistence", "Local")]);
        let inner = self.inner.build(service, user, Some(&modifiers))?;
        Ok(named(inner, service, user))
    }

    /// Every item of a service; the names come from the targets.
    fn search(&self, spec: &HashMap<&str, &str>) -> Result<Vec<Entry>> {
        let service = spec
            .get("service")
            .ok_or_else(|| Error::Invalid("service".into(), "is missing".into()))?;
        let prefix = format!("{service}:");
        let pattern = format!("^{prefix}");
        let spec = HashMap::from([("pattern", pattern.as_str())]);
        let mut entries = Vec::new();
        for entry in self.inner.search(&spec)? {
            let attributes = match entry.get_attributes() {
                Ok(attributes) => attributes,
                // Deleted since it was listed.
                Err(Error::NoEntry) => continue,
                Err(error) => return Err(error),
            };
            let target = attributes.get("target_name");
            if let Some(user) = target.and_then(|target| target.strip_prefix(&prefix)) {
                entries.push(self.build(service, user, None)?);
            }
        }
        Ok(entries)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The store beneath forgets service and user where a target is given.
fn named(inner: Entry, service: &str, user: &str) -> Entry {
    Entry::new_with_credential(Arc::new(Named {
        inner,
        service: service.to_owned(),
        user: user.to_owned(),
    }))
}

#[derive(Debug)]
struct Named {
    inner: Entry,
    service: String,
    user: String,
}

impl CredentialApi for Named {
    fn set_secret(&self, secret: &[u8]) -> Result<()> {
        self.inner.set_secret(secret)
    }

    fn get_secret(&self) -> Result<Vec<u8>> {
        self.inner.get_secret()
    }

    fn delete_credential(&self) -> Result<()> {
        self.inner.delete_credential()
    }

    fn get_credential(&self) -> Result<Option<Arc<Credential>>> {
        // A target is unique, so this stands for the item itself, if there is one.
        self.inner.get_attributes().map(|_| None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        Some((self.service.clone(), self.user.clone()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
