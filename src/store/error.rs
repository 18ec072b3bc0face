//! How a store fails, told apart: every case has its own words, exit code and
//! hint. Pure.
//!
//! Stores report a `StoreError` through keyring-core's `Error`; `StoreError::of` takes it
//! out again. Two of keyring-core's own errors carry the secret's bytes and print
//! them: those are replaced here and never formatted.

use std::time::Duration;

use keyring_core::Error as KeyringError;

use crate::error::{Error, Kind};
use crate::types::keys::EntryName;
use crate::types::store_kind::StoreKind;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such store here: no bus, no provider, no file yet.
    #[error("{0}")]
    Absent(String),
    /// The store is there, but locked.
    #[error("{0}")]
    Locked(String),
    /// The person or the system refused access.
    #[error("{0}")]
    Denied(String),
    /// The store is open, yet hands out each item only after a click: asked for in
    /// its own window, once for every program and run. Holds the provider's name.
    #[error("{0} wants each access confirmed")]
    Confirms(String),
    /// Nothing was found, but something is locked that may hold it and does not say.
    #[error("{0}")]
    Hidden(String),
    /// Its own window was closed, or could not be shown.
    #[error("{0}")]
    Dismissed(String),
    /// Its own window came up, and nobody answered it in time.
    #[error("{0}")]
    Unanswered(String),
    /// It works, but has no place that keeps anything. Holds the provider's name.
    #[error("{0} has no collection to keep keys in")]
    NoCollection(String),
    /// It has a place, but one that is lost at logout. Holds the provider's name.
    #[error("the default collection of {0} is in memory only and is lost at logout")]
    MemoryOnly(String),
    /// The store works and has no such entry.
    #[error("no such item")]
    NoEntry,
    /// Several items bear one name, and none is better than another.
    #[error("{0}")]
    Twins(String),
    /// What is stored cannot be read.
    #[error("{0}")]
    Corrupt(String),
    /// It did not answer in time, which is said.
    #[error("no answer {0}")]
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

impl From<StoreError> for KeyringError {
    fn from(fault: StoreError) -> KeyringError {
        match fault {
            StoreError::NoEntry => KeyringError::NoEntry,
            StoreError::Locked(_)
            | StoreError::Confirms(_)
            | StoreError::Hidden(_)
            | StoreError::Dismissed(_)
            | StoreError::Unanswered(_)
            | StoreError::Denied(_) => KeyringError::NoStorageAccess(Box::new(fault)),
            StoreError::Absent(_)
            | StoreError::NoCollection(_)
            | StoreError::MemoryOnly(_)
            | StoreError::Twins(_)
            | StoreError::Corrupt(_)
            | StoreError::Frozen(_)
            | StoreError::Died(_)
            | StoreError::Unfit(_)
            | StoreError::Other(_) => KeyringError::PlatformFailure(Box::new(fault)),
        }
    }
}

impl StoreError {
    /// No answer within this time.
    pub fn frozen(within: Duration) -> StoreError {
        StoreError::Frozen(format!("within {}", seconds(within)))
    }

    /// The same, with the name of the program that stands behind the keychain in it.
    #[must_use]
    pub fn of_provider(self, name: &str) -> StoreError {
        let named = |text: String| match text.contains(name) {
            true => text,
            false => format!("{name}: {text}"),
        };
        match self {
            StoreError::Confirms(_) => StoreError::Confirms(name.to_owned()),
            StoreError::NoCollection(_) => StoreError::NoCollection(name.to_owned()),
            StoreError::MemoryOnly(_) => StoreError::MemoryOnly(name.to_owned()),
            StoreError::Frozen(text) => StoreError::Frozen(match text.contains(name) {
                true => text,
                false => format!("from {name} {text}"),
            }),
            StoreError::Absent(text) => StoreError::Absent(named(text)),
            StoreError::Locked(text) => StoreError::Locked(named(text)),
            StoreError::Denied(text) => StoreError::Denied(named(text)),
            StoreError::Hidden(text) => StoreError::Hidden(named(text)),
            StoreError::Dismissed(text) => StoreError::Dismissed(named(text)),
            StoreError::Unanswered(text) => StoreError::Unanswered(named(text)),
            StoreError::Twins(text) => StoreError::Twins(named(text)),
            StoreError::Corrupt(text) => StoreError::Corrupt(named(text)),
            StoreError::Died(text) => StoreError::Died(named(text)),
            StoreError::Unfit(text) => StoreError::Unfit(named(text)),
            StoreError::Other(text) => StoreError::Other(named(text)),
            StoreError::NoEntry => StoreError::NoEntry,
        }
    }

    /// The fault behind a keyring-core error, whichever store made it.
    pub fn of(error: KeyringError) -> StoreError {
        match error {
            KeyringError::NoEntry => StoreError::NoEntry,
            KeyringError::PlatformFailure(source) => match source.downcast::<StoreError>() {
                Ok(fault) => *fault,
                Err(source) => platform_fault(source.as_ref()),
            },
            KeyringError::NoStorageAccess(source) => match source.downcast::<StoreError>() {
                Ok(fault) => *fault,
                Err(source) => StoreError::Locked(source.to_string()),
            },
            KeyringError::BadEncoding(_)
            | KeyringError::BadDataFormat(_, _)
            | KeyringError::BadStoreFormat(_) => {
                StoreError::Corrupt("the stored bytes cannot be read".into())
            }
            KeyringError::TooLong(what, limit) => StoreError::Unfit(format!(
                "{what} is longer than the {limit} bytes that this store takes"
            )),
            KeyringError::Ambiguous(_) => {
                StoreError::Twins("the store has several items of this name".into())
            }
            KeyringError::NoDefaultStore => StoreError::Absent("no store could be opened".into()),
            KeyringError::Invalid(what, why) => StoreError::Unfit(format!("{what}: {why}")),
            KeyringError::NotSupportedByStore(what) => StoreError::Other(what),
            _ => StoreError::Other("the store failed in a way that is not known here".into()),
        }
    }

    /// The failure that a person and a script see.
    pub fn failure(&self, store: StoreKind, entry: Option<&EntryName>) -> Error {
        let of = entry.map_or(String::new(), |entry| {
            format!(", needed for entry {entry},")
        });
        let it = format!("the {store}{of}");
        let choose = "awskeep store list";
        match self {
            StoreError::NoEntry => {
                let named = entry.map_or_else(|| "(unnamed)".to_owned(), ToString::to_string);
                Error::new(Kind::NotFound, format!("no entry {named} in the {store}"))
                    .hint("awskeep list")
            }
            StoreError::Absent(_) => Error::new(Kind::Store, format!("{it} is not there"))
                .cause(self)
                .hint(choose),
            StoreError::Locked(_) => Error::new(Kind::Store, format!("{it} is locked"))
                .cause(self)
                .hint("awskeep store unlock"),
            StoreError::Confirms(provider) => {
                let failure = Error::new(
                    Kind::Store,
                    format!("{it} wants each access confirmed, which cannot be done for a program"),
                )
                .cause(format!("a setting of {provider}"));
                failure.hint(how_to_trust(provider))
            }
            StoreError::Hidden(_) => {
                let what = match entry {
                    Some(entry) => format!("entry {entry} is in no open part of the {store}"),
                    None => format!("not all entries in the {store} can be seen"),
                };
                Error::new(Kind::Store, what)
                    .cause(self)
                    .hint("awskeep store unlock")
            }
            StoreError::Dismissed(_) => Error::new(Kind::Store, format!("{it} stays locked"))
                .cause(self)
                .hint("awskeep store unlock"),
            StoreError::Unanswered(_) => {
                Error::new(Kind::Store, format!("{it} asked, and nobody answered"))
                    .cause(self)
                    .hint("run it again, and answer the keychain's own window")
            }
            StoreError::NoCollection(provider) => {
                Error::new(Kind::Store, format!("{it} cannot keep anything yet"))
                    .cause(self)
                    .hint(how_to_make_a_collection(provider))
            }
            StoreError::MemoryOnly(provider) => {
                Error::new(Kind::Store, format!("{it} would lose keys at logout"))
                    .cause(self)
                    .hint(how_to_make_a_collection(provider))
            }
            StoreError::Denied(_) => Error::new(Kind::Store, format!("{it} denied access"))
                .cause(self)
                .hint(choose),
            StoreError::Twins(_) => {
                let failure = Error::new(
                    Kind::Store,
                    match entry {
                        Some(entry) => format!("the {store} has several items named {entry}"),
                        None => format!("the {store} has several items of one name"),
                    },
                )
                .cause(self);
                match entry {
                    Some(entry) => failure
                        .hint(format!("keep them all, the older one under another name: awskeep rename {entry} NEW"))
                        .hint(format!("or put one key in the place of all: awskeep add {entry} --replace"))
                        .hint(format!("or remove them all: awskeep remove {entry}")),
                    None => failure.hint("awskeep list"),
                }
            }
            StoreError::Frozen(_) => Error::new(Kind::Store, format!("{it} does not answer"))
                .cause(self)
                .hint("restart the keychain's daemon, then: awskeep store list"),
            StoreError::Died(_) => Error::new(
                Kind::Store,
                format!("{it} went away in the middle of a call"),
            )
            .cause(self)
            .hint("awskeep store unlock"),
            StoreError::Corrupt(_) => {
                Error::new(Kind::Store, format!("{it} holds something damaged"))
                    .cause(self)
                    .hint(match entry {
                        Some(entry) => format!("awskeep add {entry} --replace"),
                        None => choose.into(),
                    })
            }
            StoreError::Unfit(_) | StoreError::Other(_) => {
                Error::new(Kind::Store, format!("{it} failed"))
                    .cause(self)
                    .hint(choose)
            }
        }
    }
}

/// A length of time for people: tenths of a second at most, minutes if they are whole.
pub fn seconds(length: Duration) -> String {
    let tenths = (length.as_millis() + 50) / 100;
    match (tenths / 10, tenths % 10) {
        (60, 0) => "1 minute".to_owned(),
        (whole, 0) if whole > 60 && whole % 60 == 0 => format!("{} minutes", whole / 60),
        (whole, 0) => format!("{whole} s"),
        (whole, tenth) => format!("{whole}.{tenth} s"),
    }
}

/// What a person does in a provider, so that it hands out secrets without a click.
/// KeePassXC's words are those of its 2.7.
fn how_to_trust(provider: &str) -> String {
    match provider {
        KEEPASSXC => {
            "in KeePassXC, open Tools > Settings > Secret Service Integration and turn off \
                      \"Confirm when passwords are retrieved by clients\""
                .to_owned()
        }
        other => format!("turn that off in the settings of {other}, or: awskeep store use file"),
    }
}

/// What a person does to get a collection that lasts.
fn how_to_make_a_collection(provider: &str) -> String {
    match provider {
        KEEPASSXC => {
            "in KeePassXC, open a database, then choose the group that programs may use in \
                      Database > Database Settings > Secret Service Integration"
                .to_owned()
        }
        KWALLET => "make a wallet: kwalletmanager5, then File > New Wallet".to_owned(),
        GNOME_KEYRING => {
            format!("make a login keyring with a password of yours: {UNLOCK_GNOME_KEYRING}")
        }
        other => format!(
            "make a default collection in {other}, or keep keys in an encrypted file: awskeep store use file"
        ),
    }
}

/// The providers that awskeep has words of its own for.
pub const GNOME_KEYRING: &str = "gnome-keyring";
pub const KEEPASSXC: &str = "KeePassXC";
pub const KWALLET: &str = "KWallet";

/// Makes or opens the login keyring where no window can be shown. Tried with 42.1: only
/// `--replace` reaches a keyring whose daemon runs already.
pub const UNLOCK_GNOME_KEYRING: &str =
    "read -rs P && printf %s \"$P\" | gnome-keyring-daemon --replace --unlock; unset P";

/// macOS reports a locked or refused keychain as a platform failure with a code.
/// Source: `SecBase.h`; -25308 interaction not allowed, -25293 auth failed, -128 cancelled.
#[cfg(target_os = "macos")]
fn platform_fault(source: &(dyn std::error::Error + Send + Sync + 'static)) -> StoreError {
    let text = source.to_string();
    match source
        .downcast_ref::<security_framework::base::Error>()
        .map(|e| e.code())
    {
        Some(-25308) => StoreError::Locked(text),
        Some(-25293 | -128) => StoreError::Denied(text),
        _ => StoreError::Other(text),
    }
}

#[cfg(not(target_os = "macos"))]
fn platform_fault(source: &(dyn std::error::Error + Send + Sync + 'static)) -> StoreError {
    StoreError::Other(source.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_way_through_keyring_core() {
        for fault in [
            StoreError::Absent("no bus".into()),
            StoreError::Locked("login".into()),
            StoreError::Denied("no".into()),
            StoreError::Confirms("KeePassXC".into()),
            StoreError::Hidden("other".into()),
            StoreError::Dismissed("closed".into()),
            StoreError::Unanswered("2 minutes".into()),
            StoreError::NoCollection("KWallet".into()),
            StoreError::MemoryOnly("gnome-keyring".into()),
            StoreError::Twins("two".into()),
            StoreError::NoEntry,
            StoreError::Corrupt("x".into()),
            StoreError::Frozen("within 2.5 s".into()),
            StoreError::Died("NoReply".into()),
            StoreError::Unfit("too long".into()),
            StoreError::Other("?".into()),
        ] {
            assert_eq!(StoreError::of(KeyringError::from(fault.clone())), fault);
        }
    }

    #[test]
    fn errors_that_carry_the_secret_lose_it() {
        let fault = StoreError::of(KeyringError::BadEncoding(b"wJalrSECRET".to_vec()));
        let shown = fault.failure(StoreKind::Keychain, None).to_string();
        assert!(!shown.contains("SECRET") && !format!("{fault:?}").contains("SECRET"));
    }

    #[test]
    fn every_fault_has_its_exit_code_its_words_and_a_hint() {
        let check = |fault: StoreError, expected: &str| {
            let entry: EntryName = "work".parse().unwrap();
            let named = fault.of_provider("KeePassXC");
            let failure = named.failure(StoreKind::Keychain, Some(&entry));
            let shown = format!("{} {failure}", failure.kind.exit_code());
            assert_eq!(shown, expected);
        };
        check(
            StoreError::NoEntry,
            "3 no entry work in the keychain\nhint: awskeep list",
        );
        check(
            StoreError::Absent("no bus".into()),
            "4 the keychain, needed for entry work, is not there: KeePassXC: no bus\nhint: awskeep store list",
        );
        check(
            StoreError::Locked("the collection Work is locked".into()),
            "4 the keychain, needed for entry work, is locked: KeePassXC: the collection Work is locked\nhint: awskeep store unlock",
        );
        check(
            StoreError::Confirms(String::new()),
            "4 the keychain, needed for entry work, wants each access confirmed, which cannot be done for a program: \
             a setting of KeePassXC\nhint: in KeePassXC, open Tools > Settings > Secret Service Integration and turn off \
             \"Confirm when passwords are retrieved by clients\"",
        );
        check(
            StoreError::Hidden(
                "the collection Work is locked, and does not say what it holds".into(),
            ),
            "4 entry work is in no open part of the keychain: KeePassXC: the collection Work is locked, and does not say what \
             it holds\nhint: awskeep store unlock",
        );
        check(
            StoreError::Dismissed("its window was closed".into()),
            "4 the keychain, needed for entry work, stays locked: KeePassXC: its window was closed\nhint: awskeep store unlock",
        );
        check(
            StoreError::Unanswered("its window was open for 2 minutes".into()),
            "4 the keychain, needed for entry work, asked, and nobody answered: KeePassXC: its window was open for 2 minutes\n\
             hint: run it again, and answer the keychain's own window",
        );
        check(
            StoreError::NoCollection(String::new()),
            "4 the keychain, needed for entry work, cannot keep anything yet: KeePassXC has no collection to keep keys in\n\
             hint: in KeePassXC, open a database, then choose the group that programs may use in Database > Database \
             Settings > Secret Service Integration",
        );
        check(
            StoreError::Twins("2 items".into()),
            "4 the keychain has several items named work: KeePassXC: 2 items\n\
             hint: keep them all, the older one under another name: awskeep rename work NEW\n\
             hint: or put one key in the place of all: awskeep add work --replace\n\
             hint: or remove them all: awskeep remove work",
        );
        check(
            StoreError::frozen(Duration::from_micros(2_499_747)),
            "4 the keychain, needed for entry work, does not answer: no answer from KeePassXC within 2.5 s\n\
             hint: restart the keychain's daemon, then: awskeep store list",
        );
    }

    #[test]
    fn lengths_of_time_are_for_people() {
        let check =
            |millis, expected: &str| assert_eq!(seconds(Duration::from_millis(millis)), expected);
        check(2_499, "2.5 s");
        check(2_000, "2 s");
        check(49, "0 s");
        check(9_999, "10 s");
        check(60_000, "1 minute");
        check(120_000, "2 minutes");
        check(90_000, "90 s");
    }
}
