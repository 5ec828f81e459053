use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use forebay_checkout::SweepError;
use futures_util::future::join_all;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::world::World;

const UNITS: i32 = 1_000;

pub(crate) const HIDE_PROVIDER: &str = "alter schema payment_simulator rename to unreachable";
pub(crate) const SHOW_PROVIDER: &str = "alter schema unreachable rename to payment_simulator";

fn after(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + time::Duration::seconds(seconds)
}

/// Drives `future` until it has waited `waits` times, then drops it where it is. True if it ended before.
pub(crate) async fn dropped_after<T>(waits: u32, future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    let mut left = waits;
    poll_fn(|context| match (future.as_mut().poll(context), left) {
        (Poll::Ready(_), _) => Poll::Ready(true),
        (Poll::Pending, 0) => Poll::Ready(false),
        (Poll::Pending, _) => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Sweeps until nothing is pending: a COMMIT may still be on its way when its sender is gone. Answers with how many
/// orders that settled.
pub(crate) async fn settled(world: &World) -> u64 {
    let mut by_sweep = 0;
    let all = async {
        loop {
            let swept = world.sweep().await;
            by_sweep += swept.paid + swept.failed + swept.expired;
            let pending = "select (select count(*) from checkout.orders where status = 'pending_payment') \
                           + (select count(*) from checkout.refunds where state = 'requested')";
            let busy = "select count(*) from pg_stat_activity where datname = current_database() and state <> 'idle' \
                        and pid <> pg_backend_pid()";
            if world.count(pending).await == 0 && world.count(busy).await == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
    by_sweep
}

#[tokio::test]
async fn a_handler_dropped_at_any_await_leaves_nothing_that_the_sweep_does_not_settle() {
    let world = World::with(UNITS).await;
    let (mut ended, mut by_sweep) = (0, 0);
    // On a busy machine a handler gets further between two looks at it, and fewer are dropped in the middle of a round.
    for _round in 0..10 {
        for waits in 0..40 {
            for payment in ["tok_ok", "tok_decline"] {
                let cart = world.cart(&[(1, 1), (2, 3)]).await;
                ended += u32::from(dropped_after(waits, world.place(Uuid::now_v7(), &cart, payment)).await);
            }
        }
        by_sweep += settled(&world).await;
        if by_sweep > 5 {
            break;
        }
    }
    assert!(ended > 0, "some got through, so every await was a place to drop at");
    assert!(by_sweep > 5, "and some were dropped between the two transactions: {by_sweep}");
    assert_eq!(world.faults(UNITS).await, [""; 0]);
}

#[tokio::test]
async fn where_only_the_first_transaction_happened_the_sweep_gives_the_units_back() {
    let world = World::with(UNITS).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 7)]).await, world.key());
    // The provider is gone before it could charge anything.
    world.execute(HIDE_PROVIDER).await;
    let pending = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!((pending.status.as_u16(), world.stock_of(1).await), (202, (UNITS, 7)));
    world.execute(SHOW_PROVIDER).await;
    let swept = world.sweep().await;
    assert_eq!((swept.paid, swept.failed, swept.expired), (0, 0, 1));
    assert_eq!(world.stock_of(1).await, (UNITS, 0));
    let again = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!(again.problem(), (409, "order-state-conflict"));
    assert_eq!(world.faults(UNITS).await, [""; 0]);
}

#[tokio::test]
async fn an_order_that_is_neither_charged_nor_given_up_waits() {
    let world = World::with(UNITS).await;
    world.execute(HIDE_PROVIDER).await;
    world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_ok").await;
    world.execute(SHOW_PROVIDER).await;
    let swept = forebay_checkout::sweep(&world.state, after(20)).await.unwrap();
    assert_eq!((swept.waiting, swept.expired, world.stock_of(1).await), (1, 0, (UNITS, 7)));
}

#[tokio::test]
async fn an_order_that_was_not_charged_in_a_minute_is_given_up_long_before_its_reservation_ends() {
    let world = World::with(UNITS).await;
    world.execute(HIDE_PROVIDER).await;
    world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_ok").await;
    world.execute(SHOW_PROVIDER).await;
    let swept = forebay_checkout::sweep(&world.state, after(61)).await.unwrap();
    assert_eq!((swept.waiting, swept.expired, world.stock_of(1).await), (0, 1, (UNITS, 0)));
    assert_eq!(world.faults(UNITS).await, [""; 0]);
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_found_however_late() {
    let world = World::with(UNITS).await;
    world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_lost").await;
    let swept = forebay_checkout::sweep(&world.state, after(61)).await.unwrap();
    assert_eq!((swept.paid, swept.expired, world.stock_of(1).await), (1, 0, (UNITS - 7, 0)));
    assert_eq!(world.faults(UNITS).await, [""; 0]);
}

#[tokio::test]
async fn an_order_that_cannot_be_settled_keeps_no_younger_one_from_it() {
    let world = World::with(UNITS).await;
    world.execute(HIDE_PROVIDER).await;
    for sku in 1..=3 {
        world.place(Uuid::now_v7(), &world.cart(&[(sku, 7)]).await, "tok_ok").await;
    }
    world.execute(SHOW_PROVIDER).await;
    // Corrected by hand, and wrongly: to free the units of the first order would make them fewer than none.
    world.execute("update checkout.inventory set reserved = 0 where sku = 'SKU-1'").await;
    for expired in [2, 0] {
        let swept = world.sweep().await;
        assert_eq!((swept.failed_to_settle, swept.expired), (1, expired));
    }
    assert_eq!((world.stock_of(2).await, world.stock_of(3).await), ((UNITS, 0), (UNITS, 0)));
    world.execute("update checkout.inventory set reserved = 7 where sku = 'SKU-1'").await;
    assert_eq!(world.sweep().await.expired, 1);
    assert_eq!(world.faults(UNITS).await, [""; 0]);
}

#[tokio::test]
async fn a_silent_provider_ends_the_sweep_but_old_answers_are_deleted() {
    let world = World::with(UNITS).await;
    assert_eq!(world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await.status, 201);
    world.execute("update checkout.idempotency_keys set expires_at = now() - interval '1 second'").await;
    world.execute(HIDE_PROVIDER).await;
    for _ in 0..5 {
        assert_eq!(world.place(Uuid::now_v7(), &world.cart(&[(2, 1)]).await, "tok_ok").await.status, 202);
    }
    let swept = forebay_checkout::sweep(&world.state, after(20)).await;
    assert!(matches!(swept, Err(SweepError::Unanswered)), "{swept:?}");
    assert_eq!(world.clean().await.keys, 1, "those of the others wait for theirs");
    world.execute(SHOW_PROVIDER).await;
    assert_eq!((world.sweep().await.expired, world.faults(UNITS).await), (5, Vec::new()));
}

#[tokio::test]
async fn a_retry_takes_over_what_a_dead_process_left() {
    let world = World::with(UNITS).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 7)]).await, world.key());
    world.execute(HIDE_PROVIDER).await;
    world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    world.execute(SHOW_PROVIDER).await;
    let early = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!(early.problem(), (409, "idempotency-in-flight"));
    world.execute("update checkout.idempotency_keys set claimed_at = claimed_at - interval '16 seconds'").await;
    let answers = join_all((0..10).map(|_| world.send(world.order(ada, &key, &cart, "tok_ok")))).await;
    let paid = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(paid >= 1 && answers.iter().all(|answer| [201, 409].contains(&answer.status.as_u16())), "{answers:?}");
    assert_eq!(world.stock_of(1).await, (UNITS - 7, 0));
    assert_eq!(world.faults(UNITS).await, [""; 0]);
}

#[tokio::test]
async fn a_charge_that_comes_after_the_order_was_given_up_is_refused() {
    let world = World::with(UNITS).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 7)]).await, world.key());
    world.execute(HIDE_PROVIDER).await;
    world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    world.execute(SHOW_PROVIDER).await;
    // The provider heard of the end, and the process died before it wrote it down.
    world
        .execute(
            "insert into payment_simulator.charges select id, 1, 'voided', total, currency, 'sim_void' from checkout.orders",
        )
        .await;
    world.execute("update checkout.idempotency_keys set claimed_at = claimed_at - interval '16 seconds'").await;
    let late = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!(late.problem(), (409, "order-state-conflict"));
    assert_eq!(world.get(late.header("location"), ada).await.body["status"], json!("expired"));
    assert_eq!(world.stock_of(1).await, (UNITS, 0));
    assert_eq!(world.faults(UNITS).await, [""; 0]);
}

#[tokio::test]
async fn answers_are_forgotten_after_a_day_and_the_cart_still_has_one_order() {
    let world = World::with(UNITS).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 1)]).await, world.key());
    assert_eq!(world.send(world.order(ada, &key, &cart, "tok_ok")).await.status, 201);
    assert_eq!(world.clean().await.keys, 0);
    world.execute("update checkout.idempotency_keys set expires_at = now() - interval '1 second'").await;
    assert_eq!(world.clean().await.keys, 1);
    assert_eq!(world.send(world.order(ada, &key, &cart, "tok_ok")).await.problem(), (409, "cart-already-ordered"));
}
