//! Everything that is tested through awskeep's public surface, in one binary.

#[path = "../sim/mod.rs"]
mod sim;

mod rotate_cli;
mod rotation;
mod rotation_world;
