//! A small service on sqlx's own pool. `axum.rs` beside it is the same on this one: compare the two.
//!
//! ```text
//! DATABASE_URL=postgres://localhost/notes cargo run -p forebay-pool --example axum_sqlx
//! curl http://127.0.0.1:3000/notes -d 'buy milk'
//! ```

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use sqlx::PgPool;

pub(crate) const TABLE: &str =
    "create table if not exists notes (id bigint generated always as identity primary key, text text not null)";

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a service this small reads its one setting here")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|error| format!("DATABASE_URL: {error}"))?;
    let pool = PgPool::connect(&url).await?;
    sqlx::raw_sql(TABLE).execute(&pool).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, router(pool)).await?)
}

pub(crate) fn router(pool: PgPool) -> Router {
    let notes = get(list).post(add);
    Router::new().route("/notes", notes).with_state(pool)
}

async fn list(State(pool): State<PgPool>) -> Result<Json<Vec<(i64, String)>>, Failure> {
    let notes = sqlx::query_as("select id, text from notes order by id desc limit 20").fetch_all(&pool).await?;
    Ok(Json(notes))
}

async fn add(State(pool): State<PgPool>, text: String) -> Result<(StatusCode, Json<i64>), Failure> {
    let mut tx = pool.begin().await?;
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

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match &self.0 {
            sqlx::Error::PoolTimedOut => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response(),
        }
    }
}
