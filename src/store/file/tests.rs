use crate::store::file::*;
use crate::store::{SERVICE, Vault};
use keyring_core::api::CredentialStoreApi;
use proptest::prelude::*;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

/// A store with little scrypt work, closed again and deleted when dropped.
struct Made {
    store: FileStore,
    dir: tempfile::TempDir,
}

impl Drop for Made {
    fn drop(&mut self) {
        self.store.lock().unwrap();
    }
}

fn empty() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore {
        folder: dir.path().join("store"),
        work: 4,
    };
    Made { store, dir }
}

fn plain() -> Made {
    let made = empty();
    made.store.create_without_passphrase().unwrap();
    made
}

fn words(text: &str) -> Secret {
    Secret::new(text.into())
}

fn get(store: &FileStore, entry: &str) -> Result<Vec<u8>, StoreError> {
    let entry = store.build(SERVICE, entry, None).map_err(StoreError::of)?;
    entry.get_secret().map_err(StoreError::of)
}

fn set(store: &FileStore, entry: &str, secret: &[u8]) -> Result<(), StoreError> {
    let entry = store.build(SERVICE, entry, None).map_err(StoreError::of)?;
    entry.set_secret(secret).map_err(StoreError::of)
}

#[test]
fn a_sealed_file_is_made_opened_and_closed() {
    opened::availability().expect("these tests need the kernel's keyring");
    let made = empty();
    let store = &made.store;
    assert_eq!(store.state(), Ok(FileState::Missing));
    assert_eq!(get(store, "work"), Err(missing()));
    assert!(store.create(&words("")).is_err());
    store.create(&words("open sesame")).unwrap();
    for failure in [
        store.create(&words("x")).unwrap_err(),
        store.create_without_passphrase().unwrap_err(),
    ] {
        assert!(
            failure.message.contains("there is an encrypted file"),
            "{failure}"
        );
    }
    assert_eq!(store.state(), Ok(FileState::Locked));
    assert!(matches!(get(store, "work"), Err(StoreError::Locked(_))));
    assert!(matches!(
        set(store, "work", b"x"),
        Err(StoreError::Locked(_))
    ));

    let failure = store
        .unlock(
            &words("open"),
            Span::hours(1),
            crate::system::env::Clock::System.now(),
        )
        .unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (Kind::Store, "the passphrase is wrong")
    );
    let until = store
        .unlock(
            &words("open sesame"),
            Span::hours(1),
            crate::system::env::Clock::System.now(),
        )
        .unwrap();
    assert_eq!(store.state(), Ok(FileState::Open { until: Some(until) }));
    assert!(until.since(crate::system::env::Clock::System.now()) <= Span::hours(1));
    assert_eq!(get(store, "work"), Err(StoreError::NoEntry));
    set(store, "work", b"secret").unwrap();
    assert_eq!(get(store, "work").unwrap(), b"secret");

    store
        .change_passphrase(&words("open sesame"), &words("new"))
        .unwrap();
    store.lock().unwrap();
    store.lock().unwrap();
    assert_eq!(store.state(), Ok(FileState::Locked));
    assert!(
        store
            .unlock(
                &words("open sesame"),
                Span::hours(1),
                crate::system::env::Clock::System.now()
            )
            .is_err()
    );
    fs::remove_file(store.path(RECIPIENT)).unwrap();
    assert_eq!(store.state(), Ok(FileState::Locked));
    store
        .unlock(
            &words("new"),
            Span::hours(1),
            crate::system::env::Clock::System.now(),
        )
        .unwrap();
    assert_eq!(get(store, "work").unwrap(), b"secret");
    store.lock().unwrap();

    fs::write(store.path(SEALED), "not age").unwrap();
    let failure = store
        .unlock(
            &words("new"),
            Span::hours(1),
            crate::system::env::Clock::System.now(),
        )
        .unwrap_err();
    assert!(
        failure.message.ends_with("identity.age is damaged"),
        "{failure}"
    );
}

#[test]
fn entries_are_listed_and_deleted() {
    let made = plain();
    let store = &made.store;
    assert_eq!(store.state(), Ok(FileState::WithoutPassphrase));
    for name in ["work", "Work", "me@corp.com"] {
        set(store, name, name.as_bytes()).unwrap();
    }
    let vault = Vault::new(
        StoreKind::File,
        Arc::new(store.clone()),
        crate::store::Deadline::PerCall(Duration::from_secs(20)),
    );
    let names = |vault: &Vault| -> Vec<String> {
        vault
            .names()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(names(&vault), ["Work", "me@corp.com", "work"]);
    assert_eq!(
        vault.bytes(&"Work".parse().unwrap()).unwrap().as_slice(),
        b"Work"
    );
    vault.delete(&"work".parse().unwrap()).unwrap();
    vault.delete(&"work".parse().unwrap()).unwrap();
    assert_eq!(names(&vault), ["Work", "me@corp.com"]);
    let found = store.search(&HashMap::from([("user", "Work")])).unwrap();
    assert_eq!(found.len(), 1);
    assert!(store.build("other", "work", None).is_err());
    assert!(store.build(SERVICE, "../x", None).is_err());
}

#[test]
fn what_others_can_get_at_is_refused() {
    let made = plain();
    let store = &made.store;
    set(store, "work", b"x").unwrap();
    for (path, open, closed) in [
        (store.path(PLAIN), 0o640, 0o600),
        (store.folder.clone(), 0o755, 0o700),
        (store.path(ENTRIES), 0o770, 0o700),
        (store.path(ENTRIES).join("work.age"), 0o620, 0o600),
    ] {
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        chmod(open);
        let mend = format!("chmod {closed:o} {}", path.display());
        match get(store, "work") {
            Err(StoreError::Denied(why)) => assert!(why.contains(&mend), "{why}"),
            other => panic!("{path:?}: {other:?}"),
        }
        chmod(closed);
        assert_eq!(get(store, "work").unwrap(), b"x");
    }
}

#[test]
fn the_stock_program_opens_everything() {
    let made = plain();
    set(&made.store, "work", b"{\"v\":1}").unwrap();
    let entry = made.store.path(ENTRIES).join("work.age");
    let output = Command::new("age")
        .args(["-d", "-i"])
        .args([made.store.path(PLAIN), entry])
        .output()
        .expect("this test needs the program age");
    assert_eq!(output.stdout, b"{\"v\":1}");

    let sealed = made.dir.path().join("sealed.age");
    let key = identity::parse(&fs::read_to_string(made.store.path(PLAIN)).unwrap()).unwrap();
    fs::write(
        &sealed,
        identity::seal(&key, &words("abc"), identity::WORK).unwrap(),
    )
    .unwrap();
    // It asks on a terminal only, which `expect` gives it.
    let talk = format!(
        "set timeout 60; spawn age -d {}; expect -nocase passphrase; send \"abc\\r\"; expect eof",
        sealed.display()
    );
    let output = Command::new("expect")
        .args(["-c", &talk])
        .output()
        .expect("this test needs the program expect");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains(key.to_string().expose_secret()),
        "age did not open the sealed key"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_bytes_come_back(secret in proptest::collection::vec(any::<u8>(), 0..2_500)) {
        let made = plain();
        set(&made.store, "work", &secret).unwrap();
        prop_assert_eq!(get(&made.store, "work").unwrap(), secret);
    }

    #[test]
    fn damage_is_seen(at in any::<prop::sample::Index>(), bits in 1..=255_u8, cut in any::<bool>()) {
        let made = plain();
        set(&made.store, "work", b"some secret bytes").unwrap();
        let path = made.store.path(ENTRIES).join("work.age");
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= bits }
        fs::write(&path, &bytes).unwrap();
        prop_assert!(matches!(get(&made.store, "work"), Err(StoreError::Corrupt(_))));
    }
}
