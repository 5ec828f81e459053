use axum::Extension;
use axum::extract;
use axum::http::StatusCode;
use forebay_platform::audit::Entry;
use forebay_platform::db::Tx;
use forebay_platform::extract::{IdempotencyKey, Json, Path, Query};
use forebay_platform::identity::Admin;
use forebay_platform::page::Page;
use forebay_pool::Admission;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Asked, change};
use crate::answer::Answer;
use crate::domain::{Move, NEWEST, OrderFile, OrderLine, OrdersQuery, Shipment};
use crate::error::Error;
use crate::store::keys::KeyedRequest;
use crate::{State, store};

/// Everybody's orders, the newest first.
#[utoipa::path(
    get, path = "/v1/admin/orders", operation_id = "all_orders", tag = "admin", params(OrdersQuery),
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The page", body = Page<OrderLine>, headers(("Link" = String))),
        (status = 400, description = "`invalid-cursor`: it is of another list; or a parameter is malformed"),
    )
)]
pub(crate) async fn list(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    _admin: Admin,
    Query(query): Query<OrdersQuery>,
) -> Result<Page<OrderLine>, Error> {
    let (page, wanted) = query.parse().map_err(Error::Page)?;
    let mut lease = state.db.acquire(&admission).await?;
    let rows = store::fulfilment::page(&mut lease.conn(), wanted, page.after().copied().unwrap_or(NEWEST), page.rows())
        .await?;
    drop(lease);
    Ok(page.cut(rows, OrderLine::key))
}

/// An order, with all that became of it.
#[utoipa::path(
    get, path = "/v1/admin/orders/{id}", operation_id = "order_file", tag = "admin", params(("id" = Uuid, Path)),
    security(("bearer" = ["admin"])),
    responses((status = 200, description = "The order", body = OrderFile))
)]
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    _admin: Admin,
    Path(id): Path<Uuid>,
) -> Result<Json<OrderFile>, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let order = store::orders::by_id(&mut lease.conn(), id).await?.ok_or(Error::NotFound("order"))?;
    let payments = store::orders::payments_of(&mut lease.conn(), id).await?;
    let refunds = store::fulfilment::refunds_of(&mut lease.conn(), id).await?;
    let events = store::fulfilment::events_of(&mut lease.conn(), id).await?;
    drop(lease);
    Ok(Json(OrderFile { user_id: order.user_id, order, payments, refunds, events }))
}

/// Notes that a paid order is on its way.
#[utoipa::path(
    post, path = "/v1/admin/orders/{id}/ship", operation_id = "ship_order", tag = "admin",
    params(("id" = Uuid, Path), IdempotencyKey), security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The order", body = OrderLine),
        (status = 409, description = "`order-state-conflict`: only what is paid is shipped, once; or `idempotency-in-flight`"),
    )
)]
pub(crate) async fn ship(asked: Asked, Json(shipment): Json<Shipment>) -> Result<Answer, Error> {
    shipment.check()?;
    step(&asked, &asked.claim("order.ship", &shipment), Move::Ship, json!(shipment)).await
}

/// Notes that an order has arrived.
#[utoipa::path(
    post, path = "/v1/admin/orders/{id}/deliver", operation_id = "deliver_order", tag = "admin",
    params(("id" = Uuid, Path), IdempotencyKey), security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The order", body = OrderLine),
        (status = 409, description = "`order-state-conflict`: only what was shipped is delivered; or `idempotency-in-flight`"),
    )
)]
pub(crate) async fn deliver(asked: Asked) -> Result<Answer, Error> {
    step(&asked, &asked.claim("order.deliver", &()), Move::Deliver, json!({})).await
}

/// Moves an order on, with what there is to know of it.
async fn step(asked: &Asked, claim: &KeyedRequest, this: Move, data: Value) -> Result<Answer, Error> {
    change(asked, claim, async |tx| take(tx, asked, claim.operation, this, data).await).await
}

async fn take(
    tx: &mut Tx<'_>,
    asked: &Asked,
    action: &'static str,
    this: Move,
    data: Value,
) -> Result<(Answer, Entry), Error> {
    let order = store::fulfilment::lock(&mut tx.conn(), asked.of).await?.ok_or(Error::NotFound("order"))?;
    if !this.is_allowed_from(order.stage) {
        return Err(Error::OrderState(order.stage));
    }
    let to = this.to();
    store::fulfilment::advance(&mut tx.conn(), order.id, to).await?;
    store::events::record(&mut tx.conn(), order.id, this.event(), &data, asked.now).await?;
    let entry = Entry::by(&asked.admin, action, "order", order.id)
        .before(&json!({ "status": order.status }))
        .after(&json!({ "status": to, "data": data }));
    Ok((Answer::done(StatusCode::OK, &OrderLine { status: to, stage: to, ..order }), entry))
}
