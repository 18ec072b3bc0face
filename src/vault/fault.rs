//! How a store fails, told apart: every case has its own words, exit code and
//! hint. Pure.
//!
//! Stores report a `Fault` through keyring-core's `Error`; `Fault::of` takes it
//! out again. Two of keyring-core's own errors carry the secret's bytes and print
//! them: those are replaced here and never formatted.

use keyring_core::Error as KeyringError;

use super::StoreKind;
use crate::failure::{Failure, Kind};
use crate::keys::EntryName;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such store here: no bus, no provider, no file yet.
    #[error("{0}")]
    Absent(String),
    /// The store is there, but locked.
    #[error("{0}")]
    Locked(String),
    /// The person or the system refused access.
    #[error("{0}")]
    Denied(String),
    /// The store works and has no such entry.
    #[error("no such item")]
    NoEntry,
    /// What is stored cannot be read.
    #[error("{0}")]
    Corrupt(String),
    /// It did not answer in time.
    #[error("no answer within {0} s")]
    Frozen(String),
    /// It went away in the middle of a call, twice.
    #[error("{0}")]
    Died(String),
    /// The store says that it cannot hold this (size, form).
    #[error("{0}")]
    Unfit(String),
    /// Anything else, in the store's own words.
    #[error("{0}")]
    Other(String),
}

impl From<Fault> for KeyringError {
    fn from(fault: Fault) -> KeyringError {
        match fault {
            Fault::NoEntry => KeyringError::NoEntry,
            Fault::Locked(_) | Fault::Denied(_) => KeyringError::NoStorageAccess(Box::new(fault)),
            Fault::Absent(_)
            | Fault::Corrupt(_)
            | Fault::Frozen(_)
            | Fault::Died(_)
            | Fault::Unfit(_)
            | Fault::Other(_) => KeyringError::PlatformFailure(Box::new(fault)),
        }
    }
}

impl Fault {
    /// The fault behind a keyring-core error, whichever store made it.
    pub fn of(error: KeyringError) -> Fault {
        match error {
            KeyringError::NoEntry => Fault::NoEntry,
            KeyringError::PlatformFailure(source) => match source.downcast::<Fault>() {
                Ok(fault) => *fault,
                Err(source) => platform_fault(source.as_ref()),
            },
            KeyringError::NoStorageAccess(source) => match source.downcast::<Fault>() {
                Ok(fault) => *fault,
                Err(source) => Fault::Locked(source.to_string()),
            },
            KeyringError::BadEncoding(_)
            | KeyringError::BadDataFormat(_, _)
            | KeyringError::BadStoreFormat(_) => {
                Fault::Corrupt("the stored bytes cannot be read".into())
            }
            KeyringError::TooLong(what, limit) => Fault::Unfit(format!(
                "{what} is longer than the {limit} bytes that this store takes"
            )),
            KeyringError::Ambiguous(_) => {
                Fault::Corrupt("the store has two items of this name; remove one".into())
            }
            KeyringError::NoDefaultStore => Fault::Absent("no store could be opened".into()),
            KeyringError::Invalid(what, why) => Fault::Unfit(format!("{what}: {why}")),
            KeyringError::NotSupportedByStore(what) => Fault::Other(what),
            _ => Fault::Other("the store failed in a way that is not known here".into()),
        }
    }

    /// The failure that a person and a script see.
    pub fn failure(&self, store: StoreKind, entry: Option<&EntryName>) -> Failure {
        let of = entry.map_or(String::new(), |entry| {
            format!(", needed for entry {entry},")
        });
        let it = format!("the {store}{of}");
        let choose = "awskeep store list";
        match self {
            Fault::NoEntry => {
                let named = entry.map_or_else(|| "(unnamed)".to_owned(), ToString::to_string);
                Failure::new(Kind::NotFound, format!("no entry {named} in the {store}"))
                    .hint("awskeep list")
            }
            Fault::Absent(_) => Failure::new(Kind::Store, format!("{it} is not there"))
                .cause(self)
                .hint(choose),
            Fault::Locked(_) => Failure::new(Kind::Store, format!("{it} is locked"))
                .cause(self)
                .hint("awskeep store unlock"),
            Fault::Denied(_) => Failure::new(Kind::Store, format!("{it} denied access"))
                .cause(self)
                .hint(choose),
            Fault::Frozen(_) => Failure::new(Kind::Store, format!("{it} does not answer"))
                .cause(self)
                .hint("restart the keychain's daemon, then: awskeep store list"),
            Fault::Died(_) => Failure::new(
                Kind::Store,
                format!("{it} went away in the middle of a call"),
            )
            .cause(self)
            .hint("awskeep store unlock"),
            Fault::Corrupt(_) => Failure::new(Kind::Store, format!("{it} holds something damaged"))
                .cause(self)
                .hint(match entry {
                    Some(entry) => format!("awskeep add {entry} --replace"),
                    None => choose.into(),
                }),
            Fault::Unfit(_) | Fault::Other(_) => Failure::new(Kind::Store, format!("{it} failed"))
                .cause(self)
                .hint(choose),
        }
    }
}

/// macOS reports a locked or refused keychain as a platform failure with a code.
/// Source: `SecBase.h`; -25308 interaction not allowed, -25293 auth failed, -128 cancelled.
#[cfg(target_os = "macos")]
fn platform_fault(source: &(dyn std::error::Error + Send + Sync + 'static)) -> Fault {
    let text = source.to_string();
    match source
        .downcast_ref::<security_framework::base::Error>()
        .map(|e| e.code())
    {
        Some(-25308) => Fault::Locked(text),
        Some(-25293 | -128) => Fault::Denied(text),
        _ => Fault::Other(text),
    }
}

#[cfg(not(target_os = "macos"))]
fn platform_fault(source: &(dyn std::error::Error + Send + Sync + 'static)) -> Fault {
    Fault::Other(source.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_way_through_keyring_core() {
        for fault in [
            Fault::Absent("no bus".into()),
            Fault::Locked("login".into()),
            Fault::Denied("no".into()),
            Fault::NoEntry,
            Fault::Corrupt("x".into()),
            Fault::Frozen("2.5".into()),
            Fault::Died("NoReply".into()),
            Fault::Unfit("too long".into()),
            Fault::Other("?".into()),
        ] {
            assert_eq!(Fault::of(KeyringError::from(fault.clone())), fault);
        }
    }

    #[test]
    fn errors_that_carry_the_secret_lose_it() {
        let fault = Fault::of(KeyringError::BadEncoding(b"wJalrSECRET".to_vec()));
        let shown = fault.failure(StoreKind::Keychain, None).to_string();
        assert!(!shown.contains("SECRET") && !format!("{fault:?}").contains("SECRET"));
    }

    #[test]
    fn every_fault_has_its_exit_code_and_a_hint() {
        let entry: EntryName = "work".parse().unwrap();
        for (fault, code) in [
            (Fault::NoEntry, 3),
            (Fault::Absent("a".into()), 4),
            (Fault::Locked("a".into()), 4),
            (Fault::Denied("a".into()), 4),
            (Fault::Corrupt("a".into()), 4),
            (Fault::Frozen("2.5".into()), 4),
            (Fault::Died("a".into()), 4),
        ] {
            let failure = fault.failure(StoreKind::Keychain, Some(&entry));
            assert_eq!(failure.kind.exit_code(), code, "{fault:?}");
            assert_eq!(failure.hints.len(), 1, "{fault:?}");
        }
    }
}
