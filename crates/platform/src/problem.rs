//! One table from cause to status, and the body that carries it ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
//!
//! Two lines of the table are promises to clients. `503 overloaded` says that nothing was executed: any method may be
//! sent again after `Retry-After`. `504 deadline-exceeded` says that work may have begun: send again only what is
//! idempotent, or carries the same `Idempotency-Key`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use forebay_pool::AcquireError;
use forebay_pool::http::Shed;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::{identity::ADMIN_SCOPE, quota::Spent, trace::Trace};

mod cause;
mod code;

pub use code::Code;
pub use forebay_pool::http::RETRY_AFTER_MS;

tokio::task_local! {
    /// The id of the request that this task serves; set by the outermost layer, quoted in every problem body.
    pub static REQUEST_ID: Arc<str>;
}

/// An answer that is not a success: a [`Code`] and what helps the reader to go on.
///
/// ```
/// use forebay_platform::problem::{Code, Problem};
///
/// let problem = Problem::new(Code::NotFound).detail("no product has this slug");
/// assert_eq!(problem.status(), 404);
/// ```
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: Option<String>,
    retry_after: Option<Duration>,
    errors: Vec<FieldError>,
    reason: Option<&'static str>,
    token_error: Option<&'static str>,
    spent: Option<Box<Spent>>,
    encoded: bool,
}

/// One fault in a request, with the place where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// Stable, kebab-case.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// Where a fault in a request is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A JSON pointer (RFC 6901) into the body; empty for the whole body.
    Pointer(String),
    /// The name of a query parameter.
    Parameter(String),
}

impl FieldError {
    /// A fault in the body, at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { place: Place::Pointer(pointer.into()), code, detail: detail.into() }
    }

    /// A fault in the query parameter `name`.
    #[must_use]
    pub fn of_parameter(name: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { place: Place::Parameter(name.into()), code, detail: detail.into() }
    }
}

/// Problem details (RFC 9457). More codes and fields may come; none changes its meaning.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body<'a> {
    /// A URI that names the kind of problem.
    #[schema(value_type = String)]
    r#type: Cow<'static, str>,
    /// The same for people.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What went wrong, stable and in kebab-case: what programs should look at.
    #[schema(example = "overloaded")]
    code: &'static str,
    /// What happened here, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<&'a str>,
    /// Whether the same request may succeed when it is sent again.
    retryable: bool,
    /// Why the request was refused before anything was executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
    /// When to come back, in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_s: Option<u64>,
    /// The faults, one by one.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(value_type = Vec<FieldError>, required = false)]
    errors: &'a [FieldError],
    /// The quota that was used up.
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false)]
    violated_policies: Option<[&'static str; 1]>,
    /// The id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    instance: Option<String>,
    /// What to say when you ask about this answer: the id of the trace that the request belongs to, its sender's in
    /// `traceparent` or its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    trace_id: Option<Arc<str>>,
}

impl PartialSchema for FieldError {
    fn schema() -> RefOr<Schema> {
        let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
        let object = ObjectBuilder::new()
            .description(Some(
                "One fault in a request, with the place where it is: of a `pointer` and a `parameter` it has one",
            ))
            .property("pointer", text("A JSON pointer (RFC 6901) into the body; empty for the whole body"))
            .property("parameter", text("The name of a parameter of the query"))
            .property("code", text("Stable, in kebab-case"))
            .required("code")
            .property("detail", text("For people"))
            .required("detail");
        object.into()
    }
}

impl ToSchema for FieldError {}

impl Problem {
    /// The bare line of the table.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            retry_after: code.row().retry_after,
            errors: Vec::new(),
            reason: None,
            token_error: None,
            spent: None,
            encoded: false,
        }
    }

    /// A body that was understood and breaks a rule: `422 validation-failed`.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self::new(Code::ValidationFailed).errors(errors)
    }

    /// A client that has used up a quota: `429 quota-exceeded`, with the fields that tell which, and when to come back.
    #[must_use]
    pub fn spent(spent: Spent) -> Self {
        Self { spent: Some(Box::new(spent)), ..Self::new(Code::QuotaExceeded).retry_after(spent.wait) }
    }

    /// A query whose parameter `name` breaks a rule, in words that follow its name.
    #[must_use]
    pub fn of_parameter(code: Code, name: &str, rule: &str) -> Self {
        let fault = FieldError::of_parameter(name, "invalid-value", rule);
        Self::new(code).detail(format!("the parameter {name} {rule}")).errors(vec![fault])
    }

    /// Says what happened here, to a person. Never the text of an inner error.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// When to come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The faults, one by one.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Why a request was shed, in a fixed word: such as `predicted_wait` at the door or `sojourn` out of the queue.
    #[must_use]
    pub fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The `error` of the bearer challenge (RFC 6750, section 3.1). Absent where no token was sent at all.
    #[must_use]
    pub fn token_error(mut self, error: &'static str) -> Self {
        self.token_error = Some(error);
        self
    }

    /// A body in an encoding, where none is read: `Accept-Encoding` says so (RFC 9110, section 12.5.3).
    #[must_use]
    pub fn encoded(mut self) -> Self {
        self.encoded = true;
        self
    }

    /// The line of the table that this is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The status of that line.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.code.row().status
    }

    /// The JSON body, as it is sent.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let row = self.code.row();
        let body = Body {
            r#type: row.registered.map_or_else(|| format!("urn:forebay:problem:{}", row.code).into(), Cow::Borrowed),
            title: row.title,
            status: row.status.as_u16(),
            code: row.code,
            detail: self.detail.as_deref(),
            retryable: row.retryable,
            reason: self.reason,
            retry_after_s: self.retry_after.map(whole_seconds),
            errors: &self.errors,
            violated_policies: self.spent.as_ref().map(|spent| [spent.policy]),
            trace_id: trace_id(),
            instance: REQUEST_ID.try_with(|id| format!("urn:uuid:{id}")).ok(),
        };
        serde_json::to_vec(&body).expect("strings and numbers always serialize")
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
        }
        if self.encoded {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if let Some(spent) = &self.spent {
            spent.write_to(&mut headers);
        }
        // What was not read of such a request is not read any more.
        if matches!(self.status(), StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        headers
    }

    /// What a client has to show instead, where it is the token that does not open this (RFC 6750, section 3).
    fn challenge(&self) -> Option<HeaderValue> {
        const PLAIN: &str = "Bearer realm=\"forebay\"";
        let challenge = match (self.status(), self.token_error) {
            _ if self.code == Code::InsufficientScope => {
                format!("{PLAIN}, error=\"insufficient_scope\", scope=\"{ADMIN_SCOPE}\"")
            }
            (StatusCode::UNAUTHORIZED, Some(error)) => format!("{PLAIN}, error=\"{error}\""),
            (StatusCode::UNAUTHORIZED, None) => PLAIN.to_owned(),
            _ => return None,
        };
        Some(HeaderValue::try_from(challenge).expect("the error names of RFC 6750 are plain ASCII"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // The code goes along for the layers outside, which measure; that it was shed, for the door.
        let mut answer = (self.status(), self.headers(), Extension(self.code), self.body()).into_response();
        if self.reason.is_some() {
            answer.extensions_mut().insert(Shed);
        }
        answer
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl From<AcquireError> for Problem {
    fn from(error: AcquireError) -> Self {
        cause::of_acquire(&error)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        cause::of_statement(&error)
    }
}

/// What a request is called for whoever looks for it: its trace.
pub(crate) fn trace_id() -> Option<Arc<str>> {
    let trace = Trace::current().map(|trace| trace.to_string().into());
    trace.or_else(|| REQUEST_ID.try_with(Arc::clone).ok())
}

/// The answer where no route matches; the shop mounts it once, under everything.
pub async fn not_found() -> Problem {
    Problem::new(Code::NotFound).detail("no such resource")
}

/// The answer to a method that a route does not have; axum adds `Allow`.
pub async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed)
}

/// Rounded up, and at least one: a client that waits this long is never early.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    let up = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    up.max(1)
}

#[cfg(test)]
mod tests;
