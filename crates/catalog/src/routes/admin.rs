//! What those who run the shop see and change. Each change is written to the audit log in its own transaction.

use axum::Extension;
use axum::body::Bytes;
use axum::extract;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use forebay_platform::audit::{self, Entry};
use forebay_platform::db::{Conn, Tx};
use forebay_platform::extract::{Json, Path};
use forebay_platform::identity::Admin;
use forebay_platform::{etag, instant};
use forebay_pool::Admission;
use uuid::Uuid;

use crate::domain::{AdminProduct, MOST_LEVELS, NewCategory, NewProduct, ProductChange, SkuChange};
use crate::error::Error;
use crate::{State, store};

/// A product, whatever its status.
#[utoipa::path(
    get, path = "/v1/admin/products/{id}", operation_id = "admin_product", tag = "products for admins", security(("bearer" = ["admin"])),
    responses((status = 200, description = "The product", body = AdminProduct), (status = 304))
)]
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    _: Admin,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let product = find(&mut lease.conn(), id).await?;
    drop(lease);
    let (answer, body) = tagged(&product);
    Ok(etag::unless_known(&headers, answer, body))
}

/// Makes a product.
#[utoipa::path(
    post, path = "/v1/admin/products", operation_id = "create_product", tag = "products for admins", security(("bearer" = ["admin"])),
    responses(
        (status = 201, description = "The product", body = AdminProduct, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "`slug-taken`, `sku-taken`"),
    )
)]
pub(crate) async fn create(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    admin: Admin,
    Json(wanted): Json<NewProduct>,
) -> Result<Response, Error> {
    wanted.check()?;
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let created = insert(&mut tx, &admin, &wanted).await;
    let (product, entry) = tx.end(created).await?;
    drop(lease);
    entry.announce();
    state.read_stock_anew();
    let location = [(LOCATION, format!("/v1/admin/products/{}", product.facts.id))];
    Ok((StatusCode::CREATED, location, tagged(&product)).into_response())
}

async fn insert(tx: &mut Tx<'_>, admin: &Admin, wanted: &NewProduct) -> Result<(AdminProduct, Entry), Error> {
    let (id, price) = (Uuid::now_v7(), wanted.lowest_price()?);
    let category = category(&mut tx.conn(), Some(&wanted.category)).await?;
    let category = category.ok_or_else(Error::no_such_category)?;
    if !store::admin::insert(&mut tx.conn(), id, wanted, category, price).await? {
        return Err(Error::SlugTaken);
    }
    let inserted = store::admin::insert_skus(&mut tx.conn(), id, wanted).await?;
    let taken: Vec<_> = wanted.skus.iter().enumerate().filter(|(_, sku)| !inserted.contains(&sku.sku)).collect();
    if !taken.is_empty() {
        return Err(Error::SkuTaken(taken.into_iter().map(|(number, _)| format!("/skus/{number}/sku")).collect()));
    }
    let product = find(&mut tx.conn(), id).await?;
    let entry = Entry::by(admin, "product.create", "product", id).after(&product);
    audit::record(&mut tx.conn(), &entry).await?;
    Ok((product, entry))
}

/// Changes a product.
#[utoipa::path(
    patch, path = "/v1/admin/products/{id}", operation_id = "change_product", tag = "products for admins", security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The product as it is now", body = AdminProduct),
        (status = 409, description = "`slug-taken`"),
        (status = 412),
    )
)]
pub(crate) async fn change(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    admin: Admin,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(wanted): Json<ProductChange>,
) -> Result<Response, Error> {
    wanted.check()?;
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let changed = write_change(&mut tx, &admin, id, &headers, &wanted).await;
    let (product, entry) = tx.end(changed).await?;
    drop(lease);
    entry.announce();
    Ok(tagged(&product).into_response())
}

async fn write_change(
    tx: &mut Tx<'_>,
    admin: &Admin,
    id: Uuid,
    headers: &HeaderMap,
    wanted: &ProductChange,
) -> Result<(AdminProduct, Entry), Error> {
    let before = locked(tx, id, headers).await?;
    let category = category(&mut tx.conn(), wanted.category.as_deref()).await?;
    store::admin::change(&mut tx.conn(), id, wanted, category).await.map_err(Error::of_change)?;
    let after = find(&mut tx.conn(), id).await?;
    let entry = Entry::by(admin, "product.change", "product", id).before(&before.facts).after(&after.facts);
    audit::record(&mut tx.conn(), &entry).await?;
    Ok((after, entry))
}

/// Changes what a SKU costs, or whether it is sold.
#[utoipa::path(
    patch, path = "/v1/admin/products/{id}/skus/{sku}", operation_id = "change_sku", tag = "products for admins", security(("bearer" = ["admin"])),
    responses((status = 200, description = "The product as it is now", body = AdminProduct), (status = 412))
)]
pub(crate) async fn change_sku(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    admin: Admin,
    Path((id, sku)): Path<(Uuid, String)>,
    headers: HeaderMap,
    Json(wanted): Json<SkuChange>,
) -> Result<Response, Error> {
    wanted.check()?;
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let changed = write_sku(&mut tx, &admin, (id, &sku), &headers, &wanted).await;
    let (product, entry) = tx.end(changed).await?;
    drop(lease);
    entry.announce();
    Ok(tagged(&product).into_response())
}

async fn write_sku(
    tx: &mut Tx<'_>,
    admin: &Admin,
    (id, sku): (Uuid, &str),
    headers: &HeaderMap,
    wanted: &SkuChange,
) -> Result<(AdminProduct, Entry), Error> {
    let before = locked(tx, id, headers).await?;
    let was = before.sku(sku).ok_or(Error::NotFound("SKU of this product"))?;
    if wanted.price.as_ref().is_some_and(|price| price.currency != before.facts.price.currency) {
        return Err(Error::invalid("/price/currency", "must be that of the product"));
    }
    store::admin::change_sku(&mut tx.conn(), id, sku, wanted).await?;
    store::stock::sum_up(&mut tx.conn(), &[id], instant::now()).await?;
    let after = find(&mut tx.conn(), id).await?;
    let entry = Entry::by(admin, "sku.change", "sku", sku).before(was);
    let entry = after.sku(sku).map_or(entry.clone(), |is| entry.after(is));
    audit::record(&mut tx.conn(), &entry).await?;
    Ok((after, entry))
}

/// Takes a product out of the shop.
#[utoipa::path(
    post, path = "/v1/admin/products/{id}/archive", operation_id = "archive_product", tag = "products for admins", security(("bearer" = ["admin"])),
    responses((status = 204, description = "It is archived"))
)]
pub(crate) async fn archive(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    admin: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let archived = write_archive(&mut tx, &admin, id).await;
    let entry = tx.end(archived).await?;
    drop(lease);
    if let Some(entry) = entry {
        entry.announce();
    }
    Ok(StatusCode::NO_CONTENT)
}

/// None where it was archived already.
async fn write_archive(tx: &mut Tx<'_>, admin: &Admin, id: Uuid) -> Result<Option<Entry>, Error> {
    store::products::lock(&mut tx.conn(), &[id]).await?;
    let before = find(&mut tx.conn(), id).await?;
    if !store::admin::archive(&mut tx.conn(), id).await? {
        return Ok(None);
    }
    let entry = Entry::by(admin, "product.archive", "product", id).before(&before.facts);
    audit::record(&mut tx.conn(), &entry).await?;
    Ok(Some(entry))
}

/// Makes a category.
#[utoipa::path(
    post, path = "/v1/admin/categories", operation_id = "create_category", tag = "products for admins", security(("bearer" = ["admin"])),
    responses(
        (status = 201, description = "The category", body = NewCategory, headers(("Location" = String))),
        (status = 409, description = "`slug-taken`"),
    )
)]
pub(crate) async fn create_category(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    admin: Admin,
    Json(wanted): Json<NewCategory>,
) -> Result<Response, Error> {
    wanted.check()?;
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let created = insert_category(&mut tx, &admin, &wanted).await;
    let entry = tx.end(created).await?;
    drop(lease);
    entry.announce();
    state.tree.forget();
    let location = [(LOCATION, format!("/v1/categories/{}", wanted.slug))];
    Ok((StatusCode::CREATED, location, Json(wanted)).into_response())
}

async fn insert_category(tx: &mut Tx<'_>, admin: &Admin, wanted: &NewCategory) -> Result<Entry, Error> {
    let path = match &wanted.parent {
        Some(parent) => store::categories::path_to(&mut tx.conn(), parent).await?,
        None => Vec::new(),
    };
    if path.is_empty() && wanted.parent.is_some() {
        return Err(Error::invalid("/parent", "is no category"));
    }
    if path.len() >= MOST_LEVELS {
        return Err(Error::invalid("/parent", "lies at the lowest level that there is"));
    }
    let id = Uuid::now_v7();
    if !store::admin::insert_category(&mut tx.conn(), id, wanted, path.first().copied()).await? {
        return Err(Error::SlugTaken);
    }
    let entry = Entry::by(admin, "category.create", "category", id).after(wanted);
    audit::record(&mut tx.conn(), &entry).await?;
    Ok(entry)
}

/// The product as it is, locked, if the caller has seen it like that.
async fn locked(tx: &mut Tx<'_>, id: Uuid, headers: &HeaderMap) -> Result<AdminProduct, Error> {
    store::products::lock(&mut tx.conn(), &[id]).await?;
    let product = find(&mut tx.conn(), id).await?;
    etag::check_match(headers, &tagged(&product).0[ETAG]).map_err(Error::OtherVersion)?;
    Ok(product)
}

async fn find(conn: &mut Conn<'_>, id: Uuid) -> Result<AdminProduct, Error> {
    let facts = store::admin::find(conn, id).await?.ok_or(Error::NotFound("product"))?;
    let skus = store::admin::skus_of(conn, &facts).await?;
    Ok(AdminProduct { facts, skus })
}

/// The category of this slug, where one is named.
async fn category(conn: &mut Conn<'_>, slug: Option<&str>) -> Result<Option<Uuid>, Error> {
    let Some(slug) = slug else { return Ok(None) };
    let path = store::categories::path_to(conn, slug).await?;
    path.first().copied().map(Some).ok_or_else(Error::no_such_category)
}

/// The body, and a tag that is another one when anything in it is.
fn tagged(product: &AdminProduct) -> (HeaderMap, Bytes) {
    let body = Bytes::from(serde_json::to_vec(product).expect("strings, numbers and times always serialize"));
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (ETAG, etag::tag_of(&body))];
    (headers.into_iter().collect(), body)
}
