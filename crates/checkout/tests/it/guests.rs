//! Orders without an account: by the token of a cart, and an e-mail address.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{self, Answer, request};
use crate::tokens::Token;
use crate::world::{Cart, World};

fn order_with(key: &str, cart: &Cart, body: &Value) -> Request<Body> {
    let order = request("POST", "/v1/orders").header("x-cart-token", &cart.token).header("idempotency-key", key);
    client::json(order, body)
}

fn order(key: &str, cart: &Cart, payment: &str) -> Request<Body> {
    let mut body = cart.order_body(payment);
    body["contact_email"] = json!("guest@example.test");
    order_with(key, cart, &body)
}

async fn read(world: &World, location: &str, token: &str) -> Answer {
    let asked = request("GET", location).header("x-cart-token", token);
    world.send(asked.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_guest_orders_and_reads_the_order_with_the_token_of_the_cart_alone() {
    let world = World::with(5).await;
    let (cart, other) = (world.cart(&[(1, 2)]).await, world.cart(&[]).await);
    let placed = world.send(order(&world.key(), &cart, "tok_ok")).await;
    assert_eq!((placed.status.as_u16(), &placed.body["status"]), (201, &json!("paid")));
    assert_eq!(placed.body["contact_email"], "guest@example.test");
    let location = placed.header("location").to_owned();
    let seen = read(&world, &location, &cart.token).await;
    assert_eq!((seen.status.as_u16(), &seen.body["items"]), (200, &placed.body["items"]));
    assert_eq!(read(&world, &location, &other.token).await.problem(), (404, "not-found"));
    assert_eq!(world.get(&location, Uuid::now_v7()).await.problem(), (404, "not-found"));
    let by_id_alone = request("GET", &location).body(Body::empty()).unwrap();
    assert_eq!(world.send(by_id_alone).await.problem(), (401, "unauthenticated"));
    assert_eq!(world.look(&cart).await.body["status"], "ordered");
    assert_eq!(world.send(world.claim(&cart, Uuid::now_v7())).await.problem(), (409, "cart-already-ordered"));
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn a_guest_says_where_to_be_reached() {
    let world = World::with(5).await;
    let cart = world.cart(&[(1, 1)]).await;
    let refused = world.send(order_with(&world.key(), &cart, &cart.order_body("tok_ok"))).await;
    assert_eq!(
        (refused.problem(), &refused.body["errors"][0]["pointer"]),
        ((422, "validation-failed"), &json!("/contact_email"))
    );
    for wrong in [json!("nobody"), json!(""), json!(null)] {
        let mut body = cart.order_body("tok_ok");
        body["contact_email"] = wrong;
        assert_eq!(world.send(order_with(&world.key(), &cart, &body)).await.problem(), (422, "validation-failed"));
    }
    assert_eq!(world.count("select count(*) from checkout.orders").await, 0);
}

#[tokio::test]
async fn a_guest_has_no_cart_but_the_one_whose_token_opens_it() {
    let world = World::with(5).await;
    let (mine, other) = (world.cart(&[(1, 1)]).await, world.cart(&[(1, 1)]).await);
    let mut crossed = mine.order_body("tok_ok");
    crossed["contact_email"] = json!("guest@example.test");
    assert_eq!(world.send(order_with(&world.key(), &other, &crossed)).await.problem(), (404, "not-found"));
    world.send(world.claim(&mine, Uuid::now_v7())).await;
    assert_eq!(
        world.send(order(&world.key(), &mine, "tok_ok")).await.problem(),
        (404, "not-found"),
        "an account's now"
    );
}

#[tokio::test]
async fn a_guests_key_is_its_carts() {
    let world = World::with(5).await;
    let (cart, other, key) = (world.cart(&[(1, 1)]).await, world.cart(&[(1, 1)]).await, world.key());
    let first = world.send(order(&key, &cart, "tok_ok")).await;
    let again = world.send(order(&key, &cart, "tok_ok")).await;
    assert_eq!((again.status, &again.body, again.header("idempotent-replayed")), (first.status, &first.body, "true"));
    assert_eq!(world.send(order(&key, &cart, "tok_decline")).await.problem(), (422, "idempotency-key-reused"));
    assert_eq!(world.send(order(&world.key(), &cart, "tok_ok")).await.problem(), (409, "cart-already-ordered"));
    assert_eq!(world.send(order(&key, &other, "tok_ok")).await.status, 201, "equal keys of two guests do not meet");
    let guessed = Cart::of(&cart.id, "guessed");
    let mut body = cart.order_body("tok_ok");
    body["contact_email"] = json!("guest@example.test");
    assert_eq!(
        world.send(order_with(&key, &guessed, &body)).await.problem(),
        (404, "not-found"),
        "not its answer either"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_equal_keys_of_a_guest_at_once_make_one_order() {
    let world = World::with(20).await;
    let (cart, key) = (world.cart(&[(1, 1), (2, 2)]).await, world.key());
    let answers = world.send_at_once((0..50).map(|_| order(&key, &cart, "tok_ok"))).await;
    let fresh = answers.iter().filter(|answer| answer.status == 201 && answer.header("idempotent-replayed").is_empty());
    assert_eq!(fresh.count(), 1);
    assert_eq!(world.count("select count(*) from checkout.orders").await, 1);
    assert_eq!(world.faults(20).await, [""; 0]);
}

#[tokio::test]
async fn what_becomes_of_a_guests_order_is_settled_as_any_others() {
    let world = World::with(5).await;
    let (lost, short) = (world.cart(&[(1, 3)]).await, world.cart(&[(1, 3)]).await);
    let key = world.key();
    let pending = world.send(order(&key, &lost, "tok_lost")).await;
    assert_eq!((pending.status.as_u16(), world.stock_of(1).await), (202, (5, 3)));
    let refused = world.send(order(&world.key(), &short, "tok_ok")).await;
    assert_eq!(refused.problem(), (409, "insufficient-stock"), "whose the other order is nobody knows");
    assert_eq!(world.sweep().await.paid, 1);
    assert_eq!(read(&world, pending.header("location"), &lost.token).await.body["status"], "paid");
    assert_eq!(world.send(order(&key, &lost, "tok_lost")).await.status, 201);
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn a_guest_pays_again_or_cancels_with_the_token_of_the_cart() {
    let world = World::with(5).await;
    let (first, second) = (world.cart(&[(1, 1)]).await, world.cart(&[(1, 1)]).await);
    let ask = |location: &str, what: &str, token: &str, body: &Value| {
        let asked = request("POST", &format!("{location}/{what}")).header("x-cart-token", token);
        client::json(asked.header("idempotency-key", world.key()), body)
    };
    let declined = world.send(order(&world.key(), &first, "tok_decline")).await;
    assert_eq!(declined.problem(), (422, "payment-declined"));
    let (location, payment) = (declined.header("location"), json!({ "payment_token": "tok_ok" }));
    assert_eq!(world.send(ask(location, "payment", &second.token, &payment)).await.problem(), (404, "not-found"));
    let paid = world.send(ask(location, "payment", &first.token, &payment)).await;
    assert_eq!((paid.status.as_u16(), &paid.body["status"]), (200, &json!("paid")));
    let declined = world.send(order(&world.key(), &second, "tok_decline")).await;
    let location = declined.header("location");
    for (token, status) in [(&first.token, 404), (&second.token, 200)] {
        let asked = request("POST", &format!("{location}/cancel")).header("x-cart-token", token);
        let asked = asked.header("idempotency-key", world.key()).body(Body::empty()).unwrap();
        assert_eq!(world.send(asked).await.status, status);
    }
    let bearer =
        request("POST", &format!("{location}/cancel")).header("authorization", Token::of(Uuid::now_v7()).bearer());
    let bearer = bearer.header("idempotency-key", world.key()).body(Body::empty()).unwrap();
    assert_eq!(world.send(bearer).await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn a_guest_reads_what_became_of_a_return_with_the_token_of_the_cart() {
    let world = World::with(5).await;
    let (cart, other) = (world.cart(&[(1, 2)]).await, world.cart(&[]).await);
    let placed = world.send(order(&world.key(), &cart, "tok_ok")).await;
    world.execute("update checkout.orders set status = 'delivered'").await;
    let asked = request("POST", &format!("{}/returns", placed.header("location")))
        .header("x-cart-token", &cart.token)
        .header("idempotency-key", world.key());
    let body = json!({ "items": [{ "sku": "SKU-1", "quantity": 1 }], "reason": "It is too small." });
    let made = world.send(client::json(asked, &body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let location = made.header("location");
    let seen = read(&world, location, &cart.token).await;
    assert_eq!((seen.status.as_u16(), &seen.body), (200, &made.body));
    assert_eq!(read(&world, location, &other.token).await.problem(), (404, "not-found"));
    assert_eq!(world.get(location, Uuid::now_v7()).await.problem(), (404, "not-found"));
    let by_id_alone = request("GET", location).body(Body::empty()).unwrap();
    assert_eq!(world.send(by_id_alone).await.problem(), (401, "unauthenticated"));
}
