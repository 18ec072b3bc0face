//! `awskeep store …`: which stores work here and why not; choosing one; moving
//! entries between them; opening and closing.

use serde::Serialize;

use crate::cli::{NewPassphrase, Passphrase, Store};
use crate::commands::{Form, Invocation, Mode};
use crate::config;
use crate::config::{Key, Settings};
use crate::error::{Error, Kind, Result};
use crate::import::enroll;
use crate::records;
use crate::records::Record;
use crate::store::entries::{Entries, StoredEntry};
use crate::store::error::{GNOME_KEYRING, StoreError, UNLOCK_GNOME_KEYRING};
use crate::store::file::passphrase;
use crate::store::file::passphrase::Making;
use crate::store::file::{FileState, FileStore};
use crate::store::item::{Item, Stored};
use crate::store::keychain::{Unlocked, opening};
use crate::types::keys::EntryName;
use crate::types::store_kind::StoreKind;
use crate::types::time::Span;

pub fn run(context: &Invocation<'_>, args: &Store) -> Result<()> {
    match args {
        Store::List => list(context),
        Store::Use {
            store,
            passphrase,
            without_passphrase,
        } => choose(context, *store, passphrase, *without_passphrase),
        Store::Move { to, entries } => relocate(context, *to, entries),
        Store::Unlock {
            how_long,
            passphrase,
            store,
        } => unlock(context, *store, *how_long, passphrase),
        Store::ChangePassphrase {
            passphrase,
            new_passphrase,
        } => change_passphrase(context, passphrase, new_passphrase),
        Store::Lock { store } => lock(context, *store),
    }
}

#[derive(Serialize)]
struct Row {
    store: &'static str,
    chosen: bool,
    works: bool,
    entries: Option<usize>,
    /// The program behind the keychain, where that is not always the same one.
    provider: Option<String>,
    why: String,
    hint: Option<String>,
}

fn list(context: &Invocation<'_>) -> Result<()> {
    let entries = Entries::open(context.env)?;
    let chosen = entries.settings.store(None)?;
    let mut rows = Vec::new();
    for kind in StoreKind::ALL {
        rows.push(describe(context, &entries, kind, chosen)?);
    }
    if context.form == Form::Json {
        return context.env.ui.json(&rows);
    }
    let mut text = String::new();
    for row in &rows {
        let mark = if row.chosen { "*" } else { " " };
        let works = if row.works { "works" } else { "does not work" };
        let count = row
            .entries
            .map_or(String::new(), |n| format!(", {n} entries"));
        text.push_str(&format!(
            "{mark} {:<9} {works}{count}: {}\n",
            row.store, row.why
        ));
        if let Some(hint) = &row.hint {
            text.push_str(&format!("            hint: {hint}\n"));
        }
    }
    context.env.ui.text(&text)
}

fn describe(
    context: &Invocation<'_>,
    entries: &Entries<'_>,
    kind: StoreKind,
    chosen: StoreKind,
) -> Result<Row> {
    let vault = entries.vault_as_it_is(kind)?;
    let row = |works, entries, provider, why: String, hint| Row {
        store: kind.word(),
        chosen: kind == chosen,
        works,
        entries,
        provider,
        why,
        hint,
    };
    match vault.look() {
        Ok(found) => {
            let provider = vault.provider();
            let mut why = match (kind, &provider) {
                (StoreKind::Keychain, Some(provider)) => format!("{provider} ({})", opening::NAME),
                (StoreKind::Keychain, None) => opening::NAME.to_owned(),
                (StoreKind::File, _) => file_words(context)?,
            };
            let mut hint = None;
            for fault in found.unseen {
                why.push_str(&format!("; {fault}"));
                hint = fault.failure(kind, None).hints.into_iter().next();
            }
            Ok(row(true, Some(found.names.len()), provider, why, hint))
        }
        Err(fault) => {
            let failure = fault.failure(kind, None);
            let hint = match kind {
                StoreKind::File if matches!(fault, StoreError::Absent(_)) => {
                    Some("awskeep store use file".to_owned())
                }
                _ => failure
                    .hints
                    .first()
                    .filter(|hint| *hint != "awskeep store list")
                    .cloned(),
            };
            Ok(row(false, None, vault.provider(), fault.to_string(), hint))
        }
    }
}

fn file_words(context: &Invocation<'_>) -> Result<String> {
    let folder = context.env.file_store_folder()?;
    let state = FileStore::new(folder.clone())
        .state()
        .map_err(|fault| fault.failure(StoreKind::File, None))?;
    let how = match state {
        FileState::Missing => "not made yet".to_owned(),
        FileState::Locked => "locked".to_owned(),
        FileState::Open { until: Some(until) } => format!("open until {until}"),
        FileState::Open { until: None } => "open".to_owned(),
        FileState::WithoutPassphrase => {
            "without a passphrase: whoever reads your files reads your keys".to_owned()
        }
    };
    Ok(format!("encrypted file in {}, {how}", folder.display()))
}

/// The entries that stay in a store that is no longer the chosen one.
fn staying(
    context: &Invocation<'_>,
    entries: &Entries<'_>,
    old: StoreKind,
) -> Result<Vec<EntryName>> {
    match entries.vault_as_it_is(old)?.names() {
        Ok(names) => Ok(names),
        Err(StoreError::Absent(_) | StoreError::NoCollection(_)) => Ok(Vec::new()),
        Err(StoreError::Locked(_) | StoreError::Hidden(_)) => {
            context.env.ui.confirm(&format!(
                "the {old} is locked, so the entries that it may hold cannot be seen, and are found again only after \
                 awskeep config set store {} --entry NAME; continue?",
                old.word()
            ))?;
            Ok(Vec::new())
        }
        Err(fault) => Err(fault.failure(old, None)),
    }
}

/// An encrypted file without a passphrase, unless there is one.
fn make_open_file(context: &Invocation<'_>) -> Result<()> {
    let env = context.env;
    let store = FileStore::new(env.file_store_folder()?);
    if matches!(store.state(), Ok(FileState::WithoutPassphrase)) {
        return Ok(());
    }
    env.ui.confirm(
        "make an encrypted file whose key lies beside it, readable by any program of yours?",
    )?;
    store.create_without_passphrase()
}

/// `store use`: new entries go there; those that are elsewhere stay, on record.
fn choose(
    context: &Invocation<'_>,
    kind: StoreKind,
    from: &Passphrase,
    without_passphrase: bool,
) -> Result<()> {
    let env = context.env;
    let entries = Entries::open(env)?;
    let old = entries.settings.store(None)?;
    if context.only_says(&[format!("keep new entries in the {kind}")]) {
        return Ok(());
    }
    let _names = entries.lock_names()?;
    let staying = match old == kind {
        true => Vec::new(),
        false => staying(context, &entries, old)?,
    };
    match kind {
        StoreKind::File if without_passphrase => make_open_file(context)?,
        StoreKind::File => passphrase::make_file_if_missing(env, Some(from), Making::Done)?,
        StoreKind::Keychain => {
            entries
                .vault(kind)?
                .look()
                .map_err(|fault| fault.failure(kind, None))?;
        }
    }
    config::edit(&entries.settings.path, |text| {
        let pinned = staying.iter().fold(text.to_owned(), |text, entry| {
            config::with_setting(&text, Some(entry), Key::Store, Some(old.word()))
        });
        config::with_setting(&pinned, None, Key::Store, Some(kind.word()))
    })?;
    let stay = match staying.len() {
        0 => String::new(),
        n => format!(
            "; {n} that are in the {old} stay there: awskeep store move {}",
            kind.word()
        ),
    };
    context.done(
        &format!("new entries are kept in the {kind}{stay}"),
        &serde_json::json!({"store": kind.word(), "staying": staying}),
    )
}

#[derive(Serialize)]
struct Moved {
    store: &'static str,
    moved: Vec<String>,
}

/// `store move`: copy, read back, compare, wait until that is kept; then record and
/// delete each. Run again after a crash it goes on where it was: the settings say which
/// copy counts.
fn relocate(context: &Invocation<'_>, to: StoreKind, named: &[EntryName]) -> Result<()> {
    let env = context.env;
    let entries = Entries::open(env)?;
    if to == StoreKind::File {
        let making = match context.mode {
            Mode::Act => Making::Done,
            Mode::Say => Making::OnlySaid,
        };
        passphrase::make_file_if_missing(env, None, making)?;
    }
    let mut from_elsewhere = Vec::new();
    let mut broken: Vec<Error> = Vec::new();
    if named.is_empty() {
        let made = (to == StoreKind::File).then_some(to);
        let inventory = entries.inventory_with(made)?;
        for held in inventory.held {
            if held.vault.kind != to {
                from_elsewhere.push(held);
            }
        }
        broken.extend(inventory.troubles.into_iter().chain(inventory.unreadable));
    } else {
        for name in named {
            from_elsewhere.push(entries.get(name)?);
        }
    }
    if context.mode == Mode::Say {
        for held in &from_elsewhere {
            let (name, kind) = (held.name(), held.vault.kind);
            env.ui.tell(&match kind == to {
                true => there_already(held, to),
                false => format!("would move entry {name} from the {kind} to the {to}"),
            });
        }
        return super::first_of(&context.env.ui, broken);
    }
    // First all the copies, so that they are waited for once.
    let mut copies = Vec::new();
    for held in &from_elsewhere {
        copies.extend(copy_one(context, held, to)?);
    }
    let_keep(context, &copies, to)?;
    let mut moved = Vec::new();
    for held in &from_elsewhere {
        // What a killed move left of it elsewhere goes, too.
        move_one(context, held, to)?;
        match held.vault.kind == to {
            true => env.ui.tell(&there_already(held, to)),
            false => moved.push(held.name().to_string()),
        }
    }
    move_old_names(&entries, &moved, to)?;
    let line = match (moved.is_empty(), broken.is_empty()) {
        (true, true) if named.is_empty() => format!("every entry is in the {to} already"),
        (true, _) => "nothing was moved".to_owned(),
        (false, _) => format!("moved to the {to}: {}", moved.join(", ")),
    };
    context.done(
        &line,
        &Moved {
            store: to.word(),
            moved: moved.clone(),
        },
    )?;
    // What could not be read is a failure, after everything else was moved.
    super::first_of(&context.env.ui, broken)
}

fn there_already(held: &StoredEntry, to: StoreKind) -> String {
    format!("entry {} is in the {to} already", held.name())
}

fn let_keep(context: &Invocation<'_>, copies: &[StoredEntry], to: StoreKind) -> Result<()> {
    let again = format!("awskeep store move {}", to.word());
    let question = "delete them where they were all the same?";
    enroll::let_keep(context.env, copies, question, &again)
}

/// The entry in the store that it shall be in; none if it is there already.
fn copy_one(
    context: &Invocation<'_>,
    held: &StoredEntry,
    to: StoreKind,
) -> Result<Option<StoredEntry>> {
    let entries = Entries::open(context.env)?;
    let name = held.name();
    let _user = entries.lock_user(held.item.identity.as_ref(), name)?;
    let _names = entries.lock_names()?;
    match entries.settings.store(Some(name))? == to {
        true => Ok(None),
        false => Ok(Some(copied(context, &entries, name, to)?.0)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    Now,
    Before,
}

/// An entry's copy in another store than its own; made unless it is there.
fn copied(
    context: &Invocation<'_>,
    entries: &Entries<'_>,
    name: &EntryName,
    to: StoreKind,
) -> Result<(StoredEntry, Copied)> {
    let recorded = entries.settings.store(Some(name))?;
    let Some(Stored::Item(item)) = entries.vault(recorded)?.find(name)? else {
        return Err(Error::new(
            Kind::NotFound,
            format!("entry {name} is no longer in the {recorded}"),
        )
        .hint("awskeep list"));
    };
    let vault = entries.vault(to)?;
    let mut item = *item;
    // What is damaged there is written over, as ever.
    if let Ok(Some(Stored::Item(there))) = vault.find(name)
        && there.current.taken_by.is_some()
        && same_but_note(&there, &item)
    {
        let item = *there;
        return Ok((StoredEntry { item, vault }, Copied::Before));
    }
    vault.save_noting(&mut item, context.env.now())?;
    Ok((StoredEntry { item, vault }, Copied::Now))
}

/// The note is of one store's process.
fn same_but_note(there: &Item, item: &Item) -> bool {
    let mut item = item.clone();
    item.current.taken_by.clone_from(&there.current.taken_by);
    *there == item
}

fn move_one(context: &Invocation<'_>, held: &StoredEntry, to: StoreKind) -> Result<()> {
    // Opened anew for each: the settings change with every move.
    let entries = Entries::open(context.env)?;
    let name = held.name();
    let _user = entries.lock_user(held.item.identity.as_ref(), name)?;
    let _names = entries.lock_names()?;
    let recorded = entries.settings.store(Some(name))?;
    if recorded != to {
        let (copy, made) = copied(context, &entries, name, to)?;
        // It has changed since it was waited for.
        if made == Copied::Now {
            let_keep(context, std::slice::from_ref(&copy), to)?;
        }
        if let Some(session) = entries.vault(recorded)?.find_session(name)? {
            copy.vault.save_session(name, session)?;
        }
        record(&entries.settings, name, to)?;
    }
    // What is left behind in the other stores is a copy, proven equal or older.
    for kind in StoreKind::ALL.into_iter().filter(|kind| *kind != to) {
        if entries.stores_in_use()?.contains(&kind) || kind == held.vault.kind {
            let vault = entries.vault(kind)?;
            vault.erase_session(name)?;
            vault.delete(name)?;
        }
    }
    records::note(
        context.env,
        &Record::new(context.env.now(), name, "store-move")
            .key(&held.item.current.id)
            .result(format!("to {}", to.word())),
    );
    Ok(())
}

fn move_old_names(entries: &Entries<'_>, moved: &[String], to: StoreKind) -> Result<()> {
    for (old, vault, alias) in entries.inventory()?.aliases {
        if vault.kind != to && moved.iter().any(|name| *name == alias.renamed_to.as_str()) {
            entries
                .vault(to)?
                .save_alias(&old, &alias.renamed_to, alias.until)?;
            record(&entries.settings, &old, to)?;
            vault.delete(&old)?;
        }
    }
    Ok(())
}

fn record(settings: &Settings, name: &EntryName, kind: StoreKind) -> Result<()> {
    config::edit(&settings.path, |text| {
        config::with_setting(text, Some(name), Key::Store, Some(kind.word()))
    })
}

fn unlock(
    context: &Invocation<'_>,
    store: Option<StoreKind>,
    how_long: Span,
    from: &Passphrase,
) -> Result<()> {
    let env = context.env;
    let kind = which(context, store)?;
    if context.only_says(&[format!("unlock the {kind}")]) {
        return Ok(());
    }
    let done = match kind {
        StoreKind::File => {
            let file = FileStore::new(env.file_store_folder()?);
            let state = file.state().map_err(|fault| fault.failure(kind, None))?;
            let line = match state {
                FileState::Missing => {
                    return Err(
                        Error::new(Kind::Store, "no encrypted file has been made yet")
                            .hint("awskeep store use file"),
                    );
                }
                FileState::WithoutPassphrase => {
                    "the encrypted file has no passphrase; it is always open".to_owned()
                }
                FileState::Locked | FileState::Open { .. } => {
                    let passphrase = passphrase::existing(env, Some(from))?;
                    let until = file.unlock(&passphrase, how_long, env.now())?;
                    format!(
                        "the encrypted file is open until {until}; close it: awskeep store lock"
                    )
                }
            };
            return context.done(
                &line,
                &serde_json::json!({"store": kind.word(), "unlocked": true}),
            );
        }
        StoreKind::Keychain => unlock_keychain(context)?,
    };
    let mut line = match done.opened.as_slice() {
        [] => "the keychain was open already".to_owned(),
        opened => format!("the keychain is unlocked: {}", opened.join(", ")),
    };
    if !done.still_locked.is_empty() {
        line.push_str(&format!("; still locked: {}", done.still_locked.join(", ")));
    }
    context.done(
        &line,
        &serde_json::json!({
            "store": kind.word(),
            "unlocked": true,
            "opened": done.opened,
            "still_locked": done.still_locked,
        }),
    )
}

/// Entries stay as they are, and so does whether the file is open: its key is the same.
fn change_passphrase(
    context: &Invocation<'_>,
    from: &Passphrase,
    new: &NewPassphrase,
) -> Result<()> {
    let env = context.env;
    let file = FileStore::new(env.file_store_folder()?);
    let state = file
        .state()
        .map_err(|fault| fault.failure(StoreKind::File, None))?;
    match state {
        FileState::Missing => {
            return Err(
                Error::new(Kind::Store, "no encrypted file has been made yet")
                    .hint("awskeep store use file"),
            );
        }
        FileState::WithoutPassphrase => {
            return Err(Error::new(
                Kind::Usage,
                "the encrypted file was made without a passphrase, and cannot be given one",
            )
            .hint("awskeep store move keychain"));
        }
        FileState::Locked | FileState::Open { .. } => {}
    }
    if context.only_says(&["change the passphrase of the encrypted file".to_owned()]) {
        return Ok(());
    }
    let old = passphrase::existing(env, Some(from))?;
    let new = passphrase::chosen(env, new)?;
    file.change_passphrase(&old, &new)?;
    context.done(
        "the encrypted file has a new passphrase; copies of it (backups) open with the old one",
        &serde_json::json!({"store": StoreKind::File.word(), "passphrase_changed": true}),
    )
}

fn unlock_keychain(context: &Invocation<'_>) -> Result<Unlocked> {
    let env = context.env;
    let patience = match env.ui.may_be_asked() {
        true => opening::PATIENCE,
        false => std::time::Duration::ZERO,
    };
    let unlocked = opening::unlock(context.env, deadline(context)?, patience);
    unlocked.map_err(|fault| {
        let failure = fault.failure(StoreKind::Keychain, None);
        if patience.is_zero() && matches!(fault, StoreError::Denied(_)) {
            return Error {
                kind: Kind::PersonNeeded,
                message: "would open the keychain's window; --no-input was given".to_owned(),
                hints: vec!["awskeep store unlock".to_owned()],
                ..failure
            };
        }
        match (fault, without_a_window(context)) {
            (StoreError::Dismissed(_) | StoreError::Unanswered(_), Some(hint)) => Error {
                message: "the keychain stays locked: nothing here can show its window".to_owned(),
                hints: vec![hint],
                ..failure
            },
            _ => failure,
        }
    })
}

/// How the keychain is opened where its window cannot be shown; none where it can, or
/// where its program knows no other way.
fn without_a_window(context: &Invocation<'_>) -> Option<String> {
    let set = |name: &str| context.env.var(name).is_some_and(|value| !value.is_empty());
    if set("DISPLAY") || set("WAYLAND_DISPLAY") {
        return None;
    }
    match opening::provider(context.env)?.as_str() {
        GNOME_KEYRING => Some(format!(
            "in bash or zsh, type the login keyring's password after: {UNLOCK_GNOME_KEYRING}"
        )),
        _ => None,
    }
}

/// For calls; a person has longer.
fn deadline(context: &Invocation<'_>) -> Result<std::time::Duration> {
    Settings::load(context.env)?.deadline()
}

fn lock(context: &Invocation<'_>, store: Option<StoreKind>) -> Result<()> {
    let env = context.env;
    let kind = which(context, store)?;
    if context.only_says(&[format!("lock the {kind}")]) {
        return Ok(());
    }
    let line = match kind {
        StoreKind::File => {
            let store = FileStore::new(env.file_store_folder()?);
            if matches!(store.state(), Ok(FileState::WithoutPassphrase)) {
                return Err(Error::new(
                    Kind::Usage,
                    "the encrypted file has no passphrase, and cannot be locked",
                )
                .hint("awskeep store move keychain"));
            }
            store.lock()?;
            format!("the {kind} is locked")
        }
        StoreKind::Keychain => lock_keychain(context)?,
    };
    context.done(
        &line,
        &serde_json::json!({"store": kind.word(), "unlocked": false}),
    )
}

/// It is not ours alone: what else is in it is locked for every other program too.
fn lock_keychain(context: &Invocation<'_>) -> Result<String> {
    let failure = |fault: StoreError| fault.failure(StoreKind::Keychain, None);
    let wait = deadline(context)?;
    let label = opening::default_label(context.env, wait).map_err(failure)?;
    let whole = format!("all of the keychain's collection {label}, for every program");
    let again = without_a_window(context);
    let warning = match &again {
        Some(_) => "; nothing here can show the window that unlocks it again",
        None => "",
    };
    let ui = &context.env.ui;
    ui.confirm(&format!("lock {whole}{warning}?"))?;
    let label = opening::lock(context.env, wait).map_err(failure)?;
    let again = again.unwrap_or_else(|| "awskeep store unlock".to_owned());
    Ok(format!(
        "the keychain is locked: its collection {label}, for every program\nhint: {again}"
    ))
}

fn which(context: &Invocation<'_>, store: Option<StoreKind>) -> Result<StoreKind> {
    match store {
        Some(kind) => Ok(kind),
        None => Entries::open(context.env)?.settings.store(None),
    }
}
