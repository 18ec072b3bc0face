//! What happens without a person: whose turn it is, what was remembered, what is said later.

pub mod memory;
pub mod notices;
pub mod schedule;
