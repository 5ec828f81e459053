//! The admin listener of a process, and who may use it.

use serde_json::json;

use crate::process::{Shop, home, run, service};

#[tokio::test]
async fn it_is_closed_to_web_pages_and_to_whoever_has_no_token() {
    let (home, database) = (home(), crate::serve::filled().await);
    let settings = [("FOREBAY_ADMIN_TOKEN", "ops:0123456789abcdef"), ("FOREBAY_ADMIN_HOSTS", "catalog.internal")];
    let catalog = Shop::start(home.path(), service(home.path(), "catalog", database.url(), &settings)).await;
    let resize =
        async |headers: &[(&str, &str)]| catalog.admin.post("/pool", headers, json!({ "max": 9 })).await.unwrap();
    let token = ("authorization", "Bearer 0123456789abcdef");
    let (status, refused) = resize(&[token, ("host", "evil.example")]).await;
    assert_eq!((status.as_u16(), &refused["code"]), (421, &json!("misdirected-request")));
    let (status, refused) = resize(&[token, ("origin", "http://evil.example")]).await;
    assert_eq!((status.as_u16(), &refused["code"]), (403, &json!("foreign-origin")));
    for headers in [&[][..], &[("authorization", "Bearer 0123456789abcdee")]] {
        let (status, refused) = resize(headers).await;
        assert_eq!((status.as_u16(), &refused["code"]), (401, &json!("unauthenticated")));
    }
    assert_eq!(catalog.admin.text("/metrics").await.unwrap().0, 401);
    assert_eq!(catalog.admin.text("/livez").await.unwrap().0, 200);
    let (status, pool) = resize(&[token, ("host", "catalog.internal:9090")]).await;
    assert_eq!((status.as_u16(), &pool["ceiling"]), (200, &json!(9)));
}

#[tokio::test]
async fn a_start_that_would_open_it_to_other_machines_without_a_token_is_refused() {
    let home = home();
    let settings = [("FOREBAY_ADMIN", "0.0.0.0:0")];
    let (status, _, said) = run(service(home.path(), "catalog", "postgres://127.0.0.1:1/shop", &settings)).await;
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("set FOREBAY_ADMIN_TOKEN") && said.contains("openssl rand -hex 32"), "{said}");
}
