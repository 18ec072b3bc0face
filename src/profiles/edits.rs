//! Edits of one AWS file: set and remove properties, for one profile or for many at
//! once. Pure: a document goes in, a new one comes out. All other lines stay byte for
//! byte. Every edit is refused, with file, line and mend, if SDKs would read the
//! section differently (`trouble`). What takes an access key out is `takes`.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::profiles::document::{BLANKS, Document, Property, Role, Section, is_identifier};
use crate::profiles::lint::{KEY_LINES, plain_header};
use crate::profiles::undo::{Edited, Splice, line_end_of, splice};
use crate::types::keys::{AccessKey, AccessKeyId, ProfileName, Secret};

/// The lines of an access key in one section of one file.
#[derive(Debug, Default)]
pub struct FoundKeys {
    /// As it is written; not checked to be an access key id, so it may be a secret
    /// in the wrong place.
    pub id: Option<Located<Secret>>,
    pub secret: Option<Located<Secret>>,
    pub token: Option<Located<Secret>>,
}

/// How long the secrets of AWS are.
const AWS_SECRET: usize = 40;

/// A value and its 1-based line.
#[derive(Debug, Clone)]
pub struct Located<T> {
    pub value: T,
    pub line: usize,
}

impl FoundKeys {
    pub fn is_none(&self) -> bool {
        self.id.is_none() && self.secret.is_none() && self.token.is_none()
    }

    /// The key id, if what stands there is one.
    pub fn key_id(&self) -> Option<AccessKeyId> {
        let id = self.id.as_ref()?;
        id.value.expose().parse().ok()
    }

    /// Whether the id is none of AWS's, nor one mistyped: MinIO and its like have users' own
    /// words there. A secret in the id's place, or the two the wrong way round, is neither.
    pub fn is_not_of_aws(&self) -> bool {
        let (Some(id), Some(secret)) = (&self.id, &self.secret) else {
            return false;
        };
        let is_of_aws = |text: &str| {
            let start = text
                .trim()
                .get(..4)
                .unwrap_or_default()
                .to_ascii_uppercase();
            ["AKIA", "ASIA"].contains(&start.as_str())
        };
        let id = id.value.expose().trim();
        !is_of_aws(id) && !is_of_aws(secret.value.expose()) && id.chars().count() != AWS_SECRET
    }

    /// The pair, if both halves are there and well formed. A token is not part of it.
    pub fn pair(&self) -> Option<AccessKey> {
        let (id, secret) = (self.id.as_ref()?, self.secret.as_ref()?);
        AccessKey::from_pasted(id.value.expose(), secret.value.expose()).ok()
    }
}

/// The keys that stand in this profile's section of this file.
pub fn keys_in(document: &Document, profile: &ProfileName) -> Result<FoundKeys> {
    document.refuse_trouble(profile)?;
    let Some(section) = document.section_of(profile) else {
        return Ok(FoundKeys::default());
    };
    let find = |key: &str| {
        section.get(key).map(|p| Located {
            value: Secret::new(p.value.to_string()),
            line: p.line,
        })
    };
    let [id, secret, token] = KEY_LINES.map(find);
    Ok(FoundKeys { id, secret, token })
}

/// Adds or replaces one property. A missing section is made at the end of the file.
/// Replacing keeps how the line is spaced; adding follows the line above.
pub fn set_property(
    document: &Document,
    profile: &ProfileName,
    key: &str,
    value: &str,
) -> Result<Edited> {
    let mut puts = Inserts::into(document);
    puts.set(profile, key, value)?;
    Ok(puts.done())
}

/// Properties of many profiles, put into one file in one pass.
pub struct Inserts<'a> {
    document: &'a Document,
    splices: Vec<Splice>,
    /// The sections to be made at the end of the file, with their lines.
    new: Vec<(ProfileName, Vec<Zeroizing<String>>)>,
}

impl<'a> Inserts<'a> {
    pub fn into(document: &'a Document) -> Inserts<'a> {
        Inserts {
            document,
            splices: Vec::new(),
            new: Vec::new(),
        }
    }

    /// As `set_property`; a refusal leaves what was put so far.
    pub fn set(&mut self, profile: &ProfileName, key: &str, value: &str) -> Result<()> {
        let document = self.document;
        document.refuse_trouble(profile)?;
        check_writable(key, value)?;
        let end = line_end_of(document);
        let Some(section) = document.section_of(profile) else {
            let line = Zeroizing::new(format!("{key} = {value}{end}"));
            match self.new.iter_mut().find(|(name, _)| name == profile) {
                Some((_, lines)) => lines.push(line),
                None => {
                    let header = plain_header(document.kind(), profile);
                    let header = Zeroizing::new(format!("{header}{end}"));
                    self.new.push((profile.clone(), vec![header, line]));
                }
            }
            return Ok(());
        };
        let Some(property) = section.get(key) else {
            let at = after_last_property(section);
            let equals = equals_like(document, section);
            let put = vec![Zeroizing::new(format!("{key}{equals}{value}{end}"))];
            self.splices.push(Splice { lines: at..at, put });
            return Ok(());
        };
        if *property.value == value {
            return Ok(());
        }
        let first = property.line - 1;
        self.splices.push(Splice {
            lines: first..first + 1,
            put: vec![replaced_line(document, property, value)],
        });
        let rest = property.continuations.iter().copied();
        self.splices.extend(remove_lines(rest));
        Ok(())
    }

    /// For a role profile whose `source_profile` is itself: makes `[profile X-base]` with
    /// this `credential_process`, and points `source_profile` to it. All else, role and
    /// region included, stays. Gives the new profile's name, which is free in both files.
    pub fn add_base_profile_for_self_reference(
        &mut self,
        credentials: &Document,
        profile: &ProfileName,
        command_line: &str,
    ) -> Result<ProfileName> {
        let config = self.document;
        config.refuse_trouble(profile)?;
        let section = config.section_of(profile);
        let get = |key: &str| section.and_then(|s| s.get(key)).map(|p| p.value.as_str());
        if get("role_arn").is_none() || get("source_profile") != Some(profile.as_str()) {
            let name = config.name();
            return Err(Error::new(
                Kind::Failed,
                format!("profile {profile} in {name} is not a role profile with itself as source"),
            )
            .hint(format!(
                "have role_arn and source_profile = {profile} both in {name}"
            )));
        }
        let base = self.free_name(credentials, profile);
        self.set(&base, "credential_process", command_line)?;
        self.set(profile, "source_profile", base.as_str())?;
        Ok(base)
    }

    fn free_name(&self, credentials: &Document, profile: &ProfileName) -> ProfileName {
        let taken = |name: &str| {
            let in_header = |s: &Section| {
                s.inner
                    .split(BLANKS)
                    .any(|word| word.trim_matches('"') == name)
            };
            [self.document, credentials]
                .into_iter()
                .flat_map(Document::sections)
                .any(in_header)
                || self.new.iter().any(|(new, _)| new.as_str() == name)
        };
        let mut name = format!("{profile}-base");
        let mut n = 2;
        while taken(&name) {
            name = format!("{profile}-base{n}");
            n += 1;
        }
        name.parse()
            .expect("a profile's name with letters added is one")
    }

    /// The new text, read once.
    pub fn done(mut self) -> Edited {
        let document = self.document;
        let mut put = Vec::new();
        let mut gap = document
            .lines
            .last()
            .is_some_and(|line| line.role != Role::Blank);
        for (_, lines) in self.new {
            if gap {
                put.push(Zeroizing::new(line_end_of(document).to_owned()));
            }
            put.extend(lines);
            gap = true;
        }
        // Stable: what was added at one place stays in its order.
        self.splices.sort_by_key(|splice| splice.lines.start);
        if !put.is_empty() {
            let at = document.lines.len();
            self.splices.push(Splice { lines: at..at, put });
        }
        splice(document, self.splices)
    }
}

/// Removes one property with its indented lines. Nothing happens if it is absent.
pub fn remove_property(document: &Document, profile: &ProfileName, key: &str) -> Result<Edited> {
    document.refuse_trouble(profile)?;
    let property = document.section_of(profile).and_then(|s| s.get(key));
    Ok(match property {
        Some(property) => splice(document, remove_lines(property.all_lines())),
        None => Edited::nothing(document),
    })
}

pub(super) fn check_writable(key: &str, value: &str) -> Result<()> {
    let odd = |c: char| c.is_control() || c == '\u{feff}';
    let cut = |c: char| c.is_whitespace();
    let comment = value.starts_with(['#', ';'])
        || value
            .split(cut)
            .skip(1)
            .any(|word| word.starts_with(['#', ';']));
    if value.is_empty() || value.contains(odd) || value.trim_matches(cut) != value || comment {
        return Err(Error::new(
            Kind::Usage,
            format!("the value for {key} cannot be written to an AWS file"),
        )
        .hint("no control characters, no blanks at the ends, no comment signs"));
    }
    if key.is_empty() || !is_identifier(key) || key.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(Error::new(Kind::Bug, format!("{key:?} is no key")));
    }
    Ok(())
}

fn after_last_property(section: &Section) -> usize {
    let last = section
        .properties
        .iter()
        .flat_map(Property::all_lines)
        .max();
    last.map_or(section.line, |index| index + 1)
}

/// How the section's last plain property writes its equals sign.
fn equals_like(document: &Document, section: &Section) -> &'static str {
    let plain = section.properties.iter().rfind(|p| !p.has_continuations());
    let tight = plain.is_some_and(|p| {
        let line = document.line_text(p.line - 1);
        line[p.written_key.len()..].starts_with('=') && !line.contains("= ")
    });
    if tight { "=" } else { " = " }
}

fn replaced_line(document: &Document, property: &Property, value: &str) -> Zeroizing<String> {
    let index = property.line - 1;
    let line_end = match document.line_end(index) {
        "" => line_end_of(document),
        end => end,
    };
    let before = &document.text()[document.lines[index].start..property.value_at.start];
    let gap = match before.strip_suffix('=') {
        Some(key) if key.ends_with(BLANKS) => " ",
        Some(_) | None => "",
    };
    Zeroizing::new(format!("{before}{gap}{value}{line_end}"))
}

/// Splices that remove these lines, given in order.
pub(super) fn remove_lines(lines: impl Iterator<Item = usize>) -> Vec<Splice> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some(last) if last.end == line => last.end = line + 1,
            Some(_) | None => ranges.push(line..line + 1),
        }
    }
    let splice = |lines| Splice {
        lines,
        put: Vec::new(),
    };
    ranges.into_iter().map(splice).collect()
}
