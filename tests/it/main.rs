//! In-process tests: the whole program against a simulated AWS account, in a
//! sandbox of folders, with a clock and a person that the test moves.

#[path = "../sim/mod.rs"]
mod sim;

mod background;
mod commands;
mod dry_run;
mod edge;
mod environment;
mod exec;
mod files;
mod fuzz;
mod import;
mod import_killed;
mod import_limits;
mod import_property;
mod import_rotate;
mod import_sources;
mod import_undo;
mod kit;
mod locks;
mod memory_store;
mod mfa;
mod mfa_kills;
mod mfa_world;
mod misplaced;
mod moving;
mod passphrase;
mod recover;
mod refusals;
mod revoke;
mod rotate_cli;
mod rotate_told;
mod rotate_waits;
mod rotation;
mod rotation_cost;
mod rotation_lives;
mod rotation_promises;
mod rotation_second;
mod rotation_world;
mod rotation_writers;
mod sandbox;
mod schedule;
mod second_thoughts;
mod setup;
mod side_by_side;
mod status;
mod stopped;
mod tidy;
mod times;
mod watched_account;
mod wrong_arguments;
mod year;
