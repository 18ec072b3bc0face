//! Everything that is tested through awskeep's public surface, in one binary.

#[path = "../sim/mod.rs"]
mod sim;

mod memory_store;
mod rotate_cli;
mod rotation;
mod rotation_world;
mod watched_account;
