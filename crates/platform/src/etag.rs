//! Entity tags ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3)): which version of something a client has,
//! and which one it means to change.

use std::sync::OnceLock;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use crate::compress;
use crate::problem::{Code, Problem};

/// A strong validator: the hash of the very bytes.
#[must_use]
pub fn tag_of(body: &[u8]) -> HeaderValue {
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16]);
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("base64 is plain ASCII")
}

/// A body that is sent as it is kept, with the headers that go with it.
#[derive(Debug)]
pub struct Document {
    body: Bytes,
    headers: HeaderMap,
    compressed: OnceLock<Bytes>,
}

impl Document {
    /// Of this media type, for caches to keep as `policy` (a `Cache-Control`) says.
    #[must_use]
    pub fn new(body: Bytes, media_type: HeaderValue, policy: HeaderValue) -> Self {
        let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, policy), (ETAG, tag_of(&body))];
        Self { body, headers: headers.into_iter().collect(), compressed: OnceLock::new() }
    }

    /// The same, with one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// 200, or 304 where the client has exactly this.
    #[must_use]
    pub fn answer(&self, request: &HeaderMap) -> Response {
        let answer = unless_known(request, self.headers.clone(), self.body.clone());
        compress::with_kept(&self.compressed, &self.body, request, answer)
    }
}

/// The answer 200 with these headers and this body, or 304 where the client has the body of this `ETag`.
#[must_use]
pub fn unless_known(request: &HeaderMap, mut headers: HeaderMap, body: Bytes) -> Response {
    // Section 13.1.2: compared weakly.
    let known = headers.get(ETAG).and_then(|tag| {
        let is = |candidate: &str| names_version(candidate.trim_start_matches("W/"), tag);
        named(request, &IF_NONE_MATCH, is).map(|candidate| candidate.ends_with("-gzip\""))
    });
    if let Some(compressed) = known {
        // It is the tag of what the client has.
        if let Some(tag) = headers.get(ETAG).and_then(compress::suffixed).filter(|_| compressed) {
            headers.insert(ETAG, tag);
        }
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Body::from(body)).into_response()
}

/// Whether the client means the version with this tag, when it asks for a change.
///
/// # Errors
/// `428 precondition-required` without `If-Match`, `412 precondition-failed` where it names other versions alone.
pub fn check_match(request: &HeaderMap, tag: &HeaderValue) -> Result<(), Problem> {
    if !request.contains_key(IF_MATCH) {
        return Err(Problem::new(Code::PreconditionRequired).detail("send the ETag that was read last, as If-Match"));
    }
    // Section 13.1.1: compared strongly, so that a weak tag is never the one.
    if named(request, &IF_MATCH, |candidate| names_version(candidate, tag)).is_some() {
        return Ok(());
    }
    Err(Problem::new(Code::PreconditionFailed).detail("it has changed since: read it again, and send its new ETag"))
}

/// Whether it is this tag, or that of the same version compressed.
fn names_version(candidate: &str, tag: &HeaderValue) -> bool {
    let tag = tag.as_bytes();
    candidate.as_bytes() == tag
        || tag.strip_suffix(b"\"").is_some_and(|bare| {
            let rest = candidate.as_bytes().strip_prefix(bare);
            rest.and_then(|rest| rest.strip_suffix(b"\"")) == Some(compress::SUFFIX.as_bytes())
        })
}

/// The first in the list in this header that is the one, or is `*`.
fn named<'r>(request: &'r HeaderMap, header: &HeaderName, is_it: impl Fn(&str) -> bool) -> Option<&'r str> {
    let sent = request.get_all(header).iter().filter_map(|value| value.to_str().ok());
    sent.flat_map(|list| list.split(',')).map(str::trim).find(|candidate| *candidate == "*" || is_it(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(header: HeaderName, value: &str) -> HeaderMap {
        [(header, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_change_is_for_the_version_that_was_read() {
        let tag = tag_of(b"one");
        let text = tag.to_str().unwrap();
        for good in [text.to_owned(), format!("\"other\", {text}"), "*".to_owned()] {
            check_match(&sent(IF_MATCH, &good), &tag).unwrap();
        }
        let refused = |headers| check_match(&headers, &tag).unwrap_err().status().as_u16();
        assert_eq!(refused(HeaderMap::new()), 428);
        for stale in ["\"other\"", &format!("W/{text}"), ""] {
            assert_eq!(refused(sent(IF_MATCH, stale)), 412, "{stale}");
        }
    }

    #[test]
    fn a_compressed_version_is_the_same_one_under_its_own_tag() {
        let tag = tag_of(b"one");
        let compressed = compress::suffixed(&tag).unwrap();
        let sent_tag = |name| sent(name, compressed.to_str().unwrap());
        check_match(&sent_tag(IF_MATCH), &tag).unwrap();
        let headers = [(ETAG, tag.clone())].into_iter().collect();
        let answer = unless_known(&sent_tag(IF_NONE_MATCH), headers, Bytes::from_static(b"one"));
        assert_eq!((answer.status(), &answer.headers()[ETAG]), (StatusCode::NOT_MODIFIED, &compressed));
    }

    #[test]
    fn who_has_a_version_is_told_so() {
        let tag = tag_of(b"one");
        let text = tag.to_str().unwrap().to_owned();
        let status = |request: HeaderMap| {
            let headers = [(ETAG, tag.clone())].into_iter().collect();
            unless_known(&request, headers, Bytes::from_static(b"one")).status().as_u16()
        };
        for known in [text.clone(), format!("\"other\", W/{text}"), "*".to_owned()] {
            assert_eq!(status(sent(IF_NONE_MATCH, &known)), 304, "{known}");
        }
        assert_eq!((status(HeaderMap::new()), status(sent(IF_NONE_MATCH, "\"other\""))), (200, 200));
    }
}
