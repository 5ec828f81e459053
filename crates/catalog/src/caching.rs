//! `ETag` and `Cache-Control` of everything this service answers.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use forebay_platform::etag;
use serde::Serialize;

/// Fresh for five seconds; while we are slow or down, caches may keep answering with what they have.
const POLICY: HeaderValue =
    HeaderValue::from_static("public, max-age=5, stale-while-revalidate=30, stale-if-error=300");

/// The answer 200 with `body`, or 304 where the client has exactly this body.
pub(crate) fn answer(request: &HeaderMap, body: &impl Serialize) -> Response {
    let json = serde_json::to_vec(body).expect("strings, numbers and times always serialize");
    let json_type = HeaderValue::from_static("application/json");
    let headers = [(CACHE_CONTROL, POLICY), (ETAG, etag::tag_of(&json)), (CONTENT_TYPE, json_type)];
    etag::unless_known(request, headers.into_iter().collect(), json.into())
}
