//! What a run without a person did, in one line for a later prompt. Pure.

use crate::lifecycle::phrases::short;
use crate::lifecycle::report::{HandledBy, KeyRules};
use crate::lifecycle::timeline::delete_at;
use crate::store::item::Item;
use crate::types::time::Timestamp;

/// What changed between two looks at an entry's item; none if nothing that a person
/// would want to know. `next_turn` is when the next run has something to do for it.
pub fn of(
    before: &Item,
    after: &Item,
    rules: KeyRules,
    next_turn: Option<Timestamp>,
) -> Option<String> {
    let entry = &after.entry;
    let replaced = after.previous.as_ref();
    let undo = match replaced.and_then(|slot| slot.revoked_at) {
        Some(_) => "it was revoked, and is never brought back".to_owned(),
        None => format!("undo: awskeep rotate {entry} --undo"),
    };
    if before.current.id != after.current.id {
        let new = short(&after.current.id);
        let old = replaced.map(|slot| short(&slot.id)).unwrap_or_default();
        let end = next_turn.map_or(String::new(), |at| format!(" after {}", at.day()));
        return Some(format!(
            "{entry}: {new} is in service; the old {old} is deactivated{end}; {undo}"
        ));
    }
    let was_active = before.previous.as_ref()?.inactive_seen_at.is_none();
    match replaced {
        None => {
            let old = before.previous.as_ref().map(|slot| short(&slot.id))?;
            Some(format!("{entry}: the old {old} is deleted"))
        }
        Some(old) => {
            let since = old.inactive_seen_at.filter(|_| was_active)?;
            let end = match rules.handled_by {
                HandledBy::Key => format!("after {}", delete_at(old, since, rules.hold).day()),
                HandledBy::Session => "in the MFA session of the next rotation".to_owned(),
            };
            let old = short(&old.id);
            Some(format!(
                "{entry}: the old {old} is inactive, deleted {end}; {undo}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::report::EntryReport;
    use crate::store::item::Slot;
    use crate::types::keys::AccessKey;
    use crate::types::lease::Attended;
    use crate::types::time::Span;

    /// A key that was handed out for longer than it is held is not deleted before.
    #[test]
    fn a_notice_has_the_day_that_status_has() {
        let at = |days| Timestamp(1_800_000_000) + Span::days(days);
        let key = |id| AccessKey::from_pasted(id, "secret").unwrap();
        let rules = KeyRules {
            max_age: Some(Span::days(90)),
            hold: Span::days(14),
            handled_by: HandledBy::Key,
            retired: Attended::No,
        };
        for (leased_days, deleted_days) in [(0, 14), (30, 30)] {
            let mut before = Item::new("work".parse().unwrap(), key("AKIAAAAAAAAAAAAAAAAA"), at(0));
            let mut previous = Slot::new(key("AKIABBBBBBBBBBBBBBBB"), at(0));
            previous.leased_until = Some(at(leased_days));
            before.previous = Some(previous.clone());
            let mut after = before.clone();
            previous.inactive_seen_at = Some(at(0));
            after.previous = Some(previous);
            let line = of(&before, &after, rules, None).unwrap();
            let day = at(deleted_days).day();
            assert!(line.contains(&format!("deleted after {day};")), "{line}");
            let told = EntryReport::of(&after, rules, at(1));
            let held = told.keys.iter().find_map(|key| key.held_until);
            assert_eq!(held, Some(at(deleted_days)));
        }
    }
}
