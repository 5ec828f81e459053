use axum::Extension;
use axum::extract;
use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, LINK};
use axum::response::Response;
use forebay_platform::db::Conn;
use forebay_platform::extract::{Path, Query};
use forebay_pool::Admission;
use serde::Deserialize;
use uuid::Uuid;

use crate::caching;
use crate::domain::{Detail, ListQuery, Page, PageRequest, Product};
use crate::error::Error;
use crate::{State, picture, store};

/// `GET /v1/products`
pub(crate) async fn list(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut request = query.parse()?;
    let mut lease = state.db.acquire(&admission).await?;
    let within = match &request.filter.category {
        Some(slug) => Some(store::categories::within(&mut lease.conn(), slug).await?),
        None => None,
    };
    let within = within.as_deref();
    let mut rows = store::lists::page(&mut lease.conn(), &request, within).await?;
    if rows.is_empty()
        && let Some(other) = request.resembling()
        && state.knows_resemblance(&mut lease.conn()).await?
    {
        request = other;
        rows = store::lists::page(&mut lease.conn(), &request, within).await?;
    }
    let estimate = match request.estimate {
        true => Some(store::lists::estimate(&mut lease.conn(), &request.filter, within).await?),
        false => None,
    };
    drop(lease);
    let page = Page::cut(rows, &request, estimate);
    Ok(linked(caching::answer(&headers, &page), &page, &request))
}

/// `GET /v1/products/{id_or_slug}`
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id_or_slug): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let product = find(&mut lease.conn(), &id_or_slug).await?;
    let skus = store::products::skus_of(&mut lease.conn(), &product).await?;
    drop(lease);
    Ok(caching::answer(&headers, &Detail::new(product, skus)))
}

/// The version of the product that a picture is wanted of: another address for another picture, and nothing more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PictureQuery {
    #[serde(rename = "v")]
    _version: Option<u64>,
}

/// `GET /v1/products/{id_or_slug}/image.svg`
pub(crate) async fn image(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id_or_slug): Path<String>,
    Query(_): Query<PictureQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let product = find(&mut lease.conn(), &id_or_slug).await?;
    drop(lease);
    Ok(caching::picture(&headers, picture::draw(product.id, &product.name, &product.brand)))
}

async fn find(conn: &mut Conn<'_>, id_or_slug: &str) -> Result<Product, Error> {
    let product = match Uuid::try_parse(id_or_slug) {
        Ok(id) => store::products::by_id(conn, id).await?,
        Err(_) => store::products::by_slug(conn, id_or_slug).await?,
    };
    product.ok_or(Error::NotFound("product"))
}

/// `Link: <...>; rel="next"` (RFC 8288), for clients that do not read the body.
fn linked(mut response: Response, page: &Page, request: &PageRequest) -> Response {
    if let Some(cursor) = &page.page.next_cursor {
        let link = format!("</v1/products?{}>; rel=\"next\"", request.next(cursor));
        response.headers_mut().insert(LINK, HeaderValue::try_from(link).expect("an encoded query is plain ASCII"));
    }
    response
}
