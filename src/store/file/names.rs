//! The file names of entries. Pure.
//!
//! On macOS and Windows `Work` and `work` would be one file, so a capital is written
//! as `=` and its small letter: `=work.age`. Windows keeps names such as `con` for
//! devices, with any extension: these get a `=` after the device's name.

use crate::store::session_item::PREFIX;
use crate::types::keys::EntryName;

const EXTENSION: &str = ".age";

/// Source: Microsoft, "Naming Files, Paths, and Namespaces".
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
    "com9", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// The name of an entry's file: no two entries share one, whatever the case.
pub fn of_entry(entry: &EntryName) -> String {
    let mut name = String::new();
    for c in entry.as_str().chars() {
        if c.is_ascii_uppercase() {
            name.push('=');
        }
        name.push(c.to_ascii_lowercase());
    }
    let base = name.find('.').unwrap_or(name.len());
    if DEVICES.contains(&&name[..base]) {
        name.insert(base, '=');
    }
    name + EXTENSION
}

/// The name of the file for what stores call an entry or its MFA session.
pub fn of_user(user: &str) -> Option<String> {
    match user.strip_prefix(PREFIX) {
        Some(entry) => Some(format!("{PREFIX}{}", of_entry(&entry.parse().ok()?))),
        None => Some(of_entry(&user.parse().ok()?)),
    }
}

/// The entry of a file; none if it is not one that `of_entry` gives.
pub fn entry_of(file: &str) -> Option<EntryName> {
    let mut name = String::new();
    let mut chars = file.strip_suffix(EXTENSION)?.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('=', Some(next)) if next.is_ascii_lowercase() => {
                name.push(next.to_ascii_uppercase());
                chars.next();
            }
            ('=', _) => {}
            (c, _) => name.push(c),
        }
    }
    let entry = name.parse().ok()?;
    (of_entry(&entry) == file).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_differ_whatever_the_case() {
        for (entry, file) in [
            ("work", "work.age"),
            ("Work", "=work.age"),
            ("WorK", "=wor=k.age"),
            ("me@corp.com", "me@corp.com.age"),
            ("con", "con=.age"),
            ("Con", "=con.age"),
            ("nul.x", "nul=.x.age"),
        ] {
            let entry: EntryName = entry.parse().unwrap();
            assert_eq!(of_entry(&entry), file);
            assert_eq!(entry_of(file), Some(entry));
        }
        assert_eq!(
            of_user("mfa-session~Con").as_deref(),
            Some("mfa-session~=con.age")
        );
        assert_eq!(of_user("mfa~session"), None);
        for other in [
            "mfa-session~=con.age",
            "Work.age",
            "work",
            ".awskeep-x1.age",
            "wo=.age",
            "con.age",
            "==a.age",
        ] {
            assert_eq!(entry_of(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}") {
            let entry: EntryName = name.parse().unwrap();
            let file = of_entry(&entry);
            prop_assert!(!file.contains(|c: char| c.is_ascii_uppercase()));
            prop_assert_eq!(entry_of(&file), Some(entry));
        }
    }
}
