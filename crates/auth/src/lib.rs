//! Serves accounts: register, login, refresh with rotation; and the public keys that verify access tokens.
//!
//! An access token is signed here and verified anywhere without asking (ten minutes); a refresh token is a secret that
//! is good for one use. Passwords are hashed on a bounded lane and never while a lease is held.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::routing::{get, post};
use forebay_platform::admit::Admit;
use forebay_platform::db::Db;
use forebay_platform::problem;
use forebay_pool::Class;
use sqlx::migrate::Migrator;

mod device;
mod domain;
mod error;
mod key_set;
mod lane;
mod passwords;
mod routes;
mod signing;
mod store;
mod throttle;

/// The names of this service's quotas, as clients see them.
pub mod quotas {
    /// New accounts.
    pub const REGISTER: &str = "register";
    /// Attempts to log in.
    pub const LOGIN: &str = "login";
    /// New tokens for old ones.
    pub const REFRESH: &str = "refresh";
}

pub use signing::{AUDIENCE, ISSUER, SigningKey};

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
    key_set: Arc<key_set::KeySet>,
    passwords: Arc<passwords::Passwords>,
    devices: device::Devices,
    throttle: Arc<throttle::Throttle>,
}

impl State {
    /// Leases from `db` under the name `auth`; `admit` guards the door; `signing_key` signs access tokens.
    ///
    /// Takes some 20 ms: it hashes the password that unknown users are compared with.
    #[must_use]
    pub fn new(db: Db, admit: Admit, signing_key: SigningKey) -> Self {
        let key_set = Arc::new(key_set::KeySet::of(signing_key.accepted()));
        let passwords = Arc::new(passwords::Passwords::new());
        let devices = device::Devices::new(signing_key.secret_for("device cookies").as_bytes());
        let throttle = Arc::new(throttle::Throttle::new());
        Self { db: db.named("auth"), admit, signing_key, key_set, passwords, devices, throttle }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("db", &self.db).field("signing_key", &self.signing_key).finish_non_exhaustive()
    }
}

/// The routes of this service. Refresh is critical: whoever is logged in must not be logged out by our overload. A login is
/// of high class, since nothing is bought without. The key
/// set has no door before it: it needs no lease, and those who ask for it serve others.
pub fn router(state: State) -> Router {
    let normal = state.admit.class(Class::Normal);
    let high = state.admit.class(Class::High);
    let critical = state.admit.class(Class::Critical);
    Router::new()
        .route("/v1/auth/register", state.admit.within(quotas::REGISTER, post(routes::register)).layer(normal))
        .route("/v1/auth/login", post(routes::login).layer(high))
        .route("/v1/auth/refresh", state.admit.within(quotas::REFRESH, post(routes::refresh)).layer(critical))
        .route("/.well-known/jwks.json", get(routes::key_set))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(state)
}
