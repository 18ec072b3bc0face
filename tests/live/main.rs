//! Tests against the real outside: a Secret Service, an IAM and STS server, AWS clients.
//!
//! `tests/run` installs all of it; what is missing is a failure, never a skip.
//! Fixtures: `keychain` (a bus and gnome-keyring of its own), `aws_server` (moto made
//! strict), `clients` (AWS CLI and SDKs), `sandbox` (a home, the binary, the scan for
//! secrets), `programs` (children with a time limit).
#![cfg(target_os = "linux")]

#[path = "../sim/mod.rs"]
mod sim;

mod aws_server;
mod clients;
mod keychain;
mod programs;
mod sandbox;

mod clients_test;
mod contract;
mod fixtures_test;
mod import_test;
mod resolve_test;
mod rotation;
mod rotation_faults;
mod stores;
