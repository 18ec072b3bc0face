//! `awskeep rename OLD NEW`: the item, the profiles and the settings get the new
//! name; the old one answers for 30 days, for programs that read the config before.
//!
//! Order: new item, profiles, settings, old name. Killed anywhere, the same
//! command goes on: the new item is recognised by its key.

use serde::Serialize;

use crate::cli::Rename;
use crate::commands::Invocation;
use crate::config;
use crate::config::{Key, Settings};
use crate::error::{Error, Kind, Result};
use crate::profiles::AwsFiles;
use crate::records;
use crate::records::Record;
use crate::store::Twin;
use crate::store::entries::{ALIAS_LENGTH, Broken, Entries, StoredEntry};
use crate::store::item::{Item, Stored};
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::types::target::Target;

#[derive(Serialize)]
struct Renamed {
    entry: String,
    old_name: String,
    old_name_answers_until: crate::types::time::Timestamp,
    profiles: Vec<String>,
}

pub fn run(context: &Invocation<'_>, args: &Rename) -> Result<()> {
    let env = context.env;
    let (old, new) = (&args.old, &args.new);
    if old == new {
        return Err(Error::new(
            Kind::Usage,
            format!("{old} already has that name"),
        ));
    }
    let entries = Entries::open(env)?;
    let target = Target {
        entry: Some(old.clone()),
        ..Target::default()
    };
    if let Some(broken) = entries.broken(&target)?
        && !broken.twins.is_empty()
    {
        return split(context, &entries, broken, new);
    }
    let found = entries.get(old)?;
    if found.name() != old {
        return Err(Error::new(
            Kind::NotFound,
            format!("entry {old} was renamed to {} already", found.name()),
        )
        .hint(format!("awskeep rename {} {new}", found.name())));
    }
    let _user = entries.lock_user(found.item.identity.as_ref(), old)?;
    let _names = entries.lock_names()?;
    let held = entries.get(old)?;
    let resumes = check_free(&held, &args.new)?;
    let users = AwsFiles::read(env)?.using(old);
    let mut plan = vec![format!(
        "rename entry {old} to {new} in the {}",
        held.vault.kind
    )];
    plan.extend(
        users
            .iter()
            .map(|profile| format!("point profile {profile} at {new}")),
    );
    if context.only_says(&plan) {
        return Ok(());
    }

    if !resumes {
        let renamed = Item {
            entry: new.clone(),
            ..held.item.clone()
        };
        held.vault.save(&renamed)?;
    }
    if let Some(session) = held.vault.find_session(old)? {
        held.vault.save_session(new, session)?;
        held.vault.erase_session(old)?;
    }
    for profile in &users {
        AwsFiles::read(env)?.repoint(env, profile, new)?;
    }
    rename_settings(env, &entries, &held, new)?;
    let until = env.now() + ALIAS_LENGTH;
    held.vault.save_alias(old, new, until)?;
    let receipt = Record::new(env.now(), new, "rename").key(&held.item.current.id);
    records::note(env, &receipt.renamed_from(old));
    context.done(
        &format!(
            "entry {old} is now {new}; it answers to {old} until {}",
            until.day()
        ),
        &Renamed {
            entry: new.to_string(),
            old_name: old.to_string(),
            old_name_answers_until: until,
            profiles: users.iter().map(ToString::to_string).collect(),
        },
    )
}

/// Of several items of one name, the one that is another entry's, or else the one saved
/// first, gets the new name; the others, the profiles and the settings keep the old one.
/// Nothing is lost.
fn split(
    context: &Invocation<'_>,
    entries: &Entries<'_>,
    broken: Broken,
    new: &EntryName,
) -> Result<()> {
    let env = context.env;
    let Broken {
        name: old,
        vault,
        mut twins,
    } = broken;
    let is_anothers = |twin: &Twin| twin.item().is_some_and(|item| item.entry != old);
    let goes = twins
        .iter()
        .position(is_anothers)
        .or_else(|| twins.iter().position(|twin| twin.item().is_some()));
    let first = goes.and_then(|at| twins[at].item());
    let user = entries.lock_user(first.and_then(|item| item.identity.as_ref()), &old)?;
    let names = entries.lock_names()?;
    let copy = twins.iter().position(|twin| is_copy(twin, &twins));
    let rest = twins.len() - 1;
    let Some(at) = goes else {
        return Err(Error::new(
            Kind::Store,
            format!("none of the {} items named {old} can be read", twins.len()),
        )
        .hint(format!("awskeep remove {old}")));
    };
    if let Some(copy) = copy {
        // One key is in one entry only.
        if context.only_says(&[format!(
            "remove one of two items named {old} with the same key"
        )]) {
            return Ok(());
        }
        vault.delete_twin(&old, twins.swap_remove(copy))?;
        drop((names, user));
        let (old, new) = (old, new.clone());
        return run(context, &Rename { old, new });
    }
    let stay: Vec<String> = twins
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != at)
        .map(|(_, twin)| match twin.item() {
            Some(item) => item.current.id.to_string(),
            None => "one that cannot be read".to_owned(),
        })
        .collect();
    let twin = twins.swap_remove(at);
    let Some(item) = twin.item().cloned() else {
        return Err(Error::new(Kind::Bug, "the item that was found is gone"));
    };
    let which = match (item.entry != old, rest) {
        (true, _) => format!("that of entry {}", item.entry),
        (false, 1) => "the older".to_owned(),
        (false, _) => "the oldest".to_owned(),
    };
    let renamed = Item {
        entry: new.clone(),
        ..item
    };
    let line = format!(
        "{which} of {} items named {old}, {}, is {new}; {} stays {old}, with its profiles",
        rest + 1,
        renamed.current.id,
        stay.join(", ")
    );
    match vault.find(new)? {
        Some(Stored::Item(there)) if *there != renamed => {
            return Err(
                Error::new(Kind::Usage, format!("there is an entry {new} already"))
                    .hint("choose another name; those that are taken: awskeep list"),
            );
        }
        Some(Stored::Item(_) | Stored::Alias(_)) | None => {}
    }
    if context.only_says(&[format!("rename so that {line}")]) {
        return Ok(());
    }
    vault.save(&renamed)?;
    vault.delete_twin(&old, twin)?;
    if Settings::load(env)?.store(Some(new))? != vault.kind {
        config::edit(&entries.settings.path, |text| {
            config::with_setting(text, Some(new), Key::Store, Some(vault.kind.word()))
        })?;
    }
    let receipt = Record::new(env.now(), new, "rename").key(&renamed.current.id);
    records::note(env, &receipt.renamed_from(&old));
    context.done(
        &line,
        &serde_json::json!({
            "entry": new.as_str(),
            "old_name": old.as_str(),
            "stays": stay,
            "profiles": [],
        }),
    )
}

/// Whether another one holds the same key, and this one nothing beside it.
fn is_copy(twin: &Twin, all: &[Twin]) -> bool {
    let same = |item: &Item| {
        let items = all.iter().filter_map(Twin::item);
        items
            .filter(|other| other.current.id == item.current.id)
            .count()
            > 1
    };
    twin.item()
        .is_some_and(|item| item.would_lose().is_none() && same(item))
}

/// Moves the entry's settings to its new name; both names must lead to the same store.
fn rename_settings(
    env: &Env,
    entries: &Entries<'_>,
    held: &StoredEntry,
    new: &EntryName,
) -> Result<()> {
    let old = held.name();
    let path = &entries.settings.path;
    if entries.settings.sections().any(|entry| entry == old) {
        config::edit(path, |text| config::with_section_renamed(text, old, new))?;
    }
    let kind = held.vault.kind;
    for name in [old, new] {
        if Settings::load(env)?.store(Some(name))? != kind {
            config::edit(path, |text| {
                config::with_setting(text, Some(name), Key::Store, Some(kind.word()))
            })?;
        }
    }
    Ok(())
}

/// Whether the new name may be taken; true if an earlier run took it already.
fn check_free(held: &StoredEntry, new: &EntryName) -> Result<bool> {
    match held.vault.find(new)? {
        None => Ok(false),
        // An old name may become a name again.
        Some(Stored::Alias(_)) => Ok(false),
        Some(Stored::Item(there)) => {
            let same = Item {
                entry: new.clone(),
                ..held.item.clone()
            };
            if *there == same {
                return Ok(true);
            }
            Err(
                Error::new(Kind::Usage, format!("there is an entry {new} already"))
                    .hint("choose another name; those that are taken: awskeep list"),
            )
        }
    }
}
