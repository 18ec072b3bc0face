//! Changing the settings file line by line, so that the rest stays as a person wrote
//! it. Edge: writes one small file.

use std::path::Path;

use crate::config::{Key, entry_of, ini, read};
use crate::error::Result;
use crate::system::disk;
use crate::types::keys::EntryName;

/// Changes one setting in the file's text, or takes it out; the rest stays, comments
/// too, which rust-ini would not keep. Where it stands more than once, once is left.
pub fn with_setting(
    text: &str,
    entry: Option<&EntryName>,
    key: Key,
    value: Option<&str>,
) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut within = false;
    let mut settings = Vec::new();
    // Of the first section of that name.
    let mut last = None;
    let mut sections = 0;
    for (n, line) in lines.iter().enumerate() {
        if let Some(header) = header_of(line) {
            within = is_of(&header, entry);
            sections += usize::from(within);
        } else if within && key_of(line).as_deref() == Some(key.name()) {
            settings.push(n);
        }
        if within && sections == 1 && !line.trim().is_empty() {
            last = Some(n);
        }
    }
    let new = value.map(|value| format!("{key} = {value}{end}"));
    let kept = match (&new, settings.first(), last) {
        (None, ..) => None,
        (Some(new), Some(&first), _) => {
            lines[first].clone_from(new);
            Some(first)
        }
        (Some(new), None, Some(last)) => {
            close(&mut lines[last], end);
            lines.insert(last + 1, new.clone());
            None
        }
        (Some(new), None, None) => {
            if let Some(last) = lines.last_mut().filter(|line| !line.trim().is_empty()) {
                close(last, end);
                lines.push(end.to_owned());
            }
            let header = entry.map_or("[default]".to_owned(), |entry| format!("[entry {entry}]"));
            lines.push(format!("{header}{end}"));
            lines.push(new.clone());
            None
        }
    };
    for n in settings.into_iter().rev().filter(|n| Some(*n) != kept) {
        lines.remove(n);
    }
    lines.concat()
}

/// Gives an entry's section its new name.
pub fn with_section_renamed(text: &str, old: &EntryName, new: &EntryName) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            let header = header_of(line).filter(|header| is_of(header, Some(old)));
            match (header, line.split_once('[')) {
                (Some(_), Some((before, _))) => {
                    let end = &line[line.trim_end_matches(['\r', '\n']).len()..];
                    format!("{before}[entry {new}]{end}")
                }
                (_, _) => line.to_owned(),
            }
        })
        .collect()
}

/// The name in a header, as the reader of the file has it; none if the line is none.
fn header_of(line: &str) -> Option<String> {
    let file = ini(line).ok()?;
    file.sections().flatten().next().map(str::to_owned)
}

/// The setting that a line sets, as the reader of the file has it.
fn key_of(line: &str) -> Option<String> {
    let file = ini(&format!("[x]\n{line}")).ok()?;
    let (key, _) = file.section(Some("x"))?.iter().next()?;
    Some(key.to_owned())
}

fn is_of(header: &str, entry: Option<&EntryName>) -> bool {
    match entry {
        None => header == "default",
        Some(entry) => entry_of(header).is_some_and(|named| named.as_ref() == Ok(entry)),
    }
}

/// Gives the file's last line an end, so that another can follow.
fn close(line: &mut String, end: &str) {
    if !line.ends_with('\n') {
        line.push_str(end);
    }
}

/// Changes the settings file's text; the caller holds the names lock.
///
/// # Errors
/// `Kind::Failed` if somebody else can write it, or if it cannot be written.
pub fn edit(path: &Path, change: impl FnOnce(&str) -> String) -> Result<()> {
    let text = change(&read(path)?);
    disk::refuse_others(path, "says what is run and served")?;
    if let Some(folder) = path.parent() {
        disk::private_dir(folder)?;
    }
    disk::write_atomic(path, text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> EntryName {
        "work".parse().unwrap()
    }

    #[test]
    fn a_change_touches_one_line() {
        let text = "# top\n[default]\n# why\nauto = off\n\n[entry work]\nhold = 1d\n";
        for (entry, key, value, expected) in [
            (
                None,
                Key::Auto,
                Some("on"),
                "# top\n[default]\n# why\nauto = on\n\n[entry work]\nhold = 1d\n",
            ),
            (
                None,
                Key::Hold,
                Some("2d"),
                "# top\n[default]\n# why\nauto = off\nhold = 2d\n\n[entry work]\nhold = 1d\n",
            ),
            (
                Some(work()),
                Key::Hold,
                None,
                "# top\n[default]\n# why\nauto = off\n\n[entry work]\n",
            ),
            (Some(work()), Key::Auto, None, text),
            (
                Some("new".parse().unwrap()),
                Key::Store,
                Some("file"),
                "# top\n[default]\n# why\nauto = off\n\n[entry work]\nhold = 1d\n\n[entry new]\nstore = file\n",
            ),
        ] {
            assert_eq!(with_setting(text, entry.as_ref(), key, value), expected);
        }
        assert_eq!(
            with_setting("", None, Key::Auto, Some("on")),
            "[default]\nauto = on\n"
        );
    }

    #[test]
    fn a_section_is_found_however_its_header_is_written() {
        for header in [
            "[entry  work]",
            " [ entry work ]",
            "[entry work ]\r",
            "\u{feff}[entry work]",
        ] {
            let text = format!("{header}\nauto : off\n");
            let unset = with_setting(&text, Some(&work()), Key::Auto, None);
            assert_eq!(unset, format!("{header}\n"), "{header:?}");
            let named = with_section_renamed(&text, &work(), &"new".parse().unwrap());
            let sections = Settings::parse("c".into(), &named);
            let names: Vec<_> = sections.sections().map(EntryName::as_str).collect();
            assert_eq!(names, ["new"], "{header:?}");
        }
    }

    use super::super::Settings;
    use proptest::prelude::*;

    fn a_file() -> impl Strategy<Value = String> {
        let header = prop::sample::select(vec![
            "[default]",
            "[ default ]",
            "  [default]",
            "[entry work]",
            "[entry  work]",
            "[ entry work ]",
            "\t[entry work ]",
            "[entry other]",
            "[entry   other]",
        ]);
        let line = prop::sample::select(vec![
            "auto = on",
            "auto=off",
            " auto : on",
            "\tauto\t=\toff",
            "hold = 3d",
            "hold: 4d",
            "# auto = on",
            "; hold = 9d",
            "",
            "   ",
        ]);
        let section = (header, prop::collection::vec(line, 0..5));
        let end = prop::sample::select(vec!["\n", "\r\n"]);
        let mark = prop::sample::select(vec!["", "\u{feff}"]);
        (
            mark,
            prop::collection::vec(section, 0..5),
            end,
            any::<bool>(),
        )
            .prop_map(|(mark, sections, end, ended)| {
                let mut lines = Vec::new();
                for (header, body) in sections {
                    lines.push(header);
                    lines.extend(body);
                }
                let mut text = format!("{mark}{}", lines.join(end));
                if ended {
                    text.push_str(end);
                }
                text
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// What is edited is what the reader then reads, and nothing else has changed.
        #[test]
        fn the_editor_and_the_reader_agree(
            text in a_file(),
            entry in prop::sample::select(vec![None, Some("work"), Some("other"), Some("new")]),
            key in prop::sample::select(vec![Key::Auto, Key::Hold]),
            set in any::<bool>(),
        ) {
            let entry = entry.map(|name| name.parse::<EntryName>().unwrap());
            let before = Settings::parse("c".into(), &text);
            prop_assume!(before.mistakes.is_empty());
            let value = match key { Key::Auto => "on", _ => "7d" };
            let value = set.then_some(value);
            let edited = with_setting(&text, entry.as_ref(), key, value);
            let after = Settings::parse("c".into(), &edited);
            prop_assert!(after.mistakes.is_empty(), "{edited:?}");
            let mut wanted = before.clone();
            let section = match &entry {
                None => &mut wanted.default,
                Some(entry) => wanted.entries.entry(entry.clone()).or_default(),
            };
            match value {
                Some(value) => drop(section.insert(key, value.to_owned())),
                None => drop(section.remove(&key)),
            }
            wanted.entries.retain(|_, section| !section.is_empty());
            let mut found = after;
            found.entries.retain(|_, section| !section.is_empty());
            prop_assert_eq!(&found.default, &wanted.default, "{}", edited);
            prop_assert_eq!(&found.entries, &wanted.entries, "{}", edited);
        }
    }
}
