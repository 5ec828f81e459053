//! The answer to an order, as it is kept under its idempotency key and sent again.

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
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    pub(crate) replayed: bool,
}

impl Answer {
    /// What is said of an order in the state it is in.
    pub(crate) fn about(order: &Order) -> Self {
        let (status, body) = match order.status {
            Status::PendingPayment => (StatusCode::ACCEPTED, rendered(order)),
            Status::PaymentFailed => refused(Code::PaymentDeclined, "the order was not paid; its units are free again"),
            Status::Expired => {
                refused(Code::OrderStateConflict, "the order expired before it was paid; nothing was charged")
            }
            _ => (StatusCode::CREATED, rendered(order)),
        };
        Self { order_id: order.id, status, body, replayed: false }
    }

    pub(crate) fn replayed(self) -> Self {
        Self { replayed: true, ..self }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let success = self.status.is_success();
        let media_type = if success { "application/json" } else { "application/problem+json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        let location = format!("/v1/orders/{}", self.order_id);
        headers.insert(LOCATION, HeaderValue::try_from(location).expect("an id is plain ASCII"));
        if self.status == StatusCode::ACCEPTED {
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
        (self.status, self.headers(), self.body).into_response()
    }
}

fn rendered(order: &Order) -> Vec<u8> {
    serde_json::to_vec(order).expect("strings, numbers and times always serialize")
}

fn refused(code: Code, detail: &str) -> (StatusCode, Vec<u8>) {
    let problem = Problem::new(code).detail(detail);
    (problem.status(), problem.body())
}
