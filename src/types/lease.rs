//! The arithmetic of leases: how long a served credential is valid, until when a
//! replaced key may still be in use, and how long it is held. Pure.

use std::num::NonZeroU64;

use serde::Serialize;

use crate::types::time::{Span, Timestamp};

/// The age a new key has before it is promoted when nobody waits for it: other
/// regions and services see it later than STS does.
pub const UNATTENDED_SETTLE: Span = Span::seconds(60);

/// What a served credential promises by default: SDKs come back after an hour.
pub const DEFAULT_LEASE: Span = Span::hours(1);

/// No credential is printed with less than this left. The Python and .NET SDKs
/// run the helper for every single request once 15 minutes or less remain.
pub const LEAST_LEAD: Span = Span::minutes(20);

/// Slack between the last lease and the retirement of a key.
pub const LEASE_SLACK: Span = Span::minutes(5);

/// The longest lease that a setting or an item may have: what is served longer cannot
/// be replaced for as long.
pub const LONGEST_LEASE: Span = Span::hours(12);

/// The longest that a key may be held, handed out or served before it is due. Ten years
/// are more than anybody means.
pub const LONGEST_WAIT: Span = Span::days(3_650);

/// The longest settle: a new key is waited for within one run.
pub const LONGEST_SETTLE: Span = Span::days(1);

const THREE: NonZeroU64 = NonZeroU64::new(3).expect("3 is not 0");

/// The `Expiration` of a credential that is read from the store at or after `read_from`.
/// A lease below `LEAST_LEAD` counts as `LEAST_LEAD` and a minute for the printing.
pub fn expiration(read_from: Timestamp, lease: Span) -> Timestamp {
    read_from + lease.max(LEAST_LEAD + Span::minutes(1))
}

/// Whether a credential with this `Expiration` may still be printed at `now`.
pub fn enough_left(expiration: Timestamp, now: Timestamp) -> bool {
    expiration.since(now) >= LEAST_LEAD
}

/// Until when a key that is replaced at `promoted_at` may rightly still be in use:
/// the last credential served may be as young as the promote, and a hand-out
/// without a way back may last longer.
pub fn leased_until(
    promoted_at: Timestamp,
    lease: Span,
    handed_out_until: Option<Timestamp>,
) -> Timestamp {
    let by_lease = expiration(promoted_at, lease) + LEASE_SLACK;
    later(handed_out_until, by_lease)
}

/// The later of two: what is promised once can only be lengthened.
pub fn later(promised: Option<Timestamp>, now_said: Timestamp) -> Timestamp {
    promised.map_or(now_said, |promised| promised.max(now_said))
}

/// The settle that applies: what a person chose, else 15 s, unattended 60 s.
pub fn settle(chosen: Option<Span>, built_in: Span, attended: Attended) -> Span {
    match (chosen, attended) {
        (Some(chosen), _) => chosen,
        (None, Attended::Yes) => built_in,
        (None, Attended::No) => built_in.max(UNATTENDED_SETTLE),
    }
}

/// The hold that applies: never more than a third of `max_age`, so that the held
/// key is gone before the next one is due. `None`: keys never get too old.
pub fn hold(chosen: Span, max_age: Option<Span>) -> Span {
    max_age.map_or(chosen, |max_age| chosen.min(max_age.part_of(THREE)))
}

/// Whether a person waits for this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attended {
    Yes,
    No,
}

/// Whether an entry's key may be replaced without a person (the setting `auto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    On,
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_key_outlives_every_lease_on_it() {
        let promoted = Timestamp(1_000_000);
        for (lease, handed_out_until, after_s) in [
            (Span::hours(1), None, 3_900),
            (Span::ZERO, None, 21 * 60 + 300),
            (Span::hours(1), Some(promoted + Span::days(1)), 86_400),
            (Span::hours(1), Some(promoted), 3_900),
        ] {
            let until = leased_until(promoted, lease, handed_out_until);
            assert_eq!(until.since(promoted), Span(after_s));
        }
        assert_eq!(later(None, Timestamp(5)), Timestamp(5));
        assert_eq!(later(Some(Timestamp(9)), Timestamp(5)), Timestamp(9));
        assert_eq!(later(Some(Timestamp(3)), Timestamp(5)), Timestamp(5));
    }

    #[test]
    fn settle_and_hold() {
        let s = Span::seconds;
        for (chosen, attended, expected) in [
            (None, Attended::Yes, 15),
            (None, Attended::No, 60),
            (Some(s(0)), Attended::No, 0),
            (Some(s(90)), Attended::Yes, 90),
        ] {
            assert_eq!(settle(chosen, s(15), attended), s(expected));
        }
        for (max_age, expected) in [
            (None, 14 * 86_400),
            (Some(Span::days(90)), 14 * 86_400),
            (Some(Span::days(30)), 10 * 86_400),
        ] {
            assert_eq!(hold(Span::days(14), max_age), Span(expected));
        }
    }

    #[test]
    fn an_expiration_is_at_least_twenty_minutes_ahead() {
        let now = Timestamp(1_000_000);
        for (lease, lead_s) in [
            (Span::hours(1), 3_600),
            (Span::hours(12), 43_200),
            (Span::minutes(5), 1_260),
            (Span::ZERO, 1_260),
        ] {
            let expires = expiration(now, lease);
            assert_eq!(expires.since(now).0, lead_s);
            assert!(enough_left(expires, now + Span::minutes(1)));
        }
        assert!(!enough_left(now + Span::seconds(1_199), now));
        assert!(!enough_left(now, now + Span::hours(1)));
    }
}
