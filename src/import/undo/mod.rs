//! Takes an import back: the files become what they were, byte for byte. Edge.
//!
//! In a file that is no longer what the import left, the sections that the import changed
//! become what they were and all else stays (`rejoin`); only a line of the import's own that
//! a person has changed stops it. The secrets come from the store, where they stay: an
//! entry is removed by `remove` only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::config::Key;
use crate::error::{Error, Kind, Result};
use crate::import::apply::Before;
use crate::import::record::{
    Hash, KEPT, Prior, Progress, UndoRecord, UndoRecords, Write, line_hash,
};
use crate::import::undo::rejoin::{RejoinInput, Rejoined, rejoin};
use crate::import::{diff, masking};
use crate::profiles::AwsFiles;
use crate::profiles::attach;
use crate::profiles::files::AwsFile;
use crate::profiles::undo::{Hunk, KeyField, TakenLine, put_back};
use crate::profiles::{Document, FileKind};
use crate::records;
use crate::records::Record;
use crate::store::entries::{Entries, StoredEntry};
use crate::system::disk;
use crate::system::env::Env;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName, Secret};

mod rejoin;

/// What an undo would do.
pub struct Undo {
    pub files: Vec<Back>,
    /// Keys that were rotated since: the old id, and the entry whose current key
    /// takes its place.
    pub replaced: Vec<(AccessKeyId, EntryName, AccessKeyId)>,
    pub entries: Vec<EntryName>,
    /// What cannot come back, in words.
    pub left: Vec<String>,
    records: Vec<PathBuf>,
}

/// One file, as it is and as it was.
pub struct Back {
    pub file: AwsFile,
    pub new: Document,
    was: Prior,
    left: Vec<String>,
}

/// The keys that can be put back, by the id that stood in the file.
struct Keys {
    stored: BTreeMap<AccessKeyId, AccessKey>,
    replaced: Vec<(AccessKeyId, EntryName, AccessKeyId)>,
    /// The entries that hold them now.
    entries: Vec<EntryName>,
    /// Their names, now and when they were imported.
    names: Vec<(EntryName, EntryName)>,
}

/// Decides; changes nothing but dropping records that are too old.
///
/// # Errors
/// `Kind::NotFound` if there is no import to undo, or a secret is gone;
/// `Kind::Failed` with a diff if a file was changed since.
pub fn prepare(env: &Env, entries: &Entries<'_>) -> Result<Undo> {
    let records = UndoRecords::of(env)?;
    records.forget_old(env.now())?;
    let mut all = records.all()?;
    let Some(newest) = all.pop() else {
        return Err(
            Error::new(Kind::NotFound, "there is no import to undo").hint(format!(
                "an import can be undone for {}; to write a key to the files: awskeep export ENTRY",
                KEPT.rough()
            )),
        );
    };
    let mut taken = vec![newest];
    // What was cut off belongs to the run that went on with it.
    while let Some((path, record)) = all.pop_if(|(_, record)| record.state == Progress::Started) {
        taken.insert(0, (path, record));
    }
    let keys = keys(entries, &taken)?;
    let mut files = Vec::new();
    // Keys first, so that every profile answers all the time.
    for file in [FileKind::Credentials, FileKind::Config] {
        let writes: Vec<&Write> = taken
            .iter()
            .flat_map(|(_, record)| &record.writes)
            .filter(|write| write.file == file)
            .collect();
        files.extend(back(&file_of_now(env, file, &writes)?, &writes, &keys)?);
    }
    refuse_lost_sources(&AwsFiles::read(env)?, &files)?;
    Ok(Undo {
        left: files.iter().flat_map(|back| back.left.clone()).collect(),
        files,
        replaced: keys.replaced,
        entries: keys.entries,
        records: taken.into_iter().map(|(path, _)| path).collect(),
    })
}

/// A profile that was made since may have a profile of the import's as its source.
fn refuse_lost_sources(now: &AwsFiles, files: &[Back]) -> Result<()> {
    let of = |file: &AwsFile| {
        let back = files.iter().find(|back| back.file.path == file.path);
        back.map_or_else(|| file.document.clone(), |back| back.new.clone())
    };
    let then = now.map(of);
    for document in [&then.config, &then.credentials] {
        for name in document.profile_names() {
            let Some(source) = document.property(&name, "source_profile") else {
                continue;
            };
            if !then.has(&source.value) && now.has(&source.value) {
                return Err(Error::new(
                    Kind::Failed,
                    format!(
                        "profile {name} has source_profile = {}, a profile that the undo removes",
                        source.value.as_str()
                    ),
                )
                .hint("give it another source_profile, then run it again"));
            }
        }
    }
    Ok(())
}

/// Does it.
pub fn run(env: &Env, entries: &Entries<'_>, undo: Undo, before: Before<'_>) -> Result<()> {
    for back in &undo.files {
        back.file.refuse_unsafe()?;
    }
    for name in &undo.entries {
        before("extend")?;
        extend(env, entries, name)?;
    }
    let _lock = attach::lock(env)?;
    for mut back in undo.files {
        before("put back")?;
        let is_new = back.was == Prior::Missing && back.new.text().is_empty();
        let replaced = back.file.replace(back.new)?;
        attach::tell_closed(env, &back.file, replaced);
        if is_new {
            disk::remove(&back.file.path)?;
        }
    }
    before("forget")?;
    for path in undo.records.iter().rev() {
        disk::remove(path)?;
    }
    for name in &undo.entries {
        records::note(env, &Record::new(env.now(), name, "import-undo"));
    }
    Ok(())
}

/// The copy in the file may be used for as long as anything handed out without a way back.
fn extend(env: &Env, entries: &Entries<'_>, name: &EntryName) -> Result<()> {
    let held = entries.get(name)?;
    let _user = entries.lock_user(held.item.identity.as_ref(), held.name())?;
    let mut held = entries.get(held.name())?;
    let until = env.now() + entries.settings.length(Key::EnvLease, Some(held.name()))?;
    held.item.handed_out_until = held.item.handed_out_until.max(Some(until));
    held.vault.save(&held.item)
}

fn keys(entries: &Entries<'_>, records: &[(PathBuf, UndoRecord)]) -> Result<Keys> {
    let mut keys = Keys {
        stored: BTreeMap::new(),
        replaced: Vec::new(),
        entries: Vec::new(),
        names: Vec::new(),
    };
    let mut lost = None;
    for recorded in records.iter().flat_map(|(_, record)| &record.keys) {
        let id = &recorded.key_id;
        if keys.stored.contains_key(id) {
            continue;
        }
        let held: StoredEntry = match entries.holding(id, None)? {
            Some(held) => held,
            None => match entries.get(&recorded.entry) {
                Ok(held) => held,
                Err(failure) if failure.kind == Kind::NotFound => {
                    lost = Some(failure.hint(format!(
                        "the secret of {id} is not stored any more; nothing was put back"
                    )));
                    continue;
                }
                Err(failure) => return Err(failure),
            },
        };
        let current = held.item.current.key();
        if current.id != *id {
            let replaced = (id.clone(), held.name().clone(), current.id.clone());
            keys.replaced.push(replaced);
        }
        keys.stored.insert(id.clone(), current);
        keys.entries.push(held.name().clone());
        keys.names
            .push((held.name().clone(), recorded.entry.clone()));
    }
    match lost {
        Some(failure) if keys.stored.is_empty() => return Err(failure),
        Some(_) | None => {}
    }
    keys.entries.sort();
    keys.entries.dedup();
    Ok(keys)
}

/// The AWS file that an undo writes: that of now, whatever the records name.
fn file_of_now(env: &Env, file: FileKind, writes: &[&Write]) -> Result<PathBuf> {
    let (now, variable) = match file {
        FileKind::Config => (env.aws_config_file()?, "AWS_CONFIG_FILE"),
        FileKind::Credentials => (env.aws_credentials_file()?, "AWS_SHARED_CREDENTIALS_FILE"),
    };
    let is_now = |path: &Path| {
        let real = path.canonicalize().ok();
        path == now || real.is_some() && real == now.canonicalize().ok()
    };
    match writes.iter().find(|write| !is_now(&write.path)) {
        None => Ok(now),
        Some(Write { path, .. }) => Err(Error::new(
            Kind::Failed,
            format!(
                "the import changed {}, which is not your AWS file now: that is {}",
                path.display(),
                now.display()
            ),
        )
        .hint(format!(
            "{variable}={} awskeep import --undo",
            disk::argument(path)
        ))),
    }
}

/// Goes back through one file's writes; none if nothing of them is in it.
fn back(path: &Path, writes: &[&Write], keys: &Keys) -> Result<Option<Back>> {
    let (Some(first), Some(last)) = (writes.first(), writes.last()) else {
        return Ok(None);
    };
    let file = AwsFile::read(path, first.file)?;
    let (at, left) = match back_exactly(&file, writes, keys)? {
        Some(at) => (at, Vec::new()),
        None => match back_by_sections(&file, writes, keys)? {
            Some(joined) => joined,
            None => return Err(changed(&file, last)),
        },
    };
    if at.text() == file.document.text() && left.is_empty() {
        return Ok(None);
    }
    Ok(Some(Back {
        file,
        new: at,
        was: first.was,
        left,
    }))
}

/// The file as it was, byte for byte; none if it is not what any of the writes left. Where
/// an import or an undo was cut off, some of the writes are not in it.
fn back_exactly(file: &AwsFile, writes: &[&Write], keys: &Keys) -> Result<Option<Document>> {
    let mut at = file.document.clone();
    // The hash that `at` would have, had no key been replaced.
    let mut hash = Hash::of(at.text());
    for write in writes.iter().rev() {
        if hash != write.after {
            continue;
        }
        let hunks: Vec<Hunk> = write.hunks.iter().map(|hunk| current(hunk, keys)).collect();
        if !keys.has_all(&hunks) {
            return Ok(None);
        }
        let differs = hunks != write.hunks;
        at = put_back(&at, &hunks, |field, id| keys.secret_of(field, id))?;
        if !differs && Hash::of(at.text()) != write.before {
            return Err(Error::new(
                Kind::Failed,
                format!("{} would not become what it was", file.path.display()),
            )
            .hint("write the key to the files: awskeep export ENTRY"));
        }
        hash = write.before.clone();
    }
    let is_before = writes.iter().any(|write| hash == write.before);
    Ok(is_before.then_some(at))
}

/// The sections of the import as they were, all else as it is now; none if a person has
/// changed a line of the import's.
fn back_by_sections(
    file: &AwsFile,
    writes: &[&Write],
    keys: &Keys,
) -> Result<Option<(Document, Vec<String>)>> {
    let mut at = file.document.clone();
    let mut left = Vec::new();
    let own = writes.iter().flat_map(|w| rejoin::put_lines(w)).cloned();
    let own: BTreeSet<String> = own.collect();
    for write in writes.iter().rev() {
        let hunks: Vec<Hunk> = write.hunks.iter().map(|hunk| current(hunk, keys)).collect();
        let given = RejoinInput {
            write,
            hunks: &hunks,
            own: &own,
            names: &keys.names,
            secret_of: &|field, id| keys.secret_of(field, id),
        };
        match rejoin(&at, &given)? {
            Rejoined::Into(document, more) => {
                at = *document;
                left.extend(more);
            }
            Rejoined::Changed => return Ok(None),
        }
    }
    Ok(Some((at, left)))
}

impl Keys {
    fn secret_of(&self, field: KeyField, id: Option<&AccessKeyId>) -> Option<Secret> {
        match field {
            KeyField::Secret => Some(self.by_current(id?)?.secret.duplicate()),
            KeyField::Token | KeyField::NotAnId => None,
        }
    }

    fn has_all(&self, hunks: &[Hunk]) -> bool {
        hunks
            .iter()
            .flat_map(|hunk| &hunk.taken)
            .all(|line| match line {
                TakenLine::Key { field, id, .. } => self.secret_of(*field, id.as_ref()).is_some(),
                TakenLine::Text(_) | TakenLine::LineEnd(_) => true,
            })
    }

    fn by_current(&self, id: &AccessKeyId) -> Option<&AccessKey> {
        self.stored.values().find(|key| key.id == *id)
    }

    /// The id that takes this one's place.
    fn new_id(&self, id: &AccessKeyId) -> Option<&AccessKeyId> {
        self.stored.get(id).map(|key| &key.id)
    }
}

/// A hunk with the ids that are current now.
fn current(hunk: &Hunk, keys: &Keys) -> Hunk {
    let line = |taken: &TakenLine| match taken {
        TakenLine::Key {
            before,
            field,
            id,
            after,
        } => TakenLine::Key {
            before: before.clone(),
            field: *field,
            id: id.as_ref().map(|id| keys.new_id(id).unwrap_or(id).clone()),
            after: after.clone(),
        },
        TakenLine::Text(text) => {
            let mut text = text.clone();
            for (old, _, new) in &keys.replaced {
                text = text.replace(old.as_str(), new.as_str());
            }
            TakenLine::Text(text)
        }
        TakenLine::LineEnd(end) => TakenLine::LineEnd(end.clone()),
    };
    Hunk {
        line: hunk.line,
        put: hunk.put,
        taken: hunk.taken.iter().map(line).collect(),
    }
}

/// The refusal, with what is new in the file since, secrets masked.
fn changed(file: &AwsFile, write: &Write) -> Error {
    let lines = diff::lines(file.document.text());
    let hashes: Vec<String> = lines.iter().map(|line| line_hash(line)).collect();
    let head = hashes
        .iter()
        .zip(&write.lines)
        .take_while(|(a, b)| a == b)
        .count();
    let most = hashes.len().min(write.lines.len()) - head;
    let tail = (0..most)
        .take_while(|n| hashes[hashes.len() - 1 - n] == write.lines[write.lines.len() - 1 - n])
        .count();
    let gone = write.lines.len() - head - tail;
    let shown: String = masking::lines(&lines)[head..lines.len() - tail]
        .iter()
        .map(|line| format!("\n+{}", line.trim_end_matches(['\r', '\n'])))
        .collect();
    let path = file.path.display();
    let were = if gone == 0 {
        String::new()
    } else {
        format!("\n-({gone} lines as the import left them)")
    };
    Error::new(
        Kind::Failed,
        format!(
            "{path} was changed since the import, and is left as it is\n@@ line {} @@{were}{shown}",
            head + 1
        ),
    )
    .hint("undo the change and run it again, or: awskeep export ENTRY")
}
