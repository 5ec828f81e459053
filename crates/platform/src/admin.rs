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
use forebay_pool::{InvalidConfig, Pool, Resize};
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

/// Whether this process should get traffic: its database answers, on a connection of its own, its pool has connections or
/// could open some, and it is not draining.
///
/// A database that takes no writes makes a process unready that is there for them, and one degraded that has something
/// left to serve ([`Writes`]). A full pool is no reason to be unready: it would send this instance's traffic to the others, and fill theirs. It is
/// reported in the body instead.
#[derive(Clone, Debug)]
pub struct Readiness {
    looks: Arc<Mutex<Looks>>,
    draining: watch::Receiver<bool>,
    writes: Writes,
}

/// What becomes of a process whose database takes no writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    /// It makes none, and is as ready as before.
    Never,
    /// It reads too: it is degraded, and gets traffic.
    #[default]
    Sometimes,
    /// It is there for them, and is unready.
    Mostly,
}

#[derive(Clone, Debug, Default)]
struct Looks {
    succeeded_once: bool,
    failures_in_a_row: u32,
    last_error: Option<String>,
    refuses_writes: bool,
}

impl Readiness {
    /// Unready until the first look succeeds; `draining` ends it.
    pub fn new(draining: watch::Receiver<bool>) -> Self {
        Self { looks: Arc::default(), draining, writes: Writes::default() }
    }

    /// The same, for a process that makes such writes.
    #[must_use]
    pub fn making(self, writes: Writes) -> Self {
        Self { writes, ..self }
    }

    /// Looks at the database once a second; never returns. Dropping the future stops it.
    pub async fn probe(self, session: ProbeSession) {
        loop {
            match tokio::time::timeout(PROBE_LIMIT, session.look()).await {
                Ok(Ok(takes_writes)) => self.note_answer(takes_writes),
                Ok(Err(error)) => self.note_failure(error.to_string()),
                Err(_elapsed) => self.note_failure(format!("no answer within {} s", PROBE_LIMIT.as_secs())),
            }
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    fn note_answer(&self, takes_writes: bool) {
        let looks = Looks { succeeded_once: true, refuses_writes: !takes_writes, ..Looks::default() };
        *self.looks.lock().unwrap_or_else(PoisonError::into_inner) = looks;
    }

    fn note_failure(&self, error: String) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.failures_in_a_row = looks.failures_in_a_row.saturating_add(1);
        looks.last_error = Some(error);
    }

    fn looks(&self) -> Looks {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `opens` says whether the pool has connections, or could open some.
    fn status(&self, looks: &Looks, opens: bool) -> &'static str {
        match self.writes {
            _ if *self.draining.borrow() => "draining",
            _ if !Self::answers(looks) || !opens => "unready",
            Writes::Mostly if looks.refuses_writes => "unready",
            Writes::Sometimes if looks.refuses_writes => "degraded",
            _ => "ready",
        }
    }

    /// What of its work a process cannot do now.
    fn cannot_serve(&self, looks: &Looks, opens: bool) -> Vec<&'static str> {
        if !Self::answers(looks) || !opens {
            return vec!["reads", "writes"];
        }
        if looks.refuses_writes && self.writes != Writes::Never { vec!["writes"] } else { Vec::new() }
    }

    fn answers(looks: &Looks) -> bool {
        looks.succeeded_once && looks.failures_in_a_row < FAILURES_TO_UNREADY
    }
}

#[derive(Debug, Serialize)]
struct ReadyBody {
    status: &'static str,
    /// `reads`, `writes`, or both.
    cannot_serve: Vec<&'static str>,
    database: DatabaseBody,
    pool: PoolBody,
}

#[derive(Debug, Serialize)]
struct DatabaseBody {
    takes_writes: bool,
    failures_in_a_row: u32,
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct PoolBody {
    /// Whether a connection is open, or could be.
    opens: bool,
    last_open_error: Option<Arc<str>>,
    saturated: bool,
    in_use: u32,
    limit: u32,
    ceiling: u32,
    waiting: u32,
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let looks = admin.readiness.looks();
    let DbSnapshot { in_use, limit, ceiling, waiting, breaker, .. } = admin.db.snapshot();
    let opens = breaker == "closed";
    let status = admin.readiness.status(&looks, opens);
    let cannot_serve = admin.readiness.cannot_serve(&looks, opens);
    let last_open_error = admin.db.pool().and_then(Pool::last_open_error);
    let Looks { failures_in_a_row, last_error, refuses_writes, .. } = looks;
    let body = ReadyBody {
        status,
        cannot_serve,
        database: DatabaseBody { takes_writes: !refuses_writes, failures_in_a_row, last_error },
        pool: PoolBody { opens, last_open_error, saturated: in_use >= limit, in_use, limit, ceiling, waiting },
    };
    let gets_traffic = matches!(status, "ready" | "degraded");
    let code = if gets_traffic { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
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
    use forebay_pool::{Config, Rules};
    use http::Request;
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use sqlx::Connection as _;
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
        readiness.note_answer(true);
        assert_eq!(fixture.get("/readyz").await.0, 200);
        readiness.note_failure("lost".into());
        assert_eq!(fixture.get("/readyz").await.0, 200, "one failure is a hiccup");
        readiness.note_failure("lost".into());
        let (status, body) = fixture.get("/readyz").await;
        assert_eq!(status, 503);
        assert!(body.contains("unready") && body.contains("lost"), "{body}");
        readiness.note_answer(true);
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
    async fn a_process_whose_database_takes_no_writes_says_so_and_is_as_ready_as_it_can_be() {
        let mut fixture = fixture().await;
        let cases =
            [(Writes::Never, 200, "ready"), (Writes::Sometimes, 200, "degraded"), (Writes::Mostly, 503, "unready")];
        for (writes, code, word) in cases {
            fixture.admin.readiness = fixture.admin.readiness.clone().making(writes);
            fixture.admin.readiness.note_answer(false);
            let (status, body) = fixture.get("/readyz").await;
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((status.as_u16(), body["status"].as_str()), (code, Some(word)), "{writes:?}");
            assert_eq!(body["database"]["takes_writes"], false);
            let lacking = body["cannot_serve"].as_array().unwrap().iter().any(|what| what == "writes");
            assert_eq!(lacking, writes != Writes::Never);
            fixture.admin.readiness.note_answer(true);
            assert!(fixture.get("/readyz").await.1.contains("\"ready\""));
        }
    }

    /// What the probe says after each of these was done to the database.
    #[tokio::test]
    async fn the_probe_sees_a_database_that_takes_no_writes_though_its_own_session_is_older() {
        let database = database().await;
        let session = ProbeSession::new(database.options());
        assert!(session.look().await.unwrap());
        let name = database.options().get_database().unwrap().to_owned();
        let mut outside = sqlx::PgConnection::connect_with(&database.options()).await.unwrap();
        let all = format!("database {name}");
        let one = format!("role forebay in database {name}");
        let steps = [
            (format!("alter {all} set default_transaction_read_only = on"), false),
            (format!("alter {one} set default_transaction_read_only = off"), true),
            (format!("alter {one} reset default_transaction_read_only"), false),
            (format!("alter {all} reset default_transaction_read_only"), true),
            (format!("alter {one} set default_transaction_read_only = yes"), false),
        ];
        for (sql, takes_writes) in steps {
            let sql = format!("set default_transaction_read_only = off; {sql}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&mut outside).await.unwrap();
            assert_eq!(session.look().await.unwrap(), takes_writes, "{sql}");
            let fresh = ProbeSession::new(database.options());
            assert_eq!(fresh.look().await.unwrap(), takes_writes, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_process_that_can_open_no_connection_is_not_ready_though_its_probe_has_one() {
        let database = database().await;
        let options = database.options();
        let rules = Rules { ceiling: 4, initial_limit: 2, min_idle: 1, ..Rules::default() };
        let nowhere = options.clone().database("not_there");
        let pool = Pool::connect(nowhere, Config { rules, ..Config::named("admin-test") }).unwrap();
        let mut fixture = fixture().await;
        fixture.admin.db = Db::forebay(pool);
        let readiness = &fixture.admin.readiness;
        let unready = async {
            while fixture.get("/readyz").await.0 == 200 {
                ProbeSession::new(options.clone()).look().await.map(|writes| readiness.note_answer(writes)).unwrap();
            }
        };
        readiness.note_answer(true);
        tokio::time::timeout(Duration::from_secs(20), unready).await.unwrap();
        let (_, body) = fixture.get("/readyz").await;
        assert!(body.contains("unready") && body.contains("not_there") && body.contains("reads"), "{body}");
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
