//! What everything else is made of: ids, secrets, names, points and lengths of time, and
//! text that is safe to show. Pure.

pub mod escape;
pub mod keys;
pub mod lease;
pub mod shell;
pub mod store_kind;
pub mod target;
pub mod time;
