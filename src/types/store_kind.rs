//! Which store an entry is in, by name. Pure.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind};

/// The stores one can choose between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoreKind {
    Keychain,
    File,
}

impl StoreKind {
    pub const ALL: [StoreKind; 2] = [StoreKind::Keychain, StoreKind::File];

    /// The word for it in settings and flags.
    pub fn word(self) -> &'static str {
        match self {
            StoreKind::Keychain => "keychain",
            StoreKind::File => "file",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreKind::Keychain => "keychain",
            StoreKind::File => "encrypted file",
        })
    }
}

impl FromStr for StoreKind {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        StoreKind::ALL
            .into_iter()
            .find(|kind| kind.word() == text)
            .ok_or_else(|| {
                Error::new(Kind::Usage, format!("there is no store {text:?}"))
                    .hint("the stores are: keychain, file")
            })
    }
}
