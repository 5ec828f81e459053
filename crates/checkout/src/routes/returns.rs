use axum::Extension;
use axum::extract;
use axum::http::StatusCode;
use forebay_platform::db::Tx;
use forebay_platform::extract::{IdempotencyKey, Json, Path, Query};
use forebay_platform::identity::Principal;
use forebay_platform::instant;
use forebay_platform::page::{Page, PageRequest};
use forebay_pool::Admission;
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::domain::{NEWEST, RequestReturn, Return};
use crate::error::Error;
use crate::store::keys::{self, KeyedRequest};
use crate::{State, store};

/// Asks to send back what has come, or a part of it.
#[utoipa::path(
    post, path = "/v1/orders/{id}/returns", operation_id = "request_return", tag = "returns", params(IdempotencyKey),
    security(("bearer" = []), ("cart" = [])),
    responses(
        (status = 201, description = "The return", body = Return, headers(("Location" = String))),
        (status = 409, description = "`order-state-conflict`: it was not delivered; or `idempotency-in-flight`"),
        (status = 422, description = "`validation-failed`, also for more than is left to return, or `idempotency-key-reused`"),
    )
)]
pub(crate) async fn request(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(order_id): Path<Uuid>,
    caller: Caller,
    key: IdempotencyKey,
    Json(request): Json<RequestReturn>,
) -> Result<Answer, Error> {
    request.check()?;
    let now = instant::now();
    let target = format!("POST /v1/orders/{order_id}/returns");
    let claim = KeyedRequest::new(caller.key_owner(), &key, "return.request", (&target, &request), now);
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let made = keys::once(&mut tx, &claim, async |tx| make(tx, order_id, &caller, &request, now).await).await;
    let answer = tx.end(made).await?;
    drop(lease);
    Ok(answer)
}

async fn make(
    tx: &mut Tx<'_>,
    order_id: Uuid,
    caller: &Caller,
    request: &RequestReturn,
    now: OffsetDateTime,
) -> Result<Answer, Error> {
    store::orders::lock(&mut tx.conn(), order_id).await?;
    let order = store::orders::of(&mut tx.conn(), order_id, caller).await?.ok_or(Error::NotFound("order"))?;
    let asked = store::returns::asked(&mut tx.conn(), order_id).await?;
    let made = Return::request(&order, &asked, request, now)?;
    store::returns::insert(&mut tx.conn(), &made).await?;
    store::events::record_return(&mut tx.conn(), order_id, (made.id, made.state), now).await?;
    Ok(Answer::done(StatusCode::CREATED, &made).at(format!("/v1/returns/{}", made.id)))
}

/// The query of `GET /v1/returns`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// The `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

/// A page of one's own returns, the newest first.
#[utoipa::path(
    get, path = "/v1/returns", operation_id = "returns", tag = "returns", params(ListQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "The page", body = Page<Return>, headers(("Link" = String))),
        (status = 400, description = "`invalid-cursor`: it is of another list; or a parameter is malformed"),
    )
)]
pub(crate) async fn list(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Page<Return>, Error> {
    let request = PageRequest::parse("/v1/returns", &[], query.limit, query.cursor.as_deref()).map_err(Error::Page)?;
    let after = request.after().copied().unwrap_or(NEWEST);
    let mut lease = state.db.acquire(&admission).await?;
    let rows = store::returns::of_user(&mut lease.conn(), principal.user_id, after, request.rows()).await?;
    drop(lease);
    Ok(request.cut(rows, Return::place))
}

/// One return. Who may read the order may read what is sent back of it.
#[utoipa::path(
    get, path = "/v1/returns/{id}", operation_id = "return", tag = "returns", security(("bearer" = []), ("cart" = [])),
    responses((status = 200, description = "The return", body = Return))
)]
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    caller: Caller,
) -> Result<Json<Return>, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let found = store::returns::by_id(&mut lease.conn(), id).await?.ok_or(Error::NotFound("return"))?;
    let order = store::orders::of(&mut lease.conn(), found.order_id, &caller).await?;
    drop(lease);
    order.map(|_| Json(found)).ok_or(Error::NotFound("return"))
}
