//! TLS for real: certificates that are trusted only through the CA bundle. The key
//! beside them is for 127.0.0.1 and for nothing else.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use awskeep::aws::live::LiveAccount;
use awskeep::aws::network::Network;
use awskeep::aws::{Account, CallFailureClass as Class, Place, Signer};
use awskeep::store::item::Endpoint;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::scene;
use crate::sim::faults::Script;

const CA: &[u8] = include_bytes!("tls/ca.pem");
const LEAF: &[u8] = include_bytes!("tls/leaf.pem");
const LEAF_KEY: &[u8] = include_bytes!("tls/leaf.key.pem");

/// One HTTP message: its head and as many bytes as that says.
fn message(from: &mut impl BufRead) -> Vec<u8> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        bytes.extend(line.as_bytes());
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let head = bytes.len();
    bytes.resize(head + length, 0);
    from.read_exact(&mut bytes[head..]).unwrap();
    bytes
}

/// Takes TLS off one request and puts it onto its reply.
fn pass_one(listener: &TcpListener, config: Arc<ServerConfig>, behind: u16) -> Result<(), String> {
    let mut client = listener.accept().unwrap().0;
    let mut connection = ServerConnection::new(config).unwrap();
    while connection.is_handshaking() {
        connection
            .complete_io(&mut client)
            .map_err(|e| e.to_string())?;
    }
    let mut client = Stream::new(&mut connection, &mut client);
    let request = message(&mut BufReader::new(&mut client));
    let mut server = TcpStream::connect(("127.0.0.1", behind)).unwrap();
    server.write_all(&request).unwrap();
    let reply = message(&mut BufReader::new(&mut server));
    client.write_all(&reply).map_err(|e| e.to_string())
}

#[test]
fn only_the_bundle_makes_a_private_certificate_trusted() {
    let s = scene(Script::default());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(LEAF).unwrap()],
            PrivateKeyDer::from_pem_slice(LEAF_KEY).unwrap(),
        )
        .unwrap();
    let (config, port) = (Arc::new(config), s.server.port());
    let junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let with_junk = [junk.as_slice(), b"\n# a comment\n", CA].concat();
    for (bundle, trusted) in [
        (None, false),
        (Some(CA.to_vec()), true),
        (Some(with_junk), true),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let place = Place {
            region: "eu-central-1".into(),
            partition: "aws".into(),
            endpoint: Some(Endpoint {
                sts: url.clone(),
                iam: url,
            }),
        };
        let network = Network {
            ca_bundle_pem: bundle,
            ..Network::default()
        };
        let config = Arc::clone(&config);
        let passing = std::thread::spawn(move || pass_one(&listener, config, port));
        let aws = LiveAccount::new(place, network).unwrap();
        let made = aws.create_key(Signer::Key(&s.key), &s.bob);
        if trusted {
            s.server.account(|account| {
                let made = made.unwrap().value.key.id;
                account.set_by_hand(made.as_str(), None, 0);
            });
        } else {
            let failure = made.unwrap_err();
            assert_eq!(failure.class, Class::Unreachable, "{failure:?}");
            assert!(failure.message.contains("certificate"), "{failure:?}");
        }
        assert_eq!(passing.join().unwrap().is_ok(), trusted);
    }
    assert_eq!(s.requests("CreateAccessKey"), 2);
}
