use axum::body::Body;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{self, Answer, request};
use crate::tokens::Token;
use crate::world::{Cart, World, order_body};

async fn order(world: &World, body: &Value) -> Answer {
    let asked = request("POST", "/v1/orders")
        .header("authorization", Token::of(Uuid::now_v7()).bearer())
        .header("idempotency-key", world.key());
    world.send(client::json(asked, body)).await
}

#[tokio::test]
async fn another_method_is_405_and_says_which_are_allowed() {
    let world = World::with(0).await;
    let id = Uuid::now_v7();
    for (method, path, allowed) in [
        ("DELETE", "/v1/orders".to_owned(), "POST,GET,HEAD"),
        ("GET", format!("/v1/orders/{id}/payment"), "POST"),
        ("GET", format!("/v1/orders/{id}/cancel"), "POST"),
        ("GET", format!("/v1/orders/{id}/returns"), "POST"),
        ("POST", "/v1/returns".to_owned(), "GET,HEAD"),
        ("DELETE", format!("/v1/orders/{id}"), "GET,HEAD"),
        ("PATCH", "/v1/carts".to_owned(), "POST"),
        ("PUT", format!("/v1/carts/{id}"), "GET,HEAD"),
        ("POST", format!("/v1/carts/{id}/items/SKU-1"), "PUT,DELETE"),
        ("GET", format!("/v1/carts/{id}/claim"), "POST"),
    ] {
        let answer = world.send(request(method, &path).body(Body::empty()).unwrap()).await;
        assert_eq!(
            (answer.problem(), answer.header("allow")),
            ((405, "method-not-allowed"), allowed),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn an_order_of_another_shape_is_422_and_points_at_the_field() {
    let world = World::with(0).await;
    let good = order_body(&Uuid::now_v7().to_string(), "tok_ok");
    for (pointer, value) in [
        ("/discount", json!(100)),
        ("/cart_id", json!("not-an-id")),
        ("/cart_version", json!("1")),
        ("/expected_total", json!(100)),
        ("/expected_total/amount", json!(1.5)),
        ("/payment_token", json!(7)),
        ("/payment_token", json!("4111 1111 1111 1111")),
        ("/address/country", json!("Germany")),
        ("/address/country", json!("XX")),
        ("/address/name", json!("")),
        ("/address/name", json!("   ")),
        ("/address/name", json!("a\n\u{1b}[31m")),
        ("/address/line2", json!("\u{200B}")),
        ("/address/planet", json!("Earth")),
        ("/address", json!(["Ada", "1 Mill Lane", null, "Forebay", "12345", "DE"])),
    ] {
        let mut body = good.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[field] = value;
        let answer = order(&world, &body).await;
        assert_eq!(answer.problem(), (422, "validation-failed"), "{pointer}");
        assert_eq!(answer.body["errors"][0]["pointer"], pointer);
    }
}

/// Fields by their position, which is an accident of our source.
#[tokio::test]
async fn an_array_is_no_order_and_no_quantity() {
    let world = World::with(1).await;
    let cart = world.cart(&[(1, 1)]).await;
    let body = cart.order_body("tok_ok");
    let by_position = json!([body["cart_id"], body["payment_token"], body["address"]]);
    for answer in [order(&world, &by_position).await, world.put(&cart, "SKU-1", &json!([1])).await] {
        assert_eq!(answer.problem(), (422, "validation-failed"));
        assert_eq!(answer.body["errors"][0]["detail"], "must be an object");
    }
    assert_eq!(world.put(&cart, "SKU-1", &json!({ "quantity": 2.0 })).await.body["items"][0]["quantity"], 2);
}

#[tokio::test]
async fn text_that_no_database_keeps_is_refused_before_it_is_asked() {
    let world = World::with(1).await;
    let cart = world.cart(&[]).await;
    assert_eq!(world.put(&cart, "SKU%00", &json!({ "quantity": 1 })).await.problem(), (404, "not-found"));
    let mut body = cart.order_body("tok_ok");
    body["address"]["name"] = json!("A\u{0}");
    let answer = order(&world, &body).await;
    assert_eq!(
        (answer.problem(), &answer.body["errors"][0]["pointer"]),
        ((422, "validation-failed"), &json!("/address/name"))
    );
}

#[tokio::test]
async fn a_body_too_long_of_another_type_or_no_json_is_refused() {
    let world = World::with(0).await;
    let asked = |media_type: &str, body: Vec<u8>| {
        request("POST", "/v1/orders")
            .header("authorization", Token::of(Uuid::now_v7()).bearer())
            .header("idempotency-key", "k")
            .header("content-type", media_type)
            .body(Body::from(body))
            .unwrap()
    };
    let long = world.send(asked("application/json", vec![b' '; 65_537])).await;
    assert_eq!(long.problem(), (413, "payload-too-large"));
    assert_eq!(world.send(asked("text/xml", Vec::new())).await.problem(), (415, "unsupported-media-type"));
    assert_eq!(world.send(asked("application/json", b"{\"cart".to_vec())).await.problem(), (400, "invalid-request"));
}

#[tokio::test]
async fn a_refused_request_leaves_nothing() {
    let world = World::with(0).await;
    let unknown = order(&world, &order_body(&Uuid::now_v7().to_string(), "tok_ok")).await;
    assert_eq!(unknown.problem(), (404, "not-found"));
    assert_eq!(world.count("select count(*) from checkout.idempotency_keys").await, 0);
}

#[tokio::test]
async fn a_refusal_gives_its_connection_back_clean() {
    let world = World::with(0).await;
    let (mine, other) = (world.cart(&[(1, 1)]).await, world.cart(&[]).await);
    let crossed = Cart::of(&mine.id, other.token);
    for _ in 0..20 {
        assert_eq!(world.put(&crossed, "SKU-1", &json!({ "quantity": 1 })).await.problem(), (404, "not-found"));
        assert_eq!(world.put(&mine, "SKU-999", &json!({ "quantity": 1 })).await.problem(), (404, "not-found"));
        let short = world.place(Uuid::now_v7(), &mine, "tok_ok").await;
        assert_eq!(short.problem(), (409, "insufficient-stock"));
        let unknown = order(&world, &order_body(&Uuid::now_v7().to_string(), "tok_ok")).await;
        assert_eq!(unknown.problem(), (404, "not-found"));
    }
    assert_eq!(world.db.snapshot().totals.quarantined, 0);
}
