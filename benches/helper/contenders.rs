//! The processes that are compared, and what each must have printed. Edge.

use std::process::Command;

use crate::fixture::{ENTRY, Fixture, Home, KEY_ID, SECRET_KEY, SERVICE};
use crate::process::Run;
use crate::raw;

/// In the order of their turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    Keychain,
    Raw,
    SecretTool,
    True,
    PlainFile,
    OpenedFile,
}

impl Contender {
    pub const ALL: [Contender; 6] = [
        Contender::Keychain,
        Contender::Raw,
        Contender::SecretTool,
        Contender::True,
        Contender::PlainFile,
        Contender::OpenedFile,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Contender::Keychain => "`awskeep credential-process`, keychain",
            Contender::Raw => "minimal D-Bus read (4 calls)",
            Contender::SecretTool => "`secret-tool lookup`",
            Contender::True => "`/bin/true`",
            Contender::PlainFile => "`awskeep …`, encrypted file, no passphrase",
            Contender::OpenedFile => "`awskeep …`, encrypted file, opened",
        }
    }

    /// # Errors
    /// If this program itself cannot be found.
    pub fn command(self, fixture: &Fixture) -> Result<Command, String> {
        let serve = ["credential-process", ENTRY];
        Ok(match self {
            Contender::Keychain => fixture.awskeep(Home::Keychain, &serve),
            Contender::PlainFile => fixture.awskeep(Home::PlainFile, &serve),
            Contender::OpenedFile => fixture.awskeep(Home::OpenedFile, &serve),
            Contender::Raw => {
                let own = std::env::current_exe().map_err(|error| error.to_string())?;
                let mut command = fixture.command(Home::Keychain, own);
                command.arg(raw::VERB);
                command
            }
            Contender::SecretTool => {
                let mut command = fixture.command(Home::Keychain, "secret-tool");
                command.args(["lookup", "service", SERVICE, "username", ENTRY]);
                command
            }
            Contender::True => fixture.command(Home::Keychain, "/bin/true"),
        })
    }

    /// # Errors
    /// What is wrong with a run: its exit, or what it printed.
    pub fn check(self, run: &Run) -> Result<(), String> {
        let out = String::from_utf8_lossy(&run.out);
        let is_right = match self {
            Contender::Keychain | Contender::PlainFile | Contender::OpenedFile => is_answer(&out),
            Contender::Raw | Contender::SecretTool => {
                out.contains(KEY_ID) && out.contains(SECRET_KEY)
            }
            Contender::True => out.is_empty(),
        };
        if run.succeeded && is_right {
            return Ok(());
        }
        let err = String::from_utf8_lossy(&run.err);
        Err(format!(
            "{} failed: stdout {out:?}, stderr {err:?}",
            self.name()
        ))
    }
}

/// The whole JSON object to the letter, but for the time.
fn is_answer(out: &str) -> bool {
    let before = format!(
        "{{\"Version\":1,\"AccessKeyId\":\"{KEY_ID}\",\"SecretAccessKey\":\"{SECRET_KEY}\",\"Expiration\":\""
    );
    let time = out
        .strip_prefix(&before)
        .and_then(|rest| rest.strip_suffix("\"}\n"));
    let form = "0000-00-00T00:00:00Z";
    time.is_some_and(|time| {
        let same = |(is, form): (u8, u8)| {
            if form == b'0' {
                is.is_ascii_digit()
            } else {
                is == form
            }
        };
        time.len() == form.len() && time.bytes().zip(form.bytes()).all(same)
    })
}
