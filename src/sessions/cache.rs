//! A run where policies may force MFA: a session is opened between two runs, kept in
//! the store, and erased once its rotation needs it no more. Edge, but for what it is
//! given.

use crate::aws::Account;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::context::Context;
use crate::lifecycle::execute;
use crate::lifecycle::execute::{Promoted, RunResult};
use crate::lifecycle::model::Request;
use crate::lifecycle::plan::{Refusal, Step, Wait};
use crate::lifecycle::report;
use crate::lifecycle::report::is_idle;
use crate::records::Record;
use crate::sessions::obtain::{InSession, Opens, SessionOpened};
use crate::store::item::{Identity, Item};
use crate::store::session_item::KeptSession;
use crate::types::keys::EntryName;

/// The step's name in receipts: a session was opened, or could not be.
pub const SESSION_RECEIPT: &str = "mfa-session";

/// `execute::rotate`, and once more in a session if AWS wants one and there is a code.
/// The code is asked for between two runs, never inside a retry.
///
/// # Errors
/// Those of `execute::rotate` and of `InSession::open`.
pub fn rotate<A: Account>(
    context: &Context<'_, InSession<'_, A>>,
    entry: &EntryName,
    identity: &Identity,
    request: Request,
) -> Result<RunResult> {
    let account = context.account;
    let begin = || {
        let item = execute::item_of(context.vault, entry)?;
        open_and_keep(context, &item, identity)
    };
    if account.codes.opens() == Opens::AtOnce && account.session.borrow().is_none() {
        begin()?;
    }
    let run = || execute::rotate(context, entry, identity, request.clone());
    let ended = run().map_err(|failure| given_up(context, entry, failure))?;
    if ended.step != Step::Refuse(Refusal::NeedsMfa) {
        return Ok(ended);
    }
    if begin()? == SessionOpened::NoCode {
        context.vault.erase_session(entry)?;
        note_once(context, entry);
        return Ok(ended);
    }
    let again = run().map_err(|failure| given_up(context, entry, failure))?;
    Ok(match ended.promoted {
        Promoted::Yes => RunResult {
            promoted: Promoted::Yes,
            ..again
        },
        Promoted::No => again,
    })
}

/// What AWS refused for good before anything was begun needs no session any more.
fn given_up<A: Account>(
    context: &Context<'_, InSession<'_, A>>,
    entry: &EntryName,
    failure: Error,
) -> Error {
    let idle = || execute::item_of(context.vault, entry).is_ok_and(|item| is_idle(&item));
    if failure.kind == Kind::Aws && context.account.session.borrow().is_some() && idle() {
        // The refusal is what is told; what stays behind ends by itself.
        let _ = context.vault.erase_session(entry);
    }
    failure
}

/// Erases the session once the rotation that it was opened for needs it no more: the
/// old key is inactive, or the new one was undone.
///
/// # Errors
/// `Kind::Store` if the store does not erase it.
pub fn put_away<A: Account>(
    context: &Context<'_, InSession<'_, A>>,
    entry: &EntryName,
    ended: &RunResult,
) -> Result<()> {
    if context.account.session.borrow().is_some() && needs_no_more(&ended.step, &ended.known.item) {
        *context.account.session.borrow_mut() = None;
        return context.vault.erase_session(entry);
    }
    Ok(())
}

fn needs_no_more(step: &Step, item: &Item) -> bool {
    let at_rest = matches!(
        step,
        Step::Done
            | Step::Wait(
                Wait::Held { .. }
                    | Wait::NotListedYet { .. }
                    | Wait::GoneUnsure { .. }
                    | Wait::NextSession
            )
    );
    at_rest && is_idle(item)
}

fn open_and_keep<A: Account>(
    context: &Context<'_, InSession<'_, A>>,
    item: &Item,
    identity: &Identity,
) -> Result<SessionOpened> {
    let entry = &item.entry;
    let opened = context
        .account
        .open(entry, &identity.arn, &item.current.key())?;
    let session = context.account.session.borrow();
    if let (SessionOpened::Yes { request_id }, Some(session)) = (&opened, &*session) {
        let kept = KeptSession::new(
            identity.clone(),
            session.key.id.clone(),
            session.key.secret.duplicate(),
            session.token.duplicate(),
            session.expires_at,
        );
        let mut result = format!("open until {}", session.expires_at);
        // It is good for this run all the same; only a later one needs another code.
        if let Err(failure) = context.vault.save_session(entry, kept) {
            result = format!("{result}, not kept: {}", failure.message);
        }
        let receipt = Record::new(context.clock.now(), entry, SESSION_RECEIPT)
            .key(&session.key.id)
            .request(request_id.as_deref())
            .result(result);
        // Receipts are for people.
        let _ = (context.append)(&receipt);
    }
    Ok(opened)
}

/// That a code is needed stays known, for `status`; but no run after run repeats it.
fn note_once<A: Account>(context: &Context<'_, InSession<'_, A>>, entry: &EntryName) {
    let known = (context.receipts)().unwrap_or_default();
    let told = report::last_failure(&known, entry).is_some_and(|last| last.step == SESSION_RECEIPT);
    if !told {
        let receipt = Record::new(context.clock.now(), entry, SESSION_RECEIPT);
        let _ =
            (context.append)(&receipt.failed("a code is needed, and nobody was there to enter it"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::item::Slot;
    use crate::types::keys::AccessKey;
    use crate::types::time::Timestamp;

    #[test]
    fn a_session_is_over_when_no_replaced_key_is_left_active() {
        let until = Timestamp(9);
        let key = |id| AccessKey::from_pasted(id, "secret").unwrap();
        let none = Item::new("work".parse().unwrap(), key("AKIAAAAAAAAAAAAAAAAA"), until);
        let mut active = none.clone();
        active.previous = Some(Slot::new(key("AKIABBBBBBBBBBBBBBBB"), until));
        let mut inactive = active.clone();
        inactive.previous.as_mut().unwrap().inactive_seen_at = Some(until);
        let mut undone = inactive.clone();
        undone.undo_wanted_at = Some(until);
        let not_listed = Step::Wait(Wait::NotListedYet { until });
        for (step, item, over) in [
            (&Step::Done, &none, true),
            (&Step::Wait(Wait::Held { until }), &inactive, true),
            (&not_listed, &inactive, true),
            // An undo that lists do not show yet: the other key is still to be retired.
            (&not_listed, &active, false),
            (&not_listed, &undone, false),
            (&Step::Wait(Wait::GoneUnsure { until }), &active, false),
            (&Step::Wait(Wait::Leased { until }), &active, false),
            // A person is asked, and goes on in the same session.
            (&Step::Refuse(Refusal::NeedsMfa), &none, false),
        ] {
            assert_eq!(needs_no_more(step, item), over, "{step:?} {item:?}");
        }
    }
}
