//! Who is refused first: a service with a class for each route, deadlines that callers can bring forward, and retry tickets.
//!
//! ```text
//! DATABASE_URL=postgres://localhost/notes cargo run -p forebay-pool --example classes
//! curl http://127.0.0.1:3000/notes -d 'buy milk'
//! curl http://127.0.0.1:3000/notes/1 -H 'request-timeout-ms: 300'
//! curl http://127.0.0.1:3000/notes/search?word=milk
//! ```
//!
//! To see a refusal, send more than the database can do. It says when to come back, and whoever comes then goes first:
//!
//! ```text
//! HTTP/1.1 503 Service Unavailable
//! retry-after: 3
//! retry-after-ms: 2210
//! retry-ticket: AAAAAYzJ...
//!
//! {"title":"Service Unavailable","status":503,"reason":"predicted_wait","detail":"nothing was executed"}
//! ```

use std::time::Duration;

use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use forebay_pool::http::{AdmissionLayer, refusal, request_timeout};
use forebay_pool::tickets::{Principal, TicketKeys, Tickets};
use forebay_pool::{AcquireError, Admission, Class, Config, Pool, PoolError, classify};

pub(crate) const TABLE: &str =
    "create table if not exists notes (id bigint generated always as identity primary key, text text not null)";

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a service this small reads its one setting here")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|error| format!("DATABASE_URL: {error}"))?;
    let pool = Pool::connect(url.parse()?, Config::named("notes"))?;
    sqlx::raw_sql(TABLE).execute(&pool).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, router(pool)).await?)
}

pub(crate) fn router(pool: Pool) -> Router {
    let tickets = Tickets::new(TicketKeys::random(), |request| Principal::of_header(request, &AUTHORIZATION));
    let door = AdmissionLayer::new(Some(pool.clone()), classify_request, refusal).tickets(tickets);
    let notes = get(list).post(add);
    let routes =
        Router::new().route("/notes", notes).route("/notes/{id}", get(one)).route("/notes/search", get(search));
    routes.layer(door).with_state(pool)
}

/// The classifier: any function of the request. To write is what must not be lost; to search can be done without.
fn classify_request(request: &Request) -> Admission {
    let class = match (request.method(), request.uri().path()) {
        (&Method::POST, _) => Class::Critical,
        (_, "/notes/search") => Class::Low,
        (_, "/notes") => Class::Normal,
        _ => Class::High,
    };
    let admission = Admission::within(class, Duration::from_secs(2));
    match request_timeout(request.headers()) {
        Some(limit) => admission.or_sooner(limit),
        None => admission,
    }
}

type Standing = Extension<Admission>;

async fn list(State(pool): State<Pool>, Extension(admission): Standing) -> Result<Json<Vec<String>>, Failure> {
    let mut lease = pool.acquire(&admission).await?;
    let notes = sqlx::query_scalar("select text from notes order by id desc limit 20").fetch_all(&mut *lease).await?;
    Ok(Json(notes))
}

async fn one(
    State(pool): State<Pool>,
    Extension(admission): Standing,
    Path(id): Path<i64>,
) -> Result<Json<String>, Failure> {
    let mut lease = pool.acquire(&admission).await?;
    let note = sqlx::query_scalar("select text from notes where id = $1").bind(id).fetch_one(&mut *lease).await?;
    Ok(Json(note))
}

#[derive(serde::Deserialize)]
struct Search {
    word: String,
}

async fn search(
    State(pool): State<Pool>,
    Extension(admission): Standing,
    Query(Search { word }): Query<Search>,
) -> Result<Json<Vec<String>>, Failure> {
    let mut lease = pool.acquire(&admission).await?;
    let found = sqlx::query_scalar("select text from notes where text ilike '%' || $1 || '%' order by id limit 20");
    Ok(Json(found.bind(word).fetch_all(&mut *lease).await?))
}

async fn add(
    State(pool): State<Pool>,
    Extension(admission): Standing,
    text: String,
) -> Result<(StatusCode, Json<i64>), Failure> {
    // The server is told with the BEGIN how much of the deadline is left.
    let mut tx = pool.begin_with(&admission, None).await?;
    let id = sqlx::query_scalar("insert into notes (text) values ($1) returning id");
    let id = id.bind(text).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(id)))
}

struct Failure(sqlx::Error);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl From<AcquireError> for Failure {
    fn from(error: AcquireError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match (classify(&self.0), &self.0) {
            (Some(PoolError::Acquire(error)), _) => refusal(error),
            (Some(PoolError::TooLate | PoolError::Silent { .. }), _) => StatusCode::GATEWAY_TIMEOUT.into_response(),
            (_, sqlx::Error::RowNotFound) => StatusCode::NOT_FOUND.into_response(),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response(),
        }
    }
}
