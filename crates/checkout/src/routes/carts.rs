use axum::Extension;
use axum::extract;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use forebay_platform::db::Tx;
use forebay_platform::extract::{Json, Path};
use forebay_platform::identity::Principal;
use forebay_pool::Admission;
use uuid::Uuid;

use crate::caller::Caller;
use crate::domain::{CartToken, CartView, NewCart, Quantity};
use crate::error::Error;
use crate::{State, store};

/// Makes an empty cart.
#[utoipa::path(
    post, path = "/v1/carts", operation_id = "create_cart", tag = "carts",
    responses(
        (status = 201, description = "The cart, with the token that opens it: shown only now", body = NewCart, headers(("Location" = String))),
        (status = 429),
    )
)]
pub(crate) async fn create(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
) -> Result<impl IntoResponse, Error> {
    let token = CartToken::generate();
    let mut lease = state.db.acquire(&admission).await?;
    let cart = store::carts::insert(&mut lease.conn(), Uuid::now_v7(), &token.hash).await?;
    drop(lease);
    let location = [(LOCATION, format!("/v1/carts/{}", cart.id))];
    let cart = CartView::new(&cart, Vec::new())?;
    Ok((StatusCode::CREATED, location, Json(NewCart { cart, cart_token: token.secret })))
}

/// A cart, at the prices of today.
#[utoipa::path(
    get, path = "/v1/carts/{id}", operation_id = "cart", tag = "carts", security(("bearer" = []), ("cart" = [])),
    responses((status = 200, description = "The cart", body = CartView))
)]
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    caller: Caller,
) -> Result<Json<CartView>, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let cart = caller.admitted_to(store::carts::find(&mut lease.conn(), id).await?)?;
    let lines = store::carts::lines(&mut lease.conn(), id).await?;
    drop(lease);
    Ok(Json(CartView::new(&cart, lines)?))
}

/// Puts so many of a SKU into the cart; 0 takes them out.
#[utoipa::path(
    put, path = "/v1/carts/{id}/items/{sku}", operation_id = "put_item", tag = "carts", security(("bearer" = []), ("cart" = [])),
    responses(
        (status = 200, description = "The cart as it is now", body = CartView),
        (status = 409, description = "`cart-already-ordered`"),
    )
)]
pub(crate) async fn put_item(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path((id, sku)): Path<(Uuid, String)>,
    caller: Caller,
    Json(quantity): Json<Quantity>,
) -> Result<Json<CartView>, Error> {
    let quantity = quantity.parse()?;
    let change = if quantity == 0 { Change::Without(sku) } else { Change::With(sku, quantity) };
    apply(&state, &admission, id, &caller, &change).await
}

/// Takes a SKU out of the cart.
#[utoipa::path(
    delete, path = "/v1/carts/{id}/items/{sku}", operation_id = "remove_item", tag = "carts", security(("bearer" = []), ("cart" = [])),
    responses(
        (status = 200, description = "The cart as it is now", body = CartView),
        (status = 409, description = "`cart-already-ordered`"),
    )
)]
pub(crate) async fn remove_item(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path((id, sku)): Path<(Uuid, String)>,
    caller: Caller,
) -> Result<Json<CartView>, Error> {
    apply(&state, &admission, id, &caller, &Change::Delete(sku)).await
}

/// Makes a cart the account's own. Its token opens it no more.
#[utoipa::path(
    post, path = "/v1/carts/{id}/claim", operation_id = "claim_cart", tag = "carts",
    security(("bearer" = []), ("bearer" = [], "cart" = [])),
    responses(
        (status = 200, description = "The cart", body = CartView),
        (status = 409, description = "`cart-already-ordered`"),
    )
)]
pub(crate) async fn claim(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    principal: Principal,
    caller: Caller,
) -> Result<Json<CartView>, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let given = give(&mut tx, id, &caller, principal.user_id).await;
    let view = tx.end(given).await?;
    drop(lease);
    Ok(Json(view))
}

async fn give(tx: &mut Tx<'_>, id: Uuid, caller: &Caller, user_id: Uuid) -> Result<CartView, Error> {
    let cart = caller.may_change(store::carts::lock(&mut tx.conn(), id).await?)?;
    store::carts::give_to(&mut tx.conn(), id, user_id, &CartToken::generate().hash).await?;
    CartView::new(&cart, store::carts::lines(&mut tx.conn(), id).await?)
}

/// What shall become of a line.
enum Change {
    With(String, i32),
    /// Gone, also where it never was.
    Without(String),
    /// Gone, and it was there.
    Delete(String),
}

async fn apply(
    state: &State,
    admission: &Admission,
    id: Uuid,
    caller: &Caller,
    change: &Change,
) -> Result<Json<CartView>, Error> {
    let mut lease = state.db.acquire(admission).await?;
    let mut tx = lease.begin().await?;
    let changed = write(&mut tx, id, caller, change).await;
    let view = tx.end(changed).await?;
    drop(lease);
    Ok(Json(view))
}

async fn write(tx: &mut Tx<'_>, id: Uuid, caller: &Caller, change: &Change) -> Result<CartView, Error> {
    let cart = caller.may_change(store::carts::lock(&mut tx.conn(), id).await?)?;
    let found = match change {
        Change::With(sku, quantity) => store::carts::put(&mut tx.conn(), id, sku, *quantity).await?,
        Change::Without(sku) => {
            store::carts::remove(&mut tx.conn(), id, sku).await?;
            true
        }
        Change::Delete(sku) => store::carts::remove(&mut tx.conn(), id, sku).await?,
    };
    if !found {
        return Err(Error::NotFound("sku"));
    }
    CartView::new(&cart, store::carts::lines(&mut tx.conn(), id).await?)
}
