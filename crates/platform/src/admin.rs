//! The admin listener's routes: probes, metrics, the pool's state and control. Never reachable from the public port.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use forebay_pool::{Pool, describe};
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, VARY},
};
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    db::{Db, DbSnapshot},
    problem,
    telemetry::{Form, Metrics},
};

mod guard;
mod live;
mod page;
mod pool;
mod probe_session;

pub use guard::{Guard, Names, Operator, Tokens, WrongName, WrongToken};
pub use live::Live;
pub use pool::{Bounds, PoolOrder, refused};
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
    /// What is told to those who watch.
    pub live: Live,
}

impl Admin {
    /// `/livez`, `/readyz`, `/metrics`, `GET` and `POST /pool`, `/pool/live`, and the page at `/`. To be put under a [`Guard`].
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/pool", get(pool::show).post(pool::resize))
            .route("/pool/live", get(live::stream))
            .merge(page::router())
            .fallback(problem::not_found)
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
                Ok(Err(error)) => self.note_failure(describe(&error).to_string()),
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

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    admin.db.export_metrics();
    let form = Form::wanted(&headers);
    ([(CONTENT_TYPE, form.content_type()), (VARY, "Accept")], admin.metrics.page(form)).into_response()
}

#[cfg(test)]
mod tests;
