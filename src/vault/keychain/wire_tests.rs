//! `wire.rs` against a bus that lies, hangs up or says nothing.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::address::BusAddress;
use super::wire;
use crate::vault::fault::Fault;

/// What a read makes of a bus that answers each connection with these bytes and hangs up.
fn read_from(answer: &[u8]) -> Fault {
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
    let address = BusAddress::find(Some(&address), 1000).unwrap();
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
    let address = BusAddress::find(Some(&address), 1000).unwrap();
    let started = Instant::now();
    let result = wire::probe(&address, Duration::from_millis(200));
    assert_eq!(result, Err(Fault::Frozen("0.2".into())));
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
        prop_assert_ne!(read_from(&answer), Fault::NoEntry);
    }
}
