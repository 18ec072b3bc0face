//! Everything that is tested through awskeep's public surface, in one binary.

#[path = "../sim/mod.rs"]
mod sim;

mod rotation;
mod rotation_world;
