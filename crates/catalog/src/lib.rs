//! Serves products: lists with keyset cursors, one product by id or slug.
//!
//! Reads only. Every answer may be cached for a moment (`Cache-Control`) and asked for again by `ETag`; a failure of
//! the database is an error, never an empty list or a 404.

use std::sync::LazyLock;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use forebay_platform::admit::Admit;
use forebay_platform::db::Db;
use forebay_platform::problem;
use forebay_pool::Class;
use sqlx::migrate::Migrator;

mod caching;
mod cursor;
mod domain;
mod error;
mod openapi;
mod pages;
mod routes;
mod store;

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
}

impl State {
    /// Leases from `db` under the name `catalog`; `admit` guards the door.
    #[must_use]
    pub fn new(db: Db, admit: Admit) -> Self {
        Self { db: db.named("catalog"), admit, pages: None }
    }

    /// Keeps pages that were answered (512, of 8 MiB together), and answers with one of the last five minutes what the pool
    /// refuses: 200 with `Age` and `Cache-Status: forebay-catalog; hit; detail=degraded`, in place of 503 `overloaded`.
    #[must_use]
    pub fn keeping_pages(self) -> Self {
        Self { pages: Some(pages::Pages::default()), ..self }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("db", &self.db).finish_non_exhaustive()
    }
}

/// The routes of this service. One product is of high class: carts and orders begin there.
pub fn router(state: State) -> Router {
    let (normal, high) = (state.admit.class(Class::Normal), state.admit.class(Class::High));
    let mut router = Router::new()
        .route("/v1/products", get(routes::list).route_layer(normal))
        .route("/v1/products/{id_or_slug}", get(routes::product).route_layer(high));
    if let Some(pages) = state.pages.clone() {
        router = router.route_layer(from_fn_with_state(pages, pages::instead_of_a_refusal));
    }
    router.method_not_allowed_fallback(problem::method_not_allowed).with_state(state)
}
