//! The parts of a request, parsed at the edge, so that the inside needs no checking. What does not parse is answered
//! here, with a problem that points at the fault.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::{Code, Problem};

mod fault;

/// The longest body that is read, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// A JSON body, in and out.
///
/// In: 415 for another media type, 413 over [`BODY_LIMIT`], 400 for what is not JSON, 422 with a pointer for what has
/// another shape than `T`. Give `T` the attribute `deny_unknown_fields`.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
        let bytes = body.map_err(|error| unreadable(&*error))?.to_bytes();
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The query string; 400 where it does not fit `T`.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Problem::new(Code::InvalidRequest).detail(rejection.body_text()))
    }
}

/// The parameters of the path; 404 where they do not fit `T`, since nothing can live at such an address.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(_) => Err(Problem::new(Code::NotFound).detail("no such resource")),
        }
    }
}

/// The `Idempotency-Key` header: a structured-field string (quoted) or the bare token, 1 to 255 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl IdempotencyKey {
    /// The key without its quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(raw: &str) -> Option<Self> {
        let raw = raw.trim();
        let key = match raw.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"')?,
            None => raw,
        };
        let plain = key.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\');
        ((1..=255).contains(&key.len()) && plain).then(|| Self(key.to_owned()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(first) = sent.next() else {
            return Err(Code::IdempotencyKeyMissing.into());
        };
        let key = first.to_str().ok().and_then(Self::parse).filter(|_| sent.next().is_none());
        key.ok_or_else(|| {
            Problem::new(Code::InvalidRequest)
                .detail("Idempotency-Key must be one value of 1 to 255 printable ASCII characters")
        })
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if json { Ok(()) } else { Err(Code::UnsupportedMediaType.into()) }
}

fn unreadable(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Problem {
    if error.is::<LengthLimitError>() {
        return Problem::new(Code::PayloadTooLarge).detail(format!("the limit is {BODY_LIMIT} bytes"));
    }
    Problem::new(Code::InvalidRequest).detail("the body ended early")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut source).map_err(|error| fault::of(&error))?;
    source.end().map_err(|error| fault::malformed(&error))?;
    Ok(value)
}

#[cfg(test)]
mod tests;
