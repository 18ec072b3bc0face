//! The calls to AWS themselves. Edge: this file and `live/` are the only ones that
//! name aws_* or tokio.
//!
//! Clients are built from the key in hand alone: no default chain, no profile, no
//! environment, no instance metadata. A helper that looked there would call itself.

mod failing;
mod seen;
mod session;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_iam::types::StatusType;
use tokio::runtime::Runtime;

use self::failing::{Refusal, failure, reply_lost};
use self::seen::Seen;
use self::wire::{Manner, Wire};
use crate::aws::network::Network;
use crate::aws::refusal::denies_by_name;
use crate::aws::{
    Account, Answer, Call, CallFailure, CallFailureClass, Caller, CreatedKey, Greeting, KeyStatus,
    LastUse, ListedKey, MfaDevice, OTHER_USER, Place, STOPPED, Session, Signer,
};
use crate::error::{Error, Kind, Result};
use crate::system::env::Clock;
use crate::types::escape;
use crate::types::keys::{AccessKey, AccessKeyId, Principal, Secret, UserArn};
use crate::types::time::{Span, Timestamp};
use crate::ui::Ui;

/// Pages of a list that are read at most; more is a failure, never a cut list.
const MOST_PAGES: usize = 20;

/// The longest session an IAM user may ask for: it must outlive the leases on the
/// key that it will deactivate. Source: the model of GetSessionToken.
const SESSION: Span = Span::hours(36);

/// The account as AWS serves it.
pub struct LiveAccount {
    runtime: Runtime,
    wire: Wire,
    stop: Arc<AtomicBool>,
    told: Option<Ui>,
}

/// How often a call that is waited for hears of a wish to stop.
const A_MOMENT: Duration = Duration::from_millis(100);

/// A wait of this length is told.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// Whether a call may be left before its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// It changes nothing.
    Look,
    /// What it did must be known.
    Change,
}

impl LiveAccount {
    /// Sends nothing yet.
    ///
    /// # Errors
    /// An endpoint that must not see a key, a CA bundle without one usable
    /// certificate, a proxy that is not http or https.
    pub fn new(place: Place, network: Network) -> Result<LiveAccount> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::new(Kind::Failed, "cannot start network calls").cause(e))?;
        let wire = Wire::new(place, &network)?;
        Ok(LiveAccount {
            runtime,
            wire,
            stop: Arc::default(),
            told: None,
        })
    }

    /// Signs by this clock instead of the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> LiveAccount {
        self.wire.sign_by(clock);
        self
    }

    /// Ends waits when `stop` is raised, and tells this person of long ones.
    #[must_use]
    pub fn heard_by(mut self, stop: Arc<AtomicBool>, told: Option<Ui>) -> LiveAccount {
        self.stop = stop;
        self.told = told;
        self
    }

    /// The answer; none if the call was left.
    async fn wait<T>(&self, seen: &Seen, sort: Sort, call: impl Future<Output = T>) -> Option<T> {
        let mut call = std::pin::pin!(call);
        let started = Instant::now();
        let since = Clock::System.now();
        let mut told = self.told.as_ref();
        loop {
            if let Ok(answer) = tokio::time::timeout(A_MOMENT, call.as_mut()).await {
                return Some(answer);
            }
            if sort == Sort::Look && self.stop.load(Ordering::SeqCst) {
                return None;
            }
            if started.elapsed() >= TOLD_AFTER
                && let Some(ui) = told.take()
            {
                ui.tell(&format!(
                    "waiting for AWS ({}), since {since}, for {} s at most; Ctrl-C is safe",
                    seen.whom(),
                    self.wire.longest().as_secs()
                ));
            }
        }
    }

    /// Runs one call and reads its answer; `None` from `read` means that AWS
    /// acted and its answer says less than it must.
    fn run<O, E: Refusal, T>(
        &self,
        seen: &Seen,
        sort: Sort,
        call: impl Future<Output = Result<O, failing::SdkError<E>>>,
        read: impl FnOnce(O) -> Option<T>,
    ) -> Call<T> {
        let Some(answer) = self.runtime.block_on(self.wait(seen, sort, call)) else {
            return Err(CallFailure {
                class: CallFailureClass::Unknown,
                code: STOPPED.into(),
                message: "stopped as asked".into(),
                aws_time: None,
                request_id: None,
            });
        };
        match answer {
            Ok(output) => match read(output) {
                Some(value) => Ok(Answer {
                    value,
                    aws_time: seen.aws_time(),
                    request_id: seen.request_id(),
                }),
                None => Err(reply_lost(seen)),
            },
            Err(error) => Err(failure(&error, seen)),
        }
    }
}

impl Account for LiveAccount {
    fn caller(&self, signer: Signer<'_>) -> Call<Caller> {
        let seen = Seen::default();
        let sts = self.wire.sts(signer, Manner::Fresh, &seen);
        self.run(
            &seen,
            Sort::Look,
            sts.get_caller_identity().send(),
            |output| {
                let arn = output.arn?;
                Some(Caller {
                    principal: Principal::of(&arn),
                    arn: escape::line(&arn).into_owned(),
                    account: shown(output.account?),
                    user_id: shown(output.user_id?),
                })
            },
        )
    }

    fn greet_iam(&self, signer: Signer<'_>, user: &UserArn) -> Call<Greeting> {
        let seen = Seen::default();
        let iam = self.wire.iam(signer, Manner::Fresh, &seen);
        let call = iam.get_user().user_name(user.user_name()).send();
        let answered = self.run(&seen, Sort::Look, call, |output| {
            output.user.map(|user| user.arn)
        });
        match answered {
            Ok(answer) if answer.value == user.as_str() => Ok(answer.with(Greeting::Answered)),
            Ok(answer) => Err(CallFailure {
                class: CallFailureClass::Refused,
                code: OTHER_USER.into(),
                message: format!("IAM answered as {} instead of {user}", shown(answer.value)),
                aws_time: answer.aws_time,
                request_id: answer.request_id,
            }),
            Err(no)
                if no.class == CallFailureClass::Denied
                    && denies_by_name(&no.message, user.as_str()) =>
            {
                Ok(Answer {
                    value: Greeting::DeniedByName(no.message),
                    aws_time: no.aws_time,
                    request_id: no.request_id,
                })
            }
            Err(no) => Err(no),
        }
    }

    fn list_keys(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<ListedKey>> {
        let seen = Seen::default();
        let iam = self.wire.iam(signer, Manner::Pooled, &seen);
        let mut keys = Vec::new();
        self.pages(&seen, |marker| {
            let call = iam
                .list_access_keys()
                .user_name(user.user_name())
                .set_marker(marker)
                .send();
            self.run(&seen, Sort::Look, call, |output| {
                for key in output.access_key_metadata {
                    keys.push(ListedKey {
                        id: key.access_key_id?.parse().ok()?,
                        status: key_status(&key.status?),
                        created_at: key
                            .create_date
                            .map(|date| Timestamp::of_seconds(date.secs())),
                    });
                }
                next_page(output.is_truncated, output.marker)
            })
        })
        .map(|answer| answer.with(keys))
    }

    fn create_key(&self, signer: Signer<'_>, user: &UserArn) -> Call<CreatedKey> {
        let seen = Seen::default();
        let iam = self.wire.iam(signer, Manner::Once, &seen);
        let call = iam.create_access_key().user_name(user.user_name()).send();
        self.run(&seen, Sort::Change, call, |output| {
            let key = output.access_key?;
            // Taken over rather than copied: `Secret` wipes it.
            let secret = Secret::new(key.secret_access_key);
            let id = key.access_key_id.parse().ok()?;
            (!secret.is_empty()).then(|| CreatedKey {
                key: AccessKey { id, secret },
                created_at: key
                    .create_date
                    .map(|date| Timestamp::of_seconds(date.secs())),
            })
        })
    }

    fn set_status(
        &self,
        signer: Signer<'_>,
        user: &UserArn,
        id: &AccessKeyId,
        status: &KeyStatus,
    ) -> Call<()> {
        let seen = Seen::default();
        let iam = self.wire.iam(signer, Manner::Pooled, &seen);
        let call = iam
            .update_access_key()
            .user_name(user.user_name())
            .access_key_id(id.as_str())
            .status(sdk_status(status))
            .send();
        self.run(&seen, Sort::Change, call, |_| Some(()))
    }

    fn delete_key(&self, signer: Signer<'_>, user: &UserArn, id: &AccessKeyId) -> Call<()> {
        let seen = Seen::default();
        let iam = self.wire.iam(signer, Manner::Pooled, &seen);
        let call = iam
            .delete_access_key()
            .user_name(user.user_name())
            .access_key_id(id.as_str())
            .send();
        self.run(&seen, Sort::Change, call, |_| Some(()))
    }

    fn last_used(&self, signer: Signer<'_>, id: &AccessKeyId) -> Call<LastUse> {
        let seen = Seen::default();
        let iam = self.wire.iam(signer, Manner::Pooled, &seen);
        let call = iam
            .get_access_key_last_used()
            .access_key_id(id.as_str())
            .send();
        self.run(&seen, Sort::Look, call, |output| {
            let used = output.access_key_last_used?;
            Some(match used.last_used_date {
                None => LastUse::Never,
                Some(date) => LastUse::At {
                    time: Timestamp::of_seconds(date.secs()),
                    service: shown(used.service_name),
                    region: shown(used.region),
                },
            })
        })
    }

    fn mfa_devices(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<MfaDevice>> {
        let seen = Seen::default();
        let iam = self.wire.iam(signer, Manner::Pooled, &seen);
        let mut devices = Vec::new();
        self.pages(&seen, |marker| {
            let call = iam
                .list_mfa_devices()
                .user_name(user.user_name())
                .set_marker(marker)
                .send();
            self.run(&seen, Sort::Look, call, |output| {
                let serials = output.mfa_devices.into_iter().map(|d| d.serial_number);
                devices.extend(serials.map(|serial| MfaDevice {
                    serial: shown(serial),
                }));
                next_page(output.is_truncated, output.marker)
            })
        })
        .map(|answer| answer.with(devices))
    }

    fn mfa_session(&self, key: &AccessKey, serial: &str, code: &Secret) -> Call<Session> {
        let seen = Seen::default();
        let sts = self.wire.sts(Signer::Key(key), Manner::Once, &seen);
        let seconds = i32::try_from(SESSION.0).expect("36 hours fit");
        let call = sts
            .get_session_token()
            .serial_number(serial)
            .token_code(code.expose())
            .duration_seconds(seconds)
            .send();
        self.run(&seen, Sort::Change, call, |output| {
            session::of(output.credentials?)
        })
    }
}

impl LiveAccount {
    /// Asks for page after page; `page` takes a marker and gives the next one.
    fn pages(
        &self,
        seen: &Seen,
        mut page: impl FnMut(Option<String>) -> Call<Option<String>>,
    ) -> Call<()> {
        let mut marker = None;
        for _ in 0..MOST_PAGES {
            let answer = page(marker)?;
            match answer.value {
                None => return Ok(answer.with(())),
                next => marker = next,
            }
        }
        Err(CallFailure {
            class: CallFailureClass::Refused,
            code: "TooManyPages".into(),
            message: format!("the list has more than {MOST_PAGES} pages"),
            aws_time: seen.aws_time(),
            request_id: seen.request_id(),
        })
    }
}

impl<T> Answer<T> {
    fn with<U>(&self, value: U) -> Answer<U> {
        Answer {
            value,
            aws_time: self.aws_time,
            request_id: self.request_id.clone(),
        }
    }
}

/// AWS's words as they may be printed anywhere.
fn shown(words: String) -> String {
    match escape::line(&words) {
        Cow::Borrowed(_) => words,
        Cow::Owned(shown) => shown,
    }
}

/// The marker of the next page. A list that says it goes on but not where is unreadable.
fn next_page(is_truncated: bool, marker: Option<String>) -> Option<Option<String>> {
    match (is_truncated, marker) {
        (false, _) => Some(None),
        (true, Some(marker)) => Some(Some(marker)),
        (true, None) => None,
    }
}

fn key_status(status: &StatusType) -> KeyStatus {
    match status.as_str() {
        "Active" => KeyStatus::Active,
        "Inactive" => KeyStatus::Inactive,
        "Expired" => KeyStatus::Expired,
        other => KeyStatus::Other(escape::line(other).into_owned()),
    }
}

fn sdk_status(status: &KeyStatus) -> StatusType {
    match status {
        KeyStatus::Active => StatusType::Active,
        KeyStatus::Inactive => StatusType::Inactive,
        KeyStatus::Expired => StatusType::from("Expired"),
        KeyStatus::Other(other) => StatusType::from(other.as_str()),
    }
}
