//! Reads one secret from the Secret Service as fast as the bus allows: this is
//! the hot path, so it speaks D-Bus itself. Edge.
//!
//! Three writes: who we are, then a plain session and the search in one, then the
//! secret. Before the search comes a fourth, whether the default collection is locked:
//! where it is, a search alone may open a window (KeePassXC). gnome-keyring opens none,
//! and is not asked; which program it is decides nothing else. But a burst of
//! clients that open a session in their very first call crashes gnome-keyring's
//! daemon, which may handle that call before it has noted the client (3 times in
//! 10,000 reads, 200 at once; never after an answered first call). Replies may come
//! in any order: D-Bus promises none. It never writes an item, never unlocks and
//! never prompts; a locked item is a fault. The session is plain since whoever could
//! listen on this bus could ask for the secret just as well. Buffers that a secret
//! passes through are wiped, and never grow in place.
//! Source: Secret Service API, <https://specifications.freedesktop.org/secret-service/>.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::store::error::{GNOME_KEYRING, StoreError};
use crate::store::keychain::address;
use crate::store::keychain::address::{BusAddress, Connected};
use crate::store::keychain::errors;
use crate::store::keychain::marshal::{MethodCall, Writer};
use crate::store::keychain::unmarshal::{Malformed, Message, MessageKind, PREFIX, message_length};

pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const BUS: &str = "org.freedesktop.DBus";
pub const PROVIDER: &str = "org.freedesktop.secrets";
pub const SERVICE_PATH: &str = "/org/freedesktop/secrets";
pub const DEFAULT_PATH: &str = "/org/freedesktop/secrets/aliases/default";
pub const SERVICE: &str = "org.freedesktop.Secret.Service";
pub const COLLECTION: &str = "org.freedesktop.Secret.Collection";
pub const ITEM: &str = "org.freedesktop.Secret.Item";

/// Holds all that a healthy provider sends for one item, in bytes.
const BUFFER: usize = 8 * 1024;
/// The longest line of the handshake that is read, in bytes.
const MAX_LINE: usize = 512;
/// Messages that are not ours, between two that are: signals of the bus.
const MAX_STRAY: usize = 64;

/// Only where there is no default collection.
const GET_COLLECTIONS: u32 = 9;
const HELLO: u32 = 1;
const OPEN_SESSION: u32 = 2;
const SEARCH: u32 = 3;
const GET_SECRET: u32 = 4;
const INTRODUCE: u32 = 5;
const GET_LOCKED: u32 = 6;
const GET_PID: u32 = 7;
/// Of questions that are asked one after the other, once a read has failed.
const GET_ANY: u32 = 8;
/// The first call; its answer does not matter.
const GREETING: u32 = 10;
/// More collections than this are not asked whether they hide something.
const MAX_COLLECTIONS: usize = 64;

/// The secret of the one item with these attributes. If the provider goes away
/// in the middle, it is asked once more on a new connection; `timeout` is for all.
///
/// # Errors
/// `NoEntry` only if no collection has the item and none that is locked may hide it;
/// otherwise `Absent`, `NoCollection`, `Locked`, `Hidden`, `Confirms`, `Denied`, `Died`,
/// `Frozen`, `Twins` or `Other`.
pub fn read(
    address: &BusAddress,
    attributes: &[(&str, &str)],
    timeout: Duration,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    twice(address, timeout, |bus| read_once(bus, attributes))
}

/// Whether a secret could be stored and read here: bus, provider, an open default collection.
///
/// # Errors
/// As `read`, without what is about one item.
pub fn probe(address: &BusAddress, timeout: Duration) -> Result<(), StoreError> {
    twice(address, timeout, |bus| {
        bus.introduce(&[])?;
        match bus.ask_default()? {
            Default::Open => {}
            Default::Unknown => {
                bus.ask(&[get_locked(GET_LOCKED)])?;
                bus.reply(GET_LOCKED)?.default_is_open()?;
            }
        }
        bus.ask(&[open_session()])?;
        bus.reply(OPEN_SESSION)?.check().map(drop)
    })
}

fn twice<T>(
    address: &BusAddress,
    timeout: Duration,
    ask: impl Fn(&mut Bus) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let end = Instant::now() + timeout;
    let once = || ask(&mut Bus::connect(address, timeout, end)?);
    match once() {
        Err(StoreError::Died(_)) => once(),
        other => other,
    }
}

fn read_once(bus: &mut Bus, attributes: &[(&str, &str)]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    bus.introduce(&[get_pid()])?;
    if bus.provider().as_deref() != Some(GNOME_KEYRING) {
        bus.ask_default()?;
    }
    bus.ask(&[open_session(), search(attributes)])?;
    let session = bus.reply(OPEN_SESSION)?.session()?;
    let found = bus.reply(SEARCH)?.found()?;
    match (found.open.as_slice(), found.locked.as_slice()) {
        ([item], []) => {
            bus.ask(&[get_secret(item, &session)])?;
            bus.reply(GET_SECRET)?.secret()
        }
        ([], [item]) => Err(bus.why_locked(item)?),
        ([], []) => Err(bus.why_not_found()?),
        (open, locked) => {
            let paths: Vec<&str> = open.iter().chain(locked).map(String::as_str).collect();
            Err(errors::twins(&paths))
        }
    }
}

/// The program behind the keychain, for what is said when something failed; none if
/// the bus does not say it in this time. The provider itself is not asked.
pub fn provider(address: &BusAddress, timeout: Duration) -> Option<String> {
    let mut bus = Bus::connect(address, timeout, Instant::now() + timeout).ok()?;
    bus.greet([&get_pid()]).ok()?;
    bus.provider()
}

/// The collection that an item is in: its path begins with the collection's.
pub fn collection_of(item: &str) -> &str {
    item.rsplit_once('/')
        .map_or(item, |(collection, _)| collection)
}

/// The client's side of the handshake.
fn handshake(uid: u32) -> String {
    let uid: String = uid
        .to_string()
        .bytes()
        .map(|digit| format!("{digit:02x}"))
        .collect();
    format!("\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n")
}

/// A call that was not yet made.
struct Question {
    serial: u32,
    bytes: Vec<u8>,
}

fn hello() -> Question {
    Question {
        serial: HELLO,
        bytes: MethodCall {
            serial: HELLO,
            destination: BUS,
            path: "/org/freedesktop/DBus",
            interface: BUS,
            member: "Hello",
            signature: "",
            body: &[],
        }
        .bytes(),
    }
}

/// Which process is the provider; the bus answers.
fn get_pid() -> Question {
    let body = Writer::default().string(PROVIDER).finish();
    let call = MethodCall {
        serial: GET_PID,
        destination: BUS,
        path: "/org/freedesktop/DBus",
        interface: BUS,
        member: "GetConnectionUnixProcessID",
        signature: "s",
        body: &body,
    };
    Question {
        serial: GET_PID,
        bytes: call.bytes(),
    }
}

fn open_session() -> Question {
    to_provider(
        OPEN_SESSION,
        SERVICE_PATH,
        (SERVICE, "OpenSession"),
        "sv",
        &Writer::default()
            .string("plain")
            .string_variant("")
            .finish(),
    )
}

fn search(attributes: &[(&str, &str)]) -> Question {
    let body = Writer::default().dictionary(attributes).finish();
    to_provider(
        SEARCH,
        SERVICE_PATH,
        (SERVICE, "SearchItems"),
        "a{ss}",
        &body,
    )
}

fn get_secret(item: &str, session: &str) -> Question {
    let body = Writer::default().string(session).finish();
    to_provider(GET_SECRET, item, (ITEM, "GetSecret"), "o", &body)
}

/// Whether the default collection is locked.
fn get_locked(serial: u32) -> Question {
    get_property(serial, DEFAULT_PATH, COLLECTION, "Locked")
}

fn get_property(serial: u32, path: &str, interface: &str, name: &str) -> Question {
    let body = Writer::default().string(interface).string(name).finish();
    to_provider(serial, path, (PROPERTIES, "Get"), "ss", &body)
}

fn to_provider(
    serial: u32,
    path: &str,
    (interface, member): (&str, &str),
    signature: &str,
    body: &[u8],
) -> Question {
    let bytes = MethodCall {
        serial,
        destination: PROVIDER,
        path,
        interface,
        member,
        signature,
        body,
    }
    .bytes();
    Question { serial, bytes }
}

struct Found {
    open: Vec<String>,
    locked: Vec<String>,
}

/// What the provider says of its default collection where that is not locked.
enum Default {
    Open,
    /// There may be none, or it cannot tell.
    Unknown,
}

/// A reply that answers one of our calls, still in the connection's buffers.
struct Reply<'a>(Message<'a>);

impl Reply<'_> {
    /// The message, or the fault that it reports.
    fn check(&self) -> Result<&Message<'_>, StoreError> {
        match self.0.kind {
            MessageKind::Error { name, .. } => Err(errors::of_reply(name, self.0.error_text())),
            MessageKind::Return { .. } | MessageKind::Other => Ok(&self.0),
        }
    }

    /// To `get_locked`: fails unless the default collection is open.
    fn default_is_open(&self) -> Result<(), StoreError> {
        if self.is_no_object() {
            return Err(errors::no_default_collection());
        }
        match self.boolean()? {
            true => Err(errors::locked()),
            false => Ok(()),
        }
    }

    fn is_no_object(&self) -> bool {
        match self.0.kind {
            MessageKind::Error { name, .. } => errors::is_no_object(name),
            MessageKind::Return { .. } | MessageKind::Other => false,
        }
    }

    fn session(&self) -> Result<String, StoreError> {
        let message = self.check()?;
        let path = message.body("vo").and_then(|mut body| {
            body.skip_variant()?;
            body.string().map(str::to_owned)
        });
        path.map_err(errors::of_malformed)
    }

    fn found(&self) -> Result<Found, StoreError> {
        let owned = |paths: Vec<&str>| paths.into_iter().map(str::to_owned).collect();
        let message = self.check()?;
        let found = message.body("aoao").and_then(|mut body| {
            Ok(Found {
                open: owned(body.paths()?),
                locked: owned(body.paths()?),
            })
        });
        found.map_err(errors::of_malformed)
    }

    fn boolean(&self) -> Result<bool, StoreError> {
        let body = self.check()?.body("v");
        body.and_then(|mut body| body.boolean_variant())
            .map_err(errors::of_malformed)
    }

    fn paths_variant(&self) -> Result<Vec<String>, StoreError> {
        let body = self.check()?.body("v");
        body.and_then(|mut body| {
            let paths = body.paths_variant()?;
            Ok(paths.into_iter().map(str::to_owned).collect())
        })
        .map_err(errors::of_malformed)
    }

    fn secret(&self) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let message = self.check()?;
        let value = message.body("(oayays)").and_then(|mut body| {
            body.structure()?;
            body.string()?;
            if !body.byte_array()?.is_empty() {
                return Err(Malformed("an encrypted secret, though none was asked for"));
            }
            body.byte_array()
        });
        let value = value.map_err(errors::of_malformed)?;
        // Allocated at its full size: nothing is left behind by growth.
        Ok(Zeroizing::new(value.to_vec()))
    }
}

/// One connection; all that is read passes through its buffers, which are wiped.
struct Bus {
    stream: UnixStream,
    uid: u32,
    /// What the server must say that it is.
    guid: Option<String>,
    timeout: Duration,
    end: Instant,
    buffer: Zeroizing<Vec<u8>>,
    /// What of the buffer is read but not yet used: `from..to`.
    from: usize,
    to: usize,
    /// The serials of calls that were made and not answered yet.
    asked: Vec<u32>,
    /// Replies that came before they were waited for, at most one to each call.
    early: Vec<(u32, Zeroizing<Vec<u8>>)>,
    /// The last of them that was waited for.
    late: Zeroizing<Vec<u8>>,
}

impl Bus {
    fn connect(address: &BusAddress, timeout: Duration, end: Instant) -> Result<Bus, StoreError> {
        let left = left(end).ok_or_else(|| errors::frozen(timeout))?;
        let Connected { stream, guid } = address.connect(left)?;
        Ok(Bus {
            stream,
            uid: address.uid(),
            guid,
            timeout,
            end,
            buffer: Zeroizing::new(vec![0; BUFFER]),
            from: 0,
            to: 0,
            asked: Vec::new(),
            early: Vec::new(),
            late: Zeroizing::default(),
        })
    }

    /// No collection is the default one. Where there is none at all, a search makes
    /// KeePassXC ask for a database.
    fn without_default(&mut self) -> Result<Default, StoreError> {
        let serial = GET_COLLECTIONS;
        self.ask(&[get_property(serial, SERVICE_PATH, SERVICE, "Collections")])?;
        let reply = self.reply(serial)?;
        let message = match reply.check() {
            Ok(message) => message,
            // As in `ask_default`.
            Err(StoreError::Other(_)) => return Ok(Default::Unknown),
            Err(fault) => return Err(fault),
        };
        match message.body("v").and_then(|mut body| body.paths_variant()) {
            Ok(all) if all.is_empty() => Err(errors::no_default_collection()),
            Ok(_) | Err(_) => Ok(Default::Unknown),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let sent = self.stream.write_all(bytes);
        sent.map_err(|error| errors::of_io(&error, self.timeout))
    }

    /// Makes these calls in one write.
    fn ask(&mut self, questions: &[Question]) -> Result<(), StoreError> {
        let bytes: Vec<&[u8]> = questions.iter().map(|one| one.bytes.as_slice()).collect();
        self.asked.extend(questions.iter().map(|one| one.serial));
        self.send(&bytes.concat())
    }

    /// The reply to a call, whatever arrives before it: replies to other calls are
    /// kept until they are waited for, all else is passed over.
    fn reply(&mut self, serial: u32) -> Result<Reply<'_>, StoreError> {
        if let Some(at) = self.early.iter().position(|(to, _)| *to == serial) {
            self.late = self.early.swap_remove(at).1;
            let message = Message::parse(&self.late);
            return message.map(Reply).map_err(errors::of_malformed);
        }
        for _ in 0..MAX_STRAY {
            self.fill(PREFIX)?;
            let prefix = self.buffer[self.from..self.to]
                .first_chunk()
                .expect("fill gave at least this much");
            let length = message_length(prefix).map_err(errors::of_malformed)?;
            self.fill(length)?;
            let at = self.from..self.from + length;
            self.from = at.end;
            let message = Message::parse(&self.buffer[at.clone()]).map_err(errors::of_malformed)?;
            let to = match message.kind {
                MessageKind::Return { to } | MessageKind::Error { to, .. } => to,
                MessageKind::Other => continue,
            };
            let Some(asked) = self.asked.iter().position(|&asked| asked == to) else {
                continue;
            };
            self.asked.swap_remove(asked);
            if to == serial {
                // Parsed anew because the borrow checker does not see that the loop ends here.
                let message = Message::parse(&self.buffer[at]);
                return message.map(Reply).map_err(errors::of_malformed);
            }
            let kept = Zeroizing::new(self.buffer[at].to_vec());
            self.early.push((to, kept));
        }
        Err(errors::of_malformed(Malformed(
            "too many messages that are not answers",
        )))
    }

    /// Says hello to the bus, with first calls whose answers are still to come.
    fn greet<'a>(
        &mut self,
        first: impl IntoIterator<Item = &'a Question>,
    ) -> Result<(), StoreError> {
        let hello = hello();
        let handshake = handshake(self.uid);
        self.asked.push(hello.serial);
        let mut bytes = [handshake.as_bytes(), &hello.bytes].concat();
        for call in first {
            self.asked.push(call.serial);
            bytes.extend_from_slice(&call.bytes);
        }
        self.send(&bytes)?;
        self.greeting()?;
        self.reply(HELLO)?.check().map(drop)
    }

    /// Says hello to the bus, with `others` for it, and waits until the provider has
    /// answered a first call.
    fn introduce(&mut self, others: &[Question]) -> Result<(), StoreError> {
        // gnome-keyring may handle a client's first call before it has noted the client,
        // and then a question about a collection, or a session, is its end. This one needs no
        // client, and what follows is asked once it has been answered.
        let harmless = get_property(GREETING, SERVICE_PATH, SERVICE, "Collections");
        self.greet(others.iter().chain([&harmless]))?;
        match self.reply(GREETING)?.check() {
            // That the provider cannot tell is no matter; that there is none, is.
            Ok(_) | Err(StoreError::Other(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// The program behind the keychain, after `get_pid`; none where it is not in sight, or
    /// was not started when the bus was asked.
    fn provider(&mut self) -> Option<String> {
        let reply = self.reply(GET_PID).ok()?;
        let pid = reply
            .check()
            .ok()?
            .body("u")
            .and_then(|mut body| body.uint());
        super::provider::name_of(pid.ok()?)
    }

    /// Asks whether the default collection is locked: nothing may be searched for then.
    fn ask_default(&mut self) -> Result<Default, StoreError> {
        self.ask(&[get_locked(INTRODUCE)])?;
        let reply = self.reply(INTRODUCE)?;
        if reply.is_no_object() {
            return self.without_default();
        }
        match reply.default_is_open() {
            Ok(()) => Ok(Default::Open),
            // That the provider cannot tell is no matter; that there is none, is.
            Err(StoreError::Other(_)) => Ok(Default::Unknown),
            Err(fault) => Err(fault),
        }
    }

    /// Why an item is locked: with its collection, or for itself, as where a person has
    /// to confirm each access.
    fn why_locked(&mut self, item: &str) -> Result<StoreError, StoreError> {
        let collection = collection_of(item);
        Ok(match self.is_locked(collection) {
            Ok(false) => errors::confirms(),
            // A provider whose paths say nothing: locked it is, all the same.
            Ok(true) | Err(_) => errors::locked_collection(collection),
        })
    }

    /// Why nothing was found. Some providers hide what is in a locked collection, so not
    /// found is absent only if no collection is locked, or those that are show their items.
    fn why_not_found(&mut self) -> Result<StoreError, StoreError> {
        // It may have been locked meanwhile, or not be there.
        self.ask(&[get_locked(GET_LOCKED)])?;
        self.reply(GET_LOCKED)?.default_is_open()?;
        let collections = self.paths(SERVICE_PATH, SERVICE, "Collections")?;
        for collection in collections.iter().take(MAX_COLLECTIONS) {
            // One that is gone by now, or does not say, holds nothing for us.
            if matches!(self.is_locked(collection), Ok(true))
                && self
                    .paths(collection, COLLECTION, "Items")
                    .is_ok_and(|items| items.is_empty())
            {
                return Ok(errors::hidden(collection));
            }
        }
        Ok(StoreError::NoEntry)
    }

    fn is_locked(&mut self, collection: &str) -> Result<bool, StoreError> {
        self.ask(&[get_property(GET_ANY, collection, COLLECTION, "Locked")])?;
        self.reply(GET_ANY)?.boolean()
    }

    fn paths(
        &mut self,
        path: &str,
        interface: &str,
        name: &str,
    ) -> Result<Vec<String>, StoreError> {
        self.ask(&[get_property(GET_ANY, path, interface, name)])?;
        self.reply(GET_ANY)?.paths_variant()
    }

    /// Reads the server's side of the handshake, up to the line that lets us in.
    fn greeting(&mut self) -> Result<(), StoreError> {
        let mut searched = 0;
        let line_end = loop {
            let unread = &self.buffer[self.from..self.to];
            if let Some(at) = unread.iter().position(|&byte| byte == b'\n') {
                break self.from + at;
            }
            searched = unread.len().max(searched);
            if searched > MAX_LINE {
                return Err(errors::of_malformed(Malformed(
                    "a handshake without an end",
                )));
            }
            self.fill(searched + 1)?;
        };
        let line = self.buffer[self.from..line_end].trim_ascii();
        let answer = if let Some(guid) = line.strip_prefix(b"OK ") {
            address::check_guid(self.guid.as_deref(), &String::from_utf8_lossy(guid))
        } else if line.starts_with(b"REJECTED") {
            Err(StoreError::Denied(
                "the session bus does not let us in".into(),
            ))
        } else {
            Err(errors::of_malformed(Malformed("an unknown handshake")))
        };
        self.from = line_end + 1;
        answer
    }

    /// Reads until at least this many bytes are unused.
    fn fill(&mut self, wanted: usize) -> Result<(), StoreError> {
        if self.from + wanted > self.buffer.len() {
            let unread = self.from..self.to;
            let kept = unread.len();
            if wanted > self.buffer.len() {
                // The old buffer is wiped as it goes; `wanted` is bounded by MAX_MESSAGE.
                let mut larger = Zeroizing::new(vec![0; wanted]);
                larger[..kept].copy_from_slice(&self.buffer[unread]);
                self.buffer = larger;
            } else {
                self.buffer.copy_within(unread, 0);
            }
            (self.from, self.to) = (0, kept);
        }
        while self.to - self.from < wanted {
            let read = self.read_some();
            self.to += read.map_err(|error| errors::of_io(&error, self.timeout))?;
        }
        Ok(())
    }

    fn read_some(&mut self) -> io::Result<usize> {
        // Each round ends at a byte or at a signal; the time that is left bounds them.
        loop {
            let rest = left(self.end).ok_or(io::ErrorKind::TimedOut)?;
            self.stream.set_read_timeout(Some(rest))?;
            match self.stream.read(&mut self.buffer[self.to..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// The time that is left; none if there is none.
fn left(end: Instant) -> Option<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}
