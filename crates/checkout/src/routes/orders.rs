use axum::Extension;
use axum::extract;
use forebay_platform::extract::{IdempotencyKey, Json, Path};
use forebay_platform::identity::Principal;
use forebay_pool::Admission;
use uuid::Uuid;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::domain::{Order, OrderDetail, PlaceOrder};
use crate::error::Error;
use crate::placement::{self, Placement};
use crate::{State, store};

/// Orders all that a cart shows, or nothing.
#[utoipa::path(
    post, path = "/v1/orders", operation_id = "place_order", tag = "orders", params(IdempotencyKey),
    security(("bearer" = []), ("bearer" = [], "cart" = [])),
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
    principal: Principal,
    key: IdempotencyKey,
    caller: Caller,
    Json(request): Json<PlaceOrder>,
) -> Result<Answer, Error> {
    request.check()?;
    placement::place(&state, &admission, Placement::new(principal.user_id, caller, &key, request)).await
}

/// One order, with its payments and all that became of it.
#[utoipa::path(
    get, path = "/v1/orders/{id}", operation_id = "order", tag = "orders", security(("bearer" = [])),
    responses((status = 200, description = "The order", body = OrderDetail))
)]
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    principal: Principal,
) -> Result<Json<OrderDetail>, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let order = store::orders::by_id(&mut lease.conn(), id).await?;
    let order = order.filter(|order| order.user_id == principal.user_id).ok_or(Error::NotFound("order"))?;
    let payments = store::orders::payments_of(&mut lease.conn(), id).await?;
    let events = store::orders::events_of(&mut lease.conn(), id).await?;
    drop(lease);
    Ok(Json(OrderDetail { order, payments, events }))
}
