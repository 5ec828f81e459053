use forebay_platform::problem::REQUEST_ID;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::client::{self, request};
use crate::tokens::Token;
use crate::world::World;

#[tokio::test]
async fn a_paid_order_takes_its_units_off_the_shelf_and_can_be_read() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let placed = world.place(ada, &world.cart(&[(1, 2), (2, 1)]).await, "tok_ok").await;
    assert_eq!((placed.status.as_u16(), &placed.body["status"]), (201, &json!("paid")));
    assert_eq!(placed.body["total"], json!({ "amount": 400, "currency": "EUR" }));
    assert_eq!((world.stock_of(1).await, world.stock_of(2).await), ((3, 0), (4, 0)));
    let read = world.get(placed.header("location"), ada).await;
    for same in ["id", "items", "placed_at", "status", "total"] {
        assert_eq!(read.body[same], placed.body[same], "{same}");
    }
    for at in [&read.body["placed_at"], &read.body["payments"][0]["created_at"], &read.body["events"][1]["at"]] {
        assert_eq!(at.as_str().unwrap().len(), "2026-11-27T15:04:05.123456Z".len(), "{at}");
    }
    assert_eq!(read.body["payments"][0]["state"], "succeeded");
    let kinds: Vec<_> = read.body["events"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["placed", "paid"]);
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn it_is_the_same_on_a_stock_pool() {
    let world = World::stock(5).await;
    let ada = Uuid::now_v7();
    let paid = world.place(ada, &world.cart(&[(1, 2)]).await, "tok_ok").await;
    let declined = world.place(ada, &world.cart(&[(1, 2)]).await, "tok_decline").await;
    assert_eq!((paid.status.as_u16(), declined.problem()), (201, (422, "payment-declined")));
    assert_eq!(world.get(paid.header("location"), ada).await.status, 200);
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn anothers_order_is_404() {
    let world = World::with(5).await;
    let placed = world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await;
    assert_eq!(world.get(placed.header("location"), Uuid::now_v7()).await.problem(), (404, "not-found"));
    assert_eq!(world.get("/v1/orders/1", Uuid::now_v7()).await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn anothers_cart_is_404() {
    let world = World::with(5).await;
    let mut cart = world.cart(&[(1, 1)]).await;
    cart.token = "guessed".into();
    assert_eq!(world.place(Uuid::now_v7(), &cart, "tok_ok").await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    for payment in ["tok_ok", "tok_decline"] {
        let (cart, key) = (world.cart(&[(1, 1)]).await, world.key());
        let first = world.send(world.order(ada, &key, &cart, payment)).await;
        let again = world.order(ada, &key, &cart, payment);
        let again = REQUEST_ID.scope("the-second".into(), world.send(again)).await;
        let mut again_body = again.body.clone();
        let own_id = again_body.as_object_mut().unwrap().remove("trace_id");
        again_body.as_object_mut().unwrap().remove("instance");
        assert_eq!(own_id, (payment == "tok_decline").then(|| json!("the-second")), "a problem names its own request");
        assert_eq!(
            (first.status, &first.body, first.header("location")),
            (again.status, &again_body, again.header("location"))
        );
        assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
        assert_eq!(first.header("content-type"), again.header("content-type"));
    }
    assert_eq!(world.count("select count(*) from checkout.orders").await, 2);
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_user() {
    let world = World::with(5).await;
    let (ada, eve) = (Uuid::now_v7(), Uuid::now_v7());
    let (cart, other) = (world.cart(&[(1, 1)]).await, world.cart(&[(1, 1)]).await);
    let key = world.key();
    assert_eq!(world.send(world.order(ada, &key, &cart, "tok_ok")).await.status, 201);
    assert_eq!(world.send(world.order(ada, &key, &other, "tok_ok")).await.problem(), (422, "idempotency-key-reused"));
    assert_eq!(world.send(world.order(eve, &key, &other, "tok_ok")).await.status, 201);
}

#[tokio::test]
async fn a_declined_order_keeps_its_units_for_its_buyer() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let declined = world.place(ada, &world.cart(&[(1, 5)]).await, "tok_decline").await;
    assert_eq!(declined.problem(), (422, "payment-declined"));
    assert_eq!(world.stock_of(1).await, (5, 5));
    let order = world.get(declined.header("location"), ada).await;
    assert_eq!(
        (&order.body["status"], &order.body["payments"][0]["state"]),
        (&json!("payment_failed"), &json!("declined"))
    );
    let eve = world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await;
    assert_eq!(eve.problem(), (409, "insufficient-stock"));
    assert_eq!(
        world.place(ada, &world.cart(&[(1, 5)]).await, "tok_ok").await.status,
        201,
        "and for a new order of hers"
    );
    assert_eq!(world.status(ada, declined.header("location")).await, "expired");
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn too_few_units_leave_no_trace_and_a_retry_is_judged_afresh() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let (cart, key) = (world.cart(&[(1, 6), (2, 1), (3, 7)]).await, world.key());
    let short = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!(short.problem(), (409, "insufficient-stock"));
    let skus: Vec<_> = short.body["errors"].as_array().unwrap().iter().map(|error| &error["detail"]).collect();
    assert_eq!(skus, ["SKU-1", "SKU-3"]);
    assert_eq!((world.stock_of(2).await, world.count("select count(*) from checkout.orders").await), ((5, 0), 0));
    world.execute("update checkout.inventory set on_hand = 10").await;
    assert_eq!(world.send(world.order(ada, &key, &cart, "tok_ok")).await.status, 201);
}

#[tokio::test]
async fn an_empty_cart_is_422() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let empty = world.place(ada, &world.cart(&[]).await, "tok_ok").await;
    assert_eq!(
        (empty.problem(), &empty.body["errors"][0]["pointer"]),
        ((422, "validation-failed"), &json!("/cart_id"))
    );
}

/// Charged without what was deleted, or with what is sold no more, it would not be what the cart showed.
#[tokio::test]
async fn a_cart_with_something_that_is_sold_no_more_is_refused_with_the_line_named() {
    let world = World::with(5).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 1), (2, 1), (3, 1)]).await, world.key());
    world.execute("update catalog.skus set active = false where sku = 'SKU-1'").await;
    world.execute("delete from catalog.skus where sku = 'SKU-2'").await;
    let refused = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!(refused.problem(), (409, "item-unavailable"));
    let named: Vec<_> = refused.body["errors"].as_array().unwrap().iter().map(|error| &error["detail"]).collect();
    assert_eq!(named, ["SKU-1", "SKU-2"]);
    assert_eq!(world.count("select count(*) from checkout.orders").await, 0);
    for sku in ["SKU-1", "SKU-2"] {
        assert_eq!(world.put(&cart, sku, &json!({ "quantity": 0 })).await.status, 200);
    }
    let placed = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!((placed.status.as_u16(), &placed.body["total"]["amount"]), (201, &json!(300)));
}

/// What the catalog did to the price does not change the cart's version, and what the buyer did to the cart may leave the total.
#[tokio::test]
async fn an_order_costs_what_its_buyer_was_shown() {
    let world = World::with(500).await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(1, 2)]).await);
    world.execute("update catalog.skus set price = 777 where sku = 'SKU-1'").await;
    let refused = world.place(ada, &cart, "tok_ok").await;
    assert_eq!(refused.problem(), (409, "cart-changed"));
    assert!(refused.body["detail"].as_str().unwrap().contains("1554 EUR"), "{refused:?}");
    let told = [
        json!({ "pointer": "/expected_total", "code": "total-changed", "detail": "200 EUR was named, and it costs 1554 EUR" }),
        json!({
            "pointer": "/expected_total", "code": "price-changed",
            "detail": "SKU-1: 100 when it was put into the cart, 777 EUR now",
        }),
    ];
    assert_eq!(refused.body["errors"], json!(told));
    world.look(&cart).await;
    assert_eq!(world.place(ada, &cart, "tok_ok").await.status, 201);
    assert_eq!(world.count("select count(*) from checkout.orders").await, 1);
}

#[tokio::test]
async fn an_order_is_of_what_its_buyer_was_shown_also_where_that_costs_the_same() {
    let world = World::with(500).await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(1, 4), (2, 1)]).await);
    let shown = world.order(ada, &world.key(), &cart, "tok_ok");
    world.put(&cart, "SKU-1", &json!({ "quantity": 2 })).await;
    world.put(&cart, "SKU-2", &json!({ "quantity": 2 })).await;
    let refused = world.send(shown).await;
    assert_eq!(refused.problem(), (409, "cart-changed"));
    let told = [
        json!({
            "pointer": "/cart_version", "code": "cart-changed",
            "detail": "version 3 was named, and it is at version 5",
        }),
        json!({ "pointer": "/cart_version", "code": "line-changed", "detail": "SKU-1: 2 now" }),
        json!({ "pointer": "/cart_version", "code": "line-changed", "detail": "SKU-2: 2 now" }),
    ];
    assert_eq!(refused.body["errors"], json!(told));
    assert_eq!(world.count("select count(*) from checkout.orders").await, 0);
}

/// 18.79 were shown, and 2,057.20 would have been charged.
#[tokio::test]
async fn an_edit_between_the_look_and_the_order_is_not_charged() {
    let world = World::with(500).await;
    world.execute("update catalog.skus set price = 1879 where sku = 'SKU-1'").await;
    world.execute("update catalog.skus set price = 203841 where sku = 'SKU-2'").await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(1, 1)]).await);
    let shown = world.order(ada, &world.key(), &cart, "tok_ok");
    let edited = world.put(&cart, "SKU-2", &json!({ "quantity": 1 })).await;
    assert_eq!(edited.body["total"]["amount"], 205_720);
    let refused = world.send(shown).await;
    assert_eq!(refused.problem(), (409, "cart-changed"));
    let codes: Vec<_> = refused.body["errors"].as_array().unwrap().iter().map(|error| &error["code"]).collect();
    assert_eq!(codes, ["cart-changed", "line-changed", "total-changed"]);
    assert_eq!(world.count("select count(*) from payment_simulator.charges").await, 0);
    assert_eq!(world.place(ada, &cart, "tok_ok").await.body["total"]["amount"], 205_720);
}

#[tokio::test]
async fn an_order_names_what_its_buyer_was_shown() {
    let world = World::with(5).await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(1, 1)]).await);
    for field in ["cart_version", "expected_total"] {
        let mut body = cart.order_body("tok_ok");
        body.as_object_mut().unwrap().remove(field);
        let order = request("POST", "/v1/orders").header("authorization", Token::of(ada).bearer());
        let order = order.header("x-cart-token", &cart.token).header("idempotency-key", world.key());
        let refused = world.send(client::json(order, &body)).await;
        assert_eq!(refused.problem(), (422, "validation-failed"), "{field}");
    }
}

#[tokio::test]
async fn a_lost_answer_of_the_provider_is_202_and_settled_by_the_sweep() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let (cart, key) = (world.cart(&[(1, 2)]).await, world.key());
    let pending = world.send(world.order(ada, &key, &cart, "tok_lost")).await;
    assert_eq!((pending.status.as_u16(), &pending.body["status"]), (202, &json!("pending_payment")));
    assert_eq!((pending.header("retry-after"), world.stock_of(1).await), ("5", (5, 2)));
    let running = world.send(world.order(ada, &key, &cart, "tok_lost")).await;
    assert_eq!((running.problem(), running.header("retry-after")), ((409, "idempotency-in-flight"), "1"));
    // Long before the reservation expires.
    let soon = OffsetDateTime::now_utc() + Duration::seconds(20);
    let swept = forebay_checkout::sweep(&world.state, soon).await.unwrap();
    assert_eq!((swept.paid, swept.expired, swept.waiting), (1, 0, 0));
    assert_eq!(world.stock_of(1).await, (3, 0));
    let again = world.send(world.order(ada, &key, &cart, "tok_lost")).await;
    assert_eq!(
        (again.status.as_u16(), &again.body["status"], again.header("idempotent-replayed")),
        (201, &json!("paid"), "true")
    );
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn the_price_is_the_servers_at_the_moment_of_the_order() {
    let world = World::with(5).await;
    let cart = world.cart(&[(1, 1)]).await;
    world.execute("update catalog.skus set price = 777 where sku = 'SKU-1'").await;
    world.look(&cart).await;
    let placed = world.place(Uuid::now_v7(), &cart, "tok_ok").await;
    assert_eq!(placed.body["items"][0]["unit_price"]["amount"], 777);
    assert_eq!(world.count("select amount from checkout.payments").await, 777);
}

#[tokio::test]
async fn an_order_needs_one_key() {
    let world = World::with(5).await;
    let cart = world.cart(&[(1, 1)]).await;
    let bare = || {
        request("POST", "/v1/orders")
            .header("authorization", Token::of(Uuid::now_v7()).bearer())
            .header("x-cart-token", &cart.token)
    };
    let body = cart.order_body("tok_ok");
    assert_eq!(world.send(client::json(bare(), &body)).await.problem(), (400, "idempotency-key-missing"));
    let two = bare().header("idempotency-key", "a").header("idempotency-key", "b");
    assert_eq!(world.send(client::json(two, &body)).await.problem(), (400, "invalid-request"));
    let long = bare().header("idempotency-key", "k".repeat(256));
    assert_eq!(world.send(client::json(long, &body)).await.problem(), (400, "invalid-request"));
    let unquoted = bare().header("idempotency-key", "bare-token");
    assert_eq!(world.send(client::json(unquoted, &body)).await.status, 201);
}
