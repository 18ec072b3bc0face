//! In-process tests: the whole program against a simulated AWS account, in a
//! sandbox of folders, with a clock and a person that the test moves.

#[path = "../sim/mod.rs"]
mod sim;

mod commands;
#[cfg(unix)]
mod exec;
#[cfg(unix)]
mod import;
mod import_property;
mod sandbox;
mod tidy;
