//! `awskeep revoke ENTRY`: a key has leaked. The served one is replaced and
//! deactivated at once; with `--key`, another key of the user is only deactivated.
//! Outside the promise that running programs go on: that is the point.

use serde::Serialize;

use crate::aws::live::LiveAccount;
use crate::aws::place;
use crate::aws::policy::end_sessions_before;
use crate::aws::{Account, CallFailureClass, KeyStatus, ListedKey, Signer, prove};
use crate::cli::Revoke;
use crate::commands::Invocation;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::context::Signs;
use crate::lifecycle::execute::RunResult;
use crate::lifecycle::host::Around;
use crate::lifecycle::model::{MakeRoom, Request, RetireMode, Trigger};
use crate::lifecycle::observed::Observed;
use crate::lifecycle::phrases;
use crate::lifecycle::plan::{Question, Refusal, Step, Wait};
use crate::lifecycle::{host, options, timeline};
use crate::records;
use crate::records::Record;
use crate::sessions::cache;
use crate::sessions::denial::denied;
use crate::sessions::mfa;
use crate::sessions::mfa::Codes;
use crate::sessions::obtain;
use crate::sessions::obtain::InSession;
use crate::store::entries::{Entries, StoredEntry};
use crate::store::item::{Identity, Item};
use crate::system::disk::{Reach, Taken};
use crate::types::escape;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName};
use crate::types::time::{Span, Timestamp};
use crate::ui::YesNo;

/// A deactivation is seen everywhere some seconds late: sessions made in that time
/// are ended too.
const SEEN_LATE: Span = Span::minutes(1);

#[derive(Serialize)]
struct Revoked {
    entry: String,
    revoked: String,
    /// The key that is served now.
    key_id: String,
    replaced: bool,
    inactive_since: Timestamp,
    /// Temporary sessions that the key made live on; these end them.
    sessions: Sessions,
}

#[derive(Serialize)]
struct Sessions {
    issued_before: Timestamp,
    user_command: String,
    role_command: String,
}

pub fn run(context: &Invocation<'_>, args: &Revoke) -> Result<()> {
    let env = context.env;
    let entries = Entries::open(env)?;
    let found = entries.meant(&args.target)?;
    let identity = identity(&found)?;
    let user = entries.try_lock_user(Some(&identity), found.name())?;
    let held = entries.get(found.name())?;
    let given = mfa::given(&args.mfa)?;
    let codes = Codes {
        env,
        settings: &entries.settings,
        entry: held.name(),
        given: &given,
    };
    let account = place::account_of(env, &held.item)?;
    let account = InSession::kept(&account, &codes, &held.vault, &held.item, env.now())?;
    // The one that was current when the command began: it may have waited for another
    // that replaced it.
    let id = args.key.clone().unwrap_or(found.item.current.id.clone());
    let at_work = AtWork {
        context,
        entries: &entries,
        held: &held,
        identity: &identity,
        account: &account,
        reach: reach(context, &user, found.name()),
    };
    let previous = held.item.previous.as_ref().map(|slot| &slot.id);
    let pending = held.item.pending.as_ref().map(|slot| &slot.id);
    if id == held.item.current.id {
        at_work.replace(&id)
    } else if previous == Some(&id) {
        at_work.retire(&id)
    } else if pending == Some(&id) {
        Err(Error::new(
            Kind::Usage,
            format!("{id} is the new key of {}, not yet in service", held.name()),
        )
        .hint(format!("delete it: awskeep rotate {} --undo", held.name())))
    } else {
        at_work.deactivate(&id)
    }
}

fn identity(held: &StoredEntry) -> Result<Identity> {
    held.item.identity.clone().ok_or_else(|| {
        let name = held.name();
        Error::new(
            Kind::NotFound,
            format!("entry {name} was never proven, so its IAM user is not known"),
        )
        .hint(format!(
            "awskeep rotate {name} --retire-now proves and replaces it"
        ))
    })
}

/// A leaked key does not wait for a place for a lock: without one what another awskeep
/// began lately is skipped, and nothing is deleted on the word of a receipt.
fn reach(context: &Invocation<'_>, user: &Taken, name: &EntryName) -> Reach {
    match user {
        Taken::Held(locks) => locks.reach(),
        Taken::Nowhere(failure) => {
            let why = failure.cause.as_deref().unwrap_or_default();
            context.env.ui.warn(&format!(
                "{name} is not locked, since there is no place for a lock ({why}): do not rotate it elsewhere meanwhile"
            ));
            Reach::Nobody
        }
    }
}

struct AtWork<'a> {
    context: &'a Invocation<'a>,
    entries: &'a Entries<'a>,
    held: &'a StoredEntry,
    identity: &'a Identity,
    account: &'a InSession<'a, LiveAccount>,
    reach: Reach,
}

impl AtWork<'_> {
    /// The served key: a new one into service, this one inactive.
    fn replace(&self, id: &AccessKeyId) -> Result<()> {
        let item = &self.held.item;
        let name = self.held.name();
        if item.undo_wanted_at.is_some() {
            return Err(Error::new(
                Kind::Unfinished,
                "an undo is under way, which changes the served key",
            )
            .entry(name)
            .hint(format!("first: awskeep rotate {name} --undo")));
        }
        if self.context.only_says(&self.plan(id)) {
            return Ok(());
        }
        let ui = &self.context.env.ui;
        ui.confirm(&format!(
            "replace {id} of entry {name} and deactivate it at once? what still uses it stops working"
        ))?;
        if let Some(previous) = &item.previous {
            let still = match previous.inactive_seen_at {
                None => {
                    let until = timeline::leased_until(previous);
                    format!(", is active and may be in use until {until},")
                }
                Some(_) => String::new(),
            };
            ui.confirm(&format!(
                "{} was replaced before{still} and takes the place of a new key; delete it now? it cannot be brought back",
                previous.id
            ))?;
        }
        self.mark(id)?;
        self.rotate(id, Trigger::Now)
    }

    /// Notes that the key has leaked, so that nothing ever brings it back.
    fn mark(&self, id: &AccessKeyId) -> Result<()> {
        let name = self.held.name();
        let mut item = self.entries.get(name)?.item;
        if item != self.held.item {
            return Err(Error::new(Kind::Unfinished, "it changed meanwhile")
                .entry(name)
                .hint(format!("awskeep revoke {name} --key {id}")));
        }
        let now = self.context.env.now();
        if let Some(slot) = item.slot_of(id) {
            slot.revoked_at = slot.revoked_at.or(Some(now));
        }
        match item == self.held.item {
            true => Ok(()),
            false => self.held.vault.save(&item),
        }
    }

    /// A replaced key that is leased: inactive now.
    fn retire(&self, id: &AccessKeyId) -> Result<()> {
        if self.context.only_says(&[format!("deactivate {id}")]) {
            return Ok(());
        }
        let name = self.held.name();
        self.context.env.ui.confirm(&format!(
            "deactivate {id}, the replaced key of entry {name}, at once? what still uses it stops working"
        ))?;
        self.mark(id)?;
        self.rotate(id, Trigger::Finish)
    }

    /// Another key of the user, which a person named: inactive, nothing else.
    fn deactivate(&self, id: &AccessKeyId) -> Result<()> {
        let env = self.context.env;
        let name = self.held.name();
        if let Some(other) = self.entries.holding(id, None)? {
            return Err(Error::new(
                Kind::Usage,
                format!("{id} is a key of entry {}", other.name()),
            )
            .hint(format!("awskeep revoke {} --key {id}", other.name())));
        }
        let key = self.held.item.current.key();
        let signer = Signer::Key(&key);
        let listed = self.listed(&key)?;
        if listed.iter().all(|listed| listed.id != *id) {
            return Err(Error::new(
                Kind::NotFound,
                format!("{} has no key {id}", self.identity.arn),
            )
            .hint(format!("awskeep status {name} --online")));
        }
        if self.context.only_says(&[format!("deactivate {id}")]) {
            return Ok(());
        }
        env.ui.confirm(&format!(
            "deactivate {id} of {} at once, for everyone who uses it?",
            self.identity.arn
        ))?;
        let receipt = Record::new(env.now(), name, "revoke")
            .key(id)
            .slot(self.held.item.place_of(id));
        let inactive = KeyStatus::Inactive;
        match self
            .account
            .set_status(signer, &self.identity.arn, id, &inactive)
        {
            Ok(answer) => {
                records::note(env, &receipt.request(answer.request_id.as_deref()));
                let at = answer.aws_time.unwrap_or(env.now());
                self.tell(id, &self.held.item, at)
            }
            Err(no) => {
                let receipt = receipt.request(no.request_id.as_deref());
                records::note(env, &receipt.failed(&no.code));
                Err(match no.class {
                    CallFailureClass::Denied => denied(name, "UpdateAccessKey", &no),
                    _ => prove::refused(&key, "IAM", &no),
                }
                .hint(self.by_an_admin(id)))
            }
        }
    }

    /// The user's keys; where AWS shows them in an MFA session only, in one that is
    /// opened for this command alone.
    fn listed(&self, key: &AccessKey) -> Result<Vec<ListedKey>> {
        let (name, user) = (self.held.name(), &self.identity.arn);
        let list = || self.account.list_keys(Signer::Key(key), user);
        match self.account.look(name, user, key, list)? {
            Ok(answer) => Ok(answer.value),
            Err(no) if no.class == CallFailureClass::Denied => {
                Err(denied(name, "ListAccessKeys", &no))
            }
            Err(no) if no.class == CallFailureClass::NeedsMfa => {
                Err(obtain::needed(&format!("awskeep revoke {name}"), name))
            }
            Err(no) => Err(prove::refused(key, "IAM", &no)),
        }
    }

    fn plan(&self, id: &AccessKeyId) -> Vec<String> {
        let item = &self.held.item;
        let mut plan = Vec::new();
        if let Some(previous) = &item.previous {
            plan.push(format!("delete {}, replaced before", previous.id));
        }
        plan.push(match &item.pending {
            Some(pending) => format!("put the new key {} into service", pending.id),
            None => format!("make a new key for {}", self.identity.arn),
        });
        plan.push(format!("deactivate {id} at once"));
        plan
    }

    /// One run that retires at once, and makes room for a new key where one is wanted.
    fn rotate(&self, id: &AccessKeyId, trigger: Trigger) -> Result<()> {
        let (env, name) = (self.context.env, self.held.name());
        let request = Request {
            make_room: MakeRoom::Yes,
            ..options::request_now(&self.entries.settings, name, trigger, RetireMode::Retire)?
        };
        let ask = |question: &Question, known: &Observed| {
            let agreed = env.ui.confirm(&phrases::question(question, known));
            Ok(agreed.map_or(YesNo::No, |()| YesNo::Yes))
        };
        let around = Around {
            stop: &host::stop_flag(env)?,
            on_step: &|step, known| self.context.progress(step, known),
            on_wait: &|line| self.context.at_work(name, line),
            ask: &ask,
            signs: Signs::Current,
        };
        let (vault, reach) = (&self.held.vault, self.reach.clone());
        let ended = host::with_context(env, self.account, vault, reach, &around, |run_context| {
            let ended = cache::rotate(run_context, name, self.identity, request)
                .map_err(|failure| failure.hint(self.by_an_admin(&self.held.item.current.id)))?;
            cache::put_away(run_context, name, &ended)?;
            Ok(ended)
        })?;
        self.done(id, &ended)
    }

    /// What it came to; a leaked key that is still active is a failure.
    fn done(&self, id: &AccessKeyId, ended: &RunResult) -> Result<()> {
        let item = &ended.known.item;
        let inactive = match (&item.previous, &ended.step) {
            (Some(previous), Step::Wait(Wait::Held { .. } | Wait::NotListedYet { .. }))
                if previous.id == *id =>
            {
                previous.inactive_seen_at
            }
            // Its hold is over, too: it is deleted.
            (None, Step::Done) if item.slots().all(|(_, slot)| slot.id != *id) => {
                Some(ended.known.now())
            }
            _ => None,
        };
        if let Some(at) = inactive {
            let env = self.context.env;
            records::note(
                env,
                &Record::new(env.now(), self.held.name(), "revoke")
                    .key(id)
                    .slot(item.place_of(id)),
            );
            return self.tell(id, item, at);
        }
        // Whatever stopped the run says so; and that the leaked key lives on.
        let name = self.held.name();
        let failure = match phrases::told(ended, phrases::Wish::Else) {
            Err(_) if ended.step == Step::Refuse(Refusal::NeedsMfa) => {
                obtain::needed(&format!("awskeep revoke {name} --key {id}"), name)
            }
            Err(failure) => failure,
            Ok(state) => Error::new(Kind::Unfinished, state.line)
                .hint(format!("awskeep revoke {name} --key {id}")),
        };
        Err(Error {
            message: format!("{id} is not revoked: {}", failure.told()),
            subject: None,
            ..failure
        }
        .hint(self.by_an_admin(id)))
    }

    fn by_an_admin(&self, id: &AccessKeyId) -> String {
        format!(
            "until then {id} may be active; whoever has the rights: aws iam update-access-key --user-name {} --access-key-id {id} --status Inactive",
            escape::argument(self.identity.arn.user_name())
        )
    }

    fn tell(&self, id: &AccessKeyId, item: &Item, inactive_since: Timestamp) -> Result<()> {
        let current = &item.current.id;
        let issued_before = inactive_since + SEEN_LATE;
        let document = end_sessions_before(issued_before).on_a_line();
        let sessions = Sessions {
            issued_before,
            user_command: format!(
                "aws iam put-user-policy --user-name {} --policy-name awskeep-end-older-sessions --policy-document {}",
                escape::argument(self.identity.arn.user_name()),
                escape::argument(&document)
            ),
            role_command: format!(
                "aws iam put-role-policy --role-name ROLE --policy-name awskeep-end-older-sessions --policy-document {}",
                escape::argument(&document)
            ),
        };
        let replaced = *current != self.held.item.current.id;
        let serves = if replaced {
            format!("; {current} is in service")
        } else {
            String::new()
        };
        let line = format!(
            "{id} has been inactive since {inactive_since}{serves}\n\
             sessions made with {id} live on: those of GetSessionToken up to 36 hours, assumed roles up to 12\n\
             end them, with an administrator's rights:\n  {}\n\
             and for every role that the user may assume:\n  {}",
            sessions.user_command, sessions.role_command
        );
        self.context.done(
            &line,
            &Revoked {
                entry: item.entry.to_string(),
                revoked: id.to_string(),
                key_id: current.to_string(),
                replaced,
                inactive_since,
                sessions,
            },
        )
    }
}
