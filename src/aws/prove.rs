//! Whose key it is: regional STS must authenticate it three times in a row on fresh
//! connections, as one IAM user. Pure but for the calls it makes through `Account`.
//! A key that is to be served in another's place is proven by `rotation::proving`.
//!
//! One success is not enough: AWS's servers learn of a new key one by one.

use crate::aws::{Account, CallFailure, CallFailureClass, STOPPED, Signer};
use crate::error::{Error, Kind, Result};
use crate::store::item::Identity;
use crate::types::keys::{AccessKey, Principal};
use crate::types::time::Timestamp;

/// How many acceptances in a row each service must give.
pub const IN_A_ROW: u32 = 3;

/// What a proof found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerProof {
    pub identity: Identity,
    /// AWS's time at the last call; none if no reply said it.
    pub aws_time: Option<Timestamp>,
}

/// Whose key it is, as STS says, of one that has existed for long: no waiting, the first
/// refusal counts. GetCallerIdentity needs no permission, so it answers for every user's
/// key; IAM's acceptance is a condition of putting a new one into service, not of this.
///
/// # Errors
/// `Kind::Aws` if it is refused or belongs to a root user or a role; `Kind::Failed`
/// if AWS cannot be reached.
pub fn prove_existing(account: &impl Account, key: &AccessKey) -> Result<CallerProof> {
    ask_sts(account, key, None)
}

/// The same, with a hint for when AWS gave no answer: none for a key that it refused.
///
/// # Errors
/// Those of `prove_existing`.
pub fn prove_existing_or(
    account: &impl Account,
    key: &AccessKey,
    unanswered: &str,
) -> Result<CallerProof> {
    ask_sts(account, key, Some(unanswered))
}

fn ask_sts(
    account: &impl Account,
    key: &AccessKey,
    unanswered: Option<&str>,
) -> Result<CallerProof> {
    let mut proof: Option<CallerProof> = None;
    for _ in 0..IN_A_ROW {
        let answer = account.caller(Signer::Key(key)).map_err(|no| {
            let failure = refused(key, "STS", &no);
            match unanswered.filter(|_| is_unanswered(&no)) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
        let Principal::User(arn) = answer.value.principal else {
            return Err(not_a_user(key, &answer.value.arn, &answer.value.principal));
        };
        let identity = Identity {
            arn,
            user_id: answer.value.user_id,
        };
        if proof
            .as_ref()
            .is_some_and(|proof| proof.identity != identity)
        {
            return Err(Error::new(
                Kind::Aws,
                format!("STS names two different users for {}", key.id),
            )
            .hint("check the endpoint: this is not how AWS answers"));
        }
        proof = Some(CallerProof {
            identity,
            aws_time: answer.aws_time,
        });
    }
    proof.ok_or_else(|| Error::new(Kind::Bug, "a proof of no calls"))
}

/// Whether nothing is known of the key yet: no answer, or one that says nothing of it.
fn is_unanswered(failure: &CallFailure) -> bool {
    match failure.class {
        CallFailureClass::Unreachable
        | CallFailureClass::Unknown
        | CallFailureClass::ReplyLost
        | CallFailureClass::Busy => !failure.refuses_in_own_form(),
        CallFailureClass::KeyNotAccepted
        | CallFailureClass::WrongSecret
        | CallFailureClass::Denied
        | CallFailureClass::NeedsMfa
        | CallFailureClass::NoSuchEntity
        | CallFailureClass::LimitExceeded
        | CallFailureClass::ClockSkew
        | CallFailureClass::Refused => false,
    }
}

fn not_a_user(key: &AccessKey, arn: &str, principal: &Principal) -> Error {
    if *principal == Principal::Root {
        return Error::new(
            Kind::Aws,
            format!("{} is a root user's key ({arn})", key.id),
        )
        .hint("make an access key for an IAM user with fewer rights, and delete the root key");
    }
    if arn.contains(":user/") {
        return Error::new(
            Kind::Aws,
            format!(
                "{} belongs to {arn}, which is not an ARN that AWS gives",
                key.id
            ),
        )
        .hint("check the endpoint: this is not how AWS answers");
    }
    Error::new(
        Kind::Aws,
        format!("{} belongs to {arn}, which is not an IAM user", key.id),
    )
    .hint("awskeep keeps the long-term keys of IAM users")
}

/// What a refused call means, in words; shared by every command that calls AWS.
pub fn refused(key: &AccessKey, service: &str, failure: &CallFailure) -> Error {
    let id = &key.id;
    let said = format!("{}: {}", failure.code, failure.message);
    let aws = |message: String| Error::new(Kind::Aws, message).cause(&said);
    // What a later try may find otherwise.
    let passing = |message: String| Error::new(Kind::Failed, message).cause(&said);
    match failure.class {
        _ if failure.code == STOPPED => {
            Error::new(Kind::Unfinished, "stopped as asked").hint("run it again to continue")
        }
        CallFailureClass::KeyNotAccepted => aws(format!("{service} does not accept {id}"))
            .hint("the key is deleted, inactive, or of another partition: check it, and --region"),
        CallFailureClass::WrongSecret => {
            aws(format!("{service} says that the secret of {id} is wrong"))
                .hint("copy the secret again")
        }
        CallFailureClass::ClockSkew => passing(format!(
            "{service} refused {id}: this machine's clock is wrong"
        ))
        .hint("set the clock, then run it again"),
        CallFailureClass::Denied => aws(format!("{service} denied the call signed by {id}"))
            .hint("ask whoever manages your IAM user"),
        CallFailureClass::NeedsMfa => Error::new(
            Kind::PersonNeeded,
            format!("{service} takes calls for the user of {id} in an MFA session only"),
        )
        .cause(&said)
        .hint("only a rotation asks for an MFA code, and opens a session with it"),
        CallFailureClass::NoSuchEntity => aws(format!(
            "{service} knows no such user or key (asked with {id})"
        ))
        .hint("awskeep list"),
        CallFailureClass::LimitExceeded => aws(format!(
            "{service}: the IAM user of {id} has two keys already"
        ))
        .hint("delete the one that is not needed"),
        CallFailureClass::Busy => {
            passing(format!("{service} is busy")).hint("run it again in a minute")
        }
        CallFailureClass::Refused => aws(format!("{service} refused the call signed by {id}"))
            .hint("read AWS's own words above"),
        CallFailureClass::Unknown if failure.refuses_in_own_form() => {
            aws(format!("{service} refused {id}, in a form that is not AWS's"))
                .hint("check the secret, the endpoint and the proxies: the key may be wrong, or something else answered")
        }
        CallFailureClass::Unknown if failure.status_without_code().is_some() => {
            passing(format!("{service} was asked about {id}, and something else answered"))
                .hint("check the endpoint and the proxies, then run it again")
        }
        CallFailureClass::Unreachable | CallFailureClass::Unknown | CallFailureClass::ReplyLost => {
            passing(format!("{service} cannot be reached to check {id}"))
                .hint("check the network and proxies, then run it again")
        }
    }
}
