//! Which process stands behind the Secret Service now. Edge; off the hot path: it opens a
//! connection of its own and asks the bus, not the provider.

use std::time::Duration;

use super::address::BusAddress;
use super::{wire, zbus_connection};
use crate::vault::durable::{Process, process_in};

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
