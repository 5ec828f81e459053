use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, extract};
use forebay_platform::extract::Raw;
use forebay_platform::instant;
use forebay_platform::problem::{Code, Problem};
use forebay_platform::security::{self, Event};
use forebay_platform::webhook;
use forebay_pool::Admission;

use crate::State;
use crate::error::Error;
use crate::payments::message::Message;
use crate::webhooks;

/// Takes a message of the payment provider, signed as Standard Webhooks has it.
#[utoipa::path(
    post, path = "/v1/payments/webhook", operation_id = "payment_message", tag = "orders",
    security(("signature" = [])),
    request_body(content = serde_json::Value, description = "`{type, timestamp, data}`", content_type = "application/json"),
    responses(
        (status = 204, description = "It is taken, also where it came before or is of no interest here"),
        (status = 401, description = "`signature-invalid`"),
        (status = 404, description = "No secret is set"),
    )
)]
pub(crate) async fn payment(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    headers: HeaderMap,
    body: Raw,
) -> Result<StatusCode, Response> {
    let secrets = state.payments.secrets().ok_or_else(|| Error::NotFound("resource").into_response())?;
    let id = webhook::verify(secrets, &headers, &body.0, instant::now()).map_err(|unverified| {
        let why = unverified.to_string();
        security::record(Event::WebhookRefused { why: &why }, None);
        Problem::new(Code::SignatureInvalid).detail(why).into_response()
    })?;
    // A kind that is not known is taken and passed over, so that it is not sent for ever.
    if let Some(message) = Message::read(&body, &headers).map_err(Problem::into_response)? {
        webhooks::take(&state, &admission, id, &message).await.map_err(Error::into_response)?;
    }
    Ok(StatusCode::NO_CONTENT)
}
