//! A temporary session of a key's user, without MFA: what `exec --session` hands out.
//! Edge. Such a session may call no IAM action, and of STS little.

use aws_sdk_sts::types::Credentials;

use crate::aws::live::Sort;
use crate::aws::live::seen::Seen;
use crate::aws::live::wire::Manner;
use crate::aws::live::{LiveAccount, Session};
use crate::aws::{Call, Signer};
use crate::types::keys::{AccessKey, Secret};
use crate::types::time::{Span, Timestamp};

impl LiveAccount {
    /// GetSessionToken for this key; the session outlives the key's deactivation.
    pub fn session(&self, key: &AccessKey, length: Span) -> Call<Session> {
        let seen = Seen::default();
        let sts = self.wire.sts(Signer::Key(key), Manner::Pooled, &seen);
        let seconds = i32::try_from(length.0).unwrap_or(i32::MAX);
        let call = sts.get_session_token().duration_seconds(seconds).send();
        self.run(&seen, Sort::Look, call, |output| of(output.credentials?))
    }
}

/// What GetSessionToken answers; none if it lacks a part.
pub fn of(given: Credentials) -> Option<Session> {
    let secret = Secret::new(given.secret_access_key);
    let token = Secret::new(given.session_token);
    let id = given.access_key_id.parse().ok()?;
    (!secret.is_empty() && !token.is_empty()).then(|| Session {
        key: AccessKey { id, secret },
        token,
        expires_at: Timestamp::of_seconds(given.expiration.secs()),
    })
}
