//! What an imported key's entry is called. Pure.
//!
//! The name comes from a profile that has the key, never from `default` if there is
//! another. Characters that entries cannot have become `-`. A name never means an
//! entry and a profile of another entry.

use crate::types::keys::EntryName;

/// The longest name of an entry.
const MOST: usize = 64;

/// The entry's name for a key that these profiles have, in the order of the files.
/// What is taken means something else.
pub(super) fn entry_name<'a>(
    profiles: impl Iterator<Item = &'a str> + Clone,
    is_taken: impl Fn(&str) -> bool,
) -> EntryName {
    let best = profiles
        .clone()
        .find(|name| *name != "default")
        .or_else(|| profiles.clone().next())
        .unwrap_or("key");
    let base = mapped(best);
    let mut name = base.clone();
    let mut number = 2;
    while is_taken(&name) {
        let end = format!("-{number}");
        let room = base.len().min(MOST - end.len());
        name = format!("{}{end}", &base[..room]);
        number += 1;
    }
    name.parse()
        .expect("letters, digits and - make an entry's name")
}

/// The nearest text that is an entry's name.
pub fn mapped(profile: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    let text: String = profile
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    let text = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let text = &text[..text.len().min(MOST)];
    if text.is_empty() {
        "key".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_profiles() {
        let long = "x".repeat(70);
        for (profiles, taken, expected) in [
            (&["work"][..], &[][..], "work"),
            (&["default"], &[], "default"),
            (&["default", "work"], &[], "work"),
            (&["a/b:c%d"], &[], "a-b-c-d"),
            (&["-._x"], &[], "x"),
            (&["%%"], &[], "key"),
            (&["work"], &["work", "work-2"], "work-3"),
            (&[&long], &[], &long[..64]),
            (&[&long], &[&long[..64]], &format!("{}-2", &long[..62])),
        ] {
            let name = entry_name(profiles.iter().copied(), |name| taken.contains(&name));
            assert_eq!(name.as_str(), expected, "{profiles:?}");
        }
    }
}
