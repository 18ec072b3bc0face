//! Finds properties and variables as one consumer sees them: which section counts,
//! which file wins, which keys are not seen. Pure.

use crate::profiles::document::{Document, Header, Property, Section};
use crate::resolve::consumers::{ConsumerRules, Where};
use crate::resolve::{Inputs, Location};

/// A property with the file that it is in.
pub(super) struct Hit<'a> {
    pub property: &'a Property,
    pub place: Location,
}

impl Hit<'_> {
    pub fn value(&self) -> &str {
        &self.property.value
    }
}

/// Inputs and rules of one consumer. How it chooses among what is found is `walk`'s.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a> {
    pub inputs: Inputs<'a>,
    /// Why this consumer cannot read one of the files at all.
    pub refused: Option<&'a String>,
    pub rules: &'static ConsumerRules,
}

impl<'a> Lookup<'a> {
    pub fn variable(&self, name: &str) -> Option<&'a str> {
        let value = self.inputs.env.get(name)?;
        Some(value.as_str()).filter(|v| !v.is_empty())
    }

    pub fn whole_pair(&self, name: &str) -> Option<Hit<'a>> {
        match self.pair(name, Where::Either) {
            [Some(id), Some(_)] => Some(id),
            _ => None,
        }
    }

    pub fn pair(&self, name: &str, place: Where) -> [Option<Hit<'a>>; 2] {
        ["aws_access_key_id", "aws_secret_access_key"].map(|key| self.find(name, key, place))
    }

    pub fn exists(&self, name: &str) -> bool {
        let there = |document| !self.sections(document, name).is_empty();
        there(self.inputs.files.config) || there(self.inputs.files.credentials)
    }

    pub fn sections(&self, document: &'a Document, name: &str) -> Vec<&'a Section> {
        if name != "default" || !self.rules.last_default_wins {
            return document.sections_of(name);
        }
        let default = |s: &&Section| matches!(s.header, Header::Default | Header::PrefixedDefault);
        document
            .sections()
            .iter()
            .rfind(default)
            .into_iter()
            .collect()
    }

    /// The credentials file's property wins over the config file's.
    pub fn find(&self, name: &str, key: &str, place: Where) -> Option<Hit<'a>> {
        let files: &[&'a Document] = match place {
            Where::Config => &[self.inputs.files.config],
            Where::Credentials => &[self.inputs.files.credentials],
            Where::Either => &[self.inputs.files.credentials, self.inputs.files.config],
        };
        files.iter().find_map(|file| self.find_in(file, name, key))
    }

    pub fn find_in(&self, file: &'a Document, name: &str, key: &str) -> Option<Hit<'a>> {
        let mut sections = self.sections(file, name);
        if sections.is_empty() {
            return None;
        }
        if self.rules.leaks_default_section {
            let leaking = file.sections().iter().filter(|s| s.inner == "DEFAULT");
            sections.splice(0..0, leaking);
        }
        let own = sections.into_iter().rev().find_map(|s| s.get(key));
        own.map(|property| Hit {
            property,
            place: Location::Line(file.name().to_owned(), property.line),
        })
    }
}
