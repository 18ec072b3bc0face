//! The simulated account as an `Account` of awskeep's own, without HTTP: for tens of
//! thousands of schedules. Same state machine, same script of faults, same classes.

use std::cell::{Cell, RefCell};

use awskeep::aws;
use awskeep::aws::refusal::{class_of, denies_by_name};
use awskeep::aws::{
    Answer, Call, CallFailure, CallFailureClass as Class, Caller, CreatedKey, Greeting, KeyStatus,
    LastUse, ListedKey, MfaDevice, Session, Signer,
};
use awskeep::types::keys::{AccessKey, AccessKeyId, Principal, Secret, UserArn};
use awskeep::types::time::Timestamp;

use super::Entry;
use super::account::Account;
use super::asks::{Ask, Proof, Refusal, Reply, Signed, Temporary};
use super::faults::{Fault, Script, When};

/// How long a call that hangs takes, in simulated seconds.
const PATIENCE: i64 = 30;

/// The account with a clock and a script of its own. A clone goes its own way.
#[derive(Debug, Clone, Default)]
pub struct InProcess {
    pub account: RefCell<Account>,
    /// AWS's time, seconds since 1970; only tests move it.
    pub now: Cell<i64>,
    pub script: RefCell<Script>,
    pub journal: RefCell<Vec<Entry>>,
}

impl InProcess {
    pub fn new(account: Account, now: i64) -> InProcess {
        InProcess {
            account: RefCell::new(account),
            now: Cell::new(now),
            ..InProcess::default()
        }
    }

    pub fn advance(&self, seconds: i64) {
        self.now.set(self.now.get() + seconds);
    }

    /// One request. No borrow is held while a callback of the script runs.
    fn ask<T>(
        &self,
        signer: Signer<'_>,
        ask: &Ask,
        read: impl FnOnce(Reply) -> Option<T>,
    ) -> Call<T> {
        let signed = self.signed(signer);
        let at = self.journal.borrow().len();
        self.journal.borrow_mut().push(Entry {
            action: ask.action().into(),
            key_id: signed.key_id.clone(),
            time: self.now.get(),
            request_id: request_id(at),
            connection: 0,
            outcome: "-".into(),
        });
        let fault = self.script.borrow_mut().next(ask.action());
        if let Some(struck) = self.before(fault.as_ref(), &signed, ask) {
            return Err(self.failure(at, struck));
        }
        let now = self.now.get();
        let answer = self.account.borrow_mut().answer(now, &signed, ask);
        let outcome = answer.as_ref().map_or_else(|no| no.code.as_str(), |_| "ok");
        self.journal.borrow_mut()[at].outcome = outcome.to_owned();
        if let Some(struck) = self.after(fault.as_ref()) {
            return Err(self.failure(at, struck));
        }
        let reply = answer.map_err(|no| self.failure(at, of(&no)))?;
        let unread = (Class::ReplyLost, "UnreadableReply".into(), String::new());
        match read(reply) {
            Some(value) => Ok(Answer {
                value,
                aws_time: Some(Timestamp(self.now.get())),
                request_id: Some(request_id(at)),
            }),
            None => Err(self.failure(at, unread)),
        }
    }

    fn before(&self, fault: Option<&Fault>, signed: &Signed, ask: &Ask) -> Option<Struck> {
        match fault? {
            Fault::LoseReply(When::Before) => struck(Class::Unknown, "ConnectionLost"),
            Fault::Hang(When::Before) => self.hang(),
            Fault::ArriveLate(seconds) => {
                let at = self.now.get() + seconds;
                let mut account = self.account.borrow_mut();
                account.arrive_late(at, signed.clone(), ask.clone());
                struck(Class::Unknown, "ConnectionLost")
            }
            Fault::Refuse {
                status,
                code,
                message,
            } => Some(of(&Refusal::new(*status, code, *message))),
            Fault::Bare(status) | Fault::Body(status, _) => Some((
                class_of(*status, None, ""),
                CallFailure::code_of_status(*status),
                String::new(),
            )),
            Fault::Halt(When::Before, run) => {
                run();
                None
            }
            Fault::LoseReply(When::After)
            | Fault::Hang(When::After)
            | Fault::Halt(When::After, _)
            | Fault::CutBody
            | Fault::Garbage
            | Fault::Delay(_) => None,
        }
    }

    fn after(&self, fault: Option<&Fault>) -> Option<Struck> {
        match fault? {
            Fault::LoseReply(When::After) => struck(Class::Unknown, "ConnectionLost"),
            Fault::Hang(When::After) => self.hang(),
            Fault::CutBody | Fault::Garbage => struck(Class::ReplyLost, "UnreadableReply"),
            Fault::Delay(how_long) => {
                self.advance(i64::try_from(how_long.as_secs()).unwrap_or(i64::MAX));
                None
            }
            Fault::Halt(When::After, run) => {
                run();
                None
            }
            Fault::LoseReply(When::Before)
            | Fault::Hang(When::Before)
            | Fault::Halt(When::Before, _)
            | Fault::ArriveLate(_)
            | Fault::Refuse { .. }
            | Fault::Bare(_)
            | Fault::Body(..) => None,
        }
    }

    fn hang(&self) -> Option<Struck> {
        self.advance(PATIENCE);
        struck(Class::Unknown, "Timeout")
    }

    fn failure(&self, at: usize, (class, code, message): Struck) -> CallFailure {
        let replied = class != Class::Unknown;
        CallFailure {
            class,
            code,
            message,
            aws_time: replied.then(|| Timestamp(self.now.get())),
            request_id: replied.then(|| request_id(at)),
        }
    }

    fn signed(&self, signer: Signer<'_>) -> Signed {
        let (key, token) = match signer {
            Signer::Key(key) => (key, None),
            Signer::Session(session) => (&session.key, Some(session.token.expose())),
        };
        let account = self.account.borrow();
        let good = account
            .secret_of(key.id.as_str(), token)
            .is_none_or(|secret| secret == key.secret.expose());
        Signed {
            key_id: key.id.as_str().into(),
            token: token.map(str::to_owned),
            proof: if good { Proof::Good } else { Proof::Wrong },
        }
    }
}

/// What a call fails with: class, code, message.
type Struck = (Class, String, String);

fn struck(class: Class, code: &str) -> Option<Struck> {
    Some((class, code.into(), String::new()))
}

fn of(no: &Refusal) -> Struck {
    let class = class_of(no.status, Some(&no.code), &no.message);
    (class, no.code.clone(), no.message.clone())
}

fn request_id(number: usize) -> String {
    format!("5130a7ed-0000-4000-8000-{number:012x}")
}

fn name(user: &UserArn) -> Option<String> {
    Some(user.user_name().to_owned())
}

fn key(id: &str, secret: String) -> Option<AccessKey> {
    let id = id.parse().ok()?;
    let secret = Secret::new(secret);
    Some(AccessKey { id, secret })
}

fn session(given: Temporary) -> Option<Session> {
    Some(Session {
        key: key(&given.id, given.secret)?,
        token: Secret::new(given.token),
        expires_at: Timestamp(given.expires_at),
    })
}

impl aws::Account for InProcess {
    fn caller(&self, signer: Signer<'_>) -> Call<Caller> {
        self.ask(signer, &Ask::GetCallerIdentity, |reply| match reply {
            Reply::Identity {
                arn,
                account,
                user_id,
            } => Some(Caller {
                principal: Principal::of(&arn),
                arn,
                account,
                user_id,
            }),
            _ => None,
        })
    }

    fn greet_iam(&self, signer: Signer<'_>, user: &UserArn) -> Call<Greeting> {
        let ask = Ask::GetUser { user: name(user) };
        let greeted = self.ask(signer, &ask, |reply| match reply {
            Reply::User { arn, .. } if arn == user.as_str() => Some(Greeting::Answered),
            _ => None,
        });
        match greeted {
            Err(no) if denies_by_name(&no.message, user.as_str()) => Ok(Answer {
                value: Greeting::DeniedByName(no.message),
                aws_time: no.aws_time,
                request_id: no.request_id,
            }),
            other => other,
        }
    }

    fn list_keys(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<ListedKey>> {
        let ask = Ask::ListAccessKeys {
            user: name(user),
            from: 0,
        };
        self.ask(signer, &ask, |reply| match reply {
            Reply::Keys {
                rows, next: None, ..
            } => rows
                .into_iter()
                .map(|row| {
                    Some(ListedKey {
                        id: row.id.parse().ok()?,
                        status: match row.status {
                            "Active" => KeyStatus::Active,
                            "Inactive" => KeyStatus::Inactive,
                            _ => KeyStatus::Expired,
                        },
                        created_at: Some(Timestamp(row.created_at)),
                    })
                })
                .collect(),
            _ => None,
        })
    }

    fn create_key(&self, signer: Signer<'_>, user: &UserArn) -> Call<CreatedKey> {
        let ask = Ask::CreateAccessKey { user: name(user) };
        self.ask(signer, &ask, |reply| match reply {
            Reply::Created {
                id,
                secret,
                created_at,
                ..
            } => Some(CreatedKey {
                key: key(&id, secret)?,
                created_at: Some(Timestamp(created_at)),
            }),
            _ => None,
        })
    }

    fn set_status(
        &self,
        signer: Signer<'_>,
        user: &UserArn,
        id: &AccessKeyId,
        status: &KeyStatus,
    ) -> Call<()> {
        let ask = Ask::UpdateAccessKey {
            user: name(user),
            id: id.as_str().into(),
            status: match status {
                KeyStatus::Active => "Active".into(),
                KeyStatus::Inactive => "Inactive".into(),
                KeyStatus::Expired => "Expired".into(),
                KeyStatus::Other(other) => other.clone(),
            },
        };
        self.ask(signer, &ask, |_| Some(()))
    }

    fn delete_key(&self, signer: Signer<'_>, user: &UserArn, id: &AccessKeyId) -> Call<()> {
        let ask = Ask::DeleteAccessKey {
            user: name(user),
            id: id.as_str().into(),
        };
        self.ask(signer, &ask, |_| Some(()))
    }

    fn last_used(&self, signer: Signer<'_>, id: &AccessKeyId) -> Call<LastUse> {
        let ask = Ask::GetAccessKeyLastUsed {
            id: id.as_str().into(),
        };
        self.ask(signer, &ask, |reply| match reply {
            Reply::LastUsed { used, .. } => Some(used.map_or(LastUse::Never, |used| LastUse::At {
                time: Timestamp(used.at),
                service: used.service,
                region: used.region,
            })),
            _ => None,
        })
    }

    fn mfa_devices(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<MfaDevice>> {
        let ask = Ask::ListMFADevices {
            user: name(user),
            from: 0,
        };
        self.ask(signer, &ask, |reply| match reply {
            Reply::Devices {
                serials,
                next: None,
                ..
            } => {
                let devices = serials.into_iter().map(|serial| MfaDevice { serial });
                Some(devices.collect())
            }
            _ => None,
        })
    }

    fn mfa_session(&self, key: &AccessKey, serial: &str, code: &Secret) -> Call<Session> {
        let ask = Ask::GetSessionToken {
            mfa: Some((serial.into(), code.expose().into())),
            seconds: 129_600,
        };
        self.ask(Signer::Key(key), &ask, |reply| match reply {
            Reply::Session(given) => session(given),
            _ => None,
        })
    }
}
