//! Proving a key that AWS has only just learnt of: STS and IAM must each accept it
//! several times in a row on fresh connections, as the right user. Waits between
//! tries, up to a bound. Pure but for the calls and waits it is given.

use crate::aws::prove::IN_A_ROW;
use crate::aws::{Account, CallFailure, CallFailureClass as Class, OTHER_USER, Signer};
use crate::lifecycle::context::{Context, pause};
use crate::lifecycle::observed::{NotYet, Proof};
use crate::store::item::Identity;
use crate::types::keys::{AccessKey, Principal};
use crate::types::time::Span;

/// How long a new key is given to become known.
pub const PATIENCE: Span = Span::minutes(2);

/// The most calls that one proof makes.
const MOST_CALLS: u32 = 400;

/// One answer to the question whether a service knows the key.
enum Said {
    Accepted,
    SomebodyElse(String),
    /// Without naming the user: that is about rights, and no time changes it.
    Denied(String),
    No {
        because: NotYet,
        said: String,
    },
}

/// Shows the key to both services until each has accepted it `IN_A_ROW` times in
/// a row, or patience ends.
pub fn prove<A: Account>(
    context: &Context<'_, A>,
    key: &AccessKey,
    expected: &Identity,
    patience: Span,
) -> Proof {
    let started = context.clock.now();
    let (mut sts, mut iam) = (0, 0);
    for call in 0..MOST_CALLS {
        if (context.stop)() {
            let said = "asked to stop".into();
            let because = NotYet::Stopped;
            return Proof::NotYet { said, because };
        }
        let (said, in_a_row) = if sts < IN_A_ROW {
            (ask_sts(context.account, key, expected), &mut sts)
        } else {
            (ask_iam(context.account, key, expected), &mut iam)
        };
        match said {
            Said::Accepted => *in_a_row += 1,
            Said::SomebodyElse(said) => return Proof::Wrong { said },
            Said::Denied(said) => {
                let because = NotYet::NoAnswer;
                return Proof::NotYet { said, because };
            }
            Said::No { because, said } => {
                // What was accepted before counts no more: servers learn one by one.
                (sts, iam) = (0, 0);
                if context.clock.now().since(started) >= patience {
                    return Proof::NotYet { said, because };
                }
                context.clock.wait(pause(call));
            }
        }
        if sts >= IN_A_ROW && iam >= IN_A_ROW {
            return Proof::Accepted;
        }
    }
    let said = format!("not accepted in {MOST_CALLS} tries");
    let because = NotYet::NotAccepted;
    Proof::NotYet { said, because }
}

fn ask_sts(account: &impl Account, key: &AccessKey, expected: &Identity) -> Said {
    match account.caller(Signer::Key(key)) {
        Ok(answer) => {
            let same = answer.value.principal == Principal::User(expected.arn.clone())
                && answer.value.user_id == expected.user_id;
            if same {
                Said::Accepted
            } else {
                Said::SomebodyElse(format!("STS takes it for a key of {}", answer.value.arn))
            }
        }
        Err(failure) => refused("STS", &failure),
    }
}

fn ask_iam(account: &impl Account, key: &AccessKey, expected: &Identity) -> Said {
    match account.greet_iam(Signer::Key(key), &expected.arn) {
        Ok(_) => Said::Accepted,
        Err(failure) if failure.code == OTHER_USER => Said::SomebodyElse(failure.message),
        Err(failure) => refused("IAM", &failure),
    }
}

fn refused(service: &str, failure: &CallFailure) -> Said {
    let said = format!("{service}: {}: {}", failure.code, failure.message);
    match failure.class {
        Class::WrongSecret => Said::SomebodyElse(format!("{service} says its secret is wrong")),
        Class::KeyNotAccepted => Said::No {
            because: NotYet::NotAccepted,
            said,
        },
        Class::Denied => Said::Denied(said),
        Class::NeedsMfa
        | Class::NoSuchEntity
        | Class::LimitExceeded
        | Class::Busy
        | Class::ClockSkew
        | Class::Unreachable
        | Class::Unknown
        | Class::ReplyLost
        | Class::Refused => Said::No {
            because: NotYet::NoAnswer,
            said,
        },
    }
}
