//! A user of the tests: folders of its own, a set clock, scripted answers, an AWS
//! account; and when it is dropped, a scan that no secret got out.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use awskeep::system::disk::LockPlaces;
use awskeep::system::env::{Clock, Env, Folders};
use awskeep::ui::{Captured, Ui};

use crate::sim::account::Account;
use crate::sim::clock::SimClock;
use crate::sim::{SimConfig, SimServer};

/// Makes every sandbox's account another one: locks are per account and user.
static SANDBOXES: AtomicU64 = AtomicU64::new(0);

pub struct Sandbox {
    home: tempfile::TempDir,
    /// Apart from the home, in which tests look for what was written.
    locks: tempfile::TempDir,
    pub clock: Arc<AtomicI64>,
    pub vars: Vec<(String, String)>,
    /// Those that are not UTF-8.
    pub odd_vars: Vec<(String, OsString)>,
    pub aws: SimServer,
    pub key_id: String,
    pub secret: String,
    /// Where this test means secrets to stand.
    plaintext: Mutex<Vec<PathBuf>>,
    /// What runs have shown.
    shown: Mutex<Vec<Captured>>,
}

/// What a run gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub code: u8,
    pub out: String,
    pub err: String,
}

impl Sandbox {
    /// A user `bob` with one key, and an encrypted file without a passphrase.
    pub fn new() -> Sandbox {
        let home = tempfile::tempdir().unwrap();
        for below in [".aws", ".config", ".state", ".data", "bin"] {
            fs::create_dir(home.path().join(below)).unwrap();
        }
        fs::write(home.path().join("bin/awskeep"), "").unwrap();
        let mut account = Account::new();
        let number = SANDBOXES.fetch_add(1, Ordering::SeqCst);
        account.id = format!(
            "{:09}{:03}",
            std::process::id() % 1_000_000_000,
            number % 1_000
        );
        account.add_user("/division/", "bob");
        let clock = SimClock::default();
        let (key_id, secret) = account.add_key("bob", clock.now() - 86_400);
        let now = clock.now();
        let aws = SimServer::start(SimConfig {
            account,
            clock,
            ..SimConfig::default()
        });
        let sandbox = Sandbox {
            home,
            locks: tempfile::tempdir().unwrap(),
            clock: Arc::new(AtomicI64::new(now)),
            // The simulated AWS knows a new key everywhere at once.
            vars: vec![("AWSKEEP_SETTLE".into(), "0s".into())],
            odd_vars: Vec::new(),
            aws,
            key_id,
            secret,
            plaintext: Mutex::default(),
            shown: Mutex::default(),
        };
        let made = sandbox.run(
            &["store", "use", "file", "--without-passphrase", "--yes"],
            &[],
        );
        assert_eq!(made.code, 0, "{made:?}");
        sandbox
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    pub fn read(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap_or_default()
    }

    pub fn write(&self, below: &str, text: &str) {
        fs::write(self.path(below), text).unwrap();
    }

    #[cfg(unix)]
    pub fn chmod(&self, below: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path(below), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A helper that SDKs, and `import`, can really run.
    #[cfg(unix)]
    pub fn make_helper(&self) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path("bin/awskeep");
        let home = self.home.path().display();
        let script = format!(
            "#!/bin/sh\nHOME='{home}' XDG_CONFIG_HOME='{home}/.config' XDG_STATE_HOME='{home}/.state' \
             XDG_DATA_HOME='{home}/.data' exec '{}' \"$@\"\n",
            env!("CARGO_BIN_EXE_awskeep")
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What stands for this user's home in the password database and for `/tmp`; the
    /// real program is told by `AWSKEEP_TEST_LOCKS`.
    pub fn lock_folder(&self) -> &Path {
        self.locks.path()
    }

    /// The machine of this user, with these answers to its questions.
    pub fn env(&self, answers: &[&str]) -> (Env, Captured) {
        let (ui, captured) = Ui::scripted(answers);
        self.shown.lock().unwrap().push(captured.clone());
        let folder = |below: &str| Some(self.path(below));
        let env = Env {
            vars: self.vars.iter().cloned().collect(),
            odd_vars: self.odd_vars.iter().cloned().collect(),
            folders: Folders {
                home: Some(self.home.path().to_owned()),
                config: folder(".config"),
                state: folder(".state"),
                data: folder(".data"),
            },
            locks: LockPlaces::below(self.lock_folder(), self.lock_folder()),
            here: self.home.path().to_owned(),
            clock: Clock::Set(self.clock.clone()),
            started: Instant::now(),
            program: self.path("bin/awskeep"),
            ui,
            stop: Arc::default(),
        };
        (env, captured)
    }

    /// Runs awskeep with these answers to its questions.
    pub fn run(&self, arguments: &[&str], answers: &[&str]) -> Ran {
        let (env, captured) = self.env(answers);
        let words = std::iter::once("awskeep").chain(arguments.iter().copied());
        let code = match awskeep::run(env, words.map(Into::into).collect()) {
            Ok(()) => 0,
            Err(code) => code,
        };
        let hands_out = ["credential-process", "env"].contains(&arguments[0]);
        assert!(
            hands_out || !self.has_secret(&captured.out_text()),
            "{arguments:?}: a secret on stdout"
        );
        Ran {
            code,
            out: self.without_home(&captured.out_text()),
            err: self.without_home(&captured.err_text()),
        }
    }

    /// This test has secrets in plaintext in this folder or file, and means it.
    pub fn keeps_plaintext(&self, below: &str) {
        self.plaintext.lock().unwrap().push(self.path(below));
    }

    /// Whether a secret or token stands in it that this AWS has ever given.
    fn has_secret(&self, text: &str) -> bool {
        self.aws.account(|account| {
            let sessions = account.sessions_given();
            let of_sessions = sessions
                .iter()
                .flat_map(|given| [&given.secret, &given.token]);
            let keys = account.users.iter().flat_map(|user| &user.keys);
            let mut all = keys.map(|key| &key.secret).chain(of_sessions);
            all.any(|secret| text.contains(secret.as_str()))
        })
    }

    /// `add NAME` with the sandbox's key, from a CSV file that is gone afterwards.
    pub fn add(&self, name: &str, more: &[&str]) -> Ran {
        self.add_pair(name, &self.key_id, &self.secret, more)
    }

    pub fn add_pair(&self, name: &str, id: &str, secret: &str, more: &[&str]) -> Ran {
        self.write(
            "key.csv",
            &format!("Access key ID,Secret access key\r\n{id},{secret}\r\n"),
        );
        let url = self.aws.url();
        let mut arguments = vec![
            "add",
            name,
            "--csv",
            "key.csv",
            "--helper-path",
            "bin/awskeep",
            "--no-input",
        ];
        if !more.contains(&"--no-endpoint") {
            arguments.extend(["--endpoint-url", &url]);
        }
        arguments.extend(more.iter().filter(|flag| **flag != "--no-endpoint"));
        let ran = self.run(&arguments, &[]);
        fs::remove_file(self.path("key.csv")).unwrap();
        ran
    }

    /// The files, from the home on, that hold this text.
    pub fn files_with(&self, text: &str) -> Vec<String> {
        let home = self.home.path();
        files_with(home, text.as_bytes())
            .into_iter()
            .map(|path| path.strip_prefix(home).unwrap().display().to_string())
            .collect()
    }

    /// Every file below the home with its content, to see that nothing changed.
    pub fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        files_with(self.home.path(), b"")
            .into_iter()
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    fn without_home(&self, text: &str) -> String {
        text.replace(&self.home.path().display().to_string(), "~")
            .replace(&self.aws.url(), "URL")
            .replace(&self.key_id, "KEY")
            .replace(&self.aws.account(|account| account.id.clone()), "ACCOUNT")
    }
}

/// No secret is in a file, nor was on stderr.
impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for captured in self.shown.lock().unwrap().iter() {
            let err = captured.err_text();
            assert!(!self.has_secret(&err), "a secret on stderr: {err}");
        }
        let plaintext = self.plaintext.lock().unwrap();
        for (path, bytes) in self.everything() {
            let meant = plaintext.iter().any(|below| path.starts_with(below));
            let leaked = !meant && self.has_secret(&String::from_utf8_lossy(&bytes));
            assert!(!leaked, "a secret in {path:?}; meant? `keeps_plaintext`");
        }
    }
}

fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else {
            let bytes = fs::read(&path).unwrap();
            if needle.is_empty() || bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
#[should_panic(expected = "a secret in ")]
fn a_secret_in_a_file_fails_any_test() {
    let sandbox = Sandbox::new();
    sandbox.keeps_plaintext(".aws");
    sandbox.write(".aws/credentials", &sandbox.secret);
    sandbox.write(".config/note", &sandbox.secret);
}

#[test]
#[should_panic(expected = "a secret on stderr")]
fn a_secret_that_a_run_showed_fails_any_test() {
    let sandbox = Sandbox::new();
    let (env, _) = sandbox.env(&[]);
    env.ui.tell(&sandbox.secret);
}
