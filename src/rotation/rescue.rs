//! Getting an entry whose served key is dead back into service, with the rights of
//! somebody else who may handle the user's keys; `ways` decides. Edge, but for what it
//! is given. Every stop in the middle leaves what the next run continues from.
//!
//! What a rotation does too (the intent, the new key, its save, a delete) is done by
//! the rotation's own functions, signed by somebody else.

use super::known::{Demand, Early, Policy, Proof, Unsure};
use super::run::{CREATE_RECEIPT, Run, Saved, Tools, created_under};
use super::ways::{NowIs, Which, served, slot_of};
use crate::disk::host_in;
use crate::escape;
use crate::failure::{Failure, Kind, Outcome};
use crate::iam_account::{
    Account, CallFailure, CallFailureClass as Class, KeyStatus, ListedKey, Signer,
};
use crate::keys::{AccessKey, AccessKeyId, EntryName};
use crate::lease::Attended;
use crate::time::{Length, Time};
use crate::vault::item::{Identity, Item, Slot};

/// How long somebody else's intent is respected, as in `plan`.
const FOREIGN_FRESH: Length = Length::minutes(10);

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
    /// What a person types to continue.
    pub command: String,
}

impl<'a, A: Account> Rescue<'a, A> {
    /// Activates a key of the entry if need be, proves it, and serves it.
    ///
    /// # Errors
    /// `Kind::Unfinished` while AWS does not accept it yet; `Kind::Aws` for refusals.
    pub fn put_back(&self, which: Which, now_is: NowIs) -> Outcome<Item> {
        (self.tools.can_note)()?;
        let mut run = self.run();
        let item = run.read_item()?;
        self.refuse_foreign(&run, &item)?;
        let Some(slot) = slot_of(&item, which).cloned() else {
            return Err(self.changed(&run));
        };
        if now_is == NowIs::Inactive {
            self.activate(&run, &item, &slot)?;
        }
        // The intent that tells of them ends when this key is served.
        let lost = self.lost_keys(&item)?;
        self.delete_lost(&run, &item, &lost)?;
        if let Err(failure) = self.prove(&mut run, &item, &slot) {
            self.note_absent(&run, &item, &slot.id);
            return Err(failure);
        }
        self.serve(&run, &item, which)
    }

    /// Makes a new key, saves it, proves it, and serves it.
    ///
    /// # Errors
    /// `Kind::PersonNeeded` where keys stand in the way; as `put_back` else.
    pub fn issue(&self) -> Outcome<Item> {
        (self.tools.can_note)()?;
        let mut run = self.run();
        let item = run.read_item()?;
        self.refuse_foreign(&run, &item)?;
        let lost = self.lost_keys(&item)?;
        self.room_for_one(&self.listed, &lost)?;
        self.refuse_to_lose(&item)?;
        self.delete_lost(&run, &item, &lost)?;
        let mut without = item.clone();
        // A pending key that lists have lacked for so long is gone.
        without.pending = None;
        let intent = run.new_intent(&without, &self.listed, self.now())?;
        let begun = run.edit_item(&item, |item| {
            item.pending = None;
            item.intent = Some(intent);
        })?;
        let Some(begun) = begun else {
            return Err(self.changed(&run));
        };
        self.look_once_more(&run, &begun, &lost)?;
        let slot = match run.create(self.signer) {
            Ok((created, request)) => {
                let id = created.key.id.clone();
                run.keep(&begun, self.signer, created, request.as_deref())?;
                id
            }
            Err(no) => return Err(self.not_created(&run, &begun, &no)),
        };
        let item = run.read_item()?;
        match slot_of(&item, Which::Pending).cloned() {
            Some(pending) if pending.id == slot => {
                self.prove(&mut run, &item, &pending)?;
                self.serve(&run, &item, Which::Pending)
            }
            Some(_) | None => Err(self.changed(&run)),
        }
    }

    /// The rotation's own hands; of its policy nothing is used here.
    fn run(&self) -> Run<'a, A> {
        let policy = Policy {
            demand: Demand::Finish,
            attended: Attended::Yes,
            early: Early::No,
            settle: Length::ZERO,
            hold: Length::ZERO,
            max_age: None,
            lease: Length::ZERO,
            discard: None,
            unsure: Unsure::Wait,
            in_files: Vec::new(),
        };
        let mut run = Run::new(self.tools, self.entry, self.identity, policy);
        run.command.clone_from(&self.command);
        run
    }

    fn key(&self) -> &'a AccessKey {
        match self.signer {
            Signer::Key(key) => key,
            Signer::Session(session) => &session.key,
        }
    }

    fn activate(&self, run: &Run<'a, A>, item: &Item, slot: &Slot) -> Outcome<()> {
        let call = || {
            self.tools.account.set_status(
                self.signer,
                &self.identity.arn,
                &slot.id,
                &KeyStatus::Active,
            )
        };
        match run.patiently(None, call) {
            Ok(answer) => {
                run.note("activate", &slot.id, answer.request_id.as_deref(), "done");
                Ok(())
            }
            Err(no) => {
                let result = format!("failed: {}", no.code);
                run.note("activate", &slot.id, no.request_id.as_deref(), &result);
                Err(run.refused(self.key(), "UpdateAccessKey", &no, item))
            }
        }
    }

    /// From when on lists lack a pending key: one list proves nothing, time does.
    fn note_absent(&self, run: &Run<'a, A>, item: &Item, id: &AccessKeyId) {
        if self.listed.iter().any(|key| key.id == *id) {
            return;
        }
        // Not noted, it is looked for a little longer.
        let _ = run.edit_item(item, |item| {
            if let Some(pending) = item.pending.as_mut().filter(|slot| slot.id == *id) {
                pending.absent_seen_at = pending.absent_seen_at.or(Some(self.now()));
            }
        });
    }

    fn delete_lost(&self, run: &Run<'a, A>, item: &Item, lost: &[AccessKeyId]) -> Outcome<()> {
        for id in lost {
            run.delete_by(self.signer, None, id, "delete-lost")
                .map_err(|no| run.refused(self.key(), "DeleteAccessKey", &no, item))?;
        }
        Ok(())
    }

    /// Between the intent and CreateAccessKey, as in every rotation: what changed since
    /// the first look, and whether to stop.
    fn look_once_more(&self, run: &Run<'a, A>, begun: &Item, lost: &[AccessKeyId]) -> Outcome<()> {
        let list = || {
            self.tools
                .account
                .list_keys(self.signer, &self.identity.arn)
        };
        let listed = run
            .patiently(None, list)
            .map_err(|no| run.refused(self.key(), "ListAccessKeys", &no, begun))?;
        if let Err(failure) = self.room_for_one(&listed.value, lost) {
            run.withdraw_intent(begun);
            return Err(failure);
        }
        if (self.tools.stop)() {
            return Err(self.unfinished(run, "stopped as asked; nothing is lost"));
        }
        match run.read_item()? == *begun {
            true => Ok(()),
            false => Err(self.changed(run)),
        }
    }

    fn not_created(&self, run: &Run<'a, A>, begun: &Item, no: &CallFailure) -> Failure {
        let unsure = matches!(no.class, Class::Unknown | Class::ReplyLost | Class::Busy);
        if !unsure {
            run.withdraw_intent(begun);
        }
        match no.class {
            Class::LimitExceeded => self.two_keys(&self.listed),
            _ if unsure => self
                .unfinished(
                    run,
                    "the answer to CreateAccessKey was lost; AWS may have made a key whose secret nobody has",
                )
                .cause(&no.message),
            _ => {
                let result = format!("failed: {}", no.code);
                let id = &begun.current.id;
                run.note("create", id, no.request_id.as_deref(), &result);
                run.refused(self.key(), "CreateAccessKey", no, begun)
            }
        }
    }

    fn prove(&self, run: &mut Run<'a, A>, item: &Item, slot: &Slot) -> Outcome<()> {
        run.prove(item, &slot.id);
        match &run.proof {
            Proof::Accepted { .. } => Ok(()),
            // A wrong endpoint or a damaged item looks like that too: it is kept, for
            // its secret is nowhere else.
            Proof::Wrong { id, said } => Err(Failure::new(
                Kind::Aws,
                format!(
                    "entry {}: {id} is not put into service, and kept: {said}",
                    self.entry
                ),
            )
            .hint(format!(
                "if nobody needs {id}: aws iam delete-access-key --user-name {} --access-key-id {id}",
                self.identity.arn.user_name()
            ))),
            Proof::NotYet { said, .. } => {
                let why = format!("{} is not known everywhere at AWS yet", slot.id);
                Err(self.unfinished(run, &why).cause(said))
            }
            Proof::NotTried => Err(Failure::new(Kind::Bug, "a proof of no calls")),
        }
    }

    /// The later of both clocks: leases may have been counted by either.
    fn now(&self) -> Time {
        let local = self.tools.clock.now();
        self.aws_time.map_or(local, |aws| aws.max(local))
    }

    /// One write: the proven key is current; the dead one stays to be retired if AWS
    /// still lists it. No settle: there is no working key that could wait for it.
    fn serve(&self, run: &Run<'a, A>, decided_on: &Item, which: Which) -> Outcome<Item> {
        let new = served(decided_on, which, &self.listed, self.now());
        if run.save_over(decided_on, &new)? == Saved::OtherwiseChanged {
            return Err(self.changed(run));
        }
        (self.tools.sync)();
        let result = if new.current.id == decided_on.current.id {
            "is active again".to_owned()
        } else {
            format!("replaces {}", decided_on.current.id)
        };
        run.note("recover", &new.current.id, None, &result);
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

    fn refuse_foreign(&self, run: &Run<'a, A>, item: &Item) -> Outcome<()> {
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
                Err(self.unfinished(run, &why).cause("look again in 10 minutes"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A new key takes the place of a pending one, whose secret is nowhere else.
    fn refuse_to_lose(&self, item: &Item) -> Outcome<()> {
        let Some(pending) = &item.pending else {
            return Ok(());
        };
        let listed = self.listed.iter().find(|key| key.id == pending.id);
        if listed.is_none_or(|key| key.status == KeyStatus::Expired) {
            return Ok(());
        }
        let (entry, id) = (self.entry, &pending.id);
        Err(Failure::new(
            Kind::PersonNeeded,
            format!("entry {entry}: the new key {id} of an unfinished rotation is kept here, and a newer one would take its place"),
        )
        .hint(format!(
            "if nobody needs {id}: aws iam delete-access-key --user-name {} --access-key-id {id}",
            self.identity.arn.user_name()
        )))
    }

    fn room_for_one(&self, listed: &[ListedKey], lost: &[AccessKeyId]) -> Outcome<()> {
        let others = listed.iter().filter(|key| !lost.contains(&key.id));
        match others.count() {
            0 | 1 => Ok(()),
            _ => Err(self.two_keys(listed)),
        }
    }

    fn two_keys(&self, listed: &[ListedKey]) -> Failure {
        let now = self.now();
        let lines = listed.iter().map(|key| {
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
        for key in listed {
            failure = failure.hint(format!(
                "if nothing uses {0}: aws iam delete-access-key --user-name {argument} --access-key-id {0}",
                key.id
            ));
        }
        failure
    }

    fn unfinished(&self, run: &Run<'a, A>, why: &str) -> Failure {
        Failure::new(Kind::Unfinished, format!("entry {}: {why}", self.entry)).hint(&run.command)
    }

    fn changed(&self, run: &Run<'a, A>) -> Failure {
        self.unfinished(run, "it changed meanwhile")
            .cause("another program wrote it")
    }
}
