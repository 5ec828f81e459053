use axum::Extension;
use axum::extract;
use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, LINK};
use axum::response::Response;
use forebay_platform::db::Conn;
use forebay_platform::extract::{Path, Query};
use forebay_pool::Admission;
use uuid::Uuid;

use crate::caching;
use crate::domain::{Detail, ListQuery, Page, PageRequest, PictureQuery, Product};
use crate::error::Error;
use crate::{State, picture, store};

/// A page of products.
#[utoipa::path(
    get, path = "/v1/products", operation_id = "products", tag = "products", params(ListQuery),
    responses(
        (status = 200, description = "The page", body = Page, headers(("Link" = String))),
        (status = 304),
        (status = 400, description = "`invalid-cursor`: it is of another list; or a parameter is malformed"),
    )
)]
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

/// One product, by its id or slug.
#[utoipa::path(
    get, path = "/v1/products/{id_or_slug}", operation_id = "product", tag = "products",
    responses((status = 200, description = "The product", body = Detail), (status = 304))
)]
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

/// A picture of a product.
#[utoipa::path(
    get, path = "/v1/products/{id_or_slug}/image.svg", operation_id = "product_image", tag = "products", params(PictureQuery),
    responses((status = 200, description = "The picture", body = String, content_type = "image/svg+xml"), (status = 304))
)]
pub(crate) async fn image(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id_or_slug): Path<String>,
    Query(_version): Query<PictureQuery>,
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
