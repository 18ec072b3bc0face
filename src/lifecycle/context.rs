//! What a run is given: account, store, clock, receipts, who signs, and whom to ask. Edge only
//! in `random` and through what its caller hands in.

use std::time::Duration;

use crate::aws::Signer;
use crate::error::Result;
use crate::lifecycle::observed::Observed;
use crate::lifecycle::plan::{Question, Step};
use crate::records::Record;
use crate::store::Vault;
use crate::system::disk::Reach;
use crate::system::env::Clock;
use crate::types::keys::ProfileName;
use crate::ui::YesNo;

/// What a run works with.
pub struct Context<'a, A> {
    pub account: &'a A,
    pub vault: &'a Vault,
    pub clock: &'a Clock,
    /// Appends a receipt and syncs it.
    pub append: &'a dyn Fn(&Record) -> Result<()>,
    /// Whether a receipt could be written now.
    pub can_note: &'a dyn Fn() -> Result<()>,
    /// All receipts there are.
    pub receipts: &'a dyn Fn() -> Result<Vec<Record>>,
    /// Makes what the vault has saved survive a power cut, as far as one can.
    pub sync: &'a dyn Fn(),
    /// Whether the process was asked to stop.
    pub stop: &'a dyn Fn() -> bool,
    /// Given a line for each wait of more than a second that a call of its own takes.
    pub on_wait: &'a dyn Fn(&str),
    /// Asks a person.
    pub ask: &'a dyn Fn(&Question, &Observed) -> Result<YesNo>,
    /// Told before each step is performed.
    pub on_step: &'a dyn Fn(&Step, &Observed),
    /// Whom the lock that this run holds keeps out.
    pub reach: Reach,
    pub signs: Signs<'a>,
}

/// Who signs calls on the user's keys. A key is proven by its own signature, always.
#[derive(Clone, Copy)]
pub enum Signs<'a> {
    /// The key in service.
    Current,
    /// Somebody else who may handle the user's keys, by the rights of a profile.
    Other {
        signer: Signer<'a>,
        via: &'a ProfileName,
    },
}

/// One to two seconds, growing to four; no two processes keep step.
pub fn pause(attempt: u32) -> Duration {
    let base_ms = 1_000 * u64::from(attempt.min(2) + 1);
    Duration::from_millis(base_ms + random() % 1_000)
}

/// A number that nobody can foresee, for jitter and nonces: std's hash keys come
/// from the system's randomness.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
