//! Rotation with a real gnome-keyring that fails in the middle: its disk full, or
//! locked, between the creation of a key and its save.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::keychain::Keychain;
use crate::programs::Ran;
use crate::sandbox::Sandbox;
use crate::sim::account::Account;
use crate::sim::faults::{Fault, Script, When};
use crate::sim::{SimConfig, SimServer};

/// A home with a user's key as the entry `work` in this keychain, and its account.
struct Stage {
    sandbox: Sandbox,
    server: SimServer,
    keychain: Arc<Keychain>,
    first: String,
    secret: String,
}

impl Stage {
    fn new(account: &str) -> Stage {
        let mut aws = Account::new();
        // Locks are per account and user, for everything that runs on the machine.
        aws.id = account.into();
        aws.add_user("/", "bob");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let made = i64::try_from(now.as_secs()).unwrap() - 86_400;
        let (first, secret) = aws.add_key("bob", made);
        let server = SimServer::start(SimConfig {
            account: aws,
            ..SimConfig::default()
        });
        let keychain = Arc::new(Keychain::start());
        let sandbox = Sandbox::new().on(&keychain).with("AWSKEEP_SETTLE", "0s");
        let pair = format!("{{\"AccessKeyId\":\"{first}\",\"SecretAccessKey\":\"{secret}\"}}");
        let add = ["add", "work", "--stdin", "--no-profile", "--endpoint-url"];
        let url = server.url();
        sandbox
            .awskeep_with_input(&[&add[..], &[&url]].concat(), &pair)
            .ok();
        Stage {
            sandbox,
            server,
            keychain,
            first,
            secret,
        }
    }

    /// Rotates; `act` befalls the keychain when AWS has made the key, before its reply.
    fn rotate_and(&self, act: impl Fn(&Keychain) + Send + Sync + 'static) -> Ran {
        let keychain = Arc::clone(&self.keychain);
        let strike = Fault::halt(When::After, move || act(&keychain));
        self.server
            .set_script(Script::default().on("CreateAccessKey", 1, strike));
        let ran = self.rotate();
        self.server.set_script(Script::default());
        ran
    }

    fn rotate(&self) -> Ran {
        self.sandbox.awskeep(&["rotate", "work", "--yes"])
    }

    fn served(&self) -> String {
        let answer = self
            .sandbox
            .awskeep_printing(&["credential-process", "work"]);
        let answer = answer.ok().json();
        answer["AccessKeyId"].as_str().unwrap().to_owned()
    }

    fn living(&self) -> Vec<String> {
        self.server.account(|account| {
            let keys = account.user("bob").living_keys();
            keys.map(|key| key.id.clone()).collect()
        })
    }
}

#[test]
fn a_full_disk_between_create_and_save_costs_no_key() {
    let mut stage = Stage::new("100000000001");
    let full = stage.rotate_and(Keychain::fill_disk);
    assert!(matches!(full.code, Some(1 | 4 | 7)), "{full}");
    assert!(full.stderr.contains("could not be saved"), "{full}");
    assert_eq!(stage.served(), stage.first, "{full}");
    // What could not be kept is deleted again: no key is left that nobody has.
    assert_eq!(stage.living(), [stage.first.as_str()], "{full}");

    // A new login reads what is on disk: the old key is there.
    let keychain = Arc::get_mut(&mut stage.keychain).expect("the script is gone");
    keychain.unlock();
    assert_eq!(stage.served(), stage.first);
    stage.rotate().ok();
    assert_ne!(stage.served(), stage.first);
    stage.sandbox.secret_scan(&[&stage.secret]);
}

#[test]
fn a_disk_full_from_the_start_makes_no_key() {
    let stage = Stage::new("100000000002");
    stage.keychain.fill_disk();
    let full = stage.rotate();
    assert!(matches!(full.code, Some(1 | 4 | 7)), "{full}");
    assert_eq!(stage.living(), [stage.first.as_str()], "{full}");
    let created = stage.server.take_journal();
    assert!(created.iter().all(|call| call.action != "CreateAccessKey"));
    stage.keychain.free_disk();
    stage.rotate().ok();
    assert_ne!(stage.served(), stage.first);
}

#[test]
fn locked_between_create_and_save_the_key_is_deleted_again() {
    let mut stage = Stage::new("100000000003");
    let locked = stage.rotate_and(Keychain::lock);
    assert_eq!(locked.code, Some(4), "{locked}");
    assert_eq!(stage.living(), [stage.first.as_str()], "{locked}");
    let keychain = Arc::get_mut(&mut stage.keychain).expect("the script is gone");
    keychain.unlock();
    assert_eq!(stage.served(), stage.first);
    stage.rotate().ok();
    assert_ne!(stage.served(), stage.first);
}
