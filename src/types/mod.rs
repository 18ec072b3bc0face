//! What everything else is made of: ids, secrets, names, points and lengths of time. Pure.

pub mod keys;
pub mod lease;
pub mod shell;
pub mod store_kind;
pub mod target;
pub mod time;
