//! Orders, as those who run the shop see them and move them on.

use axum::body::Body;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{self, Answer, request};
use crate::tokens::Token;
use crate::world::World;

/// The id of an order of `SKU-2` that was paid.
async fn paid(world: &World, buyer: Uuid) -> String {
    let answer = world.place(buyer, &world.cart(&[(2, 1)]).await, "tok_ok").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().unwrap().to_owned()
}

async fn step(world: &World, id: &str, step: &str, body: Value) -> Answer {
    world.admin_posts(&format!("/v1/admin/orders/{id}/{step}"), &body).await
}

async fn read(world: &World, id: &str) -> Value {
    let answer = world.admin_gets(&format!("/v1/admin/orders/{id}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn kinds(order: &Value) -> Vec<&str> {
    order["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_paid_order_is_shipped_and_then_delivered_and_nothing_else() {
    let world = World::with(5).await;
    let (buyer, admin) = (Uuid::now_v7(), Uuid::now_v7());
    let id = paid(&world, buyer).await;
    assert_eq!(step(&world, &id, "deliver", json!({})).await.problem(), (409, "order-state-conflict"));
    let shipment = json!({ "carrier": "Post", "tracking": "RR 123" });
    let ship = world.by_admin(admin, "POST", &format!("/v1/admin/orders/{id}/ship"), Some(&shipment));
    let shipped = world.send(ship).await;
    assert_eq!((shipped.status.as_u16(), &shipped.body["status"]), (200, &json!("shipped")));
    assert_eq!(step(&world, &id, "ship", json!({})).await.problem(), (409, "order-state-conflict"));
    let delivered = step(&world, &id, "deliver", json!({})).await;
    assert_eq!((delivered.status.as_u16(), &delivered.body["status"]), (200, &json!("delivered")));

    let order = read(&world, &id).await;
    assert_eq!((&order["user_id"], &order["status"]), (&json!(buyer), &json!("delivered")));
    assert_eq!(kinds(&order), ["placed", "paid", "shipped", "delivered"]);
    assert_eq!(order["events"][2]["data"], shipment);
    let line: (Uuid, Value, Value) =
        sqlx::query_as("select actor, before, after from audit.log where action = 'order.ship' and object_id = $1")
            .bind(&id)
            .fetch_one(&mut world.connection().await)
            .await
            .unwrap();
    assert_eq!(line, (admin, json!({ "status": "paid" }), json!({ "status": "shipped", "data": shipment })));
    assert_eq!(world.count("select count(*) from audit.log").await, 2, "what was refused is no change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_admins_who_ship_one_order_one_does() {
    let world = World::with(5).await;
    let id = paid(&world, Uuid::now_v7()).await;
    let path = format!("/v1/admin/orders/{id}/ship");
    let asked = (0..20).map(|_| world.by_admin(Uuid::now_v7(), "POST", &path, Some(&json!({ "carrier": "Post" }))));
    let answers = world.send_at_once(asked.collect::<Vec<_>>()).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().filter(|answer| answer.status != 200).all(|answer| answer.problem().0 == 409));
    assert_eq!(kinds(&read(&world, &id).await), ["placed", "paid", "shipped"]);
    assert_eq!(world.count("select count(*) from audit.log").await, 1);
}

#[tokio::test]
async fn a_repeated_step_has_the_same_answer() {
    let world = World::with(5).await;
    let (id, admin, key) = (paid(&world, Uuid::now_v7()).await, Uuid::now_v7(), world.key());
    let asked = |carrier: &str| {
        let asked = request("POST", &format!("/v1/admin/orders/{id}/ship"))
            .header("authorization", Token::of_admin(admin).bearer())
            .header("idempotency-key", &key);
        client::json(asked, &json!({ "carrier": carrier }))
    };
    let (first, again) = (world.send(asked("Post")).await, world.send(asked("Post")).await);
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(world.send(asked("Other")).await.problem(), (422, "idempotency-key-reused"));
}

#[tokio::test]
async fn what_an_admin_sends_has_rules() {
    let world = World::with(5).await;
    let id = paid(&world, Uuid::now_v7()).await;
    for (body, pointer) in [
        (json!({ "carrier": "" }), "/carrier"),
        (json!({ "tracking": "x".repeat(101) }), "/tracking"),
        (json!({ "status": "shipped" }), "/status"),
    ] {
        let answer = step(&world, &id, "ship", body).await;
        assert_eq!((answer.problem().0, answer.body["errors"][0]["pointer"].as_str()), (422, Some(pointer)));
    }
    let nothing = Uuid::now_v7().to_string();
    for what in ["ship", "deliver"] {
        assert_eq!(step(&world, &nothing, what, json!({})).await.problem(), (404, "not-found"), "{what}");
        assert_eq!(step(&world, "x", what, json!({})).await.problem(), (404, "not-found"), "{what}");
        let keyless = request("POST", &format!("/v1/admin/orders/{id}/{what}"))
            .header("authorization", Token::of_admin(Uuid::now_v7()).bearer());
        let answer = world.send(client::json(keyless, &json!({}))).await;
        assert_eq!(answer.problem(), (400, "idempotency-key-missing"), "{what}");
    }
    assert_eq!(world.admin_gets(&format!("/v1/admin/orders/{nothing}")).await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn the_list_is_of_all_or_of_a_user_or_of_a_status() {
    let world = World::with(50).await;
    let (ada, eve) = (Uuid::now_v7(), Uuid::now_v7());
    let mut ids = Vec::new();
    for buyer in [ada, eve, ada, eve, ada] {
        ids.insert(0, paid(&world, buyer).await);
    }
    step(&world, &ids[1], "ship", json!({})).await;
    let listed = async |query: String| {
        let (mut seen, mut next) = (Vec::new(), Some(String::new()));
        for _page in 0..1_000 {
            let Some(cursor) = next else { return seen };
            let page = world.admin_gets(&format!("/v1/admin/orders?limit=2{query}{cursor}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            let rows = page.body["data"].as_array().unwrap();
            seen.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            next = page.body["page"]["next_cursor"].as_str().map(|cursor| format!("&cursor={cursor}"));
            assert_eq!(next.is_some(), page.header("link").contains("rel=\"next\""));
        }
        panic!("the list has no end: {next:?}");
    };
    assert_eq!(listed(String::new()).await, ids);
    assert_eq!(listed(format!("&user={ada}")).await, [ids[0].clone(), ids[2].clone(), ids[4].clone()]);
    assert_eq!(listed("&status=shipped".to_owned()).await, [ids[1].clone()]);
    assert_eq!(listed(format!("&status=paid&user={eve}")).await, [ids[3].clone()]);
    assert!(listed("&status=refunded".to_owned()).await.is_empty());
    for wrong in ["status=Paid", "status=", "user=ada", "user=", "limit=101", "of=all"] {
        let answer = world.admin_gets(&format!("/v1/admin/orders?{wrong}")).await;
        assert_eq!(answer.problem(), (400, "invalid-request"), "{wrong}");
    }
}

#[tokio::test]
async fn nobody_else_sees_or_moves_an_order_not_even_its_buyer() {
    let world = World::with(5).await;
    let buyer = Uuid::now_v7();
    let id = paid(&world, buyer).await;
    let customer = Token::of(buyer).bearer();
    let paths = [
        ("GET", String::new()),
        ("GET", format!("/{id}")),
        ("POST", format!("/{id}/ship")),
        ("POST", format!("/{id}/deliver")),
        ("POST", format!("/{id}/refund")),
    ];
    for (method, path) in paths {
        let asked = || request(method, &format!("/v1/admin/orders{path}")).header("idempotency-key", world.key());
        let nobody = world.send(asked().body(Body::empty()).unwrap()).await;
        assert_eq!(nobody.problem(), (401, "unauthenticated"), "{path}");
        let refused = world.send(client::json(asked().header("authorization", &customer), &json!({}))).await;
        assert_eq!(refused.problem(), (403, "insufficient-scope"), "{path}");
    }
    assert_eq!(read(&world, &id).await["status"], "paid");
}

fn euros(cents: i64) -> Value {
    json!({ "amount": cents, "currency": "EUR" })
}

async fn refund(world: &World, id: &str, body: Value) -> Answer {
    step(world, id, "refund", body).await
}

#[tokio::test]
async fn what_was_paid_goes_back_once_in_parts_or_whole_and_never_more() {
    let world = World::with(5).await;
    let id = paid(&world, Uuid::now_v7()).await;
    let part = refund(&world, &id, json!({ "amount": euros(50), "reason": "a scratch" })).await;
    assert_eq!(part.status, 200, "{part:?}");
    assert_eq!((&part.body["amount"], &part.body["state"]), (&euros(50), &json!("succeeded")));
    assert_eq!(read(&world, &id).await["status"], "partially_refunded");
    let too_much = refund(&world, &id, json!({ "amount": euros(151), "reason": "more" })).await;
    assert_eq!(too_much.problem(), (409, "order-state-conflict"));
    assert!(too_much.body["detail"].as_str().unwrap().contains("150 EUR"), "{too_much:?}");
    let rest = refund(&world, &id, json!({ "reason": "it broke" })).await;
    assert_eq!((rest.status.as_u16(), &rest.body["amount"]), (200, &euros(150)));
    let order = read(&world, &id).await;
    assert_eq!((&order["status"], order["refunds"].as_array().unwrap().len()), (&json!("refunded"), 2));
    assert_eq!(refund(&world, &id, json!({ "reason": "again" })).await.problem(), (409, "order-state-conflict"));
    assert_eq!(world.count("select count(*) from audit.log where action = 'order.refund'").await, 2);
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_refunds_at_once_no_more_goes_back_than_was_paid() {
    let world = World::with(5).await;
    let (id, admin) = (paid(&world, Uuid::now_v7()).await, Uuid::now_v7());
    let path = format!("/v1/admin/orders/{id}/refund");
    let body = json!({ "amount": euros(60), "reason": "late" });
    let asked: Vec<_> = (0..10).map(|_| world.by_admin(admin, "POST", &path, Some(&body))).collect();
    let answers = world.send_at_once(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3, "{answers:?}");
    assert!(answers.iter().filter(|answer| answer.status != 200).all(|answer| answer.problem().0 == 409));
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 180);
    assert_eq!(world.count("select count(*) from audit.log").await, 3);
}

#[tokio::test]
async fn a_repeated_refund_has_the_same_answer_and_gives_nothing_more() {
    let world = World::with(5).await;
    let (id, admin, key) = (paid(&world, Uuid::now_v7()).await, Uuid::now_v7(), world.key());
    let asked = || {
        let asked = request("POST", &format!("/v1/admin/orders/{id}/refund"))
            .header("authorization", Token::of_admin(admin).bearer())
            .header("idempotency-key", &key);
        client::json(asked, &json!({ "amount": euros(50), "reason": "late" }))
    };
    let (first, again) = (world.send(asked()).await, world.send(asked()).await);
    assert_eq!((first.status.as_u16(), again.status.as_u16(), &first.body), (200, 200, &again.body));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 50);
}

#[tokio::test]
async fn a_refund_has_rules_and_needs_a_payment() {
    let world = World::with(5).await;
    let id = paid(&world, Uuid::now_v7()).await;
    for (body, pointer) in [
        (json!({ "amount": euros(0), "reason": "x" }), "/amount/amount"),
        (json!({ "amount": euros(-1), "reason": "x" }), "/amount/amount"),
        (json!({ "amount": { "amount": 1, "currency": "USD" }, "reason": "x" }), "/amount/currency"),
        (json!({ "amount": 1, "reason": "x" }), "/amount"),
        (json!({ "amount": euros(1), "reason": "" }), "/reason"),
        (json!({}), "/reason"),
    ] {
        let answer = refund(&world, &id, body).await;
        assert_eq!(
            (answer.problem().0, answer.body["errors"][0]["pointer"].as_str()),
            (422, Some(pointer)),
            "{answer:?}"
        );
    }
    let nothing = refund(&world, &Uuid::now_v7().to_string(), json!({ "reason": "x" })).await;
    assert_eq!(nothing.problem(), (404, "not-found"));
    let pending = world.place(Uuid::now_v7(), &world.cart(&[(3, 1)]).await, "tok_lost").await;
    let unpaid = refund(&world, pending.body["id"].as_str().unwrap(), json!({ "reason": "x" })).await;
    assert_eq!(unpaid.problem(), (409, "order-state-conflict"));
    assert_eq!(world.count("select count(*) from audit.log").await, 0);
}

#[tokio::test]
async fn an_order_of_which_a_part_went_back_is_shipped_and_delivered_once_as_any_other() {
    let world = World::with(5).await;
    let (buyer, part) = (Uuid::now_v7(), json!({ "amount": euros(50), "reason": "a scratch" }));
    let id = paid(&world, buyer).await;
    for (this, from) in [("ship", "paid"), ("deliver", "shipped")] {
        assert_eq!(refund(&world, &id, part.clone()).await.status, 200);
        assert_eq!(read(&world, &id).await["status"], "partially_refunded", "{from}");
        let other = if this == "ship" { "deliver" } else { "ship" };
        let refused = step(&world, &id, other, json!({})).await;
        assert_eq!(refused.problem(), (409, "order-state-conflict"), "{from}");
        assert!(refused.body["detail"].as_str().unwrap().contains(from), "{refused:?}");
        assert_eq!(step(&world, &id, this, json!({})).await.status, 200, "{from}");
    }
    assert_eq!(refund(&world, &id, part).await.status, 200);
    for this in ["ship", "deliver"] {
        assert_eq!(step(&world, &id, this, json!({})).await.problem(), (409, "order-state-conflict"), "{this}");
    }
    assert_eq!(refund(&world, &id, json!({ "reason": "the rest" })).await.body["amount"], euros(50));
    assert_eq!(read(&world, &id).await["status"], "refunded");
    assert_eq!(step(&world, &id, "ship", json!({})).await.problem(), (409, "order-state-conflict"));
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 200);
}
