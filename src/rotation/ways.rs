//! The ways out of an entry whose served key is dead: which of its keys can serve,
//! or that a new one is needed; and the item afterwards. Pure; `rescue` performs it.

use super::plan::GONE;
use crate::iam_account::{KeyStatus, ListedKey};
use crate::keys::AccessKeyId;
use crate::lease;
use crate::time::Time;
use crate::vault::item::{Item, Slot};

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The served key is active at AWS; only a proof can tell what is wrong with it.
    Check,
    /// One of the entry's own keys is there.
    Use {
        which: Which,
        id: AccessKeyId,
        now_is: NowIs,
    },
    /// None is: a new key is made.
    Issue,
    /// AWS gives a key of the entry a status that this program does not know.
    Strange(AccessKeyId),
}

/// The slot of a key that can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Current,
    Pending,
    Previous,
}

/// What AWS lists a key as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NowIs {
    Active,
    Inactive,
}

/// What a list of the user's keys says about the ways out. A new key may be missing
/// from lists for a while: it counts until it has been missing for long enough. Keys in
/// `not` are passed over: a person said no, or they do not work. So are revoked ones.
pub fn diagnose(item: &Item, listed: &[ListedKey], now: Time, not: &[AccessKeyId]) -> Way {
    let slots = [
        (Which::Current, Some(&item.current)),
        (Which::Pending, item.pending.as_ref()),
        (Which::Previous, item.previous.as_ref()),
    ];
    for (which, slot) in slots {
        let Some(slot) = slot else { continue };
        let status = listed.iter().find(|key| key.id == slot.id);
        let passed_over = not.contains(&slot.id);
        let now_is = match (which, status.map(|key| &key.status)) {
            (_, Some(KeyStatus::Other(_))) => return Way::Strange(slot.id.clone()),
            (Which::Current, Some(KeyStatus::Active)) if !passed_over => return Way::Check,
            (_, _) if passed_over || slot.revoked_at.is_some() => continue,
            (_, Some(KeyStatus::Active)) => NowIs::Active,
            (_, Some(KeyStatus::Inactive)) => NowIs::Inactive,
            (Which::Pending, None) if !gone(slot, now) => NowIs::Active,
            (_, Some(KeyStatus::Expired) | None) => continue,
        };
        let id = slot.id.clone();
        return Way::Use { which, id, now_is };
    }
    Way::Issue
}

fn gone(slot: &Slot, now: Time) -> bool {
    slot.absent_seen_at
        .is_some_and(|first| now.since(first) >= GONE)
}

pub(super) fn slot_of(item: &Item, which: Which) -> Option<&Slot> {
    match which {
        Which::Current => Some(&item.current),
        Which::Pending => item.pending.as_ref(),
        Which::Previous => item.previous.as_ref(),
    }
}

/// The item with that slot's key in service.
pub(super) fn served(old: &Item, which: Which, listed: &[ListedKey], now: Time) -> Item {
    let mut item = old.clone();
    item.intent = None;
    item.undo_wanted_at = None;
    let Some(chosen) = slot_of(old, which).cloned() else {
        return item;
    };
    let handed_out = chosen.leased_until.filter(|until| *until > now);
    item.current = Slot {
        // Young again: AWS may not know it everywhere.
        promoted_at: Some(now),
        leased_until: None,
        retire_started_at: None,
        inactive_seen_at: None,
        reactivated_seen_at: None,
        absent_seen_at: None,
        ..chosen
    };
    if which == Which::Current {
        return item;
    }
    item.pending = None;
    let dead = listed.iter().find(|key| key.id == old.current.id);
    let kept = old.previous.clone().filter(|_| which != Which::Previous);
    item.previous = match dead {
        None => kept,
        Some(key) => {
            let mut slot = old.current.clone();
            slot.leased_until = Some(lease::leased_until(now, old.lease, old.handed_out_until));
            slot.inactive_seen_at = (key.status != KeyStatus::Active).then_some(now);
            Some(slot)
        }
    };
    item.handed_out_until = handed_out;
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AccessKey;
    use crate::time::Length;

    const NOW: Time = Time(1_795_420_800);

    fn slot(letter: &str) -> Slot {
        let id = format!("AKIA{}", letter.repeat(16));
        Slot::new(AccessKey::from_pasted(&id, "secret").unwrap(), Time(5))
    }

    /// Entry with current A, pending B, previous C, as far as named.
    fn item(slots: &str) -> Item {
        let mut item = Item::new("work".parse().unwrap(), slot("A").key(), Time(5));
        item.pending = slots.contains('B').then(|| slot("B"));
        item.previous = slots.contains('C').then(|| slot("C"));
        item
    }

    fn listed(keys: &[(&str, KeyStatus)]) -> Vec<ListedKey> {
        let row = |(letter, status): &(&str, KeyStatus)| ListedKey {
            id: slot(letter).id,
            status: status.clone(),
            created_at: None,
        };
        keys.iter().map(row).collect()
    }

    #[test]
    fn own_keys_come_before_a_new_one() {
        use KeyStatus::{Active, Expired, Inactive};
        let serve = |which, letter, now_is| Way::Use {
            which,
            id: slot(letter).id,
            now_is,
        };
        for (slots, keys, way) in [
            ("A", &[("A", Active)][..], Way::Check),
            (
                "A",
                &[("A", Inactive)],
                serve(Which::Current, "A", NowIs::Inactive),
            ),
            ("A", &[("A", Expired)], Way::Issue),
            ("A", &[("Z", Active)], Way::Issue),
            ("A", &[], Way::Issue),
            (
                "AB",
                &[("B", Active)],
                serve(Which::Pending, "B", NowIs::Active),
            ),
            (
                "AC",
                &[("C", Inactive)],
                serve(Which::Previous, "C", NowIs::Inactive),
            ),
            (
                "AC",
                &[("A", Inactive), ("C", Active)],
                serve(Which::Current, "A", NowIs::Inactive),
            ),
        ] {
            assert_eq!(
                diagnose(&item(slots), &listed(keys), NOW, &[]),
                way,
                "{slots} {keys:?}"
            );
        }
    }

    #[test]
    fn a_status_that_nobody_knows_is_not_taken_for_dead() {
        use KeyStatus::{Active, Inactive};
        let strange = || KeyStatus::Other("Suspended".into());
        for (slots, keys, letter) in [
            ("A", &[("A", strange())][..], "A"),
            ("AB", &[("B", strange())], "B"),
            ("ABC", &[("B", strange()), ("C", Active)], "B"),
            ("AC", &[("C", strange())], "C"),
        ] {
            let way = Way::Strange(slot(letter).id);
            assert_eq!(
                diagnose(&item(slots), &listed(keys), NOW, &[]),
                way,
                "{slots} {keys:?}"
            );
        }
        // What can be used without it is.
        let keys = listed(&[("A", Inactive), ("B", strange())]);
        let way = Way::Use {
            which: Which::Current,
            id: slot("A").id,
            now_is: NowIs::Inactive,
        };
        assert_eq!(diagnose(&item("AB"), &keys, NOW, &[]), way);
    }

    #[test]
    fn what_was_declined_or_revoked_is_passed_over() {
        use KeyStatus::{Active, Inactive};
        let keys = listed(&[("A", Inactive), ("C", Inactive)]);
        let previous = Way::Use {
            which: Which::Previous,
            id: slot("C").id,
            now_is: NowIs::Inactive,
        };
        let (a, c) = (slot("A").id, slot("C").id);
        let declined = |not: &[AccessKeyId]| diagnose(&item("AC"), &keys, NOW, not);
        assert_eq!(declined(std::slice::from_ref(&a)), previous);
        assert_eq!(declined(&[a.clone(), c]), Way::Issue);

        let mut revoked = item("AC");
        revoked.current.revoked_at = Some(NOW);
        assert_eq!(diagnose(&revoked, &keys, NOW, &[]), previous);
        revoked.previous.as_mut().unwrap().revoked_at = Some(NOW);
        assert_eq!(diagnose(&revoked, &keys, NOW, &[]), Way::Issue);
        // A served key with a wrong secret: the others are looked at.
        let active = listed(&[("A", Active), ("C", Active)]);
        assert_eq!(diagnose(&item("AC"), &active, NOW, &[]), Way::Check);
        let way = diagnose(&item("AC"), &active, NOW, &[a]);
        assert!(
            matches!(
                way,
                Way::Use {
                    which: Which::Previous,
                    ..
                }
            ),
            "{way:?}"
        );
    }

    #[test]
    fn a_pending_key_that_lists_lack_is_given_up_after_a_while() {
        let try_it = Way::Use {
            which: Which::Pending,
            id: slot("B").id,
            now_is: NowIs::Active,
        };
        for (absent_since, way) in [
            (None, try_it.clone()),
            (Some(NOW - Length::seconds(899)), try_it),
            (Some(NOW - Length::seconds(900)), Way::Issue),
        ] {
            let mut item = item("AB");
            item.pending.as_mut().unwrap().absent_seen_at = absent_since;
            assert_eq!(diagnose(&item, &[], NOW, &[]), way, "{absent_since:?}");
        }
    }

    #[test]
    fn a_dead_key_stays_to_be_retired_only_while_aws_lists_it() {
        use KeyStatus::{Active, Inactive};
        for (slots, which, keys, current, previous) in [
            ("AB", Which::Pending, &[("B", Active)][..], "B", None),
            (
                "AB",
                Which::Pending,
                &[("A", Active), ("B", Active)],
                "B",
                Some(("A", false)),
            ),
            (
                "AB",
                Which::Pending,
                &[("A", Inactive), ("B", Active)],
                "B",
                Some(("A", true)),
            ),
            ("AC", Which::Previous, &[("C", Active)], "C", None),
            (
                "AC",
                Which::Current,
                &[("A", Inactive)],
                "A",
                Some(("C", false)),
            ),
        ] {
            let new = served(&item(slots), which, &listed(keys), NOW);
            assert_eq!(new.current.id, slot(current).id);
            assert_eq!(new.current.promoted_at, Some(NOW));
            assert_eq!((&new.pending, &new.intent), (&None, &None));
            let there = new
                .previous
                .map(|slot| (slot.id, slot.inactive_seen_at.is_some()));
            let expected = previous.map(|(letter, inactive)| (slot(letter).id, inactive));
            assert_eq!(there, expected, "{slots} {keys:?}");
        }
    }

    #[test]
    fn a_key_put_back_begins_anew_and_its_hand_outs_still_count() {
        for (leased_until, handed_out_until) in [
            (None, None),
            (Some(NOW), None),
            (
                Some(NOW + Length::seconds(1)),
                Some(NOW + Length::seconds(1)),
            ),
        ] {
            let mut old = item("AC");
            let previous = old.previous.as_mut().unwrap();
            previous.leased_until = leased_until;
            previous.retire_started_at = Some(NOW);
            previous.inactive_seen_at = Some(NOW);
            previous.reactivated_seen_at = Some(NOW);
            previous.absent_seen_at = Some(NOW);
            let new = served(&old, Which::Previous, &listed(&[]), NOW);
            let mut expected = slot("C");
            expected.promoted_at = Some(NOW);
            assert_eq!(new.current, expected);
            assert_eq!(new.handed_out_until, handed_out_until, "{leased_until:?}");
        }
    }
}
