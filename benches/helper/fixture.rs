//! A temporary home with a session bus, an unlocked gnome-keyring and two encrypted
//! files, each holding the same entry, stored by awskeep itself. Edge.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The attributes of the entry's item: `service` and `username`.
pub const SERVICE: &str = "awskeep";
pub const ENTRY: &str = "bench";

/// AWS's own documentation examples; no account has them.
pub const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

const PASSPHRASE: &str = "for this bench only";
const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Where an entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    Keychain,
    /// The encrypted file without a passphrase.
    PlainFile,
    /// The encrypted file, opened: its key is in the kernel's keyring.
    OpenedFile,
}

impl Home {
    const ALL: [Home; 3] = [Home::Keychain, Home::PlainFile, Home::OpenedFile];

    fn name(self) -> &'static str {
        match self {
            Home::Keychain => "keychain",
            Home::PlainFile => "plain-file",
            Home::OpenedFile => "opened-file",
        }
    }
}

/// All of it; ends and is deleted when dropped.
pub struct Fixture {
    folder: PathBuf,
    awskeep: PathBuf,
    daemons: Vec<Child>,
}

impl Fixture {
    /// # Errors
    /// What did not start or could not be stored, and why.
    pub fn start(awskeep: PathBuf) -> Result<Fixture, String> {
        let name = format!("awskeep-bench-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        private_folder(&folder)?;
        let mut fixture = Fixture {
            folder,
            awskeep,
            daemons: Vec::new(),
        };
        for home in Home::ALL {
            private_folder(&fixture.home(home))?;
        }
        fixture.start_bus()?;
        fixture.start_keyring()?;
        fixture.store_entries()?;
        Ok(fixture)
    }

    /// A command with nothing of the caller's environment but PATH.
    pub fn command(&self, home: Home, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("HOME", self.home(home));
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if home == Home::Keychain {
            command.env("XDG_RUNTIME_DIR", &self.folder);
            command.env("DBUS_SESSION_BUS_ADDRESS", self.address());
        }
        command
    }

    pub fn awskeep(&self, home: Home, arguments: &[&str]) -> Command {
        let mut command = self.command(home, &self.awskeep);
        command.args(arguments);
        command
    }

    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    fn home(&self, home: Home) -> PathBuf {
        self.folder.join(home.name())
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("bus")
    }

    fn start_bus(&mut self) -> Result<(), String> {
        let mut command = self.command(Home::Keychain, "dbus-daemon");
        command
            .args(["--session", "--nofork", "--nopidfile", "--address"])
            .arg(self.address());
        self.start_daemon(&mut command, "dbus-daemon (package dbus)", "")?;
        let socket = self.socket();
        until("the bus takes connections", || {
            UnixStream::connect(&socket).is_ok()
        })
    }

    fn start_keyring(&mut self) -> Result<(), String> {
        let mut command = self.command(Home::Keychain, "gnome-keyring-daemon");
        command.args(["--foreground", "--unlock", "--components=secrets"]);
        let what = "gnome-keyring-daemon (package gnome-keyring)";
        self.start_daemon(&mut command, what, PASSPHRASE)?;
        // Asking the name itself would make the bus start a second, locked one.
        until("gnome-keyring is on the bus", || {
            let bus = "org.freedesktop.DBus";
            self.ask(
                bus,
                "/",
                &format!("{bus}.NameHasOwner"),
                "org.freedesktop.secrets",
            )
            .contains("boolean true")
        })?;
        until("gnome-keyring has an open default collection", || {
            let service = "org.freedesktop.secrets";
            let method = "org.freedesktop.Secret.Service.ReadAlias";
            self.ask(service, "/org/freedesktop/secrets", method, "default")
                .contains("/collection/")
        })
    }

    fn start_daemon(
        &mut self,
        command: &mut Command,
        what: &str,
        input: &str,
    ) -> Result<(), String> {
        let mut daemon = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{what} does not start: {error}"))?;
        let stdin = daemon.stdin.take();
        self.daemons.push(daemon);
        // Dropping it says that this is all.
        let written = stdin.map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
        written.map_err(|error| format!("{what} reads no input: {error}"))
    }

    fn ask(&self, destination: &str, path: &str, method: &str, text: &str) -> String {
        let answer = self
            .command(Home::Keychain, "dbus-send")
            .args(["--session", "--print-reply"])
            .arg(format!("--dest={destination}"))
            .args([path, method])
            .arg(format!("string:{text}"))
            .output();
        answer.map_or_else(
            |error| error.to_string(),
            |answer| String::from_utf8_lossy(&answer.stdout).into_owned(),
        )
    }

    fn store_entries(&self) -> Result<(), String> {
        let passphrase = self.folder.join("passphrase");
        fs::write(&passphrase, PASSPHRASE).map_err(|error| error.to_string())?;
        let passphrase = passphrase
            .to_str()
            .ok_or("the temporary folder is not UTF-8")?;
        let plain = ["store", "use", "file", "--without-passphrase", "--yes"];
        let sealed = ["store", "use", "file", "--passphrase-file", passphrase];
        self.must(Home::PlainFile, &plain, "")?;
        self.must(Home::OpenedFile, &sealed, "")?;
        let json = format!("{{\"AccessKeyId\":\"{KEY_ID}\",\"SecretAccessKey\":\"{SECRET_KEY}\"}}");
        for home in Home::ALL {
            self.must(
                home,
                &["add", ENTRY, "--stdin", "--no-verify", "--no-profile"],
                &json,
            )?;
        }
        Ok(())
    }

    fn must(&self, home: Home, arguments: &[&str], input: &str) -> Result<(), String> {
        let what = format!("awskeep {}", arguments.join(" "));
        let mut child = self
            .awskeep(home, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", self.awskeep.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // What does not read its input says more in its exit code.
            let _ = stdin.write_all(input.as_bytes());
        }
        let ended = child
            .wait_with_output()
            .map_err(|error| format!("{what}: {error}"))?;
        if ended.status.success() {
            return Ok(());
        }
        Err(format!(
            "{what}: {}",
            String::from_utf8_lossy(&ended.stderr).trim_end()
        ))
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // The kernel would keep the key for hours.
        if let Err(why) = self.must(Home::OpenedFile, &["store", "lock", "--store", "file"], "") {
            eprintln!("a key was left in the kernel's keyring: {why}");
        }
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn private_folder(folder: &Path) -> Result<(), String> {
    let made = fs::DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|error| format!("{}: {error}", folder.display()))
}

fn until(what: &str, is_so: impl Fn() -> bool) -> Result<(), String> {
    let end = Instant::now() + READY_WITHIN;
    while !is_so() {
        if Instant::now() > end {
            return Err(format!("waited {} s until {what}", READY_WITHIN.as_secs()));
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
