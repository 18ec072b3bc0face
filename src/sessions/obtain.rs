//! The account as a run sees it where keys are handled in an MFA session only: one
//! code opens one session, which signs every call on keys; `mfa_run` keeps it until
//! the old key is inactive. Pure but for the calls and the store it is given.
//!
//! Who signs is a property of how a run talks to the account: no step and no row of
//! the plan knows of it. GetSessionToken, ListMFADevices and the proofs of a key are
//! always signed by a key itself. AWS keeps a session alive when the key that opened
//! it is deactivated or deleted; so one session does a whole rotation.

use std::cell::RefCell;

use crate::aws::{
    Account, Call, CallFailure, CallFailureClass as Class, Caller, CreatedKey, Greeting, KeyStatus,
    LastUse, ListedKey, MfaDevice, Session, Signer, prove,
};
use crate::error::{Error, Kind, Result};
use crate::lifecycle::observed::CLOCKS_APART;
use crate::sessions::denial::{Expected, denied, wants_mfa};
use crate::store::Vault;
use crate::store::item::Item;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName, Secret, UserArn};
use crate::types::time::Timestamp;

/// Less than this before its end, a session counts as over: clocks differ.
const LEAST_LEFT: crate::types::time::Span = CLOCKS_APART;

/// A code, and the device that shows it.
pub struct Code {
    pub serial: String,
    pub digits: Secret,
}

/// Where codes come from.
pub trait CodeSource {
    fn expected(&self) -> Expected;
    fn opens(&self) -> Opens;
    /// A code, got now; none if there is nothing and nobody to give one.
    ///
    /// # Errors
    /// No device that gives codes, a failing source, a person who declined.
    fn code(
        &self,
        key: &AccessKey,
        devices: &dyn Fn() -> Call<Vec<MfaDevice>>,
    ) -> Result<Option<Code>>;
}

/// Where nobody is to be asked: to look only, or with keys that no entry has.
pub struct NoCodes;

impl CodeSource for NoCodes {
    fn expected(&self) -> Expected {
        Expected::NotSaid
    }

    fn opens(&self) -> Opens {
        Opens::WhenNeeded
    }

    fn code(&self, _: &AccessKey, _: &dyn Fn() -> Call<Vec<MfaDevice>>) -> Result<Option<Code>> {
        Ok(None)
    }
}

/// When a session is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// A person gave a code, and so says that one is needed.
    AtOnce,
    WhenNeeded,
}

/// The account, in a session if there is one.
pub struct InSession<'a, A> {
    account: &'a A,
    pub(crate) session: RefCell<Option<Session>>,
    pub(crate) codes: &'a dyn CodeSource,
}

impl<'a, A: Account> InSession<'a, A> {
    /// Without a session yet.
    pub fn new(account: &'a A, codes: &'a dyn CodeSource) -> InSession<'a, A> {
        InSession {
            account,
            session: RefCell::new(None),
            codes,
        }
    }

    /// In the session that is kept for the entry, if it is not over.
    ///
    /// # Errors
    /// `Kind::Store` if the store does not answer.
    pub fn kept(
        account: &'a A,
        codes: &'a dyn CodeSource,
        vault: &Vault,
        item: &Item,
        now: Timestamp,
    ) -> Result<InSession<'a, A>> {
        let kept = vault.find_session(&item.entry)?;
        let usable = kept.filter(|kept| {
            item.identity.as_ref() == Some(&kept.identity) && now + LEAST_LEFT < kept.expires_at
        });
        Ok(InSession {
            session: RefCell::new(usable.map(|kept| Session {
                key: AccessKey {
                    id: kept.id,
                    secret: kept.secret,
                },
                token: kept.token,
                expires_at: kept.expires_at,
            })),
            ..InSession::new(account, codes)
        })
    }

    /// Opens a session with a new code; whether there was one. The code is got once
    /// and sent once, whatever becomes of it.
    ///
    /// # Errors
    /// Those of the code's source, and what AWS says of the code, in words.
    pub fn open(
        &self,
        entry: &EntryName,
        user: &UserArn,
        key: &AccessKey,
    ) -> Result<SessionOpened> {
        let devices = || self.account.mfa_devices(Signer::Key(key), user);
        let Some(code) = self.codes.code(key, &devices)? else {
            return Ok(SessionOpened::NoCode);
        };
        let answer = self
            .account
            .mfa_session(key, &code.serial, &code.digits)
            .map_err(|no| not_opened(entry, key, &code.serial, &no))?;
        *self.session.borrow_mut() = Some(answer.value);
        Ok(SessionOpened::Yes {
            request_id: answer.request_id,
        })
    }

    /// A first look at keys outside of a run, in a session opened for it if AWS wants
    /// one, or if a code was given. That session is not kept.
    ///
    /// # Errors
    /// As `open`; what AWS says of the look itself is not one.
    pub fn look<T>(
        &self,
        entry: &EntryName,
        user: &UserArn,
        key: &AccessKey,
        call: impl Fn() -> Call<T>,
    ) -> Result<Call<T>> {
        if self.codes.opens() == Opens::AtOnce && self.session.borrow().is_none() {
            self.open(entry, user, key)?;
        }
        match call() {
            Err(no)
                if no.class == Class::NeedsMfa
                    && self.open(entry, user, key)? != SessionOpened::NoCode =>
            {
                Ok(call())
            }
            said => Ok(said),
        }
    }

    /// A call on the user's keys.
    fn on_keys<T>(&self, signer: Signer<'_>, call: impl Fn(Signer<'_>) -> Call<T>) -> Call<T> {
        let said = match &*self.session.borrow() {
            None => return call(signer),
            Some(session) => call(Signer::Session(session)),
        };
        said.map_err(|no| {
            let over = no.class == Class::KeyNotAccepted || no.code.starts_with("ExpiredToken");
            if !over {
                return no;
            }
            *self.session.borrow_mut() = None;
            CallFailure {
                class: Class::NeedsMfa,
                ..no
            }
        })
    }
}

/// Whether a session was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOpened {
    Yes { request_id: Option<String> },
    NoCode,
}

impl<A: Account> Account for InSession<'_, A> {
    fn caller(&self, signer: Signer<'_>) -> Call<Caller> {
        self.account.caller(signer)
    }

    fn greet_iam(&self, signer: Signer<'_>, user: &UserArn) -> Call<Greeting> {
        self.account.greet_iam(signer, user)
    }

    /// The first call of every run; its denial tells whether MFA is wanted.
    fn list_keys(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<ListedKey>> {
        let bare = self.session.borrow().is_none();
        self.on_keys(signer, |signer| self.account.list_keys(signer, user))
            .map_err(|no| match no.class {
                Class::Denied if bare && wants_mfa(&no.message, self.codes.expected()) => {
                    CallFailure {
                        class: Class::NeedsMfa,
                        ..no
                    }
                }
                _ => no,
            })
    }

    fn create_key(&self, signer: Signer<'_>, user: &UserArn) -> Call<CreatedKey> {
        self.on_keys(signer, |signer| self.account.create_key(signer, user))
    }

    fn set_status(
        &self,
        signer: Signer<'_>,
        user: &UserArn,
        id: &AccessKeyId,
        status: &KeyStatus,
    ) -> Call<()> {
        self.on_keys(signer, |signer| {
            self.account.set_status(signer, user, id, status)
        })
    }

    fn delete_key(&self, signer: Signer<'_>, user: &UserArn, id: &AccessKeyId) -> Call<()> {
        self.on_keys(signer, |signer| self.account.delete_key(signer, user, id))
    }

    fn last_used(&self, signer: Signer<'_>, id: &AccessKeyId) -> Call<LastUse> {
        self.on_keys(signer, |signer| self.account.last_used(signer, id))
    }

    fn mfa_devices(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<MfaDevice>> {
        self.account.mfa_devices(signer, user)
    }

    fn mfa_session(&self, key: &AccessKey, serial: &str, code: &Secret) -> Call<Session> {
        self.account.mfa_session(key, serial, code)
    }
}

/// A code is needed, and there was nobody and nothing to give one; `command` asks for it.
pub fn needed(command: &str, entry: &EntryName) -> Error {
    Error::new(
        Kind::PersonNeeded,
        "its IAM user may handle keys in an MFA session only, and none is open: a code is needed",
    )
    .entry(entry)
    .hint(format!("at a terminal: {command}"))
    .hint(format!(
        "or with the code from another program: {command} --mfa-code-stdin"
    ))
}

/// What AWS said to the code. Its words do not tell a wrong code from a used one.
fn not_opened(entry: &EntryName, key: &AccessKey, serial: &str, no: &CallFailure) -> Error {
    let of = |kind, what: &str| {
        Error::new(kind, what)
            .entry(entry)
            .cause(format!("{}: {}", no.code, no.message))
    };
    let of_code = no.message.contains("MultiFactorAuthentication");
    match no.class {
        Class::Denied if of_code && no.message.contains("serial number") => of(
            Kind::Aws,
            &format!("AWS does not know {serial} as an MFA device of its IAM user"),
        )
        .hint(format!("awskeep config set mfa_serial SERIAL --entry {entry}")),
        Class::Denied if of_code => of(
            Kind::Aws,
            &format!(
                "AWS did not accept the code of {serial}: it is wrong, or was used before, for each is good once"
            ),
        )
        .hint("wait until the device shows another code (up to 30 seconds), then run it again"),
        Class::Denied => denied(entry, "GetSessionToken", no),
        Class::Unknown | Class::ReplyLost | Class::Busy => of(
            Kind::Unfinished,
            "AWS's answer to the code was lost; the code counts as used",
        )
        .hint("wait until the device shows another code (up to 30 seconds), then run it again"),
        Class::KeyNotAccepted
        | Class::NeedsMfa
        | Class::WrongSecret
        | Class::NoSuchEntity
        | Class::LimitExceeded
        | Class::ClockSkew
        | Class::Unreachable
        | Class::Refused => prove::refused(key, "STS", no),
    }
}
