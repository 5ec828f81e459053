use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use forebay_checkout::payments::{Knobs, Messages, Payments, Simulator};
use forebay_checkout::refunds::{self, RefundState};
use forebay_platform::admit::{Admit, TimeLimits};
use forebay_platform::identity::Verifier;
use forebay_platform::webhook::{self, Message, Secrets};
use forebay_pool::{Admission, Class};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::client::{Answer, request, send};
use crate::crashes::{HIDE_PROVIDER, SHOW_PROVIDER};
use crate::tokens;
use crate::world::World;

pub(crate) fn secrets() -> Secrets {
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap()
}

fn signed(id: &str, body: &str, secrets: &Secrets, at: OffsetDateTime) -> Request<Body> {
    request("POST", "/v1/payments/webhook")
        .header("content-type", "application/json")
        .header(webhook::ID, id)
        .header(webhook::TIMESTAMP, at.unix_timestamp())
        .header(webhook::SIGNATURE, webhook::signatures(secrets, Message { id, body }, at))
        .body(Body::from(body.to_owned()))
        .unwrap()
}

fn message(id: &str, says: &Value) -> Request<Body> {
    signed(id, &says.to_string(), &secrets(), OffsetDateTime::now_utc())
}

/// An order of 700 whose payment is unknown to us, and what the provider says of it.
async fn lost(world: &World) -> Value {
    let answer = world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_lost").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    of_charge(world, answer.body["id"].as_str().unwrap()).await
}

async fn of_charge(world: &World, order: &str) -> Value {
    let asked = "select outcome, provider_ref, amount from payment_simulator.charges where order_id = $1::uuid";
    let (outcome, reference, amount): (String, String, i64) =
        sqlx::query_as(asked).bind(order).fetch_one(&mut world.connection().await).await.unwrap();
    json!({ "type": format!("charge.{outcome}"), "timestamp": "2026-11-27T15:00:00Z", "livemode": false,
            "data": { "order_id": order, "attempt": 1, "amount": amount, "currency": "EUR", "reference": reference } })
}

const PAID: &str = "select count(*) from checkout.orders where status = 'paid'";
const PAYMENTS: &str = "select count(*) from checkout.payments";
const NOTED: &str = "select count(*) from checkout.inbox";

#[tokio::test]
async fn a_message_settles_the_order_whose_answer_was_lost() {
    let world = World::with(100).await;
    let says = lost(&world).await;
    assert_eq!(world.send(message("evt_1", &says)).await.status, 204);
    assert_eq!((world.count(PAID).await, world.stock_of(1).await), (1, (93, 0)));
    assert_eq!(world.faults(100).await, [""; 0]);
    assert_eq!(world.sweep().await.paid, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_often_and_under_other_names_is_taken_once() {
    let world = World::with(100).await;
    let says = lost(&world).await;
    let ids = ["evt_1", "evt_2"].into_iter().cycle().take(20);
    let answers = world.send_at_once(ids.map(|id| message(id, &says))).await;
    assert!(answers.iter().all(|answer| answer.status == 204), "{answers:?}");
    assert_eq!((world.count(PAYMENTS).await, world.count(NOTED).await), (1, 2));
    assert_eq!((world.stock_of(1).await, world.faults(100).await), ((93, 0), Vec::new()));
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_not_believed() {
    let world = World::with(100).await;
    let (says, now) = (lost(&world).await.to_string(), OffsetDateTime::now_utc());
    let other: Secrets = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".parse().unwrap();
    let mut changed = signed("evt_1", &says, &secrets(), now);
    *changed.body_mut() = Body::from(says.replace("700", "701"));
    let unsigned = request("POST", "/v1/payments/webhook").body(Body::from(says.clone())).unwrap();
    let old = signed("evt_1", &says, &secrets(), now - time::Duration::minutes(6));
    let early = signed("evt_1", &says, &secrets(), now + time::Duration::minutes(6));
    let (sign, clock) = ("sign the bytes that are sent", "set the clock");
    let all = [
        (signed("evt_1", &says, &other, now), sign),
        (changed, sign),
        (unsigned, "are needed"),
        (old, clock),
        (early, clock),
    ];
    for (refused, what_to_do) in all {
        let answer = world.send(refused).await;
        assert_eq!(answer.problem(), (401, "signature-invalid"));
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(what_to_do) && !detail.contains("700"), "{detail}");
    }
    assert_eq!((world.count(PAID).await, world.count(NOTED).await), (0, 0));
}

#[tokio::test]
async fn what_cannot_be_right_is_refused_and_may_come_again_in_another_form() {
    let world = World::with(100).await;
    let says = lost(&world).await;
    let now = OffsetDateTime::now_utc();
    for (body, status) in [("", 400), ("{", 400), ("[]", 422), ("{}", 422), ("{\"type\": \"charge.approved\"}", 422)] {
        let answer = world.send(signed("evt_1", body, &secrets(), now)).await;
        assert_eq!(answer.status, status, "{body}");
    }
    for (field, value) in
        [("amount", json!(1)), ("currency", json!("USD")), ("order_id", json!("x")), ("attempt", json!(99_999))]
    {
        let mut wrong = says.clone();
        wrong["data"][field] = value;
        assert_eq!(world.send(message("evt_1", &wrong)).await.problem(), (422, "validation-failed"), "{field}");
    }
    assert_eq!(world.count(NOTED).await, 0);
    assert_eq!(world.send(message("evt_1", &says)).await.status, 204);
    assert_eq!(world.count(PAID).await, 1);
}

#[tokio::test]
async fn a_huge_message_is_refused_unread() {
    let world = World::with(100).await;
    let mut says = lost(&world).await;
    says["note"] = json!("x".repeat(65 * 1024));
    assert_eq!(world.send(message("evt_1", &says)).await.problem(), (413, "payload-too-large"));
    assert_eq!((world.count(PAID).await, world.count(NOTED).await), (0, 0));
}

#[tokio::test]
async fn another_message_under_an_id_that_was_taken_changes_nothing() {
    let world = World::with(100).await;
    let (first, second) = (lost(&world).await, lost(&world).await);
    for says in [first, second] {
        assert_eq!(world.send(message("evt_1", &says)).await.status, 204);
    }
    assert_eq!((world.count(PAID).await, world.count(NOTED).await), (1, 1));
}

#[tokio::test]
async fn what_comes_late_of_an_earlier_attempt_leaves_the_next_one_alone() {
    let world = World::with(100).await;
    let buyer = Uuid::now_v7();
    let order = world.declined(buyer, &[(1, 7)]).await;
    let declined = of_charge(&world, order.rsplit('/').next().unwrap()).await;
    assert_eq!(declined["type"], "charge.declined");
    assert_eq!(world.pay(buyer, &order, "tok_lost").await.status, 202);
    assert_eq!(world.send(message("evt_1", &declined)).await.status, 204);
    assert_eq!(world.status(buyer, &order).await, "pending_payment");
    let mut approved = declined.clone();
    (approved["type"], approved["data"]["attempt"]) = (json!("charge.approved"), json!(2));
    approved["data"]["reference"] = json!("sim_second");
    assert_eq!(world.send(message("evt_2", &approved)).await.status, 204);
    // The same charge, once more and out of its order.
    for (id, says) in [("evt_3", &declined), ("evt_4", &approved)] {
        assert_eq!(world.send(message(id, says)).await.status, 204);
    }
    let events = "select count(*) from checkout.order_events";
    assert_eq!((world.status(buyer, &order).await, world.count(events).await), ("paid".to_owned(), 4));
    assert_eq!((world.count(PAYMENTS).await, world.faults(100).await), (2, Vec::new()));
}

#[tokio::test]
async fn what_is_of_no_interest_is_taken_so_that_it_is_not_sent_for_ever() {
    let world = World::with(100).await;
    let mut says = lost(&world).await;
    // Who asked for that writes down what becomes of the order.
    let mut voided = says.clone();
    voided["type"] = json!("charge.voided");
    assert_eq!(world.send(message("evt_0", &voided)).await.status, 204);
    assert_eq!(world.send(message("evt_1", &json!({ "type": "payout.paid", "data": [] }))).await.status, 204);
    says["data"]["attempt"] = json!(2);
    assert_eq!(world.send(message("evt_2", &says)).await.status, 204);
    says["data"]["order_id"] = json!(Uuid::now_v7());
    assert_eq!(world.send(message("evt_3", &says)).await.status, 204);
    let refund = json!({ "refund_id": Uuid::now_v7(), "order_id": Uuid::now_v7(), "attempt": 1, "amount": 1, "currency": "EUR", "reference": "x" });
    assert_eq!(world.send(message("evt_4", &json!({ "type": "refund.succeeded", "data": refund }))).await.status, 204);
    assert_eq!(world.count(PAYMENTS).await, 0);
}

#[tokio::test]
async fn a_message_settles_a_refund_that_nobody_heard_of() {
    let world = World::with(100).await;
    let paid = world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_ok").await;
    let order: Uuid = paid.body["id"].as_str().unwrap().parse().unwrap();
    let refund = {
        let mut lease = world.db.acquire(&Admission::without_deadline(Class::Normal)).await.unwrap();
        let mut tx = lease.begin().await.unwrap();
        let asked = refunds::request(&mut tx, order, Some(300), "a test", OffsetDateTime::now_utc()).await;
        tx.end(asked).await.unwrap()
    };
    world.execute(HIDE_PROVIDER).await;
    assert_eq!(refunds::settle(&world.state, refund.clone()).await.state, RefundState::Requested);
    world.execute(SHOW_PROVIDER).await;
    let data = json!({ "refund_id": refund.id, "order_id": order, "attempt": 1, "amount": 300, "currency": "EUR", "reference": "r_1" });
    let mut other = data.clone();
    other["amount"] = json!(301);
    let wrong = world.send(message("evt_1", &json!({ "type": "refund.succeeded", "data": other }))).await;
    assert_eq!(
        (wrong.problem(), &wrong.body["errors"][0]["pointer"]),
        ((422, "validation-failed"), &json!("/data/amount"))
    );
    // Once it has ended nothing moves it, whatever else is said of it.
    for (id, said) in [("evt_1", "succeeded"), ("evt_1", "succeeded"), ("evt_2", "succeeded"), ("evt_3", "refused")] {
        let says = json!({ "type": format!("refund.{said}"), "data": data });
        assert_eq!(world.send(message(id, &says)).await.status, 204);
    }
    let told = "select count(*) from checkout.order_events where kind like 'refund_%'";
    let taken = "select refunded from checkout.payments";
    assert_eq!((world.count(told).await, world.count(taken).await), (2, 300));
    let settled = "select count(*) from checkout.refunds r join checkout.orders o on o.status = 'partially_refunded' \
                   where r.state = 'succeeded' and r.provider_ref = 'r_1'";
    assert_eq!((world.count(settled).await, world.sweep().await.refunds), (1, 0));
}

#[tokio::test]
async fn ids_of_messages_are_forgotten_after_thirty_days() {
    let world = World::with(100).await;
    assert_eq!(world.send(message("evt_1", &json!({ "type": "charge.approved" }))).await.status, 422);
    let says = lost(&world).await;
    world.send(message("evt_1", &says)).await;
    assert_eq!(world.clean().await.messages, 0);
    world.execute("update checkout.inbox set received_at = now() - interval '31 days'").await;
    assert_eq!((world.clean().await.messages, world.count(NOTED).await), (1, 0));
    // Even then it does nothing.
    assert_eq!(world.send(message("evt_1", &says)).await.status, 204);
    assert_eq!(world.faults(100).await, [""; 0]);
}

/// A shop of its own on the same database, whose provider is this one.
fn shop(world: &World, payments: Payments) -> axum::Router {
    let limits = TimeLimits { critical: Duration::from_secs(60), normal: Duration::from_secs(60) };
    let verifier = Verifier::new(tokens::ISSUER, tokens::AUDIENCE, [(tokens::KEY_ID.to_owned(), tokens::PUBLIC)]);
    let admit = Admit::new(&world.db, limits);
    forebay_checkout::router(forebay_checkout::State::new(
        world.db.clone(),
        admit,
        verifier,
        payments,
        Duration::from_secs(600),
    ))
}

#[tokio::test]
async fn without_a_secret_there_is_no_such_thing() {
    let world = World::with(100).await;
    let router = shop(&world, Payments::simulated(world.database.options(), Duration::ZERO, 0));
    assert_eq!(send(&router, message("evt_1", &json!({}))).await.problem(), (404, "not-found"));
}

/// Until it holds, or half a minute has passed.
async fn until(world: &World, sql: &'static str, count: i64) {
    let reached = async { while world.count(sql).await != count {} };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_loses_its_answers_and_says_everything_twice_is_paid_by_its_messages() {
    let world = World::with(100).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}/v1/payments/webhook", listener.local_addr().unwrap()).parse().unwrap();
    let messages = Messages { to, delay: Duration::from_millis(1), duplicate_percent: 100 };
    let knobs = Knobs { lost_percent: 100, ..Knobs::default() };
    let simulator = Simulator::new(world.database.options(), knobs).sending(messages, secrets());
    let router = shop(&world, Payments::new(Arc::new(simulator)).believing(secrets()));
    let served = tokio::spawn(axum::serve(listener, router.clone()).into_future());
    for _ in 0..4 {
        let order = world.order(Uuid::now_v7(), &world.key(), &world.cart(&[(1, 1)]).await, "tok_ok");
        let answer: Answer = send(&router, order).await;
        assert!([201, 202].contains(&answer.status.as_u16()), "{answer:?}");
    }
    until(&world, PAID, 4).await;
    assert_eq!((world.count(NOTED).await, world.faults(100).await), (4, Vec::new()));
    served.abort();
}

#[test]
fn messages_go_to_addresses_of_http_alone() {
    for wrong in ["", "x", "shop/x", "http://", "http:///x", "http://user:hush@shop/x", "ftp://shop/x", "/v1"] {
        assert!(wrong.parse::<forebay_checkout::payments::MessageUrl>().is_err(), "{wrong}");
    }
}
