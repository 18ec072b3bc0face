//! awskeep: AWS access keys that live in the OS keychain and replace themselves.
pub mod failure;
pub mod iam_account;
pub mod keys;
pub mod lease;
pub mod time;
pub mod vault;
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
