//! The shop front: what a browser shows at `/`, and what `curl` is told there.
//!
//! Static files without a build step, which know the public API and nothing else. They take no lease, so that the page comes
//! also where the pool refuses, and tells its reader so.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get},
};
use forebay_platform::{etag::Document, problem, text::COUNTRIES, visitor};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_FRAME_OPTIONS},
};

/// What the page loads, by its name below `/assets/`.
const ASSETS: [(&str, &str, &str); 9] = [
    ("api.js", SCRIPT, include_str!("../assets/api.js")),
    ("browse.js", SCRIPT, include_str!("../assets/browse.js")),
    ("buy.js", SCRIPT, include_str!("../assets/buy.js")),
    ("cart.js", SCRIPT, include_str!("../assets/cart.js")),
    ("dom.js", SCRIPT, include_str!("../assets/dom.js")),
    ("main.js", SCRIPT, include_str!("../assets/main.js")),
    ("orders.js", SCRIPT, include_str!("../assets/orders.js")),
    ("session.js", SCRIPT, include_str!("../assets/session.js")),
    ("style.css", "text/css; charset=utf-8", include_str!("../assets/style.css")),
];
const MARK: &str = include_str!("../assets/mark.svg");
const PAGE: &str = include_str!("../assets/index.html");
const COMMANDS: &str = include_str!("../assets/commands.sh");

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// No script, style or picture but our own, none of them inside the page, and no text that becomes HTML.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The address in the commands, where the request does not name one that can be shown.
const USUAL_HOST: &str = "127.0.0.1:8080";

/// `/`, and what it loads from `/assets/`.
pub fn router() -> Router {
    let countries = format!("export const COUNTRIES = \"{COUNTRIES}\".split(\" \");\n");
    let page = Arc::new(page());
    let router = Router::new()
        .route("/", get(move |headers: HeaderMap| async move { front(&page, &headers) }))
        .route("/assets/countries.js", asset(SCRIPT, countries))
        .route("/assets/mark.svg", asset("image/svg+xml", MARK));
    ASSETS
        .into_iter()
        .fold(router, |router, (name, kind, text)| router.route(&format!("/assets/{name}"), asset(kind, text)))
        .method_not_allowed_fallback(problem::method_not_allowed)
}

/// Kept by browsers, and asked for by its tag each time: after an update no old script meets a new page.
fn document(kind: &'static str, body: impl Into<Bytes>) -> Document {
    Document::new(body.into(), HeaderValue::from_static(kind), HeaderValue::from_static("public, no-cache"))
}

fn page() -> Document {
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "same-origin"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (VARY, "Accept"),
    ];
    let page = document("text/html; charset=utf-8", PAGE);
    headers.into_iter().fold(page, |page, (name, value)| page.with(name, HeaderValue::from_static(value)))
}

fn asset(kind: &'static str, body: impl Into<Bytes>) -> MethodRouter {
    let document = Arc::new(document(kind, body));
    get(move |headers: HeaderMap| async move { document.answer(&headers) })
}

/// `GET /`: the page for who asks for HTML, the commands for everybody else.
fn front(page: &Document, request: &HeaderMap) -> Response {
    if visitor::wants_html(request) {
        return page.answer(request);
    }
    let commands = COMMANDS.replace(USUAL_HOST, visitor::host(request).unwrap_or(USUAL_HOST));
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (VARY, "Accept")];
    (headers, commands).into_response()
}

#[cfg(test)]
mod tests;
