//! Serves accounts: register, login, refresh with rotation.
//!
//! An access token is signed here and verified anywhere without asking (ten minutes); a refresh token is a secret that
//! is good for one use. Passwords are hashed on a bounded lane and never while a lease is held.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::routing::post;
use forebay_platform::admit::Admit;
use forebay_platform::db::Db;
use forebay_platform::problem;
use forebay_pool::Class;
use sqlx::migrate::Migrator;

mod domain;
mod error;
mod lane;
mod passwords;
mod routes;
mod signing;
mod store;

pub use signing::SigningKey;

/// The schema `auth`. The three services share one table of applied migrations, so each ignores the others' rows.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("../../migrations/auth");
    migrator.set_ignore_missing(true);
    migrator
});

/// What the handlers share.
#[derive(Clone)]
pub struct State {
    db: Db,
    admit: Admit,
    signing_key: SigningKey,
    passwords: Arc<passwords::Passwords>,
}

impl State {
    /// Leases from `db` under the name `auth`; `admit` guards the door; `signing_key` signs access tokens.
    ///
    /// Takes some 20 ms: it hashes the password that unknown users are compared with.
    #[must_use]
    pub fn new(db: Db, admit: Admit, signing_key: SigningKey) -> Self {
        Self { db: db.named("auth"), admit, signing_key, passwords: Arc::new(passwords::Passwords::new()) }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("db", &self.db).field("signing_key", &self.signing_key).finish_non_exhaustive()
    }
}

/// The routes of this service. Refresh is critical: whoever is logged in must not be logged out by our overload.
pub fn router(state: State) -> Router {
    let normal = state.admit.class(Class::Normal);
    let critical = state.admit.class(Class::Critical);
    Router::new()
        .route("/v1/auth/register", post(routes::register).layer(normal.clone()))
        .route("/v1/auth/login", post(routes::login).layer(normal))
        .route("/v1/auth/refresh", post(routes::refresh).layer(critical))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(state)
}
