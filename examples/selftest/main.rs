//! Rotation under faults: `cargo run --release --example selftest`, with the encrypted
//! file as the store; `-- keychain` runs the same with a gnome-keyring of its own.
//!
//! Runs the real program against a simulated IAM and STS that lose replies, lag,
//! throttle and refuse, and kills it (kill -9) before and after every request it
//! makes. After each trial it asks what a user would: is a key served that AWS
//! accepts, is every key of somebody else untouched, does running the same command
//! again put everything right? It prints the table, and fails if any answer is no.

#[path = "../tour/home.rs"]
mod home;
#[cfg(target_os = "linux")]
#[path = "../../tests/live/keychain.rs"]
#[allow(dead_code, reason = "the live tests use the rest")]
mod keychain;
#[cfg(target_os = "linux")]
#[path = "../../tests/live/programs.rs"]
#[allow(dead_code, reason = "the live tests use the rest")]
mod programs;
#[path = "../../tests/sim/mod.rs"]
mod sim;

#[cfg(target_os = "linux")]
mod kills;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod store;
#[cfg(target_os = "linux")]
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
    run()
}

#[cfg(not(target_os = "linux"))]
fn run() -> ExitCode {
    eprintln!("the self-test runs on Linux only");
    ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
fn run() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    store::choose(match wanted[..] {
        [] | ["file"] => store::Kind::File,
        ["keychain"] => store::Kind::Keychain,
        _ => {
            eprintln!("usage: selftest [file|keychain]");
            return ExitCode::from(2);
        }
    });
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
