//! The encrypted file behind keyring-core's traits: one age file per entry. Edge.

use std::any::Any;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::Arc;

use keyring_core::api::{Credential, CredentialApi, CredentialStoreApi};
use keyring_core::{Entry, Result};

use crate::store::SERVICE;
use crate::store::error::StoreError;
use crate::store::file::identity;
use crate::store::file::identity::Unreadable;
use crate::store::file::{
    ENTRIES, FileStore, MOST_BYTES, disk_fault, io_fault, names, only_ours, read_own,
};
use crate::system::disk;
use crate::types::keys::EntryName;

/// The place of an entry or of its MFA session, whether or not something is there.
#[derive(Debug, Clone)]
struct FileEntry {
    store: FileStore,
    user: String,
    file: String,
}

impl CredentialStoreApi for FileStore {
    fn vendor(&self) -> String {
        "awskeep encrypted file".into()
    }

    fn id(&self) -> String {
        self.folder.display().to_string()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        modifiers: Option<&HashMap<&str, &str>>,
    ) -> Result<Entry> {
        if service != SERVICE || modifiers.is_some_and(|m| !m.is_empty()) {
            let what = format!("the file holds items of {SERVICE} only, without modifiers");
            return Err(StoreError::Unfit(what).into());
        }
        self.entry(user)
            .ok_or_else(|| StoreError::Unfit(format!("{user:?} is not an entry's name")).into())
    }

    /// Lists the folder, which a closed file allows too. Knows `service` and `user`.
    fn search(&self, spec: &HashMap<&str, &str>) -> Result<Vec<Entry>> {
        if let Some(other) = spec.keys().find(|key| !["service", "user"].contains(key)) {
            return Err(StoreError::Unfit(format!("the file cannot search for {other}")).into());
        }
        if spec.get("service").is_some_and(|name| *name != SERVICE) {
            return Ok(Vec::new());
        }
        let mut found = self.entry_names()?;
        if let Some(user) = spec.get("user") {
            found.retain(|entry| entry.as_str() == *user);
        }
        Ok(found
            .iter()
            .filter_map(|entry| self.entry(entry.as_str()))
            .collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl FileStore {
    fn entry(&self, user: &str) -> Option<Entry> {
        let place = FileEntry {
            store: self.clone(),
            user: user.to_owned(),
            file: names::of_user(user)?,
        };
        Some(Entry::new_with_credential(Arc::new(place)))
    }

    fn entry_names(&self) -> std::result::Result<Vec<EntryName>, StoreError> {
        self.check_folder()?;
        if !self.exists()? {
            return Err(super::missing());
        }
        let path = self.path(ENTRIES);
        let fault = |error: &io::Error| io_fault("read", &path, error);
        let listing = match fs::read_dir(&path) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fault(&error)),
        };
        let mut found = Vec::new();
        for file in listing {
            let file = file.map_err(|error| fault(&error))?;
            found.extend(file.file_name().to_str().and_then(names::entry_of));
        }
        found.sort();
        Ok(found)
    }
}

impl FileEntry {
    fn path(&self) -> std::path::PathBuf {
        self.store.path(ENTRIES).join(&self.file)
    }

    fn check_entries(&self) -> std::result::Result<(), StoreError> {
        let path = self.store.path(ENTRIES);
        match fs::symlink_metadata(&path) {
            Ok(there) => only_ours(&path, &there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_fault("read", &path, &error)),
        }
    }

    fn get(&self) -> std::result::Result<Vec<u8>, StoreError> {
        let key = self.store.key()?;
        self.check_entries()?;
        let sealed = read_own(&self.path())?.ok_or(StoreError::NoEntry)?;
        let shown = self.path().display().to_string();
        let mut plain =
            identity::decrypt_with(&key.identity, &sealed).map_err(|why| match why {
                Unreadable::NotForUs => {
                    StoreError::Corrupt(format!("{shown} is encrypted to another identity"))
                }
                Unreadable::WrongPassphrase | Unreadable::Damaged => {
                    StoreError::Corrupt(format!("{shown} is damaged"))
                }
            })?;
        Ok(std::mem::take(&mut *plain))
    }

    /// Encrypts to the opened key, not to what `recipient.txt` says.
    fn set(&self, secret: &[u8]) -> std::result::Result<(), StoreError> {
        let key = self.store.key()?;
        if secret.len() as u64 > MOST_BYTES / 2 {
            let most = MOST_BYTES / 2;
            return Err(StoreError::Unfit(format!("more than {most} bytes")));
        }
        let sealed = identity::encrypt_to(&key.identity.to_public(), secret)
            .ok_or_else(|| StoreError::Other("the item could not be encrypted".into()))?;
        disk::private_dir(&self.store.path(ENTRIES)).map_err(|f| disk_fault(&f))?;
        self.check_entries()?;
        disk::write_atomic(&self.path(), &sealed, 0o600).map_err(|f| disk_fault(&f))
    }

    fn delete(&self) -> std::result::Result<(), StoreError> {
        self.store.check_folder()?;
        self.check_entries()?;
        match disk::remove(&self.path()) {
            Ok(true) => Ok(()),
            Ok(false) if !self.store.exists()? => Err(super::missing()),
            Ok(false) => Err(StoreError::NoEntry),
            Err(failure) => Err(disk_fault(&failure)),
        }
    }
}

impl CredentialApi for FileEntry {
    fn set_secret(&self, secret: &[u8]) -> Result<()> {
        Ok(self.set(secret)?)
    }

    fn get_secret(&self) -> Result<Vec<u8>> {
        Ok(self.get()?)
    }

    fn delete_credential(&self) -> Result<()> {
        Ok(self.delete()?)
    }

    fn get_credential(&self) -> Result<Option<Arc<Credential>>> {
        let there = fs::exists(self.path());
        match there.map_err(|error| io_fault("read", &self.path(), &error))? {
            true => Ok(None),
            false => Err(StoreError::NoEntry.into()),
        }
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        Some((SERVICE.into(), self.user.clone()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn debug_fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}
