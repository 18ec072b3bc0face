//! What awskeep knows of shells: how each quotes, which one reads what we print, where each reads its startup file,
//! the hook for each, the marked block that loads it, whether a shell does, and the units of service managers.

pub mod ask;
pub mod block;
pub mod completions;
pub mod env_export;
pub mod hook;
pub mod plan;
pub mod put;
pub mod quote;
pub mod reader;
pub mod startup;
pub mod units;
