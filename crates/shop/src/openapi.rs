//! The description of the whole API, which every process serves, whichever part of it is its own.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderMap, HeaderValue};
use axum::routing::get;
use forebay_platform::{etag::Document, openapi, problem};
use utoipa::openapi::{Info, OpenApi, OpenApiBuilder};

mod page;

/// It changes with the program only.
const POLICY: HeaderValue = HeaderValue::from_static("public, max-age=300");

const SUMMARY: &str = "\
JSON in and out. Ids are UUIDs, money is an integer in minor units with a currency, times are RFC 3339 in UTC. A field or parameter \
that is not known is refused.\n\n\
Every failure is problem details (RFC 9457) with a stable `code`. 503 `overloaded` says that nothing was executed: send it again after \
`Retry-After`. 504 says that work may have begun: send again only what is idempotent, or has the same `Idempotency-Key`.\n\n\
Every request may have `X-Request-Id` (a UUID, which the answer repeats), `Request-Timeout-Ms` (for how long its sender waits), and \
`Retry-Ticket` (of the refusal before it).";

/// The page takes what is its own, and nothing runs in it.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is answered, rendered when it is first asked for.
struct Rendered {
    json: Document,
    page: Document,
    style: Document,
}

static RENDERED: LazyLock<Rendered> = LazyLock::new(|| {
    let described = serde_json::to_value(described()).expect("a description always serializes");
    let kept =
        |text: String, media_type| Document::new(Bytes::from(text), HeaderValue::from_static(media_type), POLICY);
    let page = kept(page::render(&described), "text/html; charset=utf-8");
    Rendered {
        json: kept(described.to_string(), "application/json"),
        page: page.with(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY)),
        style: kept(page::STYLE.to_owned(), "text/css; charset=utf-8"),
    }
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

/// `GET /openapi.json`, and the page that shows it to people.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/openapi.json", get(async |request: HeaderMap| RENDERED.json.answer(&request)))
        .route("/docs", get(async |request: HeaderMap| RENDERED.page.answer(&request)))
        .route("/docs/style.css", get(async |request: HeaderMap| RENDERED.style.answer(&request)))
        .method_not_allowed_fallback(problem::method_not_allowed)
}
