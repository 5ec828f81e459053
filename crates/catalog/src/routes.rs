//! The endpoints. Each lease ends before anything is rendered.

use axum::Extension;
use axum::extract;
use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, LINK};
use axum::response::Response;
use forebay_platform::extract::{Path, Query};
use forebay_pool::Admission;
use uuid::Uuid;

use crate::caching;
use crate::domain::{Detail, ListQuery, Page, PageRequest, Sort};
use crate::error::Error;
use crate::{State, store};

/// A page of products.
#[utoipa::path(
    get, path = "/v1/products", operation_id = "products", tag = "products", params(ListQuery),
    responses(
        (status = 200, description = "The page", body = Page, headers(("Link" = String, description = "The next page, as `rel=\"next\"`"))),
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
    let request = query.parse()?;
    let mut lease = state.db.acquire(&admission).await?;
    let rows = store::page(&mut lease.conn(), &request.after, request.limit + 1).await?;
    drop(lease);
    let page = Page::cut(rows, &request);
    Ok(linked(caching::answer(&headers, &page), &page, &request))
}

/// One product, by its id or slug.
#[utoipa::path(
    get, path = "/v1/products/{id_or_slug}", operation_id = "product", tag = "products",
    responses((status = 200, description = "The product", body = Detail), (status = 304))
)]
pub(crate) async fn product(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id_or_slug): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let product = match Uuid::try_parse(&id_or_slug) {
        Ok(id) => store::product_by_id(&mut lease.conn(), id).await?,
        Err(_) => store::product_by_slug(&mut lease.conn(), &id_or_slug).await?,
    };
    let product = product.ok_or(Error::NotFound)?;
    let skus = store::skus_of(&mut lease.conn(), &product).await?;
    drop(lease);
    Ok(caching::answer(&headers, &Detail::new(product, skus)))
}

/// `Link: <...>; rel="next"` (RFC 8288), for clients that do not read the body.
fn linked(mut response: Response, page: &Page, request: &PageRequest) -> Response {
    if let Some(cursor) = &page.page.next_cursor {
        let (sort, limit) = (name_of(request.sort), request.limit);
        let link = format!("</v1/products?sort={sort}&limit={limit}&cursor={cursor}>; rel=\"next\"");
        response.headers_mut().insert(LINK, HeaderValue::try_from(link).expect("base64url and names are plain ASCII"));
    }
    response
}

fn name_of(sort: Sort) -> &'static str {
    match sort {
        Sort::Newest => "newest",
        Sort::Popular => "popular",
        Sort::PriceAsc => "price_asc",
        Sort::PriceDesc => "price_desc",
        Sort::Name => "name",
    }
}
