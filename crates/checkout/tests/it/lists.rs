//! A buyer's orders, one after the other and one by one.

use axum::body::Body;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Answer, request};
use crate::tokens::Token;
use crate::world::World;

async fn asked(world: &World, user: Uuid, path: &str) -> Answer {
    let answer = world.get(path, user).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer
}

fn ids(page: &Answer) -> Vec<String> {
    page.body["data"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
}

/// All pages, by their links.
async fn walked(world: &World, user: Uuid, first: &str) -> Vec<Vec<String>> {
    let (mut path, mut pages) = (first.to_owned(), Vec::new());
    loop {
        assert!(pages.len() < 1_000, "the list has no end");
        let page = asked(world, user, &path).await;
        pages.push(ids(&page));
        let Some(cursor) = page.body["page"]["next_cursor"].as_str() else {
            assert_eq!(page.header("link"), "");
            return pages;
        };
        let link = page.header("link").strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        assert!(link.contains(cursor), "{link} {cursor}");
        path = link.to_owned();
    }
}

#[tokio::test]
async fn my_orders_are_listed_the_newest_first_a_page_at_a_time() {
    let world = World::with(50).await;
    let ada = Uuid::now_v7();
    let mut placed = Vec::new();
    for token in ["tok_ok", "tok_decline", "tok_ok", "tok_ok", "tok_lost"] {
        let order = world.place(ada, &world.cart(&[(1, 2), (2, 1)]).await, token).await;
        placed.insert(0, order.header("location").strip_prefix("/v1/orders/").unwrap().to_owned());
    }
    world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await;
    // Two of the same moment.
    world
        .execute(
            "update checkout.orders set placed_at = (select max(placed_at) from checkout.orders) where status = 'paid'",
        )
        .await;
    let pages = walked(&world, ada, "/v1/orders?limit=2").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let mut all = pages.concat();
    all.sort();
    placed.sort();
    assert_eq!(all, placed, "each once");
    let paid = walked(&world, ada, "/v1/orders?status=paid&limit=1").await.concat();
    assert_eq!(paid.len(), 3);
    let first = &asked(&world, ada, "/v1/orders?status=pending_payment").await.body["data"][0];
    assert_eq!((&first["units"], &first["total"]), (&json!(3), &json!({ "amount": 400, "currency": "EUR" })));
    assert_eq!(asked(&world, ada, "/v1/orders?status=shipped").await.body["data"], json!([]));
}

#[tokio::test]
async fn a_list_is_asked_for_by_its_own_parameters_and_cursor() {
    let world = World::with(50).await;
    let ada = Uuid::now_v7();
    for _ in 0..2 {
        world.place(ada, &world.cart(&[(1, 1)]).await, "tok_ok").await;
    }
    let page = asked(&world, ada, "/v1/orders?limit=1").await;
    let cursor = page.body["page"]["next_cursor"].as_str().unwrap();
    for (query, code) in [
        (format!("status=paid&cursor={cursor}"), "invalid-cursor"),
        ("cursor=x".to_owned(), "invalid-cursor"),
        ("status=lost".to_owned(), "invalid-request"),
        ("limit=0".to_owned(), "invalid-request"),
        ("limit=101".to_owned(), "invalid-request"),
        ("limit=1&limit=2".to_owned(), "invalid-request"),
        ("page=2".to_owned(), "invalid-request"),
    ] {
        let refused = world.get(&format!("/v1/orders?{query}"), ada).await;
        assert_eq!(refused.problem(), (400, code), "{query}");
    }
    assert_eq!(world.get(&format!("/v1/returns?cursor={cursor}"), ada).await.problem(), (400, "invalid-cursor"));
    let nobody = world.send(request("GET", "/v1/orders").body(Body::empty()).unwrap()).await;
    assert_eq!(nobody.problem(), (401, "unauthenticated"));
}

/// Nodes of a plan, outermost first.
fn nodes(plan: &Value, found: &mut Vec<String>) {
    let text = |name: &str| plan[name].as_str().unwrap_or_default().to_owned();
    found.push(format!("{} {}", text("Node Type"), text("Index Name")).trim_end().to_owned());
    for inner in plan["Plans"].as_array().into_iter().flatten() {
        nodes(inner, found);
    }
}

#[tokio::test]
async fn a_page_of_orders_is_read_from_its_index_however_many_there_are() {
    let world = World::with(50).await;
    world
        .execute(
            "insert into checkout.orders (id, user_id, cart_id, status, total, currency, address, placed_at) \
             select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad((n % 200)::text, 12, '0'))::uuid, \
                    gen_random_uuid(), 'paid', 1, 'EUR', '{}', now() - n * interval '1 second' \
             from generate_series(1, 20000) n; \
             analyze checkout.orders",
        )
        .await;
    for filter in ["", " and status = 'paid'"] {
        let explained = format!(
            "explain (format json) select id, number, total from checkout.orders \
             where user_id = '00000000-0000-7000-8000-000000000007'{filter} and (placed_at, id) < (now(), '00000000-0000-7000-8000-000000000000') \
             order by placed_at desc, id desc limit 21",
        );
        let plan: Value =
            sqlx::query_scalar(sqlx::AssertSqlSafe(explained)).fetch_one(&mut world.connection().await).await.unwrap();
        let mut found = Vec::new();
        nodes(&plan[0]["Plan"], &mut found);
        assert_eq!(found, ["Limit", "Index Scan orders_user_idx"], "{plan}");
    }
}

#[tokio::test]
async fn an_order_that_is_known_is_not_sent_again() {
    let world = World::with(50).await;
    let ada = Uuid::now_v7();
    let order = world.declined(ada, &[(1, 1)]).await;
    let first = asked(&world, ada, &order).await;
    let conditional = || {
        let known = request("GET", &order).header("authorization", Token::of(ada).bearer());
        known.header("if-none-match", first.header("etag")).body(Body::empty()).unwrap()
    };
    assert_eq!(world.send(conditional()).await.status, 304);
    assert_eq!(world.pay(ada, &order, "tok_ok").await.status, 200);
    let changed = world.send(conditional()).await;
    assert_eq!((changed.status.as_u16(), &changed.body["status"]), (200, &json!("paid")));
    assert_ne!(changed.header("etag"), first.header("etag"));
}

const ALPHABET: &str = "0123456789BCDFGHJKMNPQRSTVWXZ";

fn is_number(number: &str) -> bool {
    let Some(rest) = number.strip_prefix("FB-") else { return false };
    let digits: Option<Vec<usize>> = rest.chars().filter(|char| *char != '-').map(|char| ALPHABET.find(char)).collect();
    let sum = |digits: Vec<usize>| digits.iter().enumerate().map(|(at, digit)| (at + 1) * digit).sum::<usize>();
    rest.len() == 14 && digits.is_some_and(|digits| digits.len() == 12 && sum(digits) % 29 == 0)
}

#[tokio::test]
async fn every_order_has_a_number_with_a_check_digit() {
    let world = World::with(50).await;
    let ada = Uuid::now_v7();
    let placed = world.place(ada, &world.cart(&[(1, 1)]).await, "tok_ok").await;
    let number = placed.body["number"].as_str().unwrap();
    assert_eq!(asked(&world, ada, placed.header("location")).await.body["number"], number);
    let numbers: Vec<String> = sqlx::query_scalar("select checkout.new_order_number() from generate_series(1, 1000)")
        .fetch_all(&mut world.connection().await)
        .await
        .unwrap();
    for number in numbers.iter().map(String::as_str).chain([number]) {
        assert!(is_number(number), "{number}");
    }
    // One wrong character, and two that are swapped.
    let wrong = number.char_indices().filter(|(_, char)| ALPHABET.contains(*char)).skip(2);
    for (at, char) in wrong {
        for other in ALPHABET.chars().filter(|other| *other != char) {
            let slip = format!("{}{other}{}", &number[..at], &number[at + 1..]);
            assert!(!is_number(&slip), "{number} {slip}");
        }
    }
}

#[tokio::test]
async fn an_order_tells_where_its_buyer_is_reached_if_that_was_said() {
    let world = World::with(50).await;
    let ada = Uuid::now_v7();
    let order = async |email: &str| {
        let cart = world.cart(&[(1, 1)]).await;
        let mut body = cart.order_body("tok_ok");
        body["contact_email"] = json!(email);
        let order = request("POST", "/v1/orders").header("authorization", Token::of(ada).bearer());
        let order = order.header("x-cart-token", &cart.token).header("idempotency-key", world.key());
        world.send(crate::client::json(order, &body)).await
    };
    let placed = order("Ada@Shop.example").await;
    assert_eq!((placed.status.as_u16(), &placed.body["contact_email"]), (201, &json!("Ada@Shop.example")));
    assert_eq!(asked(&world, ada, placed.header("location")).await.body["contact_email"], "Ada@Shop.example");
    for wrong in ["", "ada", "ada@shop", "\u{ff41}da@shop.example"] {
        let refused = order(wrong).await;
        assert_eq!(
            (refused.problem(), &refused.body["errors"][0]["pointer"]),
            ((422, "validation-failed"), &json!("/contact_email"))
        );
    }
}
