//! Changing the settings file line by line, so that the rest stays as a person wrote
//! it. Edge: writes one small file.

use std::path::Path;

use super::{Key, read};
use crate::disk;
use crate::failure::{Failure, Kind, Outcome};
use crate::keys::EntryName;

/// Changes one setting in the file's text, or takes it out; the rest stays, comments
/// too, which rust-ini would not keep.
pub fn with_setting(
    text: &str,
    entry: Option<&EntryName>,
    key: Key,
    value: Option<&str>,
) -> String {
    let header = entry.map_or("[default]".to_owned(), |entry| format!("[entry {entry}]"));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let start = lines.iter().position(|line| line.trim() == header);
    let Some(start) = start else {
        let Some(value) = value else {
            return text.to_owned();
        };
        if lines.last().is_some_and(|line| !line.trim().is_empty()) {
            lines.push(String::new());
        }
        lines.push(header);
        lines.push(format!("{key} = {value}"));
        return joined(&lines);
    };
    let end = (start + 1..lines.len())
        .find(|n| lines[*n].trim_start().starts_with('['))
        .unwrap_or(lines.len());
    let is_it = |line: &String| {
        line.split_once('=')
            .is_some_and(|(name, _)| name.trim() == key.name())
    };
    let there = (start + 1..end).find(|n| is_it(&lines[*n]));
    match (there, value) {
        (Some(n), Some(value)) => lines[n] = format!("{key} = {value}"),
        (Some(n), None) => drop(lines.remove(n)),
        (None, Some(value)) => {
            let after = (start..end)
                .rev()
                .find(|n| !lines[*n].trim().is_empty())
                .unwrap_or(start);
            lines.insert(after + 1, format!("{key} = {value}"));
        }
        (None, None) => {}
    }
    joined(&lines)
}

/// Gives an entry's section its new name.
pub fn with_section_renamed(text: &str, old: &EntryName, new: &EntryName) -> String {
    let header = format!("[entry {old}]");
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            if line.trim() == header {
                format!("[entry {new}]")
            } else {
                line.to_owned()
            }
        })
        .collect();
    joined(&lines)
}

/// Changes the settings file's text; the caller holds the names lock.
///
/// # Errors
/// `Kind::Failed` if somebody else can write it, or if it cannot be written.
pub fn edit(path: &Path, change: impl FnOnce(&str) -> String) -> Outcome<()> {
    let text = change(&read(path)?);
    if let Some(open) = disk::others_can_write(path)? {
        return Err(Failure::new(
            Kind::Failed,
            format!("{} can be written by others", open.display()),
        )
        .hint(format!("chmod go-w {}", disk::argument(&open))));
    }
    if let Some(folder) = path.parent() {
        disk::private_dir(folder)?;
    }
    disk::write_atomic(path, text.as_bytes(), 0o600)
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
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
}
