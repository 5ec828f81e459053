//! The shelf, as those who run the shop see and change it.

use std::collections::BTreeMap;

use axum::body::Body;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{self, Answer, request};
use crate::tokens::Token;
use crate::world::World;

fn path(sku: &str) -> String {
    format!("/v1/admin/inventory/{sku}/adjustments")
}

async fn adjust(world: &World, sku: &str, delta: i64) -> Answer {
    world.admin_posts(&path(sku), &json!({ "delta": delta, "reason": "counted" })).await
}

#[tokio::test]
async fn an_adjustment_changes_what_is_on_the_shelf_and_is_kept_with_its_reason() {
    let world = World::with(5).await;
    let admin = Uuid::now_v7();
    let body = json!({ "delta": -2, "reason": "two were broken" });
    let answer = world.send(world.by_admin(admin, "POST", &path("SKU-1"), Some(&body))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let said = |name: &str| answer.body[name].as_i64();
    assert_eq!(
        (said("delta"), said("on_hand"), said("reserved"), said("available")),
        (Some(-2), Some(3), Some(0), Some(3))
    );
    assert_eq!(world.stock_of(1).await, (3, 0));
    let kept: (i32, String, i32, Uuid) =
        sqlx::query_as("select delta, reason, on_hand, admin_id from checkout.stock_adjustments where sku = 'SKU-1'")
            .fetch_one(&mut world.connection().await)
            .await
            .unwrap();
    assert_eq!(kept, (-2, "two were broken".to_owned(), 3, admin));
    let line: (Uuid, String, String, Value, Value) =
        sqlx::query_as("select actor, action, object_id, before, after from audit.log")
            .fetch_one(&mut world.connection().await)
            .await
            .unwrap();
    let (before, after) = (json!({ "on_hand": 5 }), json!({ "on_hand": 3, "reason": "two were broken" }));
    assert_eq!(line, (admin, "stock.adjust".to_owned(), "SKU-1".to_owned(), before, after));
}

#[tokio::test]
async fn what_is_sold_and_was_never_on_the_shelf_gets_its_place() {
    let world = World::with(5).await;
    world.execute("delete from checkout.inventory where sku = 'SKU-2'").await;
    assert_eq!(adjust(&world, "SKU-2", -1).await.problem(), (409, "insufficient-stock"));
    assert_eq!(world.count("select count(*) from checkout.inventory where sku = 'SKU-2'").await, 0, "nothing is left");
    assert_eq!(adjust(&world, "SKU-2", 7).await.status, 201);
    assert_eq!(world.stock_of(2).await, (7, 0));
    assert_eq!(adjust(&world, "NOBODY-KNOWS-IT", 7).await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn nothing_is_taken_away_that_is_reserved_or_not_there() {
    let world = World::with(5).await;
    let cart = world.cart(&[(1, 3)]).await;
    assert_eq!(world.place(Uuid::now_v7(), &cart, "tok_lost").await.status, 202);
    let refused = adjust(&world, "SKU-1", -3).await;
    assert_eq!(refused.problem(), (409, "insufficient-stock"));
    assert!(refused.body["detail"].as_str().unwrap().contains("5 on hand, 3 of them reserved"), "{refused:?}");
    assert_eq!(adjust(&world, "SKU-1", -2).await.status, 201);
    assert_eq!(adjust(&world, "SKU-1", -1).await.problem(), (409, "insufficient-stock"));
    assert_eq!(world.stock_of(1).await, (3, 3));
    assert_eq!(world.count("select count(*) from audit.log").await, 1, "what was refused is no change");
}

#[tokio::test]
async fn an_adjustment_has_rules() {
    let world = World::with(5).await;
    let wrong = [
        (json!({ "delta": 0, "reason": "x" }), "/delta"),
        (json!({ "delta": 1_000_001, "reason": "x" }), "/delta"),
        (json!({ "delta": i64::MIN, "reason": "x" }), "/delta"),
        (json!({ "delta": 1.5, "reason": "x" }), "/delta"),
        (json!({ "delta": 1, "reason": "" }), "/reason"),
        (json!({ "delta": 1, "reason": "x".repeat(201) }), "/reason"),
        (json!({ "delta": 1, "reason": "a\nb" }), "/reason"),
        (json!({ "delta": 1 }), "/reason"),
        (json!({ "delta": 1, "reason": "x", "sku": "SKU-2" }), "/sku"),
    ];
    for (body, pointer) in wrong {
        let answer = world.admin_posts(&path("SKU-1"), &body).await;
        assert_eq!(
            (answer.problem(), answer.body["errors"][0]["pointer"].as_str()),
            ((422, "validation-failed"), Some(pointer))
        );
    }
    world.execute("update checkout.inventory set on_hand = 1000000000 where sku = 'SKU-1'").await;
    assert_eq!(adjust(&world, "SKU-1", 1).await.problem(), (422, "validation-failed"));
    assert_eq!(world.count("select count(*) from checkout.stock_adjustments").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_equal_keys_at_once_adjust_once() {
    let world = World::with(5).await;
    let (admin, key, body) =
        (Token::of_admin(Uuid::now_v7()).bearer(), world.key(), json!({ "delta": 4, "reason": "found" }));
    let asked = || {
        let asked = request("POST", &path("SKU-1")).header("authorization", &admin).header("idempotency-key", &key);
        client::json(asked, &body)
    };
    let answers = world.send_at_once((0..20).map(|_| asked())).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body), "{answers:?}");
    let first = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_empty()).count();
    assert_eq!((first, world.stock_of(1).await), (1, (9, 0)));
    assert_eq!(world.count("select count(*) from audit.log").await, 1);
    let other = request("POST", &path("SKU-2")).header("authorization", &admin).header("idempotency-key", &key);
    assert_eq!(world.send(client::json(other, &body)).await.problem(), (422, "idempotency-key-reused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adjustments_and_buyers_at_once_never_sell_what_is_not_there() {
    let world = World::with(20).await;
    let carts = world.carts(40, &[(1, 1)]).await;
    let payments = ["tok_ok", "tok_ok", "tok_decline", "tok_lost"].into_iter().cycle();
    let orders =
        carts.iter().zip(payments).map(|(cart, payment)| world.order(Uuid::now_v7(), &world.key(), cart, payment));
    let deltas = [-3, 2, -1, -5, 4].into_iter().cycle().take(30);
    let admin = Uuid::now_v7();
    let adjustments = deltas.map(|delta| {
        world.by_admin(admin, "POST", &path("SKU-1"), Some(&json!({ "delta": delta, "reason": "counted" })))
    });
    let mixed = orders.collect::<Vec<_>>().into_iter().zip(adjustments.collect::<Vec<_>>());
    let answers = world.send_at_once(mixed.flat_map(|(order, adjustment)| [order, adjustment])).await;
    let mut counts = BTreeMap::<u16, usize>::new();
    answers.iter().for_each(|answer| *counts.entry(answer.status.as_u16()).or_default() += 1);
    assert!(answers.iter().all(|answer| [201, 202, 409, 422].contains(&answer.status.as_u16())), "{counts:?}");
    world.sweep().await;
    let adds_up = "select count(*) from checkout.inventory i where i.sku = 'SKU-1' and i.reserved = 0 and i.on_hand >= 0 \
         and i.on_hand = 20 + (select coalesce(sum(delta), 0) from checkout.stock_adjustments a where a.sku = i.sku) \
         - (select coalesce(sum(t.quantity), 0) from checkout.order_items t join checkout.orders o on o.id = t.order_id \
            where t.sku = i.sku and o.status = 'paid')";
    assert_eq!(world.count(adds_up).await, 1, "{counts:?}");
    let same = "select count(*) from audit.log where action = 'stock.adjust'";
    assert_eq!(world.count(same).await, world.count("select count(*) from checkout.stock_adjustments").await);
}

#[tokio::test]
async fn the_list_pages_through_what_is_short() {
    let world = World::with(5).await;
    world.execute("update checkout.inventory set reserved = 4 where sku in ('SKU-10', 'SKU-11', 'SKU-12')").await;
    let (mut seen, mut next) = (Vec::new(), Some("/v1/admin/inventory?below=2&limit=2".to_owned()));
    for _page in 0..1_000 {
        let Some(path) = next.take() else { break };
        let page = world.admin_gets(&path).await;
        assert_eq!(page.status, 200, "{page:?}");
        for row in page.body["data"].as_array().unwrap() {
            assert_eq!((&row["available"], &row["name"]), (&json!(1), &json!("Thing")));
            seen.push(row["sku"].as_str().unwrap().to_owned());
        }
        let cursor = page.body["page"]["next_cursor"].as_str();
        next = cursor.map(|cursor| format!("/v1/admin/inventory?below=2&limit=2&cursor={cursor}"));
    }
    assert_eq!(seen, ["SKU-10", "SKU-11", "SKU-12"]);
    for wrong in ["below=-1", "below=x", "below=1000000001", "limit=0", "above=1"] {
        let answer = world.admin_gets(&format!("/v1/admin/inventory?{wrong}")).await;
        assert_eq!(answer.problem(), (400, "invalid-request"), "{wrong}");
    }
    let other = world.admin_gets("/v1/admin/inventory?limit=1").await;
    let cursor = other.body["page"]["next_cursor"].as_str().unwrap();
    let foreign = world.admin_gets(&format!("/v1/admin/inventory?below=2&cursor={cursor}")).await;
    assert_eq!(foreign.problem(), (400, "invalid-cursor"));
}

#[tokio::test]
async fn nobody_else_sees_or_changes_the_shelf() {
    let world = World::with(5).await;
    let customer = Token::of(Uuid::now_v7()).bearer();
    for (method, path) in [("GET", "/v1/admin/inventory".to_owned()), ("POST", path("SKU-1")), ("POST", path("%00"))] {
        let asked = || request(method, &path).header("idempotency-key", world.key());
        let nobody = world.send(asked().body(Body::empty()).unwrap()).await;
        assert_eq!(nobody.problem(), (401, "unauthenticated"), "{path}");
        let body = json!({ "delta": 1, "reason": "greed" });
        let refused = world.send(client::json(asked().header("authorization", &customer), &body)).await;
        assert_eq!(refused.problem(), (403, "insufficient-scope"), "{path}");
    }
    assert_eq!(world.stock_of(1).await, (5, 0));
}
