//! The machine: environment, folders, clock, files.

pub mod disk;
pub mod env;
pub mod secret_vars;
