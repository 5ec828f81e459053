//! An answer that is kept under its idempotency key and sent again.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use forebay_platform::problem::{Code, Problem};
use serde::Serialize;
use uuid::Uuid;

use crate::domain::{Order, Status};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// When an order whose payment is unknown is worth asking for again.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The path of what it is about, where that is said.
    pub(crate) location: Option<String>,
    content: Content,
    replayed: bool,
}

#[derive(Clone, Debug)]
enum Content {
    /// JSON, as it was then.
    Done { status: StatusCode, body: Vec<u8> },
    /// Rendered anew each time: a problem names the request that it answers.
    Refusal { code: Code, detail: String },
}

/// What is kept of a refusal.
#[derive(serde::Deserialize)]
struct KeptRefusal {
    code: String,
    #[serde(default)]
    detail: String,
}

impl Answer {
    /// Done, with what there is to say of it.
    pub(crate) fn done(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("strings, numbers and times always serialize");
        Self { location: None, content: Content::Done { status, body }, replayed: false }
    }

    /// Refused for good: to be told so again, and not to be judged afresh.
    pub(crate) fn refused(code: Code, detail: &str) -> Self {
        Self { location: None, content: Content::Refusal { code, detail: detail.to_owned() }, replayed: false }
    }

    /// The same, with the path of what it is about.
    pub(crate) fn at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }

    /// What is said to whoever pays for an order, in the state it is in.
    pub(crate) fn about(order: &Order) -> Self {
        let ended = |how: &str| {
            let detail = format!("the order {how} before it was paid; nothing was charged");
            Self::refused(Code::OrderStateConflict, &detail)
        };
        let answer = match order.status {
            Status::PendingPayment => Self::done(StatusCode::ACCEPTED, order),
            Status::PaymentFailed => Self::refused(Code::PaymentDeclined, &declined(order)),
            Status::Expired => ended("expired"),
            Status::Cancelled => ended("was cancelled"),
            _ if order.attempt == 1 => Self::done(StatusCode::CREATED, order),
            _ => Self::done(StatusCode::OK, order),
        };
        answer.at(Self::location_of(order.id))
    }

    pub(crate) fn location_of(order_id: Uuid) -> String {
        format!("/v1/orders/{order_id}")
    }

    /// As it was kept; none where it cannot be read.
    pub(crate) fn kept(status: u16, location: Option<String>, body: Vec<u8>) -> Option<Self> {
        let status = StatusCode::from_u16(status).ok()?;
        let content = if status.is_success() {
            Content::Done { status, body }
        } else {
            let KeptRefusal { code, detail } = serde_json::from_slice(&body).ok()?;
            let code = Code::ALL.into_iter().find(|known| known.as_str() == code)?;
            Content::Refusal { code, detail }
        };
        Some(Self { location, content, replayed: false })
    }

    /// What is kept of it: a status and a body.
    pub(crate) fn to_keep(&self) -> (i16, Cow<'_, [u8]>) {
        let (status, body) = match &self.content {
            Content::Done { status, body } => (*status, Cow::Borrowed(&**body)),
            Content::Refusal { code, detail } => {
                let problem = Problem::new(*code).detail(detail);
                (problem.status(), Cow::Owned(problem.body()))
            }
        };
        (i16::try_from(status.as_u16()).expect("a status has three digits"), body)
    }

    pub(crate) fn replayed(self) -> Self {
        Self { replayed: true, ..self }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(location) = &self.location {
            headers.insert(LOCATION, HeaderValue::try_from(location).expect("a path of ours is plain ASCII"));
        }
        if matches!(self.content, Content::Done { status: StatusCode::ACCEPTED, .. }) {
            headers.insert(RETRY_AFTER, HeaderValue::from(SETTLED_AFTER.as_secs()));
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        headers
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let headers = self.headers();
        match self.content {
            Content::Done { status, body } => {
                let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
                (status, headers, json, body).into_response()
            }
            Content::Refusal { code, detail } => (headers, Problem::new(code).detail(detail)).into_response(),
        }
    }
}

fn declined(order: &Order) -> String {
    let path = Answer::location_of(order.id);
    format!("the order was not paid; it holds its units for some minutes, in which POST {path}/payment tries again")
}
