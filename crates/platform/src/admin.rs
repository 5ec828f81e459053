//! The admin listener's routes: probes, metrics, the pool's state and control. Never reachable from the public port.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use forebay_pool::{InvalidConfig, Resize};
use http::{StatusCode, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    db::{Db, DbSnapshot},
    extract, problem,
    problem::{FieldError, Problem},
    telemetry::Metrics,
};

mod probe_session;

pub use probe_session::{Held, ProbeSession};

/// Between two looks at the database.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A look that takes longer has failed.
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// So many failed looks in a row make unready: one may be a hiccup.
const FAILURES_TO_UNREADY: u32 = 2;

/// What the admin routes show and turn.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The pool.
    pub db: Db,
    /// Whether this process should get traffic.
    pub readiness: Readiness,
    /// What `/metrics` renders.
    pub metrics: Metrics,
    /// Who changes the pool's bounds.
    pub bounds: Arc<dyn Bounds>,
}

/// Changes a pool's bounds. A pool does it by itself; whoever shares a server with others may have to ask them first.
pub trait Bounds: fmt::Debug + Send + Sync {
    /// Changes them, or leaves them as they are and says why. Dropping the future leaves one or the other.
    fn resize(&self, bounds: Resize) -> Pin<Box<dyn Future<Output = Result<(), Problem>> + Send + '_>>;
}

impl Bounds for Db {
    fn resize(&self, bounds: Resize) -> Pin<Box<dyn Future<Output = Result<(), Problem>> + Send + '_>> {
        Box::pin(std::future::ready(Self::resize(self, bounds).map_err(refused)))
    }
}

impl Admin {
    /// `/livez`, `/readyz`, `/metrics`, and `GET` and `POST /pool`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/pool", get(pool).post(resize))
            .method_not_allowed_fallback(problem::method_not_allowed)
            .with_state(self)
    }
}

/// Whether this process should get traffic: its database answers, on a connection of its own, and it is not draining.
///
/// A full pool is no reason to be unready: it would send this instance's traffic to the others, and fill theirs. It is
/// reported in the body instead.
#[derive(Clone, Debug)]
pub struct Readiness {
    looks: Arc<Mutex<Looks>>,
    draining: watch::Receiver<bool>,
}

#[derive(Clone, Debug, Default)]
struct Looks {
    succeeded_once: bool,
    failures_in_a_row: u32,
    last_error: Option<String>,
}

impl Readiness {
    /// Unready until the first look succeeds; `draining` ends it.
    pub fn new(draining: watch::Receiver<bool>) -> Self {
        Self { looks: Arc::default(), draining }
    }

    /// Looks at the database once a second; never returns. Dropping the future stops it.
    pub async fn probe(self, session: ProbeSession) {
        loop {
            match tokio::time::timeout(PROBE_LIMIT, session.look()).await {
                Ok(Ok(())) => self.note(None),
                Ok(Err(error)) => self.note(Some(error.to_string())),
                Err(_elapsed) => self.note(Some(format!("no answer within {} s", PROBE_LIMIT.as_secs()))),
            }
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    fn note(&self, error: Option<String>) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => *looks = Looks { succeeded_once: true, ..Looks::default() },
            Some(error) => {
                looks.failures_in_a_row = looks.failures_in_a_row.saturating_add(1);
                looks.last_error = Some(error);
            }
        }
    }

    fn looks(&self) -> Looks {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn status(&self, looks: &Looks) -> &'static str {
        if *self.draining.borrow() {
            "draining"
        } else if looks.succeeded_once && looks.failures_in_a_row < FAILURES_TO_UNREADY {
            "ready"
        } else {
            "unready"
        }
    }
}

#[derive(Debug, Serialize)]
struct ReadyBody {
    status: &'static str,
    database: DatabaseBody,
    pool: PoolBody,
}

#[derive(Debug, Serialize)]
struct DatabaseBody {
    failures_in_a_row: u32,
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct PoolBody {
    saturated: bool,
    in_use: u32,
    limit: u32,
    ceiling: u32,
    waiting: u32,
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let looks = admin.readiness.looks();
    let status = admin.readiness.status(&looks);
    let Looks { failures_in_a_row, last_error, .. } = looks;
    let DbSnapshot { in_use, limit, ceiling, waiting, .. } = admin.db.snapshot();
    let body = ReadyBody {
        status,
        database: DatabaseBody { failures_in_a_row, last_error },
        pool: PoolBody { saturated: in_use >= limit, in_use, limit, ceiling, waiting },
    };
    let code = if status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(body)).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    admin.db.export_metrics();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render()).into_response()
}

async fn pool(State(admin): State<Admin>) -> Json<DbSnapshot> {
    Json(admin.db.snapshot())
}

/// What `POST /pool` understands; what is missing stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolOrder {
    /// Connections kept open without traffic.
    pub min: Option<u32>,
    /// The most connections that may exist.
    pub max: Option<u32>,
    /// Leases out at once, from now on fixed. Zero gives the choice back to the pool.
    pub limit: Option<u32>,
    /// Close every idle connection.
    pub flush_idle: bool,
}

async fn resize(
    State(admin): State<Admin>,
    extract::Json(order): extract::Json<PoolOrder>,
) -> Result<Json<DbSnapshot>, Problem> {
    let PoolOrder { min, max, limit, flush_idle } = order;
    let bounds = Resize { min_idle: min, ceiling: max, limit };
    if bounds != Resize::default() {
        admin.bounds.resize(bounds).await?;
    }
    if flush_idle {
        admin.db.flush_idle().map_err(refused)?;
    }
    tracing::info!(?order, "the pool was changed by hand");
    Ok(Json(admin.db.snapshot()))
}

/// The answer to bounds that cannot be.
pub fn refused(wrong: InvalidConfig) -> Problem {
    let errors = wrong.faults.into_iter().map(|fault| FieldError::new("", "not-possible", fault)).collect();
    Problem::invalid(errors)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use forebay_embedded::testing::database;
    use forebay_pool::{Config, Pool, Rules};
    use http::Request;
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;

    struct Fixture {
        admin: Admin,
        draining: watch::Sender<bool>,
    }

    async fn fixture() -> Fixture {
        let rules = Rules { ceiling: 4, initial_limit: 2, min_idle: 0, ..Rules::default() };
        let config = Config { rules, ..Config::named("admin-test") };
        let pool = Pool::connect(database().await.options(), config).unwrap();
        let draining = watch::Sender::new(false);
        let readiness = Readiness::new(draining.subscribe());
        let db = Db::forebay(pool);
        let bounds = Arc::new(db.clone());
        Fixture { admin: Admin { db, readiness, metrics: Metrics::of_process(), bounds }, draining }
    }

    impl Fixture {
        async fn call(&self, request: Request<Body>) -> (StatusCode, String) {
            let response = self.admin.clone().router().oneshot(request).await.unwrap();
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        }

        async fn get(&self, path: &str) -> (StatusCode, String) {
            self.call(Request::get(path).body(Body::empty()).unwrap()).await
        }

        async fn post_pool(&self, body: &'static str) -> (StatusCode, Value) {
            let request =
                Request::post("/pool").header(CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
            let (status, body) = self.call(request).await;
            (status, serde_json::from_str(&body).unwrap())
        }
    }

    #[tokio::test]
    async fn readiness_is_lost_at_the_second_failure_and_when_draining() {
        let fixture = fixture().await;
        assert_eq!(fixture.get("/readyz").await.0, 503, "nothing is known yet");
        let readiness = &fixture.admin.readiness;
        readiness.note(None);
        assert_eq!(fixture.get("/readyz").await.0, 200);
        readiness.note(Some("lost".into()));
        assert_eq!(fixture.get("/readyz").await.0, 200, "one failure is a hiccup");
        readiness.note(Some("lost".into()));
        let (status, body) = fixture.get("/readyz").await;
        assert_eq!(status, 503);
        assert!(body.contains("unready") && body.contains("lost"), "{body}");
        readiness.note(None);
        fixture.draining.send_replace(true);
        assert!(fixture.get("/readyz").await.1.contains("draining"));
        assert_eq!(fixture.get("/livez").await.0, 200);
    }

    #[tokio::test]
    async fn the_probe_finds_a_database_that_answers() {
        let fixture = fixture().await;
        let session = ProbeSession::new(database().await.options());
        let probing = tokio::spawn(fixture.admin.readiness.clone().probe(session));
        let ready = async {
            while fixture.get("/readyz").await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ready).await.unwrap();
        probing.abort();
    }

    #[tokio::test]
    async fn a_session_that_is_lost_comes_back_under_its_name() {
        let options = database().await.options().application_name("before");
        let session = ProbeSession::new(options);
        let mut held = session.hold().await;
        held.rename("after");
        drop(held.take().await.unwrap());
        drop(held);
        session.look().await.unwrap();
        let mut connection = session.hold().await.take().await.unwrap();
        let name: String =
            sqlx::query_scalar("SELECT current_setting('application_name')").fetch_one(&mut connection).await.unwrap();
        assert_eq!(name, "after");
    }

    #[tokio::test]
    async fn the_pool_is_resized_and_flushed() {
        let fixture = fixture().await;
        let (status, body) = fixture.post_pool(r#"{"max": 8, "limit": 5, "flush_idle": true}"#).await;
        assert_eq!(status, 200);
        assert_eq!(body["ceiling"], 8);
        assert_eq!(body["limit"], 5);
        let (_, shown) = fixture.get("/pool").await;
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["ceiling"], 8);
    }

    #[tokio::test]
    async fn an_impossible_order_is_refused() {
        let fixture = fixture().await;
        assert_eq!(fixture.post_pool(r#"{"max": 0}"#).await.0, 422);
        assert_eq!(fixture.post_pool(r#"{"maximum": 8}"#).await.0, 422);
        let (_, shown) = fixture.get("/pool").await;
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["ceiling"], 4);
    }

    #[tokio::test]
    async fn metrics_are_text_with_the_pool_in_them() {
        let fixture = fixture().await;
        let (status, text) = fixture.get("/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("db_client_connection_max"), "{text}");
    }
}
