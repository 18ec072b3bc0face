//! A world for rotations: the simulated account, a store in memory, receipts, two
//! clocks, and a script of what goes wrong at which effect. Every effect passes
//! through `World::tick`, where the process may die, and every effect is checked
//! against the promises. One thread, deterministic but for nonces and jitter.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use awskeep::failure::{Failure, Kind, Outcome};
use awskeep::iam_account::{KeyStatus, ListedKey};
use awskeep::keys::{AccessKey, AccessKeyId, EntryName, SecretKey, UserArn};
use awskeep::lease::Attended;
use awskeep::machine::Clock;
use awskeep::rotation::known::{Demand, Early, Policy};
use awskeep::rotation::mfa_run;
use awskeep::rotation::run::{Ended, Tools};
use awskeep::rotation::session::InSession;
use awskeep::state::Receipt;
use awskeep::time::{Length, Time};
use awskeep::vault::item::{Identity, Item, Stored};
use awskeep::vault::{Deadline, StoreKind, Vault};

use crate::memory_store::{Memory, ON_WRITE};
use crate::mfa_world::Person;
use crate::sim::account::Account as Aws;
use crate::sim::in_process::InProcess;
use crate::sim::people::{Because, Lag, Lags, MfaDevice, Pace, Status};
use crate::watched_account::Watched;

pub const USER: &str = "bob";
const START: i64 = 1_795_420_800;

/// The codes that the user's MFA device will show.
const MOST_CODES: u32 = 99;

/// What goes wrong, or who interferes, at one effect. A call, a write of the store
/// and a receipt are one effect each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    CrashBefore,
    CrashAfter,
    /// The reply is lost (or the store reports a failure): without effect, and with.
    LostBefore,
    LostAfter,
    /// The reply says 200 and cannot be read.
    Unreadable,
    /// Nobody gets an answer, and the request arrives that many seconds later.
    Late(i64),
    /// The same, and the sender dies.
    LateAndCrash(i64),
    Throttled,
    ServerError,
    Denied,
    LimitExceeded,
    PersonCreates,
    PersonDeactivates(Which),
    PersonActivates(Which),
    ClockJumps(i64),
    /// Another awskeep, out of reach of the lock, runs from here to its end.
    SecondRotator,
}

/// One of the item's keys, as it stands at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Current,
    Pending,
    Previous,
}

/// How late AWS's servers see changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    AtOnce,
    /// Births and deaths late, lists late, and each takes a step back once.
    Slow,
}

/// The process is gone.
struct Crash;

pub fn crash() -> ! {
    resume_unwind(Box::new(Crash))
}

/// What kind of effect it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum At {
    Call,
    Write,
}

/// Everything there is.
pub struct World {
    pub aws: InProcess,
    /// The local clock; AWS's is `local - skew`.
    local: Arc<AtomicI64>,
    skew: Cell<i64>,
    pub vault: Vault,
    receipts: RefCell<Vec<Receipt>>,
    pub entry: EntryName,
    pub identity: Identity,
    events: BTreeMap<usize, Event>,
    pub effects: Cell<usize>,
    /// Whether nothing strikes: the second rotator's turn, a look of the test's own.
    pub calm: Cell<bool>,
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
    disabled: RefCell<BTreeSet<String>>,
    pub undoing: Cell<bool>,
    checked: RefCell<(Vec<u8>, Option<AccessKeyId>)>,
    /// Whether somebody with an MFA device is there.
    pub person: Cell<bool>,
    /// How many MFA codes were asked for.
    pub codes: Cell<u32>,
}

/// What a policy asks of whoever handles keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    Nothing,
    Mfa,
}

pub fn policy(demand: Demand) -> Policy {
    Policy {
        demand,
        attended: Attended::No,
        early: Early::No,
        settle: Length::seconds(15),
        hold: Length::days(14),
        max_age: Some(Length::days(90)),
        lease: Length::hours(1),
        discard: None,
        in_files: Vec::new(),
    }
}

fn slow() -> Lags {
    let lag = |seconds, blips: &[u32]| Lag {
        seconds,
        calls: 0,
        blips: blips.to_vec(),
    };
    let pace = |birth, death| Pace { birth, death };
    Lags {
        sts: pace(lag(6, &[1]), lag(4, &[])),
        iam: pace(lag(9, &[1, 4]), lag(4, &[])),
        lists: lag(5, &[1]),
    }
}

impl World {
    pub fn new(pacing: Pacing, events: &[(usize, Event)]) -> Rc<World> {
        World::guarded(Guard::Nothing, pacing, events)
    }

    pub fn guarded(guard: Guard, pacing: Pacing, events: &[(usize, Event)]) -> Rc<World> {
        let mut aws = Aws::new();
        let user = aws.add_user("/", USER);
        if guard == Guard::Mfa {
            user.deny("*", Because::MfaRequired);
            user.mfa.push(MfaDevice {
                serial: format!("arn:aws:iam::123456789012:mfa/{USER}"),
                codes: (1..=MOST_CODES).map(|n| format!("{n:06}")).collect(),
            });
        }
        let (id, secret) = aws.add_key(USER, START - 100 * 86_400);
        if pacing == Pacing::Slow {
            aws.lags = slow();
        }
        let user = aws.user(USER);
        let identity = Identity {
            arn: UserArn::try_from(user.arn.clone()).unwrap(),
            user_id: user.user_id.clone(),
        };
        let entry: EntryName = "work".parse().unwrap();
        let key = AccessKey {
            id: id.parse().unwrap(),
            secret: SecretKey::new(secret),
        };
        let mut item = Item::new(entry.clone(), key, Time(START - 100 * 86_400));
        item.identity = Some(identity.clone());
        item.region = "eu-central-1".into();
        let store = Arc::new(Memory::default());
        let vault = Vault::new(StoreKind::Keychain, store, Deadline::Inline);
        vault.save(&item).unwrap();
        Rc::new(World {
            aws: InProcess::new(aws, START),
            local: Arc::new(AtomicI64::new(START)),
            skew: Cell::new(0),
            vault,
            receipts: RefCell::default(),
            entry,
            identity,
            events: events.iter().copied().collect(),
            effects: Cell::new(0),
            calm: Cell::new(false),
            foreign: RefCell::default(),
            named: RefCell::default(),
            accepted: RefCell::new(BTreeMap::from([(id, (3, 3))])),
            reactivated: RefCell::default(),
            delivered: RefCell::default(),
            activated: RefCell::default(),
            disabled: RefCell::default(),
            undoing: Cell::new(false),
            checked: RefCell::default(),
            person: Cell::new(true),
            codes: Cell::new(0),
        })
    }

    pub fn item(&self) -> Item {
        match self.vault.find(&self.entry).unwrap() {
            Some(Stored::Item(item)) => *item,
            other => panic!("the entry is lost: {other:?}"),
        }
    }

    pub fn aws_now(&self) -> i64 {
        self.local.load(Ordering::SeqCst) - self.skew.get()
    }

    pub fn advance(&self, seconds: i64) {
        self.local.fetch_add(seconds, Ordering::SeqCst);
        self.aws.now.set(self.aws_now());
        self.aws.account.borrow_mut().deliver_late(self.aws_now());
    }

    /// Somebody sets the clock right.
    pub fn mend_clock(&self) {
        let right = self.aws_now();
        self.skew.set(0);
        self.local.store(right, Ordering::SeqCst);
    }

    /// One effect is about to happen: what strikes it, if anything does.
    pub fn tick(self: &Rc<World>) -> Option<Event> {
        self.tick_at(At::Call)
    }

    pub fn tick_at(self: &Rc<World>, at: At) -> Option<Event> {
        self.aws.now.set(self.aws_now());
        self.check_served();
        if self.calm.get() {
            return None;
        }
        let n = self.effects.get();
        self.effects.set(n + 1);
        let event = *self.events.get(&n)?;
        match event {
            Event::PersonCreates => self.person_creates(),
            Event::PersonDeactivates(which) => self.person_sets(which, Status::Inactive),
            Event::PersonActivates(which) => self.person_sets(which, Status::Active),
            Event::ClockJumps(seconds) => {
                self.local.fetch_add(seconds, Ordering::SeqCst);
                self.skew.set(self.skew.get() + seconds);
            }
            // Not within a write: between the compare and the write are milliseconds,
            // and stores know no compare-and-swap.
            Event::SecondRotator if at == At::Write => {}
            Event::SecondRotator => {
                self.calm.set(true);
                // Its end, good or bad, is its own; what it did is checked.
                drop(self.run_as("other/2.2", &RefCell::default(), policy(Demand::Now)));
                self.calm.set(false);
                self.aws.now.set(self.aws_now());
            }
            struck => return Some(struck),
        }
        None
    }

    /// Promise 1: what is served was proven, and awskeep has not killed it.
    fn check_served(&self) {
        // Most effects change nothing in the store: what was checked is not read again.
        let bytes = self.vault.bytes(&self.entry).unwrap().to_vec();
        let mut last = self.checked.borrow_mut();
        if last.0 != bytes {
            *last = (bytes, Some(self.item().current.id));
        }
        let served = last.1.clone().expect("set with the bytes");
        let (sts, iam) = self
            .accepted
            .borrow()
            .get(served.as_str())
            .copied()
            .unwrap_or_default();
        assert!(
            sts >= 3 && iam >= 3,
            "{served} is served and was not proven"
        );
        let disabled = self.disabled.borrow().contains(served.as_str());
        let status = self
            .aws
            .account
            .borrow()
            .key(served.as_str())
            .and_then(|key| key.status);
        assert!(
            disabled || status == Some(Status::Active),
            "{served} is served and {status:?}"
        );
    }

    /// Promises 1, 2 and 6, before awskeep deactivates or deletes a key.
    pub fn check_retire(&self, id: &AccessKeyId, deletes: bool) {
        let item = self.item();
        assert_ne!(item.current.id, *id, "the served key is to be retired");
        let named = self.named.borrow().contains(id.as_str());
        let foreign = self.foreign.borrow().contains(id.as_str());
        assert!(named || !foreign, "{id} is somebody else's");
        let back = self.reactivated.borrow().contains(id.as_str());
        assert!(
            !back,
            "{id} was activated by a person, and is to be retired again"
        );
        if let Some(previous) = item.previous.filter(|slot| slot.id == *id) {
            let leased_until = previous.leased_until.expect("fixed at the promote");
            assert!(
                leased_until.0 <= self.aws_now() + 300,
                "{id} is retired while leased"
            );
            let promoted = item.current.promoted_at.unwrap();
            assert!(leased_until.since(promoted) >= Length::hours(1));
            assert!(
                !deletes || previous.inactive_seen_at.is_some(),
                "{id} was never held"
            );
        }
    }

    fn person_creates(&self) {
        let now = self.aws_now();
        let mut aws = self.aws.account.borrow_mut();
        if aws.user(USER).living_keys().count() < 2 {
            let (id, _) = aws.add_key(USER, now);
            self.foreign.borrow_mut().insert(id);
        }
    }

    fn person_sets(&self, which: Which, status: Status) {
        let item = self.item();
        let slot = match which {
            Which::Current => Some(item.current),
            Which::Pending => item.pending,
            Which::Previous => item.previous,
        };
        let Some(slot) = slot else { return };
        let id = slot.id.as_str();
        let mut aws = self.aws.account.borrow_mut();
        let now_is = aws.key(id).and_then(|key| key.status);
        if now_is.is_none() || now_is == Some(status) {
            return;
        }
        aws.set_by_hand(id, Some(status), self.aws_now());
        if status == Status::Active {
            self.activated.borrow_mut().insert(id.to_owned());
        }
        if status == Status::Inactive {
            self.disabled.borrow_mut().insert(id.to_owned());
        }
    }

    /// What a list shows to awskeep, awskeep knows from then on.
    pub fn note_shown(&self, rows: &[ListedKey]) {
        let item = self.item();
        let Some(previous) = item.previous else {
            return;
        };
        let shown_active = rows
            .iter()
            .any(|row| row.id == previous.id && row.status == KeyStatus::Active);
        let by_hand = self.activated.borrow().contains(previous.id.as_str());
        if shown_active && by_hand && previous.inactive_seen_at.is_some() && !self.undoing.get() {
            self.reactivated
                .borrow_mut()
                .insert(previous.id.to_string());
        }
    }

    /// The person enables again what they had disabled and is needed.
    pub fn person_relents(&self) {
        let disabled = std::mem::take(&mut *self.disabled.borrow_mut());
        let item = self.item();
        let needed = |id: &String| {
            let pending = item
                .pending
                .as_ref()
                .is_some_and(|slot| slot.id.as_str() == id);
            item.current.id.as_str() == id || pending
        };
        for id in disabled.into_iter().filter(needed) {
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
        let mine = self.foreign.borrow().contains(id);
        if mine {
            let mut aws = self.aws.account.borrow_mut();
            aws.set_by_hand(id, None, self.aws_now());
        }
        mine
    }

    /// Runs once, as a process that may die; none if it died.
    pub fn run(self: &Rc<World>, policy: Policy) -> Option<Outcome<Ended>> {
        ON_WRITE.with(|world| *world.borrow_mut() = Some(Rc::clone(self)));
        let ran = catch_unwind(AssertUnwindSafe(|| {
            self.run_as("here/1.1", &self.receipts, policy)
        }));
        ON_WRITE.with(|world| *world.borrow_mut() = None);
        self.aws.now.set(self.aws_now());
        match ran {
            Ok(outcome) => {
                self.check_served();
                Some(outcome)
            }
            Err(cause) if cause.is::<Crash>() => {
                self.check_served();
                None
            }
            Err(cause) => resume_unwind(cause),
        }
    }

    fn run_as(
        self: &Rc<World>,
        host: &str,
        receipts: &RefCell<Vec<Receipt>>,
        policy: Policy,
    ) -> Outcome<Ended> {
        let clock = Clock::Set(Arc::clone(&self.local));
        let append = |receipt: &Receipt| {
            let failed = || Failure::new(Kind::Failed, "the disk is full");
            let keep = || receipts.borrow_mut().push(receipt.clone());
            let event = self.tick();
            if !matches!(event, None | Some(Event::CrashAfter)) {
                let id = receipt.key_id.as_ref().map(ToString::to_string);
                self.delivered.borrow_mut().remove(&id.unwrap_or_default());
            }
            match event {
                None => keep(),
                Some(Event::CrashBefore | Event::LateAndCrash(_)) => crash(),
                Some(Event::CrashAfter) => {
                    keep();
                    crash();
                }
                Some(_) => return Err(failed()),
            }
            Ok(())
        };
        let watched = Watched(Rc::clone(self));
        let person = Person(Rc::clone(self));
        let item = self.item();
        let account = InSession::kept(&watched, &person, &self.vault, &item, clock.now())?;
        let tools = Tools {
            account: &account,
            vault: &self.vault,
            clock: &clock,
            append: &append,
            receipts: &|| Ok(receipts.borrow().clone()),
            sync: &|| {},
            stop: &|| false,
            on_step: &|_, _| {},
            host: host.to_owned(),
        };
        let ended = mfa_run::rotate(&tools, &self.entry, &self.identity, policy)?;
        mfa_run::put_away(&tools, &self.entry, &ended)?;
        Ok(ended)
    }

    /// A person asks for the old key back.
    pub fn undo(self: &Rc<World>) -> Option<Outcome<Ended>> {
        let mut item = self.item();
        item.undo_wanted_at = Some(Time(self.aws_now()));
        self.vault.save(&item).unwrap();
        self.undoing.set(true);
        self.run(policy(Demand::Finish))
    }
}
