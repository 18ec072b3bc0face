//! A real KWallet, which answers some seconds before it writes: what its crash may cost.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::aws_server::{AwsServer, REGION, User};
use crate::keychain::Keychain;
use crate::programs::{run, wait_until};
use crate::sandbox::Sandbox;

const CONFIG: &str = "[Wallet]\nEnabled=true\nFirst Use=false\nDefault Wallet=kdewallet\n\
    Close When Idle=false\nPrompt on Open=false\n\n[org.freedesktop.secrets]\napiEnabled=true\n";

/// kwalletd5 on a bus of its own, its wallet made and open.
struct KWallet {
    bus: Keychain,
    daemon: Option<Child>,
}

impl KWallet {
    fn start() -> KWallet {
        let bus = Keychain::without_provider();
        for folder in ["config", "data/kwalletd", "cache"] {
            fs::create_dir_all(bus.folder().join(folder)).unwrap();
        }
        fs::write(bus.folder().join("config/kwalletrc"), CONFIG).unwrap();
        let mut kwallet = KWallet { bus, daemon: None };
        kwallet.start_daemon();
        // A new wallet is a collection to the next daemon only.
        kwallet.kill();
        kwallet.start_daemon();
        kwallet
    }

    fn start_daemon(&mut self) {
        let daemon = self.command("kwalletd5").spawn();
        self.daemon = Some(daemon.expect("kwalletd5 starts"));
        wait_until("kwalletd5 is there", || self.asks(&["isEnabled"]).is_some());
        // As pam_kwallet opens it: 56 bytes made of a password and a salt, whatever they are.
        let hash: Vec<String> = (1..=56).map(|byte| byte.to_string()).collect();
        let hash = format!("array:byte:{}", hash.join(","));
        self.asks(&["pamOpen", "string:kdewallet", &hash, "int32:0"]);
        wait_until("the wallet is open", || {
            self.asks(&["isOpen", "string:kdewallet"])
                .is_some_and(|said| said.contains("true"))
        });
    }

    fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    fn wallet(&self) -> PathBuf {
        self.bus.folder().join("data/kwalletd/kdewallet.kwl")
    }

    fn asks(&self, method: &[&str]) -> Option<String> {
        let member = format!("org.kde.KWallet.{}", method[0]);
        let ran = run(self
            .command("dbus-send")
            .args(["--session", "--print-reply=literal", "--reply-timeout=5000"])
            .args(["--dest=org.kde.kwalletd5", "/modules/kwalletd5", &member])
            .args(&method[1..]));
        (ran.code == Some(0)).then_some(ran.stdout)
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.bus.folder();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("XDG_RUNTIME_DIR", folder)
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .env("XDG_DATA_HOME", folder.join("data"))
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .env("QT_QPA_PLATFORM", "offscreen")
            .env("LC_ALL", "C.UTF-8")
            .envs(self.bus.env())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

impl Drop for KWallet {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Opens the wallet for the Secret Service.
fn unlock(sandbox: &Sandbox) {
    sandbox
        .awskeep(&["store", "unlock", "--store", "keychain"])
        .ok();
}

/// A home with alice's key in the wallet, on disk.
fn home(server: &AwsServer, kwallet: &KWallet, user: &User) -> Sandbox {
    let sandbox = Sandbox::new().on(&kwallet.bus).with("AWSKEEP_SETTLE", "0s");
    unlock(&sandbox);
    let written = || {
        fs::metadata(kwallet.wallet())
            .and_then(|there| there.modified())
            .ok()
    };
    let before = written();
    let helper = sandbox.binary().display().to_string();
    let arguments = ["add", "work", "--stdin", "--region", REGION];
    let more = ["--endpoint-url", &server.endpoint, "--helper-path", &helper];
    sandbox
        .awskeep_with_input(
            &[&arguments[..], &more].concat(),
            &user.key.as_cli_prints_it(),
        )
        .ok();
    wait_until("the wallet is written", || written() != before);
    sandbox
}

#[test]
fn a_crash_of_the_daemon_right_after_a_key_was_retired_leaves_one_that_works() {
    let server = AwsServer::start();
    for (user, command) in [
        (
            &server.alice,
            &["rotate", "work", "--delete-now", "--yes"][..],
        ),
        (&server.bob, &["revoke", "work", "--yes"]),
    ] {
        let mut kwallet = KWallet::start();
        let sandbox = home(&server, &kwallet, user);
        sandbox.awskeep(command).ok();
        kwallet.kill();
        kwallet.start_daemon();
        unlock(&sandbox);
        let served = sandbox
            .awskeep_printing(&["credential-process", "work"])
            .ok();
        let id = served.json()["AccessKeyId"].as_str().unwrap().to_owned();
        assert_ne!(id, user.key.id, "{command:?}");
        let keys = server.keys(user);
        assert!(
            keys.contains(&(id, "Active".into())),
            "{command:?}: {keys:?}"
        );
    }
}

#[test]
fn a_crash_right_after_a_key_was_moved_in_loses_none() {
    let server = AwsServer::start();
    let mut kwallet = KWallet::start();
    let sandbox = Sandbox::new().on(&kwallet.bus);
    unlock(&sandbox);
    let helper = sandbox.binary().display().to_string();
    let place = ["--region", REGION, "--endpoint-url", &server.endpoint];
    let mut survives = |entry: &str, user: &User, arguments: &[&str]| {
        let told = sandbox.awskeep(arguments).ok().stderr;
        assert!(
            told.contains("when the keychain has the key on disk"),
            "{told}"
        );
        kwallet.kill();
        kwallet.start_daemon();
        unlock(&sandbox);
        let served = sandbox
            .awskeep_printing(&["credential-process", entry])
            .ok();
        assert_eq!(served.json()["AccessKeyId"], user.key.id);
    };

    let (alice, bob) = (&server.alice, &server.bob);
    let (id, secret) = (&alice.key.id, &alice.key.secret);
    let plain = format!("[work]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    sandbox.write(".aws/credentials", &plain);
    let import = ["import", "--yes", "--no-rotate", "--helper-path", &helper];
    survives("work", alice, &[&import[..], &place].concat());

    let file = ["store", "use", "file", "--without-passphrase", "--yes"];
    sandbox.awskeep(&file).ok();
    let add = ["add", "bob", "--stdin", "--no-profile"];
    sandbox
        .awskeep_with_input(&[&add[..], &place].concat(), &bob.key.as_cli_prints_it())
        .ok();
    survives("bob", bob, &["store", "move", "keychain", "bob"]);
}
