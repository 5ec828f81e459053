//! What happens to orders is in the outbox, exactly when it is committed.

use serde_json::{Value, json};
use sqlx::Connection as _;
use uuid::Uuid;

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
