//! In-process tests: the whole program against a simulated AWS account, in a
//! sandbox of folders, with a clock and a person that the test moves.

#[path = "../sim/mod.rs"]
mod sim;

mod background;
mod commands;
mod exec;
mod import;
mod import_property;
mod memory_store;
mod mfa;
mod mfa_kills;
mod mfa_world;
mod recover;
mod revoke;
mod rotate_cli;
mod rotation;
mod rotation_world;
mod sandbox;
mod schedule;
mod setup;
mod status;
mod tidy;
mod watched_account;
mod year;
