//! Serves accounts: register, login, refresh with rotation, logout, and what users see and change of theirs; and what others
//! verify access tokens by: the public keys, and the sessions that have ended.
//!
//! An access token is signed here and verified anywhere without asking (ten minutes); a refresh token is a secret that
//! is good for one use. Passwords are hashed on a bounded lane and never while a lease is held.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{delete, get, post, put};
use forebay_platform::admit::Admit;
use forebay_platform::db::Db;
use forebay_platform::etag::Document;
use forebay_platform::identity::{RevokedSessions, Verifier};
use forebay_platform::problem;
use forebay_pool::Class;
use sqlx::migrate::Migrator;

pub mod admins;
mod cleaning;
mod device;
mod domain;
mod ended;
mod error;
mod lane;
mod openapi;
mod passwords;
mod published;
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

pub use cleaning::{Cleaned, clean, keep_clean};
pub use ended::keep_told;
pub use openapi::openapi;
pub use passwords::keep_small;
use published::EndedSessions;
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
    verifier: Verifier,
    revoked: RevokedSessions,
    key_set: Arc<Document>,
    ended_sessions: Arc<EndedSessions>,
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
        let revoked = RevokedSessions::default();
        Self {
            db: db.named("auth"),
            admit,
            verifier: signing_key.verifier().refusing(revoked.clone()),
            key_set: Arc::new(published::of_keys(signing_key.accepted())),
            ended_sessions: Arc::new(EndedSessions::new(revoked.clone())),
            passwords: Arc::new(passwords::Passwords::new()),
            devices: device::Devices::new(&signing_key.secret_for("device cookies")),
            throttle: Arc::new(throttle::Throttle::new()),
            signing_key,
            revoked,
        }
    }

    /// What accepts the tokens that are made here, and refuses those of a session from the moment that it ends here.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }
}

impl FromRef<State> for Verifier {
    fn from_ref(state: &State) -> Self {
        state.verifier()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("db", &self.db).field("signing_key", &self.signing_key).finish_non_exhaustive()
    }
}

/// The routes of this service. Refresh and logout are critical: whoever is logged in must neither be logged out nor kept in
/// by our overload. A login is of high class, since nothing is bought without. What verifies access tokens has no door before
/// it: it needs no lease, and those who ask for it serve others.
pub fn router(state: State) -> Router {
    let low = state.admit.class(Class::Low);
    let normal = || state.admit.class(Class::Normal);
    let high = state.admit.class(Class::High);
    let critical = || state.admit.class(Class::Critical);
    let addresses = get(routes::addresses::list).post(routes::addresses::create);
    let address = get(routes::addresses::read).put(routes::addresses::replace).delete(routes::addresses::remove);
    Router::new()
        .route("/v1/auth/login", post(routes::login).layer(high))
        .route("/v1/auth/refresh", state.admit.within(quotas::REFRESH, post(routes::refresh)).layer(critical()))
        .route("/v1/auth/logout", post(routes::sessions::logout).layer(critical()))
        .route("/v1/auth/logout-all", post(routes::sessions::logout_all).layer(critical()))
        .route("/v1/auth/register", state.admit.within(quotas::REGISTER, post(routes::register)).layer(normal()))
        .route("/v1/me", get(routes::me::read).patch(routes::me::change).layer(normal()))
        .route("/v1/me/password", put(routes::me::change_password).layer(normal()))
        .route("/v1/me/sessions", get(routes::sessions::list).layer(low.clone()))
        .route("/v1/me/sessions/{id}", delete(routes::sessions::end).layer(normal()))
        .route("/v1/me/addresses", addresses.layer(normal()))
        .route("/v1/me/addresses/{id}", address.layer(normal()))
        .route("/v1/admin/audit", get(routes::audit::list).layer(low))
        .route("/.well-known/jwks.json", get(routes::key_set))
        .route("/.well-known/revoked-sessions.json", get(routes::revoked_sessions))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(state)
}
