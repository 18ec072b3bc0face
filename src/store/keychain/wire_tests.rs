//! `wire.rs` against a bus that lies, hangs up or says nothing, and against a service
//! that answers in every order.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use keyring_core::api::CredentialStoreApi;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::store::Deadline;
use crate::store::error::StoreError;
use crate::store::keychain::SecretServiceStore;
use crate::store::keychain::address::BusAddress;
use crate::store::keychain::errors;
use crate::store::keychain::marshal::Writer;
use crate::store::keychain::unmarshal::message_length;
use crate::store::keychain::{wire, zbus_connection};

const TIMEOUT: Duration = Duration::from_secs(5);
const GET_PID: &str = "GetConnectionUnixProcessID";
const KEEPASSXC: &str = "keepassxc";
const GUID: &str = "0123456789abcdef0123456789abcdef";

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What a read makes of a bus that answers each connection with these bytes and hangs up.
fn read_from(answer: &[u8]) -> StoreError {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = answer.to_vec();
    // The listener lives as long as its thread; a read connects once or twice.
    thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            // The client may have gone already; then there is nothing to answer.
            let _ = stream
                .read(&mut request)
                .and_then(|_| stream.write_all(&answer));
        }
    });
    let address = format!("unix:path={}", path.display());
    let address = BusAddress::parse(&address, own_uid()).unwrap();
    wire::read(&address, &[("service", "awskeep")], Duration::from_secs(5)).unwrap_err()
}

fn check(answer: &[u8], expected: &str) {
    let kind = format!("{:?}", read_from(answer));
    assert_eq!(kind.split('(').next(), Some(expected), "{answer:?}");
}

#[test]
fn a_bus_that_misbehaves() {
    check(b"", "Died");
    check(b"OK 0123\r\n", "Died");
    check(b"OK 0123\r\nl\x02\0\x01", "Died");
    check(b"REJECTED EXTERNAL\r\n", "Denied");
    check(b"HTTP/1.1 400\r\n", "Other");
    check(&[b'x'; 2000], "Other");
    check(b"OK 0\r\nx\x02\0\x01\0\0\0\0\x01\0\0\0\0\0\0\0", "Other");
    check(
        b"OK 0\r\nl\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\0\0\0\0",
        "Other",
    );
}

#[test]
fn a_bus_that_says_nothing_costs_the_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus");
    let _listener = UnixListener::bind(&path).unwrap();
    let address = format!("unix:path={}", path.display());
    let address = BusAddress::parse(&address, own_uid()).unwrap();
    let started = Instant::now();
    let timeout = Duration::from_millis(200);
    let frozen = Err(errors::frozen(timeout));
    assert_eq!(wire::probe(&address, timeout), frozen);
    let opened = zbus_connection::open(&address, timeout);
    assert_eq!(opened.map(drop), frozen);
    assert!(started.elapsed() < Duration::from_secs(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_answer_panics_or_looks_like_a_missing_entry(
        greeting in "(OK [0-9a-f]{0,8}\r\n)?",
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut answer = greeting.into_bytes();
        answer.extend(bytes);
        prop_assert_ne!(read_from(&answer), StoreError::NoEntry);
    }
}

/// What the fake service says of its default collection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Collection {
    Open,
    Locked,
    /// There is another one.
    Missing,
    /// There is none at all, as before KeePassXC has a database open.
    None,
}

/// How the calls that came in one write are answered.
#[derive(Debug, Clone, Copy)]
enum Order {
    Asked,
    Reversed,
}

/// A bus and a service in one, on a socket of its own, with one item.
#[derive(Debug, Clone, Copy)]
struct Fake {
    collection: Collection,
    /// The name of its process, which is its thread.
    provider: &'static str,
    /// For the first write with more than one call, and for the second.
    orders: [Order; 2],
}

/// What a client called, in the order in which it did.
type Called = Arc<Mutex<Vec<&'static str>>>;

impl Fake {
    fn start(self) -> (TempDir, BusAddress, Called) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus");
        let listener = UnixListener::bind(&path).unwrap();
        let called = Called::default();
        let noted = Arc::clone(&called);
        let service = thread::Builder::new().name(self.provider.to_owned());
        let service = service.spawn(move || {
            for stream in listener.incoming().flatten() {
                // Ends when the client hangs up.
                let _ = self.serve(stream, &noted);
            }
        });
        service.unwrap();
        let address = format!("unix:path={},guid={GUID}", path.display());
        (dir, BusAddress::parse(&address, own_uid()).unwrap(), called)
    }

    fn serve(self, mut stream: UnixStream, called: &Called) -> std::io::Result<()> {
        let mut orders = self.orders.into_iter();
        let mut serial = 0;
        let mut unread = Vec::new();
        let mut begun = false;
        loop {
            // What a client writes at once is read at once: it is far below the buffer.
            let mut chunk = [0; 16 * 1024];
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Ok(());
            }
            unread.extend_from_slice(&chunk[..read]);
            while !begun && let Some(end) = unread.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = unread.drain(..end + 2).collect();
                if line.starts_with(b"\0AUTH") {
                    stream.write_all(format!("OK {GUID}\r\n").as_bytes())?;
                } else if line.starts_with(b"NEGOTIATE") {
                    stream.write_all(b"ERROR\r\n")?;
                }
                begun = line == b"BEGIN\r\n";
            }
            let mut answers = Vec::new();
            while let Some(prefix) = unread.first_chunk() {
                let message: Vec<u8> = unread.drain(..message_length(prefix).unwrap()).collect();
                serial += 1;
                answers.push(self.answer(&message, serial, called));
            }
            if answers.len() > 1
                && let Some(Order::Reversed) = orders.next()
            {
                answers.reverse();
            }
            // One by one, so that the client also sees one without the other.
            for answer in answers {
                stream.write_all(&answer)?;
            }
        }
    }

    fn answer(self, call: &[u8], serial: u32, called: &Called) -> Vec<u8> {
        let has = |word: &str| call.windows(word.len()).any(|at| at == word.as_bytes());
        let member = [
            GET_PID,
            "Hello",
            "OpenSession",
            "SearchItems",
            "GetSecret",
            "Locked",
            "Collections",
        ]
        .into_iter()
        .find(|member| has(member))
        .unwrap();
        called.lock().unwrap().push(member);
        let to = u32::from_le_bytes(call[8..12].try_into().unwrap());
        let mut body = Writer::default();
        let signature = match member {
            GET_PID => {
                let pid = rustix::thread::gettid().as_raw_nonzero().get();
                return reply(serial, to, Ok("u"), &pid.to_le_bytes());
            }
            "Hello" => {
                body.string(":1.1");
                "s"
            }
            "OpenSession" => {
                body.string_variant("").string("/s");
                "vo"
            }
            "SearchItems" => {
                // An array of one path of two bytes, and an empty one.
                let found = [7u32.to_le_bytes(), 2u32.to_le_bytes()].concat();
                let found = [&found[..], b"/i\0\0", &[0; 4]].concat();
                return reply(serial, to, Ok("aoao"), &found);
            }
            "GetSecret" => {
                body.string("/s");
                let mut secret = body.finish();
                secret.resize(secret.len().next_multiple_of(4), 0);
                secret.extend([0; 4]);
                secret.extend(6u32.to_le_bytes());
                secret.extend(b"secret\0\0");
                secret.extend(Writer::default().string("text/plain").finish());
                return reply(serial, to, Ok("(oayays)"), &secret);
            }
            "Collections" => {
                let paths: &[u8] = match self.collection {
                    Collection::None => &[0; 4],
                    Collection::Open | Collection::Locked | Collection::Missing => {
                        b"\x07\0\0\0\x02\0\0\0/c\0"
                    }
                };
                let variant = [b"\x02ao\0", paths].concat();
                return reply(serial, to, Ok("v"), &variant);
            }
            _ => match self.collection {
                Collection::Missing | Collection::None => {
                    let name = "org.freedesktop.DBus.Error.UnknownObject";
                    return reply(serial, to, Err(name), &[]);
                }
                Collection::Open | Collection::Locked => {
                    let locked = u32::from(self.collection == Collection::Locked);
                    let variant = [b"\x01b\0\0", &locked.to_le_bytes()[..]].concat();
                    return reply(serial, to, Ok("v"), &variant);
                }
            },
        };
        reply(serial, to, Ok(signature), &body.finish())
    }
}

/// A reply of a service: a return with a signature, or an error with a name.
fn reply(serial: u32, to: u32, kind: Result<&str, &str>, body: &[u8]) -> Vec<u8> {
    let mut fields = vec![5, 1, b'u', 0];
    fields.extend(to.to_le_bytes());
    match kind {
        Ok(signature) => {
            fields.extend([8, 1, b'g', 0, u8::try_from(signature.len()).unwrap()]);
            fields.extend(signature.as_bytes());
        }
        Err(name) => {
            fields.extend([4, 1, b's', 0]);
            fields.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
            fields.extend(name.as_bytes());
        }
    }
    fields.push(0);
    let mut out = vec![b'l', if kind.is_ok() { 2 } else { 3 }, 1, 1];
    for number in [body.len(), usize::try_from(serial).unwrap(), fields.len()] {
        out.extend(u32::try_from(number).unwrap().to_le_bytes());
    }
    out.extend(fields);
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend(body);
    out
}

/// Six or seven calls, in three writes or four.
#[test]
fn replies_in_every_order_are_understood() {
    let before = ["Hello", GET_PID, "Collections"];
    let after = ["OpenSession", "SearchItems", "GetSecret"];
    for (provider, between) in [("gnome-keyring-d", &[][..]), (KEEPASSXC, &["Locked"])] {
        for first in [Order::Asked, Order::Reversed] {
            for second in [Order::Asked, Order::Reversed] {
                let fake = Fake {
                    collection: Collection::Open,
                    provider,
                    orders: [first, second],
                };
                let (_dir, address, called) = fake.start();
                let secret = wire::read(&address, &[("service", "awskeep")], TIMEOUT);
                assert_eq!(secret.as_deref(), Ok(&b"secret".to_vec()), "{fake:?}");
                let expected = [&before[..], between, &after].concat();
                assert_eq!(*called.lock().unwrap(), expected, "{fake:?}");
                assert_eq!(wire::probe(&address, TIMEOUT), Ok(()), "{fake:?}");
            }
        }
    }
}

/// Where a database is locked, a search alone may open a window.
#[test]
fn a_locked_collection_is_not_searched() {
    let fake = Fake {
        collection: Collection::Locked,
        provider: KEEPASSXC,
        orders: [Order::Asked; 2],
    };
    let (_dir, address, called) = fake.start();
    let asked = || std::mem::take(&mut *called.lock().unwrap());
    let locked = StoreError::Locked("the default collection is locked".into());
    let attributes = [("service", "awskeep")];
    let secret = wire::read(&address, &attributes, TIMEOUT);
    assert_eq!(secret.map(drop), Err(locked.clone()));
    assert_eq!(asked(), ["Hello", GET_PID, "Collections", "Locked"]);
    assert_eq!(wire::probe(&address, TIMEOUT), Err(locked.clone()));
    assert_eq!(asked(), ["Hello", "Collections", "Locked"]);
    let store = SecretServiceStore::new(address, Deadline::PerCall(TIMEOUT));
    let found = store.search(&HashMap::from(attributes)).map(drop);
    assert_eq!(found.map_err(StoreError::of), Err(locked.clone()));
    assert_eq!(asked(), ["Hello", "Collections", "Locked"]);
    let saved = store.build("awskeep", "work", None).unwrap();
    let saved = saved.set_secret(b"secret").map_err(StoreError::of);
    assert_eq!(saved, Err(locked));
    assert_eq!(asked(), ["Hello", "Collections", "Locked"]);
}

#[test]
fn without_a_default_collection_the_others_are_searched() {
    let fake = Fake {
        collection: Collection::Missing,
        provider: KEEPASSXC,
        orders: [Order::Asked; 2],
    };
    let (_dir, address, _called) = fake.start();
    let secret = wire::read(&address, &[("service", "awskeep")], TIMEOUT);
    assert_eq!(secret.as_deref(), Ok(&b"secret".to_vec()));
    let none = StoreError::NoCollection("the keychain's service".into());
    assert_eq!(wire::probe(&address, TIMEOUT), Err(none));
}

#[test]
fn a_server_that_is_not_the_one_of_the_address_gets_no_secret() {
    let fake = Fake {
        collection: Collection::Open,
        provider: KEEPASSXC,
        orders: [Order::Asked; 2],
    };
    let (dir, _address, called) = fake.start();
    let other = "f".repeat(32);
    let address = format!("unix:path={}/bus,guid={other}", dir.path().display());
    let address = BusAddress::parse(&address, own_uid()).unwrap();
    let differs = StoreError::Other(
        "another session bus listens where DBUS_SESSION_BUS_ADDRESS says: its guid differs".into(),
    );
    let attributes = [("service", "awskeep")];
    let secret = wire::read(&address, &attributes, TIMEOUT);
    assert_eq!(secret.map(drop), Err(differs.clone()));
    let store = SecretServiceStore::new(address, Deadline::PerCall(TIMEOUT));
    let saved = store.build("awskeep", "work", None).unwrap();
    let saved = saved.set_secret(b"secret").map_err(StoreError::of);
    assert_eq!(saved, Err(differs));
    // What went out with the handshake may still be on its way; no more will.
    let called = called.lock().unwrap();
    assert!(
        called
            .iter()
            .all(|one| ["Hello", GET_PID, "Collections", "Locked"].contains(one)),
        "{called:?}"
    );
}

/// Before KeePassXC has a database open, a search makes it ask for one.
#[test]
fn without_any_collection_nothing_is_searched() {
    let fake = Fake {
        collection: Collection::None,
        provider: KEEPASSXC,
        orders: [Order::Asked; 2],
    };
    let (_dir, address, called) = fake.start();
    let asked = || std::mem::take(&mut *called.lock().unwrap());
    let attributes = [("service", "awskeep")];
    let secret = wire::read(&address, &attributes, TIMEOUT);
    assert_eq!(secret.map(drop), Err(errors::no_default_collection()));
    assert_eq!(
        asked(),
        ["Hello", GET_PID, "Collections", "Locked", "Collections"]
    );
    let store = SecretServiceStore::new(address, Deadline::PerCall(TIMEOUT));
    let found = store.search(&HashMap::from(attributes)).map(drop);
    assert_eq!(
        found.map_err(StoreError::of),
        Err(errors::no_default_collection())
    );
    assert_eq!(asked(), ["Hello", "Collections", "Locked", "Collections"]);
}
