//! Rotation under faults: `cargo run --release --example selftest`.
//!
//! Runs the real program against a simulated IAM and STS that lose replies, lag,
//! throttle and refuse, and kills it (kill -9) before and after every request it
//! makes. After each trial it asks what a user would: is a key served that AWS
//! accepts, is every key of somebody else untouched, does running the same command
//! again put everything right? It prints the table, and fails if any answer is no.

#[path = "../tour/home.rs"]
mod home;
#[path = "../../tests/sim/mod.rs"]
mod sim;

mod stage;
mod trials;

use std::process::ExitCode;

fn main() -> ExitCode {
    let own_name = std::env::args_os().next().unwrap_or_default();
    if std::path::Path::new(&own_name)
        .file_stem()
        .is_some_and(|name| name == "awskeep")
    {
        return awskeep::main();
    }
    println!("| what happens | first run | afterwards, the served key | run again |");
    println!("|---|---|---|---|");
    let mut failed = 0;
    for trial in trials::all() {
        match (trial.play)() {
            Ok(row) => println!(
                "| {} | {} | {} | {} |",
                trial.name, row.first, row.serves, row.again
            ),
            Err(what) => {
                failed += 1;
                println!(
                    "| {} | **NOT AS PROMISED** | {} | |",
                    trial.name,
                    what.replace('\n', " ")
                );
            }
        }
    }
    if failed == 0 {
        println!(
            "\nevery trial ended with a served key that AWS accepts, and no foreign key touched"
        );
        ExitCode::SUCCESS
    } else {
        eprintln!("\n{failed} trials ended otherwise than promised");
        ExitCode::FAILURE
    }
}
