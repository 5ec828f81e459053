use axum::Extension;
use axum::extract;
use axum::http::HeaderMap;
use axum::response::Response;
use forebay_platform::etag;
use forebay_platform::extract::{IdempotencyKey, Json, Path, Query};
use forebay_platform::identity::Principal;
use forebay_platform::instant;
use forebay_platform::page::{Page, PageRequest};
use forebay_pool::Admission;
use serde::Deserialize;
use uuid::Uuid;

use super::tagged;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::cancellation::{self, Cancellation};
use crate::domain::{NEWEST, Order, OrderDetail, OrderSummary, PayAgain, PlaceOrder, Status};
use crate::error::Error;
use crate::placement::{self, Placement};
use crate::second_try::{self, SecondTry};
use crate::store::keys::KeyedRequest;
use crate::{State, store};

/// Orders all that a cart shows, or nothing.
#[utoipa::path(
    post, path = "/v1/orders", operation_id = "place_order", tag = "orders", params(IdempotencyKey),
    security(("bearer" = []), ("cart" = []), ("bearer" = [], "cart" = [])),
    responses(
        (status = 201, description = "The order, which is paid", body = Order, headers(("Location" = String))),
        (status = 202, description = "The order, whose payment is not known yet", body = Order, headers(("Location" = String), ("Retry-After" = u64))),
        (status = 404, description = "No such cart, or not the caller's"),
        (status = 409, description = "`insufficient-stock`, `cart-already-ordered`, `cart-changed`, `item-unavailable`, \
            `order-state-conflict`, or `idempotency-in-flight`: the first request with this key is still running"),
        (status = 422, description = "`payment-declined`, `validation-failed`, or `idempotency-key-reused`: the key is another request's"),
        (status = 429),
    )
)]
pub(crate) async fn place(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    key: IdempotencyKey,
    caller: Caller,
    Json(request): Json<PlaceOrder>,
) -> Result<Answer, Error> {
    request.check(&caller)?;
    placement::place(&state, &admission, Placement::new(caller, &key, request)).await
}

/// Pays again for an order that was declined, while it holds its units.
#[utoipa::path(
    post, path = "/v1/orders/{id}/payment", operation_id = "pay_order", tag = "orders", params(IdempotencyKey),
    security(("bearer" = []), ("cart" = [])),
    responses(
        (status = 200, description = "The order, which is paid", body = Order, headers(("Location" = String))),
        (status = 202, description = "The order, whose payment is not known yet", body = Order, headers(("Location" = String), ("Retry-After" = u64))),
        (status = 409, description = "`order-state-conflict`: it is paid, expired or cancelled, or a payment is under way; \
            or `idempotency-in-flight`: the first request with this key is still running"),
        (status = 422, description = "`payment-declined`, `validation-failed`, or `idempotency-key-reused`: the key is another request's"),
        (status = 429),
    )
)]
pub(crate) async fn pay_again(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(order_id): Path<Uuid>,
    caller: Caller,
    key: IdempotencyKey,
    Json(request): Json<PayAgain>,
) -> Result<Answer, Error> {
    request.check()?;
    let target = format!("POST /v1/orders/{order_id}/payment");
    let claim = KeyedRequest::new(caller.key_owner(), &key, "order.pay", (&target, &request), instant::now())
        .settled_by(order_id);
    second_try::pay_again(&state, &admission, SecondTry { caller, order_id, claim, request }).await
}

/// Cancels an order that is not shipped yet; what was paid goes back.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders", params(IdempotencyKey),
    security(("bearer" = []), ("cart" = [])),
    responses(
        (status = 200, description = "The order, which is cancelled", body = Order),
        (status = 409, description = "`order-state-conflict`: it cannot be cancelled any more; or `idempotency-in-flight`"),
    )
)]
pub(crate) async fn cancel(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(order_id): Path<Uuid>,
    caller: Caller,
    key: IdempotencyKey,
) -> Result<Answer, Error> {
    let target = format!("POST /v1/orders/{order_id}/cancel");
    let claim = KeyedRequest::new(caller.key_owner(), &key, "order.cancel", (&target, &()), instant::now());
    cancellation::cancel(&state, &admission, &Cancellation { caller, order_id, claim }).await
}

/// The query of `GET /v1/orders`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only orders of this status.
    status: Option<Status>,
    /// The `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

/// A page of one's own orders, the newest first.
#[utoipa::path(
    get, path = "/v1/orders", operation_id = "orders", tag = "orders", params(ListQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "The page", body = Page<OrderSummary>, headers(("Link" = String))),
        (status = 400, description = "`invalid-cursor`: it is of another list; or a parameter is malformed"),
    )
)]
pub(crate) async fn list(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    principal: Principal,
    Query(ListQuery { status, cursor, limit }): Query<ListQuery>,
) -> Result<Page<OrderSummary>, Error> {
    let filters = [("status", status.map(Status::as_str))];
    let request = PageRequest::parse("/v1/orders", &filters, limit, cursor.as_deref()).map_err(Error::Page)?;
    let after = request.after().copied().unwrap_or(NEWEST);
    let mut lease = state.db.acquire(&admission).await?;
    let rows = store::orders::page(&mut lease.conn(), principal.user_id, status, after, request.rows()).await?;
    drop(lease);
    Ok(request.cut(rows, OrderSummary::place))
}

/// One order, with its payments and all that became of it.
#[utoipa::path(
    get, path = "/v1/orders/{id}", operation_id = "order", tag = "orders", security(("bearer" = []), ("cart" = [])),
    responses((status = 200, description = "The order", body = OrderDetail), (status = 304))
)]
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let order = store::orders::of(&mut lease.conn(), id, &caller).await?;
    let order = order.ok_or(Error::NotFound("order"))?;
    let payments = store::orders::payments_of(&mut lease.conn(), id).await?;
    let events = store::orders::events_of(&mut lease.conn(), id).await?;
    drop(lease);
    let order = OrderDetail { order, payments, events };
    let (answer, body) = tagged(&order);
    Ok(etag::unless_known(&headers, answer, body))
}
