//! Tests against the real outside: a Secret Service, an IAM and STS server, AWS clients.
//!
//! `tests/run` installs all of it; what is missing is a failure, never a skip.
//! Fixtures: `keychain` (a bus and gnome-keyring of its own), `aws_server` (moto made
//! strict), `clients` (AWS CLI and SDKs), `sandbox` (a home, the binary, the scan for
//! secrets), `desktops` (KeePassXC, KWallet, dbus-broker), `fake_service` (a Secret Service of the test's own), `programs` (children with a time limit), `terminal` (shells at a terminal),
//! `hooked` (a shell with the hook).
#![cfg(target_os = "linux")]

mod asked;
mod aws_server;
mod aws_vault;
mod cases;
mod clients;
mod desktops;
mod fake_service;
mod hooked;
mod keychain;
mod programs;
mod sandbox;
#[path = "../sim/mod.rs"]
mod sim;
mod terminal;

mod clients_test;
mod contract;
mod differential;
mod fixtures_test;
mod hooks;
mod hooks_at_rest;
mod hooks_prompts;
mod import_test;
mod kwallet;
mod matrix;
mod prompts;
mod providers;
mod resolve_test;
mod rotation;
mod rotation_faults;
mod shell_files;
mod stores;
mod unattended;
