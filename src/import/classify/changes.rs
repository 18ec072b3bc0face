//! The edits that a plan comes down to, in the order in which they are written.
//! Pure. A profile whose edit is refused, or which an SDK would then resolve to
//! somebody else, becomes a refused row; the others go on.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::import::classify::obstacle::{Obstacle, refuse_lints};
use crate::import::classify::{Migrate, ProfileChange, Row, Stored, Verdict, same};
use crate::profiles::command_line;
use crate::profiles::command_line::Platform;
use crate::profiles::document::Document;
use crate::profiles::edits::{Inserts, Removals};
use crate::profiles::lint::{Checked, KEY_LINES};
use crate::profiles::sdk_reader::Change;
use crate::profiles::undo::Edited;
use crate::profiles::{AwsFiles, CheckedFiles};
use crate::types::keys::EntryName;

const PROCESS: &str = "credential_process";

/// One write of one file: the document, and what must be all that changes.
#[derive(Debug, Clone)]
pub struct FileWrite {
    pub edited: Edited,
    pub changes: Vec<Change>,
}

/// All writes, in order: profiles are pointed before any key's line goes.
#[derive(Debug, Clone)]
pub struct Changes {
    pub point: FileWrite,
    pub take_from_credentials: FileWrite,
    pub take_from_config: FileWrite,
}

impl Changes {
    pub fn in_order(&self) -> [&FileWrite; 3] {
        [
            &self.point,
            &self.take_from_credentials,
            &self.take_from_config,
        ]
    }

    fn after(&self) -> AwsFiles<&Document> {
        AwsFiles {
            config: &self.take_from_config.edited.document,
            credentials: &self.take_from_credentials.edited.document,
        }
    }
}

/// The changes for the rows that move; rows that cannot become refused.
pub fn changes(
    files: &CheckedFiles<'_>,
    rows: &mut [Row],
    known: &Stored,
    helper_path: &str,
) -> Changes {
    loop {
        let made = attempt(files, rows, helper_path);
        if !refuse_differences(files, rows, known, &made) {
            return made;
        }
    }
}

/// All edits of a file are made in one pass: hundreds of profiles must not cost their square.
fn attempt(files: &CheckedFiles<'_>, rows: &mut [Row], helper_path: &str) -> Changes {
    let mut point = Pointing {
        puts: Inserts::into(&files.config),
        credentials: files.credentials.document,
        helper_path,
        changes: Vec::new(),
    };
    let mut from_credentials = Taking::from(&files.credentials);
    each_move(rows, |found| {
        refuse_lints(&files.credentials, &found.profile)?;
        refuse_lints(&files.config, &found.profile)?;
        let added = point.add(found).and_then(|()| from_credentials.add(found));
        added.map_err(|failure| Obstacle::of(&failure))
    });
    let point = FileWrite {
        edited: point.puts.done(),
        changes: point.changes,
    };
    let pointed = Checked::of(&point.edited.document);
    let mut from_config = Taking::from(&pointed);
    each_move(rows, |found| {
        from_config
            .add(found)
            .map_err(|failure| Obstacle::of(&failure))
    });
    Changes {
        take_from_credentials: from_credentials.done(),
        take_from_config: from_config.done(),
        point,
    }
}

/// What cannot be edited becomes a refused row.
fn each_move(rows: &mut [Row], mut edit: impl FnMut(&Migrate) -> Result<(), Obstacle>) {
    for row in rows {
        if let Verdict::Move(found) = &row.verdict
            && let Err(refusal) = edit(found)
        {
            row.verdict = Verdict::Refused(refusal);
        }
    }
}

struct Pointing<'a> {
    puts: Inserts<'a>,
    credentials: &'a Document,
    helper_path: &'a str,
    changes: Vec<Change>,
}

impl Pointing<'_> {
    fn add(&mut self, found: &Migrate) -> Result<()> {
        let profile = &found.profile;
        let line = command_line::build(self.helper_path, &found.entry, Platform::HERE)?;
        match found.shape {
            ProfileChange::PointedAlready => {}
            ProfileChange::Pointed => {
                self.puts.set(profile, PROCESS, &line)?;
                self.changes.push(Change::set(profile, PROCESS));
            }
            ProfileChange::ThroughBase => {
                let base = self.puts.add_base_profile_for_self_reference(
                    self.credentials,
                    profile,
                    &line,
                )?;
                self.changes.push(Change::set(profile, "source_profile"));
                self.changes.push(Change::set(&base, PROCESS));
            }
        }
        Ok(())
    }
}

struct Taking<'a> {
    takes: Removals<'a>,
    changes: Vec<Change>,
}

impl<'a> Taking<'a> {
    fn from(file: &'a Checked<'a>) -> Taking<'a> {
        Taking {
            takes: Removals::from(file),
            changes: Vec::new(),
        }
    }

    fn add(&mut self, found: &Migrate) -> Result<()> {
        let profile = &found.profile;
        if self.takes.keys(profile)? == 0 {
            return Ok(());
        }
        self.takes.section_if_empty(profile)?;
        let removed = |key| Change::removed(profile, key);
        self.changes.extend(KEY_LINES.into_iter().map(removed));
        self.changes.push(Change::dropped(profile));
        Ok(())
    }

    fn done(self) -> FileWrite {
        FileWrite {
            edited: self.takes.done(),
            changes: self.changes,
        }
    }
}

/// Refuses what would change who anybody is; whether there was any.
fn refuse_differences(
    files: &CheckedFiles<'_>,
    rows: &mut [Row],
    known: &Stored,
    made: &Changes,
) -> bool {
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
    let differences = same::differences(files.documents(), made.after(), &moved, &entry_of_key);
    let mut refused = false;
    for row in rows.iter_mut() {
        if !matches!(row.verdict, Verdict::Move(_)) {
            continue;
        }
        let concerned = differences.iter().find(|d| d.chain.contains(&row.profile));
        if let Some(different) = concerned {
            row.verdict = Verdict::Refused(Obstacle::SomebodyElse {
                profile: row.profile.clone(),
                consumer: different.consumer,
                changed: different.profile.clone(),
            });
            refused = true;
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::classify;
    use crate::profiles::{FileKind, LINES_READ};

    /// Plans and edits this many profiles; the lines of AWS files that were read for it.
    fn lines_read(profiles: usize) -> usize {
        let (mut config, mut credentials) = (String::new(), String::new());
        for n in 0..profiles {
            config += &format!("[profile p{n}]\nregion = eu-west-1\n\n");
            credentials += &format!(
                "[p{n}]\naws_access_key_id = AKIAAAAAAAAAAAAAA{n:03}\naws_secret_access_key = s{n}\n\n"
            );
        }
        let config = Document::parse(FileKind::Config, &config);
        let credentials = Document::parse(FileKind::Credentials, &credentials);
        let files = AwsFiles {
            config: &config,
            credentials: &credentials,
        };
        let files = files.checked();
        let known = Stored::default();
        let before = LINES_READ.get();
        let mut rows = classify::rows(&files, &known, &[]);
        let made = changes(&files, &mut rows, &known, "/b/awskeep");
        assert_eq!(made.take_from_credentials.edited.document.text(), "");
        let helpers = made
            .take_from_config
            .edited
            .document
            .text()
            .matches("/b/awskeep");
        assert_eq!(helpers.count(), profiles);
        LINES_READ.get() - before
    }

    #[test]
    fn ten_times_the_profiles_are_ten_times_the_work() {
        let (few, many) = (lines_read(50), lines_read(500));
        assert!(many <= 11 * few, "{few} lines for 50, {many} for 500");
    }

    /// The nanoseconds that this thread has had of a processor.
    #[cfg(target_os = "linux")]
    fn cpu_time() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse().unwrap()
    }

    /// Plans this many roles on one key: the processor's time.
    #[cfg(target_os = "linux")]
    fn time_of_roles(roles: usize) -> u64 {
        let mut config = "[profile base]\nregion = x\n".to_owned();
        for n in 0..roles {
            config += &format!("[profile r{n}]\nrole_arn = arn:r{n}\nsource_profile = base\n\n");
        }
        let key = "aws_access_key_id = AKIAAAAAAAAAAAAAA777\naws_secret_access_key = s\n";
        let before = cpu_time();
        let config = Document::parse(FileKind::Config, &config);
        let credentials = Document::parse(FileKind::Credentials, &format!("[base]\n{key}"));
        let files = AwsFiles {
            config: &config,
            credentials: &credentials,
        };
        let files = files.checked();
        let known = Stored::default();
        let mut rows = classify::rows(&files, &known, &[]);
        let made = changes(&files, &mut rows, &known, "/b/awskeep");
        assert_eq!(made.take_from_credentials.edited.document.text(), "");
        cpu_time() - before
    }

    /// Names the entries of this many keys: the processor's time.
    #[cfg(target_os = "linux")]
    fn time_of_keys(keys: usize) -> u64 {
        let mut credentials = String::new();
        for n in 0..keys {
            credentials += &format!(
                "[p{n}]\naws_access_key_id = AKIAAAAAAAAAAAAA{n:04}\naws_secret_access_key = s{n}\n\n"
            );
        }
        let config = Document::parse(FileKind::Config, "");
        let credentials = Document::parse(FileKind::Credentials, &credentials);
        let files = AwsFiles {
            config: &config,
            credentials: &credentials,
        };
        let files = files.checked();
        let before = cpu_time();
        let rows = classify::rows(&files, &Stored::default(), &[]);
        let spent = cpu_time() - before;
        assert_eq!(rows.len(), keys);
        spent
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn ten_times_the_keys_are_named_in_ten_times_the_time() {
        let least = |keys| (0..3).map(|_| time_of_keys(keys)).min().unwrap();
        let (few, many) = (least(500), least(5_000));
        assert!(many < 20 * few, "{few} ns for 500, {many} ns for 5,000");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn ten_times_the_roles_on_one_key_are_ten_times_the_work() {
        // The least of several: other programs only ever add to it.
        let least = |roles| (0..3).map(|_| time_of_roles(roles)).min().unwrap();
        let (few, many) = (least(400), least(4_000));
        // Their square would be a hundred times as much, and half of that if it were but
        // a part of the work for a few.
        assert!(many < 20 * few, "{few} ns for 400, {many} ns for 4,000");
    }
}
