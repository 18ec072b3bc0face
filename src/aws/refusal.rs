//! What AWS's error codes and texts mean for the caller. Pure.
//!
//! Sources: the common errors of the Query protocol, the models of IAM and STS, and
//! what other services say of the same key.

use crate::aws::CallFailureClass as Class;

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

/// The error code and text in the body of a reply that is not in the form of IAM and STS:
/// XML with an `Error` at any depth (`<Response><Errors><Error>`, as EC2 and some servers
/// that stand in for AWS have it) or JSON (`__type`, `code`, or an `Error` inside).
pub fn code_in(body: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(body)
        .ok()?
        .trim_start_matches('\u{feff}')
        .trim();
    if text.starts_with('{') {
        return in_json(&serde_json::from_str(text).ok()?);
    }
    let (_, error) = text.split_once("<Error>")?;
    let (error, _) = error.split_once("</Error>")?;
    let part = |name: &str| {
        let (_, rest) = error.split_once(&format!("<{name}>"))?;
        Some(unescaped(rest.split_once(&format!("</{name}>"))?.0.trim()))
    };
    let code = part("Code").filter(|code| !code.is_empty())?;
    Some((code, part("Message").unwrap_or_default()))
}

fn in_json(value: &serde_json::Value) -> Option<(String, String)> {
    let part = |names: &[&str]| {
        let found = names.iter().find_map(|name| value.get(name)?.as_str())?;
        Some(found.to_owned())
    };
    if let Some(code) = part(&["__type", "code", "Code"]) {
        // `com.amazonaws.x#AccessDenied`, `AccessDenied:http://…`
        let code = code.rsplit('#').next().unwrap_or_default();
        let code = code.split(':').next().unwrap_or_default();
        let message = part(&["message", "Message", "errorMessage"]).unwrap_or_default();
        return (!code.is_empty()).then(|| (code.to_owned(), message));
    }
    ["Error", "error"]
        .iter()
        .find_map(|name| in_json(value.get(name)?))
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
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
    fn codes_are_read_in_every_nesting() {
        let both = |code: &str, message: &str| Some((code.to_owned(), message.to_owned()));
        for (body, found) in [
            (
                "<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>SignatureDoesNotMatch</Code>\
                 <Message>a &lt;b&gt; &amp;amp;</Message></Error></Errors><RequestID>x</RequestID></Response>",
                both("SignatureDoesNotMatch", "a <b> &amp;"),
            ),
            (
                "<Error><Code>\n InvalidAccessKeyId </Code></Error>",
                both("InvalidAccessKeyId", ""),
            ),
            (
                r#"{"__type":"com.amazonaws.sts#InvalidClientTokenId","message":"no"}"#,
                both("InvalidClientTokenId", "no"),
            ),
            (
                r#"{"Error":{"Code":"AccessDenied","Message":"no"}}"#,
                both("AccessDenied", "no"),
            ),
            (
                r#"{"code":"AccessDenied:http://x","Message":"no"}"#,
                both("AccessDenied", "no"),
            ),
            (r#"{"error":"forbidden"}"#, None),
            (r#"{"__type":""}"#, None),
            ("<html><body>403</body></html>", None),
            ("<Error><Message>x</Message></Error>", None),
            ("<Error><Code></Code></Error>", None),
            ("<Error><Code>X", None),
            ("", None),
            ("\u{0}\u{1}", None),
            ("{", None),
            ("[1]", None),
        ] {
            assert_eq!(code_in(body.as_bytes()), found, "{body}");
        }
        assert_eq!(code_in(b"\xff\xfe"), None);
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
