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
/// The limits of a usual session bus, but it starts no services: a keyring started by
/// the bus would be locked, and hide that ours had ended.
const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>ADDRESS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_incomplete_connections">10000</limit>
  <limit name="max_completed_connections">100000</limit>
  <limit name="max_connections_per_user">100000</limit>
</busconfig>
"#;

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
    bus: Option<Child>,
    keyring: Option<Child>,
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
            bus: None,
            keyring: None,
        };
        for home in Home::ALL {
            private_folder(&fixture.home(home))?;
        }
        fixture.start_bus()?;
        fixture.start_keyring()?;
        fixture.store_entries()?;
        Ok(fixture)
    }

    /// Starts the keyring again if it has ended by itself, and says whether it had.
    ///
    /// # Errors
    /// If it does not start again.
    pub fn revive_keyring(&mut self) -> Result<bool, String> {
        if self.keyring.as_mut().is_some_and(is_running) {
            return Ok(false);
        }
        // What it keeps is on the disk, and its passphrase is the same.
        self.start_keyring()?;
        Ok(true)
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
        let config = self.folder.join("bus.conf");
        let text = BUS_CONFIG.replace("ADDRESS", &self.address());
        fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
        let mut command = self.command(Home::Keychain, "dbus-daemon");
        command
            .args(["--nofork", "--nopidfile", "--config-file"])
            .arg(config);
        self.bus = Some(daemon(&mut command, "dbus-daemon (package dbus)", "")?);
        let socket = self.socket();
        until("the bus takes connections", || {
            UnixStream::connect(&socket).is_ok()
        })
    }

    fn start_keyring(&mut self) -> Result<(), String> {
        let mut command = self.command(Home::Keychain, "gnome-keyring-daemon");
        command.args(["--foreground", "--unlock", "--components=secrets"]);
        let what = "gnome-keyring-daemon (package gnome-keyring)";
        self.keyring = Some(daemon(&mut command, what, PASSPHRASE)?);
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
        fs::write(&passphrase, PASSPHRASE)
            .and_then(|()| {
                let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fs::set_permissions(&passphrase, private)
            })
            .map_err(|error| error.to_string())?;
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
        for daemon in [&mut self.keyring, &mut self.bus].into_iter().flatten() {
            // The id of one that has ended may be another's by now.
            if is_running(daemon) {
                let _ = daemon.kill();
                let _ = daemon.wait();
            }
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn daemon(command: &mut Command, what: &str, input: &str) -> Result<Child, String> {
    let mut daemon = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{what} does not start: {error}"))?;
    if let Some(mut stdin) = daemon.stdin.take() {
        // One that does not even read this never gets ready, which says more.
        let _ = stdin.write_all(input.as_bytes());
    }
    Ok(daemon)
}

/// Not if somebody else has waited for it, as a burst does.
fn is_running(daemon: &mut Child) -> bool {
    matches!(daemon.try_wait(), Ok(None))
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
