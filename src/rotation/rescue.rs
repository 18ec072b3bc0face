//! Getting an entry whose served key is dead back into service, with the rights of
//! somebody else who may handle the user's keys; `ways` decides. Edge, but for what it
//! is given. Every stop in the middle leaves what the next run goes on from.

use super::denial::denied;
use super::known::{Proof, believable};
use super::proving::{self, pause};
use super::run::{CREATE_RECEIPT, Tools, created_under, nonce};
use super::ways::{NowIs, Which, served, slot_of};
use crate::disk::host_in;
use crate::escape;
use crate::failure::{Failure, Kind, Outcome};
use crate::iam_account::{
    Account, CallFailure, CallFailureClass as Class, CreatedKey, KeyStatus, ListedKey, Signer,
};
use crate::keys::{AccessKeyId, EntryName};
use crate::state::Receipt;
use crate::time::{Length, Time};
use crate::vault::item::{Identity, Intent, Item, Slot, Stored};

/// How long somebody else's intent is respected, as in `plan`.
const FOREIGN_FRESH: Length = Length::minutes(10);

/// Room for the new key in the item: a slot with all its times is smaller.
const PAD_BYTES: usize = 300;

/// How often CreateAccessKey is sent again after an answer that it was not done.
const CREATES: u32 = 3;

/// A rescue under way. The caller holds the lock of the entry's IAM user.
pub struct Rescue<'a, A> {
    pub tools: &'a Tools<'a, A>,
    pub entry: &'a EntryName,
    pub identity: &'a Identity,
    /// Who may handle the user's keys.
    pub signer: Signer<'a>,
    /// The keys that AWS listed, and its own time then.
    pub listed: Vec<ListedKey>,
    pub aws_time: Option<Time>,
}

impl<A: Account> Rescue<'_, A> {
    /// Activates a key of the entry if need be, proves it, and serves it.
    ///
    /// # Errors
    /// `Kind::Unfinished` while AWS does not accept it yet; `Kind::Aws` for refusals.
    pub fn put_back(&self, which: Which, now_is: NowIs) -> Outcome<Item> {
        let item = self.read()?;
        let Some(slot) = slot_of(&item, which).cloned() else {
            return Err(self.changed());
        };
        if now_is == NowIs::Inactive {
            let active = KeyStatus::Active;
            let said =
                self.tools
                    .account
                    .set_status(self.signer, &self.identity.arn, &slot.id, &active);
            match said {
                Ok(answer) => self.note("activate", &slot.id, answer.request_id, "done"),
                Err(no) => return Err(self.refused("activate", "UpdateAccessKey", &slot.id, &no)),
            }
        }
        // The intent that tells of them ends when this key is served.
        self.delete_lost(&self.lost_keys(&item)?)?;
        if let Err(failure) = self.prove(&slot, which) {
            self.note_absent(&slot.id);
            return Err(failure);
        }
        self.serve(&item, which)
    }

    /// From when on lists lack a pending key: one list proves nothing, time does.
    fn note_absent(&self, id: &AccessKeyId) {
        if self.listed.iter().any(|key| key.id == *id) {
            return;
        }
        // Not noted, it is looked for a little longer.
        let Ok(mut item) = self.read() else { return };
        if let Some(pending) = item.pending.as_mut().filter(|slot| slot.id == *id)
            && pending.absent_seen_at.is_none()
        {
            pending.absent_seen_at = Some(self.now());
            let _ = self.tools.vault.save(&item);
        }
    }

    /// Makes a new key, saves it, proves it, and serves it.
    ///
    /// # Errors
    /// `Kind::PersonNeeded` where two keys stand in the way; as `put_back` else.
    pub fn issue(&self) -> Outcome<Item> {
        let item = self.read()?;
        self.refuse_foreign(&item)?;
        let lost = self.lost_keys(&item)?;
        let others = self.listed.iter().filter(|key| !lost.contains(&key.id));
        if others.count() >= 2 {
            return Err(self.two_keys());
        }
        self.delete_lost(&lost)?;
        let nonce = nonce();
        let intent = Intent {
            nonce: nonce.clone(),
            at: self.now(),
            host: self.tools.reach.name(),
            seen: self.listed.iter().map(|key| key.id.clone()).collect(),
            pad: ".".repeat(PAD_BYTES),
            unknown: serde_json::Map::new(),
        };
        let mut with_intent = item.clone();
        // A pending key that lists have lacked for so long is gone.
        with_intent.pending = None;
        with_intent.intent = Some(intent);
        self.tools.vault.save(&with_intent)?;
        let slot = match self.create() {
            Ok((created, request)) => self.keep(&with_intent, created, request, &nonce)?,
            Err(no) => return Err(self.not_created(&with_intent, &no)),
        };
        self.prove(&slot, Which::Pending)?;
        self.serve(&self.read()?, Which::Pending)
    }

    fn delete_lost(&self, lost: &[AccessKeyId]) -> Outcome<()> {
        for id in lost {
            match self
                .tools
                .account
                .delete_key(self.signer, &self.identity.arn, id)
            {
                Ok(answer) => self.note("delete-lost", id, answer.request_id, "done"),
                Err(no) if no.class == Class::NoSuchEntity => {}
                Err(no) => return Err(self.refused("delete-lost", "DeleteAccessKey", id, &no)),
            }
        }
        Ok(())
    }

    fn create(&self) -> Result<(CreatedKey, Option<String>), CallFailure> {
        let mut tries = 0;
        loop {
            match self
                .tools
                .account
                .create_key(self.signer, &self.identity.arn)
            {
                Ok(answer) => return Ok((answer.value, answer.request_id)),
                Err(no) if no.class == Class::Busy && tries < CREATES => {
                    tries += 1;
                    self.tools.clock.wait(pause(tries));
                }
                Err(no) => return Err(no),
            }
        }
    }

    /// The id to the receipts, the pair into the store, before anything else.
    fn keep(
        &self,
        item: &Item,
        created: CreatedKey,
        request: Option<String>,
        nonce: &str,
    ) -> Outcome<Slot> {
        let id = created.key.id.clone();
        self.note(CREATE_RECEIPT, &id, request, &created_under(nonce));
        let mut slot = Slot::new(created.key, self.tools.clock.now());
        slot.created_at = believable(created.created_at, slot.saved_at);
        let mut new = item.clone();
        if let Some(intent) = &mut new.intent {
            intent.pad.clear();
        }
        new.pending = Some(slot.clone());
        match self.tools.vault.save(&new) {
            Ok(()) => {
                (self.tools.sync)();
                Ok(slot)
            }
            Err(why) => Err(self.take_back(&id, why)),
        }
    }

    fn take_back(&self, id: &AccessKeyId, why: Failure) -> Failure {
        let deleted = self
            .tools
            .account
            .delete_key(self.signer, &self.identity.arn, id);
        let (said, result) = match deleted {
            Ok(_) => ("is deleted again", "done".to_owned()),
            Err(no) => (
                "could not be deleted either; the next run does it",
                format!("failed: {}", no.code),
            ),
        };
        self.note("take-back", id, None, &result);
        Failure {
            message: format!("the new key {id} could not be saved, and {said}"),
            cause: Some(why.message),
            ..why
        }
    }

    fn not_created(&self, item: &Item, no: &CallFailure) -> Failure {
        let unsure = matches!(no.class, Class::Unknown | Class::ReplyLost | Class::Busy);
        if !unsure {
            // Nothing was made under it. That it stays if this fails harms nothing.
            let mut without = item.clone();
            without.intent = None;
            let _ = self.tools.vault.save(&without);
        }
        match no.class {
            Class::LimitExceeded => self.two_keys(),
            _ if unsure => self.unfinished(
                "the answer to CreateAccessKey was lost; AWS may have made a key whose secret nobody has",
                &no.message,
            ),
            _ => self.refused("create", "CreateAccessKey", &item.current.id, no),
        }
    }

    fn prove(&self, slot: &Slot, which: Which) -> Outcome<()> {
        match proving::prove(self.tools, &slot.key(), self.identity) {
            Proof::Accepted { id } => {
                self.note("prove", &id, None, "accepted by STS and IAM");
                Ok(())
            }
            Proof::Wrong { id, said } => {
                // Its create reply was ours: as a key of somebody else it serves nobody.
                if which == Which::Pending {
                    self.give_up(&id)?;
                }
                Err(Failure::new(
                    Kind::Aws,
                    format!("entry {}: {id} is not put into service: {said}", self.entry),
                )
                .hint(format!("awskeep add {} --replace", self.entry)))
            }
            Proof::NotYet { said, .. } => {
                let why = format!("{} is not known everywhere at AWS yet", slot.id);
                Err(self.unfinished(&why, &said))
            }
            Proof::NotTried => Err(Failure::new(Kind::Bug, "a proof of no calls")),
        }
    }

    /// Deletes a pending key that is not what it should be, and forgets it.
    fn give_up(&self, id: &AccessKeyId) -> Outcome<()> {
        match self
            .tools
            .account
            .delete_key(self.signer, &self.identity.arn, id)
        {
            Ok(answer) => self.note("take-back", id, answer.request_id, "done"),
            Err(no) if no.class == Class::NoSuchEntity => {}
            Err(no) => return Err(self.refused("take-back", "DeleteAccessKey", id, &no)),
        }
        let mut item = self.read()?;
        if item
            .pending
            .as_ref()
            .is_some_and(|pending| pending.id == *id)
        {
            item.pending = None;
            item.intent = None;
            self.tools.vault.save(&item)?;
        }
        Ok(())
    }

    /// The later of both clocks: leases may have been counted by either.
    fn now(&self) -> Time {
        let local = self.tools.clock.now();
        self.aws_time.map_or(local, |aws| aws.max(local))
    }

    /// One write: the proven key is current; the dead one stays to be retired if AWS
    /// still lists it. No settle: there is no working key that could wait for it.
    fn serve(&self, decided_on: &Item, which: Which) -> Outcome<Item> {
        let old = self.read()?;
        if slot_of(&old, which) != slot_of(decided_on, which) {
            return Err(self.changed());
        }
        let new = served(&old, which, &self.listed, self.now());
        self.tools.vault.save(&new)?;
        (self.tools.sync)();
        let result = if new.current.id == old.current.id {
            "is active again".to_owned()
        } else {
            format!("replaces {}", old.current.id)
        };
        self.note("recover", &new.current.id, None, &result);
        Ok(new)
    }

    /// Keys whose create reply was received under the item's intent and that are in
    /// no slot: ours for certain, their secrets are gone. A list may not show them yet.
    fn lost_keys(&self, item: &Item) -> Outcome<Vec<AccessKeyId>> {
        let Some(intent) = &item.intent else {
            return Ok(Vec::new());
        };
        let result = created_under(&intent.nonce);
        Ok((self.tools.receipts)()?
            .into_iter()
            .filter(|receipt| receipt.step == CREATE_RECEIPT && receipt.result == result)
            .filter_map(|receipt| receipt.key_id)
            .filter(|id| item.slots().all(|(_, slot)| slot.id != *id))
            .collect())
    }

    fn refuse_foreign(&self, item: &Item) -> Outcome<()> {
        match &item.intent {
            Some(intent)
                if !self.tools.reach.keeps_out(&intent.host)
                    && self.now().since(intent.at) < FOREIGN_FRESH =>
            {
                let why = format!(
                    "another awskeep rotates it, from {} since {}",
                    host_in(&intent.host),
                    intent.at
                );
                Err(self.unfinished(&why, "look again in 10 minutes"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn two_keys(&self) -> Failure {
        let now = self.now();
        let lines = self.listed.iter().map(|key| {
            let age = key.created_at.map_or("age not known".into(), |at| {
                format!("made {at}, {} ago", now.since(at).rough())
            });
            format!("\n  {} {:?}, {age}", key.id, key.status)
        });
        let user = self.identity.arn.user_name();
        let argument = escape::argument(user);
        let mut failure = Failure::new(
            Kind::PersonNeeded,
            format!(
                "entry {}: {user} has two keys, and AWS allows no third{}",
                self.entry,
                lines.collect::<String>()
            ),
        );
        for key in &self.listed {
            failure = failure.hint(format!(
                "if nothing uses {0}: aws iam delete-access-key --user-name {argument} --access-key-id {0}",
                key.id
            ));
        }
        failure
    }

    fn refused(&self, step: &str, action: &str, id: &AccessKeyId, no: &CallFailure) -> Failure {
        self.note(
            step,
            id,
            no.request_id.clone(),
            &format!("failed: {}", no.code),
        );
        if no.class == Class::Denied {
            return denied(self.entry, action, no);
        }
        Failure::new(
            Kind::Aws,
            format!("entry {}: AWS refused {action}", self.entry),
        )
        .cause(format!("{}: {}", no.code, no.message))
        .hint(format!("awskeep status {}", self.entry))
    }

    fn unfinished(&self, why: &str, cause: &str) -> Failure {
        Failure::new(Kind::Unfinished, format!("entry {}: {why}", self.entry))
            .cause(cause)
            .hint("run it again to go on")
    }

    fn changed(&self) -> Failure {
        self.unfinished("it changed meanwhile", "another program wrote it")
    }

    fn read(&self) -> Outcome<Item> {
        match self.tools.vault.find(self.entry)? {
            Some(Stored::Item(item)) => Ok(*item),
            Some(Stored::Alias(_)) | None => Err(Failure::new(
                Kind::NotFound,
                format!("entry {} is not there any more", self.entry),
            )),
        }
    }

    /// A receipt; that it could not be written stops nothing.
    fn note(&self, step: &str, id: &AccessKeyId, request: Option<String>, result: &str) {
        let receipt = Receipt::new(self.tools.clock.now(), self.entry, step)
            .key(id)
            .request(request.as_deref())
            .result(result);
        let _ = (self.tools.append)(&receipt);
    }
}
