//! What is asked of a run, and what AWS said to its one CreateAccessKey. Pure.

use crate::types::keys::AccessKeyId;
use crate::types::lease::Attended;
use crate::types::time::Span;

/// What is wanted, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub trigger: Trigger,
    pub attended: Attended,
    pub retire: RetireMode,
    pub settle: Span,
    pub hold: Span,
    /// None: keys never get too old.
    pub max_age: Option<Span>,
    /// The lease that counts from the next promote on.
    pub lease: Span,
    /// A key that a person named to be deleted.
    pub discard: Option<AccessKeyId>,
    pub make_room: MakeRoom,
    /// Where the current id still stands in an AWS file, unless a person said go on.
    pub in_files: Vec<InFile>,
}

/// A line of an AWS file that holds the current key's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFile {
    pub path: String,
    pub line: usize,
}

/// Whether a new key is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Only what was begun is finished.
    Finish,
    IfDue,
    Now,
    /// One that works, whichever it is: the served one may be dead.
    Recover,
}

/// What a person allows to be done to `previous` before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetireMode {
    No,
    /// `--retire-now`
    Retire,
    /// `--delete-now`
    Delete,
}

/// Whether a replaced key that is in the way of a new one is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MakeRoom {
    /// Once it is inactive, if a person agrees.
    Ask,
    /// At once: a person has agreed.
    Yes,
}

/// What this run's last CreateAccessKey said, if it was not a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateSaid {
    NotAsked,
    /// Two keys are there, or about to be.
    LimitExceeded,
    /// No telling whether a key was made.
    NoAnswer,
    /// Nor from this answer: AWS was busy, or something else answered.
    Unclear(String),
    /// A key was made; its secret is lost.
    MadeButLost,
}
