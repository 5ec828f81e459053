use axum::http::StatusCode;
use forebay_platform::audit::Entry;
use forebay_platform::db::Tx;
use forebay_platform::extract::{IdempotencyKey, Json};
use forebay_platform::problem::Code;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Asked, give_back};
use crate::answer::Answer;
use crate::domain::{RefundView, WantedRefund};
use crate::error::Error;
use crate::refunds::{self, Refund, RefundError, RefundState};
use crate::store;

/// Gives back what was paid, or a part of it.
#[utoipa::path(
    post, path = "/v1/admin/orders/{id}/refund", operation_id = "refund_order", tag = "admin",
    params(("id" = Uuid, Path), IdempotencyKey), security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "It went back", body = RefundView),
        (status = 202, description = "It is asked for, and goes back once the provider answers", body = RefundView, headers(("Location" = String), ("Retry-After" = u64))),
        (status = 409, description = "`order-state-conflict`: so much is not left, or nothing was paid; or `idempotency-in-flight`"),
    )
)]
pub(crate) async fn refund(asked: Asked, Json(wanted): Json<WantedRefund>) -> Result<Answer, Error> {
    wanted.check()?;
    let claim = asked.claim("order.refund", &wanted);
    let asking = async |tx: &mut Tx<'_>| {
        let refund = ask_back(tx, asked.of, &wanted, asked.now).await?;
        let entry = Entry::by(&asked.admin, claim.operation, "order", asked.of).after(&RefundView::from(&refund));
        Ok(((), Some(refund), entry))
    };
    give_back(&asked, &claim, asking, |(), refund| answer(asked.of, refund)).await
}

async fn ask_back(tx: &mut Tx<'_>, id: Uuid, wanted: &WantedRefund, now: OffsetDateTime) -> Result<Refund, Error> {
    let order = store::fulfilment::lock(&mut tx.conn(), id).await?.ok_or(Error::NotFound("order"))?;
    let amount = wanted.amount_in(&order.total.currency)?;
    refunds::request(tx, id, amount, &wanted.reason, now).await.map_err(|error| match error {
        RefundError::NotPaid => Error::OrderState(order.status),
        RefundError::TooMuch { left, currency } => Error::NotLeft { left, currency },
        RefundError::Store(error) => error.into(),
    })
}

fn answer(order_id: Uuid, refund: Option<&Refund>) -> Answer {
    let done = |status| Answer::done(status, &refund.map(RefundView::from)).at(format!("/v1/admin/orders/{order_id}"));
    match refund.map(|refund| refund.state) {
        Some(RefundState::Requested) => done(StatusCode::ACCEPTED),
        Some(RefundState::Failed) => {
            Answer::refused(Code::OrderStateConflict, "the payment provider gives nothing of it back")
        }
        _ => done(StatusCode::OK),
    }
}
