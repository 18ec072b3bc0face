//! The config and the credentials file together, as documents or as files on the disk:
//! what a profile has in either of them, and which profiles use awskeep. Pure.

use std::collections::BTreeSet;

use crate::error::{Error, Kind, Result};
use crate::profiles::command_line::parse_helper;
use crate::profiles::document::{Document, Property};
use crate::profiles::files::AwsFile;
use crate::profiles::lint::Checked;
use crate::types::keys::{EntryName, ProfileName};

/// Both files, as read at one moment.
#[derive(Debug, Clone, Copy)]
pub struct AwsFiles<F = AwsFile> {
    pub config: F,
    pub credentials: F,
}

/// Both documents, with what is wrong with each as a whole.
pub type CheckedFiles<'a> = AwsFiles<Checked<'a>>;

impl<F: AsRef<Document>> AwsFiles<F> {
    pub fn map<'a, T>(&'a self, make: impl Fn(&'a F) -> T) -> AwsFiles<T> {
        AwsFiles {
            config: make(&self.config),
            credentials: make(&self.credentials),
        }
    }

    pub fn documents(&self) -> AwsFiles<&Document> {
        self.map(F::as_ref)
    }

    pub fn checked(&self) -> AwsFiles<Checked<'_>> {
        self.map(|file| Checked::of(file.as_ref()))
    }

    /// The credentials file first, as SDKs prefer it.
    pub fn in_order(&self) -> [&F; 2] {
        [&self.credentials, &self.config]
    }

    /// The profile's property of this name, and the file that SDKs take it from.
    pub fn property(&self, profile: &str, key: &str) -> Option<(&Document, &Property)> {
        self.in_order().into_iter().find_map(|file| {
            let document = file.as_ref();
            Some((document, document.property(profile, key)?))
        })
    }

    /// All profiles' names, each once.
    pub fn profile_names(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let files = self.in_order().into_iter();
        let names = files.flat_map(|file| file.as_ref().profile_names());
        names.filter(|name| seen.insert(name.clone())).collect()
    }

    /// Whether a file has the profile.
    pub fn has(&self, profile: &str) -> bool {
        let mut files = self.in_order().into_iter();
        files.any(|file| !file.as_ref().sections_of(profile).is_empty())
    }

    /// # Errors
    /// `Kind::NotFound`, with this hint, if no file has the profile.
    pub fn refuse_unknown(&self, profile: &ProfileName, hint: &str) -> Result<()> {
        if self.has(profile.as_str()) {
            return Ok(());
        }
        Err(Error::new(Kind::NotFound, format!("there is no profile {profile}")).hint(hint))
    }

    /// The profile, and those that its `source_profile` leads through.
    pub fn chain(&self, profile: &str) -> Vec<String> {
        let mut chain = vec![profile.to_owned()];
        loop {
            let at = chain.last().map_or("", String::as_str);
            match self.property(at, "source_profile") {
                Some((_, source)) if !chain.contains(&source.value) => {
                    chain.push(source.value.to_string());
                }
                Some(_) | None => return chain,
            }
        }
    }

    /// The profiles, in either file, whose `source_profile` is this one; not itself.
    pub fn with_source(&self, profile: &ProfileName) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for document in [self.config.as_ref(), self.credentials.as_ref()] {
            for name in document.profile_names() {
                let source = document.property(&name, "source_profile");
                if source.is_some_and(|source| *source.value == profile.as_str())
                    && name != profile.as_str()
                    && !found.contains(&name)
                {
                    found.push(name);
                }
            }
        }
        found
    }

    /// The entry that a profile's own `credential_process` names.
    pub fn entry_of(&self, profile: &str) -> Option<EntryName> {
        let helper = |file: &F| {
            let process = file.as_ref().property(profile, "credential_process")?;
            parse_helper(&process.value)
        };
        let helper = self.in_order().into_iter().find_map(helper)?;
        Some(helper.entry)
    }

    /// For a role without a key of its own: the profile that its `source_profile` leads to,
    /// and the entry which that one uses.
    pub fn role_on(&self, profile: &str) -> Option<(String, EntryName)> {
        let chain = self.chain(profile).into_iter().skip(1);
        let mut with_entry = chain.map(|source| (self.entry_of(&source), source));
        with_entry.find_map(|(entry, source)| Some((source, entry?)))
    }

    /// The profiles that use an entry.
    pub fn using(&self, entry: &EntryName) -> Vec<ProfileName> {
        let names = self.profile_names().into_iter();
        let users = names.filter(|name| self.entry_of(name).as_ref() == Some(entry));
        users.filter_map(|name| name.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::FileKind;

    #[test]
    fn profiles_that_use_awskeep_are_found() {
        let config = "[default]\ncredential_process = /b/awskeep credential-process me\n\
            [profile other]\ncredential_process = /b/other me\n\
            [profile a]\nregion = x\ncredential_process=/b/awskeep credential-process a\n\
            [profile b]\ncredential_process=/b/awskeep credential-process me\n";
        let credentials = "[b]\ncredential_process=/b/awskeep credential-process a\n";
        let files = AwsFiles {
            config: &Document::parse(FileKind::Config, config),
            credentials: &Document::parse(FileKind::Credentials, credentials),
        };
        for (entry, expected) in [("me", &["default"][..]), ("a", &["b", "a"]), ("other", &[])] {
            let users = files.using(&entry.parse().unwrap());
            let users: Vec<&str> = users.iter().map(ProfileName::as_str).collect();
            assert_eq!(users, expected, "{entry}");
        }
    }
}
