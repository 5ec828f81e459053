//! The answer to an order, as it is kept under its idempotency key and sent again.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use forebay_platform::problem::{Code, Problem};
use uuid::Uuid;

use crate::domain::{Order, Status};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// When an order whose payment is unknown is worth asking for again.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) order_id: Uuid,
    content: Content,
    replayed: bool,
}

#[derive(Clone, Debug)]
enum Content {
    /// The order as it was then, rendered.
    Order { status: StatusCode, body: Vec<u8> },
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
    /// What is said of an order in the state it is in.
    pub(crate) fn about(order: &Order) -> Self {
        let refusal = |code, detail: &str| Content::Refusal { code, detail: detail.to_owned() };
        let content = match order.status {
            Status::PendingPayment => rendered(StatusCode::ACCEPTED, order),
            Status::PaymentFailed => refusal(Code::PaymentDeclined, "the order was not paid; its units are free again"),
            Status::Expired => {
                refusal(Code::OrderStateConflict, "the order expired before it was paid; nothing was charged")
            }
            _ => rendered(StatusCode::CREATED, order),
        };
        Self { order_id: order.id, content, replayed: false }
    }

    /// As it was kept; none where it cannot be read.
    pub(crate) fn kept(order_id: Uuid, status: u16, body: Vec<u8>) -> Option<Self> {
        let status = StatusCode::from_u16(status).ok()?;
        let content = if status.is_success() {
            Content::Order { status, body }
        } else {
            let KeptRefusal { code, detail } = serde_json::from_slice(&body).ok()?;
            let code = Code::ALL.into_iter().find(|known| known.as_str() == code)?;
            Content::Refusal { code, detail }
        };
        Some(Self { order_id, content, replayed: false })
    }

    /// What is kept of it: a status and a body.
    pub(crate) fn to_keep(&self) -> (StatusCode, Cow<'_, [u8]>) {
        match &self.content {
            Content::Order { status, body } => (*status, Cow::Borrowed(body)),
            Content::Refusal { code, detail } => {
                let problem = Problem::new(*code).detail(detail);
                (problem.status(), Cow::Owned(problem.body()))
            }
        }
    }

    pub(crate) fn replayed(self) -> Self {
        Self { replayed: true, ..self }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let location = format!("/v1/orders/{}", self.order_id);
        headers.insert(LOCATION, HeaderValue::try_from(location).expect("an id is plain ASCII"));
        if matches!(self.content, Content::Order { status: StatusCode::ACCEPTED, .. }) {
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
            Content::Order { status, body } => {
                let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
                (status, headers, json, body).into_response()
            }
            Content::Refusal { code, detail } => (headers, Problem::new(code).detail(detail)).into_response(),
        }
    }
}

fn rendered(status: StatusCode, order: &Order) -> Content {
    let body = serde_json::to_vec(order).expect("strings, numbers and times always serialize");
    Content::Order { status, body }
}
