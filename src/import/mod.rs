//! Moving plaintext keys out of the AWS files and into a store, and back.
//!
//! `plan` decides, `changes` turns it into edits and shows that every SDK ends up
//! with the same key, `run` does it in an order that can be cut off anywhere,
//! `record` remembers the way back without a secret, `undo` goes it.

pub mod aws_vault;
pub mod changes;
mod checks;
pub mod diff;
mod judge;
pub mod masking;
pub mod names;
pub mod plan;
pub mod record;
mod rejoin;
pub mod run;
pub mod same;
pub mod sources;
pub mod through;
pub mod undo;
mod write;
