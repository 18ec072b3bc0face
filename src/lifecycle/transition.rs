//! How an item changes: item to item, nothing is saved here. Pure.

use crate::aws::KeyStatus;
use crate::error::Result;
use crate::lifecycle::timeline::leased_until;
use crate::store::durable::TakenBy;
use crate::store::item;
use crate::store::item::{Intent, Item, Slot};
use crate::types::keys::{AccessKey, AccessKeyId, Secret};
use crate::types::lease;
use crate::types::time::{Span, Timestamp};

/// What a change of the key in service takes into account.
pub struct Service {
    pub now: Timestamp,
    /// How AWS lists the key that is replaced; none if it does not.
    pub replaced: Option<KeyStatus>,
    pub taken_by: Option<TakenBy>,
}

/// An intent for this item, as long as the save of the new key will need: so that a
/// store that is full or too small says so before a key is made.
///
/// # Errors
/// `Kind::Bug` if the item cannot be encoded.
pub fn padded(item: &Item, mut intent: Intent) -> Result<Intent> {
    let mut before = item.clone();
    before.intent = Some(intent.clone());
    let mut after = before.clone();
    let longest = AccessKey {
        id: "A".repeat(24).parse()?,
        secret: Secret::new("x".repeat(64)),
    };
    let mut slot = Slot::new(longest, intent.at);
    slot.created_at = Some(intent.at);
    slot.absent_seen_at = Some(intent.at);
    after.pending = Some(slot);
    let (before, after) = (item::encode(&before)?.len(), item::encode(&after)?.len());
    intent.pad = ".".repeat(after.saturating_sub(before));
    Ok(intent)
}

/// The new key, just received; the intent's padding makes room for it.
pub fn keep(item: &mut Item, new: Slot) {
    if let Some(intent) = &mut item.intent {
        intent.pad.clear();
    }
    item.pending = Some(new);
}

/// `pending` is current, and current is previous.
pub fn promote(item: &mut Item, lease: Span, service: Service) {
    if let Some(pending) = item.pending.take() {
        put_into_service(item, pending, service);
    }
    item.intent = None;
    item.undo_wanted_at = None;
    item.lease = lease;
}

/// `previous` is current again, and current is previous. Its earlier hand-outs still
/// count when it is replaced again.
pub fn swap(item: &mut Item, service: Service) {
    if let Some(previous) = item.previous.take() {
        let handed_out = Some(leased_until(&previous)).filter(|until| *until > service.now);
        put_into_service(item, previous, service);
        item.handed_out_until = handed_out;
    }
    item.intent = None;
    item.undo_wanted_at = None;
}

/// The key was activated: what was noted of its retirement is over, and one that is
/// served is young again, since AWS may not know it everywhere.
pub fn activated(item: &mut Item, id: &AccessKeyId, now: Timestamp) {
    if item.current.id == *id {
        item.current.promoted_at = Some(now);
    }
    if let Some(slot) = item.slot_of(id) {
        slot.retire_started_at = None;
        slot.inactive_seen_at = None;
        slot.reactivated_seen_at = None;
    }
}

/// `previous` is no more.
pub fn clear(item: &mut Item) {
    item.previous = None;
    item.undo_wanted_at = None;
}

/// The leases of the replaced key are fixed here, and only ever lengthened. One that AWS
/// does not list is not kept: a key that was replaced before stays.
fn put_into_service(item: &mut Item, new: Slot, service: Service) {
    let Service {
        now,
        replaced,
        taken_by,
    } = service;
    if let Some(status) = replaced {
        let fixed = lease::leased_until(now, item.lease, item.handed_out_until);
        let mut slot = at_rest(item.current.clone());
        slot.leased_until = Some(lease::later(item.current.leased_until, fixed));
        slot.inactive_seen_at = (status != KeyStatus::Active).then_some(now);
        slot.taken_by = None;
        item.previous = Some(slot);
    }
    item.current = Slot {
        promoted_at: Some(now),
        taken_by,
        absent_seen_at: None,
        ..at_rest(new)
    };
    item.handed_out_until = None;
}

/// The key without what was noted of its retirement.
fn at_rest(slot: Slot) -> Slot {
    Slot {
        leased_until: None,
        retire_started_at: None,
        inactive_seen_at: None,
        reactivated_seen_at: None,
        kept_for: None,
        ..slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_kept_for_a_sender_is_kept_for_nobody_once_it_serves_again() {
        let key = |id: &str| AccessKey::from_pasted(id, "secret").unwrap();
        let now = Timestamp(9);
        let kept = Slot {
            kept_for: Some("build host".into()),
            ..Slot::new(key("AKIABBBBBBBBBBBBBBBB"), now)
        };
        let mut item = Item::new("work".parse().unwrap(), key("AKIAAAAAAAAAAAAAAAAA"), now);
        item.previous = Some(kept.clone());
        let service = Service {
            now,
            replaced: Some(KeyStatus::Active),
            taken_by: None,
        };
        swap(&mut item, service);
        assert_eq!(item.current.id, kept.id);
        assert!(item.slots().all(|(_, slot)| slot.kept_for.is_none()));
    }
}
