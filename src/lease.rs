//! The arithmetic of leases: how long a served credential is valid, until when a
//! replaced key may still be in use, and how long it is held. Pure.

use crate::time::{Length, Time};

/// What a served credential promises by default: SDKs come back after an hour.
pub const DEFAULT_LEASE: Length = Length::hours(1);

/// No credential is printed with less than this left. The Python and .NET SDKs
/// run the helper for every single request once 15 minutes or less remain.
pub const LEAST_LEAD: Length = Length::minutes(20);

/// Slack between the last lease and the retirement of a key.
pub const LEASE_SLACK: Length = Length::minutes(5);

/// The `Expiration` of a credential that is read from the store at or after `read_from`.
/// A lease below `LEAST_LEAD` counts as `LEAST_LEAD` and a minute for the printing.
pub fn expiration(read_from: Time, lease: Length) -> Time {
    read_from + lease.max(LEAST_LEAD + Length::minutes(1))
}

/// Whether a credential with this `Expiration` may still be printed at `now`.
pub fn enough_left(expiration: Time, now: Time) -> bool {
    expiration.since(now) >= LEAST_LEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiration_is_at_least_twenty_minutes_ahead() {
        let now = Time(1_000_000);
        for (lease, lead_s) in [
            (Length::hours(1), 3_600),
            (Length::hours(12), 43_200),
            (Length::minutes(5), 1_260),
            (Length::ZERO, 1_260),
        ] {
            let expires = expiration(now, lease);
            assert_eq!(expires.since(now).0, lead_s);
            assert!(enough_left(expires, now + Length::minutes(1)));
        }
        assert!(!enough_left(now + Length::seconds(1_199), now));
        assert!(!enough_left(now, now + Length::hours(1)));
    }
}
