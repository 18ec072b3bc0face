//! aws-vault's keys in the system's own keychain: none if it keeps nothing there. Edge;
//! each system has a part of its own here. Only the Linux part was ever run against a
//! real keychain.

pub use system::{BACKEND, items};

use crate::error::{Error, Kind, Result};
use crate::import::sources::aws_vault::Items;
use crate::system::env::Env;

#[cfg(target_os = "linux")]
mod system {
    use std::time::Duration;

    use super::*;
    use crate::store::error::StoreError;
    use crate::store::keychain::opening;
    use crate::types::store_kind::StoreKind;

    /// What aws-vault calls it.
    pub const BACKEND: &str = "secret-service";

    /// How long the keychain may take for all of it.
    const WAIT: Duration = Duration::from_secs(10);

    pub fn items(env: &Env) -> Result<Option<Items>> {
        let name = env
            .var("AWS_VAULT_SECRET_SERVICE_COLLECTION_NAME")
            .unwrap_or("awsvault");
        match opening::items_of_collection(env, name, WAIT) {
            Ok(items) => Ok(Some(items)),
            Err(StoreError::Absent(_)) => Ok(None),
            Err(StoreError::Locked(_)) => Err(Error::new(
                Kind::Store,
                format!("aws-vault's collection {name} is locked"),
            )
            .hint("aws-vault list, which unlocks it, then run this again")),
            Err(other) => Err(other.failure(StoreKind::Keychain, None)),
        }
    }
}

#[cfg(target_os = "macos")]
mod system {
    use security_framework::item::{ItemClass, ItemSearchOptions, Limit};
    use security_framework::os::macos::keychain::SecKeychain;
    use zeroize::Zeroizing;

    use super::*;

    /// What aws-vault calls it.
    pub const BACKEND: &str = "keychain";

    /// The service of its items.
    const SERVICE: &str = "aws-vault";

    pub fn items(env: &Env) -> Result<Option<Items>> {
        let name = env.var("AWS_VAULT_KEYCHAIN_NAME").unwrap_or("aws-vault");
        let home = env.folders.home.clone().unwrap_or_default();
        let path = home.join(format!("Library/Keychains/{name}.keychain-db"));
        let odd = |error: security_framework::base::Error| {
            Error::new(Kind::Store, format!("{} cannot be read", path.display()))
                .cause(error)
                .hint("aws-vault list, which unlocks it, then run this again")
        };
        if !path.exists() {
            return Ok(None);
        }
        let keychain = SecKeychain::open(&path).map_err(odd)?;
        let mut search = ItemSearchOptions::new();
        search
            .keychains(std::slice::from_ref(&keychain))
            .class(ItemClass::generic_password())
            .service(SERVICE)
            .load_attributes(true)
            .limit(Limit::All);
        let mut items = Items::new();
        for found in search.search().map_err(odd)? {
            let attributes = found.simplify_dict().unwrap_or_default();
            let Some(name) = attributes.get("acct") else {
                continue;
            };
            if super::super::is_session(name) {
                continue;
            }
            let (secret, _) = keychain.find_generic_password(SERVICE, name).map_err(odd)?;
            items.push((name.clone(), Zeroizing::new(secret.as_ref().to_vec())));
        }
        Ok(Some(items))
    }
}

#[cfg(windows)]
mod system {
    use std::collections::HashMap;

    use zeroize::Zeroizing;

    use super::*;

    /// What aws-vault calls it.
    pub const BACKEND: &str = "wincred";

    /// What stands before a profile's name in the target of an item.
    const BEFORE: &str = "aws-vault:aws-vault:";

    pub fn items(_: &Env) -> Result<Option<Items>> {
        let odd = |error: keyring_core::Error| {
            Error::new(Kind::Store, "Credential Manager cannot be read").cause(error)
        };
        if let Err(error) = keyring::Entry::store_status() {
            return Err(
                Error::new(Kind::Store, "Credential Manager cannot be opened").cause(error),
            );
        }
        let Some(store) = keyring_core::get_default_store() else {
            return Ok(None);
        };
        let pattern = format!("^{BEFORE}");
        let found = store
            .search(&HashMap::from([("pattern", pattern.as_str())]))
            .map_err(odd)?;
        let mut items = Items::new();
        for entry in found {
            let attributes = entry.get_attributes().map_err(odd)?;
            let target = attributes.get("target_name");
            if let Some(name) = target.and_then(|target| target.strip_prefix(BEFORE)) {
                let secret = entry.get_secret().map_err(odd)?;
                items.push((name.to_owned(), Zeroizing::new(secret)));
            }
        }
        Ok((!items.is_empty()).then_some(items))
    }
}
