use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// How long whoever sends a request will wait for its answer, in whole milliseconds from its arrival: relative, so that the
/// clocks of two machines need not agree.
pub const REQUEST_TIMEOUT_MS: HeaderName = HeaderName::from_static("request-timeout-ms");

/// What a request's `Request-Timeout-Ms` says, if it says something. For [`crate::Admission::or_sooner`]: a caller can ask
/// for less time than its class has, and never for more.
///
/// Zero means that it is too late already. What is not a whole number is ignored, as HTTP does with hints that it does
/// not understand; of several the shortest counts; a number that is too large is as long as can be.
///
/// ```
/// use std::time::Duration;
/// use forebay_pool::http::{REQUEST_TIMEOUT_MS, request_timeout};
/// use forebay_pool::{Admission, Class};
///
/// fn admit<B>(request: &http::Request<B>) -> Admission {
///     let admission = Admission::within(Class::Normal, Duration::from_secs(2));
///     match request_timeout(request.headers()) {
///         Some(limit) => admission.or_sooner(limit),
///         None => admission,
///     }
/// }
/// let request = http::Request::get("/").header(REQUEST_TIMEOUT_MS, "300").body(()).unwrap();
/// assert!(admit(&request).remaining() <= Duration::from_millis(300));
/// ```
#[must_use]
pub fn request_timeout(headers: &HeaderMap) -> Option<Duration> {
    headers.get_all(REQUEST_TIMEOUT_MS).iter().filter_map(millis).min()
}

fn millis(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_millis(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(REQUEST_TIMEOUT_MS, HeaderValue::from_bytes(value).unwrap());
        }
        request_timeout(&headers).map(|limit| u64::try_from(limit.as_millis()).unwrap())
    }

    #[test]
    fn a_whole_number_is_read_and_anything_else_is_no_limit() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[b"250"]), Some(250));
        assert_eq!(read(&[b" 0 "]), Some(0));
        assert_eq!(read(&[b"0007"]), Some(7));
        assert_eq!(read(&[b"99999999999999999999999999"]), Some(u64::MAX));
        for wrong in [&b""[..], b"-1", b"+5", b"1.5", b"1e3", b"5s", b"0x10", b"1_000", b"1 000", b"\xff", b"soon"] {
            assert_eq!(read(&[wrong]), None, "{wrong:?}");
        }
    }

    #[test]
    fn of_several_the_shortest_counts() {
        assert_eq!(read(&[b"900", b"300", b"soon"]), Some(300));
    }
}
