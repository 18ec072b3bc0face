//! One run of `rotate` for one entry, under its user's lock: what is wanted, what a
//! person must agree to, and what is told meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::aws::live::LiveAccount;
use crate::aws::place;
use crate::aws::prove;
use crate::cli::Rotate;
use crate::commands::{Form, Invocation, Mode};
use crate::config::Key;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::context::Context;
use crate::lifecycle::context::Signs;
use crate::lifecycle::execute;
use crate::lifecycle::execute::RunResult;
use crate::lifecycle::host::Around;
use crate::lifecycle::model::{MakeRoom, Request, RetireMode, Trigger};
use crate::lifecycle::observed::Observed;
use crate::lifecycle::phrases;
use crate::lifecycle::phrases::Preview;
use crate::lifecycle::plan::{Question, Step, next_step};
use crate::lifecycle::{host, options, timeline};
use crate::sessions::cache;
use crate::sessions::mfa::{Codes, GivenCode};
use crate::sessions::obtain::InSession;
use crate::store::entries::{Entries, StoredEntry};
use crate::store::item::{Identity, Item};
use crate::system::disk;
use crate::system::disk::{Locks, Reach};
use crate::types::keys::{AccessKeyId, EntryName};
use crate::types::lease;
use crate::types::lease::{Attended, Auto};
use crate::types::time::Timestamp;
use crate::ui::YesNo;

/// How a run went.
pub enum TurnResult {
    Run(Box<RunResult>),
    /// Under `--explain` and `--dry-run`.
    Look(Preview),
}

/// One run under the user's lock.
pub struct Turn<'a> {
    pub context: &'a Invocation<'a>,
    pub entries: &'a Entries<'a>,
    pub args: &'a Rotate,
    /// The key that was current when the command began.
    pub about: &'a AccessKeyId,
    pub stop: &'a Arc<AtomicBool>,
    pub given: &'a GivenCode,
}

impl Turn<'_> {
    pub fn take(&self, name: &EntryName, request: &mut Request) -> Result<TurnResult> {
        let env = self.context.env;
        let entries = self.entries;
        let identity = self.identity(name)?;
        let user = self.lock(&identity, name)?;
        let held = entries.get(name)?;
        let account = place::account(env, &place::place_of(&held.item))?;
        let codes = Codes {
            env,
            settings: &entries.settings,
            entry: name,
            given: self.given,
        };
        let (vault, item) = (&held.vault, &held.item);
        let account = InSession::kept(&account, &codes, vault, item, env.now())?;
        let on_step = |step: &Step, known: &Observed| self.context.progress(step, known);
        let on_wait = |line: &str| self.context.at_work(name, line);
        let ask = |question: &Question, known: &Observed| self.asked(question, known);
        host::with_context(
            env,
            &account,
            vault,
            reach(user.as_ref()),
            &Around {
                stop: self.stop,
                on_step: &on_step,
                on_wait: &on_wait,
                ask: &ask,
                signs: Signs::Current,
            },
            |run_context| self.act(run_context, &held, &identity, request),
        )
    }

    /// Who only looks waits for nobody, and says who is at work; none then.
    fn lock(&self, identity: &Identity, name: &EntryName) -> Result<Option<Locks>> {
        if self.acts() {
            return self.entries.lock_user(Some(identity), name).map(Some);
        }
        match self.entries.glance_at_user(Some(identity), name) {
            Some(disk::Taken::Held(locks)) => Ok(Some(locks)),
            Some(disk::Taken::Nowhere(_)) => Ok(None),
            None => {
                let who = self.entries.at_work(Some(identity), name);
                let who = who.unwrap_or_else(|| "another awskeep".into());
                let ui = &self.context.env.ui;
                ui.tell(&format!(
                    "{name}: {who} is at work on it; this is the state now"
                ));
                Ok(None)
            }
        }
    }

    fn acts(&self) -> bool {
        self.context.mode == Mode::Act && !self.args.instead.explain
    }

    fn act(
        &self,
        run_context: &Context<'_, InSession<'_, LiveAccount>>,
        held: &StoredEntry,
        identity: &Identity,
        request: &mut Request,
    ) -> Result<TurnResult> {
        let undone = match self.args.instead.undo {
            true => Some(undo_wanted(held, self.context.env.now())?),
            false => None,
        };
        self.check_discard(held, request)?;
        if replaced_meanwhile(request, self.about, &held.item) {
            let (name, id) = (held.name(), self.about);
            let line = format!("{name}: {id} was replaced while this waited for another awskeep");
            self.context.env.ui.tell(&line);
        }
        if !self.acts() {
            let mut known = execute::explain(run_context, held.name(), identity, request.clone())?;
            if let Some(item) = undone {
                known.item = item;
            }
            return self.explain(&known).map(TurnResult::Look);
        }
        self.ask(held, request)?;
        if let Some(item) = undone.filter(|item| *item != held.item) {
            held.vault.save(&item)?;
        }
        let ended = cache::rotate(run_context, held.name(), identity, request.clone())?;
        cache::put_away(run_context, held.name(), &ended)?;
        Ok(TurnResult::Run(Box::new(ended)))
    }

    fn explain(&self, known: &Observed) -> Result<Preview> {
        let ui = &self.context.env.ui;
        let foreseen = Preview::of(known, &next_step(known));
        match (self.context.form, self.args.instead.explain) {
            (Form::Json, _) => {}
            (Form::Text, true) => ui.text(&phrases::explained(known, &foreseen))?,
            (Form::Text, false) => ui.tell(&foreseen.line()),
        }
        Ok(foreseen)
    }

    /// In the middle of a run. Declined, or nobody there: what was done stays, and is told.
    fn asked(&self, question: &Question, known: &Observed) -> Result<YesNo> {
        let ui = &self.context.env.ui;
        let text = phrases::question(question, known);
        let answer = match question {
            // Who wrote --yes into a cron line did not think of the key that is held now.
            Question::MakeRoom(_) => {
                let instead = format!("awskeep rotate {} --delete-now", known.item.entry);
                ui.decide(&text, &instead)
            }
            _ => ui.confirm(&text).map(|()| YesNo::Yes),
        };
        match answer {
            Err(failure) if failure.kind == Kind::PersonNeeded => Ok(YesNo::No),
            answer => answer,
        }
    }

    /// What a person must agree to before anything is changed.
    fn ask(&self, held: &StoredEntry, request: &mut Request) -> Result<()> {
        let env = self.context.env;
        let ui = &env.ui;
        let (item, name) = (&held.item, held.name());
        let in_flight = item.would_lose().is_some();
        let begins = !in_flight && request.trigger != Trigger::Finish;
        if let Some(place) = request.in_files.first()
            && begins
            && ui.attended()
        {
            ui.confirm(&format!(
                "{} is still in {}:{}, and stops working there some time after this; continue?",
                item.current.id, place.path, place.line
            ))?;
            request.in_files.clear();
        }
        let due = match request.trigger {
            Trigger::Now => true,
            Trigger::IfDue => {
                timeline::due_at(&item.current, request.max_age).is_some_and(|due| env.now() >= due)
            }
            Trigger::Finish | Trigger::Recover => false,
        };
        // Who turned `auto` on was told then, and agreed.
        let agreed = request.trigger == Trigger::IfDue && request.attended == Attended::No;
        if begins && due && !agreed && item.current.promoted_at.is_none() {
            ui.confirm(&format!(
                "is {} used only through entry {name} on this machine? \
                 Copies on other machines, in CI, in presigned URLs and SES SMTP passwords cannot follow and will stop working",
                item.current.id
            ))?;
        }
        let old = item.previous.as_ref().map_or_else(
            || format!("the key that {name} has now"),
            |slot| slot.id.to_string(),
        );
        match request.retire {
            RetireMode::No => {}
            RetireMode::Retire => ui.confirm(&format!(
                "deactivate {old} without waiting for what may still use it?"
            ))?,
            RetireMode::Delete => ui.confirm(&format!(
                "delete {old} without waiting? it cannot be brought back"
            ))?,
        }
        if let Some(id) = &request.discard {
            ui.confirm(&format!(
                "delete {id} at AWS, for everyone who uses it? its secret cannot be had again"
            ))?;
        }
        Ok(())
    }

    /// Only what is no entry's key may be named.
    fn check_discard(&self, held: &StoredEntry, request: &Request) -> Result<()> {
        let (item, name) = (&held.item, held.name());
        let Some(id) = &request.discard else {
            return Ok(());
        };
        if let Some((slot, _)) = item.slots().find(|(_, slot)| slot.id == *id) {
            return Err(Error::new(
                Kind::Usage,
                format!("{id} is the {slot} key of {name} itself"),
            )
            .hint(format!("awskeep rotate {name} --explain")));
        }
        if let Some(other) = self.entries.holding(id, None)? {
            return Err(Error::new(
                Kind::Usage,
                format!("{id} is a key of entry {}", other.name()),
            )
            .hint(format!("awskeep remove {} --delete-key", other.name())));
        }
        Ok(())
    }

    /// Whose key it is; an entry added unchecked is proven first, under its own lock.
    fn identity(&self, name: &EntryName) -> Result<Identity> {
        let held = self.entries.get(name)?;
        if let Some(identity) = &held.item.identity {
            return Ok(identity.clone());
        }
        let _entry = match self.acts() {
            true => Some(self.entries.lock_user(None, name)?),
            false => None,
        };
        let mut held = self.entries.get(name)?;
        let account = place::account(self.context.env, &place::place_of(&held.item))?;
        let proof = prove::prove_existing(&account, &held.item.current.key())?;
        held.item.identity = Some(proof.identity.clone());
        if self.acts() {
            held.vault.save(&held.item)?;
        }
        Ok(proof.identity)
    }
}

/// What a person, or the schedule, wants of the run.
pub fn request(
    context: &Invocation<'_>,
    entries: &Entries<'_>,
    args: &Rotate,
    name: &EntryName,
) -> Result<(Request, AccessKeyId)> {
    let settings = &entries.settings;
    let held = entries.get(name)?;
    let instead = &args.instead;
    let attended = if context.env.ui.attended() {
        Attended::Yes
    } else {
        Attended::No
    };
    let retire = match (instead.retire_now, instead.delete_now) {
        (_, true) => RetireMode::Delete,
        (true, false) => RetireMode::Retire,
        (false, false) => RetireMode::No,
    };
    let hurries = retire != RetireMode::No && held.item.previous.is_some();
    let trigger = if instead.finish || instead.undo || hurries {
        Trigger::Finish
    } else if args.if_due {
        match (attended, settings.auto(Some(held.name()))?) {
            (Attended::No, Auto::Off) => Trigger::Finish,
            (Attended::No, Auto::On) | (Attended::Yes, _) => Trigger::IfDue,
        }
    } else {
        Trigger::Now
    };
    let max_age = options::max_age(settings, held.name())?;
    let request = Request {
        trigger,
        attended,
        retire,
        settle: options::settle(settings, held.name(), attended)?,
        hold: lease::hold(settings.length(Key::Hold, Some(held.name()))?, max_age),
        max_age,
        lease: settings.length(Key::Lease, Some(held.name()))?,
        discard: instead.discard.clone(),
        make_room: MakeRoom::Ask,
        in_files: options::in_files(context.env, &held.item)?,
    };
    Ok((request, held.item.current.id))
}

/// Another awskeep replaced the very key that a new one was wanted for, while this one
/// waited for the lock: that is done. The old key is still hurried, but no other one.
fn replaced_meanwhile(request: &mut Request, about: &AccessKeyId, item: &Item) -> bool {
    if request.trigger != Trigger::Now || item.current.id == *about {
        return false;
    }
    request.trigger = Trigger::Finish;
    if item.previous.as_ref().is_none_or(|slot| slot.id != *about) {
        request.retire = RetireMode::No;
    }
    true
}

/// The item with the wish for the old key noted; saved, a crash does not forget it.
fn undo_wanted(held: &StoredEntry, now: Timestamp) -> Result<Item> {
    let mut item = held.item.clone();
    if item.would_lose().is_none() {
        return Err(Error::new(
            Kind::NotFound,
            format!(
                "entry {} has nothing to undo: no replaced key is left",
                held.name()
            ),
        )
        .hint("awskeep list"));
    }
    let revoked = item.previous.as_ref().filter(|_| item.pending.is_none());
    if let Some(slot) = revoked.filter(|slot| slot.revoked_at.is_some()) {
        return Err(Error::new(
            Kind::NotFound,
            format!("{} was revoked, and is never brought back", slot.id),
        )
        .entry(held.name())
        .hint(format!("awskeep rotate {} --finish", held.name())));
    }
    item.undo_wanted_at = item.undo_wanted_at.or(Some(now));
    Ok(item)
}

/// How far the lock reaches, if there is one.
fn reach(user: Option<&Locks>) -> Reach {
    user.map_or(Reach::Nobody, Locks::reach)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::item::Slot;
    use crate::types::keys::AccessKey;
    use crate::types::time::Span;

    fn slot(letter: &str) -> Slot {
        let id = format!("AKIA{}", letter.repeat(16));
        Slot::new(AccessKey::from_pasted(&id, "secret").unwrap(), Timestamp(5))
    }

    #[test]
    fn what_another_run_replaced_meanwhile_is_done() {
        use Trigger::{Finish, IfDue, Now};
        // The entry's keys after the lock, what was wanted of A, and what still is.
        for (current, previous, wanted, still, waited) in [
            (
                "A",
                "",
                (Now, RetireMode::Delete),
                (Now, RetireMode::Delete),
                false,
            ),
            (
                "A",
                "Z",
                (Now, RetireMode::No),
                (Now, RetireMode::No),
                false,
            ),
            (
                "B",
                "A",
                (Now, RetireMode::No),
                (Finish, RetireMode::No),
                true,
            ),
            (
                "B",
                "A",
                (Now, RetireMode::Delete),
                (Finish, RetireMode::Delete),
                true,
            ),
            (
                "B",
                "",
                (Now, RetireMode::Delete),
                (Finish, RetireMode::No),
                true,
            ),
            (
                "C",
                "B",
                (Now, RetireMode::Delete),
                (Finish, RetireMode::No),
                true,
            ),
            (
                "B",
                "A",
                (Finish, RetireMode::Retire),
                (Finish, RetireMode::Retire),
                false,
            ),
            (
                "B",
                "A",
                (IfDue, RetireMode::No),
                (IfDue, RetireMode::No),
                false,
            ),
        ] {
            let mut item = Item::new("work".parse().unwrap(), slot(current).key(), Timestamp(5));
            item.previous = (!previous.is_empty()).then(|| slot(previous));
            let mut request = Request {
                trigger: wanted.0,
                attended: Attended::Yes,
                retire: wanted.1,
                settle: Span::ZERO,
                hold: Span::days(14),
                max_age: None,
                lease: Span::hours(1),
                discard: None,
                make_room: MakeRoom::Ask,
                in_files: Vec::new(),
            };
            let said = replaced_meanwhile(&mut request, &slot("A").id, &item);
            assert_eq!(
                (request.trigger, request.retire, said),
                (still.0, still.1, waited),
                "{current} {previous} {wanted:?}"
            );
        }
    }
}
