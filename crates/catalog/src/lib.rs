//! Serves products: lists with keyset cursors, filters and search, one product by id or slug, its picture; and the tree of
//! categories.
//!
//! Every answer may be cached for a moment (`Cache-Control`) and asked for again by `ETag`; a failure of
//! the database is an error, never an empty list or a 404.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock, OnceLock};

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, patch, post};
use forebay_platform::admit::Admit;
use forebay_platform::db::{Conn, Db};
use forebay_platform::identity::Verifier;
use forebay_platform::problem;
use forebay_pool::Class;
use sqlx::migrate::Migrator;

mod caching;
mod cursor;
mod domain;
mod error;
mod openapi;
mod pages;
mod picture;
mod routes;
pub mod stock;
mod store;
mod tree;

pub use openapi::openapi;

/// The schema `catalog`. The three services share one table of applied migrations, so each ignores the others' rows.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("../../migrations/catalog");
    migrator.set_ignore_missing(true);
    migrator
});

/// What the handlers share.
#[derive(Clone)]
pub struct State {
    db: Db,
    admit: Admit,
    pages: Option<pages::Pages>,
    tree: tree::Tree,
    verifier: Verifier,
    /// Set when there are SKUs whose stock may have been told before they were here.
    read_stock_anew: Arc<AtomicBool>,
    /// Set once it is known that names can be searched by resemblance.
    resemblance: Arc<OnceLock<()>>,
}

impl State {
    /// Leases from `db` under the name `catalog`; `admit` guards the door.
    #[must_use]
    pub fn new(db: Db, admit: Admit) -> Self {
        Self {
            db: db.named("catalog"),
            admit,
            pages: None,
            tree: tree::Tree::default(),
            verifier: Verifier::new("nobody", "nobody", []),
            read_stock_anew: Arc::default(),
            resemblance: Arc::default(),
        }
    }

    /// The same for admins, whose tokens `verifier` accepts; without, there are none.
    #[must_use]
    pub fn for_admins(self, verifier: Verifier) -> Self {
        Self { verifier, ..self }
    }

    /// Keeps pages that were answered (512, of 8 MiB together), and answers with one of the last five minutes what the pool
    /// refuses: 200 with `Age` and `Cache-Status: forebay-catalog; hit; detail=degraded`, in place of 503 `overloaded`.
    #[must_use]
    pub fn keeping_pages(self) -> Self {
        pages::describe_metrics();
        Self { pages: Some(pages::Pages::default()), ..self }
    }

    fn read_stock_anew(&self) {
        self.read_stock_anew.store(true, Relaxed);
    }

    /// Asked for until it can: the index may be made while we serve.
    async fn knows_resemblance(&self, conn: &mut Conn<'_>) -> Result<bool, sqlx::Error> {
        if self.resemblance.get().is_none() && store::lists::knows_resemblance(conn).await? {
            self.resemblance.get_or_init(|| ());
        }
        Ok(self.resemblance.get().is_some())
    }
}

impl FromRef<State> for Verifier {
    fn from_ref(state: &State) -> Self {
        state.verifier.clone()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("db", &self.db).finish_non_exhaustive()
    }
}

/// The routes of this service. One product is of high class: carts and orders begin there. A search is of low class, and so is
/// a picture.
pub fn router(state: State) -> Router {
    let normal = || state.admit.class(Class::Normal);
    let (high, low) = (state.admit.class(Class::High), state.admit.class(Class::Low));
    let lists = state.admit.class_of(class_of_list);
    let mut router = Router::new()
        .route("/v1/products", get(routes::products::list).route_layer(lists))
        .route("/v1/products/{id_or_slug}", get(routes::products::read).route_layer(high))
        .route("/v1/categories", get(routes::categories::tree).route_layer(normal()))
        .route("/v1/categories/{slug}", get(routes::categories::one).route_layer(normal()));
    if let Some(pages) = state.pages.clone() {
        router = router.route_layer(from_fn_with_state(pages, pages::instead_of_a_refusal));
    }
    router
        .route("/v1/products/{id_or_slug}/image.svg", get(routes::products::image).route_layer(low))
        .merge(admin_router(&state))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(state)
}

fn admin_router(state: &State) -> Router<State> {
    Router::new()
        .route("/v1/admin/products", post(routes::admin::create))
        .route("/v1/admin/products/{id}", get(routes::admin::read).patch(routes::admin::change))
        .route("/v1/admin/products/{id}/archive", post(routes::admin::archive))
        .route("/v1/admin/products/{id}/skus/{sku}", patch(routes::admin::change_sku))
        .route("/v1/admin/categories", post(routes::admin::create_category))
        .route_layer(state.admit.class(Class::Normal))
}

fn class_of_list(request: &Request) -> Class {
    let query = request.uri().query().unwrap_or_default();
    let is_search = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "q");
    if is_search { Class::Low } else { Class::Normal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_search_when_it_says_what_for_however_that_is_written() {
        let class = |query: &str| {
            class_of_list(&Request::get(format!("/v1/products?{query}")).body(axum::body::Body::empty()).unwrap())
        };
        for search in ["q=a", "limit=3&q=", "%71=a"] {
            assert_eq!(class(search), Class::Low, "{search}");
        }
        for list in ["", "sort=name", "brand=q", "qq=q"] {
            assert_eq!(class(list), Class::Normal, "{list}");
        }
    }
}
