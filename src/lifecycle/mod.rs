//! Replacing an IAM user's key in place, so that nothing running breaks and no
//! crash loses a key.
//!
//! One store item holds an entry's whole truth: `current` (served), `pending`
//! (created, not yet proven), `previous` (replaced, not yet deleted), and an
//! `intent` that is written before a key is created. A rotation is
//!
//! 1. intent written and read back: the store works, and nobody else is at it;
//! 2. CreateAccessKey, sent once; its id to the receipts, the pair to `pending`;
//! 3. `pending` proven by STS and IAM, and old enough (settle);
//! 4. promote: one write makes `pending` current, `current` previous, and fixes
//!    until when the latter may still be in use (`leased_until`);
//! 5. after that: `previous` deactivated, held, deleted, and forgotten.
//!
//! Recovery is not a mode. Every run observes (item, ListAccessKeys, AWS's time),
//! asks `plan::next_step`, performs that one step, and observes again. Killed
//! between any two of them, the next run goes on from what is there:
//!
//! | killed after | the next run finds | and |
//! | --- | --- | --- |
//! | intent | an intent, no new key | creates one |
//! | create, before the receipt | an intent, a key nobody can explain | asks for `--discard KEY_ID` |
//! | receipt, before `pending` | an intent, a key with a receipt of this intent | deletes that key, creates another |
//! | `pending` saved | a pending key | proves and promotes it |
//! | promote | a previous key | waits for its leases, then retires it |
//! | deactivate, delete | a previous key, inactive or gone | holds it, or forgets it |
//!
//! Where the served key itself is dead, `recover` asks the same plan with another profile
//! as the signer; `revoke` is a rotation that makes room and retires at once.
//!
//! `observed` is what one look tells, `plan` decides the next step (pure), `execute` loops
//! and performs it, `proof` shows a new key to AWS, `phrases` says it to people. Who signs is
//! a property of the account that a run is given: with MFA a session (`crate::sessions`),
//! in `recover` another profile.

pub mod context;
pub mod execute;
pub mod host;
pub mod model;
pub mod observed;
pub mod options;
mod perform;
pub mod phrases;
pub mod plan;
pub mod proof;
pub mod report;
mod retire;
pub mod step;
pub mod timeline;
mod transition;

#[cfg(test)]
mod plan_edge_tests;
#[cfg(test)]
mod plan_recover_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod report_tests;
