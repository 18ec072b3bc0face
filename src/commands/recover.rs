//! `awskeep recover ENTRY --via PROFILE`: the stored key is dead. Another profile's
//! rights tell why, and bring it back or make a new one.

use serde::Serialize;

use crate::aws::live::LiveAccount;
use crate::aws::place;
use crate::aws::{Account, CallFailureClass, Caller, ListedKey, Session, Signer, prove};
use crate::cli::Recover;
use crate::commands::{Invocation, Mode};
use crate::error::{Error, Kind, Result};
use crate::lifecycle::context::Signs;
use crate::lifecycle::execute;
use crate::lifecycle::execute::{Promoted, RunResult};
use crate::lifecycle::host::Around;
use crate::lifecycle::model::{RetireMode, Trigger};
use crate::lifecycle::observed::Observed;
use crate::lifecycle::phrases;
use crate::lifecycle::phrases::Preview;
use crate::lifecycle::plan::{Question, Refusal, Step};
use crate::lifecycle::{host, options};
use crate::profiles::edits;
use crate::profiles::{AwsFiles, Checked};
use crate::sessions::denial::denied;
use crate::sessions::mfa;
use crate::sessions::mfa::Codes;
use crate::sessions::obtain;
use crate::sessions::obtain::{InSession, NoCodes};
use crate::store::entries::{Entries, StoredEntry};
use crate::store::item::Identity;
use crate::system::disk::Reach;
use crate::system::env::Env;
use crate::types::keys::{AccessKey, Principal, ProfileName};
use crate::types::lease::LEAST_LEAD;
use crate::ui::YesNo;

#[derive(Serialize)]
struct Recovered {
    entry: String,
    key_id: String,
    /// `nothing`, `reactivated`, `put-into-service` or `issued`.
    how: &'static str,
    via: String,
}

/// The credentials of the other profile.
enum Via {
    Key(AccessKey),
    Session(Session),
}

impl Via {
    fn signer(&self) -> Signer<'_> {
        match self {
            Via::Key(key) => Signer::Key(key),
            Via::Session(session) => Signer::Session(session),
        }
    }

    fn key(&self) -> &AccessKey {
        match self {
            Via::Key(key) => key,
            Via::Session(session) => &session.key,
        }
    }
}

pub fn run(context: &Invocation<'_>, args: &Recover) -> Result<()> {
    let env = context.env;
    let entries = Entries::open(env)?;
    let found = entries.meant(&args.target)?;
    let identity = identity(&found)?;
    let (via, source) = via(env, &entries, &found, &args.via)?;
    let user = entries.lock_user(Some(&identity), found.name())?;
    let held = entries.get(found.name())?;
    let live = place::account_of(env, &held.item)?;
    let given = mfa::given(&args.mfa)?;
    let codes = source.as_ref().map(|other| Codes {
        env,
        settings: &entries.settings,
        entry: other.name(),
        given: &given,
    });
    let account = match (&source, &codes) {
        (Some(other), Some(codes)) => {
            InSession::kept(&live, codes, &other.vault, &other.item, env.now())?
        }
        _ => InSession::new(&live, &NoCodes),
    };
    let at_work = AtWork {
        context,
        entries: &entries,
        args,
        held: &held,
        identity: &identity,
        account: &account,
        reach: user.reach(),
        via: &via,
        source: source.as_ref(),
    };
    let caller = at_work.same_account()?;
    at_work.check_reactivate(&at_work.listed(&caller)?)?;
    at_work.go()
}

fn identity(held: &StoredEntry) -> Result<Identity> {
    held.item.identity.clone().ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!(
                "entry {} was never proven, so its IAM user is not known",
                held.name()
            ),
        )
        .hint(format!("awskeep add {} --replace", held.name()))
    })
}

/// The profile's own key: from the entry that it uses (which is given, too), else from
/// the AWS files.
fn via(
    env: &Env,
    entries: &Entries<'_>,
    held: &StoredEntry,
    profile: &ProfileName,
) -> Result<(Via, Option<StoredEntry>)> {
    let profiles = AwsFiles::read(env)?;
    if let Some(entry) = profiles.entry_of(profile.as_str()) {
        let other = entries.get(&entry)?;
        if other.name() == held.name() {
            return Err(Error::new(
                Kind::Usage,
                format!("profile {profile} uses the same dead key of entry {entry}"),
            )
            .hint("name a profile that is allowed to manage this user's keys"));
        }
        let (there, here) = (place::place_of(&other.item), place::place_of(&held.item));
        if (&there.partition, &there.endpoint) != (&here.partition, &here.endpoint) {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "entry {entry} of profile {profile} is of another partition or endpoint than {}",
                    held.name()
                ),
            )
            .hint("name a profile of the entry's own account"));
        }
        return Ok((Via::Key(other.item.current.key()), Some(other)));
    }
    for file in [&profiles.credentials, &profiles.config] {
        let keys = edits::keys_in(&Checked::of(&file.document), profile)?;
        let Some(key) = keys.pair() else { continue };
        let via = match keys.token {
            None => Via::Key(key),
            Some(token) => Via::Session(Session {
                key,
                token: token.value,
                // The file does not say; AWS does if it is over.
                expires_at: env.now() + LEAST_LEAD,
            }),
        };
        return Ok((via, None));
    }
    Err(Error::new(
        Kind::NotFound,
        format!("profile {profile} neither uses awskeep nor has keys in the AWS files"),
    )
    .hint(format!(
        "awskeep cannot use roles or SSO here; put the session's keys into a profile: aws configure export-credentials --profile {profile}"
    )))
}

struct AtWork<'a> {
    context: &'a Invocation<'a>,
    entries: &'a Entries<'a>,
    args: &'a Recover,
    held: &'a StoredEntry,
    identity: &'a Identity,
    account: &'a InSession<'a, LiveAccount>,
    reach: Reach,
    via: &'a Via,
    source: Option<&'a StoredEntry>,
}

impl AtWork<'_> {
    fn same_account(&self) -> Result<Caller> {
        let caller = self
            .account
            .caller(self.via.signer())
            .map_err(|no| prove::refused(self.via.key(), "STS", &no))?
            .value;
        let wanted = self.identity.arn.account();
        if caller.account != wanted.0 {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "profile {} is of account {}, entry {} of account {wanted}",
                    self.args.via,
                    caller.account,
                    self.held.name()
                ),
            )
            .hint("name a profile of the entry's own account"));
        }
        Ok(caller)
    }

    /// The user's keys; in an MFA session of the other profile's user if it takes one.
    fn listed(&self, caller: &Caller) -> Result<Vec<ListedKey>> {
        let name = self.held.name();
        let list = || {
            self.account
                .list_keys(self.via.signer(), &self.identity.arn)
        };
        let answer = match (&caller.principal, self.source) {
            (Principal::User(user), Some(other)) => {
                self.account
                    .look(other.name(), user, self.via.key(), list)?
            }
            (_, _) => list(),
        };
        match answer {
            Ok(answer) => Ok(answer.value),
            Err(no) if no.class == CallFailureClass::NeedsMfa => Err(self.needs_mfa()),
            Err(no) if no.class == CallFailureClass::NoSuchEntity => Err(Error::new(
                Kind::NotFound,
                format!(
                    "{} no longer exists in AWS, and its keys with it",
                    self.identity.arn
                ),
            )
            .hint(format!("awskeep remove {name}"))),
            Err(no) if no.class == CallFailureClass::Denied => {
                let denial = denied(name, "ListAccessKeys", &no);
                Err(Error {
                    message: format!(
                        "profile {} is not allowed to list keys: {}",
                        self.args.via,
                        denial.told()
                    ),
                    subject: None,
                    hints: vec!["name a profile with rights on this user's keys".into()],
                    ..denial
                })
            }
            Err(no) => Err(prove::refused(self.via.key(), "IAM", &no)),
        }
    }

    fn needs_mfa(&self) -> Error {
        let (name, via) = (self.held.name(), &self.args.via);
        if let Some(other) = self.source {
            return obtain::needed(&format!("awskeep recover {name} --via {via}"), other.name());
        }
        Error::new(
            Kind::PersonNeeded,
            format!("the user of profile {via} may handle keys in an MFA session only"),
        )
        .hint(format!(
            "keep its key here, and a code is asked for: awskeep add {via}"
        ))
        .hint("or name a profile that holds the keys of an MFA session")
    }

    /// One run that a key is served after, or what it would begin with.
    fn go(&self) -> Result<()> {
        let (env, name) = (self.context.env, self.held.name());
        for (_, slot) in self.held.item.slots() {
            if let Some(at) = slot.revoked_at {
                let id = &slot.id;
                let line = format!("{name}: {id} was revoked at {at}, and is never brought back");
                env.ui.tell(&line);
            }
        }
        let request = options::request_now(
            &self.entries.settings,
            name,
            Trigger::Recover,
            RetireMode::No,
        )?;
        let around = Around {
            stop: &host::stop_flag(env)?,
            on_step: &|step, known| self.context.progress(step, known),
            on_wait: &|line| self.context.at_work(name, line),
            ask: &|question, known| self.asked(question, known),
            signs: Signs::Other {
                signer: self.via.signer(),
                via: &self.args.via,
            },
        };
        let (vault, reach) = (&self.held.vault, self.reach.clone());
        let ended =
            host::with_context(
                env,
                self.account,
                vault,
                reach,
                &around,
                |run_context| match self.context.mode {
                    Mode::Act => execute::rotate(run_context, name, self.identity, request),
                    Mode::Say => execute::explain(run_context, name, self.identity, request)
                        .map(RunResult::foreseen),
                },
            )?;
        match &ended.step {
            Step::Done => self.tell(&ended),
            Step::Refuse(Refusal::NeedsMfa) => Err(self.needs_mfa()),
            Step::Refuse(_) | Step::Wait(_) => {
                phrases::told(&ended, phrases::Wish::Else).map(|_| ())
            }
            step => {
                let foreseen = Preview::of(&ended.known, step);
                self.context.only_says(&[foreseen.text]);
                Ok(())
            }
        }
    }

    /// Whoever disabled a key had a reason: `--yes` does not answer that, the key's id does.
    fn asked(&self, question: &Question, known: &Observed) -> Result<YesNo> {
        let ui = &self.context.env.ui;
        let text = phrases::question(question, known);
        match question {
            Question::Reactivate(id) if self.args.reactivate.as_ref() == Some(id) => Ok(YesNo::Yes),
            Question::Reactivate(id) => {
                ui.decide(&text, &format!("{} --reactivate {id}", self.command()))
            }
            _ => ui.confirm(&text).map(|()| YesNo::Yes),
        }
    }

    /// Only a key of the entry that AWS still has, and none that was revoked, may be named.
    /// It may be active already: a run that was killed has reactivated it.
    fn check_reactivate(&self, listed: &[ListedKey]) -> Result<()> {
        let Some(id) = &self.args.reactivate else {
            return Ok(());
        };
        let name = self.held.name();
        let slot = self.held.item.slots().find(|(_, slot)| slot.id == *id);
        if let Some(at) = slot.and_then(|(_, slot)| slot.revoked_at) {
            return Err(Error::new(
                Kind::Usage,
                format!("{id} was revoked at {at}, and is never brought back"),
            )
            .entry(name)
            .hint(format!("without --reactivate: {}", self.command())));
        }
        match slot.is_some() && listed.iter().any(|key| key.id == *id) {
            true => Ok(()),
            false => Err(Error::new(
                Kind::NotFound,
                format!("entry {name} has no key {id}, or AWS no longer has it"),
            )
            .hint(format!("awskeep status {name}"))),
        }
    }

    fn command(&self) -> String {
        format!(
            "awskeep recover {} --via {}",
            self.held.name(),
            self.args.via
        )
    }

    fn tell(&self, ended: &RunResult) -> Result<()> {
        let (known, item) = (&ended.known, &ended.known.item);
        let id = &item.current.id;
        let (how, told) = if known.agreed(&Question::MakeKey) {
            ("issued", "is new and in service")
        } else if known.activated.contains(id) {
            ("reactivated", "is active again and in service")
        } else if ended.promoted == Promoted::Yes {
            ("put-into-service", "is in service")
        } else {
            ("nothing", "works; there is nothing to recover")
        };
        self.context.done(
            &format!("{}: {id} {told}", item.entry),
            &Recovered {
                entry: item.entry.to_string(),
                key_id: id.to_string(),
                how,
                via: self.args.via.to_string(),
            },
        )
    }
}
