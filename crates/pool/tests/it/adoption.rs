//! What the guides promise to those who come from sqlx's pool.

use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use forebay_embedded::testing::database;
use forebay_pool::{Config, Pool};
use tower::ServiceExt;

#[path = "../../examples/axum.rs"]
#[expect(dead_code, reason = "the test takes the service, not its main")]
mod ours;
#[path = "../../examples/axum_sqlx.rs"]
#[expect(dead_code, reason = "the test takes the service, not its main")]
mod stock;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of one file that the other lacks, comments aside.
fn only_in(one: &str, other: &str) -> Vec<String> {
    let other: BTreeSet<&str> = other.lines().collect();
    let lines = one.lines().filter(|line| !line.starts_with("//!") && !other.contains(line));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_service_on_sqlx_changes_ten_lines() {
    let (before, after) = (read("examples/axum_sqlx.rs"), read("examples/axum.rs"));
    let added = only_in(&after, &before);
    assert!(added.len() <= 10, "{added:#?}");
    assert!(only_in(&before, &after).len() <= 10);
}

#[test]
fn the_guide_shows_the_example_as_it_is() {
    let (before, after) = (read("examples/axum_sqlx.rs"), read("examples/axum.rs"));
    let guide = read("../../docs/from-sqlx-pool.md");
    let (_, rest) = guide.split_once("```diff\n").expect("the guide shows the difference");
    let (shown, _) = rest.split_once("```").expect("it ends");
    let with = |mark: char| -> Vec<&str> { shown.lines().filter_map(|line| line.strip_prefix(mark)).collect() };
    assert_eq!(with('+'), only_in(&after, &before));
    assert_eq!(with('-'), only_in(&before, &after));
}

#[tokio::test]
async fn both_examples_are_the_same_service() {
    let database = database().await;
    let pool = Pool::connect(database.options(), Config::named("notes")).expect("the defaults hold");
    let stock_pool = sqlx::PgPool::connect_with(database.options()).await.expect("the server runs");
    sqlx::raw_sql(ours::TABLE).execute(&pool).await.expect("created");
    for router in [ours::router(pool), stock::router(stock_pool)] {
        let request = Request::post("/notes").header("content-type", "text/plain").body(Body::from("buy milk"));
        let added = router.clone().oneshot(request.expect("a request")).await.expect("infallible");
        assert_eq!(added.status(), StatusCode::CREATED);
        let listed = router.oneshot(Request::get("/notes").body(Body::empty()).expect("a request")).await;
        let body = axum::body::to_bytes(listed.expect("infallible").into_body(), 10_000).await.expect("short");
        assert!(String::from_utf8_lossy(&body).contains("buy milk"), "{body:?}");
    }
}
