//! Where the session bus listens, and the one way to it: the text of
//! `DBUS_SESSION_BUS_ADDRESS` to sockets, and the connection to one of them. Edge
//! (`of_session` looks for a socket, `connect` opens one); the parsing is pure.
//!
//! An address outlives its bus, and then anybody may listen there: a socket counts
//! only if root or this user listens on it, and the `guid` of its address must be
//! the server's. Only what a desktop or systemd session sets
//! is understood: `unix:path=` and `unix:abstract=`. TCP is refused, since a secret
//! must not leave the machine, and nothing here ever starts a bus.
//! Source: D-Bus specification, "Server Addresses"; libdbus for what is not there.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};

use crate::store::error::StoreError;
use crate::store::keychain::errors;
use crate::system::env::Env;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;

/// The servers of the session bus, in the order to try them; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusAddress {
    servers: Vec<Server>,
    uid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    socket: Socket,
    /// Which server it must be, if the address says so.
    guid: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Socket {
    Path(PathBuf),
    /// A name in Linux's abstract namespace, without the leading NUL.
    Abstract(Vec<u8>),
}

/// A connection to a server that is ours or root's; nothing was sent or read yet.
pub(super) struct Connected {
    pub stream: UnixStream,
    /// What the server must say that it is.
    pub guid: Option<String>,
}

impl BusAddress {
    /// The bus of this session: what `DBUS_SESSION_BUS_ADDRESS` holds, or else the
    /// user's own bus, as libdbus finds it.
    ///
    /// # Errors
    /// `StoreError::Absent` if there is no address, or none that is understood.
    pub fn of_session(env: &Env) -> Result<BusAddress, StoreError> {
        let uid = rustix::process::geteuid().as_raw();
        match env.var("DBUS_SESSION_BUS_ADDRESS").map(str::trim) {
            Some(value) if !value.is_empty() => BusAddress::parse(value, uid),
            Some(_) | None => {
                let mut folders = vec![PathBuf::from(format!("/run/user/{uid}"))];
                if let Some(folder) = env.path_var("XDG_RUNTIME_DIR").map(PathBuf::from)
                    && folder.is_absolute()
                    && folder != folders[0]
                {
                    folders.insert(0, folder);
                }
                BusAddress::in_folders(&folders, uid)
            }
        }
    }

    /// The first of these runtime folders with a socket `bus` of this user.
    fn in_folders(folders: &[PathBuf], uid: u32) -> Result<BusAddress, StoreError> {
        let mut paths = folders.iter().map(|folder| folder.join("bus"));
        match paths.clone().find(|path| is_socket_of(path, uid)) {
            Some(path) => Ok(BusAddress {
                servers: vec![Server {
                    socket: Socket::Path(path),
                    guid: None,
                }],
                uid,
            }),
            None => {
                let looked: Vec<String> = paths
                    .by_ref()
                    .map(|path| path.display().to_string())
                    .collect();
                Err(StoreError::Absent(format!(
                    "there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set, and {} is not a socket of yours",
                    looked.join(" or ")
                )))
            }
        }
    }

    /// The servers that an address in D-Bus form names, for a user.
    ///
    /// # Errors
    /// `StoreError::Absent` if none of them is understood.
    pub fn parse(value: &str, uid: u32) -> Result<BusAddress, StoreError> {
        let mut servers = Vec::new();
        let mut why = "it names no server";
        for one in value.split(';').filter(|one| !one.is_empty()) {
            match parse_one(one) {
                Ok(server) => servers.push(server),
                Err(unfit) => why = unfit,
            }
        }
        if servers.is_empty() {
            return Err(StoreError::Absent(format!(
                "DBUS_SESSION_BUS_ADDRESS={value:?} cannot be used: {why}"
            )));
        }
        Ok(BusAddress { servers, uid })
    }

    /// The user that the bus is told we are.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// A connection to the first server that takes one and may be trusted. The
    /// `timeout` is for all of them; each write to the connection is bounded too.
    ///
    /// # Errors
    /// `Absent` if nobody listens, `Denied` if the system forbids it, `Frozen` if no
    /// bus accepts, `Other` if whoever listens is not to be trusted.
    pub(super) fn connect(&self, timeout: Duration) -> Result<Connected, StoreError> {
        let started = Instant::now();
        let mut worst = None;
        for (server, waiting) in self.servers.iter().zip((1..=self.servers.len()).rev()) {
            // A server that hangs leaves the ones behind it their share.
            let share = timeout.saturating_sub(started.elapsed())
                / u32::try_from(waiting).unwrap_or(u32::MAX);
            let fault = match open(&server.socket, share) {
                Ok(stream) => match self.check_peer(server, &stream) {
                    Ok(()) => {
                        return Ok(Connected {
                            stream,
                            guid: server.guid.clone(),
                        });
                    }
                    Err(fault) => fault,
                },
                Err(error) => {
                    let waited = started.elapsed();
                    errors::of_connect(&error, &server.socket.to_string(), waited)
                }
            };
            // That nobody listens says least, and then that nobody answers.
            worst = match (worst, fault) {
                (Some(worst @ StoreError::Frozen(_)), StoreError::Absent(_)) => Some(worst),
                (None | Some(StoreError::Absent(_) | StoreError::Frozen(_)), fault) => Some(fault),
                (worst, _) => worst,
            };
        }
        Err(worst.unwrap_or_else(|| StoreError::Absent("there is no session bus".into())))
    }

    /// A socket's file may have become anybody's, and the user of a dead bus cannot tell.
    /// (rustix takes a peer in another process namespace, as from within a Flatpak, whose
    /// pid is 0, for an error.)
    fn check_peer(&self, server: &Server, stream: &UnixStream) -> Result<(), StoreError> {
        let peer = getsockopt(stream, PeerCredentials)
            .map_err(|error| errors::of_io(&error.into(), Duration::ZERO))?;
        if is_trusted(peer.uid(), self.uid) {
            return Ok(());
        }
        Err(StoreError::Other(format!(
            "the session bus at {} belongs to another user (uid {})",
            server.socket,
            peer.uid()
        )))
    }
}

/// That a server, which says that it is `guid`, is the one that its address names.
///
/// # Errors
/// `Other` if it is another.
pub(super) fn check_guid(named: Option<&str>, guid: &str) -> Result<(), StoreError> {
    match named {
        Some(named) if !named.eq_ignore_ascii_case(guid) => Err(StoreError::Other(
            "another session bus listens where DBUS_SESSION_BUS_ADDRESS says: its guid differs"
                .into(),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Root can read everything anyway.
fn is_trusted(peer_uid: u32, own_uid: u32) -> bool {
    peer_uid == own_uid || peer_uid == 0
}

/// What libdbus asks of a socket that no variable names.
fn is_socket_of(path: &Path, uid: u32) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_socket() && found.uid() == uid)
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
    if timeout.is_zero() {
        // Zero would mean without end.
        return Err(io::ErrorKind::TimedOut.into());
    }
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

/// Says what is wrong with an address that cannot be used, as the end of a sentence.
fn parse_one(address: &str) -> Result<Server, &'static str> {
    const MALFORMED: &str = "it is not an address in the form that D-Bus asks for";
    let (transport, pairs) = address.split_once(':').ok_or(MALFORMED)?;
    match transport {
        "unix" => {}
        "autolaunch" => return Err("awskeep never starts a bus"),
        "tcp" | "nonce-tcp" => return Err("a secret must not leave this machine"),
        _ => return Err("only unix:path= and unix:abstract= can be used"),
    }
    let (mut socket, mut guid) = (None, None);
    for pair in pairs.split(',').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(MALFORMED)?;
        let twice = match key {
            "path" => {
                let bytes = unescape(value).ok_or(MALFORMED)?;
                let path = PathBuf::from(OsStr::from_bytes(&bytes));
                socket.replace(Socket::Path(path)).is_some()
            }
            "abstract" => {
                let name = unescape(value).ok_or(MALFORMED)?;
                socket.replace(Socket::Abstract(name)).is_some()
            }
            "guid" => guid.replace(value.to_ascii_lowercase()).is_some(),
            "runtime" | "tmpdir" | "dir" => {
                return Err("it says where a server listens, not where one connects");
            }
            // More keys may come; none of them says where.
            _ => false,
        };
        if twice {
            return Err(MALFORMED);
        }
    }
    match socket {
        Some(socket) => Ok(Server { socket, guid }),
        None => Err("only unix:path= and unix:abstract= can be used"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    use proptest::prelude::*;
    use rustix::net::{bind, listen};

    /// Each server that is understood, as `socket` or `socket guid`; or why there is none.
    fn check(value: &str, expected: Result<&[&str], &str>) {
        let found = match BusAddress::parse(value, 1000) {
            Ok(found) => Ok(found
                .servers
                .iter()
                .map(|server| match &server.guid {
                    Some(guid) => format!("{} {guid}", server.socket),
                    None => server.socket.to_string(),
                })
                .collect::<Vec<_>>()),
            Err(fault) => Err(fault),
        };
        let expected = match expected {
            Ok(servers) => Ok(servers.iter().map(|&one| one.to_owned()).collect()),
            Err(why) => Err(StoreError::Absent(format!(
                "DBUS_SESSION_BUS_ADDRESS={value:?} cannot be used: {why}"
            ))),
        };
        assert_eq!(found, expected, "{value}");
    }

    #[test]
    fn addresses() {
        const MALFORMED: &str = "it is not an address in the form that D-Bus asks for";
        const ONLY: &str = "only unix:path= and unix:abstract= can be used";
        check("unix:path=/run/user/1000/bus", Ok(&["/run/user/1000/bus"]));
        check("unix:path=/a,guid=0123ABcdef", Ok(&["/a 0123abcdef"]));
        check("unix:guid=1,abstract=/tmp/x", Ok(&["@/tmp/x 1"]));
        check("unix:path=/a%20b%2C", Ok(&["/a b,"]));
        check("unix:path=/a,other=1", Ok(&["/a"]));
        check(
            "tcp:host=localhost,port=1;unix:path=/a,guid=2;unix:abstract=b;",
            Ok(&["/a 2", "@b"]),
        );
        for malformed in [
            "unix:path=/a%2",
            "unix:path=/a%zz",
            "unix:path=/a%00",
            "unix:path=",
            "unix:path=/a,abstract=b",
            "unix:path=/a,path=/a",
            "unix:path=/a,guid=1,guid=1",
            "unix:path",
            "/run/user/1000/bus",
        ] {
            check(malformed, Err(MALFORMED));
        }
        check("unix:", Err(ONLY));
        check("unixexec:path=/bin/sh", Err(ONLY));
        check("autolaunch:", Err("awskeep never starts a bus"));
        for to_listen in ["unix:runtime=yes", "unix:tmpdir=/tmp", "unix:dir=/tmp"] {
            let why = "it says where a server listens, not where one connects";
            check(to_listen, Err(why));
        }
        for remote in ["tcp:host=localhost,port=1", "nonce-tcp:port=1"] {
            check(remote, Err("a secret must not leave this machine"));
        }
        check(";", Err("it names no server"));
    }

    #[test]
    fn without_an_address_the_socket_in_the_runtime_folder_serves_if_it_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let folders: Vec<PathBuf> = ["missing", "file", "ours"]
            .iter()
            .map(|name| dir.path().join(name))
            .collect();
        fs::create_dir(&folders[1]).unwrap();
        fs::write(folders[1].join("bus"), "").unwrap();
        fs::create_dir(&folders[2]).unwrap();
        let _listener = UnixListener::bind(folders[2].join("bus")).unwrap();
        let found = BusAddress::in_folders(&folders, uid).unwrap();
        assert_eq!(
            found.servers[0].socket,
            Socket::Path(folders[2].join("bus"))
        );
        let fault = StoreError::Absent(format!(
            "there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set, and {} is not a socket of yours",
            folders[2].join("bus").display()
        ));
        let of_another = BusAddress::in_folders(&folders[2..], uid + 1);
        assert_eq!(of_another, Err(fault));
    }

    #[test]
    fn a_peer_counts_only_if_it_is_root_or_ourselves() {
        for (peer, own, expected) in [
            (1000, 1000, true),
            (0, 1000, true),
            (0, 0, true),
            (1001, 1000, false),
            (1000, 0, false),
            (65534, 1000, false),
        ] {
            assert_eq!(is_trusted(peer, own), expected, "{peer} {own}");
        }
    }

    /// A socket that takes no connection, as of a bus that is stopped: its queue is full.
    fn frozen(path: &Path) -> (rustix::fd::OwnedFd, UnixStream) {
        let fd = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        bind(&fd, &SocketAddrUnix::new(path).unwrap()).unwrap();
        listen(&fd, 0).unwrap();
        (fd, UnixStream::connect(path).unwrap())
    }

    #[test]
    fn several_addresses_share_one_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let mut value = String::new();
        let mut alive = Vec::new();
        for number in 0..4 {
            let path = dir.path().join(number.to_string());
            value.push_str(&format!("unix:path={};", path.display()));
            alive.push(frozen(&path));
        }
        let started = Instant::now();
        let address = BusAddress::parse(&value, uid).unwrap();
        let result = address.connect(Duration::from_millis(400)).map(drop);
        let took = started.elapsed();
        assert_eq!(result, Err(StoreError::Frozen("within 0.4 s".into())));
        assert!(took < Duration::from_millis(800), "{took:?}");
        // One that works has its share of the time left.
        let path = dir.path().join("bus");
        let _listener = UnixListener::bind(&path).unwrap();
        let address = format!("{value}unix:path={}", path.display());
        let address = BusAddress::parse(&address, uid).unwrap();
        assert!(address.connect(Duration::from_secs(1)).is_ok());
    }

    proptest! {
        #[test]
        fn escapes_come_back(bytes in proptest::collection::vec(1u8.., 1..80)) {
            let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(unescape(&escaped), Some(bytes));
        }

        #[test]
        fn no_address_panics(value in "(unix:|path=|abstract=|guid=|%[0-9a-g]|[;,=/a]|\\PC){0,12}") {
            let _ = BusAddress::parse(&value, 0);
        }
    }
}
