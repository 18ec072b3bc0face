//! What a run is given on the real machine, put together for the commands: the
//! tools of `host`, and a request out of what is `wanted`. Edge.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::aws::Account;
use crate::config::{Key, Settings};
use crate::error::Result;
use crate::lifecycle::execute::{Context, Signs};
use crate::lifecycle::observed::{MakeRoom, Observed, Request, RetireMode, Trigger};
use crate::lifecycle::plan::{Question, Step};
use crate::lifecycle::report::{HandledBy, KeyRules};
use crate::lifecycle::{host, options};
use crate::records;
use crate::records::{Record, Records};
use crate::sessions::cache::SESSION_RECEIPT;
use crate::store::Vault;
use crate::system::disk::Reach;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::types::lease;
use crate::types::lease::{Attended, Auto};
use crate::ui::YesNo;

/// What a command hears while a run is at work, and what it can say to it.
pub struct Around<'a> {
    pub stop: &'a Arc<AtomicBool>,
    pub on_step: &'a dyn Fn(&Step, &Observed),
    pub on_wait: &'a dyn Fn(&str),
    pub ask: &'a dyn Fn(&Question, &Observed) -> Result<YesNo>,
    pub signs: Signs<'a>,
}

/// Calls `work` with the tools of this machine.
///
/// # Errors
/// Those of `work`; `Kind::Failed` where locks or receipts have no place.
pub fn with_tools<A: Account, T>(
    env: &Env,
    account: &A,
    vault: &Vault,
    reach: Reach,
    around: &Around<'_>,
    work: impl FnOnce(&Context<'_, A>) -> Result<T>,
) -> Result<T> {
    let receipts = Records::of(env)?;
    let append = |receipt: &Record| receipts.append(receipt);
    let read = || receipts.read();
    let sync = || host::sync_store(env, vault.kind);
    let stopped = || around.stop.load(Ordering::SeqCst);
    work(&Context {
        account,
        vault,
        clock: &env.clock,
        append: &append,
        receipts: &read,
        can_note: &|| records::refuse_without_receipts(env),
        sync: &sync,
        stop: &stopped,
        on_step: around.on_step,
        on_wait: around.on_wait,
        ask: around.ask,
        signs: around.signs,
        reach,
    })
}

/// The request of a run that a person asked for: a settle as for somebody who waits,
/// keys in files left to that person.
pub fn request_now(
    settings: &Settings,
    name: &EntryName,
    trigger: Trigger,
    retire: RetireMode,
) -> Result<Request> {
    let KeyRules { max_age, hold, .. } = rules(settings, name, &[])?;
    Ok(Request {
        trigger,
        attended: Attended::Yes,
        retire,
        settle: options::settle(settings, name, Attended::Yes)?,
        hold,
        max_age,
        lease: settings.length(Key::Lease, Some(name))?,
        discard: None,
        make_room: MakeRoom::Ask,
        in_files: Vec::new(),
    })
}

/// How old an entry's keys may get, how long a replaced one is held, and whether the
/// receipts know of an MFA session.
pub fn rules(settings: &Settings, name: &EntryName, receipts: &[Record]) -> Result<KeyRules> {
    let max_age = options::max_age(settings, name)?;
    let hold = lease::hold(settings.length(Key::Hold, Some(name))?, max_age);
    let of_session = |receipt: &Record| receipt.entry == *name && receipt.step == SESSION_RECEIPT;
    Ok(KeyRules {
        max_age,
        hold,
        handled_by: match receipts.iter().any(of_session) {
            true => HandledBy::Session,
            false => HandledBy::Key,
        },
        retired: match settings.auto(Some(name))? {
            Auto::On => Attended::No,
            Auto::Off => Attended::Yes,
        },
    })
}
