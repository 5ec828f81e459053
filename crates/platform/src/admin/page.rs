//! The page at `/`: static files without a build step, which know `/pool` and `/pool/live` and nothing else.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get},
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_FRAME_OPTIONS},
};

use crate::{etag::Document, visitor};

/// What the page loads, by its path.
const ASSETS: [(&str, &str, &str); 7] = [
    ("/assets/chart.js", SCRIPT, include_str!("../../assets/admin/chart.js")),
    ("/assets/dom.js", SCRIPT, include_str!("../../assets/admin/dom.js")),
    ("/assets/findings.js", SCRIPT, include_str!("../../assets/admin/findings.js")),
    ("/assets/page.js", SCRIPT, include_str!("../../assets/admin/page.js")),
    ("/assets/stream.js", SCRIPT, include_str!("../../assets/admin/stream.js")),
    ("/assets/page.css", "text/css; charset=utf-8", include_str!("../../assets/admin/page.css")),
    ("/assets/mark.svg", "image/svg+xml", include_str!("../../assets/admin/mark.svg")),
];
const PAGE: &str = include_str!("../../assets/admin/page.html");
const COMMANDS: &str = include_str!("../../assets/admin/commands.txt");

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// No script, style or picture but our own, none of them inside the page, and no text that becomes HTML.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The address in the commands, where the request does not name one that can be shown.
const USUAL_HOST: &str = "127.0.0.1:9090";

/// Whether this is the page or a part of it: it is the same for everybody, and says nothing of the process. A browser that
/// opens an address can show no token.
pub(super) fn is_part(path: &str) -> bool {
    path == "/" || ASSETS.iter().any(|(asset, ..)| *asset == path)
}

/// `/`, and what it loads from `/assets/`.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = Arc::new(page());
    let router = Router::new().route("/", get(move |headers: HeaderMap| async move { front(&page, &headers) }));
    ASSETS.into_iter().fold(router, |router, (path, kind, text)| router.route(path, asset(kind, text)))
}

/// Kept by browsers, and asked for by its tag each time: after an update no old script meets a new page.
fn document(kind: &'static str, text: &'static str) -> Document {
    let policy = HeaderValue::from_static("private, no-cache");
    Document::new(Bytes::from_static(text.as_bytes()), HeaderValue::from_static(kind), policy)
}

fn page() -> Document {
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (VARY, "Accept"),
    ];
    let page = document("text/html; charset=utf-8", PAGE);
    headers.into_iter().fold(page, |page, (name, value)| page.with(name, HeaderValue::from_static(value)))
}

fn asset<S: Clone + Send + Sync + 'static>(kind: &'static str, text: &'static str) -> MethodRouter<S> {
    let document = Arc::new(document(kind, text));
    get(move |headers: HeaderMap| async move { document.answer(&headers) })
}

/// The page for who asks for HTML, the commands for everybody else.
fn front(page: &Document, request: &HeaderMap) -> Response {
    if visitor::wants_html(request) {
        return page.answer(request);
    }
    let commands = COMMANDS.replace(USUAL_HOST, visitor::host(request).unwrap_or(USUAL_HOST));
    ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (VARY, "Accept")], commands).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{
        Request, StatusCode,
        header::{ACCEPT, HOST},
    };
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::admin::{Guard, Names};

    const OF_A_BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    async fn asked(guard: &Guard, path: &str, sent: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, String) {
        let request = sent.iter().fold(Request::get(path), |request, (name, value)| request.header(name, *value));
        let pool = Router::new().route("/pool", get(async || "the pool")).route("/pool/live", get(async || "live"));
        let answer = guard.clone().over(router().merge(pool)).oneshot(request.body(Body::empty()).unwrap()).await;
        let (head, body) = answer.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    fn guard(tokens: Option<&str>) -> Guard {
        let tokens = tokens.map(|tokens| tokens.parse().unwrap());
        Guard::new("127.0.0.1:9090".parse().unwrap(), Names::default(), tokens)
    }

    #[tokio::test]
    async fn a_browser_gets_the_page_and_curl_the_commands_for_its_host() {
        let (status, headers, page) = asked(&guard(None), "/", &[(ACCEPT, OF_A_BROWSER)]).await;
        assert_eq!((status, headers[CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "text/html; charset=utf-8"));
        assert!(page.starts_with("<!doctype html>") && page.contains("<noscript>"), "{page}");
        for (host, shown) in [("localhost:81", "http://localhost:81\n"), ("127.0.0.1", "http://127.0.0.1\n")] {
            let (_, headers, text) = asked(&guard(None), "/", &[(HOST, host), (ACCEPT, "*/*")]).await;
            assert_eq!(
                (headers[CONTENT_TYPE].to_str().unwrap(), headers[VARY].to_str().unwrap()),
                ("text/plain; charset=utf-8", "Accept")
            );
            assert!(text.contains(&format!("ADMIN={shown}")) && text.contains("/pool/live"), "{text}");
        }
    }

    #[tokio::test]
    async fn everything_that_the_page_or_a_module_names_is_there() {
        let of_page = PAGE.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
        let of_modules = ASSETS.iter().flat_map(|(_, _, text)| {
            text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned)
        });
        let named: Vec<_> = of_page.chain(of_modules).collect();
        assert!(named.len() > 7, "{named:?}");
        for name in named {
            assert_eq!(asked(&guard(None), &format!("/assets/{name}"), &[]).await.0, 200, "{name}");
        }
        assert_eq!(asked(&guard(None), "/assets/other.js", &[]).await.0, 404);
    }

    #[tokio::test]
    async fn nothing_is_inside_the_page_that_its_policy_forbids() {
        let (_, headers, page) = asked(&guard(None), "/", &[(ACCEPT, OF_A_BROWSER)]).await;
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        let handles =
            page.split(" on").skip(1).any(|rest| rest.trim_start_matches(char::is_alphabetic).starts_with('='));
        assert!(!page.contains("style=") && !page.contains("<style") && !handles, "{page}");
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
    }

    #[tokio::test]
    async fn the_page_is_for_everybody_who_may_come_here_and_what_it_shows_is_for_a_token() {
        let guard = guard(Some("ops:0123456789abcdef"));
        for path in ["/", "/assets/page.js", "/assets/page.css"] {
            assert_eq!(asked(&guard, path, &[]).await.0, 200, "{path}");
            for (name, foreign, status) in
                [(HOST, "evil.example", 421), (http::header::ORIGIN, "http://evil.example", 403)]
            {
                assert_eq!(asked(&guard, path, &[(name, foreign)]).await.0, status, "{path}");
            }
        }
        for path in ["/pool", "/pool/live", "/assets/", "/assets/other.js", "//"] {
            assert_eq!(asked(&guard, path, &[]).await.0, 401, "{path}");
        }
        let token = [(http::header::AUTHORIZATION, "Bearer 0123456789abcdef")];
        assert_eq!(asked(&guard, "/pool/live", &token).await.0, 200);
        assert_eq!(
            asked(&guard, "/pool/live?token=0123456789abcdef", &[]).await.0,
            401,
            "an address is no place for it"
        );
    }
}
