//! The steps of a rotation, the refusals and the waits, as data: they
//! compare, and nothing is done here. Pure.

use crate::lifecycle::model::{CreateSaid, InFile};
use crate::types::keys::AccessKeyId;
use crate::types::time::Timestamp;

/// The one thing to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing is in flight, and nothing is due.
    Done,
    Refuse(Refusal),
    /// Nothing can be done before a time, or before another look.
    Wait(Wait),
    /// A person decides what comes next.
    Ask(Question),
    WriteIntent,
    /// Undo, before anything was made.
    ClearIntent,
    /// A key whose CreateAccessKey reply was received, and whose secret is gone.
    DeleteLost(AccessKeyId),
    /// A key that a person named.
    Discard(AccessKeyId),
    Mint,
    Prove(AccessKeyId),
    /// Wait within this run until the new key is old enough.
    Settle {
        until: Timestamp,
    },
    Promote,
    DropPending,
    /// Undo, before the promote.
    DeletePending(AccessKeyId),
    /// A key of the entry back to active.
    Activate(AccessKeyId),
    /// `previous` and `current` change places.
    Swap,
    AskLastUse(AccessKeyId),
    /// Wait within this run until the keychain has the key in service on disk.
    LetKeep {
        until: Timestamp,
    },
    Deactivate(AccessKeyId),
    Delete(AccessKeyId),
    Clear,
}

/// What a person is asked in the middle of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether to activate a key again that somebody deactivated.
    Reactivate(AccessKeyId),
    /// Whether to serve another key of the entry, which is active.
    Serve(AccessKeyId),
    /// Whether to make a new key with another profile's rights.
    MakeKey,
    /// Whether to delete a held key that is in the way of a new one.
    MakeRoom(AccessKeyId),
    /// Whether to retire the replaced key although the keychain may not have the one in
    /// service on disk.
    RetireUnkept,
}

/// Why nothing is done until a person acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    CurrentDead(Death),
    StandsInFile(InFile),
    OtherKey(AccessKeyId),
    SomebodyElseRotates {
        host: String,
        at: Timestamp,
    },
    Unexplained {
        id: AccessKeyId,
        create: CreateSaid,
    },
    EarlierRequest,
    WrongPending {
        id: AccessKeyId,
        said: String,
    },
    PendingDeactivated(AccessKeyId),
    UndoGone(AccessKeyId),
    /// Undo of a key that a person said has leaked.
    Revoked(AccessKeyId),
    Reactivated(AccessKeyId),
    /// The replaced key is retired by who sent its successor, and is in the way until then.
    KeptForSender(AccessKeyId),
    UsedLate {
        id: AccessKeyId,
        use_of: LateUse,
    },
    StrangeStatus(AccessKeyId),
    /// Two keys that cannot be used here, and AWS allows no third.
    TwoKeys,
    /// A new key would take the place of this pending one, whose secret is nowhere else.
    WouldLose(AccessKeyId),
    /// Without an MFA session nothing can be seen or done, and something is to be done.
    NeedsMfa,
    DamagedItem,
}

/// How the current key is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    Inactive,
    NotAccepted,
    Gone,
}

/// A use of a replaced key that nobody should make any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateUse {
    pub time: Timestamp,
    pub service: String,
    pub region: String,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The current key is missing from a list; one list proves nothing.
    CurrentUnseen,
    /// The served key is listed, or there is no answer: it is not given up.
    CurrentNotProven {
        id: AccessKeyId,
        said: String,
    },
    /// A change of ours that lists do not show yet.
    NotListedYet {
        until: Timestamp,
    },
    NoAnswerToCreate(CreateSaid),
    PendingNotProven {
        id: AccessKeyId,
        said: String,
    },
    UndoNotProven {
        id: AccessKeyId,
        said: String,
    },
    Stopped,
    /// A deactivation of ours may still be on its way.
    RetireOnItsWay {
        until: Timestamp,
    },
    Leased {
        until: Timestamp,
    },
    LastUseNotKnownYet {
        until: Timestamp,
    },
    MayNotLook {
        until: Timestamp,
    },
    /// The keychain may not have the key in service on disk, and nobody said that this
    /// does not matter.
    NotKept,
    Held {
        until: Timestamp,
    },
    GoneUnsure {
        until: Timestamp,
    },
    /// A held key stays until a rotation opens an MFA session anyway.
    NextSession,
    ClocksApart {
        aws: Timestamp,
        local: Timestamp,
    },
    NoAwsTime,
}
