//! `awskeep recover ENTRY --via PROFILE`: the stored key is dead. Another profile's
//! rights tell why, and bring it back or make a new one.

use serde::Serialize;

use super::{Context, Form};
use crate::aws;
use crate::cli::Recover;
use crate::disk::Reach;
use crate::entries::{Entries, Held};
use crate::failure::{Failure, Kind, Outcome};
use crate::iam_account::live::LiveAccount;
use crate::iam_account::{
    Account, Answer, CallFailureClass, Caller, ListedKey, Session, Signer, prove,
};
use crate::keys::{AccessKey, AccessKeyId, EntryName, Principal, ProfileName};
use crate::lease::LEAST_LEAD;
use crate::machine::Machine;
use crate::profile_files::edits;
use crate::profiles::Profiles;
use crate::rotation::denial::denied;
use crate::rotation::given::Around;
use crate::rotation::mfa_code::{self, Codes};
use crate::rotation::rescue::Rescue;
use crate::rotation::session::{self, InSession, NoCodes};
use crate::rotation::way_out::way_out;
use crate::rotation::ways::{NowIs, Way};
use crate::rotation::{given, host, proving};
use crate::ui;
use crate::vault::item::{Identity, Item};

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

pub fn run(context: &Context<'_>, args: &Recover) -> Outcome<()> {
    let machine = context.machine;
    let entries = Entries::open(machine)?;
    let found = entries.meant(&args.target)?;
    let identity = identity(&found)?;
    let (via, source) = via(machine, &entries, &found, &args.via)?;
    let user = entries.lock_user(Some(&identity), found.name())?;
    let held = entries.get(found.name())?;
    let live = aws::account_of(machine, &held.item)?;
    let given = mfa_code::given(&args.mfa)?;
    let codes = source.as_ref().map(|other| Codes {
        machine,
        settings: &entries.settings,
        entry: other.name(),
        given: &given,
    });
    let account = match (&source, &codes) {
        (Some(other), Some(codes)) => {
            InSession::kept(&live, codes, &other.vault, &other.item, machine.now())?
        }
        _ => InSession::new(&live, &NoCodes),
    };
    let at_work = AtWork {
        context,
        args,
        held: &held,
        identity: &identity,
        account: &account,
        reach: user.reach(),
        via: &via,
        source: source.as_ref(),
    };
    let caller = at_work.same_account()?;
    let listed = at_work.listed(&caller)?;
    at_work.go(listed)
}

fn identity(held: &Held) -> Outcome<Identity> {
    held.item.identity.clone().ok_or_else(|| {
        Failure::new(
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
    machine: &Machine,
    entries: &Entries<'_>,
    held: &Held,
    profile: &ProfileName,
) -> Outcome<(Via, Option<Held>)> {
    let profiles = Profiles::read(machine)?;
    if let Some(entry) = profiles.entry_of(profile.as_str()) {
        let other = entries.get(&entry)?;
        if other.name() == held.name() {
            return Err(Failure::new(
                Kind::Usage,
                format!("profile {profile} uses the same dead key of entry {entry}"),
            )
            .hint("name a profile of somebody who may handle this user's keys"));
        }
        let (there, here) = (aws::place_of(&other.item), aws::place_of(&held.item));
        if (&there.partition, &there.endpoint) != (&here.partition, &here.endpoint) {
            return Err(Failure::new(
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
        let keys = edits::keys_in(&file.document, profile)?;
        let Some(key) = keys.pair() else { continue };
        let via = match keys.token {
            None => Via::Key(key),
            Some(token) => Via::Session(Session {
                key,
                token: token.value,
                // The file does not say; AWS does if it is over.
                expires_at: machine.now() + LEAST_LEAD,
            }),
        };
        return Ok((via, None));
    }
    Err(Failure::new(
        Kind::NotFound,
        format!("profile {profile} neither uses awskeep nor has keys in the AWS files"),
    )
    .hint(format!(
        "awskeep cannot use roles or SSO here; put the session's keys into a profile: aws configure export-credentials --profile {profile}"
    )))
}

struct AtWork<'a> {
    context: &'a Context<'a>,
    args: &'a Recover,
    held: &'a Held,
    identity: &'a Identity,
    account: &'a InSession<'a, LiveAccount>,
    reach: Reach,
    via: &'a Via,
    source: Option<&'a Held>,
}

impl AtWork<'_> {
    fn same_account(&self) -> Outcome<Caller> {
        let caller = self
            .account
            .caller(self.via.signer())
            .map_err(|no| prove::refused(self.via.key(), "STS", &no))?
            .value;
        let wanted = self.identity.arn.account();
        if caller.account != wanted.0 {
            return Err(Failure::new(
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
    fn listed(&self, caller: &Caller) -> Outcome<Answer<Vec<ListedKey>>> {
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
            Ok(answer) => Ok(answer),
            Err(no) if no.class == CallFailureClass::NeedsMfa => Err(self.needs_mfa()),
            Err(no) if no.class == CallFailureClass::NoSuchEntity => Err(Failure::new(
                Kind::NotFound,
                format!("{} is gone at AWS, and its keys with it", self.identity.arn),
            )
            .hint(format!("awskeep remove {name}"))),
            Err(no) if no.class == CallFailureClass::Denied => {
                let denial = denied(name, "ListAccessKeys", &no);
                Err(Failure {
                    message: format!("profile {} may not look: {}", self.args.via, denial.message),
                    hints: vec!["name a profile with rights on this user's keys".into()],
                    ..denial
                })
            }
            Err(no) => Err(prove::refused(self.via.key(), "IAM", &no)),
        }
    }

    fn needs_mfa(&self) -> Failure {
        let (name, via) = (self.held.name(), &self.args.via);
        if let Some(other) = self.source {
            return session::needed(&format!("awskeep recover {name} --via {via}"), other.name());
        }
        Failure::new(
            Kind::PersonNeeded,
            format!("the user of profile {via} may handle keys in an MFA session only"),
        )
        .hint(format!(
            "keep its key here, and a code is asked for: awskeep add {via}"
        ))
        .hint("or name a profile that holds the keys of an MFA session")
    }

    /// Offers one way after the other until a person takes one.
    fn go(&self, listed: Answer<Vec<ListedKey>>) -> Outcome<()> {
        let (machine, item) = (self.context.machine, &self.held.item);
        self.check_reactivate(&listed.value)?;
        for (_, slot) in item.slots() {
            if let Some(at) = slot.revoked_at {
                let id = &slot.id;
                let line = format!(
                    "{}: {id} was revoked at {at}, and is never brought back",
                    self.held.name()
                );
                machine.ui.tell(&line);
            }
        }
        let mut declined = Vec::new();
        loop {
            let found = way_out(self.account, item, &listed, machine.now(), &declined)?;
            match found {
                None => return self.tell(item, "nothing", "works; there is nothing to recover"),
                Some(Way::Check) => return Ok(()),
                Some(Way::Strange(id)) => return Err(strange(self.held.name(), &id)),
                Some(Way::Use {
                    which,
                    id,
                    now_is: NowIs::Inactive,
                }) => {
                    let question = format!(
                        "{id} of entry {} is inactive at AWS; reactivate it? only if you know who disabled it",
                        self.held.name()
                    );
                    if self.only_asks(&question) {
                        return Ok(());
                    }
                    match self.agreed(&id, &question)? {
                        ui::Answer::No => declined.push(id),
                        ui::Answer::Yes => {
                            let told = ("reactivated", "is active again and in service");
                            return self.act(listed, told, |rescue| {
                                rescue.put_back(which, NowIs::Inactive)
                            });
                        }
                    }
                }
                Some(Way::Use {
                    which,
                    id,
                    now_is: NowIs::Active,
                }) => {
                    let question = format!(
                        "{id}, which entry {} holds too, is active at AWS; serve it from now on?",
                        self.held.name()
                    );
                    if self.only_asks(&question) {
                        return Ok(());
                    }
                    machine.ui.confirm(&question)?;
                    let told = ("put-into-service", "is in service");
                    return self.act(listed, told, |rescue| rescue.put_back(which, NowIs::Active));
                }
                Some(Way::Issue) => {
                    let question = format!(
                        "{} of entry {} cannot be brought back; make a new key for {} with the rights of profile {}?",
                        item.current.id,
                        self.held.name(),
                        self.identity.arn,
                        self.args.via
                    );
                    let question = match declined.is_empty() {
                        true => question,
                        false => question.replacen("cannot be", "is not", 1),
                    };
                    if self.only_asks(&question) {
                        return Ok(());
                    }
                    machine.ui.confirm(&question)?;
                    let told = ("issued", "is new and in service");
                    return self.act(listed, told, |rescue| rescue.issue());
                }
            }
        }
    }

    fn only_asks(&self, question: &str) -> bool {
        self.context.only_says(&[format!("ask: {question}")])
    }

    /// Whoever disabled a key had a reason: `--yes` does not answer this, its id does.
    fn agreed(&self, id: &AccessKeyId, question: &str) -> Outcome<ui::Answer> {
        if self.args.reactivate.as_ref() == Some(id) {
            return Ok(ui::Answer::Yes);
        }
        let instead = format!("{} --reactivate {id}", self.command());
        self.context.machine.ui.decide(question, &instead)
    }

    /// Only a key of the entry that AWS still has, and none that was revoked, may be named.
    /// It may be active already: a run that was killed has reactivated it.
    fn check_reactivate(&self, listed: &[ListedKey]) -> Outcome<()> {
        let Some(id) = &self.args.reactivate else {
            return Ok(());
        };
        let name = self.held.name();
        let slot = self.held.item.slots().find(|(_, slot)| slot.id == *id);
        if let Some(at) = slot.and_then(|(_, slot)| slot.revoked_at) {
            return Err(Failure::new(
                Kind::Usage,
                format!("entry {name}: {id} was revoked at {at}, and is never brought back"),
            )
            .hint(format!("without --reactivate: {}", self.command())));
        }
        match slot.is_some() && listed.iter().any(|key| key.id == *id) {
            true => Ok(()),
            false => Err(Failure::new(
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

    fn act(
        &self,
        listed: Answer<Vec<ListedKey>>,
        (how, told): (&'static str, &str),
        work: impl FnOnce(&Rescue<'_, InSession<'_, LiveAccount>>) -> Outcome<Item>,
    ) -> Outcome<()> {
        let (machine, name) = (self.context.machine, self.held.name());
        let told_to_a_person = self.context.form == Form::Text && machine.ui.attended();
        let on_wait = |line: &str| {
            if told_to_a_person {
                machine.ui.tell(&format!("{name}: {line}"));
            }
        };
        on_wait(&format!(
            "waiting until AWS knows the key everywhere, for {} at most; Ctrl-C is safe",
            proving::PATIENCE
        ));
        let stop = host::stop_flag(machine)?;
        let quiet = |_: &_, _: &_| ();
        let vault = &self.held.vault;
        let reach = self.reach.clone();
        let item = given::with_tools(
            machine,
            self.account,
            vault,
            reach,
            &Around {
                stop: &stop,
                on_step: &quiet,
                on_wait: &on_wait,
            },
            |tools| {
                work(&Rescue {
                    tools,
                    entry: name,
                    identity: self.identity,
                    signer: self.via.signer(),
                    listed: listed.value,
                    aws_time: listed.aws_time,
                    command: self.command(),
                })
            },
        )?;
        self.tell(&item, how, told)
    }

    fn tell(&self, item: &Item, how: &'static str, told: &str) -> Outcome<()> {
        self.context.done(
            &format!("{}: {} {told}", item.entry, item.current.id),
            &Recovered {
                entry: item.entry.to_string(),
                key_id: item.current.id.to_string(),
                how,
                via: self.args.via.to_string(),
            },
        )
    }
}

fn strange(name: &EntryName, id: &AccessKeyId) -> Failure {
    Failure::new(
        Kind::PersonNeeded,
        format!("entry {name}: AWS gives {id} a status that this awskeep does not know"),
    )
    .hint("update awskeep")
}
