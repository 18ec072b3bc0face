//! What the bus, its sockets, zbus and the secret-service crate say when they
//! fail, as a `StoreError`. Pure.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use secret_service::Error as ServiceError;

use crate::store::error::{StoreError, seconds};
use crate::store::keychain::unmarshal::Malformed;

/// Longer texts of strangers are cut, in characters.
const MAX_WORDS: usize = 200;

/// The fault that a D-Bus error reply stands for.
pub fn of_reply(name: &str, text: &str) -> StoreError {
    let said = words(name, text);
    let (family, last) = name.rsplit_once('.').unwrap_or(("", name));
    if family == "org.freedesktop.DBus.Error.Spawn" {
        return StoreError::Absent(format!(
            "the keychain's service could not be started: {said}"
        ));
    }
    match last {
        "ServiceUnknown" | "NameHasNoOwner" | "NoServer" => StoreError::Absent(format!(
            "no keychain service runs on the session bus: {said}"
        )),
        "AccessDenied" | "AuthFailed" | "InteractiveAuthorizationRequired" | "Denied" => {
            StoreError::Denied(said)
        }
        "IsLocked" => StoreError::Locked(said),
        // Sessions and paths of a provider that was replaced in the middle of a call.
        "NoReply" | "Disconnected" | "NoSession" | "NoSuchObject" | "UnknownObject" => {
            StoreError::Died(said)
        }
        "Timeout" | "TimedOut" => {
            StoreError::Other(format!("the keychain's service is slow: {said}"))
        }
        _ => StoreError::Other(said),
    }
}

/// Whether an error reply means that the object asked for does not exist.
pub fn is_no_object(name: &str) -> bool {
    matches!(
        name.rsplit('.').next(),
        Some("NoSuchObject" | "UnknownObject" | "UnknownMethod" | "UnknownInterface")
    )
}

/// The fault behind a failed connect to a socket.
pub fn of_connect(error: &io::Error, socket: &str, timeout: Duration) -> StoreError {
    let said = format!("the session bus at {socket} cannot be reached: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Denied(said),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => frozen(timeout),
        _ => StoreError::Absent(said),
    }
}

/// The fault behind a failed read or write on a connection that once worked.
pub fn of_io(error: &io::Error, timeout: Duration) -> StoreError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => frozen(timeout),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => {
            StoreError::Died(format!("the session bus closed the connection: {error}"))
        }
        _ => StoreError::Other(format!("the session bus cannot be used: {error}")),
    }
}

/// The fault behind bytes that make no sense.
pub fn of_malformed(what: Malformed) -> StoreError {
    StoreError::Other(format!("the session bus sent {}", what.0))
}

/// No answer within this time.
pub fn frozen(timeout: Duration) -> StoreError {
    StoreError::frozen(timeout)
}

/// What the keychain's program is called while nobody has asked for its name.
const UNNAMED: &str = "the keychain's service";

/// No collection has the alias `default`, so there is no place for items.
pub fn no_default_collection() -> StoreError {
    StoreError::NoCollection(UNNAMED.into())
}

/// The default collection goes with the login session.
pub fn memory_only() -> StoreError {
    StoreError::MemoryOnly(UNNAMED.into())
}

/// An item is locked though its collection is open.
pub fn confirms() -> StoreError {
    StoreError::Confirms(UNNAMED.into())
}

/// A locked collection, by the end of its path.
pub fn locked_collection(path: &str) -> StoreError {
    StoreError::Locked(format!("the collection {} is locked", last(path)))
}

/// Nothing was found, and this locked collection shows nothing of what it holds.
pub fn hidden(path: &str) -> StoreError {
    StoreError::Hidden(format!(
        "the collection {} is locked, and does not say what it holds",
        last(path)
    ))
}

/// Several items answer to one name and none is better than another.
pub fn twins(paths: &[&str]) -> StoreError {
    let shown: Vec<&str> = paths.iter().copied().take(4).collect();
    StoreError::Twins(format!("{} items: {}", paths.len(), shown.join(", ")))
}

/// The person closed the keychain's window, or none could be shown.
pub fn dismissed() -> StoreError {
    StoreError::Dismissed("its window was closed, or could not be shown".into())
}

/// Nobody answered the keychain's window.
pub fn unanswered(wait: Duration) -> StoreError {
    StoreError::Unanswered(format!("its window was open for {}", seconds(wait)))
}

/// It wants to ask before it does this, and nobody is to be asked now.
pub fn asks_first() -> StoreError {
    StoreError::Denied("it wants to ask you first, and this command may not ask".into())
}

fn last(path: &str) -> String {
    words(path.rsplit('/').next().unwrap_or(path), "")
}

/// The default collection is locked.
pub fn locked() -> StoreError {
    StoreError::Locked("the default collection is locked".into())
}

/// The fault behind an error of the secret-service crate or of zbus beneath it.
pub fn of_service(error: &ServiceError, timeout: Duration) -> StoreError {
    match error {
        ServiceError::Locked => locked(),
        ServiceError::NoResult => no_default_collection(),
        ServiceError::Prompt => dismissed(),
        ServiceError::PromptDisconnected => {
            StoreError::Died("the keychain's service went away during its prompt".into())
        }
        ServiceError::Unavailable => {
            StoreError::Absent("no keychain service runs on the session bus".into())
        }
        ServiceError::Zbus(error) => of_zbus(error, timeout),
        ServiceError::ZbusFdo(error) => of_zbus(&zbus::Error::from(error.clone()), timeout),
        _ => StoreError::Other(chain(error)),
    }
}

/// The fault behind an error of zbus.
pub fn of_zbus(error: &zbus::Error, timeout: Duration) -> StoreError {
    match error {
        zbus::Error::MethodError(name, text, _) => {
            of_reply(name.as_str(), text.as_deref().unwrap_or(""))
        }
        zbus::Error::FDO(error) => of_fdo(error, timeout),
        zbus::Error::InputOutput(error) => of_io(error, timeout),
        zbus::Error::Connection(error, address) => of_connect(error, &address.to_string(), timeout),
        zbus::Error::Handshake(text) => StoreError::Denied(words("the bus refused us", text)),
        zbus::Error::Address(text) => StoreError::Absent(words("no usable bus address", text)),
        _ => StoreError::Other(chain(error)),
    }
}

/// zbus turns the bus's own error replies into variants that lose their full name.
fn of_fdo(error: &zbus::fdo::Error, timeout: Duration) -> StoreError {
    match error {
        zbus::fdo::Error::ZBus(error) => of_zbus(error, timeout),
        other => {
            use zbus::DBusError;
            of_reply(
                other.name().as_str(),
                DBusError::description(other).unwrap_or_default(),
            )
        }
    }
}

/// Texts of a provider, made fit for one line of ours.
fn words(name: &str, text: &str) -> String {
    let mut out: String = [name, text]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(": ");
    out = out
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_WORDS)
        .collect();
    out.trim().to_owned()
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    // Few errors are nested deeper, and a loop needs a bound.
    for _ in 0..4 {
        let Some(next) = source else { break };
        text = format!("{text}: {next}");
        source = next.source();
    }
    words(&text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: &str) {
        let fault = of_reply(name, "text");
        let kind = format!("{fault:?}");
        assert_eq!(kind.split('(').next(), Some(expected), "{name}");
    }

    #[test]
    fn error_names() {
        check("org.freedesktop.DBus.Error.ServiceUnknown", "Absent");
        check("org.freedesktop.DBus.Error.NameHasNoOwner", "Absent");
        check("org.freedesktop.DBus.Error.Spawn.ChildExited", "Absent");
        check("org.freedesktop.DBus.Error.Spawn.ServiceNotFound", "Absent");
        check("org.freedesktop.DBus.Error.AccessDenied", "Denied");
        check("org.gnome.keyring.Error.Denied", "Denied");
        check("org.freedesktop.Secret.Error.IsLocked", "Locked");
        check("org.freedesktop.Secret.Error.NoSession", "Died");
        check("org.freedesktop.Secret.Error.NoSuchObject", "Died");
        check("org.freedesktop.DBus.Error.NoReply", "Died");
        check("org.freedesktop.DBus.Error.Disconnected", "Died");
        check("org.freedesktop.DBus.Error.LimitsExceeded", "Other");
        check("nonsense", "Other");
        check("", "Other");
    }

    #[test]
    fn errors_of_the_crates() {
        let wait = Duration::from_millis(2500);
        let timed_out = io::Error::from(io::ErrorKind::TimedOut);
        for (error, expected) in [
            (ServiceError::Locked, "Locked"),
            (ServiceError::NoResult, "NoCollection"),
            (ServiceError::Prompt, "Dismissed"),
            (ServiceError::PromptDisconnected, "Died"),
            (ServiceError::Unavailable, "Absent"),
            (ServiceError::Crypto("x"), "Other"),
            (
                ServiceError::ZbusFdo(zbus::fdo::Error::ServiceUnknown("x".into())),
                "Absent",
            ),
            (
                ServiceError::Zbus(zbus::fdo::Error::NoReply("x".into()).into()),
                "Died",
            ),
            (
                ServiceError::Zbus(zbus::Error::InputOutput(timed_out.into())),
                "Frozen",
            ),
        ] {
            let fault = format!("{:?}", of_service(&error, wait));
            assert_eq!(fault.split('(').next(), Some(expected), "{error:?}");
        }
    }

    #[test]
    fn words_of_strangers_are_cut_and_kept_on_one_line() {
        let fault = of_reply("a.B", &format!("x\n\u{1b}[2J{}", "y".repeat(1000)));
        let StoreError::Other(text) = fault else {
            panic!("{fault:?}")
        };
        assert_eq!(text.chars().count(), MAX_WORDS);
        assert!(!text.contains(char::is_control));
    }
}
