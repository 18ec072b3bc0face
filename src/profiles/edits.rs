//! Edits of one AWS file, for one profile or for many at once: set and remove properties,
//! take the lines of access keys out, and sections that became empty with them. Pure: a
//! document goes in, a new one comes out. All other lines stay byte for byte. Every edit
//! is refused, with file, line and fix, if SDKs would read the section differently (`lint`).

use std::collections::BTreeMap;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::profiles::command_line::parse_helper;
use crate::profiles::document::{BLANKS, Document, Property, Role, Section, is_identifier};
use crate::profiles::lint::{Checked, KEY_LINES, plain_header};
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
    /// Whatever stands there, in a section that SDKs may read differently.
    pub fn of(document: &Document, profile: &ProfileName) -> FoundKeys {
        let Some(section) = document.section_of(profile) else {
            return FoundKeys::default();
        };
        let find = |key: &str| {
            section.get(key).map(|p| Located {
                value: Secret::new(p.value.to_string()),
                line: p.line,
            })
        };
        let [id, secret, token] = KEY_LINES.map(find);
        FoundKeys { id, secret, token }
    }

    pub fn is_none(&self) -> bool {
        self.id.is_none() && self.secret.is_none() && self.token.is_none()
    }

    /// The 1-based lines of whatever is there.
    pub fn lines(&self) -> impl Iterator<Item = usize> {
        let all = [&self.id, &self.secret, &self.token].into_iter();
        all.flatten().map(|found| found.line)
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
pub fn keys_in(file: &Checked<'_>, profile: &ProfileName) -> Result<FoundKeys> {
    file.refuse_lints(profile)?;
    Ok(FoundKeys::of(file.document, profile))
}

/// Adds or replaces one property. A missing section is made at the end of the file.
/// Replacing keeps how the line is spaced; adding follows the line above.
pub fn set_property(
    document: &Document,
    profile: &ProfileName,
    key: &str,
    value: &str,
) -> Result<Edited> {
    let checked = Checked::of(document);
    let mut puts = Inserts::into(&checked);
    puts.set(profile, key, value)?;
    Ok(puts.done())
}

/// Properties of many profiles, put into one file in one pass.
pub struct Inserts<'a> {
    file: &'a Checked<'a>,
    splices: Vec<Splice>,
    /// The sections to be made at the end of the file, with their lines.
    new: Vec<(ProfileName, Vec<Zeroizing<String>>)>,
}

impl<'a> Inserts<'a> {
    pub fn into(file: &'a Checked<'a>) -> Inserts<'a> {
        Inserts {
            file,
            splices: Vec::new(),
            new: Vec::new(),
        }
    }

    /// As `set_property`; a refusal leaves what was put so far.
    pub fn set(&mut self, profile: &ProfileName, key: &str, value: &str) -> Result<()> {
        let document = self.file.document;
        self.file.refuse_lints(profile)?;
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
        let config = self.file.document;
        self.file.refuse_lints(profile)?;
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
            [self.file.document, credentials]
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
        let document = self.file.document;
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
    Checked::of(document).refuse_lints(profile)?;
    let property = document.section_of(profile).and_then(|s| s.get(key));
    Ok(match property {
        Some(property) => splice(document, remove_lines(property.all_lines())),
        None => Edited::nothing(document),
    })
}

/// Drops the profile's header if nothing is left below it. A comment keeps it: one
/// behind the header, directly above it, or below it; but a block directly above
/// the next header, with a blank line before it, belongs to that one.
pub fn drop_empty_section(document: &Document, profile: &ProfileName) -> Result<Edited> {
    let checked = Checked::of(document);
    let mut takes = Removals::from(&checked);
    takes.section_if_empty(profile)?;
    Ok(takes.done())
}

/// Lines of many profiles, taken out of one file in one pass.
pub struct Removals<'a> {
    file: &'a Checked<'a>,
    /// For each line whether it goes.
    gone: Vec<bool>,
    /// The sections to drop if nothing is left in them, by the line of the header.
    emptied: BTreeMap<usize, &'a Section>,
}

impl<'a> Removals<'a> {
    pub fn from(file: &'a Checked<'a>) -> Removals<'a> {
        Removals {
            file,
            gone: vec![false; file.document.lines.len()],
            emptied: BTreeMap::new(),
        }
    }

    /// Takes the lines of the profile's access key, whole: a blank or half a key left
    /// behind is used, or fails, in some SDKs. The section's header stays. Gives how many.
    pub fn keys(&mut self, profile: &ProfileName) -> Result<usize> {
        let found = keys_in(self.file, profile)?;
        let lines: Vec<usize> = found.lines().collect();
        lines.iter().for_each(|line| self.gone[line - 1] = true);
        Ok(lines.len())
    }

    /// As `drop_empty_section`, once all else is taken out.
    pub fn section_if_empty(&mut self, profile: &ProfileName) -> Result<()> {
        self.file.refuse_lints(profile)?;
        if let Some(section) = self.file.document.section_of(profile) {
            self.emptied.insert(section.line - 1, section);
        }
        Ok(())
    }

    /// The new text, read once.
    pub fn done(mut self) -> Edited {
        self.drop_emptied();
        let lines = (0..self.gone.len()).filter(|&line| self.gone[line]);
        splice(self.file.document, remove_lines(lines))
    }

    fn drop_emptied(&mut self) {
        let emptied = std::mem::take(&mut self.emptied);
        let (mut seen, mut line_above) = (0, None);
        for (header, section) in emptied {
            line_above = (seen..header)
                .rev()
                .find(|&line| !self.gone[line])
                .or(line_above);
            seen = header;
            let comment_above =
                line_above.is_some_and(|line: usize| self.role(line) == Role::Comment);
            if !comment_above && let Some(end) = self.end_if_empty(section) {
                self.gone[header..end].fill(true);
                if end == self.gone.len() {
                    self.take_blanks_above(header);
                }
            }
        }
    }

    /// Where the lines end that go with an empty section's header; none if it stays.
    fn end_if_empty(&self, section: &Section) -> Option<usize> {
        let stays = |line: usize| !self.gone[line];
        let header = section.line - 1;
        let comment_behind = !self
            .file
            .document
            .line_text(header)
            .trim_end_matches(BLANKS)
            .ends_with(']');
        let mut own_lines = section.properties.iter().flat_map(|p| p.all_lines());
        if comment_behind || own_lines.any(stays) {
            return None;
        }
        let below = header + 1..section.lines.end;
        let end = below
            .clone()
            .find(|&line| stays(line) && self.role(line) != Role::Blank)
            .unwrap_or(below.end);
        let has_gap = (below.start..end).any(stays);
        let is_comment = |line: usize| !stays(line) || self.role(line) == Role::Comment;
        let rest_is_for_next = end == below.end
            || has_gap && below.end < self.gone.len() && (end..below.end).all(is_comment);
        rest_is_for_next.then_some(end)
    }

    /// At the end of the file the blank lines above a section go too, else those below.
    fn take_blanks_above(&mut self, header: usize) {
        for line in (0..header).rev() {
            if !self.gone[line] && self.role(line) != Role::Blank {
                return;
            }
            self.gone[line] = true;
        }
    }

    fn role(&self, line: usize) -> Role {
        self.file.document.lines[line].role
    }
}

/// For `export`: writes the pair into the credentials file and takes our own
/// `credential_process` out of both files. Gives the edits of config and credentials.
pub fn put_keys(
    config: &Document,
    credentials: &Document,
    profile: &ProfileName,
    key: &AccessKey,
) -> Result<(Edited, Edited)> {
    let config = remove_own_process(config, profile)?;
    // Static keys left in the config file would be half-shadowed by what is written.
    if let Some(line) = keys_in(&Checked::of(&config.document), profile)?
        .lines()
        .next()
    {
        return Err(left_alone(&config.document, profile, line, "it has a key of its own there")
            .hint("remove the profile's aws_access_key_id, aws_secret_access_key and aws_session_token lines"));
    }
    let credentials = remove_own_process(credentials, profile)?;
    let [id_key, secret_key, token_key] = KEY_LINES;
    let document = &credentials.document;
    if let Some(token) = keys_in(&Checked::of(document), profile)?.token {
        return Err(
            left_alone(document, profile, token.line, "a session token is there")
                .hint(format!("remove the {token_key} line")),
        );
    }
    let pair = [(id_key, key.id.as_str()), (secret_key, key.secret.expose())];
    let credentials = credentials.then(|document| {
        let checked = Checked::of(document);
        let mut puts = Inserts::into(&checked);
        for (key, value) in pair {
            puts.set(profile, key, value)?;
        }
        Ok(puts.done())
    })?;
    Ok((config, credentials))
}

fn left_alone(document: &Document, profile: &ProfileName, line: usize, why: &str) -> Error {
    Error::new(Kind::Failed, format!("{}: {why}", document.place(line))).profile(profile)
}

fn remove_own_process(document: &Document, profile: &ProfileName) -> Result<Edited> {
    Checked::of(document).refuse_lints(profile)?;
    let process = document
        .section_of(profile)
        .and_then(|s| s.get("credential_process"));
    match process {
        None => Ok(Edited::nothing(document)),
        Some(process) if parse_helper(&process.value).is_some() => {
            remove_property(document, profile, "credential_process")
        }
        Some(process) => Err(left_alone(
            document,
            profile,
            process.line,
            "its credential_process is not awskeep's",
        )
        .hint("remove the line, or choose another profile")),
    }
}

fn check_writable(key: &str, value: &str) -> Result<()> {
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
        .hint("no control characters, no spaces at the ends, no comment signs"));
    }
    if key.is_empty() || !is_identifier(key) || key.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(Error::new(Kind::Bug, format!("{key:?} is not a key")));
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
fn remove_lines(lines: impl Iterator<Item = usize>) -> Vec<Splice> {
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
