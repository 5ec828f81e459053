//! What happens to orders is in the outbox, exactly when it is committed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::Connection as _;
use uuid::Uuid;

use crate::client::{self, request};
use crate::tokens::Token;
use crate::world::World;

async fn payloads(world: &World) -> Vec<Value> {
    let payloads = sqlx::query_scalar("select payload from checkout.outbox order by id");
    payloads.fetch_all(&mut world.connection().await).await.unwrap()
}

#[tokio::test]
async fn the_events_of_an_order_are_in_the_outbox_with_an_id_and_what_it_costs() {
    let world = World::with(10).await;
    let placed = world.place(Uuid::now_v7(), &world.cart(&[(3, 2)]).await, "tok_ok").await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let payloads = payloads(&world).await;
    let types: Vec<_> = payloads.iter().map(|payload| payload["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["order.placed", "order.paid"]);
    for payload in &payloads {
        let data = json!({ "order_id": placed.body["id"], "total": { "amount": 600, "currency": "EUR" } });
        assert_eq!((&payload["data"], &payload["version"]), (&data, &json!(1)));
        let id: Uuid = payload["id"].as_str().unwrap().parse().unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(payload["timestamp"].as_str().unwrap().len(), "2026-11-27T15:04:05.000120Z".len());
    }
    assert_ne!(payloads[0]["id"], payloads[1]["id"]);
    let kept = "select count(*) from checkout.outbox where event_id::text = payload ->> 'id' and topic = payload ->> 'type' \
                and key::text = payload -> 'data' ->> 'order_id'";
    assert_eq!(world.count(kept).await, 2);
}

#[tokio::test]
async fn an_order_that_is_not_placed_leaves_no_event() {
    let world = World::with(1).await;
    let short = world.place(Uuid::now_v7(), &world.cart(&[(1, 2)]).await, "tok_ok").await;
    assert_eq!(short.problem(), (409, "insufficient-stock"));
    assert_eq!(payloads(&world).await, [json!(null); 0]);
}

#[tokio::test]
async fn what_an_older_program_writes_is_in_the_outbox_too() {
    let world = World::with(10).await;
    world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await;
    // It knows of no outbox, and inserts several at once.
    world
        .execute(
            "insert into checkout.order_events (order_id, kind, data, at) \
             select id, kind, '{\"by\": \"hand\"}', now() from checkout.orders, unnest(array['shipped', 'delivered']) kind",
        )
        .await;
    let payloads = payloads(&world).await;
    let types: Vec<_> = payloads.iter().map(|payload| payload["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["order.placed", "order.paid", "order.shipped", "order.delivered"]);
    assert_eq!(payloads[3]["data"]["by"], "hand");
}

#[tokio::test]
async fn who_writes_of_an_order_waits_for_the_one_that_is_writing_of_it() {
    let world = World::with(10).await;
    world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await;
    const WRITE: &str =
        "insert into checkout.order_events (order_id, kind, at) select id, $1, now() from checkout.orders";
    let (mut first, mut second) = (world.connection().await, world.connection().await);
    let mut tx = first.begin().await.unwrap();
    sqlx::query(WRITE).bind("shipped").execute(&mut *tx).await.unwrap();
    sqlx::raw_sql("set lock_timeout = '50ms'").execute(&mut second).await.unwrap();
    let refused = sqlx::query(WRITE).bind("delivered").execute(&mut second).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "55P03", "it waited: {refused}");
    tx.commit().await.unwrap();
    sqlx::query(WRITE).bind("delivered").execute(&mut second).await.unwrap();
    let topics: Vec<String> =
        sqlx::query_scalar("select topic from checkout.outbox order by id").fetch_all(&mut second).await.unwrap();
    assert_eq!(topics, ["order.placed", "order.paid", "order.shipped", "order.delivered"]);
}

/// The topics in docs/events.md, with what `data` has for each beside the order and what it costs.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let (_, table) = include_str!("../../../../docs/events.md").split_once("\n| `type` |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let named = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let rows = table.lines().skip(2).map(|row| row.split('|').collect::<Vec<_>>());
    rows.flat_map(|row| named(row[1]).into_iter().map(move |topic| (topic, named(row[3])))).collect()
}

/// One delivered order of two units, and a return of one of them that was asked for.
async fn asked_back(world: &World, buyer: Uuid) -> (String, String) {
    let placed = world.place(buyer, &world.cart(&[(1, 2)]).await, "tok_ok").await;
    let order = placed.body["id"].as_str().unwrap().to_owned();
    let shipment = json!({ "carrier": "a cart", "tracking": "1" });
    assert_eq!(world.admin_posts(&format!("/v1/admin/orders/{order}/ship"), &shipment).await.status, 200);
    assert_eq!(world.admin_posts(&format!("/v1/admin/orders/{order}/deliver"), &json!({})).await.status, 200);
    let ask = request("POST", &format!("/v1/orders/{order}/returns"))
        .header("authorization", Token::of(buyer).bearer())
        .header("idempotency-key", world.key());
    let body = json!({ "items": [{ "sku": "SKU-1", "quantity": 1 }], "reason": "too small" });
    let asked = world.send(client::json(ask, &body)).await;
    assert_eq!(asked.status, 201, "{asked:?}");
    (order, asked.body["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_event_that_is_documented_happens_with_the_data_that_is_documented_and_no_other_does() {
    let world = World::with(100).await;
    let buyer = Uuid::now_v7();
    // Declined, paid for again, and cancelled with its money back; declined, and never paid for.
    let order = world.declined(buyer, &[(1, 1)]).await;
    assert_eq!(world.pay(buyer, &order, "tok_ok").await.status, 200);
    assert_eq!(world.cancel(buyer, &order).await.status, 200);
    world.declined(buyer, &[(1, 1)]).await;
    assert_eq!(world.sweep().await.lapsed, 1);
    let decide = async |id: &str, what: &str, body: &Value| {
        let decided = world.admin_posts(&format!("/v1/admin/returns/{id}/{what}"), body).await;
        assert_eq!(decided.status, 200, "{decided:?}");
    };
    let (_, refused) = asked_back(&world, buyer).await;
    decide(&refused, "reject", &json!({})).await;
    let (order, taken) = asked_back(&world, buyer).await;
    decide(&taken, "approve", &json!({})).await;
    decide(&taken, "receive", &json!({ "restock": true })).await;
    // What is left went back already, past us: the provider refuses to give it.
    world.execute("update payment_simulator.charges set refunded = amount where outcome = 'approved'").await;
    let refund = json!({ "reason": "it was late" });
    let refused = world.admin_posts(&format!("/v1/admin/orders/{order}/refund"), &refund).await;
    assert_eq!(refused.problem(), (409, "order-state-conflict"));

    let mut happened: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for payload in payloads(&world).await {
        let fields = payload["data"].as_object().unwrap().keys().cloned();
        let own = fields.filter(|field| !["order_id", "total"].contains(&field.as_str()));
        happened.entry(payload["type"].as_str().unwrap().to_owned()).or_default().extend(own);
    }
    assert_eq!(happened, documented());
}
