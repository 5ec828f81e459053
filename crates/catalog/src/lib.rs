//! Serves products: lists with keyset cursors, one product by id or slug.
//!
//! Reads only. Every answer may be cached for a moment (`Cache-Control`) and asked for again by `ETag`; a failure of
//! the database is an error, never an empty list or a 404.

use std::sync::LazyLock;

use axum::Router;
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
mod routes;
mod store;

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
}

impl State {
    /// Leases from `db` under the name `catalog`; `admit` guards the door.
    #[must_use]
    pub fn new(db: Db, admit: Admit) -> Self {
        Self { db: db.named("catalog"), admit }
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
    Router::new()
        .route("/v1/products", get(routes::list).route_layer(normal))
        .route("/v1/products/{id_or_slug}", get(routes::product).route_layer(high))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(state)
}
