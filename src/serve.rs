//! The hot path: one item of the store becomes one JSON object on stdout.
//!
//! Synchronous, and small on purpose: no network, no AWS code, no AWS files, no
//! command-line parser, nothing written, never a prompt. `Expiration` counts from
//! a time taken before the item is read, so that a promote in between can only
//! make the credential's promise shorter than the old key's life, never longer.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::store::Vault;
use crate::store::item;
use crate::store::item::{Served, ToServe};
use crate::system::env::Clock;
use crate::types::keys::{AccountId, EntryName};
use crate::types::lease;
use crate::types::time::Timestamp;

/// How often a slow read may start over before the clock is called broken.
const MOST_READS: usize = 3;

/// The JSON object and newline that SDKs expect.
///
/// # Errors
/// `Kind::NotFound` if there is no such entry; `Kind::Store` if the store is
/// missing, locked, denied, frozen, or holds something that cannot be served.
pub fn answer(vault: &Vault, entry: &EntryName, clock: &Clock) -> Result<Zeroizing<Vec<u8>>> {
    for _ in 0..MOST_READS {
        let read_from = clock.now();
        let served = read(vault, entry, read_from)?;
        let expiration = lease::expiration(read_from, served.lease);
        let json = render(&served, expiration)?;
        if lease::enough_left(expiration, clock.now()) {
            return Ok(json);
        }
    }
    Err(Error::new(
        Kind::Failed,
        "the clock jumps: a credential was old as soon as it was read",
    )
    .hint("check this machine's clock"))
}

fn read(vault: &Vault, entry: &EntryName, now: Timestamp) -> Result<Served> {
    let alias = match read_one(vault, entry)? {
        ToServe::Key(served) => return Ok(served),
        ToServe::RenamedTo(alias) => alias,
    };
    let renamed = format!("entry {entry} was renamed to {}", alias.renamed_to);
    let hint = format!(
        "use {} in the profile's credential_process",
        alias.renamed_to
    );
    if now > alias.until {
        return Err(Error::new(Kind::NotFound, renamed).hint(hint));
    }
    match read_one(vault, &alias.renamed_to)? {
        ToServe::Key(served) => Ok(served),
        ToServe::RenamedTo(_) => {
            Err(Error::new(Kind::NotFound, format!("{renamed}, and again since")).hint(hint))
        }
    }
}

fn read_one(vault: &Vault, entry: &EntryName) -> Result<ToServe> {
    let bytes = vault
        .bytes(entry)
        .map_err(|fault| fault.failure(vault.kind, Some(entry)))?;
    item::to_serve(entry, &bytes)
}

/// Source: AWS SDKs and Tools Reference Guide, "Process credential provider".
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<AccountId>,
    expiration: String,
}

fn render(served: &Served, expiration: Timestamp) -> Result<Zeroizing<Vec<u8>>> {
    let answer = Answer {
        version: 1,
        access_key_id: served.current.id.as_str(),
        secret_access_key: served.current.secret.expose(),
        account_id: served
            .identity
            .as_ref()
            .map(|identity| identity.arn.account()),
        expiration: expiration.to_string(),
    };
    // Large enough from the start: growing would leave a copy of the secret behind.
    let mut json = Zeroizing::new(Vec::with_capacity(1_024));
    serde_json::to_writer(&mut *json, &answer).map_err(|error| {
        Error::new(Kind::Bug, "the credential cannot be written as JSON").cause(error)
    })?;
    json.push(b'\n');
    Ok(json)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;
    use std::time::Duration;

    use super::*;
    use crate::store::Deadline;
    use crate::store::item::{Identity, Item};
    use crate::types::keys::AccessKey;
    use crate::types::store_kind::StoreKind;
    use crate::types::time::Span;

    const NOW: i64 = 1_795_420_800;

    fn vault() -> Vault {
        let store = keyring_core::mock::Store::new().unwrap();
        Vault::new(
            StoreKind::Keychain,
            store,
            Deadline::PerCall(Duration::from_secs(2)),
        )
    }

    fn clock() -> Clock {
        Clock::Set(Arc::new(AtomicI64::new(NOW)))
    }

    fn work() -> EntryName {
        "work".parse().unwrap()
    }

    fn item() -> Item {
        let key = AccessKey::from_pasted("AKIAIOSFODNN7EXAMPLE", "se/cret+EXAMPLE").unwrap();
        Item::new(work(), key, Timestamp(NOW))
    }

    fn answered(vault: &Vault) -> String {
        String::from_utf8(answer(vault, &work(), &clock()).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn an_item_becomes_one_json_object() {
        let vault = vault();
        let mut item = item();
        vault.save(&item).unwrap();
        assert_eq!(
            answered(&vault),
            "{\"Version\":1,\"AccessKeyId\":\"AKIAIOSFODNN7EXAMPLE\",\"SecretAccessKey\":\"se/cret+EXAMPLE\",\
             \"Expiration\":\"2026-11-23T09:00:00Z\"}\n"
        );
        item.identity = Some(Identity {
            arn: "arn:aws:iam::123456789012:user/bob"
                .to_owned()
                .try_into()
                .unwrap(),
            user_id: "AIDA".into(),
        });
        item.lease = Span::minutes(1);
        vault.save(&item).unwrap();
        assert_eq!(
            answered(&vault),
            "{\"Version\":1,\"AccessKeyId\":\"AKIAIOSFODNN7EXAMPLE\",\"SecretAccessKey\":\"se/cret+EXAMPLE\",\
             \"AccountId\":\"123456789012\",\"Expiration\":\"2026-11-23T08:21:00Z\"}\n"
        );
    }

    #[test]
    fn an_old_name_answers_until_its_time_is_over() {
        let vault = vault();
        let mut item = item();
        item.entry = "new".parse().unwrap();
        vault.save(&item).unwrap();
        vault
            .save_alias(&work(), &item.entry, Timestamp(NOW))
            .unwrap();
        assert!(answered(&vault).contains("AKIAIOSFODNN7EXAMPLE"));
        vault
            .save_alias(&work(), &item.entry, Timestamp(NOW - 1))
            .unwrap();
        let failure = answer(&vault, &work(), &clock()).unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound);
        assert_eq!(failure.message, "entry work was renamed to new");
    }

    #[test]
    fn nothing_there_is_not_found() {
        let failure = answer(&vault(), &work(), &clock()).unwrap_err();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (Kind::NotFound, "no entry work in the keychain")
        );
    }
}
