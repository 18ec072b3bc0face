//! The machine: environment, folders, clock, files.

pub mod disk;
pub mod env;
