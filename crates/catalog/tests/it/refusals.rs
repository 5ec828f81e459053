use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_pool::{Admission, Class, Rules};
use serde_json::Value;

use crate::client::{request, send};
use crate::world::World;

#[tokio::test]
async fn a_wrong_limit_sort_or_parameter_is_400() {
    let world = World::with(1).await;
    for query in ["limit=0", "limit=101", "limit=-1", "limit=many", "sort=best", "colour=red"] {
        let answer = world.get(&format!("/v1/products?{query}")).await;
        assert_eq!(answer.problem(), (400, "invalid-request"), "{query}");
        assert_eq!(answer.body["errors"][0]["parameter"], query.split('=').next().unwrap(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_or_no_cursor_at_all_is_400() {
    let world = World::with(5).await;
    let page = world.get("/v1/products?sort=popular&limit=1").await;
    let cursor = page.body["page"]["next_cursor"].as_str().unwrap();
    for query in
        [format!("cursor={cursor}"), format!("sort=name&cursor={cursor}"), "cursor=garbage".into(), "cursor=".into()]
    {
        let answer = world.get(&format!("/v1/products?{query}")).await;
        assert_eq!(answer.problem(), (400, "invalid-cursor"), "{query}");
        assert_eq!(answer.body["errors"][0]["parameter"], "cursor");
    }
}

/// With the filter's hash as it should be, since whoever forges a cursor has a real one to copy it from.
#[tokio::test]
async fn a_forged_cursor_from_before_the_databases_calendar_is_400() {
    let world = World::with(5).await;
    let page = world.get("/v1/products?limit=1").await;
    let real = page.body["page"]["next_cursor"].as_str().unwrap();
    let mut cursor: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(real).unwrap()).unwrap();
    assert!(cursor["last"][0].is_i64(), "{cursor}");
    for micros in [-300_000_000_000_000_000_i64, -1, i64::MIN, i64::MAX] {
        cursor["last"][0] = micros.into();
        let forged = URL_SAFE_NO_PAD.encode(cursor.to_string());
        let answer = world.get(&format!("/v1/products?cursor={forged}")).await;
        assert_eq!(answer.problem(), (400, "invalid-cursor"), "{micros}");
    }
}

#[tokio::test]
async fn another_method_is_405_and_says_which_are_allowed() {
    let world = World::with(1).await;
    for (method, path) in [("POST", "/v1/products"), ("DELETE", "/v1/products/thing-1")] {
        let answer = send(&world.router, request(method, path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.problem(), (405, "method-not-allowed"));
        assert_eq!(answer.header("allow"), "GET,HEAD");
    }
}

#[tokio::test]
async fn a_database_that_fails_is_neither_404_nor_an_empty_list() {
    let world = World::with(1).await;
    let mut connection =
        <sqlx::PgConnection as sqlx::Connection>::connect_with(&world.database.options()).await.unwrap();
    sqlx::raw_sql("drop schema catalog cascade").execute(&mut connection).await.unwrap();
    for path in ["/v1/products", "/v1/products/thing-1"] {
        let answer = world.get(path).await;
        assert_eq!(answer.problem(), (500, "internal"));
        assert!(answer.body.get("detail").is_none(), "{answer:?}");
    }
}

#[tokio::test]
async fn with_every_place_taken_the_answer_is_503_with_a_time_to_come_back() {
    let rules = Rules { min_idle: 2, initial_limit: 1, ceiling: 2, ..Rules::default() };
    let world = World::on(1, rules).await;
    let deadline = tokio::time::Instant::now().into_std() + Duration::from_secs(30);
    let held = world.pool.acquire(&Admission::new(Class::Normal, deadline)).await.unwrap();
    let answer = world.get("/v1/products").await;
    assert_eq!(answer.problem(), (503, "overloaded"));
    assert!((1..=30).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
    assert!(answer.body["retryable"].as_bool().unwrap());
    assert!(!answer.headers.contains_key("retry-ticket"), "nobody knows who asked");
    let answer = world.get_with("/v1/products", "authorization", "Bearer of bad news").await;
    assert_eq!(answer.header("retry-ticket").len(), 71);
    let answer = world.get_with("/v1/products/thing-1", "authorization", "Bearer of bad news").await;
    assert_eq!(answer.problem(), (503, "overloaded"));
    assert!(!answer.headers.contains_key("retry-ticket"), "high is as high as it goes");
    drop(held);
}

#[tokio::test]
async fn a_page_that_was_seen_is_answered_again_with_every_place_taken() {
    let rules = Rules { min_idle: 2, initial_limit: 1, ceiling: 2, ..Rules::default() };
    let world = World::on(2, rules).await;
    let paths = ["/v1/products?limit=1", "/v1/products/thing-1"];
    let mut seen = Vec::new();
    for path in paths {
        seen.push(world.get(path).await);
    }
    let held = world.pool.acquire(&Admission::within(Class::Normal, Duration::from_secs(30))).await.unwrap();
    for (path, seen) in paths.into_iter().zip(&seen) {
        let answer = world.get(path).await;
        assert_eq!((answer.status, &answer.body), (seen.status, &seen.body));
        assert_eq!(answer.header("cache-status"), "forebay-catalog; hit; detail=degraded");
        assert!(answer.header("age").parse::<u64>().unwrap() <= 300);
        assert!(!answer.headers.contains_key("retry-after"));
        for name in ["etag", "cache-control", "content-type", "link"] {
            assert_eq!(answer.header(name), seen.header(name), "{name}");
        }
        let known = world.get_with(path, "if-none-match", seen.header("etag")).await;
        assert_eq!((known.status.as_u16(), known.header("etag")), (304, seen.header("etag")));
    }
    for path in ["/v1/products?limit=2", "/v1/products/thing-2"] {
        assert_eq!(world.get(path).await.problem(), (503, "overloaded"));
    }
    drop(held);
    assert!(!world.get(paths[0]).await.headers.contains_key("cache-status"), "what is let in is fresh");
}

#[tokio::test]
async fn a_request_without_time_left_is_refused_and_one_with_an_odd_limit_is_served() {
    let world = World::on(1, Rules::default()).await;
    let asked = request("GET", "/v1/products").header("authorization", "Bearer x").header("request-timeout-ms", "0");
    let answer = send(&world.router, asked.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), (503, "overloaded"));
    let said = answer.body["detail"].as_str().unwrap();
    assert!(said.contains("time of the request") && !answer.headers.contains_key("retry-ticket"), "{answer:?}");
    assert_eq!(answer.body["reason"], "deadline");
    for odd in ["soon", "-1", "99999999999999999999", "1000"] {
        assert_eq!(world.get_with("/v1/products", "request-timeout-ms", odd).await.status, 200, "{odd}");
    }
}

#[tokio::test]
async fn a_closed_pool_is_draining() {
    let world = World::with(1).await;
    world.pool.close().await;
    assert_eq!(world.get("/v1/products").await.problem(), (503, "draining"));
}
