//! The description of the whole API, which every process serves, whichever part of it is its own.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, extract::State};
use forebay_platform::{etag::Document, openapi, problem};
use utoipa::openapi::{Info, OpenApi, OpenApiBuilder};

/// It changes with the program only.
const POLICY: HeaderValue = HeaderValue::from_static("public, max-age=300");

const SUMMARY: &str = "\
JSON in and out. Ids are UUIDs, money is an integer in minor units with a currency, times are RFC 3339 in UTC. A field or parameter \
that is not known is refused.\n\n\
Every failure is problem details (RFC 9457) with a stable `code`. 503 `overloaded` says that nothing was executed: send it again after \
`Retry-After`. 504 says that work may have begun: send again only what is idempotent, or has the same `Idempotency-Key`.\n\n\
Every request may have `X-Request-Id` (a UUID, which the answer repeats), `Request-Timeout-Ms` (for how long its sender waits), and \
`Retry-Ticket` (of the refusal before it).";

/// Rendered when it is first asked for.
static RENDERED: LazyLock<Document> = LazyLock::new(|| {
    let json = serde_json::to_vec(&described()).expect("a description always serializes");
    Document::new(Bytes::from(json), HeaderValue::from_static("application/json"), POLICY)
});

/// All operations of all services.
#[must_use]
pub fn described() -> OpenApi {
    let mut info = Info::new("Forebay", env!("CARGO_PKG_VERSION"));
    info.description = Some(SUMMARY.to_owned());
    let mut whole = OpenApiBuilder::new().info(info).build();
    for part in [forebay_catalog::openapi(), forebay_auth::openapi(), forebay_checkout::openapi()] {
        whole.merge(part);
    }
    openapi::complete(&mut whole);
    whole
}

/// `GET /openapi.json`.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/openapi.json", get(answer).with_state(&RENDERED))
        .method_not_allowed_fallback(problem::method_not_allowed)
}

async fn answer(State(rendered): State<&'static LazyLock<Document>>, request: HeaderMap) -> Response {
    rendered.answer(&request)
}
