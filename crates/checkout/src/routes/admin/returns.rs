use axum::Extension;
use axum::extract;
use axum::http::StatusCode;
use forebay_platform::audit::Entry;
use forebay_platform::db::Tx;
use forebay_platform::extract::{IdempotencyKey, Json, Query};
use forebay_platform::identity::Admin;
use forebay_platform::page::Page;
use forebay_pool::Admission;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Asked, change, give_back};
use crate::answer::Answer;
use crate::domain::{
    NEWEST, Receipt, ReceivedReturn, RefundView, Return, ReturnFile, ReturnMove, ReturnState, ReturnsQuery,
};
use crate::error::Error;
use crate::refunds::{self, Refund, RefundError, RefundState};
use crate::{State, store};

/// Everybody's returns, the newest first.
#[utoipa::path(
    get, path = "/v1/admin/returns", operation_id = "all_returns", tag = "admin", params(ReturnsQuery),
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The page", body = Page<ReturnFile>, headers(("Link" = String))),
        (status = 400, description = "`invalid-cursor`: it is of another list; or a parameter is malformed"),
    )
)]
pub(crate) async fn list(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    _admin: Admin,
    Query(query): Query<ReturnsQuery>,
) -> Result<Page<ReturnFile>, Error> {
    let (page, wanted) = query.parse().map_err(Error::Page)?;
    let after = page.after().copied().unwrap_or(NEWEST);
    let mut lease = state.db.acquire(&admission).await?;
    let rows = store::returns::of_all(&mut lease.conn(), wanted, after, page.rows()).await?;
    drop(lease);
    Ok(page.cut(rows.into_iter().map(ReturnFile::from).collect(), ReturnFile::place))
}

/// Lets a buyer send something back.
#[utoipa::path(
    post, path = "/v1/admin/returns/{id}/approve", operation_id = "approve_return", tag = "admin",
    params(("id" = Uuid, Path), IdempotencyKey), security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The return", body = ReturnFile),
        (status = 409, description = "`order-state-conflict`: it is in a state, named in `detail`, from which this does not lead on; or `idempotency-in-flight`"),
    )
)]
pub(crate) async fn approve(asked: Asked) -> Result<Answer, Error> {
    decide(&asked, "return.approve", ReturnMove::Approve).await
}

/// Refuses to take something back.
#[utoipa::path(
    post, path = "/v1/admin/returns/{id}/reject", operation_id = "reject_return", tag = "admin",
    params(("id" = Uuid, Path), IdempotencyKey), security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The return", body = ReturnFile),
        (status = 409, description = "`order-state-conflict`: it is in a state, named in `detail`, from which this does not lead on; or `idempotency-in-flight`"),
    )
)]
pub(crate) async fn reject(asked: Asked) -> Result<Answer, Error> {
    decide(&asked, "return.reject", ReturnMove::Reject).await
}

/// What becomes of a request to send something back.
async fn decide(asked: &Asked, action: &'static str, this: ReturnMove) -> Result<Answer, Error> {
    let claim = asked.claim(action, &());
    change(asked, &claim, async |tx| {
        let found = moved(tx, asked.of, this, asked.now).await?;
        let entry = Entry::by(&asked.admin, action, "return", found.id)
            .before(&json!({ "state": this.from() }))
            .after(&json!({ "state": this.to() }));
        Ok((Answer::done(StatusCode::OK, &ReturnFile::from(found)), entry))
    })
    .await
}

/// Notes that the goods are back: they go on the shelf or not, and what was paid for them goes back.
#[utoipa::path(
    post, path = "/v1/admin/returns/{id}/receive", operation_id = "receive_return", tag = "admin",
    params(("id" = Uuid, Path), IdempotencyKey), security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "What was paid for them went back, as far as it was left", body = ReceivedReturn),
        (status = 202, description = "It is asked for, and goes back once the provider answers", body = ReceivedReturn, headers(("Retry-After" = u64))),
        (status = 409, description = "`order-state-conflict`: it is in a state, named in `detail`, from which this does not lead on; or `idempotency-in-flight`"),
    )
)]
pub(crate) async fn receive(asked: Asked, Json(receipt): Json<Receipt>) -> Result<Answer, Error> {
    let claim = asked.claim("return.receive", &receipt);
    give_back(&asked, &claim, async |tx| take_in(tx, &asked, &receipt).await, answer).await
}

async fn take_in(
    tx: &mut Tx<'_>,
    Asked { admin, of: id, now, .. }: &Asked,
    receipt: &Receipt,
) -> Result<(Return, Option<Refund>, Entry), Error> {
    let found = moved(tx, *id, ReturnMove::Receive, *now).await?;
    let order = store::orders::by_id(&mut tx.conn(), found.order_id).await?.ok_or(Error::NotFound("order"))?;
    let refund = pay_for(tx, &found, found.worth(&order), *now).await?;
    if let Some(refund) = &refund {
        store::returns::paid_by(&mut tx.conn(), found.id, refund.id).await?;
    }
    // Last, as everywhere: the rows that everyone wants are locked for the shortest time.
    if receipt.restock {
        store::inventory::put_back(&mut tx.conn(), &found.items).await?;
    }
    let entry = Entry::by(admin, "return.receive", "return", found.id)
        .before(&json!({ "state": ReturnMove::Receive.from() }))
        .after(&json!({
            "state": found.state, "restocked": receipt.restock,
            "refund": refund.as_ref().map(RefundView::from),
        }));
    Ok((found, refund, entry))
}

/// Where the money went back, so is the return.
fn answer(found: &Return, refund: Option<&Refund>) -> Answer {
    let (status, state) = match refund.map(|refund| refund.state) {
        Some(RefundState::Requested) => (StatusCode::ACCEPTED, found.state),
        Some(RefundState::Succeeded) => (StatusCode::OK, ReturnState::Refunded),
        _ => (StatusCode::OK, found.state),
    };
    let returned = ReturnFile::from(Return { state, ..found.clone() });
    Answer::done(status, &ReceivedReturn { returned, refund: refund.map(RefundView::from) })
}

/// What its goods cost, or what is left of the payment where that is less; none where that is nothing.
async fn pay_for(tx: &mut Tx<'_>, found: &Return, worth: i64, now: OffsetDateTime) -> Result<Option<Refund>, Error> {
    if worth == 0 {
        return Ok(None);
    }
    let reason = format!("return {}", found.id);
    let asked = match refunds::request(tx, found.order_id, Some(worth), &reason, now).await {
        Err(RefundError::TooMuch { left: 1.., .. }) => refunds::request(tx, found.order_id, None, &reason, now).await,
        asked => asked,
    };
    match asked {
        Ok(refund) => Ok(Some(refund)),
        Err(RefundError::TooMuch { .. } | RefundError::NotPaid) => Ok(None),
        Err(RefundError::Store(error)) => Err(error.into()),
    }
}

/// The return, moved on, with its order locked before it, as everybody locks them.
async fn moved(tx: &mut Tx<'_>, id: Uuid, this: ReturnMove, now: OffsetDateTime) -> Result<Return, Error> {
    let found = store::returns::by_id(&mut tx.conn(), id).await?.ok_or(Error::NotFound("return"))?;
    store::orders::lock(&mut tx.conn(), found.order_id).await?;
    if !store::returns::advance(&mut tx.conn(), id, this, now).await? {
        // Not as it was read before the lock.
        let found = store::returns::by_id(&mut tx.conn(), id).await?.ok_or(Error::NotFound("return"))?;
        return Err(Error::ReturnState(found.state));
    }
    store::events::record_return(&mut tx.conn(), found.order_id, (id, this.to()), now).await?;
    Ok(Return { state: this.to(), updated_at: now, ..found })
}
