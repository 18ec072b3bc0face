//! Who signs: keys and sessions of the simulated account, accepted or not. Pure.

use super::account::Account;
use super::asks::{Ask, Door, Proof, Refusal, Reply, Signed, Temporary, Use};
use super::people::{self, Status, Who};

#[derive(Debug, Clone)]
pub(super) struct Session {
    given: Temporary,
    who: Who,
}

impl Account {
    /// The secret that a request of this signer must be signed with.
    pub fn secret_of(&self, key_id: &str, token: Option<&str>) -> Option<&str> {
        match token {
            Some(token) => self
                .sessions
                .iter()
                .find(|s| s.given.id == key_id && s.given.token == token)
                .map(|s| s.given.secret.as_str()),
            None => self.key(key_id).map(|key| key.secret.as_str()),
        }
    }

    /// All temporary credentials that were given out, the last one last.
    pub fn sessions_given(&self) -> Vec<Temporary> {
        let given = self.sessions.iter().map(|session| session.given.clone());
        given.collect()
    }

    pub(super) fn authenticate(
        &mut self,
        now: i64,
        door: Door,
        signed: &Signed,
    ) -> Result<Who, Refusal> {
        let who = match &signed.token {
            Some(token) => self.session_of(now, door, &signed.key_id, token)?,
            None => self.owner_of(now, door, &signed.key_id)?,
        };
        match signed.proof {
            Proof::Wrong => return Err(Refusal::wrong_secret()),
            Proof::Good => {}
        }
        let (service, region) = match door {
            Door::Sts => ("sts", "eu-central-1"),
            Door::Iam => ("iam", "us-east-1"),
        };
        let used = Use {
            at: now,
            service: service.into(),
            region: region.into(),
        };
        self.note_use(&signed.key_id, used);
        Ok(who)
    }

    fn session_of(&self, now: i64, door: Door, id: &str, token: &str) -> Result<Who, Refusal> {
        let session = self
            .sessions
            .iter()
            .find(|s| s.given.id == id && s.given.token == token)
            .ok_or_else(Refusal::unknown_key)?;
        if now >= session.given.expires_at {
            let message = "The security token included in the request is expired";
            return Err(Refusal::new(403, "ExpiredToken", message));
        }
        match (&session.who, door) {
            // GetSessionToken credentials without MFA may call no IAM API.
            (Who::PlainSession(_), Door::Iam) => Err(Refusal::unknown_key()),
            (who, _) => Ok(who.clone()),
        }
    }

    fn owner_of(&mut self, now: i64, door: Door, id: &str) -> Result<Who, Refusal> {
        let lags = &self.lags;
        for (at, user) in self.users.iter_mut().enumerate() {
            let Some(key) = user.keys.iter_mut().find(|key| key.id == id) else {
                continue;
            };
            return match key.seen_at(door, now, lags) {
                Some(Status::Active) => Ok(Who::User(at)),
                Some(Status::Inactive | Status::Expired | Status::Unheard) | None => {
                    Err(Refusal::unknown_key())
                }
            };
        }
        Err(Refusal::unknown_key())
    }

    pub(super) fn identity(&self, who: &Who) -> Reply {
        let (arn, user_id) = match who {
            Who::User(at) | Who::PlainSession(at) | Who::MfaSession(at) => {
                (self.users[*at].arn.clone(), self.users[*at].user_id.clone())
            }
            Who::Role { arn, id } => (arn.clone(), id.clone()),
        };
        Reply::Identity {
            arn,
            account: self.id.clone(),
            user_id,
        }
    }

    pub(super) fn get_session_token(
        &mut self,
        now: i64,
        who: &Who,
        mfa: Option<&(String, String)>,
        seconds: i64,
    ) -> Result<Reply, Refusal> {
        let Who::User(at) = *who else {
            return Err(Refusal::denied(
                "Cannot call GetSessionToken with session credentials",
            ));
        };
        let ask = Ask::GetSessionToken { mfa: None, seconds };
        self.allow(who, &ask, None)?;
        if !(900..=129_600).contains(&seconds) {
            return Err(Refusal::invalid(
                "Value at 'durationSeconds' is out of range",
            ));
        }
        let who = match mfa {
            None => Who::PlainSession(at),
            Some((serial, code)) => {
                self.users[at].spend_code(serial, code)?;
                Who::MfaSession(at)
            }
        };
        Ok(Reply::Session(self.open_session(now + seconds, who)))
    }

    pub(super) fn assume_role(
        &mut self,
        now: i64,
        role_arn: &str,
        session: &str,
        seconds: i64,
    ) -> Reply {
        let role = role_arn.rsplit('/').next().unwrap_or_default();
        let arn = format!(
            "arn:{}:sts::{}:assumed-role/{role}/{session}",
            self.partition, self.id
        );
        let id = format!("AROASIM:{session}");
        let who = Who::Role {
            arn: arn.clone(),
            id: id.clone(),
        };
        Reply::Role {
            credentials: self.open_session(now + seconds, who),
            arn,
            id,
        }
    }

    fn open_session(&mut self, expires_at: i64, who: Who) -> Temporary {
        self.made += 1;
        let given = Temporary {
            id: people::key_id("ASIA", &self.id, self.made),
            secret: people::secret(self.made),
            token: format!("FwoSIM//{}+{}==", self.made, people::secret(!self.made)),
            expires_at,
        };
        self.sessions.push(Session {
            given: given.clone(),
            who,
        });
        given
    }
}
