//! The promises of a rotation, as checks in a world: at every effect, before every
//! key that is retired, and after every run. What people and AWS did to know it is
//! noted here.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use awskeep::aws::{KeyStatus, ListedKey};
use awskeep::types::keys::AccessKeyId;

use crate::rotation_world::{USER, Which, World};
use crate::sim::people::Status;

/// More than this between the two clocks, and nothing irreversible is done.
const CLOCKS_APART_S: i64 = 300;

/// How long a program uses what it was served.
const LEASE_S: i64 = 3_600;

/// What is known of a world beyond what awskeep knows.
#[derive(Default)]
pub struct Watch {
    /// Keys that a person made.
    pub foreign: RefCell<BTreeSet<String>>,
    /// Keys that a person named to awskeep, to be deleted.
    pub named: RefCell<BTreeSet<String>>,
    /// How often STS and IAM have accepted each key.
    pub accepted: RefCell<BTreeMap<String, (u32, u32)>>,
    /// Keys that a person activated after awskeep had seen them inactive.
    pub reactivated: RefCell<BTreeSet<String>>,
    /// Keys whose CreateAccessKey reply reached awskeep, and whose receipt was not struck.
    pub delivered: RefCell<BTreeSet<String>>,
    /// Keys that a person activated, whatever awskeep knew.
    pub activated: RefCell<BTreeSet<String>>,
    /// Keys that a person deactivated and not brought back, and those they deleted.
    disabled: RefCell<BTreeSet<String>>,
    deleted: RefCell<BTreeSet<String>>,
    /// Keys whose status a person has ever changed.
    touched: RefCell<BTreeSet<String>>,
    /// Whether a person asked for what stands outside the leases: undo, revoke.
    pub undoing: Cell<bool>,
    pub hurried: Cell<bool>,
    /// Until when programs use what the helper served them, in AWS's time.
    in_use: RefCell<BTreeMap<String, i64>>,
    /// How far the clocks were apart at the last list.
    skew_seen: Cell<i64>,
    /// What this run was denied, proofs aside; and a create that had no answer.
    denied: RefCell<BTreeSet<&'static str>>,
}

impl Watch {
    /// A world that begins with this key in service.
    pub fn of(first: &AccessKeyId) -> Watch {
        Watch {
            accepted: RefCell::new(BTreeMap::from([(first.to_string(), (3, 3))])),
            ..Watch::default()
        }
    }

    /// A run begins.
    pub fn begin(&self) {
        self.denied.borrow_mut().clear();
    }

    /// Promise 7: what was refused is not asked again in the same run.
    pub fn asks(&self, action: &'static str) {
        let again = self.denied.borrow().contains(action);
        assert!(
            !again,
            "{action} was denied or had no answer, and is asked for again"
        );
    }

    /// What was denied to a key alone may be asked for again in a session.
    pub fn opens_session(&self) {
        self.denied.borrow_mut().remove("ListAccessKeys");
    }

    /// Whether a person deleted a key of the entry.
    pub fn meddled_to_death(&self) -> bool {
        !self.deleted.borrow().is_empty()
    }

    pub fn was_touched(&self, id: &str) -> bool {
        self.touched.borrow().contains(id)
    }

    pub fn was_deleted(&self, id: &str) -> bool {
        self.deleted.borrow().contains(id)
    }

    pub fn denies(&self, action: &'static str) {
        self.denied.borrow_mut().insert(action);
    }
}

impl World {
    /// Promises 1 and 6: what is served was proven; awskeep has not killed it, nor
    /// what programs were served before and still use.
    pub fn check_served(&self) {
        let watch = &self.watch;
        let served = self.with_item(|item| item.current.id.clone());
        let accepted = watch.accepted.borrow();
        let (sts, iam) = accepted.get(served.as_str()).copied().unwrap_or_default();
        assert!(
            sts >= 3 && iam >= 3,
            "{served} is served and was not proven"
        );
        let now = self.aws_now();
        let mut in_use = watch.in_use.borrow_mut();
        in_use.insert(served.to_string(), now + LEASE_S);
        let aws = self.aws.account.borrow();
        for (id, until) in in_use.iter() {
            let by_a_person = watch.disabled.borrow().contains(id)
                || watch.deleted.borrow().contains(id)
                || watch.named.borrow().contains(id);
            let wanted = *until > now && (!watch.hurried.get() || *id == served.as_str());
            let status = aws.key(id).and_then(|key| key.status);
            assert!(
                by_a_person || !wanted || status == Some(Status::Active),
                "{id} was served, is in use until {until}, and is {status:?} at {now}"
            );
        }
    }

    /// Promises 1, 2, 6 and 9, before awskeep deactivates or deletes a key.
    pub fn check_retire(&self, id: &AccessKeyId, deletes: bool) {
        let (item, watch) = (self.item(), &self.watch);
        assert_ne!(item.current.id, *id, "the served key is to be retired");
        let named = watch.named.borrow().contains(id.as_str());
        let foreign = watch.foreign.borrow().contains(id.as_str());
        assert!(named || !foreign, "{id} is somebody else's");
        let back = watch.reactivated.borrow().contains(id.as_str());
        assert!(
            !back || watch.hurried.get(),
            "{id} was activated by a person, and is to be retired again"
        );
        let Some(previous) = item.previous.filter(|slot| slot.id == *id) else {
            return;
        };
        // From here on it is awskeep's doing again if lists show it as it was before.
        watch.activated.borrow_mut().remove(id.as_str());
        let apart = watch.skew_seen.get().abs();
        assert!(
            apart <= CLOCKS_APART_S,
            "{id} is retired with clocks {apart} s apart"
        );
        if watch.hurried.get() {
            return;
        }
        let leased_until = previous.leased_until.expect("fixed at the promote");
        assert!(
            leased_until.0 <= self.aws_now() + 300,
            "{id} is retired while leased"
        );
        assert!(
            !deletes || previous.inactive_seen_at.is_some(),
            "{id} was never held"
        );
    }

    /// Promise 4: no secret in what a run says, nor in the receipts.
    pub fn check_secrets(&self, said: &str) {
        let aws = self.aws.account.borrow();
        let receipts = self.receipts_text.borrow();
        for key in &aws.user(USER).keys {
            let leaked = said.contains(&key.secret) || receipts.contains(&key.secret);
            assert!(!leaked, "the secret of {} is told", key.id);
        }
        for given in aws.sessions_given() {
            for secret in [&given.secret, &given.token] {
                let leaked = said.contains(secret) || receipts.contains(secret);
                assert!(!leaked, "a session's secret is told");
            }
        }
    }

    /// What a list shows to awskeep, awskeep knows from then on.
    pub fn note_shown(&self, rows: &[ListedKey]) {
        let watch = &self.watch;
        watch.skew_seen.set(self.skew.get());
        let Some(previous) = self.item().previous else {
            return;
        };
        let shown_active = rows
            .iter()
            .any(|row| row.id == previous.id && row.status == KeyStatus::Active);
        let by_hand = watch.activated.borrow().contains(previous.id.as_str());
        if shown_active && by_hand && previous.inactive_seen_at.is_some() && !watch.undoing.get() {
            let mut reactivated = watch.reactivated.borrow_mut();
            reactivated.insert(previous.id.to_string());
        }
    }

    pub fn person_creates(&self) {
        let now = self.aws_now();
        let mut aws = self.aws.account.borrow_mut();
        if aws.user(USER).living_keys().count() < 2 {
            let (id, _) = aws.add_key(USER, now);
            self.watch.foreign.borrow_mut().insert(id);
        }
    }

    /// A person sets the status of one of the entry's keys, or deletes it.
    pub fn person_sets(&self, which: Which, status: Option<Status>) {
        let item = self.item();
        let slot = match which {
            Which::Current => Some(item.current),
            Which::Pending => item.pending,
            Which::Previous => item.previous,
        };
        let Some(slot) = slot else { return };
        let id = slot.id.to_string();
        let mut aws = self.aws.account.borrow_mut();
        let now_is = aws.key(&id).and_then(|key| key.status);
        if now_is.is_none() || now_is == status {
            return;
        }
        aws.set_by_hand(&id, status, self.aws_now());
        let watch = &self.watch;
        watch.touched.borrow_mut().insert(id.clone());
        match status {
            Some(Status::Active) => {
                watch.disabled.borrow_mut().remove(&id);
                watch.activated.borrow_mut().insert(id);
            }
            Some(Status::Inactive | Status::Expired | Status::Unheard) => {
                watch.disabled.borrow_mut().insert(id);
            }
            None => {
                watch.deleted.borrow_mut().insert(id);
            }
        }
    }

    /// The person enables again what they had disabled and is needed.
    pub fn person_relents(&self) {
        let mut disabled = self.watch.disabled.borrow_mut();
        let item = self.item();
        let needed = |id: &String| {
            let pending = item.pending.as_ref();
            item.current.id.as_str() == id || pending.is_some_and(|slot| slot.id.as_str() == id)
        };
        let (wanted, others) = std::mem::take(&mut *disabled).into_iter().partition(needed);
        let wanted: BTreeSet<String> = wanted;
        *disabled = others;
        for id in wanted {
            let mut aws = self.aws.account.borrow_mut();
            if aws
                .key(&id)
                .is_some_and(|key| key.status == Some(Status::Inactive))
            {
                aws.set_by_hand(&id, Some(Status::Active), self.aws_now());
            }
        }
    }

    /// If the key is the person's own, they take it away; else they know nothing of it.
    pub fn person_removes(&self, id: &str) -> bool {
        let mine = self.watch.foreign.borrow().contains(id);
        if mine {
            let mut aws = self.aws.account.borrow_mut();
            aws.set_by_hand(id, None, self.aws_now());
        }
        mine
    }
}
