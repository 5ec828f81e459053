//! The page at `/`: static files without a build step, which know `/pool` and `/pool/live` and nothing else.

use axum::{Router, body::Bytes};

use crate::front::{DRAWING, Front, SCRIPT, STYLE};

/// What the page loads, by its path.
const ASSETS: [(&str, &str, &str); 7] = [
    ("/assets/chart.js", SCRIPT, include_str!("../../assets/admin/chart.js")),
    ("/assets/dom.js", SCRIPT, include_str!("../../assets/admin/dom.js")),
    ("/assets/findings.js", SCRIPT, include_str!("../../assets/admin/findings.js")),
    ("/assets/page.js", SCRIPT, include_str!("../../assets/admin/page.js")),
    ("/assets/stream.js", SCRIPT, include_str!("../../assets/admin/stream.js")),
    ("/assets/page.css", STYLE, include_str!("../../assets/admin/page.css")),
    ("/assets/mark.svg", DRAWING, include_str!("../../assets/admin/mark.svg")),
];

const FRONT: Front = Front {
    page: include_str!("../../assets/admin/page.html"),
    commands: include_str!("../../assets/admin/commands.txt"),
    usual_host: "127.0.0.1:9090",
    kept_by: "private",
    referrer: "no-referrer",
};

/// Whether this is the page or a part of it: it is the same for everybody, and says nothing of the process. A browser that
/// opens an address can show no token.
pub(super) fn is_part(path: &str) -> bool {
    path == "/" || ASSETS.iter().any(|(asset, ..)| *asset == path)
}

/// `/`, and what it loads from `/assets/`.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FRONT.router(ASSETS.map(|(path, kind, text)| (path, kind, Bytes::from_static(text.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use http::{
        HeaderMap, HeaderName, Request, StatusCode,
        header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, VARY},
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
        let of_page =
            FRONT.page.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
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
