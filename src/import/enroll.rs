//! Keeping a key: choosing its store, proving it, building its item, saving it under
//! both locks. Edge. Shared by every command that takes a key in; where the key
//! comes from and which profile shall use it is the command's own business.

use std::time::Duration;

use crate::aws::place;
use crate::aws::{Account, CallFailure, CallFailureClass, OTHER_USER, Place, Signer, prove};
use crate::config;
use crate::config::Key;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::observed::believable;
use crate::lifecycle::options;
use crate::lifecycle::timeline::{delete_at, leased_until};
use crate::sessions::denial::{Expected, wants_mfa};
use crate::store::durable;
use crate::store::durable::Kept;
use crate::store::entries::{Entries, StoredEntry};
use crate::store::error::StoreError;
use crate::store::file::passphrase;
use crate::store::file::passphrase::Making;
use crate::store::item::{Identity, Item, Slot, Stored};
use crate::store::{Twin, Vault};
use crate::system::env::Env;
use crate::types::keys::{AccessKey, EntryName};
use crate::types::lease;
use crate::types::store_kind::StoreKind;
use crate::types::time::Timestamp;

/// The store for the entry: as said, as chosen in the settings, or the keychain if
/// it works. With no keychain a person chooses; nothing weaker is taken silently.
///
/// # Errors
/// `Kind::Store` if the store does not work; `Kind::Usage` if the entry is in another.
pub fn choose_store(
    env: &Env,
    entries: &Entries<'_>,
    wanted: Option<StoreKind>,
    name: &EntryName,
    command: &str,
    making: Making,
) -> Result<StoreKind> {
    let ui = &env.ui;
    if let Some(kind) = wanted {
        let recorded = entries.settings.store(Some(name))?;
        if recorded != kind && entries.find(name).is_ok_and(|found| found.is_some()) {
            return Err(
                Error::new(Kind::Usage, format!("entry {name} is in the {recorded}"))
                    .hint(format!("awskeep store move {} {name}", kind.word())),
            );
        }
        if kind == StoreKind::File {
            passphrase::make_file_if_missing(env, None, making)?;
        }
        return Ok(kind);
    }
    let kind = entries.settings.store(Some(name))?;
    let Err(fault) = entries.vault_as_it_is(kind)?.look() else {
        return Ok(kind);
    };
    let failure = fault.failure(kind, Some(name));
    if entries.settings.store_is_chosen(Some(name))
        || !matches!(
            fault,
            StoreError::Absent(_) | StoreError::NoCollection(_) | StoreError::MemoryOnly(_)
        )
    {
        return Err(failure);
    }
    let failure = failure.hint(format!(
        "or keep it in a file encrypted with a passphrase: {command} --store file"
    ));
    if !ui.attended() {
        return Err(failure);
    }
    ui.report(&failure);
    if making == Making::OnlySaid {
        ui.tell("would ask whether to keep keys in a file encrypted with a passphrase instead");
        passphrase::make_file_if_missing(env, None, making)?;
        return Ok(StoreKind::File);
    }
    ui.confirm("keep keys in a file encrypted with a passphrase instead, which must be unlocked once a day?")?;
    passphrase::make_file_if_missing(env, None, making)?;
    // That was a choice: the next entry goes there too.
    let _names = entries.lock_names()?;
    config::edit(&entries.settings.path, |text| {
        config::with_setting(text, None, Key::Store, Some(StoreKind::File.word()))
    })?;
    Ok(StoreKind::File)
}

/// What AWS says of a key that it accepts.
#[derive(Debug, Clone)]
pub struct Proven {
    pub identity: Identity,
    /// None where the user may not list its keys.
    pub created_at: Option<Timestamp>,
}

/// Whose key it is, as STS says, and how old. What IAM does not let it do is said, for a
/// rotation needs that; it is no condition of keeping the key.
///
/// # Errors
/// `Kind::Aws` if it is refused, or is of another partition than the place. Where AWS gave
/// no answer, `unanswered` is a hint.
pub fn prove(
    env: &Env,
    place: &Place,
    key: &AccessKey,
    name: &EntryName,
    unanswered: Option<&str>,
) -> Result<Proven> {
    let account = place::account(env, place)?;
    let proof = match unanswered {
        Some(hint) => prove::prove_existing_or(&account, key, hint)?,
        None => prove::prove_existing(&account, key)?,
    };
    if proof.identity.arn.partition() != place.partition {
        return Err(Error::new(
            Kind::Aws,
            format!(
                "{} is of partition {}, but {} is a region of {}",
                key.id,
                proof.identity.arn.partition(),
                place.region,
                place.partition
            ),
        )
        .hint("say the right --region"));
    }
    Ok(Proven {
        created_at: believable(
            created_at(env, &account, key, name, &proof.identity)?,
            env.now(),
        ),
        identity: proof.identity,
    })
}

/// When the key was made: it is due by that, not by when it came here.
fn created_at(
    env: &Env,
    account: &impl Account,
    key: &AccessKey,
    name: &EntryName,
    identity: &Identity,
) -> Result<Option<Timestamp>> {
    let signer = Signer::Key(key);
    let asked = account
        .greet_iam(signer, &identity.arn)
        .and_then(|_| account.list_keys(signer, &identity.arn));
    match asked {
        Ok(listed) => {
            let row = listed.value.into_iter().find(|row| row.id == key.id);
            Ok(row.and_then(|row| row.created_at))
        }
        // Another user's IAM: the endpoint is wrong, or lies.
        Err(no) if no.code == OTHER_USER => Err(prove::refused(key, "IAM", &no)),
        Err(no) => {
            if let Some(warning) = not_rotatable(name, key, &no) {
                env.ui.warn(&warning);
            }
            Ok(None)
        }
    }
}

/// What a rotation will need; nothing where it needs no more than an MFA code.
fn not_rotatable(name: &EntryName, key: &AccessKey, no: &CallFailure) -> Option<String> {
    let said = format!("{}: {}", no.code, no.message);
    let id = &key.id;
    if no.class != CallFailureClass::Denied {
        return Some(format!(
            "{id} was proven by STS alone, and is not rotated before IAM accepts it too ({said})\n\
             hint: awskeep rotate {name} --explain"
        ));
    }
    (!wants_mfa(&no.message, Expected::NotSaid)).then(|| {
        format!(
            "{id} may not manage its own keys yet, which a rotation needs ({said})\n\
             hint: what to ask your administrator for: awskeep policy {name}"
        )
    })
}

/// Whose key an entry has: as proven when it was kept, else as STS says now.
///
/// # Errors
/// Those of `prove_existing`.
pub fn identity_of(env: &Env, item: &Item) -> Result<Identity> {
    if let Some(identity) = &item.identity {
        return Ok(identity.clone());
    }
    let account = place::account(env, &place::place_of(item))?;
    Ok(prove::prove_existing(&account, &item.current.key())?.identity)
}

/// The item for a proven key; nothing is written yet.
pub fn item(
    entries: &Entries<'_>,
    name: &EntryName,
    key: AccessKey,
    place: Place,
    proven: Option<Proven>,
) -> Result<Item> {
    let mut item = Item::new(name.clone(), key, Timestamp::default());
    item.current.created_at = proven.as_ref().and_then(|proven| proven.created_at);
    item.identity = proven.map(|proven| proven.identity);
    item.region = place.region;
    item.partition = place.partition;
    item.endpoint = place.endpoint;
    item.lease = entries.settings.length(Key::Lease, Some(name))?;
    Ok(item)
}

/// What a save may write over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Whatever stands under the name: a person said so, or it was looked at before.
    Anything,
    /// Only an item with this very key.
    SameKeyOnly,
}

/// Saves under both locks, after one more look at what is there.
///
/// # Errors
/// `Kind::Unfinished` if a pending or held key would be lost; `Kind::Store`.
pub fn save(entries: &Entries<'_>, vault: &Vault, mut item: Item, over: Over) -> Result<()> {
    let machine_now = entries.now();
    let _user = entries.lock_user(item.identity.as_ref(), &item.entry)?;
    let _names = entries.lock_names()?;
    item.current.saved_at = machine_now;
    if let (Over::Anything, Err(StoreError::Twins(_))) = (over, vault.bytes(&item.entry)) {
        let twins = vault.twins(&item.entry)?;
        for there in twins.iter().filter_map(Twin::item) {
            lose_nothing(entries, there, "replacing")?;
            refuse_to_lose_anothers(entries, there, &item.entry)?;
        }
        vault.save_over_twins(&item, twins)?;
        return record_store(entries, vault, &item);
    }
    let found = vault.replaceable(&item.entry)?;
    match (&found, over) {
        (Some(Stored::Alias(_)), Over::SameKeyOnly) => return Err(taken(&item)),
        (Some(Stored::Item(there)), Over::SameKeyOnly) if there.current.id != item.current.id => {
            return Err(taken(&item));
        }
        (Some(_) | None, Over::SameKeyOnly | Over::Anything) => {}
    }
    if let Some(Stored::Item(there)) = found {
        lose_nothing(entries, &there, "replacing")?;
        if there.current.id == item.current.id {
            item.current = Slot {
                secret: item.current.secret.duplicate(),
                ..there.current.clone()
            };
        }
        item.handed_out_until = item.handed_out_until.max(there.handed_out_until);
        // No rotation is under way that could need it.
        vault.erase_session(&item.entry)?;
    }
    vault.save_noting(&mut item, machine_now)?;
    record_store(entries, vault, &item)
}

/// Waits until the stores would still have these keys after a crash of the keychain: what
/// else holds them is about to go. Where that is not certain, a person says so; `again`
/// is the command that goes on.
///
/// # Errors
/// `Kind::PersonNeeded` if nobody says so; `Kind::Store` if a key is lost already.
pub fn let_keep(env: &Env, kept: &[StoredEntry], question: &str, again: &str) -> Result<()> {
    let look = || {
        let each = kept.iter();
        each.map(|held| held.vault.kept(&held.item, env.now()))
            .max()
    };
    let mut found = look();
    if let Some(Kept::From(until)) = found {
        env.ui.tell(&durable::waiting(until));
        let left = until.since(env.now());
        env.clock.wait(Duration::from_secs(left.0));
        found = look();
    }
    if let None | Some(Kept::Yes) = found {
        return Ok(());
    }
    for held in kept {
        let name = held.name();
        match held.vault.find(name)? {
            Some(Stored::Item(there)) if *there == held.item => {}
            Some(_) | None => {
                let lost = format!(
                    "entry {name} is not in the {} as it was saved",
                    held.vault.kind
                );
                return Err(Error::new(Kind::Store, lost).hint(again));
            }
        }
    }
    env.ui
        .warn("the keychain may not have these keys on disk yet, and would lose them in a crash");
    let agreed = env.ui.confirm(question);
    agreed.map_err(|failure| failure.hint(format!("or restart the keychain, then: {again}")))
}

/// Refuses to write over another entry's item, which was copied or renamed there in the
/// keychain's own program, where no other one has its key.
fn refuse_to_lose_anothers(entries: &Entries<'_>, there: &Item, name: &EntryName) -> Result<()> {
    let (inside, id) = (&there.entry, &there.current.id);
    if inside == name || entries.holding(id, None)?.is_some() {
        return Ok(());
    }
    let only = format!(
        "one of the items named {name} is that of entry {inside}, and the only one with {id}"
    );
    Err(Error::new(Kind::Store, only).hint(format!(
        "give it its name back: awskeep rename {name} {inside}"
    )))
}

/// The settings say which store an entry is in.
fn record_store(entries: &Entries<'_>, vault: &Vault, item: &Item) -> Result<()> {
    if entries.settings.store(Some(&item.entry))? != vault.kind {
        config::edit(&entries.settings.path, |text| {
            config::with_setting(text, Some(&item.entry), Key::Store, Some(vault.kind.word()))
        })?;
    }
    Ok(())
}

/// Refuses what would forget a key that only this item holds, and names what lets one
/// go on.
///
/// # Errors
/// `Kind::Unfinished` if a pending or replaced key, or a rotation begun, would be lost.
pub fn lose_nothing(entries: &Entries<'_>, item: &Item, doing: &str) -> Result<()> {
    let Some(lost) = item.would_lose() else {
        return Ok(());
    };
    let entry = &item.entry;
    let failure = Error::new(
        Kind::Unfinished,
        format!("{doing} entry {entry} would lose {lost}"),
    );
    let previous = match (&item.pending, &item.previous) {
        (None, Some(previous)) => previous,
        (_, _) => {
            return Err(failure
                .hint(format!("finish it: awskeep rotate {entry} --finish"))
                .hint(format!("or drop it: awskeep rotate {entry} --undo")));
        }
    };
    let settings = &entries.settings;
    let hold = settings.length(Key::Hold, Some(entry))?;
    let hold = lease::hold(hold, options::max_age(settings, entry)?);
    let leased_until = leased_until(previous);
    let wait = match previous.inactive_seen_at {
        Some(seen) => {
            let until = delete_at(previous, seen, hold);
            format!("or after {until}: awskeep rotate {entry} --finish")
        }
        None => format!(
            "or deactivate it after {leased_until}, and delete it {hold} later: awskeep rotate {entry} --finish"
        ),
    };
    Err(failure
        .hint(format!(
            "delete that key at AWS now: awskeep rotate {entry} --delete-now"
        ))
        .hint(wait))
}

fn taken(item: &Item) -> Error {
    Error::new(
        Kind::Unfinished,
        format!(
            "the name {} was taken for another key meanwhile",
            item.entry
        ),
    )
    .hint("run it again")
}
