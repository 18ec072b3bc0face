//! A second opinion before a file is replaced: reads the text with the AWS SDK's own
//! parser, and checks that an edit changed what it was meant to change and nothing
//! else. Does no I/O, but names `aws_runtime`, whose parser it is.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_runtime::env_config::section::EnvConfigSections;
use aws_runtime::env_config::source;
use aws_types::os_shim_internal::{Env, Fs};
use zeroize::Zeroizing;

use crate::profiles::document::{Document, FileKind};

/// Properties by profile, as the SDK reads them. Holds secrets.
pub type SdkProfiles = BTreeMap<String, BTreeMap<String, Zeroizing<String>>>;

/// One intended change of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The property is there now; its value is checked by whoever made the edit.
    Set { profile: String, key: String },
    /// The property is gone, or was never there.
    Removed { profile: String, key: String },
    /// The profile's section is gone, if nothing was left in it.
    Dropped { profile: String },
}

impl Change {
    pub fn set(profile: impl ToString, key: &str) -> Change {
        let (profile, key) = (profile.to_string(), key.to_owned());
        Change::Set { profile, key }
    }

    pub fn removed(profile: impl ToString, key: &str) -> Change {
        let (profile, key) = (profile.to_string(), key.to_owned());
        Change::Removed { profile, key }
    }

    pub fn dropped(profile: impl ToString) -> Change {
        let profile = profile.to_string();
        Change::Dropped { profile }
    }
}

/// Both files merged, as the Rust SDK reads them. The error names a line, never text.
pub fn read(config: &str, credentials: &str) -> Result<SdkProfiles, String> {
    let sections = parse(&[
        (FileKind::Config, config),
        (FileKind::Credentials, credentials),
    ])?;
    let keys = &candidate_keys(config) | &candidate_keys(credentials);
    Ok(profiles_of(&sections, &keys))
}

/// Checks the edit of one file: the new text must parse, and differ from the old one
/// by exactly these changes. The error names profile and key, never a value.
pub fn differs_by_exactly(
    kind: FileKind,
    old: &str,
    new: &str,
    changes: &[Change],
) -> Result<(), String> {
    let (old, unreadable_before) = readable(kind, old);
    let (new, unreadable_after) = readable(kind, new);
    if unreadable_before != unreadable_after {
        return Err("a section that the SDK does not read would change".to_owned());
    }
    let (old, new) = (old.as_str(), new.as_str());
    let before = parse(&[(kind, old)])?;
    let after = parse(&[(kind, new)])?;
    let keys = &candidate_keys(old) | &candidate_keys(new);
    if before.other_sections() != after.other_sections()
        || sso_sessions_of(&before, &keys) != sso_sessions_of(&after, &keys)
    {
        return Err("a section that is not a profile's would change".to_owned());
    }
    let mut expected = profiles_of(&before, &keys);
    let got = profiles_of(&after, &keys);
    for change in changes {
        expect_change(change, &mut expected, &got)?;
    }
    same_profiles(&expected, &got)
}

/// The text without the sections for which the SDK would refuse all of it, and those. Blank
/// lines below a section are not its own, and its last line may get a line end.
fn readable(kind: FileKind, text: &str) -> (Zeroizing<String>, Vec<Zeroizing<String>>) {
    let document = Document::parse(kind, text);
    let mut readable = Zeroizing::new(String::with_capacity(text.len()));
    let first = document.sections().first();
    let above = 0..first.map_or(document.lines.len(), |section| section.lines.start);
    above.for_each(|index| readable.push_str(document.whole_line(index)));
    let mut odd = Vec::new();
    for section in document.sections() {
        let lines = section
            .lines
            .clone()
            .map(|index| document.whole_line(index));
        if document.is_unreadable(section) {
            let text = Zeroizing::new(lines.collect::<String>());
            odd.push(Zeroizing::new(text.trim_end().to_owned()));
        } else {
            lines.for_each(|line| readable.push_str(line));
        }
    }
    (readable, odd)
}

fn expect_change(
    change: &Change,
    expected: &mut SdkProfiles,
    got: &SdkProfiles,
) -> Result<(), String> {
    match change {
        Change::Set { profile, key } => {
            let value = got.get(profile).and_then(|p| p.get(key));
            let Some(value) = value else {
                return Err(format!("{key} of profile {profile} would not be there"));
            };
            let properties = expected.entry(profile.clone()).or_default();
            properties.insert(key.clone(), value.clone());
        }
        Change::Removed { profile, key } => {
            if let Some(properties) = expected.get_mut(profile) {
                properties.remove(key);
            }
        }
        Change::Dropped { profile } => {
            let empty = expected.get(profile).is_some_and(BTreeMap::is_empty);
            if empty && !got.contains_key(profile) {
                expected.remove(profile);
            }
        }
    }
    Ok(())
}

fn same_profiles(expected: &SdkProfiles, got: &SdkProfiles) -> Result<(), String> {
    if let Some(name) = expected.keys().find(|name| !got.contains_key(*name)) {
        return Err(format!("profile {name} would be gone"));
    }
    for (name, properties) in got {
        let Some(wanted) = expected.get(name) else {
            return Err(format!("a profile {name} would appear"));
        };
        let keys: BTreeSet<&String> = wanted.keys().chain(properties.keys()).collect();
        let other = keys
            .into_iter()
            .find(|key| wanted.get(*key) != properties.get(*key));
        if let Some(key) = other {
            return Err(format!("{key} of profile {name} would change"));
        }
    }
    Ok(())
}

fn parse(files: &[(FileKind, &str)]) -> Result<EnvConfigSections, String> {
    let mut builder = EnvConfigFiles::builder();
    for (kind, text) in files {
        let kind = match kind {
            FileKind::Config => EnvConfigFileKind::Config,
            FileKind::Credentials => EnvConfigFileKind::Credentials,
        };
        builder = builder.with_contents(kind, *text);
    }
    let files = builder.build();
    // An empty environment and file system: the texts above are all there is.
    let (env, fs) = (Env::from_slice(&[]), Fs::from_slice(&[]));
    let mut loading = pin!(source::load(&env, &fs, &files));
    let Poll::Ready(source) = loading
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    else {
        return Err("the SDK's reader waits for something".to_owned());
    };
    let source = source.map_err(|e| e.to_string())?;
    EnvConfigSections::parse(source).map_err(|e| e.to_string())
}

/// Every key that a parser can find in this text: what stands before an equals sign.
/// The SDK's types give values by key only.
fn candidate_keys(text: &str) -> BTreeSet<String> {
    let key = |line: &str| Some(line.split_once('=')?.0.trim().to_ascii_lowercase());
    text.lines().filter_map(key).collect()
}

fn profiles_of(sections: &EnvConfigSections, keys: &BTreeSet<String>) -> SdkProfiles {
    let profiles = sections.profiles().map(|name| {
        let profile = sections.get_profile(name);
        let get = |key: &str| profile.and_then(|p| p.get(key));
        (name.to_owned(), values_of(keys, get))
    });
    profiles.collect()
}

fn sso_sessions_of(sections: &EnvConfigSections, keys: &BTreeSet<String>) -> SdkProfiles {
    let sessions = sections.sso_sessions().map(|name| {
        let session = sections.sso_session(name);
        let get = |key: &str| session.and_then(|s| s.get(key));
        (name.to_owned(), values_of(keys, get))
    });
    sessions.collect()
}

fn values_of<'a>(
    keys: &BTreeSet<String>,
    get: impl Fn(&str) -> Option<&'a str>,
) -> BTreeMap<String, Zeroizing<String>> {
    let value = |key: &String| Some((key.clone(), Zeroizing::new(get(key)?.to_owned())));
    keys.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, changes: &[Change], expected: Result<(), &str>) {
        let got = differs_by_exactly(FileKind::Config, old, new, changes);
        assert_eq!(
            got.as_ref().map_err(|e| e.as_str()).copied(),
            expected,
            "{old:?} {new:?}"
        );
    }

    #[test]
    fn only_the_intended_change_passes() {
        let old =
            "[profile p]\na = s3cret\nb = 2\n[sso-session s]\nx = 1\n[services v]\ns3 =\n  y = 1\n";
        let without = old.replace("a = s3cret\n", "");
        let set = old.replace("b = 2", "b = 3");
        for (new, changes, expected) in [
            (old, vec![], Ok(())),
            (&without, vec![Change::removed("p", "a")], Ok(())),
            (&without, vec![], Err("a of profile p would change")),
            (&set, vec![Change::set("p", "b")], Ok(())),
            (&set, vec![], Err("b of profile p would change")),
            (
                old,
                vec![Change::removed("p", "a")],
                Err("a of profile p would change"),
            ),
            (
                &old.replace("x = 1", "x = 2"),
                vec![],
                Err("a section that is not a profile's would change"),
            ),
            (
                &old.replace("y = 1", "y = 2"),
                vec![],
                Err("a section that is not a profile's would change"),
            ),
            (
                &format!("{old}[profile q]\n"),
                vec![],
                Err("a profile q would appear"),
            ),
            (
                &format!("{old}[profile q]\nc=1\n"),
                vec![Change::set("q", "c")],
                Ok(()),
            ),
            (
                old,
                vec![Change::set("q", "c")],
                Err("c of profile q would not be there"),
            ),
        ] {
            check(old, new, &changes, expected);
        }
        check("[profile p]\n", "", &[Change::dropped("p")], Ok(()));
        check("[profile p]\n", "", &[], Err("profile p would be gone"));
        check(
            "[profile p]\na=1\n",
            "",
            &[Change::dropped("p")],
            Err("profile p would be gone"),
        );
    }

    #[test]
    fn what_the_sdk_cannot_read_is_an_error_without_text() {
        for bad in [
            "[p]\ns3cret\n",
            "\u{feff}[profile p]\n",
            "[profile p]\na = b\n[profile q\n",
        ] {
            let error = differs_by_exactly(FileKind::Config, "", bad, &[]).unwrap_err();
            assert!(
                error.contains("line") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_section_that_the_sdk_does_not_read_stays_and_the_others_may_change() {
        let odd = "[profile o]\n  a = s3cret\n[profile c]\na: s3cret";
        let old = format!("[profile p]\na = 1\n{odd}");
        let unread = Err("a section that the SDK does not read would change");
        for (new, changes, expected) in [
            (
                old.replace("a = 1", "a = 2"),
                vec![Change::set("p", "a")],
                Ok(()),
            ),
            (
                old.replace("a = 1", "a = 2"),
                vec![],
                Err("a of profile p would change"),
            ),
            (
                format!("{old}\n\n[profile q]\nc=1"),
                vec![Change::set("q", "c")],
                Ok(()),
            ),
            (old.replace("  a", " a"), vec![], unread),
            (old.replace("[profile o]", "[profile x]"), vec![], unread),
            ("[profile p]\na = 1\n".to_owned(), vec![], unread),
        ] {
            check(&old, &new, &changes, expected);
        }
    }

    #[test]
    fn both_files_are_merged_as_the_sdk_does() {
        let read = read("[profile p]\na = 1\nb = 1\n", "[p]\nb = 2\n").unwrap();
        let p: Vec<_> = read["p"]
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(p, [("a", "1"), ("b", "2")]);
    }
}
