//! What AWS's error codes and texts mean for the caller. Pure.
//!
//! Sources: the common errors of the Query protocol, the models of IAM and STS, and
//! what other services say of the same key.

use super::CallFailureClass as Class;

/// The class of a reply with an error status and, maybe, a code. Without a code it
/// does not come from AWS (a proxy, a captive portal), which may have passed the
/// request on: nothing is certain.
pub fn class_of(status: u16, code: Option<&str>, message: &str) -> Class {
    let Some(code) = code.map(str::trim).filter(|code| !code.is_empty()) else {
        return Class::Unknown;
    };
    match code {
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "AuthFailure" => Class::KeyNotAccepted,
        "SignatureDoesNotMatch" | "InvalidSignatureException" if speaks_of_time(message) => {
            Class::ClockSkew
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" => Class::WrongSecret,
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => Class::ClockSkew,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Class::Denied,
        "NoSuchEntity" | "NoSuchEntityException" => Class::NoSuchEntity,
        "LimitExceeded" | "LimitExceededException" => Class::LimitExceeded,
        "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete" => Class::Busy,
        _ if code.starts_with("Throttl") || status >= 500 || status == 429 => Class::Busy,
        _ => Class::Refused,
    }
}

/// Whether an AccessDenied's text says that this very user asked. The ARN must be
/// the asker's, not the resource's, and whole: `…:user/bob` is not `…:user/bobby`.
pub fn denies_by_name(message: &str, arn: &str) -> bool {
    message
        .split_once("User: ")
        .and_then(|(_, rest)| rest.strip_prefix(arn))
        .is_some_and(|after| after.is_empty() || after.starts_with(' '))
}

/// STS and IAM report a wrong clock as a wrong signature, with another text.
fn speaks_of_time(message: &str) -> bool {
    ["Signature expired", "not yet current"]
        .iter()
        .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_classes() {
        for (status, code, message, class) in [
            (403, Some("InvalidClientTokenId"), "", Class::KeyNotAccepted),
            (
                400,
                Some("UnrecognizedClientException"),
                "",
                Class::KeyNotAccepted,
            ),
            (403, Some("InvalidAccessKeyId"), "", Class::KeyNotAccepted),
            (401, Some("AuthFailure"), "", Class::KeyNotAccepted),
            (
                403,
                Some("SignatureDoesNotMatch"),
                "The request signature we calculated",
                Class::WrongSecret,
            ),
            (
                403,
                Some("SignatureDoesNotMatch"),
                "Signature expired: 2026 is now earlier than",
                Class::ClockSkew,
            ),
            (
                403,
                Some("SignatureDoesNotMatch"),
                "Signature not yet current: 2026 is still later",
                Class::ClockSkew,
            ),
            (400, Some("RequestExpired"), "", Class::ClockSkew),
            (403, Some("RequestTimeTooSkewed"), "", Class::ClockSkew),
            (403, Some("AccessDenied"), "", Class::Denied),
            (404, Some("NoSuchEntity"), "", Class::NoSuchEntity),
            (409, Some("LimitExceeded"), "", Class::LimitExceeded),
            (400, Some("Throttling"), "Rate exceeded", Class::Busy),
            (400, Some("ThrottlingException"), "", Class::Busy),
            (503, Some("RequestLimitExceeded"), "", Class::Busy),
            (500, Some("ServiceFailure"), "", Class::Busy),
            (503, None, "", Class::Unknown),
            (403, None, "", Class::Unknown),
            (302, None, "", Class::Unknown),
            (400, Some("ValidationError"), "", Class::Refused),
            (403, Some("RegionDisabledException"), "", Class::Refused),
            (409, Some("ConcurrentModification"), "", Class::Refused),
            (403, Some("ExpiredToken"), "", Class::Refused),
        ] {
            assert_eq!(
                class_of(status, code, message),
                class,
                "{status} {code:?} {message}"
            );
        }
    }

    #[test]
    fn a_denial_names_its_asker() {
        let arn = "arn:aws:iam::123456789012:user/a/bob";
        let tail = "is not authorized to perform: iam:GetUser on resource:";
        for (message, named) in [
            (
                format!("User: {arn} {tail} user bob with an explicit deny"),
                true,
            ),
            (format!("User: {arn}"), true),
            (format!("User: {arn}by {tail} user bob"), false),
            (
                format!("User: arn:aws:iam::123456789012:user/eve {tail} {arn}"),
                false,
            ),
            (format!("{arn} {tail}"), false),
            ("Access denied".to_owned(), false),
        ] {
            assert_eq!(denies_by_name(&message, arn), named, "{message}");
        }
    }
}
