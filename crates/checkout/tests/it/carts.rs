use axum::body::Body;
use serde_json::json;
use uuid::Uuid;

use crate::client::{self, Answer, request};
use crate::world::{Cart, World};

async fn read(world: &World, cart: &Cart) -> Answer {
    world.look(cart).await
}

async fn claim(world: &World, cart: &Cart, user: Uuid) -> Answer {
    world.send(world.claim(cart, user)).await
}

/// The cart's own request with this header more.
async fn with(world: &World, cart: &Cart, method: &str, header: (&str, &str), sku: Option<(&str, i64)>) -> Answer {
    let path = match sku {
        Some((sku, _)) => format!("/v1/carts/{}/items/{sku}", cart.id),
        None => format!("/v1/carts/{}", cart.id),
    };
    let asked = request(method, &path).header("x-cart-token", &cart.token).header(header.0, header.1);
    match sku {
        Some((_, quantity)) if method == "PUT" => {
            world.send(client::json(asked, &json!({ "quantity": quantity }))).await
        }
        _ => world.send(asked.body(Body::empty()).unwrap()).await,
    }
}

#[tokio::test]
async fn a_cart_holds_what_was_put_at_the_servers_prices() {
    let world = World::with(5).await;
    let cart = world.cart(&[(2, 3), (1, 1), (2, 4)]).await;
    let seen = read(&world, &cart).await.body;
    assert_eq!(seen["total"], json!({ "amount": 900, "currency": "EUR" }));
    assert_eq!((&seen["items"][0]["sku"], &seen["items"][0]["quantity"]), (&json!("SKU-2"), &json!(4)));
    assert_eq!(seen["version"], 4);
}

#[tokio::test]
async fn a_new_cart_is_empty_and_says_where_it_is() {
    let world = World::with(5).await;
    let made = world.send(request("POST", "/v1/carts").body(Body::empty()).unwrap()).await;
    assert_eq!(made.header("location"), format!("/v1/carts/{}", made.body["id"].as_str().unwrap()));
    assert_eq!(
        (&made.body["items"], &made.body["total"], &made.body["status"]),
        (&json!([]), &json!(null), &json!("open"))
    );
}

#[tokio::test]
async fn a_quantity_is_0_to_99_and_0_removes() {
    let world = World::with(5).await;
    let cart = world.cart(&[(1, 99)]).await;
    for wrong in [-1, 100, i64::MAX] {
        let answer = world.put(&cart, "SKU-1", &json!({ "quantity": wrong })).await;
        assert_eq!(answer.problem(), (422, "validation-failed"), "{wrong}");
        assert_eq!(answer.body["errors"][0]["pointer"], "/quantity");
    }
    assert_eq!(read(&world, &cart).await.body["items"][0]["quantity"], 99);
    let emptied = world.put(&cart, "SKU-1", &json!({ "quantity": 0 })).await;
    assert_eq!(emptied.body["items"], json!([]));
}

#[tokio::test]
async fn a_line_is_deleted_once_and_a_quantity_of_0_may_be_put_again() {
    let world = World::with(5).await;
    let cart = world.cart(&[(1, 1), (2, 1)]).await;
    let path = format!("/v1/carts/{}/items/SKU-1", cart.id);
    let delete = || request("DELETE", &path).header("x-cart-token", &cart.token).body(Body::empty()).unwrap();
    let deleted = world.send(delete()).await;
    assert_eq!((deleted.status.as_u16(), deleted.body["items"].as_array().unwrap().len()), (200, 1));
    assert_eq!(world.send(delete()).await.problem(), (404, "not-found"));
    assert_eq!(read(&world, &cart).await.body["version"], deleted.body["version"], "and nothing changed");
    assert_eq!(world.put(&cart, "SKU-1", &json!({ "quantity": 0 })).await.status, 200);
}

#[tokio::test]
async fn what_is_not_sold_any_more_stays_in_the_cart_and_is_shown_as_that() {
    let world = World::with(5).await;
    let cart = world.cart(&[(1, 1), (2, 1), (3, 2)]).await;
    world.execute("update catalog.skus set active = false where sku = 'SKU-1'").await;
    world.execute("delete from catalog.skus where sku = 'SKU-2'").await;
    let seen = read(&world, &cart).await.body;
    let line = |index: usize, field: &str| seen["items"][index][field].clone();
    assert_eq!(
        [line(0, "sellable"), line(1, "sellable"), line(2, "sellable")],
        [json!(false), json!(false), json!(true)]
    );
    assert_eq!((line(0, "name"), line(0, "unit_price")["amount"].clone()), (json!("Thing"), json!(100)));
    assert_eq!((line(1, "sku"), line(1, "name"), line(1, "unit_price")), (json!("SKU-2"), json!(null), json!(null)));
    assert_eq!(seen["total"], json!({ "amount": 600, "currency": "EUR" }), "of what can be ordered");
    let path = format!("/v1/carts/{}/items/SKU-2", cart.id);
    let delete = request("DELETE", &path).header("x-cart-token", &cart.token).body(Body::empty()).unwrap();
    assert_eq!(world.send(delete).await.status, 200);
}

#[tokio::test]
async fn what_is_not_sold_is_404() {
    let world = World::with(5).await;
    world.execute("update catalog.skus set active = false where sku = 'SKU-2'").await;
    let cart = world.cart(&[]).await;
    for sku in ["SKU-999", "SKU-2", "%20"] {
        assert_eq!(world.put(&cart, sku, &json!({ "quantity": 1 })).await.problem(), (404, "not-found"), "{sku}");
    }
}

#[tokio::test]
async fn a_cart_holds_a_hundred_skus_and_no_more() {
    let world = World::with(5).await;
    let cart = world.cart(&[]).await;
    world.fill(&cart, 1..=99, 1).await;
    assert_eq!(world.put(&cart, "SKU-100", &json!({ "quantity": 1 })).await.status, 200);
    assert_eq!(world.put(&cart, "SKU-101", &json!({ "quantity": 1 })).await.problem(), (422, "validation-failed"));
    assert_eq!(world.put(&cart, "SKU-50", &json!({ "quantity": 2 })).await.status, 200);
    assert_eq!(read(&world, &cart).await.body["items"].as_array().unwrap().len(), 100);
    assert_eq!(world.place(Uuid::now_v7(), &cart, "tok_ok").await.status, 201);
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn a_line_says_what_it_costs_and_how_many_there_are() {
    let world = World::with(500).await;
    let cart = world.cart(&[(2, 3), (1, 1)]).await;
    world.execute("update checkout.inventory set on_hand = 7, reserved = 5 where sku = 'SKU-2'").await;
    world.execute("delete from checkout.inventory where sku = 'SKU-1'").await;
    world.put(&cart, "SKU-3", &json!({ "quantity": 1 })).await;
    let seen = read(&world, &cart).await.body;
    let eur = |amount: i64| json!({ "amount": amount, "currency": "EUR" });
    assert_eq!(
        seen["items"][0],
        json!({
            "sku": "SKU-2", "name": "Thing", "quantity": 3, "unit_price": eur(200), "line_total": eur(600),
            "sellable": true, "available": 2,
        })
    );
    let available: Vec<_> = seen["items"].as_array().unwrap().iter().map(|line| &line["available"]).collect();
    assert_eq!(available, [2, 0, 99], "as many as a line may hold, at most");
}

#[tokio::test]
async fn a_carts_etag_is_another_one_whenever_what_its_buyer_sees_is() {
    let world = World::with(500).await;
    let cart = world.cart(&[(1, 1)]).await;
    let tag = async || read(&world, &cart).await.header("etag").to_owned();
    let first = tag().await;
    assert_eq!(with(&world, &cart, "GET", ("if-none-match", &first), None).await.status, 304);
    let same = world.put(&cart, "SKU-1", &json!({ "quantity": 1 })).await;
    assert_eq!((same.header("etag"), &same.body["version"]), (&*first, &json!(2)), "nothing has changed");
    let edited = world.put(&cart, "SKU-1", &json!({ "quantity": 2 })).await;
    let second = tag().await;
    assert_eq!((edited.header("etag"), &edited.body["version"]), (&*second, &json!(3)));
    world.execute("update catalog.skus set price = 777 where sku = 'SKU-1'").await;
    let third = tag().await;
    world.execute("update checkout.inventory set on_hand = 2 where sku = 'SKU-1'").await;
    let fourth = tag().await;
    let all = std::collections::BTreeSet::from([&first, &second, &third, &fourth]);
    assert_eq!(all.len(), 4, "edits, prices and stock");
    for old in [first, second, third] {
        assert_eq!(with(&world, &cart, "GET", ("if-none-match", &old), None).await.status, 200);
    }
}

#[tokio::test]
async fn a_cart_is_at_another_version_after_each_change_and_after_nothing_else() {
    let world = World::with(500).await;
    let cart = world.cart(&[(1, 1), (2, 1), (3, 1)]).await;
    let put = async |sku: &str, quantity: i64| world.put(&cart, sku, &json!({ "quantity": quantity })).await;
    let delete = async |sku: &str| with(&world, &cart, "DELETE", ("accept", "*/*"), Some((sku, 0))).await;
    let mut version = read(&world, &cart).await.body["version"].as_i64().unwrap();
    for (answer, status, changes) in [
        (put("SKU-1", 2).await, 200, 1),
        (put("SKU-1", 2).await, 200, 0),
        (put("SKU-1", 0).await, 200, 1),
        (put("SKU-1", 0).await, 200, 0),
        (delete("SKU-2").await, 200, 1),
        (delete("SKU-2").await, 404, 0),
        (put("SKU-unknown", 1).await, 404, 0),
        (put("SKU-unknown", 0).await, 200, 0),
        (put("SKU-2", 1).await, 200, 1),
    ] {
        version += changes;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 200 {
            assert_eq!(answer.body["version"], version, "{answer:?}");
        }
    }
    assert_eq!(read(&world, &cart).await.body["version"], version);
}

#[tokio::test]
async fn a_change_may_be_for_the_cart_that_was_read_and_no_other() {
    let world = World::with(500).await;
    let cart = world.cart(&[(1, 1)]).await;
    let tag = read(&world, &cart).await.header("etag").to_owned();
    let changed = with(&world, &cart, "PUT", ("if-match", &tag), Some(("SKU-2", 1))).await;
    assert_eq!(changed.status, 200);
    for method in ["PUT", "DELETE"] {
        let stale = with(&world, &cart, method, ("if-match", &tag), Some(("SKU-2", 5))).await;
        assert_eq!(stale.problem(), (412, "precondition-failed"), "{method}");
    }
    let seen = read(&world, &cart).await;
    assert_eq!((seen.header("etag"), &seen.body["items"][1]["quantity"]), (changed.header("etag"), &json!(1)));
    let deleted = with(&world, &cart, "DELETE", ("if-match", changed.header("etag")), Some(("SKU-2", 0))).await;
    assert_eq!(deleted.status, 200);
}

#[tokio::test]
async fn nobody_learns_of_anothers_cart() {
    let world = World::with(5).await;
    let (mine, other) = (world.cart(&[]).await, world.cart(&[]).await);
    let crossed = Cart::of(&mine.id, other.token);
    assert_eq!(read(&world, &crossed).await.problem(), (404, "not-found"));
    assert_eq!(world.put(&crossed, "SKU-1", &json!({ "quantity": 1 })).await.problem(), (404, "not-found"));
    let unreal = Cart::of(Uuid::now_v7().to_string(), &mine.token);
    assert_eq!(read(&world, &unreal).await.problem(), (404, "not-found"));
    let misspelt = Cart::of("not-an-id", mine.token);
    assert_eq!(read(&world, &misspelt).await.problem(), (404, "not-found"));
    let asked = request("GET", &format!("/v1/carts/{}", mine.id)).body(Body::empty()).unwrap();
    assert_eq!(world.send(asked).await.problem(), (401, "unauthenticated"));
}

#[tokio::test]
async fn a_claimed_cart_opens_to_its_owner_alone() {
    let world = World::with(5).await;
    let (ada, eve) = (Uuid::now_v7(), Uuid::now_v7());
    let cart = world.cart(&[(1, 1)]).await;
    for _ in 0..2 {
        assert_eq!(claim(&world, &cart, ada).await.status, 200, "claiming again is claiming");
    }
    assert_eq!(claim(&world, &cart, eve).await.problem(), (404, "not-found"));
    assert_eq!(read(&world, &cart).await.problem(), (404, "not-found"), "its token is spent");
    let path = format!("/v1/carts/{}", cart.id);
    assert_eq!(world.get(&path, ada).await.body["items"][0]["sku"], "SKU-1");
    assert_eq!(world.get(&path, eve).await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn an_ordered_cart_changes_no_more() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let cart = world.cart(&[(1, 1)]).await;
    claim(&world, &cart, ada).await;
    assert_eq!(world.place(ada, &cart, "tok_ok").await.status, 201);
    assert_eq!(read(&world, &cart).await.problem(), (404, "not-found"), "what a user claimed its token shows no more");
    assert_eq!(claim(&world, &cart, ada).await.problem(), (409, "cart-already-ordered"));
    assert_eq!(world.place(ada, &cart, "tok_ok").await.problem(), (409, "cart-already-ordered"));
}

#[tokio::test]
async fn an_anonymous_cart_shows_whoever_filled_it_that_it_was_ordered() {
    let world = World::with(5).await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(1, 1)]).await);
    assert_eq!(world.place(ada, &cart, "tok_ok").await.status, 201);
    let seen = read(&world, &cart).await;
    assert_eq!((seen.status.as_u16(), &seen.body["status"]), (200, &json!("ordered")));
    assert_eq!(world.put(&cart, "SKU-1", &json!({ "quantity": 2 })).await.problem(), (409, "cart-already-ordered"));
    assert_eq!(world.get(&format!("/v1/carts/{}", cart.id), ada).await.body["status"], "ordered");
}
