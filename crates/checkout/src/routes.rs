//! The endpoints, one file per resource.

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue};
use forebay_platform::etag;
use serde::Serialize;

pub(crate) mod admin;
pub(crate) mod availability;
pub(crate) mod carts;
pub(crate) mod orders;
pub(crate) mod returns;
pub(crate) mod webhooks;

/// The body, and a tag that is another one when anything in it is.
fn tagged(view: &impl Serialize) -> (HeaderMap, Bytes) {
    let body = json(view);
    let headers = [(CONTENT_TYPE, JSON), (ETAG, etag::tag_of(&body))];
    (headers.into_iter().collect(), body)
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn json(view: &impl Serialize) -> Bytes {
    serde_json::to_vec(view).expect("strings, numbers and times always serialize").into()
}
