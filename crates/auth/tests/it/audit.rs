//! The audit log, as those who run the shop read it.

use forebay_auth::admins;
use forebay_platform::db::Db;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::client::Answer;
use crate::world::{EMAIL, World};

/// Somebody who runs the shop, and a log of five lines beside the one that says so.
async fn with_log() -> (World, String, [Uuid; 2]) {
    let world = World::with_ada().await;
    admins::grant(&Db::forebay(world.pool.clone()), EMAIL).await.unwrap();
    let (ada, eve) = (Uuid::now_v7(), Uuid::now_v7());
    let mut connection = PgConnection::connect_with(&world.database.options()).await.unwrap();
    for (actor, action, kind, id) in [
        (ada, "order.ship", "order", "1"),
        (eve, "order.ship", "order", "2"),
        (ada, "order.deliver", "order", "1"),
        (eve, "stock.adjust", "sku", "1"),
        (ada, "stock.adjust", "sku", "2"),
    ] {
        let line = "insert into audit.log (actor, action, object_kind, object_id, before, after, trace_id) \
             values ($1, $2, $3, $4, '{\"n\": 1}', '{\"n\": 2}', 'the-request')";
        sqlx::query(line).bind(actor).bind(action).bind(kind).bind(id).execute(&mut connection).await.unwrap();
    }
    let token = world.log_in().await.access;
    (world, token, [ada, eve])
}

/// What was done to what, over all pages.
async fn listed(world: &World, token: &str, query: &str) -> Vec<String> {
    let (mut seen, mut next) = (Vec::new(), Some(format!("/v1/admin/audit?limit=2{query}")));
    for _page in 0..1_000 {
        let Some(path) = next else { return seen };
        let page = world.get(&path, token).await;
        assert_eq!(page.status, 200, "{page:?}");
        for line in page.body["data"].as_array().unwrap() {
            let text = |name: &str| line[name].as_str().unwrap();
            seen.push(format!("{} {} {}", text("action"), text("object_kind"), text("object_id")));
        }
        let link = page.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        assert_eq!(link.is_some(), page.body["page"]["next_cursor"].is_string(), "{page:?}");
        next = link.map(str::to_owned);
    }
    panic!("the log has no end: {next:?}");
}

#[tokio::test]
async fn the_log_is_read_the_newest_line_first_and_by_who_did_what_to_which() {
    let (world, token, [ada, eve]) = with_log().await;
    let all = listed(&world, &token, "").await;
    assert_eq!(
        all[..5],
        [
            "stock.adjust sku 2",
            "stock.adjust sku 1",
            "order.deliver order 1",
            "order.ship order 2",
            "order.ship order 1"
        ]
    );
    assert!(all.len() == 6 && all[5].starts_with("admin.grant user "), "{all:?}");
    for (query, wanted) in [
        (format!("&actor={ada}"), &[0, 2, 4][..]),
        ("&action=order.ship".to_owned(), &[3, 4]),
        ("&object_kind=sku".to_owned(), &[0, 1]),
        ("&object_kind=order&object_id=1".to_owned(), &[2, 4]),
        (format!("&actor={eve}&action=order.ship"), &[3]),
        (format!("&actor={ada}&object_kind=order"), &[2, 4]),
        ("&action=order.ship&object_kind=order&object_id=1".to_owned(), &[4]),
        (format!("&actor={eve}&object_kind=order&object_id=1"), &[]),
        ("&action=admin.grant".to_owned(), &[5]),
        (format!("&actor={}", Uuid::nil()), &[]),
    ] {
        let wanted: Vec<_> = wanted.iter().map(|at| all[*at].clone()).collect();
        assert_eq!(listed(&world, &token, &query).await, wanted, "{query}");
    }
}

#[tokio::test]
async fn a_line_says_who_made_the_change_and_what_it_was() {
    let (world, token, [ada, _]) = with_log().await;
    let line = async |query: &str| {
        let page = world.get(&format!("/v1/admin/audit?{query}"), &token).await;
        page.body["data"][0].clone()
    };
    let adjusted = line("limit=1").await;
    assert!(adjusted["id"].is_i64() && adjusted["at"].as_str().unwrap().ends_with('Z'), "{adjusted}");
    let said = |name: &str| adjusted[name].clone();
    assert_eq!((said("actor"), said("operator"), said("trace_id")), (json!(ada), Value::Null, json!("the-request")));
    assert_eq!((said("before"), said("after")), (json!({ "n": 1 }), json!({ "n": 2 })));
    let granted = line("action=admin.grant").await;
    assert_eq!((&granted["actor"], &granted["operator"]), (&Value::Null, &json!("operator")));
}

#[tokio::test]
async fn a_filter_that_nothing_fits_and_the_cursor_of_another_list_are_refused() {
    let (world, token, _) = with_log().await;
    let ask = async |query: &str| world.get(&format!("/v1/admin/audit?{query}"), &token).await;
    let cursor = ask("limit=1").await.body["page"]["next_cursor"].as_str().unwrap().to_owned();
    for (query, code, parameter) in [
        ("actor=ada".to_owned(), "invalid-request", "actor"),
        ("action=".to_owned(), "invalid-request", "action"),
        ("object_kind=".to_owned(), "invalid-request", "object_kind"),
        ("object_kind=sku&object_id=".to_owned(), "invalid-request", "object_id"),
        ("object_id=1".to_owned(), "invalid-request", "object_id"),
        ("action=a%00".to_owned(), "invalid-request", "action"),
        ("limit=101".to_owned(), "invalid-request", "limit"),
        ("who=ada".to_owned(), "invalid-request", "who"),
        (format!("action=order.ship&cursor={cursor}"), "invalid-cursor", "cursor"),
    ] {
        let refused = ask(&query).await;
        assert_eq!(refused.problem(), (400, code), "{query}");
        assert_eq!(refused.body["errors"][0]["parameter"], parameter, "{query}");
    }
}

#[tokio::test]
async fn nobody_but_those_who_run_the_shop_reads_the_log() {
    let world = World::with_ada().await;
    let customer = world.log_in().await.access;
    let refused: Answer = world.get("/v1/admin/audit", &customer).await;
    assert_eq!(refused.problem(), (403, "insufficient-scope"));
    assert_eq!(world.get("/v1/admin/audit?limit=x", &customer).await.problem().0, 403);
    assert_eq!(world.get("/v1/admin/audit", "nobody").await.problem(), (401, "unauthenticated"));
}
