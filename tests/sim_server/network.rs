//! Where requests go, and on which connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use awskeep::aws::live::LiveAccount;
use awskeep::aws::network::{Network, Proxies};
use awskeep::aws::{Account, CallFailureClass as Class, Place, Signer};
use awskeep::store::item::Endpoint;
use awskeep::types::keys::Secret;

use crate::sim::faults::Script;
use crate::{SERIAL, looking_at, scene, simulated};

#[test]
fn proofs_are_made_on_connections_of_their_own() {
    let s = scene(Script::default());
    for _ in 0..3 {
        s.aws.caller(s.signer()).unwrap();
        s.aws.greet_iam(s.signer(), &s.bob).unwrap();
        s.aws.list_keys(s.signer(), &s.bob).unwrap();
    }
    let connections = |action: &str| {
        let journal = s.server.journal();
        let mut all: Vec<u32> = journal
            .iter()
            .filter(|e| e.action == action)
            .map(|e| e.connection)
            .collect();
        all.dedup();
        all.len()
    };
    assert_eq!(connections("GetCallerIdentity"), 3);
    assert_eq!(connections("GetUser"), 3);
    assert_eq!(connections("ListAccessKeys"), 1);
}

/// A proxy that notes whom it is asked for, and refuses: nothing leaves the machine.
fn refusing_proxy(requests: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://me:hunter2@{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let streams = listener.incoming().take(requests).map(Result::unwrap);
        let answer = |mut stream: TcpStream| {
            let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let first = lines.next().unwrap();
            let rest: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let credentials = "Basic bWU6aHVudGVyMg==";
            assert!(rest.iter().any(|l| l.ends_with(credentials)), "{rest:?}");
            let no = b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(no).unwrap();
            first
        };
        streams.map(answer).collect()
    });
    (url, asked)
}

#[test]
fn calls_go_to_the_endpoints_of_their_partition_through_the_proxy() {
    for (region, partition, sts, iam) in [
        (
            "eu-central-1",
            "aws",
            "sts.eu-central-1.amazonaws.com",
            "iam.amazonaws.com",
        ),
        (
            "cn-northwest-1",
            "aws-cn",
            "sts.cn-northwest-1.amazonaws.com.cn",
            "iam.cn-north-1.amazonaws.com.cn",
        ),
        (
            "us-gov-east-1",
            "aws-us-gov",
            "sts.us-gov-east-1.amazonaws.com",
            "iam.us-gov.amazonaws.com",
        ),
        (
            "us-iso-west-1",
            "aws-iso",
            "sts.us-iso-west-1.c2s.ic.gov",
            "iam.us-iso-east-1.c2s.ic.gov",
        ),
        (
            "eusc-de-east-1",
            "aws-eusc",
            "sts.eusc-de-east-1.amazonaws.eu",
            "iam.eusc-de-east-1.amazonaws.eu",
        ),
    ] {
        let (_, key, bob) = simulated();
        let (url, asked) = refusing_proxy(2);
        let value = |name: &str| (name == "HTTPS_PROXY").then(|| url.clone());
        let network = Network {
            proxies: Proxies::from_values(value),
            ..Network::default()
        };
        let place = Place {
            region: region.into(),
            partition: partition.into(),
            endpoint: None,
        };
        let aws = LiveAccount::new(place, network).unwrap();
        let code = Secret::new("111111".into());
        for failure in [
            aws.mfa_session(&key, SERIAL, &code).unwrap_err(),
            aws.create_key(Signer::Key(&key), &bob).unwrap_err(),
        ] {
            assert_eq!(failure.class, Class::Unreachable, "{failure:?}");
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
        let lines = [sts, iam].map(|host| format!("CONNECT {host}:443 HTTP/1.1"));
        assert_eq!(asked.join().unwrap(), lines);
    }
}

/// A server whose replies of this status never end; it says how much it could send.
fn endless(status: &'static str) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let mut request = BufReader::new(&stream).lines().map(Result::unwrap);
            request
                .by_ref()
                .take_while(|line| !line.is_empty())
                .for_each(drop);
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\n\r\n<x>");
            let _ = stream.write_all(head.as_bytes());
            let block = [b'x'; 64 * 1024];
            while stream.write_all(&block).is_ok() {
                count.fetch_add(block.len() as u64, Ordering::SeqCst);
            }
        }
    });
    (url, sent)
}

#[test]
fn a_reply_without_end_does_not_fill_the_memory() {
    for (status, class) in [
        ("200 OK", Class::ReplyLost),
        ("403 Forbidden", Class::Unknown),
    ] {
        let (_, key, bob) = simulated();
        let (url, sent) = endless(status);
        let failure = looking_at(&url).create_key(Signer::Key(&key), &bob);
        assert_eq!(failure.unwrap_err().class, class);
        // The rest is in the sockets' buffers.
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < 32 << 20, "{sent} bytes of {status}");
    }
}

#[test]
fn a_server_without_tls_gets_no_https_request() {
    let (url, heard) = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let heard = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut bytes = [0; 1_024];
            let count = stream.read(&mut bytes).unwrap();
            stream.write_all(b"HTTP/1.1 400 what\r\n\r\n").unwrap();
            bytes[..count].to_vec()
        });
        (url, heard)
    };
    let (_, key, bob) = simulated();
    let aws = looking_at(&url);
    let failure = aws.create_key(Signer::Key(&key), &bob).unwrap_err();
    assert_eq!(failure.class, Class::Unreachable, "{failure:?}");
    const HANDSHAKE: u8 = 22;
    assert_eq!(heard.join().unwrap()[0], HANDSHAKE);
}

#[test]
fn endpoints_that_must_not_see_a_key_are_refused() {
    for url in ["http://10.0.0.1:80", "https://me@host", "ftp://127.0.0.1"] {
        let place = Place {
            region: "eu-central-1".into(),
            partition: "aws".into(),
            endpoint: Some(Endpoint {
                sts: "https://sts.amazonaws.com".into(),
                iam: url.into(),
            }),
        };
        assert!(
            LiveAccount::new(place, Network::default()).is_err(),
            "{url}"
        );
    }
}
