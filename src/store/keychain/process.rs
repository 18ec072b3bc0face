//! Which process stands behind the Secret Service now. Edge; off the hot path: it opens a
//! connection of its own and asks the bus, not the provider.

use std::time::Duration;

use crate::store::durable::{Process, process_in};
use crate::store::keychain::address::BusAddress;
use crate::store::keychain::{wire, zbus_connection};

const BUS: &str = "org.freedesktop.DBus";

/// None if the bus does not say, or if the process is not in sight (another container).
pub fn of_provider(address: &BusAddress, timeout: Duration) -> Option<Process> {
    let connection = zbus_connection::open(address, timeout).ok()?;
    let answer = connection.call_method(
        Some(BUS),
        "/org/freedesktop/DBus",
        Some(BUS),
        "GetConnectionUnixProcessID",
        &wire::PROVIDER,
    );
    process_in(answer.ok()?.body().deserialize().ok()?)
}
