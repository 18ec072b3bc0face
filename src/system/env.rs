//! The machine as awskeep sees it: environment, folders, clock, program path.
//! Edge. Built once, in `main`, and passed down; tests build their own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, Result};
use crate::system::disk::{LockPlaces, Locks, Taken};
use crate::types::time::Timestamp;
use crate::ui::Ui;

/// Where the time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    System,
    /// A clock that tests set, in seconds since 1970.
    Set(Arc<AtomicI64>),
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                Timestamp::of_seconds(
                    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX)),
                )
            }
            Clock::Set(seconds) => Timestamp::of_seconds(seconds.load(Ordering::SeqCst)),
        }
    }

    /// Waits: really on the system's clock; a set clock just moves on.
    pub fn wait(&self, how_long: Duration) {
        match self {
            Clock::System => std::thread::sleep(how_long),
            Clock::Set(seconds) => {
                let whole = how_long.as_secs() + u64::from(how_long.subsec_nanos() > 0);
                seconds.fetch_add(i64::try_from(whole).unwrap_or(0), Ordering::SeqCst);
            }
        }
    }
}

/// How long a command waits for another awskeep to finish.
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// Everything that comes from outside.
#[derive(Debug)]
pub struct Env {
    /// Environment variables that are valid UTF-8.
    pub vars: BTreeMap<String, String>,
    /// Those that are not: paths may be.
    pub odd_vars: BTreeMap<String, OsString>,
    pub folders: Folders,
    /// Where the locks are that all awskeeps of this user share.
    pub locks: LockPlaces,
    /// Where relative paths start.
    pub here: PathBuf,
    pub clock: Clock,
    /// When the process started, for deadlines.
    pub started: Instant,
    /// The running program's own path.
    pub program: PathBuf,
    pub ui: Ui,
    /// Raised by Ctrl-C in the commands that listen for it: waits end.
    pub stop: Arc<AtomicBool>,
}

/// The user's folders; none where neither the environment nor the system names one.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    pub home: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub data: Option<PathBuf>,
}

impl Env {
    /// The real machine.
    pub fn of_process(started: Instant) -> Env {
        let mut vars = BTreeMap::new();
        let mut odd_vars = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(vars.insert(name, value)),
                Err(value) => drop(odd_vars.insert(name, value)),
            }
        }
        Env {
            vars,
            odd_vars,
            folders: Folders {
                home: dirs::home_dir(),
                config: dirs::config_dir(),
                state: dirs::state_dir().or_else(dirs::data_local_dir),
                data: dirs::data_dir(),
            },
            locks: lock_places(),
            here: std::env::current_dir().unwrap_or_default(),
            clock: Clock::System,
            started,
            program: std::env::current_exe().unwrap_or_default(),
            ui: Ui::of_process(),
            stop: Arc::default(),
        }
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Refuses a variable that is obeyed, and whose value nobody can read: taken as unset,
    /// something else would be done than was asked for.
    ///
    /// # Errors
    /// `Kind::Usage` with its name.
    pub fn refuse_odd_vars(&self, is_obeyed: impl Fn(&str) -> bool) -> Result<()> {
        match self.odd_vars.keys().find(|name| is_obeyed(name)) {
            None => Ok(()),
            Some(name) => Err(Error::new(Kind::Usage, format!("{name} is not UTF-8"))
                .hint(format!("unset {name}"))),
        }
    }

    /// A variable that names a path, in whatever bytes, and is not empty.
    pub fn path_var(&self, name: &str) -> Option<&OsStr> {
        let odd = || self.odd_vars.get(name).map(OsString::as_os_str);
        self.var(name).map(OsStr::new).or_else(odd)
    }

    /// Where a program may stand: in each folder of PATH, but the current one.
    pub fn on_path(&self, program: &OsStr) -> impl Iterator<Item = PathBuf> {
        std::env::split_paths(self.path_var("PATH").unwrap_or_default())
            .filter(|folder| folder.is_absolute())
            .map(move |folder| folder.join(program))
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes a lock that all awskeeps of this user share; who waits longer than a moment
    /// is told for whom.
    ///
    /// # Errors
    /// `Kind::Unfinished` if it is held for too long, or this one was asked to stop.
    pub fn try_lock(&self, name: &str) -> Result<Taken> {
        self.locks
            .take(name, LOCK_WAIT, &|line| self.ui.tell(line), &self.stop)
    }

    /// # Errors
    /// Those of `try_lock`, and `Kind::Unfinished` if there is no place for the lock.
    pub fn lock(&self, name: &str) -> Result<Locks> {
        self.try_lock(name)?.required()
    }

    /// awskeep's settings file.
    pub fn settings_file(&self) -> Result<PathBuf> {
        let folder = self.folder(self.folders.config.as_deref(), "config")?;
        Ok(folder.join("awskeep").join("config"))
    }

    /// awskeep's non-secret state.
    pub fn state_folder(&self) -> Result<PathBuf> {
        Ok(self
            .folder(self.folders.state.as_deref(), "state")?
            .join("awskeep"))
    }

    /// The folder of the encrypted file.
    pub fn file_store_folder(&self) -> Result<PathBuf> {
        Ok(self
            .folder(self.folders.data.as_deref(), "data")?
            .join("awskeep"))
    }

    /// The AWS config file, as every SDK finds it.
    pub fn aws_config_file(&self) -> Result<PathBuf> {
        self.aws_file("AWS_CONFIG_FILE", "config")
    }

    /// The AWS credentials file, as every SDK finds it.
    pub fn aws_credentials_file(&self) -> Result<PathBuf> {
        self.aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    }

    fn aws_file(&self, variable: &str, name: &str) -> Result<PathBuf> {
        let home = || self.folder(self.folders.home.as_deref(), "home");
        match self.path_var(variable).map(Path::new) {
            Some(named) => match named.strip_prefix("~") {
                Ok(below_home) => Ok(home()?.join(below_home)),
                Err(_) => Ok(self.here.join(named)),
            },
            None => Ok(home()?.join(".aws").join(name)),
        }
    }

    fn folder<'a>(&self, folder: Option<&'a Path>, what: &str) -> Result<&'a Path> {
        folder.ok_or_else(|| {
            Error::new(
                Kind::Failed,
                format!("the user's {what} folder is not known"),
            )
            .hint("set HOME")
        })
    }
}

/// The variables that commands obey as text. Paths, and what only has to be set, may be
/// anything.
pub fn obeyed_as_text(name: &str) -> bool {
    const NAMES: [&str; 11] = [
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_IAM",
        "AWS_ENDPOINT_URL_STS",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "SHELL",
    ];
    const PROXIES: [&str; 3] = ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    const PATHS: [&str; 2] = ["AWS_VAULT_FILE_DIR", "AWS_VAULT_PASS_PASSWORD_STORE_DIR"];
    let either_case = |proxy: &&str| name == *proxy || name == proxy.to_ascii_lowercase();
    NAMES.contains(&name)
        || obeyed_by_the_helper(name)
        || PROXIES.iter().any(either_case)
        || (name.starts_with("AWS_VAULT_") && !PATHS.contains(&name))
}

/// Those among them that the helper obeys.
pub fn obeyed_by_the_helper(name: &str) -> bool {
    const PATHS: [&str; 2] = ["AWSKEEP_PASSPHRASE_FILE", "AWSKEEP_TEST_LOCKS"];
    name == "DBUS_SESSION_BUS_ADDRESS" || (name.starts_with("AWSKEEP_") && !PATHS.contains(&name))
}

/// Development builds take the places of their tests; others let nothing in the
/// environment part two awskeeps of one user.
fn lock_places() -> LockPlaces {
    let of_test = std::env::var_os("AWSKEEP_TEST_LOCKS").filter(|_| cfg!(debug_assertions));
    match of_test.map(PathBuf::from) {
        Some(folder) => LockPlaces::below(&folder, &folder),
        None => LockPlaces::of_user(),
    }
}

/// Keeps secrets out of core dumps and away from debuggers of the same user.
/// Children are not affected.
pub fn forbid_dumps() {
    #[cfg(target_os = "linux")]
    {
        // A refusal leaves things as they were; there is nothing better to do.
        let _ =
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
    #[cfg(all(unix, not(target_os = "linux")))]
    {
        let none = rustix::process::Rlimit {
            current: Some(0),
            maximum: rustix::process::getrlimit(rustix::process::Resource::Core).maximum,
        };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn the_process_leaves_no_core_dump() {
        super::forbid_dumps();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
