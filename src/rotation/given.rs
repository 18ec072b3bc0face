//! What a run is given on the real machine, put together for the commands: the
//! tools of `host`, and a policy out of what is `wanted`. Edge.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::known::{Demand, Early, Known, MakeRoom, Policy};
use super::life::{HandledBy, Rules};
use super::mfa_run::SESSION_RECEIPT;
use super::plan::{Question, Step};
use super::run::{Signs, Tools};
use super::{host, wanted};
use crate::disk::Reach;
use crate::failure::Outcome;
use crate::iam_account::Account;
use crate::keys::EntryName;
use crate::lease::{self, Attended};
use crate::machine::Machine;
use crate::settings::{Key, Settings};
use crate::state::{self, Receipt, Receipts};
use crate::ui::Answer;
use crate::vault::Vault;

/// What a command hears while a run is at work, and what it can say to it.
pub struct Around<'a> {
    pub stop: &'a Arc<AtomicBool>,
    pub on_step: &'a dyn Fn(&Step, &Known),
    pub on_wait: &'a dyn Fn(&str),
    pub ask: &'a dyn Fn(&Question, &Known) -> Outcome<Answer>,
    pub signs: Signs<'a>,
}

/// Calls `work` with the tools of this machine.
///
/// # Errors
/// Those of `work`; `Kind::Failed` where locks or receipts have no place.
pub fn with_tools<A: Account, T>(
    machine: &Machine,
    account: &A,
    vault: &Vault,
    reach: Reach,
    around: &Around<'_>,
    work: impl FnOnce(&Tools<'_, A>) -> Outcome<T>,
) -> Outcome<T> {
    let receipts = Receipts::of(machine)?;
    let append = |receipt: &Receipt| receipts.append(receipt);
    let read = || receipts.read();
    let sync = || host::sync_store(machine, vault.kind);
    let stopped = || around.stop.load(Ordering::SeqCst);
    work(&Tools {
        account,
        vault,
        clock: &machine.clock,
        append: &append,
        receipts: &read,
        can_note: &|| state::refuse_without_receipts(machine),
        sync: &sync,
        stop: &stopped,
        on_step: around.on_step,
        on_wait: around.on_wait,
        ask: around.ask,
        signs: around.signs,
        reach,
    })
}

/// The policy of a run that a person asked for: a settle as for somebody who waits,
/// keys in files left to that person.
pub fn policy_now(
    settings: &Settings,
    name: &EntryName,
    demand: Demand,
    early: Early,
) -> Outcome<Policy> {
    let Rules { max_age, hold, .. } = rules(settings, name, &[])?;
    Ok(Policy {
        demand,
        attended: Attended::Yes,
        early,
        settle: wanted::settle(settings, name, Attended::Yes)?,
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
pub fn rules(settings: &Settings, name: &EntryName, receipts: &[Receipt]) -> Outcome<Rules> {
    let max_age = wanted::max_age(settings, name)?;
    let hold = lease::hold(settings.length(Key::Hold, Some(name))?, max_age);
    let of_session = |receipt: &Receipt| receipt.entry == *name && receipt.step == SESSION_RECEIPT;
    Ok(Rules {
        max_age,
        hold,
        handled_by: match receipts.iter().any(of_session) {
            true => HandledBy::Session,
            false => HandledBy::Key,
        },
    })
}
