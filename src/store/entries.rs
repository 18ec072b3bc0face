//! The entries on this machine: which store each is in, finding the one that a
//! person means, and the locks that every writer of an item takes. Edge.

use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::profiles::AwsFiles;
use crate::store::error::StoreError;
use crate::store::file;
use crate::store::file::FileState;
use crate::store::file::passphrase;
use crate::store::item::{Identity, Item, Stored};
use crate::store::{Deadline, Twin, Vault};
use crate::system::disk::{Locks, Taken};
use crate::system::env::Env;
use crate::types::keys::{AccessKeyId, EntryName, ProfileName};
use crate::types::store_kind::StoreKind;
use crate::types::target::Target;
use crate::types::time::Span;

/// How long a renamed entry answers to its old name.
pub const ALIAS_LENGTH: Span = Span::days(30);

/// An entry as found: its item and the store it is in.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    pub item: Item,
    pub vault: Vault,
}

impl StoredEntry {
    pub fn name(&self) -> &EntryName {
        &self.item.entry
    }
}

/// What all stores in use hold, and the stores that could not be read.
#[derive(Debug, Default)]
pub struct Inventory {
    pub held: Vec<StoredEntry>,
    /// Old names: the name, and what it leads to.
    pub aliases: Vec<(EntryName, Vault, crate::store::item::Alias)>,
    /// Stores that could not be read.
    pub troubles: Vec<Error>,
    /// Items that could not be read: damaged, or of a newer awskeep.
    pub unreadable: Vec<Error>,
    /// The encrypted file, if it stays locked: what its entries hold is not known.
    pub locked: Option<Error>,
}

/// A name whose item cannot be read, and the store it is in.
#[derive(Debug)]
pub struct Broken {
    pub name: EntryName,
    pub vault: Vault,
    /// The items, where there are several; none for one that is damaged.
    pub twins: Vec<Twin>,
}

/// The entries of this machine.
pub struct Entries<'m> {
    env: &'m Env,
    pub settings: Settings,
}

impl<'m> Entries<'m> {
    /// # Errors
    /// `Kind::Usage` for mistakes in the settings.
    pub fn open(env: &'m Env) -> Result<Entries<'m>> {
        let settings = Settings::load(env)?;
        settings.refuse_mistakes()?;
        Ok(Entries { env, settings })
    }

    pub fn now(&self) -> crate::types::time::Timestamp {
        self.env.now()
    }

    /// A store that items are read from or written to, with the settings' deadline for
    /// each call. A locked encrypted file is opened first, if its passphrase can be had.
    pub fn vault(&self, kind: StoreKind) -> Result<Vault> {
        match kind {
            StoreKind::File => passphrase::open_if_locked(self.env)?,
            StoreKind::Keychain => {}
        }
        self.vault_as_it_is(kind)
    }

    /// A store that is asked only whether it works and which names it has.
    pub fn vault_as_it_is(&self, kind: StoreKind) -> Result<Vault> {
        Vault::open(kind, self.env, Deadline::PerCall(self.settings.deadline()?))
    }

    /// The stores that entries may be in: the chosen ones, and the file if it was made.
    pub fn stores_in_use(&self) -> Result<Vec<StoreKind>> {
        let mut kinds = vec![self.settings.store(None)?];
        for entry in self.settings.sections() {
            kinds.push(self.settings.store(Some(entry))?);
        }
        if !self.file_is(FileState::Missing)? {
            kinds.push(StoreKind::File);
        }
        kinds.sort();
        kinds.dedup();
        Ok(kinds)
    }

    fn file_is(&self, state: FileState) -> Result<bool> {
        let store = file::FileStore::new(self.env.file_store_folder()?);
        Ok(store.state().is_ok_and(|found| found == state))
    }

    /// Everything that is stored, as far as it can be read.
    pub fn inventory(&self) -> Result<Inventory> {
        self.inventory_with(None)
    }

    /// The same with the store that something is going to, which a dry run has not made.
    pub fn inventory_with(&self, to: Option<StoreKind>) -> Result<Inventory> {
        let mut kinds = self.stores_in_use()?;
        kinds.extend(to.filter(|kind| !kinds.contains(kind)));
        let mut inventory = Inventory::default();
        let nobody_chose = !self.settings.store_is_chosen(None) && kinds.len() > 1;
        for kind in kinds {
            let vault = self.vault_as_it_is(kind)?;
            let found = match vault.look() {
                Ok(found) => found,
                // Nothing was ever put there: that is no trouble.
                Err(StoreError::Absent(_) | StoreError::NoCollection(_))
                    if kind == StoreKind::File || nobody_chose =>
                {
                    continue;
                }
                Err(fault) => {
                    inventory.troubles.push(fault.failure(kind, None));
                    continue;
                }
            };
            let unseen = found.unseen.iter();
            inventory
                .troubles
                .extend(unseen.map(|fault| fault.failure(kind, None)));
            if !found.names.is_empty() {
                self.vault(kind)?;
            }
            for name in found.names {
                match vault.find(&name) {
                    Ok(Some(Stored::Item(item))) => inventory.held.push(StoredEntry {
                        item: *item,
                        vault: vault.clone(),
                    }),
                    Ok(Some(Stored::Alias(alias))) => {
                        inventory.aliases.push((name, vault.clone(), alias))
                    }
                    Ok(None) => {}
                    Err(failure) => inventory.unreadable.push(failure),
                }
            }
            if kind == StoreKind::File && self.file_is(FileState::Locked)? {
                inventory.locked = inventory.unreadable.last().cloned();
            }
        }
        inventory.held.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(inventory)
    }

    /// One entry; an old name leads to the renamed entry.
    ///
    /// # Errors
    /// `Kind::NotFound`, or `Kind::Store` if its store cannot be read.
    pub fn get(&self, name: &EntryName) -> Result<StoredEntry> {
        match self.find(name)? {
            Some(Stored::Item(item)) => self.held(*item),
            Some(Stored::Alias(alias)) => match self.find(&alias.renamed_to)? {
                Some(Stored::Item(item)) => self.held(*item),
                Some(Stored::Alias(_)) | None => Err(self.not_found(name)),
            },
            None => Err(self.not_found(name)),
        }
    }

    /// What stands under a name in the store that the settings say.
    pub fn find(&self, name: &EntryName) -> Result<Option<Stored>> {
        let vault = self.vault(self.settings.store(Some(name))?)?;
        vault.find(name)
    }

    /// The entry that a person means: the named one, the one that the named
    /// profile (or `AWS_PROFILE`) uses, or the only one there is.
    ///
    /// # Errors
    /// `Kind::Usage` if the name means two things, or nothing was named and
    /// there are several; `Kind::NotFound` if there is none.
    pub fn meant(&self, target: &Target) -> Result<StoredEntry> {
        if let Some(entry) = &target.entry {
            return self.get(entry);
        }
        if let Some(profile) = &target.profile {
            return self.used_by(profile);
        }
        if let Some(name) = &target.name {
            return self.entry_or_profile(name);
        }
        if let Some(profile) = self.env.var("AWS_PROFILE") {
            let profile: ProfileName = profile.parse()?;
            return self.used_by(&profile);
        }
        let mut inventory = self.inventory()?;
        if !inventory.troubles.is_empty() {
            return Err(inventory.troubles.swap_remove(0));
        }
        let mut unreadable = inventory.unreadable.into_iter();
        match (
            inventory.held.pop(),
            inventory.held.is_empty(),
            unreadable.next(),
        ) {
            (Some(only), true, None) => Ok(only),
            (None, _, Some(failure)) => Err(failure),
            (None, _, None) => {
                Err(Error::new(Kind::NotFound, "there are no entries yet").hint("awskeep add NAME"))
            }
            (Some(_), _, _) => Err(Error::new(
                Kind::Usage,
                "there are several entries: name the one you mean",
            )
            .hint("awskeep list")),
        }
    }

    /// What stands under the name that a person means, if it cannot be read as an entry:
    /// something damaged, or several items. None for all else.
    ///
    /// # Errors
    /// `Kind::Store` if it cannot be looked at.
    pub fn broken(&self, target: &Target) -> Result<Option<Broken>> {
        let by_profile = |profile: &str| {
            let profiles = AwsFiles::read(self.env)?;
            Ok::<_, Error>(profiles.entry_of(profile))
        };
        let name = match (&target.entry, &target.profile, &target.name) {
            (Some(entry), _, _) => Some(entry.clone()),
            (None, Some(profile), _) => by_profile(profile.as_str())?,
            (None, None, Some(name)) => match name.parse() {
                Ok(entry) => Some(entry),
                Err(_) => by_profile(name)?,
            },
            (None, None, None) => None,
        };
        let Some(name) = name else {
            return Ok(None);
        };
        let vault = self.vault(self.settings.store(Some(&name))?)?;
        let twins = match vault.bytes(&name) {
            Err(StoreError::Twins(_)) => vault.twins(&name)?,
            Err(StoreError::Corrupt(_)) => Vec::new(),
            Ok(_) if vault.replaceable(&name)?.is_none() => Vec::new(),
            Ok(_) | Err(_) => return Ok(None),
        };
        Ok(Some(Broken { name, vault, twins }))
    }

    /// The entry that holds a key id in any slot; an item that cannot be read holds none.
    /// `to` is the store that the key is going to.
    ///
    /// # Errors
    /// `Kind::Store` if a store in use cannot be read.
    pub fn holding(&self, id: &AccessKeyId, to: Option<StoreKind>) -> Result<Option<StoredEntry>> {
        let inventory = self.inventory_with(to)?;
        if let Some(trouble) = inventory
            .troubles
            .into_iter()
            .chain(inventory.locked)
            .next()
        {
            return Err(trouble);
        }
        Ok(inventory
            .held
            .into_iter()
            .find(|held| held.item.slots().any(|(_, slot)| slot.id == *id)))
    }

    /// The lock that every writer of this IAM user's items holds.
    ///
    /// # Errors
    /// `Kind::Unfinished` if another awskeep does not finish in time, or if there is no
    /// place for a lock.
    pub fn lock_user(&self, identity: Option<&Identity>, entry: &EntryName) -> Result<Locks> {
        self.try_lock_user(identity, entry)?.required()
    }

    /// The same, for the one command that goes on without a lock where there is no place
    /// for one.
    pub fn try_lock_user(&self, identity: Option<&Identity>, entry: &EntryName) -> Result<Taken> {
        self.env.try_lock(&lock_name(identity, entry))
    }

    /// The same without waiting, for who only looks; none if another awskeep holds it.
    pub fn glance_at_user(&self, identity: Option<&Identity>, entry: &EntryName) -> Option<Taken> {
        let name = lock_name(identity, entry);
        self.env.locks.glance(&name)
    }

    /// Another awskeep that holds the lock now.
    pub fn at_work(&self, identity: Option<&Identity>, entry: &EntryName) -> Option<String> {
        self.env.locks.holder(&lock_name(identity, entry))
    }

    /// The lock that guards names: held, after the user's, by whoever makes or
    /// removes an item.
    pub fn lock_names(&self) -> Result<Locks> {
        self.env.lock("names.lock")
    }

    fn held(&self, item: Item) -> Result<StoredEntry> {
        let vault = self.vault(self.settings.store(Some(&item.entry))?)?;
        Ok(StoredEntry { item, vault })
    }

    fn entry_or_profile(&self, name: &str) -> Result<StoredEntry> {
        let profiles = AwsFiles::read(self.env)?;
        let by_profile = profiles.entry_of(name);
        let Ok(entry) = name.parse::<EntryName>() else {
            return match by_profile {
                Some(entry) => self.get(&entry),
                None => Err(role(&profiles, name).unwrap_or_else(|| {
                    Error::new(Kind::NotFound, format!("no profile {name:?} uses awskeep"))
                        .hint("awskeep list")
                })),
            };
        };
        let is_entry = self.find(&entry)?.is_some();
        match by_profile {
            Some(other) if is_entry && self.get(&other)?.name() != self.get(&entry)?.name() => {
                Err(Error::new(
                    Kind::Usage,
                    format!("{name} is an entry, and a profile that uses entry {other}"),
                )
                .hint(format!("say --entry {name} or --profile {name}")))
            }
            Some(other) if !is_entry => self.get(&other),
            None if !is_entry => match role(&profiles, name) {
                Some(failure) => Err(failure),
                None => self.get(&entry),
            },
            Some(_) | None => self.get(&entry),
        }
    }

    fn used_by(&self, profile: &ProfileName) -> Result<StoredEntry> {
        let profiles = AwsFiles::read(self.env)?;
        match profiles.entry_of(profile.as_str()) {
            Some(entry) => self.get(&entry),
            None => Err(role(&profiles, profile.as_str()).unwrap_or_else(|| {
                Error::new(
                    Kind::NotFound,
                    format!("profile {profile} does not use awskeep"),
                )
                .hint(format!("awskeep add {profile}"))
                .hint("or name an entry: awskeep list")
            })),
        }
    }

    fn not_found(&self, name: &EntryName) -> Error {
        match self.settings.store(Some(name)) {
            Ok(kind) => StoreError::NoEntry.failure(kind, Some(name)),
            Err(failure) => failure,
        }
    }
}

/// A role has no key: what is meant is that of its source, which must be said.
fn role(profiles: &AwsFiles, profile: &str) -> Option<Error> {
    let (source, entry) = profiles.role_on(profile)?;
    Some(
        Error::new(
            Kind::NotFound,
            format!("{profile} is a role on {source}, whose key is entry {entry}"),
        )
        .hint(format!("awskeep status {entry}"))
        .hint(format!("or replace its key: awskeep rotate {entry}")),
    )
}

/// The name of the lock of an IAM user, or of an entry whose user is not known yet.
fn lock_name(identity: Option<&Identity>, entry: &EntryName) -> String {
    match identity {
        Some(Identity { arn, .. }) => format!(
            "user-{}-{}-{}.lock",
            arn.partition(),
            arn.account(),
            arn.user_name()
        ),
        None => format!("entry-{entry}.lock"),
    }
}
