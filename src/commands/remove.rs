//! `awskeep remove ENTRY`: forgets an entry, takes it out of the profiles that
//! use it, and with `--delete-key` deletes the key at AWS first.

use serde::Serialize;

use crate::aws::place;
use crate::aws::{Account, CallFailureClass, Signer, prove};
use crate::cli::Remove;
use crate::commands::Invocation;
use crate::config;
use crate::config::Key;
use crate::error::{Error, Kind, Result};
use crate::import;
use crate::import::enroll;
use crate::profiles::AwsFiles;
use crate::records;
use crate::records::Record;
use crate::sessions::mfa::{Codes, GivenCode};
use crate::sessions::obtain::InSession;
use crate::store::Twin;
use crate::store::entries::{Broken, Entries, StoredEntry};
use crate::store::item::{Identity, Item};
use crate::system::env::Env;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName, ProfileName};
use crate::types::time::Timestamp;

#[derive(Serialize)]
struct Removed {
    entry: String,
    key_id: String,
    key_deleted: bool,
    profiles: Vec<String>,
    /// Profiles whose `source_profile` has no key now.
    roles: Vec<String>,
}

pub fn run(context: &Invocation<'_>, args: &Remove) -> Result<()> {
    let env = context.env;
    let entries = Entries::open(env)?;
    if let Some(broken) = entries.broken(&args.target)? {
        return remove_broken(context, &entries, broken, args);
    }
    let held = match entries.meant(&args.target) {
        Err(failure) if failure.kind == Kind::NotFound => {
            return leave_profiles(context, args, failure);
        }
        other => other?,
    };
    let _user = entries.lock_user(held.item.identity.as_ref(), held.name())?;
    let _names = entries.lock_names()?;
    // Read again under the lock: what was found before may have been rotated since.
    let held = entries.get(held.name())?;
    enroll::lose_nothing(&entries, &held.item, "removing")?;
    let profiles = AwsFiles::read(env)?;
    let users = profiles.using(held.name());
    let roles = roles_on(&profiles, &users);
    if context.only_says(&plan(&held, &users, &roles, args)) {
        return Ok(());
    }
    if args.delete_key {
        records::refuse_without_receipts(env)?;
    }
    env.ui.confirm(&question(&held, &users, &roles, args))?;

    if args.delete_key {
        delete_at_aws(context, &entries, &held)?;
    }
    // The store first: it may ask a person, who may decline. Until it is done, the
    // profiles work; if it is killed after, the same command goes on with them.
    held.vault.erase_session(held.name())?;
    held.vault.delete(held.name())?;
    for profile in &users {
        AwsFiles::read(env)?.unpoint(env, profile)?;
    }
    forget(context, &entries, held.name(), Some(&held.item.current.id))?;
    warn_of(env, &roles);
    let key_deleted = if args.delete_key {
        " and deleted at AWS"
    } else {
        ""
    };
    context.done(
        &format!(
            "entry {} is removed; key {} is forgotten here{key_deleted}",
            held.name(),
            held.item.current.id
        ),
        &Removed {
            entry: held.name().to_string(),
            key_id: held.item.current.id.to_string(),
            key_deleted: args.delete_key,
            profiles: users.iter().map(ToString::to_string).collect(),
            roles: roles.into_iter().map(|(role, _)| role).collect(),
        },
    )
}

/// The profiles that have one of these as their `source_profile`, each with it.
fn roles_on(profiles: &AwsFiles, users: &[ProfileName]) -> Vec<(String, ProfileName)> {
    users
        .iter()
        .flat_map(|user| {
            let roles = profiles.with_source(user).into_iter();
            roles.map(|role| (role, user.clone()))
        })
        .collect()
}

fn warn_of(env: &Env, roles: &[(String, ProfileName)]) {
    for (role, user) in roles {
        env.ui.warn(&format!(
            "profile {user}, the source_profile of {role}, has no key now\nhint: awskeep add NAME --profile {user}"
        ));
    }
}

/// Removes what cannot be read as an entry: whatever it holds goes with it.
fn remove_broken(
    context: &Invocation<'_>,
    entries: &Entries<'_>,
    broken: Broken,
    args: &Remove,
) -> Result<()> {
    let env = context.env;
    let Broken { name, vault, twins } = broken;
    if args.delete_key {
        return Err(Error::new(
            Kind::Usage,
            format!("entry {name} cannot be read, so which key to delete at AWS is not known"),
        )
        .hint(format!("without --delete-key: awskeep remove {name}")));
    }
    let items: Vec<&Item> = twins.iter().filter_map(Twin::item).collect();
    let first = items.first().and_then(|item| item.identity.as_ref());
    let _user = entries.lock_user(first, &name)?;
    let _names = entries.lock_names()?;
    for item in &items {
        enroll::lose_nothing(entries, item, "removing")?;
    }
    let profiles = AwsFiles::read(env)?;
    let users = profiles.using(&name);
    let roles = roles_on(&profiles, &users);
    let ids: Vec<String> = items
        .iter()
        .map(|item| match item.entry == name {
            true => item.current.id.to_string(),
            false => format!("{} of entry {}", item.current.id, item.entry),
        })
        .collect();
    let what = match twins.len() {
        0 => format!("remove the damaged entry {name} from the {}", vault.kind),
        n => format!(
            "remove all {n} items named {name} from the {} ({})",
            vault.kind,
            ids.join(", ")
        ),
    };
    let mut plan = vec![what.clone()];
    plan.extend(users.iter().map(unpointing));
    if context.only_says(&plan) {
        return Ok(());
    }
    env.ui.confirm(&format!(
        "{what}; what they hold is gone then, while the keys stay active at AWS?"
    ))?;
    vault.erase_session(&name)?;
    if twins.is_empty() {
        vault.delete(&name)?;
    }
    for twin in twins {
        vault.delete_twin(&name, twin)?;
    }
    for profile in &users {
        AwsFiles::read(env)?.unpoint(env, profile)?;
    }
    forget(context, entries, &name, None)?;
    warn_of(env, &roles);
    context.done(
        &format!("entry {name} is removed"),
        &Removed {
            entry: name.to_string(),
            key_id: ids.join(", "),
            key_deleted: false,
            profiles: users.iter().map(ToString::to_string).collect(),
            roles: roles.into_iter().map(|(role, _)| role).collect(),
        },
    )
}

/// The entry is gone, yet profiles still use it: an earlier run was killed in between,
/// or somebody removed it in the keychain's own program.
fn leave_profiles(context: &Invocation<'_>, args: &Remove, not_found: Error) -> Result<()> {
    let env = context.env;
    let target = &args.target;
    let named = target.name.as_ref().and_then(|name| name.parse().ok());
    let Some(name) = target.entry.clone().or(named) else {
        return Err(not_found);
    };
    let profiles = AwsFiles::read(env)?;
    let users = profiles.using(&name);
    let roles = roles_on(&profiles, &users);
    if users.is_empty() {
        return Err(not_found);
    }
    let plan: Vec<String> = users.iter().map(unpointing).collect();
    if context.only_says(&plan) {
        return Ok(());
    }
    env.ui
        .confirm(&format!("{}; {}?", not_found.message, plan.join(", ")))?;
    for profile in &users {
        AwsFiles::read(env)?.unpoint(env, profile)?;
    }
    let entries = Entries::open(env)?;
    forget(context, &entries, &name, None)?;
    warn_of(env, &roles);
    context.done(
        &format!("entry {name} is removed"),
        &Removed {
            entry: name.to_string(),
            key_id: String::new(),
            key_deleted: false,
            profiles: users.iter().map(ToString::to_string).collect(),
            roles: roles.into_iter().map(|(role, _)| role).collect(),
        },
    )
}

fn unpointing(profile: &ProfileName) -> String {
    format!("remove credential_process from profile {profile}")
}

fn plan(
    held: &StoredEntry,
    users: &[ProfileName],
    roles: &[(String, ProfileName)],
    args: &Remove,
) -> Vec<String> {
    let mut plan = Vec::new();
    if args.delete_key {
        plan.push(format!("delete {} at AWS", held.item.current.id));
    }
    plan.extend(roles.iter().map(|(role, user)| {
        format!("leave profile {user}, the source_profile of {role}, without a key")
    }));
    plan.push(format!(
        "remove entry {} from the {}",
        held.name(),
        held.vault.kind
    ));
    plan.extend(users.iter().map(unpointing));
    plan
}

fn question(
    held: &StoredEntry,
    users: &[ProfileName],
    roles: &[(String, ProfileName)],
    args: &Remove,
) -> String {
    let id = &held.item.current.id;
    let what = if args.delete_key {
        format!(
            "delete key {id} at AWS, for everyone who uses it, and remove entry {}",
            held.name()
        )
    } else {
        format!(
            "remove entry {}; its secret is gone then, while key {id} stays active at AWS",
            held.name()
        )
    };
    match users {
        [] => format!("{what}?"),
        users => {
            let names: Vec<String> = users.iter().map(ToString::to_string).collect();
            let roles: String = roles
                .iter()
                .map(|(role, user)| format!("; profile {role} has {user} as its source_profile"))
                .collect();
            format!("{what} (used by profile {}{roles})?", names.join(", "))
        }
    }
}

fn delete_at_aws(
    context: &Invocation<'_>,
    entries: &Entries<'_>,
    held: &StoredEntry,
) -> Result<()> {
    let env = context.env;
    let key = held.item.current.key();
    let account = place::account_of(env, &held.item)?;
    let identity = identity(&account, held, &key)?;
    let given = GivenCode::default();
    let codes = Codes {
        env,
        settings: &entries.settings,
        entry: held.name(),
        given: &given,
    };
    let account = InSession::new(&account, &codes);
    let list = || account.list_keys(Signer::Key(&key), &identity.arn);
    let listed = account.look(held.name(), &identity.arn, &key, list)?;
    // The key signs its own deletion: a run that was killed after it finds a key that
    // AWS accepts no more, and the note that its deletion was asked for.
    let asked_before = held.item.current.retire_started_at.is_some();
    let accepted = match &listed {
        Ok(_) => true,
        Err(no) => matches!(
            no.class,
            CallFailureClass::Denied | CallFailureClass::NeedsMfa
        ),
    };
    if !asked_before && accepted {
        note_attempt(held, Some(identity.clone()), Some(env.now()))?;
    }
    let receipt = Record::new(env.now(), held.name(), "delete-key")
        .key(&key.id)
        .slot(held.item.place_of(&key.id));
    match account.delete_key(Signer::Key(&key), &identity.arn, &key.id) {
        Ok(answer) => {
            records::note(env, &receipt.request(answer.request_id.as_deref()));
            Ok(())
        }
        // Somebody else deleted it: that is what was asked for.
        Err(failure) if failure.class == CallFailureClass::NoSuchEntity => Ok(()),
        // An earlier request did it: of a run that was killed, or whose answer was lost.
        Err(failure)
            if failure.class == CallFailureClass::KeyNotAccepted && (asked_before || accepted) =>
        {
            records::note(env, &receipt.result("is not accepted by AWS any more"));
            Ok(())
        }
        Err(failure) => {
            if failure.class == CallFailureClass::Denied {
                // Certain: nothing was deleted, and nothing will be.
                note_attempt(held, held.item.identity.clone(), None)?;
            }
            let receipt = receipt.request(failure.request_id.as_deref());
            records::note(env, &receipt.failed(&failure.code));
            Err(prove::refused(&key, "IAM", &failure).hint(format!(
                "without --delete-key: awskeep remove {}",
                held.name()
            )))
        }
    }
}

/// When it was asked of AWS to delete the key, and whose it is: both survive a kill.
fn note_attempt(
    held: &StoredEntry,
    identity: Option<Identity>,
    at: Option<Timestamp>,
) -> Result<()> {
    let mut item = held.item.clone();
    item.identity = identity;
    item.current.retire_started_at = at;
    held.vault.save(&item)
}

/// Whose key it is: as proven, or asked now for an entry added with `--no-verify`.
fn identity(account: &impl Account, held: &StoredEntry, key: &AccessKey) -> Result<Identity> {
    match &held.item.identity {
        Some(identity) => Ok(identity.clone()),
        None => Ok(prove::prove_existing(account, key)?.identity),
    }
}

/// Removes what else bears the entry's name: old names, its settings.
fn forget(
    context: &Invocation<'_>,
    entries: &Entries<'_>,
    name: &EntryName,
    id: Option<&AccessKeyId>,
) -> Result<()> {
    for (old, vault, alias) in entries.inventory()?.aliases {
        if alias.renamed_to == *name || alias.until < context.env.now() {
            vault.delete(&old)?;
        }
    }
    if entries.settings.sections().any(|entry| entry == name) {
        config::edit(&entries.settings.path, |text| {
            Key::ALL.into_iter().fold(text.to_owned(), |text, key| {
                config::with_setting(&text, Some(name), key, None)
            })
        })?;
    }
    import::record::UndoRecords::of(context.env)?.forget_entry(name)?;
    let receipt = Record::new(context.env.now(), name, "remove");
    let receipt = match id {
        Some(id) => receipt.key(id),
        None => receipt,
    };
    records::note(context.env, &receipt);
    Ok(())
}
