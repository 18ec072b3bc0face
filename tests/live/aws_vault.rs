//! Importing what aws-vault keeps: in a collection of a real Secret Service, and in files
//! that another implementation of its encryption wrote. What is there stays there.

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use zbus::blocking::Connection;
use zbus::zvariant::{self, DynamicType, OwnedObjectPath, OwnedValue};

use crate::aws_server::{AwsServer, Key, REGION, User};
use crate::clients::Client;
use crate::keychain::Keychain;
use crate::programs::{Ran, in_test_env, run_with_input};
use crate::sandbox::Sandbox;

const SERVICE: &str = "/org/freedesktop/secrets";
const PASSWORD: &str = "the vault's own password";
const SESSION: &str = "sts.GetSessionToken,d29yaw,,1893456000";

fn credential(key: &Key) -> Value {
    json!({
        "AccessKeyID": key.id, "SecretAccessKey": key.secret, "SessionToken": "",
        "Source": "", "CanExpire": false, "Expires": "0001-01-01T00:00:00Z",
    })
}

/// What aws-vault has: two users' keys, and a session that is nobody's business.
fn contents(server: &AwsServer) -> BTreeMap<String, Value> {
    let session =
        json!({"AccessKeyID": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": "x", "SessionToken": "x"});
    BTreeMap::from([
        ("work".to_owned(), credential(&server.alice.key)),
        ("division/bob".to_owned(), credential(&server.bob.key)),
        (SESSION.to_owned(), session),
    ])
}

/// A collection on a keychain's bus.
struct Collection {
    connection: Connection,
    session: OwnedObjectPath,
    path: OwnedObjectPath,
}

impl Collection {
    /// Made without a prompt, by the interface that gnome-keyring has for it.
    fn make(keychain: &Keychain, label: &str) -> Collection {
        let [(_, address)] = keychain.env();
        let builder = zbus::blocking::connection::Builder::address(address.as_str());
        let connection = builder.and_then(|builder| builder.build()).unwrap();
        let body = ("plain", zvariant::Value::from(""));
        let interface = "org.freedesktop.Secret.Service";
        let reply = call(&connection, SERVICE, interface, "OpenSession", &body);
        let (_, session): (OwnedValue, OwnedObjectPath) = reply.body().deserialize().unwrap();
        let label_property = "org.freedesktop.Secret.Collection.Label";
        let properties = HashMap::from([(label_property, zvariant::Value::from(label))]);
        let password = secret(&session, PASSWORD.as_bytes());
        let interface = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface";
        let body = (properties, password);
        let reply = call(
            &connection,
            SERVICE,
            interface,
            "CreateWithMasterPassword",
            &body,
        );
        let path = reply.body().deserialize().unwrap();
        Collection {
            connection,
            session,
            path,
        }
    }

    /// An item as aws-vault's library makes it.
    fn put(&self, name: &str, credential: &Value) {
        let data = STANDARD.encode(credential.to_string());
        let item = json!({"Key": name, "Data": data, "Label": name, "Description": ""});
        let attributes = HashMap::from([("profile", name)]);
        let properties = HashMap::from([
            (
                "org.freedesktop.Secret.Item.Label",
                zvariant::Value::from(name),
            ),
            (
                "org.freedesktop.Secret.Item.Attributes",
                zvariant::Value::from(attributes),
            ),
        ]);
        let text = item.to_string();
        let body = (properties, secret(&self.session, text.as_bytes()), true);
        let interface = "org.freedesktop.Secret.Collection";
        call(&self.connection, &self.path, interface, "CreateItem", &body);
    }

    fn lock(&self) {
        let interface = "org.freedesktop.Secret.Service";
        call(
            &self.connection,
            SERVICE,
            interface,
            "Lock",
            &[&*self.path].as_slice(),
        );
    }

    fn unlock(&self) {
        let interface = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface";
        let body = (&self.path, secret(&self.session, PASSWORD.as_bytes()));
        call(
            &self.connection,
            SERVICE,
            interface,
            "UnlockWithMasterPassword",
            &body,
        );
    }
}

type Secret<'a> = (&'a OwnedObjectPath, &'a [u8], &'a [u8], &'a str);

fn secret<'a>(session: &'a OwnedObjectPath, bytes: &'a [u8]) -> Secret<'a> {
    (session, &[], bytes, "application/json")
}

#[track_caller]
fn call(
    connection: &Connection,
    object: &str,
    interface: &str,
    method: &str,
    body: &(impl Serialize + DynamicType),
) -> zbus::Message {
    let destination = Some("org.freedesktop.secrets");
    connection
        .call_method(destination, object, Some(interface), method, body)
        .unwrap_or_else(|error| panic!("{method}: {error}"))
}

fn import(sandbox: &Sandbox, server: &AwsServer) -> Ran {
    let helper = sandbox.binary().display().to_string();
    let fixed = ["import", "--from", "aws-vault", "--yes", "--region", REGION];
    let place = ["--endpoint-url", &server.endpoint, "--helper-path", &helper];
    sandbox.awskeep(&[&fixed[..], &place].concat())
}

/// Every client is both users, and nothing else came of it.
#[track_caller]
fn all_moved(sandbox: &Sandbox, server: &AwsServer) {
    for (profile, User { arn, .. }) in [("work", &server.alice), ("division/bob", &server.bob)] {
        for client in Client::ALL {
            let who = client.caller_identity(sandbox, server, profile);
            assert_eq!(who.as_ref(), Ok(arn), "{client:?} as {profile}");
        }
    }
    let config = sandbox.text(".aws/config");
    assert_eq!(config.matches("credential_process").count(), 2, "{config}");
    sandbox.secret_scan(&[&server.alice.key.secret, &server.bob.key.secret, PASSWORD]);
}

#[test]
fn keys_in_a_collection_of_the_secret_service_become_entries() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    let nothing = import(&sandbox, &server).exits(4);
    assert!(
        nothing.stderr.contains("set AWS_VAULT_BACKEND"),
        "{nothing}"
    );

    let vault = Collection::make(&keychain, "awsvault");
    for (name, credential) in contents(&server) {
        vault.put(&name, &credential);
    }
    vault.lock();
    let locked = import(&sandbox, &server).exits(4);
    assert!(
        locked
            .stderr
            .contains("aws-vault's collection awsvault is locked"),
        "{locked}"
    );
    assert_eq!(sandbox.text(".aws/config"), "");

    vault.unlock();
    import(&sandbox, &server).ok();
    all_moved(&sandbox, &server);
    // It is all still there, and a second run has nothing to do.
    let again = import(&sandbox, &server).ok();
    assert!(again.stdout.contains("uses entry work already"), "{again}");
}

#[test]
fn a_collection_of_another_name_is_found() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    let sandbox = sandbox.with("AWS_VAULT_SECRET_SERVICE_COLLECTION_NAME", "my keys");
    let vault = Collection::make(&keychain, "my keys");
    vault.put("work", &credential(&server.alice.key));
    import(&sandbox, &server).ok();
    let who = Client::Boto3.caller_identity(&sandbox, &server, "work");
    assert_eq!(who.as_ref(), Ok(&server.alice.arn));
}

#[test]
fn keys_in_encrypted_files_become_entries() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    let folder = sandbox.home().join(".awsvault/keys");
    std::fs::create_dir(sandbox.home().join(".awsvault")).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/aws_vault_file.py");
    let mut python = sandbox.command(in_test_env("venv/bin/python"));
    python.arg(script).arg(&folder).env("PASSPHRASE", PASSWORD);
    run_with_input(&mut python, &json!(contents(&server)).to_string()).ok();
    assert!(folder.join("division%2Fbob").is_file());
    std::fs::write(folder.join(".directory"), "a file manager's").unwrap();

    let asked = import(&sandbox, &server).exits(5);
    assert!(
        asked.stderr.contains("passphrase of aws-vault's"),
        "{asked}"
    );
    let wrong = sandbox.with("AWS_VAULT_FILE_PASSPHRASE", "another");
    let refused = import(&wrong, &server).exits(4);
    assert!(
        refused
            .stderr
            .contains("does not open with this passphrase"),
        "{refused}"
    );
    assert_eq!(wrong.text(".aws/config"), "");

    let sandbox = wrong
        .with("AWS_VAULT_FILE_PASSPHRASE", PASSWORD)
        .with("AWS_VAULT_BACKEND", "file");
    import(&sandbox, &server).ok();
    all_moved(&sandbox, &server);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);
}
