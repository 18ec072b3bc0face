//! A desktop keychain of one's own: a session bus and an unlocked gnome-keyring. Edge.
//!
//! The bus starts no services by itself, so "no provider" means none. Both daemons
//! live in a private folder and die with the value.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use crate::programs::{first_line, pid_of, run, wait_until};

const PASSWORD: &str = "the keyring's own password";
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";
const DEFAULT: &str = "/org/freedesktop/secrets/aliases/default";

/// The limits are those of a desktop's session bus.
const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=FOLDER/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_completed_connections">100000</limit>
  <limit name="max_incomplete_connections">10000</limit>
  <limit name="max_connections_per_user">100000</limit>
</busconfig>
"#;

/// A running bus, and on it a Secret Service unless that was taken away.
pub struct Keychain {
    // The folder is dropped last: the daemons are killed in `drop` before.
    bus: Child,
    _bus_output: Option<std::io::BufReader<ChildStdout>>,
    /// What stands in for systemd's journal, for dbus-broker.
    _journal: Option<std::os::unix::net::UnixDatagram>,
    provider: Option<Child>,
    address: String,
    folder: TempDir,
}

/// A bus that is not dbus-daemon's.
pub struct OtherBus {
    pub bus: Child,
    /// What stands in for systemd's journal.
    pub journal: std::os::unix::net::UnixDatagram,
    pub address: String,
}

impl Keychain {
    /// A bus with an unlocked gnome-keyring whose default collection is `login`.
    pub fn start() -> Keychain {
        let mut keychain = Keychain::without_provider();
        keychain.start_provider();
        keychain
    }

    /// A bus on which nobody offers secrets.
    pub fn without_provider() -> Keychain {
        let folder = short_folder();
        let here = folder.path().display().to_string();
        fs::write(
            folder.path().join("bus.conf"),
            BUS_CONFIG.replace("FOLDER", &here),
        )
        .unwrap();
        let mut bus = base_command("dbus-daemon", folder.path())
            .arg(format!("--config-file={here}/bus.conf"))
            .args(["--nofork", "--print-address=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("bus.log")).unwrap())
            .spawn()
            .expect("dbus-daemon starts");
        let output = bus.stdout.take().expect("stdout is piped");
        let (address, output) = first_line("dbus-daemon", output);
        Keychain {
            bus,
            _bus_output: Some(output),
            _journal: None,
            provider: None,
            address,
            folder,
        }
    }

    /// Another bus, made in this folder by `start`, on which nobody offers secrets.
    pub fn on_bus(start: impl FnOnce(&Path) -> OtherBus) -> Keychain {
        let folder = short_folder();
        let OtherBus {
            bus,
            journal,
            address,
        } = start(folder.path());
        let keychain = Keychain {
            bus,
            _bus_output: None,
            _journal: Some(journal),
            provider: None,
            address,
            folder,
        };
        wait_until("the bus answers", || {
            keychain.has_owner("org.freedesktop.DBus")
        });
        keychain
    }

    /// Whether anybody offers secrets.
    pub fn has_provider(&self) -> bool {
        self.has_owner("org.freedesktop.secrets")
    }

    fn has_owner(&self, name: &str) -> bool {
        let ran = run(self
            .command("dbus-send")
            .arg(format!("--bus={}", self.address))
            .args(["--print-reply=literal", "--dest=org.freedesktop.DBus", "/"])
            .arg("org.freedesktop.DBus.GetNameOwner")
            .arg(format!("string:{name}")));
        ran.code == Some(0)
    }

    /// Starts gnome-keyring on the keyrings that are there (after `kill`), unlocked.
    pub fn start_provider(&mut self) {
        // A file that grows beyond a limit is an error to it, as on a full disk, and
        // not its death: see `fill_disk`.
        let daemon = "trap '' XFSZ; exec gnome-keyring-daemon \"$@\"";
        let mut provider = self
            .command("sh")
            .args(["-c", daemon, "gnome-keyring-daemon"])
            .args(["--unlock", "--components=secrets", "--foreground"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(self.folder().join("provider.log")).unwrap())
            .spawn()
            .expect("gnome-keyring-daemon starts");
        let mut stdin = provider.stdin.take().expect("stdin is piped");
        stdin.write_all(PASSWORD.as_bytes()).unwrap();
        drop(stdin);
        self.provider = Some(provider);
        wait_until("the default collection is there and unlocked", || {
            self.is_locked() == Some(false)
        });
    }

    /// Locks the default collection, as a screen lock may do.
    pub fn lock(&self) {
        let all = format!("array:objpath:{LOGIN}");
        self.call(
            "/org/freedesktop/secrets",
            "org.freedesktop.Secret.Service.Lock",
            &[&all],
        )
        .expect("the collection can be locked");
        wait_until("the collection is locked", || {
            self.is_locked() == Some(true)
        });
    }

    /// Unlocks it again without a prompt: a new login, and with it a new daemon.
    pub fn unlock(&mut self) {
        self.kill();
        self.start_provider();
    }

    /// Freezes the provider: it keeps its name on the bus and answers nothing.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    /// From now on nothing fits that the provider writes: what a full disk does.
    pub fn fill_disk(&self) {
        self.limit_files(Some(0));
    }

    /// There is room again.
    pub fn free_disk(&self) {
        self.limit_files(None);
    }

    fn limit_files(&self, bytes: Option<u64>) {
        let provider = self.provider.as_ref().expect("a provider runs");
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(pid_of(provider)), Resource::Fsize, limit).unwrap();
    }

    /// Kills the provider; the bus stays.
    pub fn kill(&mut self) {
        if let Some(mut provider) = self.provider.take() {
            end(&mut provider);
            wait_until("the name is free", || self.is_locked().is_none());
        }
    }

    /// Kills the bus too; its socket's file stays, as after a crash.
    pub fn kill_bus(&mut self) {
        end(&mut self.bus);
    }

    /// What a child needs to find the keychain.
    pub fn env(&self) -> [(&'static str, String); 1] {
        [("DBUS_SESSION_BUS_ADDRESS", self.address.clone())]
    }

    /// Where the daemons keep their files, keyrings included.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn signal(&self, signal: Signal) {
        let provider = self.provider.as_ref().expect("a provider runs");
        kill_process(pid_of(provider), signal).unwrap();
    }

    /// None if nobody answers, or there is no default collection.
    pub fn is_locked(&self) -> Option<bool> {
        let reply = self.call(
            DEFAULT,
            "org.freedesktop.DBus.Properties.Get",
            &["string:org.freedesktop.Secret.Collection", "string:Locked"],
        )?;
        reply.split_whitespace().last()?.parse().ok()
    }

    fn call(&self, object: &str, method: &str, arguments: &[&str]) -> Option<String> {
        let ran = run(self
            .command("dbus-send")
            .arg(format!("--bus={}", self.address))
            .args(["--print-reply=literal", "--reply-timeout=5000"])
            .args(["--dest=org.freedesktop.secrets", object, method])
            .args(arguments));
        (ran.code == Some(0)).then_some(ran.stdout)
    }

    /// A program on this bus, at home in its folder.
    pub fn command(&self, program: &str) -> Command {
        let mut command = base_command(program, self.folder());
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        command
    }
}

/// A socket's path must be short: not below `target`.
fn short_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("awskeep-bus-")
        .tempdir()
        .expect("a temp folder can be made")
}

fn base_command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("XDG_RUNTIME_DIR", folder)
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("LC_ALL", "C.UTF-8");
    command
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for Keychain {
    fn drop(&mut self) {
        if let Some(provider) = &mut self.provider {
            end(provider);
        }
        end(&mut self.bus);
    }
}
