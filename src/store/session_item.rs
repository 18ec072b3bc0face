//! An MFA session as it is kept beside its entry until the rotation that it was
//! opened for is over. An item of its own, so that the entry's item stays small and
//! the helper reads no more than it must. Pure.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::store::item;
use crate::store::item::{Identity, MAX_BYTES};
use crate::types::keys::{AccessKeyId, EntryName, Secret};
use crate::types::time::Timestamp;

/// The format that this program writes, and the only one that it reads.
const VERSION: u32 = 1;

/// What its store calls it begins with; `~` is in no entry's name.
pub(super) const PREFIX: &str = "mfa-session~";

/// What stands in the place of a session where a store cannot delete unasked.
pub(super) const ERASED: &[u8] = b"{}";

/// What GetSessionToken gave, and whose it is.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptSession {
    v: u32,
    /// Set by whoever stores it; what lies under another name is not that entry's.
    entry: Option<EntryName>,
    /// An entry may get another user's key: the session is not for that one.
    pub identity: Identity,
    pub id: AccessKeyId,
    #[serde(serialize_with = "Secret::expose_for_store")]
    pub secret: Secret,
    #[serde(serialize_with = "Secret::expose_for_store")]
    pub token: Secret,
    pub expires_at: Timestamp,
}

impl KeptSession {
    pub fn new(
        identity: Identity,
        id: AccessKeyId,
        secret: Secret,
        token: Secret,
        expires_at: Timestamp,
    ) -> KeptSession {
        KeptSession {
            v: VERSION,
            entry: None,
            identity,
            id,
            secret,
            token,
            expires_at,
        }
    }
}

/// What a store calls the session of an entry.
pub(super) fn user_of(entry: &EntryName) -> String {
    format!("{PREFIX}{entry}")
}

/// # Errors
/// `Kind::Store` if it is larger than every store takes: tokens have no largest size.
pub(super) fn encode(entry: &EntryName, session: KeptSession) -> Result<Zeroizing<Vec<u8>>> {
    let named = KeptSession {
        entry: Some(entry.clone()),
        ..session
    };
    let bytes = Zeroizing::new(item::to_json(&named)?);
    if bytes.len() > MAX_BYTES {
        let size = bytes.len();
        return Err(Error::new(
            Kind::Store,
            format!(
                "the MFA session of {entry} would take {size} bytes; every store takes {MAX_BYTES}"
            ),
        ));
    }
    Ok(bytes)
}

/// None for bytes that this program cannot read, or that are another entry's: a new code
/// opens another session.
pub(super) fn decode(entry: &EntryName, bytes: &[u8]) -> Option<KeptSession> {
    let session: KeptSession = serde_json::from_slice(bytes).ok()?;
    let ours = session.v == VERSION && session.entry.as_ref() == Some(entry);
    ours.then_some(KeptSession {
        entry: None,
        ..session
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(token: &str) -> KeptSession {
        let identity = Identity {
            arn: "arn:aws:iam::123456789012:user/bob"
                .to_owned()
                .try_into()
                .unwrap(),
            user_id: "AIDAEXAMPLE".into(),
        };
        KeptSession::new(
            identity,
            "ASIAIOSFODNN7EXAMPLE".parse().unwrap(),
            Secret::new("secret".into()),
            Secret::new(token.into()),
            Timestamp(9),
        )
    }

    #[test]
    fn a_session_comes_back_and_damage_counts_as_none() {
        let entry: EntryName = "work".parse().unwrap();
        let bytes = encode(&entry, session("token")).unwrap();
        assert_eq!(decode(&entry, &bytes), Some(session("token")));
        assert_eq!(decode(&"prod".parse().unwrap(), &bytes), None);
        let newer = String::from_utf8_lossy(&bytes).replacen("\"v\":1", "\"v\":2", 1);
        for bytes in [newer.as_bytes(), b"", b"{}"] {
            assert_eq!(decode(&entry, bytes), None);
        }
        let large = encode(&entry, session(&"t".repeat(3_000))).unwrap_err();
        assert_eq!(large.kind, Kind::Store);
    }

    #[test]
    fn no_entry_can_have_a_sessions_name() {
        let entry: EntryName = "work".parse().unwrap();
        assert!(user_of(&entry).parse::<EntryName>().is_err());
    }
}
