//! What one call's replies say in their headers, how far its requests got, and the
//! bound on what is read. Edge.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_iam::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeDeserializationInterceptorContextRef,
    FinalizerInterceptorContextRef,
};
use aws_sdk_iam::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_iam::error::{BoxError, ConnectorError};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

use crate::types::escape;
use crate::types::time::Timestamp;

/// The largest reply that is read, in bytes: a list of a thousand keys is a quarter of it.
const MOST_REPLY: usize = 1 << 20;

/// What the replies to one call said in their headers, and whether a request may
/// have left this machine. Read after the call.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    aws_time: Option<Timestamp>,
    request_id: Option<String>,
    may_have_left: bool,
    whom: String,
}

impl Seen {
    pub fn asks(&self, whom: String) {
        self.noted().whom = whom;
    }

    /// Service and host of the call.
    pub fn whom(&self) -> String {
        self.noted().whom.clone()
    }

    pub fn aws_time(&self) -> Option<Timestamp> {
        self.noted().aws_time
    }

    pub fn request_id(&self) -> Option<String> {
        self.noted().request_id.clone()
    }

    /// Whether any attempt got further than connecting.
    pub fn may_have_left(&self) -> bool {
        self.noted().may_have_left
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seen")
    }
}

impl Intercept for Seen {
    fn name(&self) -> &'static str {
        "awskeep-seen"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        let mut noted = self.noted();
        noted.aws_time = headers.get("date").and_then(http_date);
        noted.request_id = headers
            .get("x-amzn-requestid")
            .map(|id| escape::line(id).into_owned());
        Ok(())
    }

    /// Before it is read: a server that never ends must not fill the memory.
    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().take_body();
        *context.response_mut().body_mut() = SdkBody::from_body_1_x(Limited::new(body, MOST_REPLY));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let connecting = match context.output_or_error() {
            Some(Err(error)) => error
                .as_connector_error()
                .is_some_and(failed_while_connecting),
            Some(Ok(_)) | None => false,
        };
        self.noted().may_have_left |= !connecting;
        Ok(())
    }
}

/// Whether a connector failed before a request could leave: names, TCP, TLS, proxy.
pub fn failed_while_connecting(error: &ConnectorError) -> bool {
    sources(error).any(|source| {
        source
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(|e| e.is_connect())
    })
}

/// An error, and what led to it.
pub fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| e.source()).take(16)
}

/// Source: RFC 9110, section 5.6.7; the obsolete forms are not read.
fn http_date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::of_seconds(date.timestamp().as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read() {
        for (text, time) in [
            (
                "Mon, 23 Nov 2026 08:00:00 GMT",
                Some(Timestamp(1_795_420_800)),
            ),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(http_date(text), time, "{text}");
        }
    }
}
