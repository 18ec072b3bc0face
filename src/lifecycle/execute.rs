//! The loop: observe, ask the plan, perform one step, observe again. Edge, but for
//! what it is given: the account, the vault, the clock and the receipts.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::aws::{Account, Call, CallFailure, CallFailureClass as Class, Signer, prove};
use crate::error::{Error, Kind, Result};
use crate::lifecycle::context::{Context, Signs, pause, random};
use crate::lifecycle::model::{CreateSaid, Request, Trigger};
use crate::lifecycle::observed::{
    AwsTime, IntentIs, LastUseSaid, Learned, Listing, Observed, Proof, Signed, is_young, remember,
};
use crate::lifecycle::plan::{Question, Refusal, Step, Wait, next_step};
use crate::records::Record;
use crate::sessions::denial::denied;
use crate::store::Vault;
use crate::store::durable::Kept;
use crate::store::item::{Identity, Item, Slot, Stored};
use crate::system::disk::Reach;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName};
use crate::types::time::{Span, Timestamp};
use crate::ui::YesNo;

/// The most steps of one run; a rotation from first to last takes about fifteen.
const MOST_STEPS: usize = 60;

/// The tries of a call that AWS did not answer.
const TRIES: u32 = 4;

/// How long a young key's refusal is taken for AWS not knowing it yet.
const PATIENCE: Span = Span::minutes(2);

/// The step's name in receipts of a received CreateAccessKey reply.
pub const CREATE_RECEIPT: &str = "create";

/// How a run ended: with a step that cannot be performed now, or with nothing left.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    pub step: Step,
    pub known: Observed,
    pub promoted: Promoted,
}

impl RunResult {
    /// What a run would begin with.
    pub fn foreseen(known: Observed) -> RunResult {
        RunResult {
            step: next_step(&known),
            known,
            promoted: Promoted::No,
        }
    }
}

/// Whether this run put a key into service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promoted {
    No,
    Yes,
}

/// One run on one entry; what it remembers is lost with it, and may be.
pub struct Run<'a, A> {
    pub(super) context: &'a Context<'a, A>,
    pub(super) entry: EntryName,
    pub(super) identity: Identity,
    pub(super) request: Request,
    pub(super) create: CreateSaid,
    pub(super) proof: BTreeMap<AccessKeyId, Proof>,
    pub(super) last_use: LastUseSaid,
    pub(super) activated: BTreeSet<AccessKeyId>,
    /// The keys that this run deleted; lists may lag.
    pub(super) deleted: BTreeSet<AccessKeyId>,
    pub(super) answers: Vec<(Question, YesNo)>,
    pub(super) promoted: Promoted,
    /// The nonces of the intents that this run wrote.
    pub(super) nonces: Vec<String>,
    /// A key that this run made: put back if another writer loses it.
    pub(super) minted: Option<Slot>,
    /// What a person types to go on with this.
    pub(super) command: String,
    /// Whether AWS has answered in this run: until then it cannot be reached at all.
    answered: Cell<bool>,
}

/// Rotates an entry, or goes on with what was begun. The caller holds the lock of
/// the entry's IAM user.
///
/// # Errors
/// What stops a run in the middle: the store, the network, a denial. Running it
/// again goes on. What the plan refuses or waits for is no error but an `RunResult`.
pub fn rotate<A: Account>(
    context: &Context<'_, A>,
    entry: &EntryName,
    identity: &Identity,
    request: Request,
) -> Result<RunResult> {
    let mut run = Run::new(context, entry, identity, request);
    for _ in 0..MOST_STEPS {
        let known = run.observe()?;
        let step = next_step(&known);
        (context.on_step)(&step, &known);
        let promoted = run.promoted;
        match &step {
            Step::Done | Step::Refuse(_) | Step::Wait(_) => {
                match &step {
                    // Told once; the next run goes on with what is there.
                    Step::Refuse(Refusal::UndoGone(_) | Refusal::Revoked(_)) => {
                        run.edit(&known, |item| item.undo_wanted_at = None)?;
                    }
                    Step::Refuse(Refusal::TwoKeys) => run.withdraw_intent(&known.item),
                    _ => {}
                }
                return Ok(RunResult {
                    step,
                    known,
                    promoted,
                });
            }
            _ if (context.stop)() => {
                let step = Step::Wait(Wait::Stopped);
                return Ok(RunResult {
                    step,
                    known,
                    promoted,
                });
            }
            _ => {
                if leaves_receipt(&step, &known.item) {
                    (context.can_note)()?;
                }
                run.perform(&step, &known)?;
            }
        }
    }
    Err(run.unfinished("it takes more steps than it should"))
}

/// Looks once and decides once; nothing is changed. For `--explain` and `--dry-run`.
///
/// # Errors
/// As `rotate`.
pub fn explain<A: Account>(
    context: &Context<'_, A>,
    entry: &EntryName,
    identity: &Identity,
    request: Request,
) -> Result<Observed> {
    let mut run = Run::new(context, entry, identity, request);
    let item = run.read_item()?;
    let (known, _) = run.known(item)?;
    match next_step(&known) {
        // Whether the served key works: that changes nothing, and all else depends on it.
        Step::Prove(id) if id == known.item.current.id => {
            run.prove(&known, &id);
            let proof = run.proof;
            Ok(Observed { proof, ..known })
        }
        _ => Ok(known),
    }
}

/// Whether the step makes, deletes or changes a key at AWS, or is the first of those that
/// do. Only a key that has leaked does not wait for a receipt to become inactive.
fn leaves_receipt(step: &Step, item: &Item) -> bool {
    match step {
        Step::WriteIntent
        | Step::Mint
        | Step::DeleteLost(_)
        | Step::Discard(_)
        | Step::DeletePending(_)
        | Step::Activate(_)
        | Step::Delete(_) => true,
        Step::Deactivate(id) => item
            .slots()
            .all(|(_, slot)| slot.id != *id || slot.revoked_at.is_none()),
        Step::Done
        | Step::Refuse(_)
        | Step::Wait(_)
        | Step::Ask(_)
        | Step::ClearIntent
        | Step::Prove(_)
        | Step::Settle { .. }
        | Step::Promote
        | Step::DropPending
        | Step::Swap
        | Step::AskLastUse(_)
        | Step::LetKeep { .. }
        | Step::Clear => false,
    }
}

impl<'a, A: Account> Run<'a, A> {
    pub(super) fn new(
        context: &'a Context<'a, A>,
        entry: &EntryName,
        identity: &Identity,
        request: Request,
    ) -> Run<'a, A> {
        let command = match context.signs {
            Signs::Current => format!("awskeep rotate {entry} --finish"),
            Signs::Other { via, .. } => format!("awskeep recover {entry} --via {via}"),
        };
        Run {
            context,
            entry: entry.clone(),
            identity: identity.clone(),
            request,
            create: CreateSaid::NotAsked,
            proof: BTreeMap::new(),
            last_use: LastUseSaid::NotAsked,
            activated: BTreeSet::new(),
            deleted: BTreeSet::new(),
            answers: Vec::new(),
            promoted: Promoted::No,
            nonces: Vec::new(),
            minted: None,
            command,
            answered: Cell::new(false),
        }
    }

    /// What is the case; what a list shows of the item's keys is noted in the item.
    fn observe(&mut self) -> Result<Observed> {
        for _ in 0..TRIES {
            let item = self.put_back(self.read_item()?)?;
            let (mut known, looked_at) = self.known(item)?;
            let Listing::Keys(keys) = &known.listing else {
                return Ok(known);
            };
            let mut item = known.item.clone();
            match remember(&mut item, keys, looked_at) {
                Learned::Nothing => return Ok(known),
                Learned::Something => {
                    if self.save_over(&known.item, &item)? == Saved::Yes {
                        known.item = item;
                        return Ok(known);
                    }
                }
            }
        }
        Err(self.unfinished("something else keeps changing it"))
    }

    fn known(&self, item: Item) -> Result<(Observed, Timestamp)> {
        let (listing, aws_time) = self.look(&item)?;
        let intent_is = match &item.intent {
            Some(intent)
                if !self.context.reach.keeps_out(&intent.host)
                    && !self.nonces.contains(&intent.nonce) =>
            {
                IntentIs::Foreign
            }
            Some(_) | None => IntentIs::Ours,
        };
        let local_time = self.context.clock.now();
        let known = Observed {
            received: self.received(&item)?,
            kept: self.kept(&item, local_time),
            item,
            listing,
            aws_time,
            local_time,
            request: self.request.clone(),
            intent_is,
            create: self.create.clone(),
            proof: self.proof.clone(),
            last_use: self.last_use.clone(),
            activated: self.activated.clone(),
            answers: self.answers.clone(),
            signed: match self.context.signs {
                Signs::Current => Signed::ByCurrent,
                Signs::Other { via, .. } => Signed::ByOther { via: via.clone() },
            },
        };
        let now = known.now();
        Ok((known, now))
    }

    /// Whether the store has kept the key in service; asked only where a replaced key is
    /// left.
    fn kept(&self, item: &Item, now: Timestamp) -> Kept {
        match item.previous {
            Some(_) => self.context.vault.kept(item, now),
            None => Kept::Yes,
        }
    }

    pub(super) fn read_item(&self) -> Result<Item> {
        item_of(self.context.vault, &self.entry)
    }

    /// A key that this run made and that the item lost to another writer goes back in.
    fn put_back(&self, item: Item) -> Result<Item> {
        let Some(minted) = &self.minted else {
            return Ok(item);
        };
        let there = item.slots().any(|(_, slot)| slot.id == minted.id);
        if there || item.pending.is_some() {
            return Ok(item);
        }
        let mut mended = item.clone();
        mended.pending = Some(minted.clone());
        self.save_over(&item, &mended)?;
        self.read_item()
    }

    /// The ids of keys whose CreateAccessKey reply was received under this intent.
    /// Older receipts do not count: their keys may be in use elsewhere by now. Without a
    /// lock none do: whoever wrote them may be about to save the key.
    fn received(&self, item: &Item) -> Result<BTreeSet<AccessKeyId>> {
        let (Some(intent), Reach::Locked(_)) = (&item.intent, &self.context.reach) else {
            return Ok(BTreeSet::new());
        };
        Ok((self.context.receipts)()?
            .into_iter()
            .filter(|receipt| receipt.intent.as_ref() == Some(&intent.nonce))
            .filter_map(|receipt| receipt.key_id)
            .filter(|id| !self.deleted.contains(id))
            .collect())
    }

    /// ListAccessKeys, less the keys that this run deleted.
    fn look(&self, item: &Item) -> Result<(Listing, AwsTime)> {
        let user = &self.identity.arn;
        let by_current = matches!(self.context.signs, Signs::Current);
        match self.signed(item, |signer| self.context.account.list_keys(signer, user)) {
            Ok(answer) => {
                let aws_time = answer.aws_time.map_or(AwsTime::NotSaid, AwsTime::At);
                let mut keys = answer.value;
                keys.retain(|key| !self.deleted.contains(&key.id));
                Ok((Listing::Keys(keys), aws_time))
            }
            Err(no) if no.class == Class::KeyNotAccepted && by_current => {
                Ok((Listing::NotAccepted, AwsTime::NotSaid))
            }
            Err(no) if no.class == Class::NeedsMfa => Ok((
                Listing::NeedsMfa,
                no.aws_time.map_or(AwsTime::NotSaid, AwsTime::At),
            )),
            Err(no) => Err(self.refused("ListAccessKeys", &no, item)),
        }
    }

    /// A call on the user's keys, made patiently. It is signed by `current` (or the
    /// account's MFA session, or somebody else) and by no other key of the entry: a use of
    /// `previous` by us would look like somebody's who still needs it.
    pub(super) fn signed<T>(&self, item: &Item, call: impl Fn(Signer<'_>) -> Call<T>) -> Call<T> {
        self.with_signer(item, |signer, slot| self.patiently(slot, || call(signer)))
    }

    /// Calls `work` with who signs, and with the slot of the entry's key, if it is one.
    pub(super) fn with_signer<T>(
        &self,
        item: &Item,
        work: impl FnOnce(Signer<'_>, Option<&Slot>) -> T,
    ) -> T {
        match self.context.signs {
            Signs::Current => work(Signer::Key(&item.current.key()), Some(&item.current)),
            Signs::Other { signer, .. } => work(signer, None),
        }
    }

    /// Makes a call that changes nothing, or that may be made twice, until it is
    /// answered: again after a lost reply, and again while the signer is so young
    /// that AWS may not know it everywhere. None: who signs is no key of the entry.
    pub(super) fn patiently<T>(
        &self,
        signer: Option<&Slot>,
        call: impl Fn() -> Call<T>,
    ) -> Call<T> {
        let started = self.context.clock.now();
        let mut tries = 0;
        loop {
            let failure = match call() {
                Ok(answer) => {
                    self.answered.set(true);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            if failure.class != Class::Unreachable {
                self.answered.set(true);
            }
            tries += 1;
            let now = self.context.clock.now();
            let again = match failure.class {
                Class::KeyNotAccepted => {
                    signer.is_some_and(|slot| is_young(slot, now))
                        && now.since(started) < PATIENCE
                        && tries < 200
                }
                // No network: that is told at once.
                Class::Unreachable => self.answered.get() && tries < TRIES,
                Class::Busy | Class::Unknown | Class::ReplyLost => tries < TRIES,
                Class::WrongSecret
                | Class::Denied
                | Class::NeedsMfa
                | Class::NoSuchEntity
                | Class::LimitExceeded
                | Class::ClockSkew
                | Class::Refused => false,
            };
            if !again || (self.context.stop)() {
                return Err(failure);
            }
            if tries == 1 {
                (self.context.on_wait)(&waits(&failure, signer, started));
            }
            self.context.clock.wait(pause(tries));
        }
    }

    /// Saves `new` if the item is still `old`.
    pub(super) fn save_over(&self, old: &Item, new: &Item) -> Result<Saved> {
        if self.read_item()? != *old {
            return Ok(Saved::OtherwiseChanged);
        }
        match self.context.vault.save(new) {
            Ok(()) => Ok(Saved::Yes),
            // Somebody may have written in between: then the next look tells.
            Err(failure) => match self.read_item() {
                Ok(there) if there == *new => Ok(Saved::Yes),
                Ok(there) if there != *old => Ok(Saved::OtherwiseChanged),
                Ok(_) | Err(_) => Err(failure),
            },
        }
    }

    /// Waits, in pieces, so that a request to stop is heard.
    pub(super) fn rest(&self, length: Span) {
        let mut left = length.0;
        while left > 0 && !(self.context.stop)() {
            let piece = left.min(1);
            self.context.clock.wait(Duration::from_secs(piece));
            left -= piece;
        }
    }

    /// A receipt of what was done to a key of this item.
    pub(super) fn receipt(&self, step: &str, item: &Item, id: &AccessKeyId) -> Record {
        Record::new(self.context.clock.now(), &self.entry, step)
            .key(id)
            .slot(item.place_of(id))
    }

    /// That a receipt could not be written stops nothing: they are for people, and saving
    /// a key counts more than the one of its creation.
    pub(super) fn note(&self, receipt: &Record) {
        let _ = (self.context.append)(receipt);
    }

    pub(super) fn unfinished(&self, why: &str) -> Error {
        let entry = &self.entry;
        Error::new(
            Kind::Unfinished,
            format!("the rotation of {entry} is not finished: {why}"),
        )
        .hint(&self.command)
    }

    /// A refused call as a failure: 7 where something was begun and may go on.
    pub(super) fn refused(&self, action: &str, refusal: &CallFailure, item: &Item) -> Error {
        if refusal.class == Class::Denied {
            return denied(&self.entry, action, refusal);
        }
        let failure = self.with_signer(item, |signer, _| {
            prove::refused(key_of(signer), "IAM", refusal)
        });
        let begun = item.intent.is_some() || item.pending.is_some();
        let passing = matches!(
            refusal.class,
            Class::Busy | Class::Unreachable | Class::Unknown | Class::ReplyLost
        );
        if begun && passing {
            return Error {
                kind: Kind::Unfinished,
                message: format!("{action} of entry {}: {}", self.entry, failure.message),
                hints: vec![self.command.clone()],
                ..failure
            };
        }
        failure.entry(&self.entry)
    }

    /// The run's own trigger is met once it has put a key into service.
    pub(super) fn demand_met(&mut self) {
        if self.request.trigger != Trigger::Recover {
            self.request.trigger = Trigger::Finish;
        }
    }
}

fn key_of(signer: Signer<'_>) -> &AccessKey {
    match signer {
        Signer::Key(key) => key,
        Signer::Session(session) => &session.key,
    }
}

/// The entry's item as it stands now.
pub(crate) fn item_of(vault: &Vault, entry: &EntryName) -> Result<Item> {
    match vault.find(entry)? {
        Some(Stored::Item(item)) => Ok(*item),
        Some(Stored::Alias(_)) | None => Err(Error::new(
            Kind::NotFound,
            format!("entry {entry} is not there any more"),
        )
        .hint("awskeep list")),
    }
}

/// Whether a save took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saved {
    Yes,
    /// The item is not what was decided on: look again.
    OtherwiseChanged,
}

/// Why a call is made again, and until when.
fn waits(failure: &CallFailure, signer: Option<&Slot>, started: Timestamp) -> String {
    match (failure.class, signer) {
        (Class::KeyNotAccepted, Some(slot)) => format!(
            "AWS does not accept {} everywhere yet; trying until {}, Ctrl-C is safe",
            slot.id,
            started + PATIENCE
        ),
        (_, _) => format!(
            "no usable answer from AWS ({}); trying {} more times, Ctrl-C is safe",
            failure.code,
            TRIES - 1
        ),
    }
}

/// A new intent's nonce.
pub(super) fn nonce() -> String {
    format!("{:016x}{:016x}", random(), random())
}
