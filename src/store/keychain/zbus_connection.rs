//! The session bus for the library that writes: a socket that `address.rs` opened and
//! checked, in zbus's hands. Edge.
//!
//! zbus never sees an address: it would connect without looking who listens, and it
//! does not decode the escapes in one.

use std::time::Duration;

use zbus::connection::Builder;

use crate::store::error::StoreError;
use crate::store::keychain::address;
use crate::store::keychain::address::{BusAddress, Connected};
use crate::store::keychain::errors;

/// A connection with `timeout` on connecting, on the handshake and on each of its calls.
///
/// # Errors
/// `Absent`, `Denied`, `Died`, `Frozen`, or `Other` if it is not the bus that was meant.
pub fn open(
    address: &BusAddress,
    timeout: Duration,
) -> Result<zbus::blocking::Connection, StoreError> {
    let Connected { stream, guid } = address.connect(timeout)?;
    let connecting = async {
        stream.set_nonblocking(true)?;
        // Made here because it belongs to the runtime that it is made in: zbus's own.
        Builder::unix_stream(tokio::net::UnixStream::from_std(stream)?)
            .user_id(address.uid())
            .method_timeout(timeout)
            .build()
            .await
    };
    // zbus itself waits for a handshake without end.
    let connection = zbus::block_on(async { tokio::time::timeout(timeout, connecting).await })
        .map_err(|_| errors::frozen(timeout))?
        .map_err(|error| errors::of_zbus(&error, timeout))?;
    // Only hello was said so far.
    address::check_guid(guid.as_deref(), connection.server_guid().as_str())?;
    Ok(connection.into())
}
