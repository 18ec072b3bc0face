//! The providers of other desktops, each as it runs without a display, a login session or
//! a person: KeePassXC, KWallet; and dbus-broker as the bus. Edge.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, geteuid, kill_process};

use crate::keychain::{Keychain, OtherBus};
use crate::programs::{pid_of, run_with_input, wait_until};
use crate::sandbox::Sandbox;

const PASSWORD: &str = "the wallet's own password";

/// A provider that runs on a keychain's bus; it ends with the value.
pub struct Desktop {
    provider: Child,
}

impl Desktop {
    /// Freezes it: it keeps its name on the bus and answers nothing.
    pub fn stop(&self) {
        kill_process(pid_of(&self.provider), Signal::STOP).unwrap();
    }

    pub fn cont(&self) {
        kill_process(pid_of(&self.provider), Signal::CONT).unwrap();
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        let _ = self.provider.kill();
        let _ = self.provider.wait();
    }
}

/// What KeePassXC asks a person: both are on by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    Nothing,
    /// `UnlockBeforeSearch`: a search on a locked database opens its window.
    BeforeSearch,
    /// `ConfirmAccessItem`: each read wants a click.
    BeforeAccess,
}

const KEEPASSXC_SETTINGS: &str = "[General]
ConfigVersion=2
UpdateCheckMessageShown=true
[GUI]
CheckForUpdates=false
[Security]
LockDatabaseIdle=false
[FdoSecrets]
Enabled=true
ShowNotification=false
ConfirmDeleteItem=false
";

/// A database with one group that programs may use.
const DATABASE: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<KeePassFile><Meta><Generator>test</Generator><DatabaseName>Secrets</DatabaseName><RecycleBinEnabled>False</RecycleBinEnabled>
<CustomData><Item><Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>{01020304-0506-0708-090a-0b0c0d0e0f10}</Value></Item></CustomData></Meta>
<Root><Group><UUID>AAAAAAAAAAAAAAAAAAAAAQ==</UUID><Name>Root</Name><IsExpanded>True</IsExpanded>
<Group><UUID>AQIDBAUGBwgJCgsMDQ4PEA==</UUID><Name>exposed</Name><IsExpanded>True</IsExpanded></Group></Group></Root></KeePassFile>
"#;

/// KeePassXC with an open database.
pub fn keepassxc(keychain: &Keychain, asks: Asks) -> Desktop {
    let folder = keychain.folder();
    let config = folder.join(".config/keepassxc");
    fs::create_dir_all(&config).unwrap();
    let settings = format!(
        "{KEEPASSXC_SETTINGS}ConfirmAccessItem={}\nUnlockBeforeSearch={}\n",
        asks == Asks::BeforeAccess,
        asks == Asks::BeforeSearch
    );
    fs::write(config.join("keepassxc.ini"), settings).unwrap();
    fs::write(folder.join("db.xml"), DATABASE).unwrap();
    let database = folder.join("Secrets.kdbx");
    let mut import = keychain.command("keepassxc-cli");
    import
        .args(["import", "-t", "100", "-p"])
        .arg(folder.join("db.xml"))
        .arg(&database);
    run_with_input(&mut import, &format!("{PASSWORD}\n{PASSWORD}\n")).ok();
    keepassxc_again(keychain)
}

/// Another process of it, with the database and the settings that are there.
pub fn keepassxc_again(keychain: &Keychain) -> Desktop {
    let folder = keychain.folder();
    let mut provider = keychain
        .command("keepassxc")
        .arg("--pw-stdin")
        .arg(folder.join("Secrets.kdbx"))
        // Where it looks for an instance of itself: each test has its own.
        .env("TMPDIR", folder)
        .env("QT_QPA_PLATFORM", "offscreen")
        .env("XDG_CONFIG_HOME", folder.join(".config"))
        .env("XDG_CACHE_HOME", folder.join(".cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log(folder, "keepassxc.log"))
        .spawn()
        .expect("keepassxc starts; tests/run installs it");
    let mut stdin = provider.stdin.take().expect("stdin is piped");
    writeln!(stdin, "{PASSWORD}").unwrap();
    drop(stdin);
    let desktop = Desktop { provider };
    wait_until("KeePassXC's database is open", || {
        keychain.is_locked() == Some(false)
    });
    desktop
}

const KWALLET_SETTINGS: &str = "[Wallet]
Enabled=true
First Use=false
Default Wallet=kdewallet
Close When Idle=false
Prompt on Open=false

[org.freedesktop.secrets]
apiEnabled=true
";

/// KWallet with an open wallet, opened as a login does; `sandbox` unlocks it for the
/// Secret Service, which takes no window.
pub fn kwallet(keychain: &Keychain, sandbox: &Sandbox) -> Desktop {
    let folder = keychain.folder();
    fs::create_dir_all(folder.join(".config")).unwrap();
    fs::create_dir_all(folder.join("data/kwalletd")).unwrap();
    fs::write(folder.join(".config/kwalletrc"), KWALLET_SETTINGS).unwrap();
    fs::write(folder.join("data/kwalletd/kdewallet.salt"), [7; SALT]).unwrap();
    // A new wallet is a collection to the next daemon only.
    let first = kwallet_daemon(keychain);
    open_wallet(keychain);
    drop(first);
    wait_until("KWallet's name is free", || !keychain.has_provider());
    let desktop = kwallet_daemon(keychain);
    open_wallet(keychain);
    sandbox
        .awskeep(&["store", "unlock", "--store", "keychain"])
        .ok();
    desktop
}

fn kwallet_daemon(keychain: &Keychain) -> Desktop {
    let folder = keychain.folder();
    let provider = keychain
        .command("kwalletd5")
        .env("QT_QPA_PLATFORM", "offscreen")
        .env("XDG_CONFIG_HOME", folder.join(".config"))
        .env("XDG_CACHE_HOME", folder.join(".cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log(folder, "kwalletd.log"))
        .spawn()
        .expect("kwalletd5 starts; tests/run installs it");
    let desktop = Desktop { provider };
    wait_until("KWallet is there", || keychain.has_provider());
    desktop
}

/// The sizes of pam_kwallet, in bytes.
const SALT: usize = 56;
const DIGEST: usize = 56;

/// Makes or opens the wallet as pam_kwallet5 does.
fn open_wallet(keychain: &Keychain) {
    let rounds = std::num::NonZeroU32::new(50_000).unwrap();
    let mut digest = [0; DIGEST];
    let algorithm = ring::pbkdf2::PBKDF2_HMAC_SHA512;
    ring::pbkdf2::derive(
        algorithm,
        rounds,
        &[7; SALT],
        PASSWORD.as_bytes(),
        &mut digest,
    );
    let [(_, address)] = keychain.env();
    let builder = zbus::blocking::connection::Builder::address(address.as_str()).unwrap();
    let connection = builder.build().unwrap();
    let call = |method: &str, body: &dyn Fn(&str) -> zbus::Result<zbus::Message>| {
        body(method).unwrap_or_else(|error| panic!("{method}: {error}"))
    };
    let wallet = (
        Some("org.kde.kwalletd5"),
        "/modules/kwalletd5",
        Some("org.kde.KWallet"),
    );
    call("pamOpen", &|method| {
        let body = ("kdewallet", digest.to_vec(), 0_i32);
        connection.call_method(wallet.0, wallet.1, wallet.2, method, &body)
    });
    wait_until("the wallet is open", || {
        let reply = call("isOpen", &|method| {
            connection.call_method(wallet.0, wallet.1, wallet.2, method, &("kdewallet",))
        });
        reply.body().deserialize::<bool>().unwrap_or(false)
    });
}

fn log(folder: &Path, name: &str) -> File {
    File::create(folder.join(name)).unwrap()
}

const BROKER_CONFIG: &str = r#"<busconfig><type>session</type><listen>unix:path=FOLDER/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>
"#;

/// Its launcher wants systemd's journal: where there is none, a socket is put in its place,
/// in a mount namespace of its own. It listens on its input, as from systemd.
const BROKER: &str = "exec 3<&0 </dev/null
[ -S /run/systemd/journal/socket ] || {
    mount -t tmpfs none /run && mkdir -p /run/systemd/journal &&
    touch /run/systemd/journal/socket && mount --bind \"$1/journal\" /run/systemd/journal/socket
} || exit
export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=dbus.socket
exec dbus-broker-launch --scope user --config-file \"$1/broker.conf\"";

/// A bus of dbus-broker's in this folder.
pub fn broker(folder: &Path) -> OtherBus {
    fs::write(
        folder.join("broker.conf"),
        BROKER_CONFIG.replace("FOLDER", &folder.display().to_string()),
    )
    .unwrap();
    let journal = UnixDatagram::bind(folder.join("journal")).unwrap();
    let listener = UnixListener::bind(folder.join("bus")).unwrap();
    let has_journal = Path::new("/run/systemd/journal/socket").exists();
    assert!(
        has_journal || geteuid().is_root(),
        "dbus-broker wants systemd's journal: run this as root, who can put a socket in its place"
    );
    let mut command = match has_journal {
        true => Command::new("sh"),
        false => {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh"]);
            command
        }
    };
    let address = format!("unix:path={}/bus", folder.display());
    let bus = command
        .args(["-c", BROKER, "sh"])
        .arg(folder)
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(log(folder, "broker.log"))
        .spawn()
        .expect("unshare and sh start");
    OtherBus {
        bus,
        journal,
        address,
    }
}
