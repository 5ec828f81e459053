//! `ETag` and `Cache-Control` of everything this service answers.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Fresh for five seconds; while we are slow or down, caches may keep answering with what they have.
const POLICY: HeaderValue =
    HeaderValue::from_static("public, max-age=5, stale-while-revalidate=30, stale-if-error=300");

/// The answer 200 with `body`, or 304 where the client has exactly this body.
pub(crate) fn answer(request: &HeaderMap, body: &impl Serialize) -> Response {
    let json = serde_json::to_vec(body).expect("strings, numbers and times always serialize");
    let json_type = HeaderValue::from_static("application/json");
    let headers = [(CACHE_CONTROL, POLICY), (ETAG, tag_of(&json)), (CONTENT_TYPE, json_type)];
    unless_known(request, headers.into_iter().collect(), json.into())
}

/// The answer 200 with these headers and this body, or 304 where the client has the body of this `ETag`.
pub(crate) fn unless_known(request: &HeaderMap, mut headers: HeaderMap, body: Bytes) -> Response {
    if headers.get(ETAG).is_some_and(|tag| known(request, tag)) {
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Body::from(body)).into_response()
}

/// A strong validator: the hash of the very bytes.
fn tag_of(body: &[u8]) -> HeaderValue {
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16]);
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("base64 is plain ASCII")
}

/// RFC 9110, section 13.1.2: a list of tags compared weakly, or `*`.
fn known(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let sent = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    sent.flat_map(|list| list.split(','))
        .map(|candidate| candidate.trim().trim_start_matches("W/"))
        .any(|candidate| candidate == "*" || candidate.as_bytes() == tag.as_bytes())
}
