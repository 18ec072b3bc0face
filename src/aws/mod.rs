//! The IAM user's keys as AWS sees them: the calls awskeep makes, what they
//! answer, and the ways they fail. Pure; `live.rs` makes the calls.
//!
//! The trait exists because there are two implementations: AWS, and the
//! simulated account of the tests.

pub mod endpoint;
pub mod live;
pub mod network;
pub mod place;
pub mod policy;
pub mod prove;
pub mod refusal;

use crate::store::item::Endpoint;
use crate::types::keys::{AccessKey, AccessKeyId, Principal, Secret, UserArn};
use crate::types::time::Timestamp;

/// Where calls go: fixed when a key is proven, never taken from the environment afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub region: String,
    pub partition: String,
    /// Only where it is not AWS's own.
    pub endpoint: Option<Endpoint>,
}

/// A temporary session that signs instead of the long-term key (MFA).
#[derive(Debug, PartialEq, Eq)]
pub struct Session {
    pub key: AccessKey,
    pub token: Secret,
    pub expires_at: Timestamp,
}

/// Who signs a call.
#[derive(Debug, Clone, Copy)]
pub enum Signer<'a> {
    Key(&'a AccessKey),
    Session(&'a Session),
}

/// A call's answer with what receipts need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    pub value: T,
    /// AWS's own time, from the `Date` header; none if it had none.
    pub aws_time: Option<Timestamp>,
    /// None if the reply had none.
    pub request_id: Option<String>,
}

/// Who STS says the signer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub principal: Principal,
    pub arn: String,
    pub account: String,
    pub user_id: String,
}

/// A key's status. `Expired` exists since 2025; anything newer is `Other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStatus {
    Active,
    Inactive,
    Expired,
    Other(String),
}

/// One row of ListAccessKeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    pub id: AccessKeyId,
    pub status: KeyStatus,
    pub created_at: Option<Timestamp>,
}

/// What GetAccessKeyLastUsed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastUse {
    Never,
    At {
        time: Timestamp,
        service: String,
        region: String,
    },
}

/// A key that CreateAccessKey made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedKey {
    pub key: AccessKey,
    pub created_at: Option<Timestamp>,
}

/// How IAM took a key that it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// The call was answered.
    Answered,
    /// AccessDenied that names this user: the key is known (MFA-only policies answer so).
    DeniedByName(String),
}

/// An MFA device of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MfaDevice {
    pub serial: String,
}

impl MfaDevice {
    /// Security keys and passkeys work in the console only, never with the API.
    pub fn gives_codes(&self) -> bool {
        !self.serial.contains(":u2f/")
    }
}

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailure {
    pub class: CallFailureClass,
    /// AWS's error code, or the kind of transport failure.
    pub code: String,
    /// AWS's own words, or the transport's.
    pub message: String,
    pub aws_time: Option<Timestamp>,
    pub request_id: Option<String>,
}

/// The code of a call that was left, unanswered, because awskeep was asked to stop.
pub const STOPPED: &str = "Stopped";

/// The code where IAM answers as another user than STS did.
pub const OTHER_USER: &str = "OtherUser";

/// The code of an answer that had none: with its status after it.
const NO_CODE: &str = "HTTP ";

impl CallFailure {
    /// The code of a reply with this status and no error code of AWS.
    pub fn code_of_status(status: u16) -> String {
        format!("{NO_CODE}{status}")
    }

    /// The status of an answer without an error code of AWS: some other server's, or a
    /// proxy's, which may have passed the request on.
    pub fn status_without_code(&self) -> Option<u16> {
        self.code.strip_prefix(NO_CODE)?.parse().ok()
    }

    /// Whether such an answer says that the caller is not let in.
    pub fn refuses_in_own_form(&self) -> bool {
        matches!(self.status_without_code(), Some(401 | 403))
    }
}

/// What a failure means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFailureClass {
    /// InvalidClientTokenId and its kin: unknown, deleted, inactive, or not yet visible.
    KeyNotAccepted,
    /// SignatureDoesNotMatch: the secret is wrong.
    WrongSecret,
    /// AccessDenied.
    Denied,
    /// It takes an MFA session, and there is none or it is over. Only whoever knows
    /// who signs can tell: see `rotation::session`.
    NeedsMfa,
    /// NoSuchEntity.
    NoSuchEntity,
    /// LimitExceeded: two keys are there.
    LimitExceeded,
    /// Throttling, 5xx.
    Busy,
    /// RequestExpired and its kin: our clock is wrong.
    ClockSkew,
    /// The request provably never reached AWS.
    Unreachable,
    /// No telling whether AWS acted: a lost or cut reply, a timeout.
    Unknown,
    /// A reply of success that could not be read: AWS acted, its answer is lost.
    ReplyLost,
    /// Any other refusal.
    Refused,
}

pub type Call<T> = Result<Answer<T>, CallFailure>;

/// The calls that awskeep makes. Each is one signed request (and the SDK's own
/// retries, but for `create_key`, which is sent exactly once).
pub trait Account {
    /// GetCallerIdentity at the regional STS endpoint, on a fresh connection.
    fn caller(&self, signer: Signer<'_>) -> Call<Caller>;

    /// Shows the key to IAM, on a fresh connection: GetUser for this user.
    /// An AccessDenied that names the user is an acceptance.
    fn greet_iam(&self, signer: Signer<'_>, user: &UserArn) -> Call<Greeting>;

    /// ListAccessKeys, all pages.
    fn list_keys(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<ListedKey>>;

    /// CreateAccessKey, sent once.
    fn create_key(&self, signer: Signer<'_>, user: &UserArn) -> Call<CreatedKey>;

    /// UpdateAccessKey to `Active` or `Inactive`.
    fn set_status(
        &self,
        signer: Signer<'_>,
        user: &UserArn,
        id: &AccessKeyId,
        status: &KeyStatus,
    ) -> Call<()>;

    /// DeleteAccessKey.
    fn delete_key(&self, signer: Signer<'_>, user: &UserArn, id: &AccessKeyId) -> Call<()>;

    /// GetAccessKeyLastUsed.
    fn last_used(&self, signer: Signer<'_>, id: &AccessKeyId) -> Call<LastUse>;

    /// ListMFADevices, all pages.
    fn mfa_devices(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<MfaDevice>>;

    /// GetSessionToken with one MFA code, sent once: a code is accepted once only.
    fn mfa_session(&self, key: &AccessKey, serial: &str, code: &Secret) -> Call<Session>;
}
