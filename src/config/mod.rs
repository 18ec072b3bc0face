//! The settings file, its `AWSKEEP_…` twins, and what applies to an entry. Edge
//! (reads one small file).
//!
//! The file has the AWS files' own form: `[default]` and `[entry NAME]` sections.
//! A variable outranks the entry's section, which outranks `[default]`. Commands
//! refuse a file with mistakes in it; the helper only refuses mistakes in what it
//! needs (`store`, `deadline`), so that a typo elsewhere stops nobody's work.

mod editing;
mod key;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ini::{Ini, ParseOption};

use crate::error::{Error, Kind, Result};
use crate::system::disk;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::types::lease::Auto;
use crate::types::store_kind::StoreKind;
use crate::types::time::Span;

pub use editing::{edit, with_section_renamed, with_setting};
pub use key::Key;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Variable(String),
    Entry,
    Default,
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Variable(name) => write!(f, "{name}"),
            Origin::Entry => write!(f, "entry"),
            Origin::Default => write!(f, "default"),
            Origin::BuiltIn => write!(f, "built-in"),
        }
    }
}

/// What the file and the environment say.
#[derive(Debug, Clone)]
pub struct Settings {
    pub path: PathBuf,
    default: BTreeMap<Key, String>,
    entries: BTreeMap<EntryName, BTreeMap<Key, String>>,
    variables: BTreeMap<Key, String>,
    mistakes: Vec<Error>,
}

impl Settings {
    /// Reads the file, which may be missing.
    ///
    /// # Errors
    /// `Kind::Failed` if the file is there but cannot be read. Mistakes inside are
    /// kept for `refuse_mistakes`.
    pub fn load(env: &Env) -> Result<Settings> {
        // Without a home there is no settings file; what is built in still works.
        let path = env.settings_file().unwrap_or_default();
        let text = read(&path)?;
        let mut settings = Settings::parse(path, &text);
        for key in Key::ALL {
            let value = key
                .variable()
                .and_then(|name| env.var(&name).map(str::to_owned));
            if let Some(value) = value {
                settings.variables.insert(key, value);
            }
        }
        Ok(settings)
    }

    fn parse(path: PathBuf, text: &str) -> Settings {
        let mut settings = Settings {
            path,
            default: BTreeMap::new(),
            entries: BTreeMap::new(),
            variables: BTreeMap::new(),
            mistakes: Vec::new(),
        };
        match ini(text) {
            Ok(file) => settings.take_sections(&file),
            Err(error) => settings.mistake(Error::new(
                Kind::Usage,
                format!("line {}: {}", error.line + 1, error.msg),
            )),
        }
        settings
    }

    /// # Errors
    /// The first mistake in the file or in a variable, naming the place.
    pub fn refuse_mistakes(&self) -> Result<()> {
        if let Some(first) = self.mistakes.first() {
            return Err(first.clone());
        }
        for (key, value) in &self.variables {
            key.check(value).map_err(|failure| Error {
                message: format!(
                    "{}: {}",
                    key.variable().unwrap_or_default(),
                    failure.message
                ),
                ..failure
            })?;
        }
        Ok(())
    }

    /// The value that applies, and where it came from; none only for a setting
    /// without a built-in value.
    pub fn value(&self, key: Key, entry: Option<&EntryName>) -> Option<(String, Origin)> {
        if let Some(value) = self.variables.get(&key) {
            return Some((value.clone(), Origin::Variable(key.variable()?)));
        }
        let of_entry = entry.and_then(|entry| self.entries.get(entry)?.get(&key));
        of_entry
            .map(|value| (value.clone(), Origin::Entry))
            .or_else(|| Some((self.default.get(&key)?.clone(), Origin::Default)))
            .or_else(|| Some((key.built_in()?, Origin::BuiltIn)))
    }

    /// The store that an entry is kept in, or that a new one goes to.
    pub fn store(&self, entry: Option<&EntryName>) -> Result<StoreKind> {
        self.text(Key::Store, entry)?.parse()
    }

    /// Whether somebody chose a store, rather than leaving it to us.
    pub fn store_is_chosen(&self, entry: Option<&EntryName>) -> bool {
        !matches!(
            self.value(Key::Store, entry),
            Some((_, Origin::BuiltIn)) | None
        )
    }

    /// The bound on the helper's whole run, and on each call to a store elsewhere.
    pub fn deadline(&self) -> Result<Duration> {
        let text = self.text(Key::Deadline, None)?;
        Key::Deadline.check(&text)?;
        Ok(key::parse_deadline(&text).unwrap_or(Duration::from_millis(2_500)))
    }

    /// Whether an entry's key may be replaced without a person.
    ///
    /// # Errors
    /// `Kind::Usage` if the value has another form.
    pub fn auto(&self, entry: Option<&EntryName>) -> Result<Auto> {
        let text = self.text(Key::Auto, entry)?;
        Key::Auto.check(&text)?;
        Ok(if text == "on" { Auto::On } else { Auto::Off })
    }

    /// A length that applies to an entry.
    ///
    /// # Errors
    /// `Kind::Usage` if the value has another form.
    pub fn length(&self, key: Key, entry: Option<&EntryName>) -> Result<Span> {
        let text = self.text(key, entry)?;
        key.check(&text)?;
        Ok(Span::parse(&text).unwrap_or(Span::LONGEST))
    }

    /// The entries that have a section of their own.
    pub fn sections(&self) -> impl Iterator<Item = &EntryName> {
        self.entries.keys()
    }

    fn text(&self, key: Key, entry: Option<&EntryName>) -> Result<String> {
        self.value(key, entry)
            .map(|(text, _)| text)
            .ok_or_else(|| Error::new(Kind::Bug, format!("{key} has no value")))
    }

    fn take_sections(&mut self, file: &Ini) {
        for (header, properties) in file.iter() {
            let entry = match header {
                None if properties.is_empty() => continue,
                None => {
                    self.mistake(
                        Error::new(Kind::Usage, "a setting comes before the first section")
                            .hint("put [default] above it"),
                    );
                    continue;
                }
                Some("default") => None,
                Some(header) => match entry_of(header) {
                    Some(Ok(name)) => Some(name),
                    Some(Err(failure)) => {
                        self.mistake(failure);
                        continue;
                    }
                    None => {
                        self.mistake(
                            Error::new(
                                Kind::Usage,
                                format!("[{header}] is not a section awskeep knows"),
                            )
                            .hint("sections are [default] and [entry NAME]"),
                        );
                        continue;
                    }
                },
            };
            for (name, value) in properties.iter() {
                self.take(entry.as_ref(), name, value);
            }
        }
    }

    fn take(&mut self, entry: Option<&EntryName>, name: &str, value: &str) {
        let checked = name
            .parse::<Key>()
            .and_then(|key| key.check(value).map(|()| key));
        match checked {
            Ok(key) => {
                let section = match entry {
                    Some(entry) => self.entries.entry(entry.clone()).or_default(),
                    None => &mut self.default,
                };
                section.insert(key, value.to_owned());
            }
            Err(failure) => {
                // What the helper needs is kept even if wrong, so that it is refused there too.
                if let (Ok(key @ (Key::Store | Key::Deadline)), None) = (name.parse::<Key>(), entry)
                {
                    self.default.insert(key, value.to_owned());
                }
                let place =
                    entry.map_or("[default]".to_owned(), |entry| format!("[entry {entry}]"));
                self.mistake(Error {
                    message: format!("{place}: {}", failure.message),
                    ..failure
                });
            }
        }
    }

    fn mistake(&mut self, failure: Error) {
        self.mistakes.push(Error {
            message: format!("{}: {}", self.path.display(), failure.message),
            ..failure
        });
    }
}

/// The file's sections and settings.
fn ini(text: &str) -> Result<Ini, ini::ParseError> {
    let options = ParseOption {
        enabled_quote: false,
        enabled_escape: false,
        ..ParseOption::default()
    };
    // rust-ini would take a byte order mark for part of the first header.
    Ini::load_from_str_opt(text.trim_start_matches('\u{feff}'), options)
}

/// The entry that a header names; none if it is of another kind.
fn entry_of(header: &str) -> Option<Result<EntryName>> {
    let name = header.strip_prefix("entry ")?;
    Some(name.trim().parse::<EntryName>())
}

/// The file's text; nothing if it is missing.
fn read(path: &Path) -> Result<String> {
    match disk::read_regular(path, disk::MOST_TEXT).and_then(disk::text_of) {
        Ok(mut text) => Ok(std::mem::take(&mut *text)),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(String::new())
        }
        Err(error) => {
            Err(Error::new(Kind::Failed, format!("{} cannot be read", path.display())).cause(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Settings {
        Settings::parse("/c/awskeep/config".into(), text)
    }

    fn work() -> EntryName {
        "work".parse().unwrap()
    }

    #[test]
    fn an_entry_outranks_the_default() {
        let settings = parsed(
            "# mine\n[default]\nmax_age = 30d\nstore=file\n\n[entry work]\nmax_age = never\n",
        );
        settings.refuse_mistakes().unwrap();
        let value = |key, entry: Option<&EntryName>| settings.value(key, entry).unwrap();
        assert_eq!(value(Key::MaxAge, None), ("30d".into(), Origin::Default));
        assert_eq!(
            value(Key::MaxAge, Some(&work())),
            ("never".into(), Origin::Entry)
        );
        assert_eq!(
            value(Key::Hold, Some(&work())),
            ("14d".into(), Origin::BuiltIn)
        );
        assert_eq!(settings.store(Some(&work())).unwrap(), StoreKind::File);
    }

    #[test]
    fn mistakes_name_the_place_and_the_mend() {
        for (text, message, hint) in [
            (
                "[default]\nmax_agee = 1d\n",
                "/c/awskeep/config: [default]: there is no setting \"max_agee\"",
                "did you mean max_age? all of them: awskeep config",
            ),
            (
                "[entry work]\nauto = yes\n",
                "/c/awskeep/config: [entry work]: auto = \"yes\" cannot be",
                "auto takes on or off",
            ),
            (
                "[profile work]\n",
                "/c/awskeep/config: [profile work] is not a section awskeep knows",
                "sections are [default] and [entry NAME]",
            ),
            (
                "auto = on\n",
                "/c/awskeep/config: a setting comes before the first section",
                "put [default] above it",
            ),
        ] {
            let failure = parsed(text).refuse_mistakes().unwrap_err();
            assert_eq!(
                (failure.message.as_str(), failure.hints[0].as_str()),
                (message, hint),
                "{text}"
            );
            assert_eq!(failure.kind, Kind::Usage);
        }
    }

    #[test]
    fn the_helper_refuses_only_what_it_needs() {
        let settings = parsed("[default]\nauto = maybe\ndeadline = 1s\n");
        assert_eq!(settings.deadline().unwrap(), Duration::from_secs(1));
        assert_eq!(
            parsed("[default]\nstore = vault\n")
                .store(None)
                .unwrap_err()
                .kind,
            Kind::Usage
        );
    }
}
