//! The identity of an opened file, kept in the Linux kernel's keyring of the user
//! until a time. Edge; elsewhere than on Linux there is no such place, and it says so.
//!
//! The key is made whole in the keyring of this thread, with its timeout and its
//! permissions, and only then linked to the user's: a crash or a refusal in between
//! leaves nothing behind. Every process of the user may find and read it, also one
//! whose session has no link to the user's keyring (cron, services).

use std::fmt;

use zeroize::Zeroizing;

use crate::store::error::StoreError;
use crate::types::time::{Span, Timestamp};

/// How long the kernel keeps an opened file open at most, besides the time asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Until the machine restarts.
    UntilRestart,
    /// Until the user's last process ends.
    UntilLogout,
}

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lasting::UntilRestart => "an opened file stays open over logouts, until a restart",
            Lasting::UntilLogout => "an opened file closes when your last process ends (logout)",
        })
    }
}

/// An identity taken out of the cache.
pub struct Opened {
    pub identity: Zeroizing<String>,
    pub until: Option<Timestamp>,
}

/// Whether a file can be kept open here, and how long at most; if not, why, for a person.
///
/// # Errors
/// One sentence.
pub fn availability() -> Result<Lasting, String> {
    system::availability()
}

/// What is cached for a recipient; none if nothing is, or its time is over.
pub(super) fn read(recipient: &str) -> Result<Option<Opened>, StoreError> {
    let Some(bytes) = system::read(&description(recipient))? else {
        return Ok(None);
    };
    let damaged = || StoreError::Corrupt("the kernel's keyring holds something else".into());
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
    let (until, identity) = text.split_once(' ').ok_or_else(damaged)?;
    Ok(Some(Opened {
        identity: Zeroizing::new(identity.to_owned()),
        until: until.parse().ok().map(Timestamp::of_seconds),
    }))
}

/// Caches an identity; one that is there is replaced.
pub(super) fn keep(
    recipient: &str,
    identity: &str,
    until: Timestamp,
    how_long: Span,
) -> Result<(), StoreError> {
    let seconds = usize::try_from(how_long.0).unwrap_or(usize::MAX);
    // The kernel counts in 32 bits, and takes 0 for no end at all.
    let seconds = seconds.clamp(1, u32::MAX as usize);
    let payload = Zeroizing::new(format!("{} {identity}", until.0));
    system::keep(&description(recipient), payload.as_bytes(), seconds)
}

/// Forgets an identity. That none is there is no failure.
pub(super) fn close(recipient: &str) -> Result<(), StoreError> {
    system::close(&description(recipient))
}

/// Each store has a recipient of its own, so that two do not meet.
fn description(recipient: &str) -> String {
    format!("awskeep:{recipient}")
}

#[cfg(target_os = "linux")]
mod system {
    use linux_keyutils::{
        Key, KeyError, KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, Permission,
    };
    use zeroize::Zeroizing;

    use super::Lasting;
    use crate::store::error::StoreError;

    /// More than a time and an identity need.
    const MOST_BYTES: usize = 512;

    /// Since this kernel a user's keyring outlives the user's processes.
    const OUTLIVES_LOGOUT: (u32, u32) = (5, 3);

    pub fn availability() -> Result<Lasting, String> {
        let probe = || -> Result<(), KeyError> {
            KeyRing::from_special_id(KeyRingIdentifier::User, true)?;
            let thread = KeyRing::from_special_id(KeyRingIdentifier::Thread, true)?;
            let key = thread.add_key("awskeep:probe", b"probe")?;
            key.set_timeout(1)?;
            thread.unlink_key(key)
        };
        probe().map_err(|error| explain(error).to_string())?;
        let release = rustix::system::uname();
        let mut numbers = release.release().to_str().unwrap_or("").split('.');
        let mut number = || numbers.next().and_then(|n| n.parse::<u32>().ok());
        match (number(), number()) {
            (Some(major), Some(minor)) if (major, minor) >= OUTLIVES_LOGOUT => {
                Ok(Lasting::UntilRestart)
            }
            _ => Ok(Lasting::UntilLogout),
        }
    }

    pub fn read(description: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some((_, key)) = find(description)? else {
            return Ok(None);
        };
        let mut buffer = Zeroizing::new(vec![0; MOST_BYTES]);
        match key.read(&mut *buffer) {
            // The kernel gives the whole length, also of what did not fit.
            Ok(length) if length <= MOST_BYTES => {
                buffer.truncate(length);
                Ok(Some(buffer))
            }
            Ok(_) => Err(StoreError::Corrupt(
                "the kernel's keyring holds something else".into(),
            )),
            Err(error) if is_gone(error) => Ok(None),
            Err(error) => Err(explain(error)),
        }
    }

    pub fn keep(description: &str, payload: &[u8], seconds: usize) -> Result<(), StoreError> {
        let ring = KeyRing::from_special_id(KeyRingIdentifier::User, true).map_err(explain)?;
        let thread = KeyRing::from_special_id(KeyRingIdentifier::Thread, true).map_err(explain)?;
        let key = thread.add_key(description, payload).map_err(explain)?;
        let permissions = KeyPermissionsBuilder::builder()
            .posessor(Permission::ALL)
            .user(Permission::VIEW | Permission::READ | Permission::SEARCH)
            .build();
        let linked = key
            .set_timeout(seconds)
            .and_then(|()| key.set_perms(permissions))
            .and_then(|()| ring.link_key(key));
        if linked.is_err() {
            // Nothing can be done if this fails too: the key ends with the thread.
            let _ = key.invalidate();
        }
        let unlinked = thread.unlink_key(key);
        linked.and(unlinked).map_err(explain)
    }

    pub fn close(description: &str) -> Result<(), StoreError> {
        let Some((ring, key)) = find(description)? else {
            return Ok(());
        };
        match key.invalidate() {
            Ok(()) => {}
            Err(error) if is_gone(error) => {}
            Err(error) => return Err(explain(error)),
        }
        // Invalid keys are found by nobody; the link is usually gone by now.
        let _ = ring.unlink_key(key);
        Ok(())
    }

    fn find(description: &str) -> Result<Option<(KeyRing, Key)>, StoreError> {
        let ring = KeyRing::from_special_id(KeyRingIdentifier::User, false).map_err(explain)?;
        match ring.search(description) {
            Ok(key) => Ok(Some((ring, key))),
            Err(error) if is_gone(error) => Ok(None),
            Err(error) => Err(explain(error)),
        }
    }

    fn is_gone(error: KeyError) -> bool {
        matches!(
            error,
            KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked
        )
    }

    /// The system refuses with EPERM or ENOSYS where a container's filter is at work.
    fn explain(error: KeyError) -> StoreError {
        let blocked = |errno: &str| {
            StoreError::Absent(format!(
                "the kernel's keyring, which would keep the file open, is blocked here ({errno}), \
                 as in most containers"
            ))
        };
        match error {
            KeyError::PermissionDenied => blocked("EPERM"),
            KeyError::Unknown(38) | KeyError::OperationNotSupported => blocked("ENOSYS"),
            KeyError::QuotaExceeded => StoreError::Other(
                "the kernel's keyring has no room for another key of yours: see /proc/key-users"
                    .into(),
            ),
            KeyError::AccessDenied => {
                StoreError::Denied("the kernel's keyring refuses access to your keys".into())
            }
            other => StoreError::Other(format!("the kernel's keyring failed: {other}")),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn refusals_are_told_apart() {
            for (error, words) in [
                (KeyError::PermissionDenied, "blocked here (EPERM)"),
                (KeyError::Unknown(38), "blocked here (ENOSYS)"),
                (KeyError::QuotaExceeded, "no room"),
                (KeyError::AccessDenied, "refuses access"),
            ] {
                assert!(explain(error).to_string().contains(words), "{error:?}");
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use zeroize::Zeroizing;

    use super::Lasting;
    use crate::store::error::StoreError;

    const WHY: &str = "only Linux can keep the encrypted file open; use the keychain here";

    pub fn availability() -> Result<Lasting, String> {
        Err(WHY.into())
    }
    pub fn read(_: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Err(StoreError::Absent(WHY.into()))
    }
    pub fn keep(_: &str, _: &[u8], _: usize) -> Result<(), StoreError> {
        Err(StoreError::Absent(WHY.into()))
    }
    pub fn close(_: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn an_identity_is_kept_replaced_and_forgotten() {
        availability().expect("these tests need the kernel's keyring");
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        assert!(read(&recipient).unwrap().is_none());
        close(&recipient).unwrap();
        for (identity, until) in [("ONE", 5), ("TWO", 6)] {
            keep(&recipient, identity, Timestamp(until), Span::minutes(1)).unwrap();
            // Another thread does not possess the key that this one made.
            let recipient = recipient.clone();
            let opened = std::thread::spawn(move || read(&recipient).unwrap().unwrap());
            let opened = opened.join().unwrap();
            assert_eq!(
                (opened.identity.as_str(), opened.until),
                (identity, Some(Timestamp(until)))
            );
        }
        close(&recipient).unwrap();
        assert!(read(&recipient).unwrap().is_none());
    }

    #[test]
    fn an_identity_goes_when_its_time_is_over() {
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        keep(&recipient, "ONE", Timestamp(1), Span::seconds(1)).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while read(&recipient).unwrap().is_some() {
            assert!(Instant::now() < end, "the kernel did not drop the key");
            std::thread::yield_now();
        }
    }
}
