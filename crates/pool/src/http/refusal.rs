use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::retry_after;
use crate::AcquireError;

/// How long to wait in milliseconds, beside the whole seconds of `Retry-After`.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Put among an answer's extensions it says: refused by the pool inside the door, and nothing was executed. A door that has
/// retry tickets adds one, as it does to its own refusals. [`refusal`] puts it there.
///
/// ```
/// use std::time::Duration;
/// use forebay_pool::{AcquireError, Class, ShedReason, http::Shed, http::refusal};
/// let (class, reason, retry_after) = (Class::Normal, ShedReason::QueueFull, Duration::from_secs(1));
/// let answer: http::Response<String> = refusal(&AcquireError::Shed { class, reason, retry_after });
/// assert!(answer.extensions().get::<Shed>().is_some());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shed;

/// The plain answer to a refusal, for services that have no form of their own: a problem body (RFC 9457) under
///
/// - `503` where nothing was executed, with `Retry-After` in whole seconds, spread by [`retry_after`], and the same in
///   milliseconds under `Retry-After-Ms`: any request may be sent again then;
/// - `504` where the request had begun: it may be sent again only if that is safe.
///
/// It says nothing of call sites or of what the server said: log the error for that.
///
/// ```
/// use forebay_pool::{AcquireError, http::refusal};
/// let answer: http::Response<String> = refusal(&AcquireError::Closed { continuation: false });
/// assert_eq!(answer.status(), 503);
/// ```
#[must_use]
pub fn refusal<A: From<String>>(error: &AcquireError) -> Response<A> {
    let (status, reason, wait) = match error {
        AcquireError::Shed { reason, retry_after, .. } => (503, reason.name(), Some(*retry_after)),
        AcquireError::Timeout(timeout) if !timeout.continuation => (503, "timeout", Some(Duration::ZERO)),
        AcquireError::Unavailable { retry_after, continuation: false, .. } => (503, "unavailable", Some(*retry_after)),
        AcquireError::Closed { continuation: false } => (503, "closed", Some(Duration::ZERO)),
        begun => (504, begun.kind(), None),
    };
    let (title, detail) = match status {
        503 => ("Service Unavailable", "nothing was executed"),
        _ => ("Gateway Timeout", "the request had begun: repeat it only if that is safe"),
    };
    let body = format!(r#"{{"title":"{title}","status":{status},"reason":"{reason}","detail":"{detail}"}}"#);
    let mut answer = Response::new(A::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(wait) = wait.map(retry_after) {
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER, HeaderValue::from(milliseconds.div_ceil(1000).max(1)));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(milliseconds));
    }
    if matches!(error, AcquireError::Shed { .. }) {
        answer.extensions_mut().insert(Shed);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, ShedReason};

    fn of(error: &AcquireError) -> Response<String> {
        refusal(error)
    }

    #[test]
    fn what_was_shed_may_come_back_in_whole_seconds_and_never_early() {
        let (class, reason) = (Class::Normal, ShedReason::QueueFull);
        let answer = of(&AcquireError::Shed { class, reason, retry_after: Duration::from_millis(1) });
        let header = |name: &str| answer.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
        assert_eq!(answer.status(), 503);
        assert!(header("retry-after") * 1000 >= header("retry-after-ms"));
        assert!((1000..=2000).contains(&header("retry-after-ms")));
        assert!(answer.body().contains(r#""reason":"queue_full""#), "{}", answer.body());
    }

    #[test]
    fn a_request_that_had_begun_is_not_told_to_come_back() {
        let (since, retry_after) = (Duration::ZERO, Duration::from_secs(2));
        let errors = [
            AcquireError::Closed { continuation: true },
            AcquireError::Unavailable { since, cause: Some("secret".into()), retry_after, continuation: true },
        ];
        for error in errors {
            let answer = of(&error);
            assert_eq!(answer.status(), 504);
            assert!(answer.headers().get("retry-after").is_none());
            assert!(!answer.body().contains("secret"), "{}", answer.body());
        }
    }
}
