//! The keychain store against a real bus and a real gnome-keyring, each test with
//! its own of both in an isolated home. Needs dbus and gnome-keyring.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use awskeep::store::Deadline;
use awskeep::store::error::StoreError;
use awskeep::store::item::Identity;
use awskeep::store::keychain::{BusAddress, SecretServiceStore};
use awskeep::store::session_item::KeptSession;
use awskeep::store::{SERVICE, Vault};
use awskeep::types::keys::{EntryName, Secret};
use awskeep::types::store_kind::StoreKind;
use awskeep::types::time::Timestamp;
use keyring_core::Entry;
use keyring_core::api::CredentialStoreApi;
use tempfile::TempDir;

const TIMEOUT: Deadline = Deadline::PerCall(Duration::from_secs(2));
const READY: Duration = Duration::from_secs(20);

/// A bus of its own, and by choice a provider; both end with it.
struct Desktop {
    home: TempDir,
    bus: Child,
    keyring: Option<Child>,
    address: String,
}

#[derive(Clone, Copy)]
enum Provider {
    Missing,
    Unlocked,
}

impl Desktop {
    fn start(provider: Provider) -> Desktop {
        let home = tempfile::tempdir().unwrap();
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(home.path(), private).unwrap();
        // No service folder: nothing is activated behind a test's back.
        let config = home.path().join("bus.conf");
        let policy = r#"<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>"#;
        let listen = format!("unix:path={}/bus", home.path().display());
        std::fs::write(
            &config,
            format!("<busconfig><type>session</type><listen>{listen}</listen>{policy}</busconfig>"),
        )
        .unwrap();
        let mut bus = isolated("dbus-daemon", &home)
            .args(["--nofork", "--print-address", "--config-file"])
            .arg(&config)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(bus.stdout.as_mut().unwrap())
            .read_line(&mut address)
            .unwrap();
        let mut desktop = Desktop {
            home,
            bus,
            keyring: None,
            address: address.trim().to_owned(),
        };
        match provider {
            Provider::Missing => {}
            Provider::Unlocked => desktop.start_keyring(),
        }
        desktop
    }

    fn start_keyring(&mut self) {
        let mut keyring = isolated("gnome-keyring-daemon", &self.home)
            .args(["--foreground", "--unlock", "--components=secrets"])
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        keyring.stdin.take().unwrap().write_all(b"pw").unwrap();
        self.keyring = Some(keyring);
        let end = Instant::now() + READY;
        while let Err(fault) = self.store().probe() {
            assert!(Instant::now() < end, "the keyring is not ready: {fault:?}");
            thread::yield_now();
        }
    }

    fn store(&self) -> SecretServiceStore {
        let uid = rustix::process::geteuid().as_raw();
        SecretServiceStore::new(BusAddress::parse(&self.address, uid).unwrap(), TIMEOUT)
    }

    fn entry(&self, name: &str) -> Entry {
        self.store().build(SERVICE, name, None).unwrap()
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        self.entry(name).get_secret().map_err(StoreError::of)
    }

    fn set(&self, name: &str, secret: &[u8]) -> Result<(), StoreError> {
        self.entry(name).set_secret(secret).map_err(StoreError::of)
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.entry(name).delete_credential().map_err(StoreError::of)
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let spec = HashMap::from([("service", SERVICE)]);
        let found = self.store().search(&spec).map_err(StoreError::of)?;
        let mut names: Vec<String> = found
            .iter()
            .filter_map(|entry| entry.get_specifiers())
            .map(|(_, user)| user)
            .collect();
        names.sort();
        Ok(names)
    }

    fn keyring_pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.keyring.as_ref().unwrap())
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for child in self.keyring.iter_mut().chain([&mut self.bus]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn isolated(program: &str, home: &TempDir) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("XDG_DATA_HOME", home.path().join("data"))
        .stderr(Stdio::null());
    command
}

#[test]
fn a_secret_goes_in_is_replaced_listed_and_deleted() {
    let desktop = Desktop::start(Provider::Unlocked);
    assert_eq!(desktop.get("work"), Err(StoreError::NoEntry));
    assert_eq!(desktop.delete("work"), Err(StoreError::NoEntry));
    assert_eq!(desktop.names(), Ok(vec![]));
    desktop.set("work", b"{\"v\":1}").unwrap();
    assert_eq!(desktop.get("work").unwrap(), b"{\"v\":1}");
    let large = "x".repeat(100_000);
    desktop.set("work", large.as_bytes()).unwrap();
    assert_eq!(desktop.get("work").unwrap(), large.as_bytes());
    desktop.set("other", b"2").unwrap();
    assert_eq!(desktop.names().unwrap(), ["other", "work"]);
    desktop.delete("work").unwrap();
    assert_eq!(desktop.get("work"), Err(StoreError::NoEntry));
    assert_eq!(desktop.names().unwrap(), ["other"]);
}

#[test]
fn an_mfa_session_is_kept_beside_its_entry_and_is_none() {
    let desktop = Desktop::start(Provider::Unlocked);
    let store = Arc::new(desktop.store());
    let vault = Vault::new(StoreKind::Keychain, store, TIMEOUT);
    let entry: EntryName = "work".parse().unwrap();
    desktop.set("work", b"{\"v\":1}").unwrap();
    assert_eq!(vault.find_session(&entry), Ok(None));
    vault.erase_session(&entry).unwrap();
    let identity = Identity {
        arn: "arn:aws:iam::123456789012:user/bob"
            .to_owned()
            .try_into()
            .unwrap(),
        user_id: "AIDAEXAMPLE".into(),
    };
    let session = || {
        KeptSession::new(
            identity.clone(),
            "ASIAIOSFODNN7EXAMPLE".parse().unwrap(),
            Secret::new("secret".into()),
            Secret::new("token".into()),
            Timestamp(1_800_000_000),
        )
    };
    vault.save_session(&entry, session()).unwrap();
    assert_eq!(vault.find_session(&entry), Ok(Some(session())));
    assert_eq!(vault.names(), Ok(vec![entry.clone()]));
    assert_eq!(desktop.get("work").unwrap(), b"{\"v\":1}");
    vault.erase_session(&entry).unwrap();
    assert_eq!(vault.find_session(&entry), Ok(None));
    assert_eq!(desktop.names().unwrap(), ["work"]);
}

#[test]
fn a_locked_collection_is_said_at_once_and_never_prompts() {
    let desktop = Desktop::start(Provider::Unlocked);
    desktop.set("work", b"1").unwrap();
    desktop.store().lock().unwrap();
    let started = Instant::now();
    for result in [
        desktop.get("work").map(drop),
        desktop.get("absent").map(drop),
        desktop.set("work", b"2"),
        desktop.set("new", b"2"),
        desktop.delete("work"),
        desktop.names().map(drop),
        desktop.store().probe(),
    ] {
        assert!(matches!(result, Err(StoreError::Locked(_))), "{result:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(7), "1 s for each");
}

#[test]
fn no_bus_and_no_provider_are_absent() {
    let gone = BusAddress::parse("unix:path=/nonexistent/bus", 0).unwrap();
    let probe = SecretServiceStore::new(gone, TIMEOUT).probe();
    assert!(matches!(probe, Err(StoreError::Absent(_))), "{probe:?}");
    let desktop = Desktop::start(Provider::Missing);
    for result in [
        desktop.get("work").map(drop),
        desktop.set("work", b"1"),
        desktop.delete("work"),
        desktop.names().map(drop),
        desktop.store().probe(),
    ] {
        assert!(matches!(result, Err(StoreError::Absent(_))), "{result:?}");
    }
}

/// Everything that a store does, refused in one way.
fn check_refused(store: &SecretServiceStore, expected: &StoreError) {
    let entry = store.build(SERVICE, "work", None).unwrap();
    let spec = HashMap::from([("service", SERVICE)]);
    for result in [
        entry.get_secret().map(drop).map_err(StoreError::of),
        entry.set_secret(b"1").map_err(StoreError::of),
        entry.delete_credential().map_err(StoreError::of),
        store.search(&spec).map(drop).map_err(StoreError::of),
        store.probe(),
        store.lock().map(drop),
        store.unlock(SERVICE).map(drop),
        store.items_of_collection("login").map(drop),
    ] {
        assert_eq!(result, Err(expected.clone()));
    }
}

/// The address of a dead bus stays in tmux and nohup, and anybody may listen there.
#[test]
fn a_dead_bus_address_gets_no_secret() {
    let home = tempfile::tempdir().unwrap();
    let own = rustix::process::geteuid();
    let socket = home.path().join("bus");
    // Root can be another user; anybody else takes itself for one.
    let (peer, own) = match own.is_root() {
        true => (65534, 0),
        false => (own.as_raw(), own.as_raw() + 1),
    };
    let mut bus = isolated("setpriv", &home);
    if own == 0 {
        std::os::unix::fs::chown(home.path(), Some(peer), None).unwrap();
        bus.args([&format!("--reuid={peer}"), "--clear-groups"]);
    }
    let config = home.path().join("bus.conf");
    let listen = format!("<listen>unix:path={}</listen>", socket.display());
    let policy = r#"<policy context="default"><allow user="*"/><allow send_destination="*"/><allow own="*"/></policy>"#;
    std::fs::write(
        &config,
        format!("<busconfig><type>session</type>{listen}{policy}</busconfig>"),
    )
    .unwrap();
    let mut bus = bus
        .args(["dbus-daemon", "--nofork", "--print-address"])
        .arg(format!("--config-file={}", config.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(bus.stdout.as_mut().unwrap())
        .read_line(&mut address)
        .unwrap();
    let address = BusAddress::parse(address.trim(), own).unwrap();
    let fault = StoreError::Other(format!(
        "the session bus at {} belongs to another user (uid {peer})",
        socket.display()
    ));
    check_refused(&SecretServiceStore::new(address, TIMEOUT), &fault);
    bus.kill().unwrap();
    bus.wait().unwrap();
}

#[test]
fn a_bus_with_another_guid_gets_no_secret() {
    let desktop = Desktop::start(Provider::Unlocked);
    let (path, guid) = desktop.address.split_once(",guid=").unwrap();
    assert_eq!(guid.len(), 32);
    let uid = rustix::process::geteuid().as_raw();
    let stale = format!("{path},guid={}", "0".repeat(32));
    let stale = BusAddress::parse(&stale, uid).unwrap();
    let fault = StoreError::Other(
        "another session bus listens where DBUS_SESSION_BUS_ADDRESS says: its guid differs".into(),
    );
    check_refused(&SecretServiceStore::new(stale, TIMEOUT), &fault);
}

#[test]
fn a_bus_path_with_escapes_is_read_and_written_alike() {
    let desktop = Desktop::start(Provider::Unlocked);
    let bus = desktop.home.path().join("bus");
    std::os::unix::fs::symlink(bus, desktop.home.path().join("a b,%;")).unwrap();
    let address = format!("unix:path={}/a%20b%2c%25%3B", desktop.home.path().display());
    let uid = rustix::process::geteuid().as_raw();
    let store = SecretServiceStore::new(BusAddress::parse(&address, uid).unwrap(), TIMEOUT);
    let entry = store.build(SERVICE, "work", None).unwrap();
    entry.set_secret(b"1").unwrap();
    assert_eq!(entry.get_secret().unwrap(), b"1");
    assert_eq!(desktop.get("work"), Ok(b"1".to_vec()));
    entry.delete_credential().unwrap();
    assert_eq!(desktop.get("work"), Err(StoreError::NoEntry));
}

#[test]
fn a_frozen_daemon_costs_the_deadline() {
    let desktop = Desktop::start(Provider::Unlocked);
    desktop.set("work", b"1").unwrap();
    let deadline = Duration::from_millis(2500);
    let vault = Vault::new(
        StoreKind::Keychain,
        Arc::new(desktop.store()),
        Deadline::PerCall(deadline),
    );
    let stop = rustix::process::Signal::STOP;
    rustix::process::kill_process(desktop.keyring_pid(), stop).unwrap();
    let started = Instant::now();
    let result = vault.bytes(&"work".parse().unwrap());
    assert!(matches!(result, Err(StoreError::Frozen(_))), "{result:?}");
    assert!(started.elapsed() < deadline + Duration::from_secs(1));
}

#[test]
fn a_daemon_killed_in_a_call_is_never_a_missing_entry() {
    let mut desktop = Desktop::start(Provider::Unlocked);
    desktop.set("work", b"1").unwrap();
    // Stopped first, so that the call is surely on its way when the daemon dies.
    let pid = desktop.keyring_pid();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let entry = desktop.entry("work");
    let reader = thread::spawn(move || entry.get_secret().map_err(StoreError::of));
    desktop.keyring.as_mut().unwrap().kill().unwrap();
    let result = reader.join().unwrap();
    assert!(
        matches!(
            result,
            Err(StoreError::Died(_) | StoreError::Absent(_) | StoreError::Locked(_))
        ),
        "{result:?}"
    );
}

#[test]
fn of_two_equal_items_none_is_chosen() {
    let desktop = Desktop::start(Provider::Unlocked);
    desktop.set("work", b"1").unwrap();
    // Another attribute makes it another item to the provider, yet it answers to our search.
    let mut other = isolated("secret-tool", &desktop.home)
        .env("DBUS_SESSION_BUS_ADDRESS", &desktop.address)
        .args(["store", "--label=x", "service", SERVICE])
        .args(["username", "work", "else", "1"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    other.stdin.take().unwrap().write_all(b"2").unwrap();
    assert!(other.wait().unwrap().success());
    for result in [
        desktop.get("work").map(drop),
        desktop.set("work", b"3"),
        desktop.delete("work"),
    ] {
        assert!(matches!(result, Err(StoreError::Twins(_))), "{result:?}");
    }
}

#[test]
fn two_hundred_reads_at_once() {
    let desktop = Desktop::start(Provider::Unlocked);
    desktop.set("work", b"1").unwrap();
    let readers: Vec<_> = (0..200)
        .map(|_| {
            let entry = desktop.entry("work");
            thread::spawn(move || entry.get_secret().map_err(StoreError::of))
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), Ok(b"1".to_vec()));
    }
}
