//! One entry's whole truth as one versioned JSON document, the only thing that
//! is ever stored. Pure.
//!
//! Because slots, times, lease and endpoint sit in one item, a promote is one
//! write and a crash leaves no two places to reconcile. Two numbers keep old and
//! new programs from harming each other's data:
//! `v` is the format of what is set in it; a program never writes over a larger one;
//! `min_reader` is the format that a reader must know to serve `current`.
//! The name that an item is stored under stands inside it too, and every reader compares:
//! files can be copied, and attributes edited in a keychain's own program.
//! Fields that this program does not know are kept as they are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::store::durable::TakenBy;
use crate::types::escape;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName, Secret, SlotName, UserArn};
use crate::types::lease;
use crate::types::time::{Span, Timestamp};

/// The newest format that this program writes: of an item that needs it.
pub const VERSION: u32 = 2;

/// What every program reads and writes.
const FIRST: u32 = 1;

/// The largest item that every store takes: Windows' Credential Manager allows
/// 2,560 bytes; half of it leaves room for programs that store UTF-16.
pub const MAX_BYTES: usize = 2_500;

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Only a newer program's format is kept here; `encode` knows that of every other item.
    pub v: u32,
    /// The oldest format whose readers may serve `current` from this.
    pub min_reader: u32,
    pub entry: EntryName,
    /// What STS said of the key; none for a key added with `--no-verify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    #[serde(deserialize_with = "escape::as_read")]
    pub region: String,
    #[serde(deserialize_with = "escape::as_read")]
    pub partition: String,
    /// Only where it is not AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// What `Expiration` is computed from; a change counts from the next promote on.
    pub lease: Span,
    pub current: Slot,
    /// Created, not yet proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Slot>,
    /// Replaced, not yet deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Slot>,
    /// Written before CreateAccessKey is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Until when `current` was handed out without a way back (`env`, `exec --env`,
    /// `export`, a key that came from a file).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_out_until: Option<Timestamp>,
    /// When a person asked for `previous` back; gone once it is `current` again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_wanted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub serve: Serve,
    /// Until when a key that was served before sessions were may be in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_served_until: Option<Timestamp>,
    /// Raised by whoever erases sessions: what was asked for under an older one is dropped.
    #[serde(default, skip_serializing_if = "is_default")]
    pub session_epoch: u32,
    /// Fields of newer programs, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Whom a proven key belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub arn: UserArn,
    /// `AIDA…`, which a user of the same name made later does not share.
    #[serde(deserialize_with = "escape::as_read")]
    pub user_id: String,
}

/// Endpoints that are not AWS's own, proven with the key and fixed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub sts: String,
    pub iam: String,
}

/// What the helper hands out for an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serve {
    #[default]
    Key,
    Session,
}

/// One key and the times of its life.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    pub id: AccessKeyId,
    #[serde(serialize_with = "Secret::expose_for_store")]
    pub secret: Secret,
    /// When AWS made it, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was saved here.
    pub saved_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Timestamp>,
    /// Which process of the keychain took this key into service, where that does not sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<TakenBy>,
    /// Until when someone may rightly still use this replaced key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<Timestamp>,
    /// When it was last asked of AWS to deactivate or delete this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire_started_at: Option<Timestamp>,
    /// When AWS first said that this key is inactive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_seen_at: Option<Timestamp>,
    /// When a list showed this key active again after that: a person did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactivated_seen_at: Option<Timestamp>,
    /// When a successful list first lacked this key; none again once a list shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_seen_at: Option<Timestamp>,
    /// When a person said that it has leaked: it is never brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Who sent its successor and retires it; nobody here does.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "escape::if_read"
    )]
    pub kept_for: Option<String>,
    /// A command of the user's was started with this key, and has not said that it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivering: Option<Delivery>,
    /// Those that have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<Delivery>,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// That a key was given to a command of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// A hash of the command, which may itself be long.
    #[serde(deserialize_with = "escape::as_read")]
    pub command: String,
    pub at: Timestamp,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The announcement of a CreateAccessKey, written and read back before the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    pub nonce: String,
    pub at: Timestamp,
    pub host: String,
    /// The ids that IAM listed before.
    pub seen: Vec<AccessKeyId>,
    /// Fills the item up to the size that the save of the new key will need.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pad: String,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What a store holds under an entry's name.
#[derive(Debug, PartialEq)]
pub enum Stored {
    Item(Box<Item>),
    /// The entry was renamed and answers to this name until a time.
    Alias(Alias),
}

/// A renamed entry's old name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    pub v: u32,
    pub min_reader: u32,
    /// The old name; none in what earlier programs wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryName>,
    pub renamed_to: EntryName,
    pub until: Timestamp,
}

impl Clone for Slot {
    fn clone(&self) -> Slot {
        Slot {
            id: self.id.clone(),
            secret: self.secret.duplicate(),
            created_at: self.created_at,
            saved_at: self.saved_at,
            promoted_at: self.promoted_at,
            taken_by: self.taken_by.clone(),
            leased_until: self.leased_until,
            retire_started_at: self.retire_started_at,
            inactive_seen_at: self.inactive_seen_at,
            reactivated_seen_at: self.reactivated_seen_at,
            absent_seen_at: self.absent_seen_at,
            revoked_at: self.revoked_at,
            kept_for: self.kept_for.clone(),
            delivering: self.delivering.clone(),
            delivered: self.delivered.clone(),
            unknown: self.unknown.clone(),
        }
    }
}

impl Slot {
    pub fn new(key: AccessKey, saved_at: Timestamp) -> Slot {
        Slot {
            id: key.id,
            secret: key.secret,
            created_at: None,
            saved_at,
            promoted_at: None,
            taken_by: None,
            leased_until: None,
            retire_started_at: None,
            inactive_seen_at: None,
            reactivated_seen_at: None,
            absent_seen_at: None,
            revoked_at: None,
            kept_for: None,
            delivering: None,
            delivered: Vec::new(),
            unknown: Map::new(),
        }
    }

    /// Whether programs of the first format would treat it wrongly.
    fn is_second_format(&self) -> bool {
        self.revoked_at.is_some()
            || self.kept_for.is_some()
            || self.delivering.is_some()
            || !self.delivered.is_empty()
    }

    /// The key pair, for signing.
    pub fn key(&self) -> AccessKey {
        AccessKey {
            id: self.id.clone(),
            secret: self.secret.duplicate(),
        }
    }
}

impl Item {
    pub fn new(entry: EntryName, key: AccessKey, now: Timestamp) -> Item {
        Item {
            v: FIRST,
            min_reader: FIRST,
            entry,
            identity: None,
            region: String::new(),
            partition: "aws".into(),
            endpoint: None,
            lease: lease::DEFAULT_LEASE,
            current: Slot::new(key, now),
            pending: None,
            previous: None,
            intent: None,
            handed_out_until: None,
            undo_wanted_at: None,
            serve: Serve::Key,
            keys_served_until: None,
            session_epoch: 0,
            unknown: Map::new(),
        }
    }

    /// The `v` and `min_reader` that it is stored with: older programs do not write over
    /// what they would treat wrongly, and serve no key where a session is wanted.
    fn format(&self) -> (u32, u32) {
        let second = self.serve != Serve::Key
            || self.keys_served_until.is_some()
            || self.session_epoch > 0
            || self.slots().any(|(_, slot)| slot.is_second_format());
        let v = if second { VERSION } else { FIRST };
        match self.serve {
            Serve::Key => (v, FIRST),
            Serve::Session => (v, VERSION),
        }
    }

    /// Every slot that is filled, with its name.
    pub fn slots(&self) -> impl Iterator<Item = (SlotName, &Slot)> {
        [
            (SlotName::Current, Some(&self.current)),
            (SlotName::Pending, self.pending.as_ref()),
            (SlotName::Previous, self.previous.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, slot)| Some((name, slot?)))
    }

    /// Where this key is.
    pub fn place_of(&self, id: &AccessKeyId) -> Option<SlotName> {
        let mut slots = self.slots();
        slots.find_map(|(name, slot)| (slot.id == *id).then_some(name))
    }

    /// The slot that holds this key.
    pub fn slot_of(&mut self, id: &AccessKeyId) -> Option<&mut Slot> {
        let slots = [
            Some(&mut self.current),
            self.pending.as_mut(),
            self.previous.as_mut(),
        ];
        slots.into_iter().flatten().find(|slot| slot.id == *id)
    }

    /// What would be lost, in words, if this item went away: a pending or held key.
    pub fn would_lose(&self) -> Option<String> {
        if let Some(pending) = &self.pending {
            return Some(format!("the pending key {}", pending.id));
        }
        if let Some(previous) = &self.previous {
            return Some(format!("the replaced key {}", previous.id));
        }
        self.intent
            .as_ref()
            .map(|intent| format!("a rotation started at {}", intent.at))
    }
}

/// The parts of an item that serving needs, whatever program wrote it.
#[derive(Deserialize)]
pub struct Served {
    min_reader: u32,
    entry: EntryName,
    #[serde(default)]
    serve: Serve,
    #[serde(default)]
    pub identity: Option<ServedIdentity>,
    pub lease: Span,
    pub current: ServedSlot,
}

/// The account is all that serving needs of the identity.
#[derive(Deserialize)]
pub struct ServedIdentity {
    pub arn: UserArn,
}

/// The pair that is served.
#[derive(Deserialize)]
pub struct ServedSlot {
    pub id: AccessKeyId,
    pub secret: Secret,
}

/// What the helper found: a key to serve, or another name to look under.
pub enum ToServe {
    Key(Served),
    RenamedTo(Alias),
}

#[derive(Deserialize)]
struct Format {
    v: u32,
    min_reader: u32,
    #[serde(default)]
    renamed_to: Option<EntryName>,
}

/// The name inside an item of any format.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    entry: Option<EntryName>,
}

/// Reads only what serving needs.
///
/// # Errors
/// `Kind::Store` for bytes that are no item, an item of another name, or one that needs
/// a newer helper: there is none yet that serves sessions.
pub fn to_serve(entry: &EntryName, bytes: &[u8]) -> Result<ToServe> {
    match serde_json::from_slice::<Served>(bytes) {
        Ok(served) if served.min_reader <= VERSION && served.serve == Serve::Key => {
            same_name(entry, &served.entry)?;
            within_bounds(entry, served.lease)?;
            Ok(ToServe::Key(served))
        }
        Ok(_) => Err(newer(entry)),
        Err(_) => match decode(entry, bytes)? {
            Stored::Alias(alias) => Ok(ToServe::RenamedTo(alias)),
            Stored::Item(_) => Err(corrupt(entry, "the item cannot be served")),
        },
    }
}

/// Reads a whole item, to show or to change it.
///
/// # Errors
/// `Kind::Store` for bytes that are no item, an item of another name, or one of a newer
/// program.
pub fn decode(entry: &EntryName, bytes: &[u8]) -> Result<Stored> {
    check_name(entry, bytes)?;
    let format: Format =
        serde_json::from_slice(bytes).map_err(|error| corrupt(entry, &place(&error)))?;
    if format.v > VERSION && format.min_reader > VERSION {
        return Err(newer(entry));
    }
    if format.renamed_to.is_some() {
        return serde_json::from_slice(bytes)
            .map(Stored::Alias)
            .map_err(|error| corrupt(entry, &place(&error)));
    }
    let mut item: Item =
        serde_json::from_slice(bytes).map_err(|error| corrupt(entry, &place(&error)))?;
    within_bounds(entry, item.lease)?;
    if item.v <= VERSION {
        (item.v, item.min_reader) = (FIRST, FIRST);
    }
    Ok(Stored::Item(Box::new(item)))
}

/// Refuses an item that is another entry's; damaged bytes have no name.
///
/// # Errors
/// `Kind::Store` with both names.
pub fn check_name(entry: &EntryName, bytes: &[u8]) -> Result<()> {
    match name_inside(bytes) {
        Some(inside) => same_name(entry, &inside),
        None => Ok(()),
    }
}

/// Whose item it says that it is.
pub fn name_inside(bytes: &[u8]) -> Option<EntryName> {
    serde_json::from_slice(bytes)
        .ok()
        .and_then(|Named { entry }| entry)
}

fn same_name(entry: &EntryName, inside: &EntryName) -> Result<()> {
    match inside == entry {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Store,
            format!("what is stored as {entry} is the item of entry {inside}"),
        )
        .cause("it was copied or renamed, and not by awskeep")
        .hint(format!(
            "if it is the only item of {inside}, give it that name back where you renamed it; \
             otherwise delete it there, then: awskeep add {entry}"
        ))),
    }
}

/// A lease longer than the setting allows was written by nobody who meant it.
fn within_bounds(entry: &EntryName, lease: Span) -> Result<()> {
    let most = lease::LONGEST_LEASE;
    match lease > most {
        true => Err(corrupt(
            entry,
            &format!("its lease is {lease}; at most {most}"),
        )),
        false => Ok(()),
    }
}

/// The bytes to store.
///
/// # Errors
/// `Kind::Store` if a newer program wrote the item (it would be harmed), or if it
/// is larger than every store takes.
pub fn encode(item: &Item) -> Result<Zeroizing<Vec<u8>>> {
    if item.v > VERSION {
        return Err(newer(&item.entry));
    }
    let (v, min_reader) = item.format();
    let written = Item {
        v,
        min_reader,
        ..item.clone()
    };
    let bytes = Zeroizing::new(to_json(&written)?);
    if bytes.len() > MAX_BYTES {
        return Err(Error::new(
            Kind::Store,
            format!(
                "entry {} would take {} bytes; every store takes {MAX_BYTES}",
                item.entry,
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}

/// The bytes that stand under a renamed entry's old name.
pub fn encode_alias(
    entry: &EntryName,
    renamed_to: &EntryName,
    until: Timestamp,
) -> Result<Zeroizing<Vec<u8>>> {
    let alias = Alias {
        v: FIRST,
        min_reader: FIRST,
        entry: Some(entry.clone()),
        renamed_to: renamed_to.clone(),
        until,
    };
    to_json(&alias).map(Zeroizing::new)
}

/// Whether these are the bytes of an item that a newer program wrote.
pub fn is_newer(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Format>(bytes).is_ok_and(|format| format.v > VERSION)
}

/// The failure for an item that a newer awskeep wrote.
pub fn newer(entry: &EntryName) -> Error {
    Error::new(
        Kind::Store,
        format!("entry {entry} was written by a newer awskeep"),
    )
    .hint("update awskeep on this machine")
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(super) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    // One allocation that is large enough, so that no copy of the secret is left behind by growth.
    let mut bytes = Vec::with_capacity(2 * MAX_BYTES);
    serde_json::to_writer(&mut bytes, value)
        .map_err(|error| Error::new(Kind::Bug, "an item cannot be written as JSON").cause(error))?;
    Ok(bytes)
}

fn corrupt(entry: &EntryName, what: &str) -> Error {
    Error::new(
        Kind::Store,
        format!("the stored item of entry {entry} is damaged"),
    )
    .cause(what)
    .hint(format!("awskeep add {entry} --replace"))
}

/// Where the JSON is wrong; serde_json's own text could quote a value.
fn place(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or of the wrong form",
        serde_json::error::Category::Eof => "it ends early",
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> EntryName {
        "work".parse().unwrap()
    }

    fn item() -> Item {
        let key = AccessKey::from_pasted("AKIAIOSFODNN7EXAMPLE", "secret/EXAMPLE").unwrap();
        Item::new(entry(), key, Timestamp(1_795_420_800))
    }

    #[test]
    fn an_item_comes_back_as_it_was() {
        let mut full = item();
        full.identity = Some(Identity {
            arn: "arn:aws:iam::123456789012:user/a/bob"
                .to_owned()
                .try_into()
                .unwrap(),
            user_id: "AIDAEXAMPLE".into(),
        });
        full.pending = Some(full.current.clone());
        full.previous = Some(full.current.clone());
        full.intent = Some(Intent {
            nonce: "0123456789abcdef".into(),
            at: Timestamp(5),
            host: "host".into(),
            seen: vec![full.current.id.clone()],
            pad: String::new(),
            unknown: Map::new(),
        });
        let bytes = encode(&full).unwrap();
        assert!(bytes.len() < 1_200, "{} bytes", bytes.len());
        assert_eq!(
            decode(&entry(), &bytes).unwrap(),
            Stored::Item(Box::new(full))
        );
    }

    #[test]
    fn fields_of_a_newer_program_are_kept() {
        let text = String::from_utf8(encode(&item()).unwrap().to_vec()).unwrap();
        let text = text.replacen("{\"v\":1", "{\"colour\":\"red\",\"v\":1", 1);
        let Stored::Item(read) = decode(&entry(), text.as_bytes()).unwrap() else {
            panic!()
        };
        let again = encode(&read).unwrap();
        assert!(String::from_utf8_lossy(&again).contains("\"colour\":\"red\""));
    }

    #[test]
    fn a_newer_item_is_served_but_never_written_over() {
        let mut newer = item();
        newer.v = VERSION + 1;
        let bytes = serde_json::to_vec(&newer).unwrap();
        assert!(matches!(to_serve(&entry(), &bytes), Ok(ToServe::Key(_))));
        let Stored::Item(read) = decode(&entry(), &bytes).unwrap() else {
            panic!()
        };
        assert_eq!(encode(&read).unwrap_err().kind, Kind::Store);

        newer.min_reader = VERSION + 1;
        let bytes = serde_json::to_vec(&newer).unwrap();
        for refused in [
            to_serve(&entry(), &bytes).err().unwrap(),
            decode(&entry(), &bytes).unwrap_err(),
        ] {
            assert_eq!(refused.message, "entry work was written by a newer awskeep");
        }
    }

    /// What the first format's program does with these bytes: serve it, write over it.
    fn by_the_first_format(bytes: &[u8]) -> (bool, bool) {
        #[derive(Deserialize)]
        struct Read {
            v: u32,
            min_reader: u32,
        }
        let read: Read = serde_json::from_slice(bytes).unwrap();
        (read.min_reader <= 1, read.v <= 1)
    }

    #[test]
    fn what_the_first_format_would_treat_wrongly_it_serves_and_does_not_write_over() {
        let delivery = || Delivery {
            command: "0a1b2c3d".into(),
            at: Timestamp(7),
            unknown: Map::new(),
        };
        let changes: [fn(&mut Item, Delivery); 7] = [
            |item, _| item.current.revoked_at = Some(Timestamp(1)),
            |item, _| item.previous.as_mut().unwrap().kept_for = Some("build host".into()),
            |item, to| item.pending.as_mut().unwrap().delivering = Some(to),
            |item, to| item.pending.as_mut().unwrap().delivered.push(to),
            |item, _| item.keys_served_until = Some(Timestamp(3)),
            |item, _| item.session_epoch = 4,
            |item, _| item.serve = Serve::Session,
        ];
        let mut plain = item();
        plain.pending = Some(plain.current.clone());
        plain.previous = Some(plain.current.clone());
        let first = encode(&plain).unwrap();
        assert_eq!(by_the_first_format(&first), (true, true));
        for change in changes {
            let mut changed = plain.clone();
            change(&mut changed, delivery());
            let bytes = encode(&changed).unwrap();
            let is_served = changed.serve == Serve::Key;
            assert_eq!(by_the_first_format(&bytes), (is_served, false));
            assert_eq!(to_serve(&entry(), &bytes).is_ok(), is_served);
            let read = decode(&entry(), &bytes).unwrap();
            assert_eq!(read, Stored::Item(Box::new(changed)));
        }
    }

    #[test]
    fn what_needs_the_second_format_no_longer_is_written_in_the_first_again() {
        let mut revoked = item();
        revoked.previous = Some(revoked.current.clone());
        revoked.previous.as_mut().unwrap().revoked_at = Some(Timestamp(1));
        let bytes = encode(&revoked).unwrap();
        let Stored::Item(mut read) = decode(&entry(), &bytes).unwrap() else {
            panic!()
        };
        read.previous = None;
        assert_eq!(*encode(&read).unwrap(), *encode(&item()).unwrap());
    }

    #[test]
    fn words_of_a_stored_item_are_safe_to_print() {
        let mut odd = item();
        odd.region = "eu\u{202e}".into();
        odd.current.kept_for = Some("host\u{202e}".into());
        let Stored::Item(read) = decode(&entry(), &encode(&odd).unwrap()).unwrap() else {
            panic!()
        };
        assert_eq!(read.region, "eu\\u{202e}");
        assert_eq!(read.current.kept_for.as_deref(), Some("host\\u{202e}"));
    }

    #[test]
    fn damage_is_named_without_quoting_it() {
        for bytes in [
            &b"wJalrSECRET"[..],
            b"",
            b"{\"v\":1}",
            b"{\"v\":1,\"min_reader\":1,\"current\":\"wJalrSECRET\"}",
        ] {
            let failure = to_serve(&entry(), bytes).err().unwrap();
            assert_eq!(failure.kind, Kind::Store);
            assert!(!failure.to_string().contains("SECRET"), "{failure}");
        }
    }

    #[test]
    fn an_old_name_leads_to_the_new_one() {
        let bytes = encode_alias(&entry(), &"new".parse().unwrap(), Timestamp(9)).unwrap();
        let Ok(ToServe::RenamedTo(alias)) = to_serve(&entry(), &bytes) else {
            panic!()
        };
        assert_eq!(
            (alias.renamed_to.as_str(), alias.until),
            ("new", Timestamp(9))
        );
    }

    #[test]
    fn an_item_stored_under_another_name_is_refused() {
        let other: EntryName = "prod".parse().unwrap();
        let mut newer = item();
        newer.v = VERSION + 1;
        for bytes in [
            encode(&item()).unwrap().to_vec(),
            encode_alias(&entry(), &"new".parse().unwrap(), Timestamp(9))
                .unwrap()
                .to_vec(),
            serde_json::to_vec(&newer).unwrap(),
        ] {
            assert!(decode(&entry(), &bytes).is_ok());
            for refused in [
                decode(&other, &bytes).unwrap_err(),
                to_serve(&other, &bytes).err().unwrap(),
                check_name(&other, &bytes).unwrap_err(),
            ] {
                assert_eq!(
                    (refused.kind, refused.message.as_str()),
                    (
                        Kind::Store,
                        "what is stored as prod is the item of entry work"
                    )
                );
            }
        }
    }

    #[test]
    fn an_old_name_from_before_names_stood_in_it_still_leads_to_the_new_one() {
        let bytes = br#"{"v":1,"min_reader":1,"renamed_to":"new","until":"2026-12-01T00:00:00Z"}"#;
        assert!(matches!(
            to_serve(&entry(), bytes),
            Ok(ToServe::RenamedTo(_))
        ));
    }
}
