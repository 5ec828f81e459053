//! What has come is sent back.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{self, request};
use crate::tokens::Token;
use crate::world::World;

fn asking(user: Uuid, key: &str, order: &str, body: &Value) -> Request<Body> {
    let asked = request("POST", &format!("{order}/returns")).header("authorization", Token::of(user).bearer());
    client::json(asked.header("idempotency-key", key), body)
}

fn of(sku: u32, quantity: i64) -> Value {
    json!({ "items": [{ "sku": format!("SKU-{sku}"), "quantity": quantity }], "reason": "It is too small." })
}

async fn delivered(world: &World, user: Uuid, lines: &[(u32, i64)]) -> String {
    let placed = world.place(user, &world.cart(lines).await, "tok_ok").await;
    world.execute("update checkout.orders set status = 'delivered' where status = 'paid'").await;
    placed.header("location").to_owned()
}

#[tokio::test]
async fn a_part_of_what_has_come_is_sent_back() {
    let world = World::with(9).await;
    let (ada, key) = (Uuid::now_v7(), world.key());
    let order = delivered(&world, ada, &[(1, 3), (2, 1)]).await;
    let made = world.send(asking(ada, &key, &order, &of(1, 2))).await;
    assert_eq!((made.status.as_u16(), &made.body["state"]), (201, &json!("requested")));
    let again = world.send(asking(ada, &key, &order, &of(1, 2))).await;
    assert_eq!((&again.body, again.header("idempotent-replayed")), (&made.body, "true"));
    assert_eq!(again.header("location"), made.header("location"));
    let read = world.get(made.header("location"), ada).await;
    assert_eq!(read.body, made.body);
    assert_eq!(world.get("/v1/returns", ada).await.body["data"], json!([made.body]));
    assert_eq!(world.get(made.header("location"), Uuid::now_v7()).await.problem(), (404, "not-found"));
    assert_eq!(world.get("/v1/returns", Uuid::now_v7()).await.body["data"], json!([]));
    assert_eq!(world.get(&format!("/v1/returns/{}", Uuid::now_v7()), ada).await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn only_what_has_come_is_sent_back() {
    let world = World::with(9).await;
    let ada = Uuid::now_v7();
    let placed = world.place(ada, &world.cart(&[(1, 3)]).await, "tok_ok").await;
    let refused = world.send(asking(ada, &world.key(), placed.header("location"), &of(1, 1))).await;
    assert_eq!(refused.problem(), (409, "order-state-conflict"));
    let eve = world.send(asking(Uuid::now_v7(), &world.key(), placed.header("location"), &of(1, 1))).await;
    assert_eq!(eve.problem(), (404, "not-found"));
}

#[tokio::test]
async fn a_return_that_breaks_a_rule_points_at_it() {
    let world = World::with(9).await;
    let ada = Uuid::now_v7();
    let order = delivered(&world, ada, &[(1, 3)]).await;
    let twice =
        json!({ "items": [{ "sku": "SKU-1", "quantity": 1 }, { "sku": "SKU-1", "quantity": 1 }], "reason": "Both" });
    for (body, pointer) in [
        (of(1, 0), "/items/0/quantity"),
        (of(1, 4), "/items/0/quantity"),
        (of(1, 100), "/items/0/quantity"),
        (of(2, 1), "/items/0/sku"),
        (twice, "/items/1/sku"),
        (json!({ "items": [], "reason": "None" }), "/items"),
        (json!({ "items": [{ "sku": "SKU-1", "quantity": 1 }], "reason": " " }), "/reason"),
        (json!({ "items": [{ "sku": "SKU-1", "quantity": 1, "price": 1 }], "reason": "One" }), "/items/0/price"),
    ] {
        let refused = world.send(asking(ada, &world.key(), &order, &body)).await;
        assert_eq!(
            (refused.problem(), &refused.body["errors"][0]["pointer"]),
            ((422, "validation-failed"), &json!(pointer))
        );
    }
    assert_eq!(world.count("select count(*) from checkout.returns").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_at_once_no_unit_is_sent_back_twice() {
    let world = World::with(9).await;
    let ada = Uuid::now_v7();
    let order = delivered(&world, ada, &[(1, 5)]).await;
    let answers = world.send_at_once((0..20).map(|_| asking(ada, &world.key(), &order, &of(1, 2)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 2, "{answers:?}");
    assert_eq!(world.count("select sum(quantity) from checkout.return_items").await, 4);
    world.execute("update checkout.returns set state = 'rejected'").await;
    let anew = world.send(asking(ada, &world.key(), &order, &of(1, 5))).await;
    assert_eq!(anew.status, 201, "what was rejected may be asked for again");
}
