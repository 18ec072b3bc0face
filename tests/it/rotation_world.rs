//! A world for rotations: the simulated account, a store in memory, receipts, two
//! clocks, and a script of what goes wrong at which effect. Every effect passes
//! through `World::tick`, where the process may die, and every effect is checked
//! against the promises (`rotation_promises`). One thread, but for a second rotator
//! that moves only when it is let; deterministic but for nonces and jitter.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use awskeep::aws::{Account, Signer};
use awskeep::error::{Error, Kind, Result};
use awskeep::lifecycle::context::Context;
use awskeep::lifecycle::context::Signs;
use awskeep::lifecycle::execute;
use awskeep::lifecycle::execute::{Promoted, RunResult};
use awskeep::lifecycle::model::{MakeRoom, Request, RetireMode, Trigger};
use awskeep::lifecycle::plan::Question;
use awskeep::records::Record;
use awskeep::sessions::cache;
use awskeep::sessions::obtain::{InSession, NoCodes};
use awskeep::store::item::{Identity, Item, Stored};
use awskeep::store::{Deadline, Vault};
use awskeep::system::disk::Reach;
use awskeep::system::env::Clock;
use awskeep::types::keys::{AccessKey, EntryName, Secret, UserArn};
use awskeep::types::lease::Attended;
use awskeep::types::store_kind::StoreKind;
use awskeep::types::time::{Span, Timestamp};
use awskeep::ui::YesNo;

use crate::memory_store::{Memory, ON_WRITE};
use crate::mfa_world::Person;
use crate::rotation_promises::Watch;
use crate::rotation_second::Second;
use crate::sim::account::Account as Aws;
use crate::sim::in_process::InProcess;
use crate::sim::people::{Because, Lag, Lags, MfaDevice, Pace, Rights, Status};
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
    PersonDeletes(Which),
    ClockJumps(i64),
    /// Another awskeep, out of reach of the lock, begins here and has that many
    /// effects before the first one goes on.
    Second(usize, Then),
    /// Another awskeep waits for the lock, and runs as soon as this one ended or died.
    SecondInLine,
    /// Another writer of the item, out of reach of the lock.
    OtherWrites(Other),
}

/// What another writer does to the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// It puts the item back as it was before the rotation.
    AsItWas,
    /// It notes that the key in service was handed out until then.
    HandsOut(Timestamp),
}

/// What becomes of a second rotator that has had its effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It goes on once the first one has ended, from what it had seen before.
    GoesOn,
    Dies,
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
    /// A new key is known everywhere only after a proof's patience, and lists take
    /// steps back at that very time.
    Glacial,
}

/// The process is gone.
pub struct Crash;

pub fn crash() -> ! {
    resume_unwind(Box::new(Crash))
}

/// Everything there is.
pub struct World {
    pub aws: InProcess,
    /// The local clock; AWS's is `local - skew`.
    pub local: Arc<AtomicI64>,
    pub skew: Cell<i64>,
    pub store: Memory,
    pub vault: Vault,
    /// The item as it was last read, and what it was read from.
    last_item: RefCell<(Arc<[u8]>, Item)>,
    receipts: RefCell<Vec<Record>>,
    /// All receipts as they would stand in the file.
    pub receipts_text: RefCell<String>,
    pub entry: EntryName,
    pub identity: Identity,
    /// Whoever may handle everybody's keys.
    pub boss: AccessKey,
    begun_with: Item,
    events: BTreeMap<usize, Event>,
    pub effects: Cell<usize>,
    /// Those of the effects that are writes of the store.
    pub writes: RefCell<BTreeSet<usize>>,
    /// Whether nothing strikes: the second rotator's turn, a look of the test's own.
    pub calm: Cell<bool>,
    second: RefCell<Option<Second>>,
    in_line: Cell<bool>,
    pub watch: Watch,
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

pub fn request(trigger: Trigger) -> Request {
    Request {
        trigger,
        attended: Attended::No,
        retire: RetireMode::No,
        settle: Span::seconds(15),
        hold: Span::days(14),
        max_age: Some(Span::days(90)),
        lease: Span::hours(1),
        discard: None,
        make_room: MakeRoom::Ask,
        in_files: Vec::new(),
    }
}

fn lags(pacing: Pacing) -> Lags {
    let lag = |seconds, blips: &[u32]| Lag {
        seconds,
        calls: 0,
        blips: blips.to_vec(),
    };
    let pace = |birth, death| Pace { birth, death };
    match pacing {
        Pacing::AtOnce => Lags::default(),
        Pacing::Slow => Lags {
            sts: pace(lag(6, &[1]), lag(4, &[])),
            iam: pace(lag(9, &[1, 4]), lag(4, &[])),
            lists: lag(5, &[1]),
        },
        Pacing::Glacial => Lags {
            sts: pace(lag(100, &[1]), lag(30, &[])),
            iam: pace(lag(150, &[1, 4]), lag(30, &[])),
            lists: lag(100, &[0, 1]),
        },
    }
}

fn pair((id, secret): (String, String)) -> AccessKey {
    AccessKey {
        id: id.parse().unwrap(),
        secret: Secret::new(secret),
    }
}

/// One run as the commands make it.
pub fn rotate<A: Account>(
    tools: &Context<'_, InSession<'_, A>>,
    entry: &EntryName,
    identity: &Identity,
    request: Request,
) -> Result<RunResult> {
    let ended = cache::rotate(tools, entry, identity, request)?;
    cache::put_away(tools, entry, &ended)?;
    Ok(ended)
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
        let key = pair(aws.add_key(USER, START - 100 * 86_400));
        aws.add_user("/", "boss").rights = Rights::Everybody;
        let boss = pair(aws.add_key("boss", START - 86_400));
        aws.lags = lags(pacing);
        let user = aws.user(USER);
        let identity = Identity {
            arn: UserArn::try_from(user.arn.clone()).unwrap(),
            user_id: user.user_id.clone(),
        };
        let entry: EntryName = "work".parse().unwrap();
        let watch = Watch::of(&key.id);
        let mut item = Item::new(entry.clone(), key, Timestamp(START - 100 * 86_400));
        item.identity = Some(identity.clone());
        item.region = "eu-central-1".into();
        let store = Memory::default();
        let vault = Vault::new(
            StoreKind::Keychain,
            Arc::new(store.clone()),
            Deadline::Inline,
        );
        vault.save(&item).unwrap();
        Rc::new(World {
            aws: InProcess::new(aws, START),
            local: Arc::new(AtomicI64::new(START)),
            skew: Cell::new(0),
            store,
            vault,
            last_item: RefCell::new((Arc::default(), item.clone())),
            receipts: RefCell::default(),
            receipts_text: RefCell::default(),
            entry,
            identity,
            boss,
            begun_with: item,
            events: events.iter().copied().collect(),
            effects: Cell::new(0),
            writes: RefCell::default(),
            calm: Cell::new(false),
            second: RefCell::default(),
            in_line: Cell::new(false),
            watch,
            person: Cell::new(true),
            codes: Cell::new(0),
        })
    }

    pub fn item(&self) -> Item {
        self.with_item(Item::clone)
    }

    /// Most looks find the item unchanged: then it is not parsed again.
    pub fn with_item<T>(&self, look: impl FnOnce(&Item) -> T) -> T {
        let bytes = self.store.read(self.entry.as_str());
        let bytes = bytes.expect("the entry is lost");
        let mut last = self.last_item.borrow_mut();
        if last.0 != bytes {
            let item = match self.vault.find(&self.entry).unwrap() {
                Some(Stored::Item(item)) => *item,
                other => panic!("the entry cannot be read: {other:?}"),
            };
            *last = (bytes, item);
        }
        look(&last.1)
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
            Event::PersonDeactivates(which) => self.person_sets(which, Some(Status::Inactive)),
            Event::PersonActivates(which) => self.person_sets(which, Some(Status::Active)),
            Event::PersonDeletes(which) => self.person_sets(which, None),
            Event::ClockJumps(seconds) => {
                self.local.fetch_add(seconds, Ordering::SeqCst);
                self.skew.set(self.skew.get() + seconds);
            }
            Event::Second(effects, then) => {
                let mut second = Second::start(self);
                self.let_go(&mut second, effects);
                if then == Then::GoesOn {
                    *self.second.borrow_mut() = Some(second);
                }
            }
            Event::SecondInLine => self.in_line.set(true),
            Event::OtherWrites(other) => self.other_writes(other),
            struck => return Some(struck),
        }
        None
    }

    fn other_writes(&self, other: Other) {
        let calm = self.calm.replace(true);
        let mut item = self.item();
        match other {
            Other::AsItWas => item = self.begun_with.clone(),
            Other::HandsOut(until) => item.handed_out_until = Some(until),
        }
        self.vault.save(&item).unwrap();
        self.calm.set(calm);
    }

    fn let_go(self: &Rc<World>, second: &mut Second, effects: usize) {
        let calm = self.calm.replace(true);
        second.go(self, effects);
        self.calm.set(calm);
        self.aws.now.set(self.aws_now());
    }

    /// Runs once, as a process that may die; none if it died.
    pub fn run(self: &Rc<World>, request: Request) -> Option<Result<RunResult>> {
        let first = self.attempt(|world| world.rotate(request.clone()));
        if !self.in_line.take() {
            return first;
        }
        // The lock is free: it passes to the one that waited for it.
        let second = self.attempt(|world| world.rotate(request));
        let promoted = |ran: &Option<Result<RunResult>>| matches!(ran, Some(Ok(ended)) if ended.promoted == Promoted::Yes);
        assert!(
            !(promoted(&first) && promoted(&second)),
            "two rotations where two wanted one"
        );
        second
    }

    /// Something that a process does, which may die; then a second one, if there is
    /// one, goes on to its end.
    pub fn attempt<T: std::fmt::Debug>(
        self: &Rc<World>,
        work: impl FnOnce(&Rc<World>) -> T,
    ) -> Option<T> {
        let world = Rc::clone(self);
        let on_write = move || {
            if !world.calm.get() {
                world.writes.borrow_mut().insert(world.effects.get());
            }
            world.tick()
        };
        ON_WRITE.with(|hook| *hook.borrow_mut() = Some(Rc::new(on_write)));
        self.watch.begin();
        let ran = catch_unwind(AssertUnwindSafe(|| work(self)));
        ON_WRITE.with(|hook| *hook.borrow_mut() = None);
        let second = self.second.borrow_mut().take();
        let went_well = ran
            .as_ref()
            .map_or_else(|cause| cause.is::<Crash>(), |_| true);
        if let Some(mut second) = second
            && went_well
        {
            self.let_go(&mut second, usize::MAX);
        }
        self.aws.now.set(self.aws_now());
        let outcome = match ran {
            Ok(outcome) => Some(outcome),
            Err(cause) if cause.is::<Crash>() => None,
            Err(cause) => resume_unwind(cause),
        };
        self.check_served();
        self.check_secrets(&format!("{outcome:?}"));
        outcome
    }

    fn rotate(self: &Rc<World>, request: Request) -> Result<RunResult> {
        self.with_tools(|tools| rotate(tools, &self.entry, &self.identity, request))
    }

    /// Calls `work` with the tools of this machine, whose lock is held, in the MFA
    /// session that is kept for the entry, if there is one.
    pub fn with_tools<T>(
        self: &Rc<World>,
        work: impl FnOnce(&Context<'_, InSession<'_, Watched>>) -> Result<T>,
    ) -> Result<T> {
        let watched = Watched(Rc::clone(self));
        let person = Person(Rc::clone(self));
        let (item, now) = (self.item(), Timestamp(self.local.load(Ordering::SeqCst)));
        let account = InSession::kept(&watched, &person, &self.vault, &item, now)?;
        self.with_account(&account, Signs::Current, work)
    }

    /// `recover --via` somebody who may handle the user's keys without a session, and
    /// agrees to everything.
    pub fn recover(self: &Rc<World>) -> Option<Result<RunResult>> {
        let via = "boss".parse().unwrap();
        self.attempt(|world| {
            let watched = Watched(Rc::clone(world));
            let account = InSession::new(&watched, &NoCodes);
            let signs = Signs::Other {
                signer: Signer::Key(&world.boss),
                via: &via,
            };
            world.with_account(&account, signs, |tools| {
                let request = Request {
                    attended: Attended::Yes,
                    ..request(Trigger::Recover)
                };
                execute::rotate(tools, &world.entry, &world.identity, request)
            })
        })
    }

    fn with_account<A, T>(
        self: &Rc<World>,
        account: &A,
        signs: Signs<'_>,
        work: impl FnOnce(&Context<'_, A>) -> Result<T>,
    ) -> Result<T> {
        let clock = Clock::Set(Arc::clone(&self.local));
        let append = |receipt: &Record| self.append(receipt);
        work(&Context {
            account,
            vault: &self.vault,
            clock: &clock,
            append: &append,
            can_note: &|| Ok(()),
            receipts: &|| Ok(self.receipts.borrow().clone()),
            sync: &|| {},
            // Nobody agrees to what is lost for ever; to what `recover` asks, its person does.
            ask: &|question, _| {
                Ok(match question {
                    Question::MakeRoom(_) | Question::RetireUnkept => YesNo::No,
                    _ => YesNo::Yes,
                })
            },
            signs,
            stop: &|| false,
            on_step: &|_, _| {},
            on_wait: &|_| {},
            reach: Reach::Locked("here/1.1".into()),
        })
    }

    fn append(self: &Rc<World>, receipt: &Record) -> Result<()> {
        let keep = || {
            self.receipts.borrow_mut().push(receipt.clone());
            let line = serde_json::to_string(receipt).unwrap();
            self.receipts_text.borrow_mut().push_str(&line);
        };
        let event = self.tick();
        if !matches!(event, None | Some(Event::CrashAfter)) {
            let id = receipt.key_id.as_ref().map(ToString::to_string);
            let mut delivered = self.watch.delivered.borrow_mut();
            delivered.remove(&id.unwrap_or_default());
        }
        match event {
            None => keep(),
            Some(Event::CrashBefore | Event::LateAndCrash(_)) => crash(),
            Some(Event::CrashAfter) => {
                keep();
                crash();
            }
            Some(_) => return Err(Error::new(Kind::Failed, "the disk is full")),
        }
        Ok(())
    }
}
