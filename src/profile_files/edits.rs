//! Edits of one AWS file: set and remove a property, take out the lines of an
//! access key, drop a section that became empty. Pure: a document goes in, a new
//! one comes out. All other lines stay byte for byte. Every edit is refused, with
//! file, line and mend, if SDKs would read the section differently (`trouble`).

use std::ops::Range;

use zeroize::Zeroizing;

use super::document::{BLANKS, Document, Property, Role, Section, is_identifier};
use super::trouble::{KEY_LINES, plain_header};
use super::undo::{Edited, Splice, line_end_of, splice};
use crate::failure::{Failure, Kind, Outcome};
use crate::keys::{AccessKey, AccessKeyId, ProfileName, SecretKey};

/// The lines of an access key in one section of one file.
#[derive(Debug, Clone, Default)]
pub struct FoundKeys {
    /// As it is written; not checked to be an access key id, so it may be a secret
    /// in the wrong place.
    pub id: Option<Found<SecretKey>>,
    pub secret: Option<Found<SecretKey>>,
    pub token: Option<Found<SecretKey>>,
}

/// A value and its 1-based line.
#[derive(Debug, Clone)]
pub struct Found<T> {
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

    /// The pair, if both halves are there and well formed. A token is not part of it.
    pub fn pair(&self) -> Option<AccessKey> {
        let (id, secret) = (self.id.as_ref()?, self.secret.as_ref()?);
        AccessKey::from_pasted(id.value.expose(), secret.value.expose()).ok()
    }
}

/// What `take_out_keys` did.
#[derive(Debug, Clone)]
pub struct TakenOut {
    pub edited: Edited,
    /// The lines that are gone, in the numbers of the old text.
    pub removed: Vec<RemovedLine>,
}

/// A line that was taken out; never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedLine {
    /// 1-based line of the old text.
    pub line: usize,
    /// One of `KEY_LINES`.
    pub key: &'static str,
    /// The key id of the section, when it is well formed.
    pub key_id: Option<AccessKeyId>,
}

/// The keys that stand in this profile's section of this file.
pub fn keys_in(document: &Document, profile: &ProfileName) -> Outcome<FoundKeys> {
    document.refuse_trouble(profile)?;
    let Some(section) = document.section_of(profile) else {
        return Ok(FoundKeys::default());
    };
    let find = |key: &str| {
        section.get(key).map(|p| Found {
            value: SecretKey::new(p.value.to_string()),
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
) -> Outcome<Edited> {
    document.refuse_trouble(profile)?;
    check_writable(key, value)?;
    let Some(section) = document.section_of(profile) else {
        return Ok(new_section(document, profile, &[(key, value)]));
    };
    let end = line_end_of(document);
    let Some(property) = section.get(key) else {
        let at = after_last_property(section);
        let equals = equals_like(document, section);
        let put = vec![Zeroizing::new(format!("{key}{equals}{value}{end}"))];
        return Ok(splice(document, vec![Splice { lines: at..at, put }]));
    };
    if *property.value == value {
        return Ok(Edited::nothing(document));
    }
    let put = replaced_line(document, property, value);
    let mut splices = remove_lines(property.continuations.iter().copied());
    let first = property.line - 1;
    let lines = first..first + 1;
    splices.insert(
        0,
        Splice {
            lines,
            put: vec![put],
        },
    );
    Ok(splice(document, splices))
}

/// Removes one property with its indented lines. Nothing happens if it is absent.
pub fn remove_property(document: &Document, profile: &ProfileName, key: &str) -> Outcome<Edited> {
    document.refuse_trouble(profile)?;
    let property = document.section_of(profile).and_then(|s| s.get(key));
    Ok(match property {
        Some(property) => splice(document, remove_lines(property.all_lines())),
        None => Edited::nothing(document),
    })
}

/// Removes the lines of the profile's access key, whole: a blank or half a key left
/// behind is used, or fails, in some SDKs. The section's header stays.
pub fn take_out_keys(document: &Document, profile: &ProfileName) -> Outcome<TakenOut> {
    let found = keys_in(document, profile)?;
    let key_id = found.key_id();
    let Some(section) = document.section_of(profile) else {
        return Ok(TakenOut {
            edited: Edited::nothing(document),
            removed: Vec::new(),
        });
    };
    let mut removed: Vec<RemovedLine> = Vec::new();
    for key in KEY_LINES {
        removed.extend(section.get(key).map(|property| RemovedLine {
            line: property.line,
            key,
            key_id: key_id.clone(),
        }));
    }
    removed.sort_by_key(|r| r.line);
    let lines = removed.iter().map(|r| r.line - 1);
    Ok(TakenOut {
        edited: splice(document, remove_lines(lines)),
        removed,
    })
}

/// Drops the profile's header if nothing is left below it. A comment keeps it: one
/// behind the header, directly above it, or below it; but a block directly above
/// the next header, with a blank line before it, belongs to that one.
pub fn drop_empty_section(document: &Document, profile: &ProfileName) -> Outcome<Edited> {
    document.refuse_trouble(profile)?;
    let Some(section) = document.section_of(profile) else {
        return Ok(Edited::nothing(document));
    };
    let header = section.line - 1;
    let role = |index: usize| document.lines[index].role;
    let comment_above = header > 0 && role(header - 1) == Role::Comment;
    let comment_behind = !document
        .line_text(header)
        .trim_end_matches(BLANKS)
        .ends_with(']');
    if !section.properties.is_empty() || comment_above || comment_behind {
        return Ok(Edited::nothing(document));
    }
    let below = section.lines.start + 1..section.lines.end;
    let own_end = below
        .clone()
        .find(|&i| role(i) != Role::Blank)
        .unwrap_or(below.end);
    let rest_is_for_next = own_end == below.end
        || own_end > below.start
            && below.end < document.lines.len()
            && (own_end..below.end).all(|i| role(i) == Role::Comment);
    if !rest_is_for_next {
        return Ok(Edited::nothing(document));
    }
    // At the end of the file the blank lines above go too, else those below.
    let mut start = header;
    if own_end == document.lines.len() {
        while start > 0 && role(start - 1) == Role::Blank {
            start -= 1;
        }
    }
    let put = Vec::new();
    let lines = start..own_end;
    Ok(splice(document, vec![Splice { lines, put }]))
}

/// For a role profile whose `source_profile` is itself: makes `[profile X-base]` with
/// this `credential_process`, and points `source_profile` to it. All else, role and
/// region included, stays. Gives the new profile's name too; it is free in both files.
pub fn add_base_profile_for_self_reference(
    config: &Document,
    credentials: &Document,
    profile: &ProfileName,
    command_line: &str,
) -> Outcome<(Edited, ProfileName)> {
    config.refuse_trouble(profile)?;
    let section = config.section_of(profile);
    let get = |key: &str| section.and_then(|s| s.get(key)).map(|p| p.value.as_str());
    if get("role_arn").is_none() || get("source_profile") != Some(profile.as_str()) {
        let name = config.name();
        return Err(Failure::new(
            Kind::Failed,
            format!("profile {profile} in {name} is not a role profile with itself as source"),
        )
        .hint(format!(
            "have role_arn and source_profile = {profile} both in {name}"
        )));
    }
    let base = free_name(config, credentials, profile);
    let edited = set_property(config, profile, "source_profile", base.as_str())?
        .then(|config| set_property(config, &base, "credential_process", command_line))?;
    Ok((edited, base))
}

fn free_name(config: &Document, credentials: &Document, profile: &ProfileName) -> ProfileName {
    let taken = |name: &str| {
        [config, credentials]
            .into_iter()
            .flat_map(Document::sections)
            .any(|s| {
                s.inner
                    .split(BLANKS)
                    .any(|word| word.trim_matches('"') == name)
            })
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

pub(super) fn check_writable(key: &str, value: &str) -> Outcome<()> {
    let odd = |c: char| c.is_control() || c == '\u{feff}';
    let cut = |c: char| c.is_whitespace();
    let comment = value.starts_with(['#', ';'])
        || value
            .split(cut)
            .skip(1)
            .any(|word| word.starts_with(['#', ';']));
    if value.is_empty() || value.contains(odd) || value.trim_matches(cut) != value || comment {
        return Err(Failure::new(
            Kind::Usage,
            format!("the value for {key} cannot be written to an AWS file"),
        )
        .hint("no control characters, no blanks at the ends, no comment signs"));
    }
    if key.is_empty() || !is_identifier(key) || key.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(Failure::new(Kind::Bug, format!("{key:?} is no key")));
    }
    Ok(())
}

pub(super) fn new_section(
    document: &Document,
    profile: &ProfileName,
    pairs: &[(&str, &str)],
) -> Edited {
    let end = line_end_of(document);
    let last = document.lines.last();
    let mut put = Vec::new();
    if last.is_some_and(|line| line.role != Role::Blank) {
        put.push(Zeroizing::new(end.to_owned()));
    }
    let header = plain_header(document.kind(), profile);
    put.push(Zeroizing::new(format!("{header}{end}")));
    for (key, value) in pairs {
        put.push(Zeroizing::new(format!("{key} = {value}{end}")));
    }
    let at = document.lines.len();
    splice(document, vec![Splice { lines: at..at, put }])
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
