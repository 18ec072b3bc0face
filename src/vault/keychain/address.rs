//! Where the session bus listens: the text of `DBUS_SESSION_BUS_ADDRESS` to
//! sockets, and the connection to one of them. Edge (`find` looks for a socket,
//! `connect` opens one); the parsing is pure.
//!
//! Only what a desktop or systemd session sets is understood: `unix:path=` and
//! `unix:abstract=`. TCP is refused, since a secret must not leave the machine,
//! and nothing here ever starts a bus.
//! Source: D-Bus specification, "Server Addresses".

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};

use super::errors;
use crate::vault::fault::Fault;

/// The sockets of the session bus, in the order to try them; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusAddress {
    sockets: Vec<Socket>,
    uid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Socket {
    Path(PathBuf),
    /// A name in Linux's abstract namespace, without the leading NUL.
    Abstract(Vec<u8>),
}

impl BusAddress {
    /// The bus of a session: what `DBUS_SESSION_BUS_ADDRESS` held, or the place where
    /// systemd puts the socket of this user.
    ///
    /// # Errors
    /// `Fault::Absent` if there is no address, or none that is understood.
    pub fn find(value: Option<&str>, uid: u32) -> Result<BusAddress, Fault> {
        let usual = PathBuf::from(format!("/run/user/{uid}/bus"));
        BusAddress::find_or(value, uid, &usual)
    }

    fn find_or(value: Option<&str>, uid: u32, usual: &Path) -> Result<BusAddress, Fault> {
        let sockets = match value.map(str::trim).filter(|value| !value.is_empty()) {
            Some(value) => parse(value)?,
            None if usual.exists() => vec![Socket::Path(usual.to_owned())],
            None => {
                return Err(Fault::Absent(format!(
                    "there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set and {} does not exist",
                    usual.display()
                )));
            }
        };
        Ok(BusAddress { sockets, uid })
    }

    /// The user that the bus is told we are.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Each socket as an address of its own, for zbus.
    pub(super) fn each(&self) -> impl Iterator<Item = String> {
        self.sockets.iter().map(|socket| match socket {
            Socket::Path(path) => format!("unix:path={}", escape(path.as_os_str().as_bytes())),
            Socket::Abstract(name) => format!("unix:abstract={}", escape(name)),
        })
    }

    /// A connection to the first socket that takes one, with `timeout` on connecting and writing.
    ///
    /// # Errors
    /// `Absent` if nobody listens, `Denied` if the system forbids it, `Frozen` if the
    /// bus does not accept.
    pub(super) fn connect(&self, timeout: Duration) -> Result<UnixStream, Fault> {
        let mut last = Fault::Absent("there is no session bus".into());
        for socket in &self.sockets {
            match open(socket, timeout) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = errors::of_connect(&error, &socket.to_string(), timeout),
            }
        }
        Err(last)
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Socket::Path(path) => write!(f, "{}", path.display()),
            Socket::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
        }
    }
}

/// Linux applies the send timeout to connect as well, so a bus that is stopped
/// with a full backlog does not hold us.
fn open(socket: &Socket, timeout: Duration) -> io::Result<UnixStream> {
    let address = match socket {
        Socket::Path(path) => SocketAddrUnix::new(path.as_path())?,
        Socket::Abstract(name) => SocketAddrUnix::new_abstract_name(name)?,
    };
    let fd = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    sockopt::set_socket_timeout(&fd, sockopt::Timeout::Send, Some(timeout))?;
    connect(&fd, &address)?;
    Ok(UnixStream::from(fd))
}

fn parse(value: &str) -> Result<Vec<Socket>, Fault> {
    let sockets: Vec<Socket> = value
        .split(';')
        .filter(|one| !one.is_empty())
        .filter_map(parse_one)
        .collect();
    if sockets.is_empty() {
        return Err(Fault::Absent(format!(
            "no address in DBUS_SESSION_BUS_ADDRESS={value:?} can be used here (unix:path= and unix:abstract= can)"
        )));
    }
    Ok(sockets)
}

/// None for another transport, and for an address that says nothing or two things.
fn parse_one(address: &str) -> Option<Socket> {
    let mut found = Vec::new();
    for pair in address.strip_prefix("unix:")?.split(',') {
        match pair.split_once('=')? {
            ("path", path) => {
                let bytes = unescape(path)?;
                found.push(Socket::Path(PathBuf::from(OsStr::from_bytes(&bytes))));
            }
            ("abstract", name) => found.push(Socket::Abstract(unescape(name)?)),
            // `guid=` names the server and more keys may come; neither says where.
            _ => {}
        }
    }
    match found.len() {
        1 => found.pop(),
        _ => None,
    }
}

/// None if an escape is cut off or not hexadecimal, or if nothing or a NUL comes out.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    (!out.is_empty() && !out.contains(&0)).then_some(out)
}

fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'-' | b'_' | b'/' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(value: &str, expected: Option<&[&str]>) {
        let found = BusAddress::find_or(Some(value), 1000, Path::new("/nowhere/bus"));
        match (found, expected) {
            (Ok(found), Some(expected)) => {
                assert_eq!(found.each().collect::<Vec<_>>(), expected, "{value}");
            }
            (Err(Fault::Absent(_)), None) => {}
            (found, _) => panic!("{value}: {found:?}"),
        }
    }

    #[test]
    fn addresses() {
        check(
            "unix:path=/run/user/1000/bus",
            Some(&["unix:path=/run/user/1000/bus"]),
        );
        check(
            "unix:path=/a,guid=0123456789abcdef",
            Some(&["unix:path=/a"]),
        );
        check(
            "unix:abstract=/tmp/dbus-x,guid=1",
            Some(&["unix:abstract=/tmp/dbus-x"]),
        );
        check("unix:path=/a%20b%2C", Some(&["unix:path=/a%20b%2c"]));
        check(
            "tcp:host=localhost,port=1;unix:path=/a;unix:abstract=b;",
            Some(&["unix:path=/a", "unix:abstract=b"]),
        );
        check("unix:path=/a%2", None);
        check("unix:path=/a%zz", None);
        check("unix:path=/a%00", None);
        check("unix:path=", None);
        check("unix:path=/a,abstract=b", None);
        check("unix:", None);
        check("autolaunch:", None);
        check("unixexec:path=/bin/sh", None);
        check(";", None);
        check("", None);
        check("  ", None);
    }

    #[test]
    fn without_an_address_the_usual_socket_serves_if_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let bus = dir.path().join("bus");
        assert!(matches!(
            BusAddress::find_or(None, 1000, &bus),
            Err(Fault::Absent(_))
        ));
        std::fs::write(&bus, "").unwrap();
        let found = BusAddress::find_or(None, 1000, &bus).unwrap();
        assert_eq!(found.sockets, [Socket::Path(bus.clone())]);
        // It is a file, so nobody listens.
        assert!(matches!(
            found.connect(Duration::from_secs(1)),
            Err(Fault::Absent(_))
        ));
    }

    proptest! {
        #[test]
        fn escapes_come_back(bytes in proptest::collection::vec(1u8.., 1..80)) {
            prop_assert_eq!(unescape(&escape(&bytes)), Some(bytes));
        }

        #[test]
        fn no_address_panics(value in "(unix:|path=|abstract=|%[0-9a-g]|[;,=/a]|\\PC){0,12}") {
            let _ = BusAddress::find(Some(&value), 0);
        }
    }
}
