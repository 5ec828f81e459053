//! Answers to what never reaches the router: what is no request, comes too slowly, or finds no place.

use std::{io::Write as _, sync::Arc, time::SystemTime};

use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, DATE, X_CONTENT_TYPE_OPTIONS},
};

use super::{X_REQUEST_ID, request_id};
use crate::problem::{Code, Problem, REQUEST_ID};

/// The answer to a request that the router must not see. The connection ends with it.
pub(super) fn response(headers: &HeaderMap, problem: Problem) -> Response {
    let id = request_id(headers);
    let mut response = REQUEST_ID.sync_scope(Arc::clone(&id), || problem.into_response());
    add_own(response.headers_mut(), &id);
    response
}

/// The bytes of the answer to what never became a request.
pub(super) fn bytes(problem: &Problem) -> Vec<u8> {
    let id = request_id(&HeaderMap::new());
    let body = REQUEST_ID.sync_scope(Arc::clone(&id), || problem.body());
    let (status, mut headers) = (problem.status(), problem.headers());
    add_own(&mut headers, &id);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Ok(now) = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now())) {
        headers.insert(DATE, now);
    }
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in &headers {
        _ = write!(bytes, "{name}: ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}

fn add_own(headers: &mut HeaderMap, id: &str) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
}

/// What is said in place of hyper's own answer without a body. `unread` is what came and was not understood.
pub(super) fn of_head(status: StatusCode, unread: &[u8], head_bytes: usize) -> Problem {
    let begun = unread.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let ends_a_line = unread[begun..].contains(&b'\n');
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if ends_a_line => Problem::new(Code::HeadTooLarge)
            .detail(format!("the head may have {head_bytes} bytes and {} fields", super::Limits::FIELDS)),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            Problem::new(Code::UriTooLong).detail(format!("the head, this line included, may have {head_bytes} bytes"))
        }
        _ => Problem::new(Code::InvalidRequest).detail("this is no request of HTTP/1.1"),
    }
}

/// To a client whose request did not arrive in its time.
pub(super) fn too_slow(what: &str) -> Problem {
    Problem::new(Code::RequestTimeout).detail(format!("the {what} did not arrive in time; nothing was executed"))
}

/// To a client for which there is no place.
pub(super) fn no_place() -> Problem {
    Problem::new(Code::Overloaded).detail("at the limit of connections; nothing was executed")
}
