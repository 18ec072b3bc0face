//! Where a trial's secrets are kept: the encrypted file, or (on Linux, if asked for) a
//! gnome-keyring of the trial's own; how it is locked, and how its disk fills up.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::home::{Home, Scene, text};
use crate::keychain::Keychain;

/// Which store this self-test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Keychain,
}

static KIND: OnceLock<Kind> = OnceLock::new();

/// Says it once, before the first trial.
pub fn choose(kind: Kind) {
    KIND.get_or_init(|| kind);
}

/// One trial's store.
#[derive(Clone)]
pub enum Store {
    File,
    Keychain(Arc<Mutex<Keychain>>),
}

/// Whether a passphrase is asked for once the store is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    Open,
    Sealed,
}

impl Store {
    /// Makes the home's store.
    pub fn of(home: &mut Home, seal: Seal) -> Scene<Store> {
        if KIND.get() == Some(&Kind::Keychain) {
            let keychain = Keychain::start();
            home.env = keychain.env().into();
            home.must(&["store", "use", "keychain"], "")?;
            return Ok(Store::Keychain(Arc::new(Mutex::new(keychain))));
        }
        match seal {
            Seal::Open => home.must(
                &["store", "use", "file", "--without-passphrase", "--yes"],
                "",
            )?,
            Seal::Sealed => home.must(&["store", "use", "file"], "")?,
        };
        Ok(Store::File)
    }

    /// What locks it, as a screen lock does; to be run while a rotation is under way.
    pub fn locks(&self, home: &Home) -> impl Fn() + Send + Sync + 'static {
        let store = self.clone();
        let (program, folder) = (home.program(), home.path(""));
        move || match &store {
            Store::Keychain(keychain) => with(keychain, |keychain| keychain.lock()),
            Store::File => {
                let locked = std::process::Command::new(&program)
                    .args(["store", "lock"])
                    .env_clear()
                    .env("HOME", &folder)
                    .output();
                assert!(
                    locked.is_ok_and(|output| output.status.success()),
                    "the store could not be locked"
                );
            }
        }
    }

    pub fn unlock(&self, home: &Home) -> Scene<()> {
        match self {
            Store::Keychain(keychain) => with(keychain, Keychain::unlock),
            Store::File => drop(home.must(&["store", "unlock"], "")?),
        }
        Ok(())
    }

    /// Leaves nothing open in the kernel's keyring.
    pub fn close(&self, home: &Home) -> Scene<()> {
        match self {
            Store::Keychain(_) => {}
            Store::File => drop(home.must(&["store", "lock"], "")?),
        }
        Ok(())
    }

    /// From now on nothing fits that whoever holds the store writes: the keychain's
    /// daemon, or the running awskeep itself.
    pub fn fill_disk(&self, awskeep: u32) -> Scene<()> {
        match self {
            Store::Keychain(keychain) => with(keychain, |keychain| keychain.fill_disk()),
            Store::File => {
                let id = i32::try_from(awskeep).map_err(text)?;
                let full = Rlimit {
                    current: Some(0),
                    maximum: None,
                };
                prlimit(Pid::from_raw(id), Resource::Fsize, full).map_err(text)?;
            }
        }
        Ok(())
    }

    pub fn free_disk(&self) {
        match self {
            Store::Keychain(keychain) => with(keychain, |keychain| keychain.free_disk()),
            // The limit has gone with the process.
            Store::File => {}
        }
    }
}

fn with<T>(keychain: &Mutex<Keychain>, work: impl FnOnce(&mut Keychain) -> T) -> T {
    work(&mut keychain.lock().unwrap_or_else(PoisonError::into_inner))
}
