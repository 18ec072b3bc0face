//! The main job on a bare machine: `cargo run --example tour`.
//!
//! In a temporary home, with the encrypted file as the store and a simulated IAM and
//! STS on loopback, this shows on real files and real processes what a user gets. It
//! says what it does and what it found, and fails if anything is not as promised.
//!
//! The program that it runs is itself: called under the name `awskeep`, it is awskeep.

#[path = "../../tests/sim/mod.rs"]
mod sim;

mod home;
mod scenes;

use std::process::ExitCode;

fn main() -> ExitCode {
    let own_name = std::env::args_os().next().unwrap_or_default();
    if std::path::Path::new(&own_name)
        .file_stem()
        .is_some_and(|name| name == "awskeep")
    {
        return awskeep::main();
    }
    match scenes::all() {
        Ok(scenes) => {
            println!("\nthe tour is over: {scenes} scenes, everything was as promised");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("\nNOT AS PROMISED: {what}");
            ExitCode::FAILURE
        }
    }
}
