//! The parts of a request, parsed at the edge, so that the inside needs no checking. What does not parse is answered
//! here, with a problem that points at the fault.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use forebay_pool::Admission;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::{Code, Problem};

mod misfit;
mod value;

use misfit::Misfit;
use value::Value;

/// The longest body that is read, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// A JSON body, in and out.
///
/// In: 415 for another media type, character set or encoding, 413 over [`BODY_LIMIT`], 408 for what is not there by its
/// request's deadline, 400 for what is not JSON, 422 with a
/// pointer for what has another shape than `T`: an array is no object, a name stands once, `99.0` is a whole number, and
/// no text holds U+0000, which no database stores. Give `T` the attribute `deny_unknown_fields`, and neither `flatten` nor
/// `untagged`: what serde buffers for them it reads again by its own, laxer rules.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let deadline = request.extensions().get::<Admission>().map(Admission::deadline);
        let bytes = read(request.into_body(), deadline).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A body as it was sent, of up to [`BODY_LIMIT`]: for who has to know who sent it before it is read. 413 and 408 as for
/// [`Json`].
#[derive(Debug)]
pub struct Raw(pub Bytes);

impl Raw {
    /// What it says, read as [`Json`] is.
    ///
    /// # Errors
    ///
    /// Those of [`Json`].
    pub fn json<T: DeserializeOwned>(&self, headers: &HeaderMap) -> Result<T, Problem> {
        require_json(headers)?;
        parse(&self.0)
    }
}

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let deadline = request.extensions().get::<Admission>().map(Admission::deadline);
        read(request.into_body(), deadline).await.map(Self)
    }
}

/// The query string; 400 that names the parameter where it does not fit `T`, which should `deny_unknown_fields`. A parameter
/// stands once.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = Value::of_query(parts.uri.query().unwrap_or_default());
        T::deserialize(query).map(Self).map_err(Misfit::in_query)
    }
}

/// The parameters of the path; 404 where they do not fit `T` or hold U+0000, since nothing can live at such an address.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await.ok();
        let path = path.filter(|_| !parts.uri.path().contains("%00"));
        path.map(|axum::extract::Path(path)| Self(path))
            .ok_or_else(|| Problem::new(Code::NotFound).detail("no such resource"))
    }
}

/// The `Idempotency-Key` header: a structured-field string (quoted) or the bare token, 1 to 255 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl IdempotencyKey {
    /// As the field's name is written.
    pub(crate) const HEADER: &str = "Idempotency-Key";

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
    let refused = |detail: &str| Err(Problem::new(Code::UnsupportedMediaType).detail(detail));
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "the body must be sent as it is, without Content-Encoding";
        return Err(Problem::new(Code::UnsupportedMediaType).detail(detail).encoded());
    }
    let mut sent = headers.get_all(CONTENT_TYPE).iter();
    let media_type = sent.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if !json || sent.next().is_some() {
        return refused("send one Content-Type: application/json");
    }
    if parts.filter_map(charset).any(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return refused("the body must be UTF-8, as JSON is; leave the charset away");
    }
    Ok(())
}

/// The value of a parameter of a media type, where it is the one for the character set.
fn charset(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    name.trim_end().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
}

/// The whole body, within its request's own deadline.
async fn read(body: Body, deadline: Option<std::time::Instant>) -> Result<Bytes, Problem> {
    // Not a byte of it is asked for, so that a client that asks first is not told to go on.
    if body.size_hint().lower() > BODY_LIMIT as u64 {
        return Err(too_large());
    }
    let whole = Limited::new(body, BODY_LIMIT).collect();
    let whole = match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), whole).await.map_err(|_elapsed| too_slow())?,
        None => whole.await,
    };
    whole.map(Collected::to_bytes).map_err(|error| unreadable(&*error))
}

fn unreadable(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Problem {
    if error.is::<LengthLimitError>() {
        return too_large();
    }
    Problem::new(Code::InvalidRequest).detail("the body ended early")
}

fn too_large() -> Problem {
    Problem::new(Code::PayloadTooLarge).detail(format!("the limit is {BODY_LIMIT} bytes"))
}

fn too_slow() -> Problem {
    Problem::new(Code::RequestTimeout).detail("the body did not arrive in time; nothing was executed")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let value = serde_json::from_slice::<Value<'_>>(bytes).map_err(|error| malformed(bytes, &error))?;
    T::deserialize(value).map_err(Misfit::in_body)
}

fn malformed(bytes: &[u8], error: &serde_json::Error) -> Problem {
    let detail = if bytes.is_empty() {
        "the body is empty, and JSON is needed".to_owned()
    } else {
        format!("the body is not JSON: line {}, column {}", error.line(), error.column())
    };
    Problem::new(Code::InvalidRequest).detail(detail)
}

#[cfg(test)]
mod tests;
