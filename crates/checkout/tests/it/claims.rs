//! The one open cart of an account, and carts that become part of it.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use futures_util::future::join;
use serde_json::{Value, json};
use sqlx::Connection as _;
use uuid::Uuid;

use crate::client::{self, Answer, request, send};
use crate::tokens::Token;
use crate::world::{Cart, World};

const OPEN: &str = "select count(*) from checkout.carts where status = 'open' and user_id is not null";

async fn claim(world: &World, cart: &Cart, user: Uuid) -> Answer {
    world.send(world.claim(cart, user)).await
}

async fn own(world: &World, user: Uuid) -> Answer {
    world.get("/v1/cart", user).await
}

fn making_own(user: Uuid) -> Request<Body> {
    let asked = request("POST", "/v1/carts").header("authorization", Token::of(user).bearer());
    asked.body(Body::empty()).unwrap()
}

async fn make_own(world: &World, user: Uuid) -> Answer {
    world.send(making_own(user)).await
}

/// The account's cart, with these lines.
async fn own_with(world: &World, user: Uuid, lines: &[(u32, i64)]) -> String {
    let made = make_own(world, user).await;
    let id = made.body["id"].as_str().unwrap().to_owned();
    for (sku, quantity) in lines {
        assert_eq!(put(world, &id, user, &format!("SKU-{sku}"), *quantity).await.status, 200);
    }
    id
}

async fn put(world: &World, id: &str, user: Uuid, sku: &str, quantity: i64) -> Answer {
    let asked = request("PUT", &format!("/v1/carts/{id}/items/{sku}"));
    let asked = asked.header("authorization", Token::of(user).bearer());
    world.send(client::json(asked, &json!({ "quantity": quantity }))).await
}

fn lines(cart: &Value) -> BTreeMap<String, i64> {
    let items = cart["items"].as_array().unwrap().iter();
    items.map(|line| (line["sku"].as_str().unwrap().to_owned(), line["quantity"].as_i64().unwrap())).collect()
}

fn of<const N: usize>(lines: [(&str, i64); N]) -> BTreeMap<String, i64> {
    lines.into_iter().map(|(sku, quantity)| (sku.to_owned(), quantity)).collect()
}

#[tokio::test]
async fn an_account_has_one_open_cart_which_is_found_without_its_id() {
    let world = World::with(5).await;
    let (ada, eve) = (Uuid::now_v7(), Uuid::now_v7());
    assert_eq!(own(&world, ada).await.problem(), (404, "not-found"));
    let made = make_own(&world, ada).await;
    assert_eq!((made.status.as_u16(), &made.body["cart_token"]), (201, &Value::Null));
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.header("location"), format!("/v1/carts/{id}"));
    assert_eq!(put(&world, id, ada, "SKU-1", 2).await.status, 200);
    let again = make_own(&world, ada).await;
    assert_eq!(
        (again.status.as_u16(), &again.body["id"], again.header("location")),
        (200, &made.body["id"], made.header("location"))
    );
    let found = own(&world, ada).await;
    assert_eq!((&found.body, found.header("etag")), (&again.body, again.header("etag")));
    let asked = request("GET", "/v1/cart").header("authorization", Token::of(ada).bearer());
    let asked = asked.header("if-none-match", found.header("etag")).body(Body::empty()).unwrap();
    assert_eq!(world.send(asked).await.status, 304);
    assert_eq!(own(&world, eve).await.problem(), (404, "not-found"));
    let nobody = request("GET", "/v1/cart").body(Body::empty()).unwrap();
    assert_eq!(world.send(nobody).await.problem(), (401, "unauthenticated"));
}

#[tokio::test]
async fn a_cart_that_is_claimed_goes_into_the_accounts_and_its_token_dies() {
    let world = World::with(500).await;
    let (ada, eve) = (Uuid::now_v7(), Uuid::now_v7());
    let id = own_with(&world, ada, &[(1, 60), (2, 1)]).await;
    let cart = world.cart(&[(1, 60), (3, 4)]).await;
    let merged = claim(&world, &cart, ada).await;
    assert_eq!(
        (merged.status.as_u16(), &merged.body["id"], &merged.body["capped"]),
        (200, &json!(id), &json!(["SKU-1"]))
    );
    assert_eq!(lines(&merged.body), of([("SKU-1", 99), ("SKU-2", 1), ("SKU-3", 4)]));
    let found = own(&world, ada).await;
    assert_eq!((lines(&found.body), found.header("etag")), (lines(&merged.body), merged.header("etag")));
    assert_eq!(found.body["version"], 4);
    let again = claim(&world, &cart, ada).await;
    assert_eq!(
        (again.status.as_u16(), lines(&again.body)),
        (200, lines(&merged.body)),
        "its answer may have been lost"
    );
    assert_eq!(claim(&world, &cart, eve).await.problem(), (404, "not-found"));
    for dead in [world.look(&cart).await, world.get(&format!("/v1/carts/{}", cart.id), ada).await] {
        assert_eq!(dead.problem(), (404, "not-found"));
    }
    assert_eq!(world.put(&cart, "SKU-1", &json!({ "quantity": 1 })).await.problem(), (404, "not-found"));
    assert_eq!(world.place(ada, &cart, "tok_ok").await.problem(), (404, "not-found"));
    assert_eq!(world.count(OPEN).await, 1);
}

#[tokio::test]
async fn an_empty_cart_changes_nothing_about_the_accounts() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    own_with(&world, ada, &[(1, 1)]).await;
    let before = own(&world, ada).await;
    assert_eq!(claim(&world, &world.cart(&[]).await, ada).await.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn two_carts_of_more_than_a_hundred_skus_stay_two() {
    let world = World::with(500).await;
    let ada = Uuid::now_v7();
    let id = own_with(&world, ada, &[]).await;
    world.fill(&Cart::of(&id, ""), 1..=60, 1).await;
    let cart = world.cart(&[]).await;
    world.fill(&cart, 50..=101, 1).await;
    assert_eq!(claim(&world, &cart, ada).await.problem(), (422, "validation-failed"));
    assert_eq!(lines(&own(&world, ada).await.body).len(), 60);
    assert_eq!(lines(&world.look(&cart).await.body).len(), 52);
    world.put(&cart, "SKU-101", &json!({ "quantity": 0 })).await;
    let merged = claim(&world, &cart, ada).await;
    assert_eq!((merged.status.as_u16(), lines(&merged.body).len()), (200, 100));
    assert_eq!(lines(&merged.body)["SKU-55"], 2);
}

#[tokio::test]
async fn a_cart_that_was_ordered_is_not_claimed_and_the_account_may_have_a_new_one() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let (ordered, next) = (world.cart(&[(1, 1)]).await, world.cart(&[(2, 1)]).await);
    assert_eq!(world.place(ada, &ordered, "tok_ok").await.status, 201);
    assert_eq!(claim(&world, &ordered, ada).await.problem(), (409, "cart-already-ordered"));
    assert_eq!(claim(&world, &ordered, Uuid::now_v7()).await.problem(), (409, "cart-already-ordered"));
    assert_eq!(own(&world, ada).await.problem(), (404, "not-found"));
    let taken = claim(&world, &next, ada).await;
    assert_eq!((&taken.body["id"], &taken.body["capped"]), (&json!(next.id), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_that_claim_one_cart_at_once_add_it_once() {
    let world = World::with(500).await;
    for has_cart in [true, false] {
        let ada = Uuid::now_v7();
        let expected = if has_cart {
            own_with(&world, ada, &[(1, 1)]).await;
            of([("SKU-1", 3), ("SKU-2", 5)])
        } else {
            of([("SKU-1", 2), ("SKU-2", 5)])
        };
        let cart = world.cart(&[(1, 2), (2, 5)]).await;
        let answers = world.send_at_once((0..8).map(|_| world.claim(&cart, ada))).await;
        for answer in answers {
            assert_eq!((answer.status.as_u16(), lines(&answer.body)), (200, expected.clone()));
        }
        assert_eq!(lines(&own(&world, ada).await.body), expected);
    }
    assert_eq!(world.count(OPEN).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_that_several_accounts_claim_at_once_is_one_accounts() {
    let world = World::with(500).await;
    let cart = world.cart(&[(1, 2)]).await;
    let answers = world.send_at_once((0..8).map(|_| world.claim(&cart, Uuid::now_v7()))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404, 404, 404, 404, 404]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carts_that_one_account_claims_at_once_become_one() {
    let world = World::with(500).await;
    for _ in 0..5 {
        let ada = Uuid::now_v7();
        let carts = world.carts(8, &[(1, 2), (2, 1)]).await;
        let claims = carts.iter().map(|cart| world.claim(cart, ada));
        let made = [request("POST", "/v1/carts").header("authorization", Token::of(ada).bearer())];
        let made = made.map(|asked| asked.body(Body::empty()).unwrap());
        for answer in world.send_at_once(claims.chain(made)).await {
            assert!([200, 201].contains(&answer.status.as_u16()), "{answer:?}");
        }
        assert_eq!(lines(&own(&world, ada).await.body), of([("SKU-1", 16), ("SKU-2", 8)]));
        for cart in &carts {
            assert_eq!(world.look(cart).await.problem(), (404, "not-found"), "its token opens it no more");
        }
    }
    assert_eq!(world.count(OPEN).await, 5);
}

/// What is put, claimed and ordered at the same moment: each unit that was answered with 200 is in an order or in the open
/// cart, and none of them twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_by_edits_and_orders_beside_a_merge() {
    let world = World::with(500).await;
    for round in 0..12 {
        let ada = Uuid::now_v7();
        let id = own_with(&world, ada, &[(1, 1)]).await;
        let (cart, anonymous) = (Cart::of(&id, "none"), world.cart(&[(2, 3)]).await);
        cart.saw(&own(&world, ada).await);
        let edit = |id: &str, sku: &str| {
            let asked = request("PUT", &format!("/v1/carts/{id}/items/{sku}")).header("x-cart-token", &anonymous.token);
            client::json(asked.header("authorization", Token::of(ada).bearer()), &json!({ "quantity": 1 }))
        };
        let asked = [
            world.claim(&anonymous, ada),
            edit(&anonymous.id, "SKU-3"),
            edit(&id, "SKU-4"),
            world.order(ada, &world.key(), &cart, "tok_ok"),
            world.claim(&anonymous, ada),
        ];
        let answers = world.send_at_once(asked).await;
        let status = |index: usize| answers[index].status.as_u16();
        assert!([200, 404].contains(&status(0)) && [200, 404].contains(&status(4)), "{answers:?}");
        assert!([201, 409].contains(&status(3)), "{answers:?}");
        let mut expected = of([("SKU-1", 1), ("SKU-2", 3)]);
        for (index, sku) in [(1, "SKU-3"), (2, "SKU-4")] {
            if status(index) == 200 {
                expected.insert(sku.to_owned(), 1);
            }
        }
        let mut found = BTreeMap::new();
        if status(3) == 201 {
            found.extend(lines(&answers[3].body));
        }
        let open = own(&world, ada).await;
        if open.status == 200 {
            for (sku, quantity) in lines(&open.body) {
                assert_eq!(found.insert(sku, quantity), None, "in round {round} twice: {answers:?}");
            }
        }
        assert_eq!(found, expected, "in round {round}: {answers:?}");
    }
    assert_eq!(world.faults(500).await, [""; 0]);
}

/// What the program before one open cart did, which serves beside this one while a fleet is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_of_the_program_before_takes_the_accounts_other_cart_along() {
    let world = World::with(500).await;
    let ada = Uuid::now_v7();
    let id = own_with(&world, ada, &[(1, 60), (2, 1)]).await;
    let (first, second) = (world.cart(&[(1, 60), (3, 1)]).await, world.cart(&[(4, 1)]).await);
    let claim = async |cart: &Cart| {
        let mut connection = world.connection().await;
        let mut tx = connection.begin().await.unwrap();
        let locked = "update checkout.carts set version = version + 1, updated_at = now() where id = $1::uuid";
        sqlx::query(locked).bind(&cart.id).execute(&mut *tx).await.unwrap();
        let given = "update checkout.carts set user_id = $2, token_hash = sha256('new') where id = $1::uuid";
        sqlx::query(given).bind(&cart.id).bind(ada).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    join(claim(&first), claim(&second)).await;
    let found = own(&world, ada).await;
    assert_eq!(lines(&found.body), of([("SKU-1", 99), ("SKU-2", 1), ("SKU-3", 1), ("SKU-4", 1)]));
    assert!([&first.id, &second.id].contains(&&found.body["id"].as_str().unwrap().to_owned()));
    assert_eq!(world.get(&format!("/v1/carts/{id}"), ada).await.problem(), (404, "not-found"));
    assert_eq!(world.count(OPEN).await, 1);
}

/// Whoever makes an account's cart is held before it commits.
const HOLD: &str = "create function hold() returns trigger language plpgsql as \
    $$ begin perform pg_advisory_xact_lock(42); return null; end $$; \
    create trigger hold after insert on checkout.carts for each row when (new.user_id is not null) execute function hold()";

#[tokio::test]
async fn a_cart_that_is_claimed_while_the_account_makes_one_goes_into_that_one() {
    let world = World::with(5).await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(1, 2)]).await);
    world.execute(HOLD).await;
    let mut holder = world.connection().await;
    sqlx::raw_sql("select pg_advisory_lock(42)").execute(&mut holder).await.unwrap();
    let mut sent = Vec::new();
    for (at, request) in [making_own(ada), world.claim(&cart, ada)].into_iter().enumerate() {
        let router = world.router.clone();
        sent.push(tokio::spawn(async move { send(&router, request).await }));
        world.waiting(at as i64 + 1).await;
    }
    sqlx::raw_sql("select pg_advisory_unlock(42)").execute(&mut holder).await.unwrap();
    for (sent, status) in sent.into_iter().zip([201, 200]) {
        let answer = sent.await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert_eq!(lines(&own(&world, ada).await.body), of([("SKU-1", 2)]));
    assert_eq!(world.count(OPEN).await, 1);
}
