use axum::Extension;
use axum::extract;
use forebay_platform::extract::{IdempotencyKey, Json, Path};
use forebay_platform::identity::Principal;
use forebay_pool::Admission;
use uuid::Uuid;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::domain::{OrderDetail, PlaceOrder};
use crate::error::Error;
use crate::placement::{self, Placement};
use crate::{State, store};

/// `POST /v1/orders`
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

/// `GET /v1/orders/{id}`
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
