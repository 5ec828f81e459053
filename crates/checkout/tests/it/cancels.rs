//! A buyer cancels an order.

use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::crashes::{HIDE_PROVIDER, SHOW_PROVIDER, dropped_after, settled};
use crate::world::World;

#[tokio::test]
async fn a_declined_order_is_cancelled_and_gives_back_its_units_and_its_cart() {
    let world = World::with(5).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 2)]).await, world.key());
    let declined = world.place(ada, &cart, "tok_decline").await;
    let order = declined.header("location");
    let cancelled = world.send(world.cancellation(ada, &key, order)).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.body["status"]), (200, &json!("cancelled")));
    assert_eq!(world.stock_of(1).await, (5, 0));
    let again = world.send(world.cancellation(ada, &key, order)).await;
    assert_eq!((again.status, &again.body), (cancelled.status, &cancelled.body));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(
        world.cancel(ada, order).await.problem(),
        (409, "order-state-conflict"),
        "by another key it is too late"
    );
    assert_eq!(world.pay(ada, order, "tok_ok").await.problem(), (409, "order-state-conflict"));
    cart.saw(&world.get("/v1/cart", ada).await);
    assert_eq!(world.place(ada, &cart, "tok_ok").await.status, 201, "the cart is open again");
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn an_order_that_was_never_charged_is_voided_before_it_is_cancelled() {
    let world = World::with(5).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 2)]).await, world.key());
    world.execute(HIDE_PROVIDER).await;
    let pending = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    let order = pending.header("location");
    assert_eq!(world.cancel(ada, order).await.problem(), (504, "deadline-exceeded"), "nobody knows what to say of it");
    world.execute(SHOW_PROVIDER).await;
    assert_eq!(world.cancel(ada, order).await.status, 200);
    assert_eq!(world.count("select count(*) from payment_simulator.charges where outcome = 'voided'").await, 1);
    let placed = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!((placed.problem(), placed.header("idempotent-replayed")), ((409, "order-state-conflict"), "true"));
    assert_eq!(world.stock_of(1).await, (5, 0));
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn a_paid_order_is_cancelled_with_its_money_and_its_units_back() {
    let world = World::with(5).await;
    let (ada, key) = (Uuid::now_v7(), world.key());
    let placed = world.place(ada, &world.cart(&[(1, 2), (2, 1)]).await, "tok_ok").await;
    let order = placed.header("location");
    for replayed in ["", "true"] {
        let cancelled = world.send(world.cancellation(ada, &key, order)).await;
        assert_eq!((cancelled.status.as_u16(), &cancelled.body["status"]), (200, &json!("cancelled")));
        assert_eq!(cancelled.header("idempotent-replayed"), replayed);
    }
    assert_eq!((world.stock_of(1).await, world.stock_of(2).await), ((5, 0), (5, 0)));
    assert_eq!(world.count("select refunded from payment_simulator.charges").await, 400);
    assert_eq!(world.status(ada, order).await, "cancelled");
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn an_order_that_is_on_its_way_is_not_cancelled() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let placed = world.place(ada, &world.cart(&[(1, 2)]).await, "tok_ok").await;
    for status in ["shipped", "delivered", "refunded"] {
        let moved = sqlx::query("update checkout.orders set status = $1").bind(status);
        moved.execute(&mut world.connection().await).await.unwrap();
        let refused = world.cancel(ada, placed.header("location")).await;
        assert_eq!(refused.problem(), (409, "order-state-conflict"), "{status}");
    }
    assert_eq!(world.count("select count(*) from checkout.refunds").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancels_at_once_give_back_once() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let placed = world.place(ada, &world.cart(&[(1, 2)]).await, "tok_ok").await;
    let order = placed.header("location");
    let answers = world.send_at_once((0..20).map(|_| world.cancellation(ada, &world.key(), order))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert_eq!(
        (world.stock_of(1).await, world.count("select refunded from payment_simulator.charges").await),
        ((5, 0), 200)
    );
    assert_eq!(world.count("select count(*) from checkout.refunds").await, 1);
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn a_buyer_with_another_open_cart_keeps_that_one() {
    let world = World::with(5).await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(1, 2)]).await);
    let declined = world.place(ada, &cart, "tok_decline").await;
    let other = world.cart(&[(2, 1)]).await;
    assert_eq!(world.send(world.claim(&other, ada)).await.status, 200);
    assert_eq!(world.cancel(ada, declined.header("location")).await.status, 200);
    let status = async |id: &str| world.get(&format!("/v1/carts/{id}"), ada).await.body["status"].clone();
    assert_eq!((status(&cart.id).await, status(&other.id).await), (json!("ordered"), json!("open")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cancel_a_payment_and_the_end_of_the_reservation_one_wins() {
    let world = World::with(1_000).await;
    let tomorrow = OffsetDateTime::now_utc() + Duration::hours(23);
    for round in 0..40 {
        let ada = Uuid::now_v7();
        let order = world.declined(ada, &[(1, 1), (2, 1)]).await;
        let mut requests = vec![
            world.payment(ada, &world.key(), &order, ["tok_ok", "tok_lost", "tok_decline"][round % 3]),
            world.cancellation(ada, &world.key(), &order),
        ];
        if round % 2 == 0 {
            requests.reverse();
        }
        let sweep = async {
            if round % 4 != 3 {
                // May find no connection in time, which must be safe as well.
                drop(forebay_checkout::sweep(&world.state, tomorrow).await);
            }
        };
        let (answers, ()) = tokio::join!(world.send_at_once(requests), sweep);
        let allowed = [200, 202, 409, 422];
        assert!(answers.iter().all(|answer| allowed.contains(&answer.status.as_u16())), "{answers:?}");
        let told = |status: &str| answers.iter().any(|answer| answer.status == 200 && answer.body["status"] == status);
        settled(&world).await;
        let status = world.status(ada, &order).await;
        assert!(["paid", "cancelled", "expired"].contains(&&*status), "{status}");
        assert_eq!(world.faults(1_000).await, [""; 0], "{status} {answers:?}");
        assert!(!told("cancelled") || status == "cancelled", "{status} {answers:?}");
        assert!(!told("paid") || status != "expired", "{status} {answers:?}");
    }
    assert_eq!(world.count("select sum(reserved) from checkout.inventory").await, 0);
    assert_eq!(world.faults(1_000).await, [""; 0]);
}

#[tokio::test]
async fn a_cancel_dropped_at_any_await_leaves_nothing_that_the_sweep_does_not_settle() {
    let world = World::with(1_000).await;
    let (mut ended, ada) = (0, Uuid::now_v7());
    for waits in 0..50 {
        let token = ["tok_ok", "tok_lost", "tok_decline"][waits as usize % 3];
        let placed = world.place(ada, &world.cart(&[(1, 1), (2, 3)]).await, token).await;
        let order = placed.header("location").to_owned();
        ended += u32::from(dropped_after(waits, world.cancel(ada, &order)).await);
        settled(&world).await;
    }
    assert!((1..50).contains(&ended), "some got through, and some were dropped: {ended}");
    assert_eq!(world.count("select sum(reserved) from checkout.inventory").await, 0);
    assert_eq!(world.faults(1_000).await, [""; 0]);
}

#[tokio::test]
async fn an_order_of_which_a_part_went_back_is_cancelled_too_and_the_rest_goes_back() {
    let world = World::with(5).await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(2, 3)]).await);
    let placed = world.place(ada, &cart, "tok_ok").await;
    let order = placed.header("location");
    let part = json!({ "amount": { "amount": 150, "currency": "EUR" }, "reason": "a scratch" });
    let id = placed.body["id"].as_str().unwrap();
    assert_eq!(world.admin_posts(&format!("/v1/admin/orders/{id}/refund"), &part).await.status, 200);
    let cancelled = world.cancel(ada, order).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.body["status"]), (200, &json!("cancelled")));
    assert_eq!(world.stock_of(2).await, (5, 0));
    assert_eq!(world.count("select sum(refunded)::bigint from payment_simulator.charges").await, 600);
    assert_eq!(world.status(ada, order).await, "cancelled", "also when all of it went back");
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cancel_and_a_shipment_of_an_order_of_which_a_part_went_back_one_wins() {
    let world = World::with(50).await;
    let ada = Uuid::now_v7();
    let part = json!({ "amount": { "amount": 50, "currency": "EUR" }, "reason": "a scratch" });
    for _ in 0..10 {
        let placed = world.place(ada, &world.cart(&[(2, 1)]).await, "tok_ok").await;
        let (order, id) = (placed.header("location"), placed.body["id"].as_str().unwrap());
        let admin = |what: &str, body| {
            world.by_admin(Uuid::now_v7(), "POST", &format!("/v1/admin/orders/{id}/{what}"), Some(body))
        };
        assert_eq!(world.send(admin("refund", &part)).await.status, 200);
        let before = world.stock_of(2).await;
        // The second part brings a shipped order back to where the cancel may have read it.
        let asked = [world.cancellation(ada, &world.key(), order), admin("ship", &json!({})), admin("refund", &part)];
        let answers = world.send_at_once(asked).await;
        let (cancelled, shipped) = (answers[0].status == 200, answers[1].status == 200);
        assert!(cancelled != shipped, "{answers:?}");
        assert_eq!(world.status(ada, order).await == "cancelled", cancelled);
        let back = i32::from(cancelled);
        assert_eq!(world.stock_of(2).await, (before.0 + back, 0), "{answers:?}");
    }
}
