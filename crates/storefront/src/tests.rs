use axum::body::Body;
use http::{
    HeaderMap, HeaderName, Request, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, VARY},
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

const OF_A_BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn get_with(path: &str, sent: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path);
    for (name, value) in sent {
        request = request.header(name, *value);
    }
    let response = router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_browser_gets_the_page_and_curl_its_commands() {
    let (status, headers, page) = get_with("/", &[(ACCEPT, OF_A_BROWSER)]).await;
    assert_eq!((status, headers[CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "text/html; charset=utf-8"));
    assert!(page.starts_with("<!doctype html>"), "{page}");
    assert_eq!(headers[VARY], "Accept");
    for accept in [Some("*/*"), Some("application/json"), Some("text/html;q=0, */*"), None] {
        let sent: Vec<_> = accept.map(|accept| (ACCEPT, accept)).into_iter().collect();
        let (status, headers, text) = get_with("/", &sent).await;
        assert_eq!((status, headers[CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "text/plain; charset=utf-8"));
        assert!(text.contains("curl") && headers[VARY] == "Accept", "{accept:?}: {text}");
    }
}

#[tokio::test]
async fn the_commands_name_the_host_that_was_asked_unless_a_shell_would_read_more_in_it() {
    for (host, shown) in [
        ("shop.test:81", "shop.test:81"),
        ("[::1]:80", "[::1]:80"),
        ("a;reboot", FRONT.usual_host),
        ("", FRONT.usual_host),
    ] {
        let (_, _, text) = get_with("/", &[(HOST, host)]).await;
        assert!(text.contains(&format!("SHOP=http://{shown}\n")), "{host}: {text}");
        assert!(!text.contains("reboot"));
    }
}

#[tokio::test]
async fn everything_that_the_page_or_a_module_names_is_there() {
    let (_, _, page) = get_with("/", &[(ACCEPT, OF_A_BROWSER)]).await;
    let of_page = page.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
    let of_modules = ASSETS.iter().flat_map(|(_, _, text)| {
        text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned)
    });
    let named: Vec<_> = of_page.chain(of_modules).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert_eq!(get_with(&format!("/assets/{name}"), &[]).await.0, 200, "{name}");
    }
    assert_eq!(get_with("/assets/other.js", &[]).await.0, 404);
}

#[tokio::test]
async fn who_has_an_asset_is_told_so() {
    for (path, accept) in [("/", OF_A_BROWSER), ("/assets/main.js", "*/*")] {
        let (_, headers, _) = get_with(path, &[(ACCEPT, accept)]).await;
        assert_eq!(headers[CACHE_CONTROL], "public, no-cache");
        let tag = headers[ETAG].to_str().unwrap().to_owned();
        let (status, _, body) = get_with(path, &[(ACCEPT, accept), (IF_NONE_MATCH, &tag)]).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path}");
    }
}

#[tokio::test]
async fn nothing_is_inside_the_page_that_its_policy_forbids() {
    let (_, headers, page) = get_with("/", &[(ACCEPT, OF_A_BROWSER)]).await;
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.contains("style=") && !page.contains("<style") && !page.contains(" on"), "{page}");
    assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
}

#[tokio::test]
async fn the_countries_are_those_that_an_address_may_have() {
    let (_, _, text) = get_with("/assets/countries.js", &[]).await;
    assert!(text.contains("\"AD AE ") && text.contains(" ZW\"") && text.len() < 1_000, "{text}");
}
