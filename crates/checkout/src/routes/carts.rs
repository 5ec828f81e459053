use axum::Extension;
use axum::body::Bytes;
use axum::extract;
use axum::http::header::{ETAG, IF_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use forebay_platform::db::Tx;
use forebay_platform::etag;
use forebay_platform::extract::{Json, Path};
use forebay_platform::identity::Principal;
use forebay_pool::Admission;
use uuid::Uuid;

use super::{json, tagged};
use crate::caller::Caller;
use crate::domain::{Cart, CartStatus, CartToken, CartView, ClaimedCart, NewCart, Quantity};
use crate::error::Error;
use crate::{State, store};

type Answer = (HeaderMap, Bytes);

/// Makes an empty cart. With an access token it is the account's, which has one open cart: if there is one, that is given.
#[utoipa::path(
    post, path = "/v1/carts", operation_id = "create_cart", tag = "carts", security((), ("bearer" = [])),
    responses(
        (status = 200, description = "The cart that the account has", body = CartView, headers(("Location" = String), ("ETag" = String))),
        (status = 201, description = "A new one; without an access token with the token that opens it: shown only now", body = NewCart,
            headers(("Location" = String), ("ETag" = String))),
        (status = 429),
    )
)]
pub(crate) async fn create(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    principal: Option<Principal>,
) -> Result<(StatusCode, Answer), Error> {
    match principal {
        Some(principal) => create_for(&state, &admission, principal.user_id).await,
        None => create_for_nobody(&state, &admission).await,
    }
}

async fn create_for_nobody(state: &State, admission: &Admission) -> Result<(StatusCode, Answer), Error> {
    let token = CartToken::generate();
    let mut lease = state.db.acquire(admission).await?;
    let cart = store::carts::insert(&mut lease.conn(), Uuid::now_v7(), &token.hash).await?;
    drop(lease);
    let view = CartView::new(&cart, Vec::new());
    let (mut headers, _) = tagged(&view);
    headers.insert(LOCATION, address_of(&cart));
    Ok((StatusCode::CREATED, (headers, json(&NewCart { cart: view, cart_token: Some(token.secret) }))))
}

async fn create_for(state: &State, admission: &Admission, user_id: Uuid) -> Result<(StatusCode, Answer), Error> {
    let id = Uuid::now_v7();
    let mut lease = state.db.acquire(admission).await?;
    let mut tx = lease.begin().await?;
    let opened = open(&mut tx, user_id, id).await;
    let (cart, view) = tx.end(opened).await?;
    drop(lease);
    let (mut headers, body) = tagged(&view);
    headers.insert(LOCATION, address_of(&cart));
    let status = if cart.id == id { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, (headers, body)))
}

/// The account's open cart, made with this id where there is none. Whoever gives the account another one at the same moment
/// waits until it is there.
async fn open(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid) -> Result<(Cart, CartView), Error> {
    store::carts::lock_account(&mut tx.conn(), user_id).await?;
    let cart = store::carts::open_or_insert(&mut tx.conn(), user_id, id, &CartToken::generate().hash).await?;
    let view = view(tx, &cart).await?;
    Ok((cart, view))
}

/// The account's open cart, at the prices of today.
#[utoipa::path(
    get, path = "/v1/cart", operation_id = "own_cart", tag = "carts", security(("bearer" = [])),
    responses(
        (status = 200, description = "The cart", body = CartView), (status = 304),
        (status = 404, description = "The account has no open cart"),
    )
)]
pub(crate) async fn read_own(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    principal: Principal,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let cart = store::carts::open_of(&mut lease.conn(), principal.user_id).await?;
    let cart = cart.ok_or(Error::NotFound("open cart"))?;
    let lines = store::carts::lines(&mut lease.conn(), cart.id).await?;
    drop(lease);
    let (answer, body) = tagged(&CartView::new(&cart, lines));
    Ok(etag::unless_known(&headers, answer, body))
}

/// A cart, at the prices of today.
#[utoipa::path(
    get, path = "/v1/carts/{id}", operation_id = "cart", tag = "carts", security(("bearer" = []), ("cart" = [])),
    responses((status = 200, description = "The cart", body = CartView), (status = 304))
)]
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let cart = caller.admitted_to(store::carts::find(&mut lease.conn(), id).await?)?;
    let lines = store::carts::lines(&mut lease.conn(), id).await?;
    drop(lease);
    let (answer, body) = tagged(&CartView::new(&cart, lines));
    Ok(etag::unless_known(&headers, answer, body))
}

/// Puts so many of a SKU into the cart; 0 takes them out.
#[utoipa::path(
    put, path = "/v1/carts/{id}/items/{sku}", operation_id = "put_item", tag = "carts", security(("bearer" = []), ("cart" = [])),
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the cart that is to be changed")),
    responses(
        (status = 200, description = "The cart as it is now", body = CartView),
        (status = 409, description = "`cart-already-ordered`"),
        (status = 412),
    )
)]
pub(crate) async fn put_item(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path((id, sku)): Path<(Uuid, String)>,
    caller: Caller,
    headers: HeaderMap,
    Json(quantity): Json<Quantity>,
) -> Result<Answer, Error> {
    let quantity = quantity.parse()?;
    let change = if quantity == 0 { Change::Without(sku) } else { Change::With(sku, quantity) };
    apply(&state, &admission, id, &caller, &headers, &change).await
}

/// Takes a SKU out of the cart.
#[utoipa::path(
    delete, path = "/v1/carts/{id}/items/{sku}", operation_id = "remove_item", tag = "carts", security(("bearer" = []), ("cart" = [])),
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the cart that is to be changed")),
    responses(
        (status = 200, description = "The cart as it is now", body = CartView),
        (status = 409, description = "`cart-already-ordered`"),
        (status = 412),
    )
)]
pub(crate) async fn remove_item(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path((id, sku)): Path<(Uuid, String)>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer, Error> {
    apply(&state, &admission, id, &caller, &headers, &Change::Delete(sku)).await
}

/// Adds a cart to the account's, or makes it that one. Its token opens nothing from then on.
#[utoipa::path(
    post, path = "/v1/carts/{id}/claim", operation_id = "claim_cart", tag = "carts",
    security(("bearer" = []), ("bearer" = [], "cart" = [])),
    responses(
        (status = 200, description = "The account's open cart", body = ClaimedCart, headers(("ETag" = String))),
        (status = 409, description = "`cart-already-ordered`"),
        (status = 422, description = "Together the two have more than 100 SKUs; both are as they were"),
    )
)]
pub(crate) async fn claim(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    principal: Principal,
    caller: Caller,
) -> Result<Answer, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let claimed = join(&mut tx, id, &caller, principal.user_id).await;
    let (view, capped) = tx.end(claimed).await?;
    drop(lease);
    let (headers, _) = tagged(&view);
    Ok((headers, json(&ClaimedCart { cart: view, capped })))
}

/// The account's open cart, with what is in the one that is claimed. Claiming again is claiming, since an answer may be lost.
async fn join(tx: &mut Tx<'_>, id: Uuid, caller: &Caller, user_id: Uuid) -> Result<(CartView, Vec<String>), Error> {
    let cart = store::carts::lock(&mut tx.conn(), id).await?;
    let is_own = |cart: &Cart| cart.user_id == Some(user_id);
    if cart.as_ref().is_some_and(|cart| is_own(cart) && cart.status == CartStatus::Merged) {
        let own = store::carts::open_of(&mut tx.conn(), user_id).await?.ok_or(Error::NotFound("open cart"))?;
        return Ok((view(tx, &own).await?, Vec::new()));
    }
    let cart = caller.may_change(cart)?;
    if is_own(&cart) {
        return Ok((view(tx, &cart).await?, Vec::new()));
    }
    store::carts::lock_account(&mut tx.conn(), user_id).await?;
    let token = CartToken::generate().hash;
    let Some(own) = store::carts::lock_open_of(&mut tx.conn(), user_id).await? else {
        let cart = store::carts::give_to(&mut tx.conn(), cart, user_id, &token).await?;
        return Ok((view(tx, &cart).await?, Vec::new()));
    };
    let merged = store::carts::merge(&mut tx.conn(), &cart, own, &token).await?;
    Ok((view(tx, &merged.cart).await?.within_bounds()?, merged.capped))
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
    headers: &HeaderMap,
    change: &Change,
) -> Result<Answer, Error> {
    let mut lease = state.db.acquire(admission).await?;
    let mut tx = lease.begin().await?;
    let changed = write(&mut tx, id, caller, headers, change).await;
    let view = tx.end(changed).await?;
    drop(lease);
    Ok(tagged(&view))
}

async fn write(
    tx: &mut Tx<'_>,
    id: Uuid,
    caller: &Caller,
    headers: &HeaderMap,
    change: &Change,
) -> Result<CartView, Error> {
    let cart = caller.may_change(store::carts::lock(&mut tx.conn(), id).await?)?;
    if headers.contains_key(IF_MATCH) {
        let (now, _) = tagged(&view(tx, &cart).await?);
        etag::check_match(headers, &now[ETAG]).map_err(Error::OtherVersion)?;
    }
    let changed = match change {
        Change::With(sku, quantity) => {
            store::carts::put(&mut tx.conn(), cart, sku, *quantity).await?.ok_or(Error::NotFound("sku"))?
        }
        Change::Without(sku) => store::carts::remove(&mut tx.conn(), cart.clone(), sku).await?.unwrap_or(cart),
        Change::Delete(sku) => store::carts::remove(&mut tx.conn(), cart, sku).await?.ok_or(Error::NotFound("sku"))?,
    };
    view(tx, &changed).await?.within_bounds()
}

async fn view(tx: &mut Tx<'_>, cart: &Cart) -> Result<CartView, Error> {
    Ok(CartView::new(cart, store::carts::lines(&mut tx.conn(), cart.id).await?))
}

fn address_of(cart: &Cart) -> HeaderValue {
    HeaderValue::try_from(format!("/v1/carts/{}", cart.id)).expect("an id is plain ASCII")
}
