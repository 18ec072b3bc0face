//! Links GCC's unwinder statically into release builds for Linux: loading
//! `libgcc_s.so.1` costs every start of the helper about a tenth of a millisecond.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is =
        |variable: &str, value: &str| std::env::var(variable).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release")
    {
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
