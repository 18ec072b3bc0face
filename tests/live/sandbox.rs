//! A user's home with awskeep installed in it, and the scan for leaked secrets. Edge.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use tempfile::TempDir;

use crate::keychain::Keychain;
use crate::programs::{Ran, run, run_with_input};

/// A home, an environment, and what awskeep has said in it so far.
pub struct Sandbox {
    home: TempDir,
    /// The locks of this user: apart from the home, whose files are listed.
    locks: TempDir,
    env: BTreeMap<String, String>,
    also_scanned: Vec<PathBuf>,
    said: RefCell<Vec<Ran>>,
}

impl Sandbox {
    /// A home with awskeep in `~/.local/bin` and nothing else; no bus.
    pub fn new() -> Sandbox {
        // Below `target`: profiles must not name a program in a temp folder.
        let home = tempfile::Builder::new()
            .prefix("home-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a folder below target can be made");
        for folder in [
            ".aws",
            ".config",
            ".local/bin",
            ".local/state",
            ".local/share",
            "tmp",
        ] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        let installed = home.path().join(".local/bin/awskeep");
        fs::hard_link(env!("CARGO_BIN_EXE_awskeep"), &installed)
            .expect("the binary and the sandbox are on one file system");
        let bin = home.path().join(".local/bin").display().to_string();
        let outer_path = std::env::var("PATH").unwrap_or_default();
        let sandbox = Sandbox {
            home,
            locks: TempDir::new().unwrap(),
            env: BTreeMap::new(),
            also_scanned: Vec::new(),
            said: RefCell::default(),
        };
        let here = sandbox.home().display().to_string();
        let locks = sandbox.locks.path().display().to_string();
        sandbox
            .with("HOME", &here)
            .with("AWSKEEP_TEST_LOCKS", &locks)
            .with("PATH", &format!("{bin}:{outer_path}"))
            .with("TMPDIR", &format!("{here}/tmp"))
            .with("LC_ALL", "C.UTF-8")
            .with("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Sandbox {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same on this keychain's bus; its files are scanned too.
    #[must_use]
    pub fn on(mut self, keychain: &Keychain) -> Sandbox {
        for (name, value) in keychain.env() {
            self.env.insert(name.to_owned(), value);
        }
        self.also_scanned.push(keychain.folder().to_owned());
        self
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where awskeep is installed here.
    pub fn binary(&self) -> PathBuf {
        self.home().join(".local/bin/awskeep")
    }

    /// A file's text, empty if there is none.
    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.home().join(path)).unwrap_or_default()
    }

    /// Writes a file below the home, folders included.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.home().join(path);
        fs::create_dir_all(path.parent().expect("it is below the home")).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Any program with this sandbox' environment and nothing else, started in the home.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.env).current_dir(self.home());
        command
    }

    /// Runs awskeep with its input closed. What it says is scanned.
    #[track_caller]
    pub fn awskeep(&self, arguments: &[&str]) -> Ran {
        self.note(run(self.command(self.binary()).args(arguments)))
    }

    /// Runs awskeep with this on stdin. What it says is scanned.
    #[track_caller]
    pub fn awskeep_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        self.note(run_with_input(
            self.command(self.binary()).args(arguments),
            input,
        ))
    }

    /// Runs awskeep for what is to print a secret on stdout; only stderr is scanned.
    #[track_caller]
    pub fn awskeep_printing(&self, arguments: &[&str]) -> Ran {
        let ran = run(self.command(self.binary()).args(arguments));
        let mut noted = ran.clone();
        noted.stdout.clear();
        self.note(noted);
        ran
    }

    /// Adds what a program said to what is scanned.
    pub fn note(&self, ran: Ran) -> Ran {
        self.said.borrow_mut().push(ran.clone());
        ran
    }

    /// All files below the home with their sizes and times: two of these are equal
    /// if nothing was written in between.
    pub fn listing(&self) -> Vec<String> {
        let mut rows: Vec<String> = files_below(self.home())
            .iter()
            .map(|path| {
                let meta = fs::symlink_metadata(path).expect("it was just listed");
                let changed = meta.modified().expect("Linux has times");
                format!("{} {} {changed:?}", path.display(), meta.len())
            })
            .collect();
        rows.sort();
        rows
    }

    /// Fails if one of these secrets stands in any file below the home (the stores' own
    /// files included: they are encrypted), in the keychain's folder, or in what awskeep
    /// said; plain, or as base64, hex, URL or JSON text.
    #[track_caller]
    pub fn secret_scan(&self, secrets: &[&str]) {
        let found = self.leaks(secrets);
        assert!(found.is_empty(), "secrets leaked:\n{}", found.join("\n"));
    }

    /// Where the secrets stand that `secret_scan` complains about.
    pub fn leaks(&self, secrets: &[&str]) -> Vec<String> {
        let needles: Vec<(&str, Vec<u8>)> = secrets.iter().flat_map(|s| forms(s)).collect();
        let mut found = Vec::new();
        let mut search = |place: &str, bytes: &[u8]| {
            for (form, needle) in &needles {
                if holds(bytes, needle) {
                    found.push(format!("{place} holds one, {form}"));
                }
            }
        };
        let roots = std::iter::once(self.home()).chain(self.also_scanned.iter().map(|p| &**p));
        for path in roots.flat_map(files_below) {
            let is_program = path == self.binary();
            if path.is_file() && !path.is_symlink() && !is_program {
                search(&path.display().to_string(), &fs::read(&path).unwrap());
            }
        }
        for ran in self.said.borrow().iter() {
            search(&format!("{}: its name", ran.what), ran.what.as_bytes());
            search(&format!("{}: stdout", ran.what), ran.stdout.as_bytes());
            search(&format!("{}: stderr", ran.what), ran.stderr.as_bytes());
        }
        found
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // A daemon may take its files away meanwhile.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The ways in which a secret may be written down.
fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    assert!(secret.len() >= 16, "too short to be searched for");
    let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
    let url: String = secret.bytes().map(url_encoded).collect();
    let mut forms = vec![
        ("as it is", secret.as_bytes().to_vec()),
        ("in hex", hex.to_uppercase().into_bytes()),
        ("in hex", hex.into_bytes()),
        ("URL-encoded", url.to_lowercase().into_bytes()),
        ("URL-encoded", url.into_bytes()),
        ("JSON-escaped", secret.replace('/', "\\/").into_bytes()),
    ];
    for (name, alphabet) in [("in base64", &STANDARD), ("in base64url", &URL_SAFE)] {
        let engine = GeneralPurpose::new(alphabet, NO_PAD);
        // Inside a longer text it starts at any of three places of a group.
        for before in 0..3 {
            forms.push((name, inner_base64(&engine, secret, before)));
        }
    }
    forms
}

/// The characters that depend on the secret alone, wherever the text around it begins.
fn inner_base64(engine: &GeneralPurpose, secret: &str, before: usize) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend(secret.bytes());
    let encoded = engine.encode(&bytes).into_bytes();
    let first = (before * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    encoded[first..last].to_vec()
}

fn url_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
