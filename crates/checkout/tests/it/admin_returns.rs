//! Returns, as those who run the shop decide on them and take them in.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{self, Answer, request};
use crate::tokens::Token;
use crate::world::World;

/// The id of an order of two units of `SKU-2` and one of `SKU-3`, seven euros in all, that has come.
async fn delivered(world: &World, buyer: Uuid) -> String {
    let placed = world.place(buyer, &world.cart(&[(2, 2), (3, 1)]).await, "tok_ok").await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let id = placed.body["id"].as_str().unwrap().to_owned();
    for step in ["ship", "deliver"] {
        let answer = world.admin_posts(&format!("/v1/admin/orders/{id}/{step}"), &json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    id
}

/// The id of a return of one unit of `SKU-2`.
async fn requested(world: &World, buyer: Uuid, order: &str) -> String {
    requested_of(world, buyer, order, "SKU-2").await
}

async fn requested_of(world: &World, buyer: Uuid, order: &str, sku: &str) -> String {
    let asked = request("POST", &format!("/v1/orders/{order}/returns"))
        .header("authorization", Token::of(buyer).bearer())
        .header("idempotency-key", world.key());
    let body = json!({ "items": [{ "sku": sku, "quantity": 1 }], "reason": "too small" });
    let answer = world.send(client::json(asked, &body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().unwrap().to_owned()
}

async fn decide(world: &World, id: &str, what: &str) -> Answer {
    world.admin_posts(&format!("/v1/admin/returns/{id}/{what}"), &json!({ "restock": true })).await
}

async fn state(world: &World, buyer: Uuid, id: &str) -> Value {
    world.get(&format!("/v1/returns/{id}"), buyer).await.body["state"].clone()
}

#[tokio::test]
async fn what_came_back_is_on_the_shelf_again_and_paid_back() {
    let world = World::with(5).await;
    let buyer = Uuid::now_v7();
    let order = delivered(&world, buyer).await;
    let id = requested(&world, buyer, &order).await;
    assert_eq!(decide(&world, &id, "receive").await.problem(), (409, "order-state-conflict"), "nobody has approved it");
    let approved = decide(&world, &id, "approve").await;
    assert_eq!((approved.status.as_u16(), &approved.body["state"]), (200, &json!("approved")));
    assert_eq!(approved.body["user_id"], json!(buyer));
    assert_eq!(decide(&world, &id, "reject").await.problem(), (409, "order-state-conflict"));
    assert_eq!(world.stock_of(2).await, (3, 0));

    let received = decide(&world, &id, "receive").await;
    assert_eq!(
        (received.status.as_u16(), &received.body["return"]["state"]),
        (200, &json!("refunded")),
        "{received:?}"
    );
    assert_eq!(received.body["refund"]["amount"], json!({ "amount": 200, "currency": "EUR" }));
    assert_eq!(state(&world, buyer, &id).await, "refunded");
    assert_eq!((world.stock_of(2).await, world.stock_of(3).await), ((4, 0), (4, 0)));
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 200);
    assert_eq!(decide(&world, &id, "receive").await.problem(), (409, "order-state-conflict"));
    let file = world.admin_gets(&format!("/v1/admin/orders/{order}")).await.body;
    let of_the_return =
        file["events"].as_array().unwrap().iter().filter(|event| event["data"]["return_id"] == json!(id));
    let told: Vec<_> = of_the_return.map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(told, ["return_requested", "return_approved", "return_received", "return_refunded"]);
    let done = "select count(*) from audit.log where action in ('return.approve', 'return.receive')";
    assert_eq!(world.count(done).await, 2);
}

#[tokio::test]
async fn what_cannot_be_sold_again_is_not_put_on_the_shelf() {
    let world = World::with(5).await;
    let buyer = Uuid::now_v7();
    let order = delivered(&world, buyer).await;
    let id = requested(&world, buyer, &order).await;
    decide(&world, &id, "approve").await;
    let received = world.admin_posts(&format!("/v1/admin/returns/{id}/receive"), &json!({ "restock": false })).await;
    assert_eq!((received.status.as_u16(), world.stock_of(2).await), (200, (3, 0)), "{received:?}");
    let faulty = world.admin_posts(&format!("/v1/admin/returns/{id}/receive"), &json!({})).await;
    assert_eq!(faulty.problem(), (422, "validation-failed"));
}

#[tokio::test]
async fn no_more_is_paid_back_than_is_left_of_what_was_paid() {
    let world = World::with(5).await;
    let buyer = Uuid::now_v7();
    let order = delivered(&world, buyer).await;
    let id = requested(&world, buyer, &order).await;
    decide(&world, &id, "approve").await;
    let refund = json!({ "amount": { "amount": 650, "currency": "EUR" }, "reason": "all of it was late" });
    assert_eq!(world.admin_posts(&format!("/v1/admin/orders/{order}/refund"), &refund).await.status, 200);
    let received = decide(&world, &id, "receive").await;
    assert_eq!(
        (received.status.as_u16(), &received.body["refund"]["amount"]["amount"]),
        (200, &json!(50)),
        "{received:?}"
    );
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 700);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_admins_who_take_in_one_return_one_does() {
    let world = World::with(5).await;
    let buyer = Uuid::now_v7();
    let order = delivered(&world, buyer).await;
    let id = requested(&world, buyer, &order).await;
    decide(&world, &id, "approve").await;
    let path = format!("/v1/admin/returns/{id}/receive");
    let asked: Vec<_> =
        (0..10).map(|_| world.by_admin(Uuid::now_v7(), "POST", &path, Some(&json!({ "restock": true })))).collect();
    let answers = world.send_at_once(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert!(answers.iter().filter(|answer| answer.status != 200).all(|answer| answer.problem().0 == 409));
    assert_eq!(world.stock_of(2).await, (4, 0));
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 200);
}

#[tokio::test]
async fn a_return_that_was_rejected_is_at_its_end_and_the_list_has_each_by_its_state() {
    let world = World::with(5).await;
    let buyer = Uuid::now_v7();
    let order = delivered(&world, buyer).await;
    let first = requested(&world, buyer, &order).await;
    let rejected = decide(&world, &first, "reject").await;
    assert_eq!((rejected.status.as_u16(), &rejected.body["state"]), (200, &json!("rejected")));
    for what in ["approve", "reject", "receive"] {
        assert_eq!(decide(&world, &first, what).await.problem(), (409, "order-state-conflict"), "{what}");
        let nothing = decide(&world, &Uuid::now_v7().to_string(), what).await;
        assert_eq!(nothing.problem(), (404, "not-found"), "{what}");
    }
    let second = requested(&world, buyer, &order).await;
    let listed = async |query: &str| {
        let page = world.admin_gets(&format!("/v1/admin/returns{query}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let rows = page.body["data"].as_array().unwrap().clone();
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [second.clone(), first.clone()]);
    assert_eq!(listed("?state=rejected").await, [first]);
    assert_eq!(listed("?state=requested&limit=1").await, [second]);
    assert_eq!(world.admin_gets("/v1/admin/returns?state=gone").await.problem(), (400, "invalid-request"));
}

#[tokio::test]
async fn nobody_else_decides_on_a_return_not_even_its_buyer() {
    let world = World::with(5).await;
    let buyer = Uuid::now_v7();
    let order = delivered(&world, buyer).await;
    let id = requested(&world, buyer, &order).await;
    let paths = [("GET", String::new())].into_iter();
    let changes = ["approve", "reject", "receive"].map(|what| ("POST", format!("/{id}/{what}")));
    for (method, path) in paths.chain(changes) {
        let asked = || request(method, &format!("/v1/admin/returns{path}")).header("idempotency-key", world.key());
        let nobody = world.send(client::json(asked(), &json!({}))).await;
        assert_eq!(nobody.problem(), (401, "unauthenticated"), "{path}");
        let bearer = Token::of(buyer).bearer();
        let refused = world.send(client::json(asked().header("authorization", bearer), &json!({}))).await;
        assert_eq!(refused.problem(), (403, "insufficient-scope"), "{path}");
    }
    assert_eq!(state(&world, buyer, &id).await, "requested");
}

#[tokio::test]
async fn more_is_sent_back_of_an_order_of_which_a_part_was_paid_back_and_never_more_than_was_paid() {
    let world = World::with(5).await;
    let buyer = Uuid::now_v7();
    let order = delivered(&world, buyer).await;
    let part = json!({ "amount": { "amount": 400, "currency": "EUR" }, "reason": "a scratch" });
    assert_eq!(world.admin_posts(&format!("/v1/admin/orders/{order}/refund"), &part).await.status, 200);
    for paid_back in [200, 100] {
        let id = requested(&world, buyer, &order).await;
        assert_eq!(decide(&world, &id, "approve").await.status, 200);
        let received = decide(&world, &id, "receive").await;
        assert_eq!(received.body["refund"]["amount"]["amount"], json!(paid_back), "{received:?}");
        assert_eq!(state(&world, buyer, &id).await, "refunded");
    }
    assert_eq!(world.status(buyer, &format!("/v1/orders/{order}")).await, "refunded");
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 700);
}

#[tokio::test]
async fn for_what_cost_nothing_nothing_is_paid_back() {
    let world = World::with(5).await;
    world.execute("update catalog.skus set price = 0 where sku = 'SKU-3'").await;
    let buyer = Uuid::now_v7();
    let order = delivered(&world, buyer).await;
    let id = requested_of(&world, buyer, &order, "SKU-3").await;
    assert_eq!(decide(&world, &id, "approve").await.status, 200);
    let received = decide(&world, &id, "receive").await;
    assert_eq!((received.status.as_u16(), &received.body["refund"]), (200, &Value::Null), "{received:?}");
    assert_eq!(world.stock_of(3).await, (5, 0));
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 0);
}
