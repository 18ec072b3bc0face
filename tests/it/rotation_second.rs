//! A second awskeep with other locks and other receipts on the same store: a
//! container, another state folder. It runs in a thread of its own and moves only
//! when the world lets it: between two of its effects it stands still.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use awskeep::aws::{
    Account, Call, Caller, CreatedKey, Greeting, KeyStatus, LastUse, ListedKey, MfaDevice, Session,
    Signer,
};
use awskeep::error::Result;
use awskeep::lifecycle::context::Context;
use awskeep::lifecycle::context::Signs;
use awskeep::lifecycle::model::Trigger;
use awskeep::records::Record;
use awskeep::sessions::denial::Expected;
use awskeep::sessions::obtain::{Code, CodeSource, InSession, Opens};
use awskeep::store::item::Stored;
use awskeep::store::{Deadline, Vault};
use awskeep::system::disk::Reach;
use awskeep::system::env::Clock;
use awskeep::types::keys::{AccessKey, AccessKeyId, Secret, UserArn};
use awskeep::types::store_kind::StoreKind;
use awskeep::ui::YesNo;

use crate::memory_store::ON_WRITE;
use crate::mfa_world::device;
use crate::rotation_world::{Crash, World, crash, request, rotate};
use crate::watched_account::Watched;

/// One effect, to be had in the world's thread.
type Ask = Box<dyn FnOnce(&Rc<World>) + Send>;

/// The second rotator, standing before its next effect.
pub struct Second {
    next: Option<Ask>,
    asks: Option<Receiver<Ask>>,
    thread: Option<JoinHandle<()>>,
}

impl Second {
    pub fn start(world: &World) -> Second {
        let (to_world, asks) = sync_channel(0);
        let (entry, identity) = (world.entry.clone(), world.identity.clone());
        let store = Arc::new(world.store.clone());
        let clock = Clock::Set(Arc::clone(&world.local));
        let rotator = move || {
            let vault = Vault::new(StoreKind::Keychain, store, Deadline::Inline);
            let world = Remote(to_world);
            let on_write = world.clone();
            let hook = move || on_write.ask(|world| world.tick());
            ON_WRITE.with(|slot| *slot.borrow_mut() = Some(Rc::new(hook)));
            let receipts: RefCell<Vec<Record>> = RefCell::default();
            let append = |receipt: &Record| {
                world.ask(|world| world.tick());
                receipts.borrow_mut().push(receipt.clone());
                Ok(())
            };
            let Ok(Some(Stored::Item(item))) = vault.find(&entry) else {
                return;
            };
            let session = InSession::kept(&world, &world, &vault, &item, clock.now());
            let Ok(account) = session else { return };
            let tools = Context {
                account: &account,
                vault: &vault,
                clock: &clock,
                append: &append,
                can_note: &|| Ok(()),
                receipts: &|| Ok(receipts.borrow().clone()),
                sync: &|| {},
                ask: &|_, _| Ok(YesNo::No),
                signs: Signs::Current,
                stop: &|| false,
                on_step: &|_, _| {},
                on_wait: &|_| {},
                reach: Reach::Locked("other/2.2".into()),
            };
            // Its end, good or bad, is its own; what it did is checked.
            drop(rotate(&tools, &entry, &identity, request(Trigger::Now)));
        };
        let thread = std::thread::spawn(move || {
            if let Err(cause) = catch_unwind(AssertUnwindSafe(rotator))
                && !cause.is::<Crash>()
            {
                resume_unwind(cause);
            }
        });
        Second {
            next: asks.recv().ok(),
            asks: Some(asks),
            thread: Some(thread),
        }
    }

    /// Lets it have so many effects; it ends sooner if it has nothing left to do.
    pub fn go(&mut self, world: &Rc<World>, effects: usize) {
        for _ in 0..effects {
            let Some(ask) = self.next.take() else { return };
            ask(world);
            self.next = self.asks.as_ref().and_then(|asks| asks.recv().ok());
        }
    }
}

impl Drop for Second {
    /// It dies where it stands: nobody answers its next effect.
    fn drop(&mut self) {
        self.next = None;
        self.asks = None;
        let ended = self.thread.take().map(JoinHandle::join);
        if let (Some(Err(cause)), false) = (ended, std::thread::panicking()) {
            resume_unwind(cause);
        }
    }
}

/// The world as the second rotator's thread has it.
#[derive(Clone)]
struct Remote(SyncSender<Ask>);

impl Remote {
    fn ask<T: Send + 'static>(&self, what: impl FnOnce(&Rc<World>) -> T + Send + 'static) -> T {
        let (tell, told) = sync_channel(1);
        let ask: Ask = Box::new(move |world| {
            // Nobody listens to a process that is dead.
            let _ = tell.send(what(world));
        });
        let answer = self.0.send(ask).ok().and_then(|()| told.recv().ok());
        answer.unwrap_or_else(|| crash())
    }

    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Watched) -> Call<T> + Send + 'static,
    ) -> Call<T> {
        self.ask(|world| call(&Watched(Rc::clone(world))))
    }
}

/// Its person has the same device.
impl CodeSource for Remote {
    fn expected(&self) -> Expected {
        Expected::NotSaid
    }

    fn opens(&self) -> Opens {
        Opens::WhenNeeded
    }

    fn code(
        &self,
        key: &AccessKey,
        devices: &dyn Fn() -> Call<Vec<MfaDevice>>,
    ) -> Result<Option<Code>> {
        if !self.ask(|world| world.person.get()) {
            return Ok(None);
        }
        let serial = device(key, devices)?;
        Ok(Some(self.ask(|world| world.next_code(serial))))
    }
}

/// A signer that can be sent to another thread.
enum Owned {
    Key(AccessKey),
    Session(Session),
}

impl Owned {
    fn of(signer: Signer<'_>) -> Owned {
        match signer {
            Signer::Key(key) => Owned::Key(key.clone()),
            Signer::Session(session) => Owned::Session(Session {
                key: session.key.clone(),
                token: session.token.duplicate(),
                expires_at: session.expires_at,
            }),
        }
    }

    fn signer(&self) -> Signer<'_> {
        match self {
            Owned::Key(key) => Signer::Key(key),
            Owned::Session(session) => Signer::Session(session),
        }
    }
}

impl Account for Remote {
    fn caller(&self, signer: Signer<'_>) -> Call<Caller> {
        let by = Owned::of(signer);
        self.call(move |aws| aws.caller(by.signer()))
    }
    fn greet_iam(&self, signer: Signer<'_>, user: &UserArn) -> Call<Greeting> {
        let (by, user) = (Owned::of(signer), user.clone());
        self.call(move |aws| aws.greet_iam(by.signer(), &user))
    }
    fn list_keys(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<ListedKey>> {
        let (by, user) = (Owned::of(signer), user.clone());
        self.call(move |aws| aws.list_keys(by.signer(), &user))
    }
    fn create_key(&self, signer: Signer<'_>, user: &UserArn) -> Call<CreatedKey> {
        let (by, user) = (Owned::of(signer), user.clone());
        self.call(move |aws| aws.create_key(by.signer(), &user))
    }
    fn set_status(
        &self,
        signer: Signer<'_>,
        user: &UserArn,
        id: &AccessKeyId,
        status: &KeyStatus,
    ) -> Call<()> {
        let (by, user) = (Owned::of(signer), user.clone());
        let (id, status) = (id.clone(), status.clone());
        self.call(move |aws| aws.set_status(by.signer(), &user, &id, &status))
    }
    fn delete_key(&self, signer: Signer<'_>, user: &UserArn, id: &AccessKeyId) -> Call<()> {
        let (by, user, id) = (Owned::of(signer), user.clone(), id.clone());
        self.call(move |aws| aws.delete_key(by.signer(), &user, &id))
    }
    fn last_used(&self, signer: Signer<'_>, id: &AccessKeyId) -> Call<LastUse> {
        let (by, id) = (Owned::of(signer), id.clone());
        self.call(move |aws| aws.last_used(by.signer(), &id))
    }
    fn mfa_devices(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<MfaDevice>> {
        let (by, user) = (Owned::of(signer), user.clone());
        self.call(move |aws| aws.mfa_devices(by.signer(), &user))
    }
    fn mfa_session(&self, key: &AccessKey, serial: &str, code: &Secret) -> Call<Session> {
        let (key, serial, code) = (key.clone(), serial.to_owned(), code.duplicate());
        self.call(move |aws| aws.mfa_session(&key, &serial, &code))
    }
}
