//! The stage: a temporary home with a copy of awskeep, and a simulated AWS account.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::sim::account::Account;
use crate::sim::{SimConfig, SimServer};

/// What went otherwise than promised.
pub type Scene<T> = Result<T, String>;

/// Whether the commands that are run are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    Shown,
    #[allow(dead_code, reason = "the tour shows all")]
    Quiet,
}

/// A home, a program, an account.
pub struct Home {
    folder: tempfile::TempDir,
    talk: Talk,
    /// More variables, such as a session bus.
    pub env: Vec<(&'static str, String)>,
    pub aws: SimServer,
    pub key_id: String,
    pub secret: String,
}

/// What a run of awskeep gave.
pub struct Ran {
    pub out: String,
    pub err: String,
    pub code: i32,
}

impl Home {
    pub fn new(talk: Talk) -> Scene<Home> {
        let folder = tempfile::Builder::new()
            .prefix("awskeep-tour-")
            .tempdir()
            .map_err(text)?;
        for below in ["bin", ".aws", ".config", ".local/share", ".local/state"] {
            fs::create_dir_all(folder.path().join(below)).map_err(text)?;
        }
        let itself = std::env::current_exe().map_err(text)?;
        let program = folder.path().join("bin/awskeep");
        // A link would be the build folder's file, which awskeep rightly refuses.
        fs::copy(itself, &program).map_err(text)?;
        fs::write(
            folder.path().join("passphrase"),
            "correct horse battery staple\n",
        )
        .map_err(text)?;
        // As with ssh's keys: one that others can read is refused.
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(folder.path().join("passphrase"), private).map_err(text)?;

        let mut account = Account::new();
        // An account of its own, so that two tours at once do not wait for each other.
        account.id = format!("{:012}", 100_000_000_000 + u64::from(std::process::id()));
        account.add_user("/", "dev");
        let now = awskeep::system::env::Clock::System.now();
        let (key_id, secret) = account.add_key("dev", now.0 - 100 * 86_400);
        let aws = SimServer::start(SimConfig {
            account,
            ..SimConfig::default()
        });
        Ok(Home {
            folder,
            talk,
            env: Vec::new(),
            aws,
            key_id,
            secret,
        })
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn program(&self) -> PathBuf {
        self.path("bin/awskeep")
    }

    /// Runs awskeep in this home, and nothing of the real one.
    pub fn awskeep(&self, arguments: &[&str], stdin: &str) -> Scene<Ran> {
        self.awskeep_noting(arguments, stdin, |_| {})
    }

    /// The same; `note` is told the process's id as soon as it runs.
    pub fn awskeep_noting(
        &self,
        arguments: &[&str],
        stdin: &str,
        note: impl FnOnce(u32),
    ) -> Scene<Ran> {
        self.show(&format!("  $ awskeep {}", arguments.join(" ")));
        // A file that may grow no more is an error, as on a full disk, and not death.
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(self.program())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.dress(&mut command);
        let mut child = command.spawn().map_err(text)?;
        note(child.id());
        if let Some(mut input) = child.stdin.take() {
            // A program that ends without reading is no error of ours.
            let _ = input.write_all(stdin.as_bytes());
        }
        Ok(ran(child.wait_with_output().map_err(text)?))
    }

    fn show(&self, line: &str) {
        if self.talk == Talk::Shown {
            println!("{line}");
        }
    }

    /// The same, and it must succeed.
    pub fn must(&self, arguments: &[&str], stdin: &str) -> Scene<Ran> {
        let ran = self.awskeep(arguments, stdin)?;
        for line in ran.err.lines() {
            self.show(&format!("    {line}"));
        }
        match ran.code {
            0 => Ok(ran),
            code => Err(format!(
                "awskeep {} ended with {code}: {}",
                arguments.join(" "),
                ran.err
            )),
        }
    }

    /// Runs a profile's credential_process the way SDKs do: through a shell, from the file.
    #[allow(dead_code, reason = "the tour's")]
    pub fn as_an_sdk(&self, profile: &str) -> Scene<Ran> {
        let config = fs::read_to_string(self.path(".aws/config")).map_err(text)?;
        let header = format!("[profile {profile}]");
        let line = config
            .lines()
            .skip_while(|line| line.trim() != header)
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .find_map(|line| {
                line.split_once('=')
                    .filter(|(key, _)| key.trim() == "credential_process")
            });
        let Some((_, line)) = line else {
            return Err(format!("profile {profile} has no credential_process"));
        };
        let mut command = Command::new("sh");
        command.args(["-c", line.trim()]).stdin(Stdio::null());
        self.dress(&mut command);
        Ok(ran(command.output().map_err(text)?))
    }

    /// Every file below the home that holds this text.
    #[allow(dead_code, reason = "the tour's")]
    pub fn files_with(&self, needle: &str) -> Scene<Vec<PathBuf>> {
        let mut found = Vec::new();
        search(self.folder.path(), needle.as_bytes(), &mut found).map_err(text)?;
        Ok(found)
    }

    fn dress(&self, command: &mut Command) {
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWSKEEP_PASSPHRASE_FILE", self.path("passphrase"))
            // The simulated AWS knows a new key at once; the real one takes seconds.
            .env("AWSKEEP_SETTLE", "0s")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
    }
}

/// Any error as what it says.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn ran(output: Output) -> Ran {
    Ran {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code().unwrap_or(-1),
    }
}

#[allow(dead_code, reason = "the tour's")]
fn search(folder: &Path, needle: &[u8], found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, needle, found)?;
        } else if fs::read(&path)?
            .windows(needle.len())
            .any(|window| window == needle)
        {
            found.push(path);
        }
    }
    Ok(())
}
