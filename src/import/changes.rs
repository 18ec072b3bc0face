//! The edits that a plan comes down to, in the order in which they are written.
//! Pure. A profile whose edit is refused, or which an SDK would then resolve to
//! somebody else, becomes a refused row; the others go on.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Files, Known, Move, Refusal, Row, Shape, Verdict};
use super::same::{self, consumer_name};
use crate::failure::Outcome;
use crate::keys::{EntryName, ProfileName};
use crate::profile_files::command_line::{self, Platform};
use crate::profile_files::document::Document;
use crate::profile_files::edits;
use crate::profile_files::sdk_reader::Change;
use crate::profile_files::trouble::KEY_LINES;
use crate::profile_files::undo::Edited;

const PROCESS: &str = "credential_process";

/// One write of one file: the document, and what must be all that changes.
#[derive(Debug, Clone)]
pub struct Step {
    pub edited: Edited,
    pub changes: Vec<Change>,
}

impl Step {
    fn nothing(document: &Document) -> Step {
        Step {
            edited: Edited::nothing(document),
            changes: Vec::new(),
        }
    }

    fn take(&mut self, next: Next) {
        if let Some((edited, changes)) = next {
            self.edited.undo.extend(edited.undo);
            self.edited.document = edited.document;
            self.changes.extend(changes);
        }
    }
}

/// One more edit of a step; none if there is nothing to do.
type Next = Option<(Edited, Vec<Change>)>;

/// All writes, in order: profiles are pointed before any key's line goes.
#[derive(Debug, Clone)]
pub struct Changes {
    pub point: Step,
    pub take_from_credentials: Step,
    pub take_from_config: Step,
}

impl Changes {
    pub fn in_order(&self) -> [&Step; 3] {
        [
            &self.point,
            &self.take_from_credentials,
            &self.take_from_config,
        ]
    }

    fn after(&self) -> Files<'_> {
        Files {
            config: &self.take_from_config.edited.document,
            credentials: &self.take_from_credentials.edited.document,
        }
    }
}

/// The changes for the rows that move; rows that cannot become refused.
pub fn changes(files: Files<'_>, rows: &mut [Row], known: &Known, helper_path: &str) -> Changes {
    loop {
        let made = attempt(files, rows, helper_path);
        if !refuse_differences(files, rows, known, &made) {
            return made;
        }
    }
}

fn attempt(files: Files<'_>, rows: &mut [Row], helper_path: &str) -> Changes {
    let mut point = Step::nothing(files.config);
    let mut taken = Step::nothing(files.credentials);
    for row in rows.iter_mut() {
        let Verdict::Move(found) = &row.verdict else {
            continue;
        };
        let both = pointed(
            &point.edited.document,
            files.credentials,
            found,
            helper_path,
        )
        .and_then(|next| Ok((next, without_keys(&taken.edited.document, &found.profile)?)));
        match both {
            Ok((to_point, to_take)) => {
                point.take(to_point);
                taken.take(to_take);
            }
            Err(failure) => row.verdict = Verdict::Refused(Refusal::of(&failure)),
        }
    }
    let mut from_config = Step::nothing(&point.edited.document);
    for row in rows.iter_mut() {
        let Verdict::Move(found) = &row.verdict else {
            continue;
        };
        match without_keys(&from_config.edited.document, &found.profile) {
            Ok(next) => from_config.take(next),
            Err(failure) => row.verdict = Verdict::Refused(Refusal::of(&failure)),
        }
    }
    Changes {
        point,
        take_from_credentials: taken,
        take_from_config: from_config,
    }
}

fn pointed(
    config: &Document,
    credentials: &Document,
    found: &Move,
    helper_path: &str,
) -> Outcome<Next> {
    let profile = &found.profile;
    let line = command_line::build(helper_path, &found.entry, Platform::HERE)?;
    match found.shape {
        Shape::PointedAlready => Ok(None),
        Shape::Pointed => {
            let edited = edits::set_property(config, profile, PROCESS, &line)?;
            Ok(Some((edited, vec![Change::set(profile, PROCESS)])))
        }
        Shape::ThroughBase => {
            let (edited, base) =
                edits::add_base_profile_for_self_reference(config, credentials, profile, &line)?;
            let changes = vec![
                Change::set(profile, "source_profile"),
                Change::set(&base, PROCESS),
            ];
            Ok(Some((edited, changes)))
        }
    }
}

fn without_keys(document: &Document, profile: &ProfileName) -> Outcome<Next> {
    let taken = edits::take_out_keys(document, profile)?;
    if taken.removed.is_empty() {
        return Ok(None);
    }
    let edited = taken
        .edited
        .then(|document| edits::drop_empty_section(document, profile))?;
    let mut changes: Vec<Change> = KEY_LINES
        .iter()
        .map(|key| Change::removed(profile, key))
        .collect();
    changes.push(Change::dropped(profile));
    Ok(Some((edited, changes)))
}

/// Refuses what would change who anybody is; whether there was any.
fn refuse_differences(files: Files<'_>, rows: &mut [Row], known: &Known, made: &Changes) -> bool {
    let mut moved = BTreeSet::new();
    let mut entry_of_key: BTreeMap<String, EntryName> = known
        .keys
        .iter()
        .map(|(id, entry)| (id.to_string(), entry.clone()))
        .collect();
    for row in rows.iter() {
        if let Verdict::Move(found) = &row.verdict {
            moved.insert(row.profile.clone());
            entry_of_key.insert(found.key.id.to_string(), found.entry.clone());
        }
    }
    let differences = same::differences(files, made.after(), &moved, &entry_of_key);
    let mut refused = false;
    for row in rows.iter_mut() {
        if !matches!(row.verdict, Verdict::Move(_)) {
            continue;
        }
        let concerned = differences.iter().find(|d| d.chain.contains(&row.profile));
        if let Some(different) = concerned {
            let what = if different.profile == row.profile {
                "it".to_owned()
            } else {
                format!("profile {}, whose source it is,", different.profile)
            };
            row.verdict = Verdict::Refused(Refusal::new(
                format!(
                    "{} would then read {what} as somebody else",
                    consumer_name(different.consumer)
                ),
                format!("awskeep why {}", different.profile),
            ));
            refused = true;
        }
    }
    refused
}
