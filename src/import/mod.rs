//! Moving plaintext keys out of the AWS files and into a store, and back.
//!
//! `classify` decides what is moved and what is skipped, turns that into edits, and
//! shows that every SDK ends up with the same key. `apply` does it in an order that can be
//! cut off anywhere, `record` remembers the way back without a secret, `undo` goes it.

pub mod apply;
pub mod classify;
pub mod diff;
pub mod enroll;
pub mod masking;
pub mod record;
pub mod sources;
pub mod undo;
