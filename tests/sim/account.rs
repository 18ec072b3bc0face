//! A simulated AWS account: users, keys, sessions, MFA, denials, and the delays with
//! which changes are seen. Pure and deterministic: time is passed in, nothing is
//! random, a clone goes its own way. Nothing but std.
//!
//! It does not check signatures (`sigv4.rs`) and knows no HTTP (`mod.rs`).

use super::asks::{Ask, Refusal, Reply, Row, Signed, Use};
use super::people::{Key, Lags, Status, User, Who};
use super::signers::Session;

/// The account. Fields are open: tests look, and play the person who interferes.
#[derive(Debug, Clone)]
pub struct Account {
    pub id: String,
    pub partition: String,
    pub users: Vec<User>,
    pub lags: Lags,
    /// Rows per page of a list.
    pub page_size: usize,
    /// What replies say of when keys were made, whatever is true.
    pub create_date_said: Option<i64>,
    pub(super) sessions: Vec<Session>,
    late: Vec<Late>,
    pub(super) made: u64,
}

/// A request that is still on its way.
#[derive(Debug, Clone)]
struct Late {
    at: i64,
    signed: Signed,
    ask: Ask,
}

impl Account {
    /// An account `123456789012` in partition `aws` without users.
    pub fn new() -> Account {
        Account {
            id: "123456789012".into(),
            partition: "aws".into(),
            users: Vec::new(),
            lags: Lags::default(),
            page_size: 100,
            create_date_said: None,
            sessions: Vec::new(),
            late: Vec::new(),
            made: 0,
        }
    }

    /// Adds a user; `path` is `/` or `/a/b/`.
    pub fn add_user(&mut self, path: &str, name: &str) -> &mut User {
        let arn = format!("arn:{}:iam::{}:user{path}{name}", self.partition, self.id);
        let user_id = format!("AIDASIM{:014}", self.users.len());
        self.users.push(User::new(arn, user_id, path, name));
        self.users.last_mut().expect("just pushed")
    }

    /// Adds the account's root user.
    pub fn add_root(&mut self) -> &mut User {
        let arn = format!("arn:{}:iam::{}:root", self.partition, self.id);
        self.users.push(User::new(arn, self.id.clone(), "", "root"));
        self.users.last_mut().expect("just pushed")
    }

    /// Adds a key that everybody sees already; gives its id and secret.
    pub fn add_key(&mut self, user: &str, created_at: i64) -> (String, String) {
        let mut key = self.make_key(created_at);
        key.before = Some(Status::Active);
        let given = (key.id.clone(), key.secret.clone());
        self.user_mut(user).keys.push(key);
        given
    }

    pub fn user(&self, name: &str) -> &User {
        let user = self.users.iter().find(|u| u.name == name);
        user.unwrap_or_else(|| panic!("the simulation has no user {name}"))
    }

    pub fn user_mut(&mut self, name: &str) -> &mut User {
        let user = self.users.iter_mut().find(|u| u.name == name);
        user.unwrap_or_else(|| panic!("the simulation has no user {name}"))
    }

    /// The key with this id, deleted ones too.
    pub fn key(&self, id: &str) -> Option<&Key> {
        let mut keys = self.users.iter().flat_map(|user| &user.keys);
        keys.find(|key| key.id == id)
    }

    /// A person sets a key's status; `None` deletes it.
    pub fn set_by_hand(&mut self, id: &str, status: Option<Status>, now: i64) {
        let mut keys = self.users.iter_mut().flat_map(|user| &mut user.keys);
        let key = keys.find(|key| key.id == id);
        key.expect("the key exists").change(status, now);
    }

    /// Notes a use of a key elsewhere, as GetAccessKeyLastUsed will tell it.
    pub fn note_use(&mut self, id: &str, used: Use) {
        let mut keys = self.users.iter_mut().flat_map(|user| &mut user.keys);
        if let Some(key) = keys.find(|key| key.id == id) {
            key.last_used = Some(used);
        }
    }

    /// Takes a request whose sender gets no answer and that arrives at `at`.
    pub fn arrive_late(&mut self, at: i64, signed: Signed, ask: Ask) {
        self.late.push(Late { at, signed, ask });
    }

    /// Answers one request at `now` (seconds since 1970).
    pub fn answer(&mut self, now: i64, signed: &Signed, ask: &Ask) -> Result<Reply, Refusal> {
        self.deliver_late(now);
        self.answer_one(now, signed, ask)
    }

    /// Lets the requests arrive that are due.
    pub fn deliver_late(&mut self, now: i64) {
        let (due, rest) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|late| late.at <= now);
        self.late = rest;
        for Late { at, signed, ask } in due {
            // Nobody is there to hear the answer.
            let _ = self.answer_one(at, &signed, &ask);
        }
    }

    fn answer_one(&mut self, now: i64, signed: &Signed, ask: &Ask) -> Result<Reply, Refusal> {
        let who = self.authenticate(now, ask.door(), signed)?;
        match ask {
            Ask::GetCallerIdentity => Ok(self.identity(&who)),
            Ask::GetSessionToken { mfa, seconds } => {
                self.get_session_token(now, &who, mfa.as_ref(), *seconds)
            }
            Ask::AssumeRole {
                role_arn,
                session,
                seconds,
            } => Ok(self.assume_role(now, role_arn, session, *seconds)),
            Ask::GetAccessKeyInfo { .. } => {
                self.allow(&who, ask, None)?;
                Ok(Reply::Account(self.id.clone()))
            }
            Ask::GetUser { user } => {
                let user = &self.users[self.target(&who, ask, user.as_deref())?];
                Ok(Reply::User {
                    name: user.name.clone(),
                    path: user.path.clone(),
                    arn: user.arn.clone(),
                    user_id: user.user_id.clone(),
                })
            }
            Ask::ListAccessKeys { user, from } => {
                let at = self.target(&who, ask, user.as_deref())?;
                Ok(self.list_keys(now, at, *from))
            }
            Ask::CreateAccessKey { user } => {
                let at = self.target(&who, ask, user.as_deref())?;
                self.create_key(now, at)
            }
            Ask::UpdateAccessKey { user, id, status } => {
                let at = self.target(&who, ask, user.as_deref())?;
                let status = Status::parse(status)
                    .filter(|status| *status != Status::Expired)
                    .ok_or_else(|| {
                        Refusal::invalid("Value at 'status' failed to satisfy constraint")
                    })?;
                self.change_key(now, at, id, Some(status))
            }
            Ask::DeleteAccessKey { user, id } => {
                let at = self.target(&who, ask, user.as_deref())?;
                self.change_key(now, at, id, None)
            }
            Ask::GetAccessKeyLastUsed { id } => self.last_used(&who, ask, id),
            Ask::ListMFADevices { user, from } => {
                let at = self.target(&who, ask, user.as_deref())?;
                let user = &self.users[at];
                let serials = user.mfa.iter().map(|device| device.serial.clone());
                let (serials, next) = self.page(serials.collect(), *from);
                Ok(Reply::Devices {
                    user: user.name.clone(),
                    serials,
                    next,
                })
            }
        }
    }

    /// The user that a call is about, if the caller may make it.
    fn target(&self, who: &Who, ask: &Ask, name: Option<&str>) -> Result<usize, Refusal> {
        let asker = match who {
            Who::User(at) | Who::PlainSession(at) | Who::MfaSession(at) => Some(*at),
            Who::Role { .. } => None,
        };
        let inferred = match (who, ask) {
            // "If a temporary access key is used, then UserName is required."
            (Who::MfaSession(_), Ask::ListAccessKeys { .. } | Ask::UpdateAccessKey { .. }) => None,
            _ => asker,
        };
        let Some(name) = name else {
            return inferred.ok_or_else(|| {
                Refusal::invalid("Must specify userName when calling with non-User credentials")
            });
        };
        let at = self.users.iter().position(|user| user.name == name);
        self.allow(who, ask, Some((name, at)))?;
        at.ok_or_else(|| Refusal::no_such("user", name))
    }

    /// Denials first, then: users may act on themselves, admins and roles on all.
    pub(super) fn allow(
        &self,
        who: &Who,
        ask: &Ask,
        on: Option<(&str, Option<usize>)>,
    ) -> Result<(), Refusal> {
        let (at, asker) = match who {
            Who::Role { .. } => return Ok(()),
            Who::User(at) | Who::PlainSession(at) | Who::MfaSession(at) => (*at, &self.users[*at]),
        };
        let resource = on.map_or("*".to_owned(), |(name, _)| format!("user {name}"));
        asker.denial_of(ask, who, &resource)?;
        match on {
            Some((_, target)) if target != Some(at) && !asker.is_admin() => {
                Err(asker.not_allowed(ask, &resource))
            }
            _ => Ok(()),
        }
    }

    fn list_keys(&mut self, now: i64, at: usize, from: usize) -> Reply {
        let lag = self.lags.lists.clone();
        let said = self.create_date_said;
        let user = &mut self.users[at];
        let name = user.name.clone();
        let rows = user.keys.iter_mut().filter_map(|key| {
            let status = key.listed_at(now, &lag)?;
            Some(Row {
                id: key.id.clone(),
                status: status.as_str(),
                created_at: said.unwrap_or(key.created_at),
            })
        });
        let rows = rows.collect();
        let (rows, next) = self.page(rows, from);
        Reply::Keys {
            user: name,
            rows,
            next,
        }
    }

    fn page<T>(&self, rows: Vec<T>, from: usize) -> (Vec<T>, Option<usize>) {
        let more = rows.len() > from + self.page_size;
        let page = rows.into_iter().skip(from).take(self.page_size).collect();
        (page, more.then_some(from + self.page_size))
    }

    fn create_key(&mut self, now: i64, at: usize) -> Result<Reply, Refusal> {
        let there = self.users[at].keys.iter().filter(|k| k.status.is_some());
        if there.count() >= 2 {
            let message = "Cannot exceed quota for AccessKeysPerUser: 2";
            return Err(Refusal::new(409, "LimitExceeded", message));
        }
        let key = self.make_key(now);
        let reply = Reply::Created {
            user: self.users[at].name.clone(),
            id: key.id.clone(),
            secret: key.secret.clone(),
            created_at: self.create_date_said.unwrap_or(now),
        };
        self.users[at].keys.push(key);
        Ok(reply)
    }

    fn make_key(&mut self, now: i64) -> Key {
        self.made += 1;
        Key::new(&self.id, self.made, now)
    }

    fn change_key(
        &mut self,
        now: i64,
        at: usize,
        id: &str,
        status: Option<Status>,
    ) -> Result<Reply, Refusal> {
        let mut keys = self.users[at].keys.iter_mut();
        let key = keys
            .find(|key| key.id == id && key.status.is_some())
            .ok_or_else(|| Refusal::no_such("Access Key", id))?;
        key.change(status, now);
        Ok(Reply::Done)
    }

    fn last_used(&self, who: &Who, ask: &Ask, id: &str) -> Result<Reply, Refusal> {
        let owner = self
            .users
            .iter()
            .enumerate()
            .find(|(_, user)| user.keys.iter().any(|k| k.id == id && k.status.is_some()));
        let Some((at, user)) = owner else {
            return Err(Refusal::denied(format!(
                "not authorized on resource: access key {id}"
            )));
        };
        self.allow(who, ask, Some((&user.name, Some(at))))?;
        let key = user.keys.iter().find(|key| key.id == id);
        Ok(Reply::LastUsed {
            user: user.name.clone(),
            used: key.and_then(|key| key.last_used.clone()),
        })
    }
}

impl Default for Account {
    fn default() -> Account {
        Account::new()
    }
}
