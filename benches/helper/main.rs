//! What one credential costs: `cargo bench --bench helper`.
//!
//! Whole processes are timed, turn by turn in one run: `awskeep credential-process`
//! from the keychain and from the encrypted file, against a minimal read of the same
//! secret over D-Bus, `secret-tool lookup` and `/bin/true`. Then many at once. It runs
//! in a temporary home with a bus and a gnome-keyring of its own, and fails if a bar
//! is missed. Standard library only, so that the minimal read stays minimal.
//!
//! Options: `--rounds N`, `--bursts N`, `--awskeep PATH` (or `$AWSKEEP_BENCH_BINARY`),
//! `--no-bars`. It needs the Debian packages dbus, gnome-keyring and libsecret-tools.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod contenders;
#[cfg(target_os = "linux")]
mod fixture;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod report;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    // First of all, and on its own: what it costs is the measure of everything else.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == raw::VERB)
    {
        return raw::main();
    }
    match report::all() {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            for bar in missed {
                eprintln!("MISSED: {bar}");
            }
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("the bench could not run: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("this bench compares with the Secret Service, which is Linux's");
    ExitCode::FAILURE
}
