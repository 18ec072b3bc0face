//! Announces the edits in a record, then writes them, each checked by the AWS SDK's own
//! parser. Edge.

use std::path::Path;

use crate::error::Result;
use crate::import::apply::{Before, Prepared};
use crate::import::record::{Hash, Prior, Progress, RecordedKey, UndoRecord, UndoRecords, Write};
use crate::profiles::attach;
use crate::profiles::files::AwsFile;
use crate::system::disk;
use crate::system::env::Env;

/// Announces the edits, then writes them.
pub(super) fn edit(env: &Env, now: &mut Prepared, before: Before<'_>) -> Result<()> {
    let _lock = attach::lock(env)?;
    let records = UndoRecords::of(env)?;
    records.forget_old(env.now())?;
    let path = records.new_path(env.now())?;
    let mut record = announcement(env, now);
    before("announce")?;
    if !record.writes.is_empty() {
        records.write(&path, &record)?;
    }
    let mut done = 0;
    for (n, step) in now.changes.in_order().into_iter().enumerate() {
        let (name, file) = match n {
            0 => ("point", &mut now.files.config),
            1 => ("take from credentials", &mut now.files.credentials),
            _ => ("take from config", &mut now.files.config),
        };
        if step.edited.document.text() != file.document.text() {
            before(name)?;
            if let Err(failure) = attach::replace(file, step.edited.clone(), &step.changes) {
                only_what_was_done(&records, &path, record, file, done);
                return Err(failure);
            }
            done += 1;
        }
    }
    before("finish")?;
    if !record.writes.is_empty() {
        record.state = Progress::Finished;
        records.write(&path, &record)?;
    }
    Ok(())
}

/// Takes back the announcement of what a failure kept from being written: somebody may
/// change the file before the next run, and that must not stand in the way of an undo.
fn only_what_was_done(
    records: &UndoRecords,
    path: &Path,
    mut record: UndoRecord,
    file: &AwsFile,
    done: usize,
) {
    // A failure behind the rename leaves the new text there all the same.
    let is_there = |write: &Write| {
        AwsFile::read(&file.path, file.document.kind())
            .is_ok_and(|now| Hash::of(now.document.text()) == write.after)
    };
    let done = done + usize::from(record.writes.get(done).is_some_and(is_there));
    record.writes.truncate(done);
    // The failure that led here is the one to report; without this, undo refuses too much.
    let _ = if record.writes.is_empty() {
        disk::remove(path).map(|_| ())
    } else {
        records.write(path, &record)
    };
}

fn announcement(env: &Env, now: &Prepared) -> UndoRecord {
    let (config, credentials) = (&now.files.config, &now.files.credentials);
    let changes = &now.changes;
    let was = |path: &Path| {
        if path.symlink_metadata().is_ok() {
            Prior::There
        } else {
            Prior::Missing
        }
    };
    let (config_was, credentials_was) = (was(&config.path), was(&credentials.path));
    let writes = [
        Write::of(&changes.point, &config.document, &config.path, config_was),
        Write::of(
            &changes.take_from_credentials,
            &credentials.document,
            &credentials.path,
            credentials_was,
        ),
        Write::of(
            &changes.take_from_config,
            &changes.point.edited.document,
            &config.path,
            config_was,
        ),
    ];
    let mut keys: Vec<RecordedKey> = Vec::new();
    for found in now.moves() {
        let key = RecordedKey {
            entry: found.entry.clone(),
            key_id: found.key.id.clone(),
        };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    UndoRecord {
        v: 1,
        at: env.now(),
        state: Progress::Started,
        keys,
        profiles: now.moves().map(|found| found.profile.to_string()).collect(),
        writes: writes.into_iter().flatten().collect(),
    }
}

/// Refuses files that could not be replaced, before anything is done for them.
pub(super) fn refuse_unsafe(now: &Prepared) -> Result<()> {
    let [point, from_credentials, from_config] = now.changes.in_order();
    if !point.edited.is_nothing() || !from_config.edited.is_nothing() {
        now.files.config.refuse_unsafe()?;
    }
    if !from_credentials.edited.is_nothing() {
        now.files.credentials.refuse_unsafe()?;
    }
    Ok(())
}
