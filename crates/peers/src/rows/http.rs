//! Over HTTP on loopback: what a complete refusal costs, and how much more than the database can do an app stands.

mod cost;
mod factor;

pub(crate) use cost::{CASE as COST_CASE, PROCESSOR};

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use forebay_pool::http::{AdmissionLayer, refusal};
use forebay_pool::{Admission, Class, Pool};

use super::load::PATIENCE;
use crate::run::Bench;
use crate::work::Work;
use crate::{BenchError, Held, Peer, Refused, machine};

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    machine::allow_files();
    cost::play(bench).await?;
    factor::play(bench).await
}

/// An app with our door before its one route.
fn behind_the_door(pool: Pool, work: Work) -> Router {
    let admit = |_: &Request| Admission::within(Class::Normal, PATIENCE);
    let door = AdmissionLayer::new(Some(pool.clone()), admit, refusal::<Body>);
    Router::new().route("/", get(admitted)).layer(door).with_state((pool, work))
}

async fn admitted(State((pool, work)): State<(Pool, Work)>, Extension(admission): Extension<Admission>) -> Response {
    match pool.acquire(&admission).await {
        Ok(lease) => done(lease, work).await,
        Err(error) => refusal(&error),
    }
}

/// An app that asks its pool, and nothing before it.
fn plain<P: Peer<Lease: Held>>(peer: P, work: Work) -> Router {
    Router::new().route("/", get(asked::<P>)).with_state((peer, work))
}

async fn asked<P: Peer<Lease: Held>>(State((peer, work)): State<(P, Work)>) -> Response {
    match peer.acquire(PATIENCE).await {
        Ok(lease) => done(lease, work).await,
        Err(Refused::Busy { .. }) => busy(),
        Err(Refused::Failed(_)) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn done(mut lease: impl Held, work: Work) -> Response {
    match lease.work(work, 0).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A refusal of the same kind and size as ours, ready-made.
fn busy() -> Response {
    const PROBLEM: &str =
        r#"{"title":"Service Unavailable","status":503,"reason":"queue_full","detail":"nothing was executed"}"#;
    let headers = [(CONTENT_TYPE, "application/problem+json"), (RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, PROBLEM).into_response()
}
