use std::sync::Arc;

use axum::Extension;
use axum::extract;
use axum::http::HeaderMap;
use axum::response::Response;
use forebay_platform::extract::Path;
use forebay_pool::Admission;

use crate::caching;
use crate::domain::{Categories, Category, CategoryView};
use crate::error::Error;
use crate::{State, store};

/// All categories, as a tree.
#[utoipa::path(
    get, path = "/v1/categories", operation_id = "categories", tag = "products",
    responses((status = 200, description = "Those at the top", body = Vec<Category>), (status = 304))
)]
pub(crate) async fn tree(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let categories = match state.tree.get() {
        Some(categories) => categories,
        None => read(&state, &admission).await?,
    };
    Ok(caching::answer(&headers, &*categories))
}

/// One category.
#[utoipa::path(
    get, path = "/v1/categories/{slug}", operation_id = "category", tag = "products",
    responses((status = 200, description = "The category", body = CategoryView<'_>), (status = 304))
)]
pub(crate) async fn one(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    // One that is not in the tree may be newer.
    let known = state.tree.get().filter(|categories| categories.find(&slug).is_some());
    let categories = match known {
        Some(categories) => categories,
        None => read(&state, &admission).await?,
    };
    let category = categories.find(&slug).ok_or(Error::NotFound("category"))?;
    Ok(caching::answer(&headers, &category))
}

/// From the database, for the next minute.
async fn read(state: &State, admission: &Admission) -> Result<Arc<Categories>, Error> {
    let mut lease = state.db.acquire(admission).await?;
    let rows = store::categories::all(&mut lease.conn()).await?;
    drop(lease);
    Ok(state.tree.keep(Categories::of(&rows)))
}
