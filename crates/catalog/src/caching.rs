//! `ETag` and `Cache-Control` of everything this service answers.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use forebay_platform::etag;
use serde::Serialize;

/// Fresh for five seconds; while we are slow or down, caches may keep answering with what they have.
const POLICY: HeaderValue =
    HeaderValue::from_static("public, max-age=5, stale-while-revalidate=30, stale-if-error=300");

/// The address of a picture changes with its product.
const PICTURE_POLICY: HeaderValue =
    HeaderValue::from_static("public, max-age=86400, stale-while-revalidate=604800, stale-if-error=604800");

/// Also where somebody opens it by itself, a picture does nothing.
const NOTHING_ALLOWED: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// The answer 200 with `body`, or 304 where the client has exactly this body.
pub(crate) fn answer(request: &HeaderMap, body: &impl Serialize) -> Response {
    let json = serde_json::to_vec(body).expect("strings, numbers and times always serialize");
    let json_type = HeaderValue::from_static("application/json");
    let headers = [(CACHE_CONTROL, POLICY), (ETAG, etag::tag_of(&json)), (CONTENT_TYPE, json_type)];
    etag::unless_known(request, headers.into_iter().collect(), json.into())
}

/// The answer 200 with this SVG, or 304 where the client has exactly this one.
pub(crate) fn picture(request: &HeaderMap, svg: String) -> Response {
    let headers = [
        (CACHE_CONTROL, PICTURE_POLICY),
        (CONTENT_SECURITY_POLICY, NOTHING_ALLOWED),
        (ETAG, etag::tag_of(svg.as_bytes())),
        (CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")),
    ];
    etag::unless_known(request, headers.into_iter().collect(), svg.into())
}
