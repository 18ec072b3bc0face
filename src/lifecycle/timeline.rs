//! When each thing in a key's life happens: due, settled, deactivated, deleted. The only
//! place that computes these times, so that the plan, the schedule, `status` and every
//! message agree. Pure.

use std::num::NonZeroU64;

use crate::store::item::Slot;
use crate::types::lease::Attended;
use crate::types::time::{Span, Timestamp};

/// Unattended, a last use is asked for no earlier: AWS tells it hours late.
const LAST_USE_KNOWN: Span = Span::hours(24);

/// How long a retirement waits where the last use may not be looked at.
const BLIND_WAIT: Span = Span::days(7);

/// How long a replaced key counts as leased whose item does not say until when.
const ANY_LEASE: Span = Span::days(36_500);

const THREE: NonZeroU64 = NonZeroU64::new(3).expect("3 is not 0");

/// When a key came to be: AWS's word, else when it was saved here.
pub fn born(slot: &Slot) -> Timestamp {
    slot.created_at.unwrap_or(slot.saved_at)
}

/// When a key of that age limit is due: after two thirds of it. `None`: never.
pub fn due_at(slot: &Slot, max_age: Option<Span>) -> Option<Timestamp> {
    max_age.map(|max_age| born(slot) + max_age.part_of(THREE).times(2))
}

/// From when on a new key is old enough for all of AWS to know it.
pub fn settled_at(pending: &Slot, settle: Span) -> Timestamp {
    born(pending) + settle
}

/// Until when somebody may rightly use a replaced key. One without this time was written
/// by another program: it counts as leased for as long as any lease can be, from when it
/// was saved.
pub fn leased_until(previous: &Slot) -> Timestamp {
    previous
        .leased_until
        .unwrap_or(previous.saved_at + ANY_LEASE)
}

/// From when on a replaced key may be deactivated: its leases are over and, where nobody
/// is there, AWS can tell its last use.
pub fn deactivate_at(current: &Slot, previous: &Slot, attended: Attended) -> Timestamp {
    let leased_until = leased_until(previous);
    match attended {
        Attended::Yes => leased_until,
        Attended::No => {
            let promoted_at = current.promoted_at.unwrap_or(leased_until);
            leased_until.max(promoted_at + LAST_USE_KNOWN)
        }
    }
}

/// The same where AWS does not let the last use be looked at.
pub fn deactivate_unseen_at(previous: &Slot) -> Timestamp {
    leased_until(previous) + BLIND_WAIT
}

/// From when on a replaced key may be deleted that is inactive since then: the hold is
/// over, and every lease on it.
pub fn delete_at(previous: &Slot, inactive_since: Timestamp, hold: Span) -> Timestamp {
    (inactive_since + hold).max(leased_until(previous))
}

/// From when on a replaced key that nobody has used since its leases ended counts as held.
pub fn delete_unused_at(previous: &Slot, hold: Span) -> Timestamp {
    leased_until(previous) + hold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::keys::AccessKey;

    const AT: Timestamp = Timestamp(1_800_000_000);

    fn slot() -> Slot {
        let key = AccessKey::from_pasted("AKIAAAAAAAAAAAAAAAAA", "secret").unwrap();
        Slot::new(key, AT)
    }

    #[test]
    fn a_key_is_due_after_two_thirds_of_its_age_limit() {
        assert_eq!(due_at(&slot(), None), None);
        let mut made = slot();
        assert_eq!(
            due_at(&made, Some(Span::days(90))),
            Some(AT + Span::days(60))
        );
        made.created_at = Some(AT - Span::days(1));
        assert_eq!(
            due_at(&made, Some(Span::days(90))),
            Some(AT + Span::days(59))
        );
    }

    #[test]
    fn a_lease_that_is_not_known_outlasts_every_other_time() {
        let (current, previous) = (slot(), slot());
        let far = AT + Span::days(36_500);
        assert_eq!(leased_until(&previous), far);
        assert_eq!(deactivate_at(&current, &previous, Attended::Yes), far);
        assert_eq!(delete_at(&previous, AT, Span::days(14)), far);
    }

    #[test]
    fn unattended_a_key_stays_active_for_a_day_after_the_promote() {
        let (mut current, mut previous) = (slot(), slot());
        for (promoted_h, leased_h, attended_h, unattended_h) in
            [(0, 1, 1, 24), (0, 48, 48, 48), (30, 31, 31, 54)]
        {
            let at = |hours| AT + Span::hours(hours);
            current.promoted_at = Some(at(promoted_h));
            previous.leased_until = Some(at(leased_h));
            let told = |attended| deactivate_at(&current, &previous, attended);
            assert_eq!(told(Attended::Yes), at(attended_h));
            assert_eq!(told(Attended::No), at(unattended_h));
        }
    }
}
