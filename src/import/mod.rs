//! Moving plaintext keys out of the AWS files and into a store, and back.
//!
//! `plan` decides, `changes` turns it into edits and shows that every SDK ends up
//! with the same key, `run` does it in an order that can be cut off anywhere,
//! `record` remembers the way back without a secret, `undo` goes it.

pub mod apply;
pub mod changes;
mod checks;
pub mod classify;
pub mod diff;
pub mod enroll;
mod judge;
pub mod masking;
pub mod names;
pub mod record;
mod rejoin;
pub mod same;
pub mod sources;
pub mod through;
pub mod undo;
mod write;
