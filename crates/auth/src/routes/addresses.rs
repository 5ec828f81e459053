//! The addresses that a user keeps.

use axum::Extension;
use axum::extract;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use forebay_platform::address::Address;
use forebay_platform::db::Tx;
use forebay_platform::extract::{Json, Path};
use forebay_platform::identity::Principal;
use forebay_platform::text::Check;
use forebay_pool::Admission;
use uuid::Uuid;

use crate::domain::{MOST_ADDRESSES, SavedAddress};
use crate::error::Error;
use crate::{State, store};

/// The addresses of the account, the oldest first.
#[utoipa::path(
    get, path = "/v1/me/addresses", operation_id = "addresses", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The addresses", body = Vec<SavedAddress>))
)]
pub(crate) async fn list(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    principal: Principal,
) -> Result<Json<Vec<SavedAddress>>, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    Ok(Json(store::addresses::all(&mut lease.conn(), principal.user_id).await?))
}

/// Adds an address, of at most 50.
#[utoipa::path(
    post, path = "/v1/me/addresses", operation_id = "add_address", tag = "account", security(("bearer" = [])),
    responses((status = 201, description = "The address", body = SavedAddress, headers(("Location" = String))))
)]
pub(crate) async fn create(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    principal: Principal,
    Json(address): Json<Address>,
) -> Result<impl IntoResponse, Error> {
    address.check(Check::default(), "").finish().map_err(Error::Invalid)?;
    let saved = SavedAddress { id: Uuid::now_v7(), address };
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let inserted = insert(&mut tx, principal.user_id, &saved).await;
    tx.end(inserted).await?;
    drop(lease);
    let location = [(LOCATION, format!("/v1/me/addresses/{}", saved.id))];
    Ok((StatusCode::CREATED, location, Json(saved)))
}

/// The user is locked, so that those who come at once are counted one after the other.
async fn insert(tx: &mut Tx<'_>, user_id: Uuid, saved: &SavedAddress) -> Result<(), Error> {
    store::users::lock(&mut tx.conn(), user_id).await?.ok_or(Error::AccountClosed)?;
    if store::addresses::count(&mut tx.conn(), user_id).await? >= MOST_ADDRESSES {
        return Err(Error::invalid("", "an account holds at most 50 addresses"));
    }
    Ok(store::addresses::insert(&mut tx.conn(), user_id, saved).await?)
}

/// One address of the account.
#[utoipa::path(
    get, path = "/v1/me/addresses/{id}", operation_id = "address", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The address", body = SavedAddress))
)]
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    principal: Principal,
) -> Result<Json<SavedAddress>, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let saved = store::addresses::find(&mut lease.conn(), principal.user_id, id).await?;
    Ok(Json(saved.ok_or(Error::NotFound("address"))?))
}

/// Puts another address in the place of this one.
#[utoipa::path(
    put, path = "/v1/me/addresses/{id}", operation_id = "replace_address", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The address as it is now", body = SavedAddress))
)]
pub(crate) async fn replace(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    principal: Principal,
    Json(address): Json<Address>,
) -> Result<Json<SavedAddress>, Error> {
    address.check(Check::default(), "").finish().map_err(Error::Invalid)?;
    let saved = SavedAddress { id, address };
    let mut lease = state.db.acquire(&admission).await?;
    if !store::addresses::replace(&mut lease.conn(), principal.user_id, &saved).await? {
        return Err(Error::NotFound("address"));
    }
    drop(lease);
    Ok(Json(saved))
}

/// Forgets an address.
#[utoipa::path(
    delete, path = "/v1/me/addresses/{id}", operation_id = "remove_address", tag = "account", security(("bearer" = [])),
    responses((status = 204, description = "It is forgotten"))
)]
pub(crate) async fn remove(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    principal: Principal,
) -> Result<StatusCode, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    if !store::addresses::remove(&mut lease.conn(), principal.user_id, id).await? {
        return Err(Error::NotFound("address"));
    }
    Ok(StatusCode::NO_CONTENT)
}
