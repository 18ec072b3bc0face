//! From the SDK's errors to `CallFailure`. Edge only by the types it names.
//!
//! The rule: a refusal is certain only with an error status *and* a code; a request
//! certainly never left only if every attempt failed while connecting; a reply of
//! success that cannot be read means that AWS acted. All else is unknown.

use std::error::Error;

use aws_sdk_iam::error::ProvideErrorMetadata;

use crate::aws::live::seen::{Seen, failed_while_connecting, sources};
use crate::aws::refusal::{class_of, code_in};
use crate::aws::{CallFailure, CallFailureClass as Class};
use crate::types::escape;

pub use aws_sdk_iam::error::SdkError;

/// What an operation's own errors can do.
pub trait Refusal: ProvideErrorMetadata + Error + 'static {}
impl<E: ProvideErrorMetadata + Error + 'static> Refusal for E {}

/// A call's failure, classed.
pub fn failure<E: Refusal>(error: &SdkError<E>, seen: &Seen) -> CallFailure {
    let (class, code, message) = match error {
        SdkError::ConstructionFailure(_) => (Class::Unreachable, "NotSent", root_cause(error)),
        SdkError::TimeoutError(_) => (Class::Unknown, "Timeout", "no answer in time".to_owned()),
        SdkError::DispatchFailure(dispatch) => {
            let connecting = dispatch
                .as_connector_error()
                .is_some_and(failed_while_connecting);
            if connecting && !seen.may_have_left() {
                (Class::Unreachable, "NotConnected", root_cause(error))
            } else if dispatch.is_timeout() {
                (Class::Unknown, "Timeout", "no answer in time".to_owned())
            } else {
                (Class::Unknown, "ConnectionLost", root_cause(error))
            }
        }
        SdkError::ResponseError(response) => match response.raw().status().as_u16() {
            200..300 => (Class::ReplyLost, "UnreadableReply", root_cause(error)),
            _ => (Class::Unknown, "UnreadableReply", root_cause(error)),
        },
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let body = service.raw().body().bytes().unwrap_or_default();
            return refused(status, body, service.err(), seen);
        }
        _ => (Class::Unknown, "Unknown", root_cause(error)),
    };
    with(class, code, message, seen)
}

/// A reply of success whose content is not what it must be.
pub fn reply_lost(seen: &Seen) -> CallFailure {
    let message = "the reply of success lacks what it must say".to_owned();
    with(Class::ReplyLost, "UnreadableReply", message, seen)
}

fn refused(status: u16, body: &[u8], error: &impl Refusal, seen: &Seen) -> CallFailure {
    if (200..300).contains(&status) {
        let message = "the reply of success cannot be read".to_owned();
        return with(Class::ReplyLost, "UnreadableReply", message, seen);
    }
    let own = error.code().map(str::trim).filter(|code| !code.is_empty());
    let told = match own {
        Some(code) => Some((
            code.to_owned(),
            error.message().unwrap_or_default().to_owned(),
        )),
        None => code_in(body),
    };
    let Some((code, message)) = told else {
        let code = CallFailure::code_of_status(status);
        let class = class_of(status, None, "");
        return with(class, &code, beginning(body), seen);
    };
    let class = class_of(status, Some(&code), &message);
    with(class, &code, message, seen)
}

/// What an answer in no known form begins with.
fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> = text.split_whitespace().take(40).collect();
    match words.join(" ").chars().take(120).collect::<String>() {
        text if text.is_empty() => "an answer without content".to_owned(),
        text => format!("an answer that is not AWS's: {text}"),
    }
}

fn with(class: Class, code: &str, message: String, seen: &Seen) -> CallFailure {
    CallFailure {
        class,
        code: escape::line(code).into_owned(),
        message: escape::line(&message).into_owned(),
        aws_time: seen.aws_time(),
        request_id: seen.request_id(),
    }
}

/// The innermost error's words: the outer ones only say "dispatch failure".
fn root_cause(error: &(dyn Error + 'static)) -> String {
    sources(error).last().unwrap_or(error).to_string()
}
