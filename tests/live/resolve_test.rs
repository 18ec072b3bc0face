//! What `resolve` says botocore does, against botocore itself.

use std::path::Path;
use std::process::Command;

use crate::programs::{in_test_env, run};

#[test]
fn botocore_does_what_resolve_says() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/botocore_resolves.py");
    let ran = run(Command::new(in_test_env("venv/bin/python")).arg(script)).ok();
    // The script counts what differs, and ends with 1 if anything does.
    let told = ran
        .stdout
        .trim()
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned();
    assert!(told.ends_with(" cases, 0 differ"), "{told}");
}
