//! A decline does not use up the cart: the order is paid for again.

use futures_util::future::join_all;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::client::send;
use crate::crashes::{HIDE_PROVIDER, SHOW_PROVIDER, dropped_after, settled};
use crate::world::World;

#[tokio::test]
async fn a_declined_order_is_paid_for_with_another_card() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let order = world.declined(ada, &[(1, 2)]).await;
    let before = world.get(&order, ada).await.body;
    assert_eq!(before["status"], "payment_failed");
    assert!(before["reserved_until"].is_string(), "{before}");
    assert_eq!(world.pay(ada, &order, "tok_decline").await.problem(), (422, "payment-declined"));
    let paid = world.pay(ada, &order, "tok_ok").await;
    assert_eq!((paid.status.as_u16(), &paid.body["status"], paid.header("location")), (200, &json!("paid"), &*order));
    assert_eq!(world.stock_of(1).await, (3, 0));
    let read = world.get(&order, ada).await.body;
    let told = |list: &str, field: &str| -> Vec<_> {
        read[list].as_array().unwrap().iter().map(|entry| entry[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(told("payments", "state"), ["declined", "declined", "succeeded"]);
    let events = ["placed", "payment_failed", "payment_retried", "payment_failed", "payment_retried", "paid"];
    assert_eq!(told("events", "kind"), events);
    assert_eq!(read["reserved_until"], json!(null));
    assert_eq!(world.pay(ada, &order, "tok_ok").await.problem(), (409, "order-state-conflict"), "it is paid");
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_also_of_a_second_try() {
    let world = World::with(5).await;
    let (ada, key) = (Uuid::now_v7(), world.key());
    let order = world.declined(ada, &[(1, 2)]).await;
    for (key, payment, status) in [(world.key(), "tok_decline", 422), (key.clone(), "tok_ok", 200)] {
        let first = world.send(world.payment(ada, &key, &order, payment)).await;
        let again = world.send(world.payment(ada, &key, &order, payment)).await;
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (status, status));
        assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
        assert_eq!(first.body["status"], again.body["status"]);
    }
    let other = world.send(world.payment(ada, &key, &order, "tok_lost")).await;
    assert_eq!(other.problem(), (422, "idempotency-key-reused"));
    assert_eq!(world.count("select count(*) from payment_simulator.charges").await, 3);
}

#[tokio::test]
async fn nobody_pays_for_anothers_order_or_for_none() {
    let world = World::with(5).await;
    let order = world.declined(Uuid::now_v7(), &[(1, 2)]).await;
    for path in [order, format!("/v1/orders/{}", Uuid::now_v7()), "/v1/orders/1".to_owned()] {
        assert_eq!(world.pay(Uuid::now_v7(), &path, "tok_ok").await.problem(), (404, "not-found"));
        assert_eq!(world.cancel(Uuid::now_v7(), &path).await.problem(), (404, "not-found"));
    }
    assert_eq!(world.count("select count(*) from checkout.idempotency_keys where operation <> 'order.place'").await, 0);
}

#[tokio::test]
async fn an_unpaid_order_expires_with_its_reservation_and_its_cart_is_open_again() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let cart = world.cart(&[(1, 2)]).await;
    let declined = world.place(ada, &cart, "tok_decline").await;
    let order = declined.header("location");
    let at = |seconds| OffsetDateTime::now_utc() + Duration::seconds(seconds);
    let early = forebay_checkout::sweep(&world.state, at(590)).await.unwrap();
    assert_eq!((early.lapsed, world.stock_of(1).await), (0, (5, 2)));
    let late = forebay_checkout::sweep(&world.state, at(601)).await.unwrap();
    assert_eq!((late.lapsed, world.stock_of(1).await), (1, (5, 0)));
    assert_eq!(world.status(ada, order).await, "expired");
    assert_eq!(world.pay(ada, order, "tok_ok").await.problem(), (409, "order-state-conflict"));
    let seen = world.get("/v1/cart", ada).await;
    assert_eq!((&seen.body["id"], &seen.body["items"][0]["quantity"]), (&json!(cart.id), &json!(2)));
    cart.saw(&seen);
    let again = world.place(ada, &cart, "tok_ok").await;
    assert_eq!((again.status.as_u16(), again.header("location") == order), (201, false), "it is ordered anew");
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn past_its_reservation_an_order_is_not_paid_for_also_before_anybody_sweeps() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let order = world.declined(ada, &[(1, 2)]).await;
    world.execute("update checkout.reservations set expires_at = now() - interval '1 second'").await;
    assert_eq!(world.pay(ada, &order, "tok_ok").await.problem(), (409, "order-state-conflict"));
    assert_eq!(world.count("select count(*) from payment_simulator.charges").await, 1);
}

#[tokio::test]
async fn a_second_try_whose_answer_is_lost_is_202_and_settled_by_the_sweep() {
    let world = World::with(5).await;
    let (ada, key) = (Uuid::now_v7(), world.key());
    let order = world.declined(ada, &[(1, 2)]).await;
    let pending = world.send(world.payment(ada, &key, &order, "tok_lost")).await;
    assert_eq!((pending.status.as_u16(), pending.header("retry-after")), (202, "5"));
    assert_eq!(world.pay(ada, &order, "tok_ok").await.problem(), (409, "order-state-conflict"), "one is under way");
    let swept = forebay_checkout::sweep(&world.state, OffsetDateTime::now_utc() + Duration::seconds(20)).await.unwrap();
    assert_eq!(swept.paid, 1);
    let again = world.send(world.payment(ada, &key, &order, "tok_lost")).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (200, "true"));
    assert_eq!(world.faults(5).await, [""; 0]);
}

/// Abandoned: older than fifteen seconds, and nobody has written down what became of it.
#[tokio::test]
async fn an_abandoned_attempt_is_settled_before_the_next_one() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    for (first, status) in [("tok_lost", 409), ("tok_ok", 200)] {
        let order = world.declined(ada, &[(1, 1)]).await;
        if first == "tok_ok" {
            world.execute(HIDE_PROVIDER).await;
        }
        assert_eq!(world.pay(ada, &order, first).await.status, 202);
        if first == "tok_ok" {
            world.execute(SHOW_PROVIDER).await;
        }
        let aged =
            "update checkout.orders set tried_at = tried_at - interval '16 seconds' where status = 'pending_payment'";
        world.execute(aged).await;
        let next = world.pay(ada, &order, "tok_ok").await;
        assert_eq!(next.status, status, "{next:?}");
        assert_eq!(world.status(ada, &order).await, "paid", "once in any case");
    }
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_tries_at_once_are_one_charge() {
    let world = World::with(20).await;
    let ada = Uuid::now_v7();
    let order = world.declined(ada, &[(1, 1)]).await;
    let answers = world.send_at_once((0..20).map(|_| world.payment(ada, &world.key(), &order, "tok_ok"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.problem(), (409, "order-state-conflict"));
    }
    let (order, key) = (world.declined(ada, &[(2, 1)]).await, world.key());
    let answers = world.send_at_once((0..50).map(|_| world.payment(ada, &key, &order, "tok_ok"))).await;
    let fresh = answers.iter().filter(|answer| answer.status == 200 && answer.header("idempotent-replayed").is_empty());
    assert_eq!(fresh.count(), 1);
    assert_eq!(world.count("select count(*) from payment_simulator.charges where outcome = 'approved'").await, 2);
    assert_eq!(world.faults(20).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_buyers_some_of_them_declined_at_first_pay_for_exactly_twenty_units() {
    let world = World::with(20).await;
    let carts = world.carts(200, &[(1, 1)]).await;
    let buyers = carts.iter().enumerate().map(|(number, cart)| {
        let (buyer, cards) = (
            Uuid::now_v7(),
            [&["tok_ok"][..], &["tok_decline", "tok_ok"], &["tok_decline", "tok_decline", "tok_ok"]][number % 3],
        );
        let first = world.order(buyer, &world.key(), cart, cards[0]);
        let (router, keys) = (world.router.clone(), [world.key(), world.key()]);
        let world = &world;
        async move {
            let mut answer = send(&router, first).await;
            for (card, key) in cards[1..].iter().zip(keys) {
                if answer.status != 422 {
                    break;
                }
                let order = answer.header("location").to_owned();
                answer = send(&router, world.payment(buyer, &key, &order, card)).await;
            }
            answer.status.as_u16()
        }
    });
    let statuses = join_all(buyers).await;
    let paid = statuses.iter().filter(|status| [200, 201].contains(*status)).count();
    assert_eq!((paid, statuses.iter().filter(|status| **status == 409).count()), (20, 180), "{statuses:?}");
    assert_eq!(world.stock_of(1).await, (0, 0));
    assert_eq!(world.faults(20).await, [""; 0]);
}

#[tokio::test]
async fn a_second_try_dropped_at_any_await_leaves_nothing_that_the_sweep_does_not_settle() {
    let world = World::with(1_000).await;
    let (mut ended, ada) = (0, Uuid::now_v7());
    for waits in 0..50 {
        let order = world.declined(ada, &[(1, 1), (2, 3)]).await;
        ended += u32::from(dropped_after(waits, world.pay(ada, &order, "tok_ok")).await);
        settled(&world).await;
    }
    assert!((1..50).contains(&ended), "some got through, and some were dropped: {ended}");
    assert_eq!(world.count("select sum(reserved) from checkout.inventory").await, 0);
    assert_eq!(world.faults(1_000).await, [""; 0]);
}
