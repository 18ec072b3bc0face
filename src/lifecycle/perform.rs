//! Performing one step of the plan. Edge.
//!
//! Every change of the item is made to the item that was decided on, and to no
//! other: if it changed meanwhile, nothing is done and the loop looks again. The
//! one exception is a key just received: it is saved into whatever is there.

use crate::aws::{Account, Call, CallFailure, CallFailureClass as Class, CreatedKey, Signer};
use crate::error::{Error, Kind, Result};
use crate::lifecycle::context::pause;
use crate::lifecycle::execute::{CREATE_RECEIPT, Promoted, Run, Saved, nonce};
use crate::lifecycle::model::{CreateSaid, Trigger};
use crate::lifecycle::observed::{LastUseSaid, Observed, Proof, believable};
use crate::lifecycle::plan::Step;
use crate::lifecycle::proof;
use crate::lifecycle::transition;
use crate::lifecycle::transition::Service;

use crate::sessions::denial::denied;
use crate::store::durable::TakenBy;
use crate::store::item::{Intent, Item, Slot};
use crate::types::keys::{AccessKeyId, SlotName};
use crate::types::time::{Span, Timestamp};

/// How often a received key is tried to be saved before it is deleted again.
const SAVES: u32 = 3;

/// How often CreateAccessKey is sent again after an answer that it was not done.
const CREATES: u32 = 3;

/// How long a create without an answer is given to show in a list.
const LET_ARRIVE: Span = Span::seconds(3);

impl<A: Account> Run<'_, A> {
    pub(super) fn perform(&mut self, step: &Step, known: &Observed) -> Result<()> {
        match step {
            Step::Done | Step::Refuse(_) | Step::Wait(_) => Ok(()),
            Step::Ask(question) => {
                let answer = (self.context.ask)(question, known)?;
                self.answers.push((question.clone(), answer));
                Ok(())
            }
            Step::WriteIntent => self.write_intent(known),
            Step::ClearIntent => self.edit(known, |item| {
                item.intent = None;
                item.undo_wanted_at = None;
            }),
            Step::DeleteLost(id) => self.delete_extra(known, id, "delete-lost"),
            Step::Discard(id) => self.delete_extra(known, id, "discard"),
            Step::Mint => self.mint(known),
            Step::Prove(id) => {
                self.prove(known, id);
                Ok(())
            }
            Step::Settle { until } => {
                let left = until.since(known.now());
                self.rest(left.max(Span::seconds(1)));
                Ok(())
            }
            Step::LetKeep { until } => {
                let left = until.since(self.context.clock.now());
                self.rest(left.max(Span::seconds(1)));
                Ok(())
            }
            Step::Promote => self.promote(known),
            Step::DropPending => self.drop_pending(known),
            Step::DeletePending(id) => self.delete_pending(known, id),
            Step::Activate(id) => self.activate(known, id),
            Step::Swap => self.swap(known),
            Step::AskLastUse(id) => self.ask_last_use(known, id),
            Step::Deactivate(id) => self.deactivate(known, id),
            Step::Delete(id) => self.delete(known, id),
            Step::Clear => {
                let gone = known.item.previous.as_ref().map(|slot| slot.id.clone());
                self.edit(known, transition::clear)?;
                if let Some(id) = gone {
                    let receipt = self.receipt("clear", &known.item, &id);
                    self.note(&receipt.result("no longer exists in AWS"));
                }
                Ok(())
            }
        }
    }

    /// Changes the item that was decided on; another one is skipped.
    pub(super) fn edit(&self, known: &Observed, change: impl FnOnce(&mut Item)) -> Result<()> {
        self.edit_item(&known.item, change).map(|_| ())
    }

    /// The changed item; none if another one stands there by now.
    pub(super) fn edit_item(
        &self,
        old: &Item,
        change: impl FnOnce(&mut Item),
    ) -> Result<Option<Item>> {
        let mut new = old.clone();
        change(&mut new);
        match self.save_over(old, &new)? {
            Saved::Yes => Ok(Some(new)),
            Saved::OtherwiseChanged => Ok(None),
        }
    }

    fn write_intent(&mut self, known: &Observed) -> Result<()> {
        let nonce = nonce();
        let listed = known.listed().iter();
        let mut seen: Vec<AccessKeyId> = listed.map(|key| key.id.clone()).collect();
        seen.sort();
        let intent = Intent {
            nonce: nonce.clone(),
            at: known.now(),
            host: self.context.reach.name(),
            seen,
            pad: String::new(),
            unknown: serde_json::Map::new(),
        };
        self.nonces.push(nonce);
        let intent = transition::padded(&known.item, intent)?;
        self.edit(known, |item| item.intent = Some(intent))
    }

    /// Creates a key: its id to the receipts first, the pair into the store next.
    fn mint(&mut self, known: &Observed) -> Result<()> {
        // Another writer's intent may stand there by now.
        if self.read_item()? != known.item {
            return Ok(());
        }
        match self.with_signer(&known.item, |signer, _| self.create(signer)) {
            Ok((created, request)) => self.keep(&known.item, created, request.as_deref()),
            Err(no) => match no.class {
                Class::LimitExceeded => {
                    self.create = CreateSaid::LimitExceeded;
                    Ok(())
                }
                Class::ReplyLost => self.create_unanswered(CreateSaid::MadeButLost),
                Class::Unknown if no.status_without_code().is_none() => {
                    self.create_unanswered(CreateSaid::NoAnswer)
                }
                Class::Unknown | Class::Busy => {
                    let said = format!("{}: {}", no.code, no.message);
                    self.create_unanswered(CreateSaid::Unclear(said))
                }
                Class::Denied => {
                    self.withdraw_intent(&known.item);
                    Err(denied(&self.entry, "CreateAccessKey", &no))
                }
                Class::KeyNotAccepted
                | Class::NeedsMfa
                | Class::WrongSecret
                | Class::NoSuchEntity
                | Class::ClockSkew
                | Class::Unreachable
                | Class::Refused => Err(self.refused("CreateAccessKey", &no, &known.item)),
            },
        }
    }

    /// Sends CreateAccessKey; once more only where AWS says that it did not act.
    fn create(&self, signer: Signer<'_>) -> Result<(CreatedKey, Option<String>), CallFailure> {
        let mut tries = 0;
        loop {
            let call: Call<CreatedKey> =
                self.context.account.create_key(signer, &self.identity.arn);
            match call {
                Ok(answer) => return Ok((answer.value, answer.request_id)),
                Err(no) if no.class == Class::Busy && tries < CREATES && !(self.context.stop)() => {
                    tries += 1;
                    self.context.clock.wait(pause(tries));
                }
                Err(no) => return Err(no),
            }
        }
    }

    /// The list will tell: it is given a moment.
    fn create_unanswered(&mut self, said: CreateSaid) -> Result<()> {
        self.create = said;
        self.rest(LET_ARRIVE);
        Ok(())
    }

    /// Nothing was made under it, and nothing will be: the refusal was certain. An
    /// intent from an earlier run stays, since a request of that run may still arrive.
    pub(super) fn withdraw_intent(&self, item: &Item) {
        let ours = item.intent.as_ref();
        if ours.is_some_and(|intent| self.nonces.contains(&intent.nonce)) {
            // The refusal is what is told; a left-over intent harms nothing.
            let _ = self.edit_item(item, |item| item.intent = None);
        }
    }

    /// The id to the receipts, the pair into the store, before anything else.
    fn keep(
        &mut self,
        decided_on: &Item,
        created: CreatedKey,
        request: Option<&str>,
    ) -> Result<()> {
        let id = created.key.id.clone();
        let nonce = decided_on.intent.as_ref().map(|intent| &intent.nonce);
        let receipt = self
            .receipt(CREATE_RECEIPT, decided_on, &id)
            .slot(Some(SlotName::Pending))
            .request(request)
            .made_under(nonce.map_or("", String::as_str));
        self.note(&receipt);
        let mut slot = Slot::new(created.key, self.context.clock.now());
        slot.created_at = believable(created.created_at, slot.saved_at);
        let mut last = None;
        for attempt in 0..SAVES {
            match self.save_pending(&slot) {
                Ok(()) => {
                    (self.context.sync)();
                    self.minted = Some(slot);
                    return Ok(());
                }
                Err(failure) => last = Some(failure),
            }
            self.context.clock.wait(pause(attempt));
        }
        Err(self.take_back(decided_on, &id, last))
    }

    /// Into whatever item is there: a key in hand must not wait for the next look.
    fn save_pending(&self, slot: &Slot) -> Result<()> {
        let mut item = self.read_item()?;
        if item
            .pending
            .as_ref()
            .is_some_and(|there| there.id != slot.id)
        {
            return Err(self.unfinished("another pending key is in its place"));
        }
        transition::keep(&mut item, slot.clone());
        self.context.vault.save(&item)
    }

    /// The store did not take the new key: it is deleted by who made it.
    fn take_back(&self, item: &Item, id: &AccessKeyId, why: Option<Error>) -> Error {
        let (account, user) = (self.context.account, &self.identity.arn);
        let deleted = self.with_signer(item, |signer, _| account.delete_key(signer, user, id));
        let why = why.unwrap_or_else(|| self.unfinished("the new key could not be saved"));
        let entry = &self.entry;
        let gone = match &deleted {
            Ok(_) => true,
            Err(no) => no.class == Class::NoSuchEntity,
        };
        let message = if gone {
            format!(
                "the new key {id} of {entry} could not be saved, and is deleted again; {entry} is as before"
            )
        } else {
            format!(
                "the new key {id} of {entry} could neither be saved nor deleted; {entry} is served as before, and the next run deletes {id}"
            )
        };
        let receipt = self.receipt("take-back", item, id);
        self.note(&match &deleted {
            Err(no) if !gone => receipt.failed(&no.code),
            Ok(_) | Err(_) => receipt,
        });
        let mut failure = Error::new(why.kind, message).cause(why.told());
        failure.hints = why.hints;
        failure.hint(format!("then: {}", self.command))
    }

    /// A key in service has been known for long, unless it was just activated again.
    pub(super) fn prove(&mut self, known: &Observed, id: &AccessKeyId) {
        let slot = known.item.slots().find(|(_, slot)| slot.id == *id);
        let Some((_, slot)) = slot else { return };
        let serves = known.item.current.id == *id;
        let activated = self.activated.contains(id);
        let patience = match serves && !activated {
            true => Span::ZERO,
            false => proof::PATIENCE,
        };
        let proof = proof::prove(self.context, &slot.key(), &self.identity, patience);
        let receipt = |step| self.receipt(step, &known.item, id);
        match (&proof, serves) {
            (Proof::Accepted, false) => {
                self.note(&receipt("prove").result("accepted by STS and IAM"));
            }
            (Proof::Accepted, true) if activated => {
                self.note(&receipt("recover").result("is active again"));
            }
            (_, _) => {}
        }
        self.proof.insert(id.clone(), proof);
    }

    /// One write: pending is current, current is previous with its leases fixed.
    fn promote(&mut self, known: &Observed) -> Result<()> {
        let lease = self.request.lease;
        let promoted = self.serve_from_now(known, |item, service| {
            transition::promote(item, lease, service);
        })?;
        let Some(item) = promoted else { return Ok(()) };
        (self.context.sync)();
        self.in_service(known, &item, "promote", "replaces");
        Ok(())
    }

    /// The later of both clocks: leases may have been counted by either.
    pub(super) fn promote_time(&self, known: &Observed) -> Timestamp {
        known.now().max(self.context.clock.now())
    }

    /// Saves a change of the key in service, with a note of who took it.
    fn serve_from_now(
        &self,
        known: &Observed,
        change: impl FnOnce(&mut Item, Service),
    ) -> Result<Option<Item>> {
        let vault = self.context.vault;
        let now = || self.context.clock.now();
        let service = Service {
            now: self.promote_time(known),
            replaced: known.status(&known.item.current.id).cloned(),
            taken_by: TakenBy::note(&vault.taker(), now()),
        };
        let Some(mut item) = self.edit_item(&known.item, |item| change(item, service))? else {
            return Ok(None);
        };
        // Another process may have taken it: the keychain was started anew in between.
        for _ in 0..SAVES {
            let taker = vault.taker();
            let right = match &item.current.taken_by {
                Some(note) => note.is(&taker),
                None => TakenBy::note(&taker, now()).is_none(),
            };
            if right {
                break;
            }
            let note = TakenBy::note(&taker, now());
            match self.edit_item(&item, |item| item.current.taken_by = note)? {
                Some(again) => item = again,
                None => break,
            }
        }
        Ok(Some(item))
    }

    fn in_service(&mut self, known: &Observed, item: &Item, step: &str, result: &str) {
        let (new, old) = (&item.current.id, &known.item.current.id);
        let (step, result) = match self.request.trigger {
            Trigger::Recover => ("recover", "replaces"),
            Trigger::Finish | Trigger::IfDue | Trigger::Now => (step, result),
        };
        let receipt = self.receipt(step, item, new);
        self.note(&receipt.result(format!("{result} {old}")));
        self.promoted = Promoted::Yes;
        self.last_use = LastUseSaid::NotAsked;
        self.minted = None;
        self.demand_met();
    }

    fn drop_pending(&mut self, known: &Observed) -> Result<()> {
        self.minted = None;
        self.edit(known, |item| item.pending = None)?;
        if let Some(pending) = &known.item.pending {
            let receipt = self.receipt("drop-pending", &known.item, &pending.id);
            self.note(&receipt.result("no longer exists in AWS"));
        }
        Ok(())
    }

    fn delete_pending(&mut self, known: &Observed, id: &AccessKeyId) -> Result<()> {
        self.minted = None;
        self.delete_at_aws(known, id, "undo-delete")?;
        self.demand_met();
        self.edit(known, |item| {
            item.pending = None;
            item.intent = None;
            item.undo_wanted_at = None;
        })
    }

    fn swap(&mut self, known: &Observed) -> Result<()> {
        let swapped = self.serve_from_now(known, transition::swap)?;
        let Some(item) = swapped else { return Ok(()) };
        (self.context.sync)();
        self.in_service(known, &item, "undo", "is current again instead of");
        Ok(())
    }

    /// A key of ours that nobody has, or one that a person named; in no slot.
    fn delete_extra(&mut self, known: &Observed, id: &AccessKeyId, step: &str) -> Result<()> {
        let item = self.read_item()?;
        if item != known.item || item.slots().any(|(_, slot)| slot.id == *id) {
            return Ok(());
        }
        if self.create == CreateSaid::LimitExceeded {
            self.create = CreateSaid::NotAsked;
        }
        self.delete_at_aws(known, id, step)
    }

    /// DeleteAccessKey, noted however it went; a key that is not there counts as deleted.
    pub(super) fn delete_at_aws(
        &mut self,
        known: &Observed,
        id: &AccessKeyId,
        step: &str,
    ) -> Result<()> {
        if known.item.current.id == *id {
            return Err(Error::new(
                Kind::Bug,
                format!("{id} is served, and was to be deleted"),
            ));
        }
        let (account, user) = (self.context.account, &self.identity.arn);
        let said = self.signed(&known.item, |signer| account.delete_key(signer, user, id));
        let receipt = self.receipt(step, &known.item, id);
        let receipt = match said {
            Ok(answer) => receipt.request(answer.request_id.as_deref()),
            Err(no) if no.class == Class::NoSuchEntity => receipt
                .request(no.request_id.as_deref())
                .result("was not there any more"),
            Err(no) => {
                let request = no.request_id.as_deref();
                self.note(&receipt.request(request).failed(&no.code));
                return Err(self.refused("DeleteAccessKey", &no, &known.item));
            }
        };
        self.note(&receipt);
        self.deleted.insert(id.clone());
        Ok(())
    }
}
