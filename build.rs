//! Links GCC's unwinder statically into release builds for Linux: loading
//! `libgcc_s.so.1` costs every start of the helper about a tenth of a millisecond.
//!
//! Only where the C compiler has the static one; everywhere else (musl, clang with its own
//! runtime, some cross compilers) the build stays as it is. `AWSKEEP_SHARED_UNWINDER=1`
//! turns it off.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARY: &str = "libgcc_eh.a";
const OFF: &str = "AWSKEEP_SHARED_UNWINDER";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for variable in ["CC", "TARGET_CC", OFF] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    let is_wanted = is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release")
        && !is(OFF, "1");
    if let Some(folder) = is_wanted.then(folder_of_library).flatten() {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Where the C compiler of the target has the library; none if it has none, or if nobody
/// can say which compiler that is.
fn folder_of_library() -> Option<PathBuf> {
    let target = env::var("TARGET").ok()?;
    let of_target = format!("CC_{}", target.replace('-', "_"));
    println!("cargo::rerun-if-env-changed={of_target}");
    let named = [&of_target, "TARGET_CC", "CC"]
        .into_iter()
        .find_map(|v| env::var(v).ok());
    let compiler = match named {
        Some(compiler) => compiler,
        None if env::var("HOST").is_ok_and(|host| host == target) => "cc".into(),
        None => return None,
    };
    let mut words = compiler.split_whitespace();
    let answer = Command::new(words.next()?)
        .args(words)
        .arg(format!("-print-file-name={LIBRARY}"))
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    // A compiler without it repeats the bare name.
    (path.is_absolute() && path.is_file()).then(|| path.parent().map(Path::to_owned))?
}
