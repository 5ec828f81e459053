use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::world::World;

const UNITS: i32 = 1_000;

/// Drives `future` until it has waited `waits` times, then drops it where it is. True if it ended before.
async fn dropped_after<T>(waits: u32, future: impl Future<Output = T>) -> bool {
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
async fn settled(world: &World) -> u64 {
    let mut by_sweep = 0;
    let all = async {
        loop {
            let swept = world.sweep().await;
            by_sweep += swept.paid + swept.failed + swept.expired;
            let pending = "select count(*) from checkout.orders where status = 'pending_payment'";
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
    let mut ended = 0;
    for waits in 0..40 {
        for payment in ["tok_ok", "tok_decline"] {
            let cart = world.cart(&[(1, 1), (2, 3)]).await;
            ended += u32::from(dropped_after(waits, world.place(Uuid::now_v7(), &cart, payment)).await);
        }
    }
    assert!(ended > 0, "some got through, so every await was a place to drop at");
    assert!(settled(&world).await > 5, "and some were dropped between the two transactions");
    assert_eq!(world.faults(UNITS).await, [""; 0]);
}

#[tokio::test]
async fn where_only_the_first_transaction_happened_the_sweep_gives_the_units_back() {
    let world = World::with(UNITS).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 7)]).await, world.key());
    // The provider is gone before it could charge anything.
    world.execute("alter schema payment_simulator rename to unreachable").await;
    let pending = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!((pending.status.as_u16(), world.stock_of(1).await), (202, (UNITS, 7)));
    world.execute("alter schema unreachable rename to payment_simulator").await;
    let swept = world.sweep().await;
    assert_eq!((swept.paid, swept.failed, swept.expired), (0, 0, 1));
    assert_eq!(world.stock_of(1).await, (UNITS, 0));
    let again = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!(again.problem(), (409, "order-state-conflict"));
    assert_eq!(world.faults(UNITS).await, [""; 0]);
}

#[tokio::test]
async fn an_order_that_is_neither_charged_nor_expired_waits() {
    let world = World::with(UNITS).await;
    world.execute("alter schema payment_simulator rename to unreachable").await;
    world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_ok").await;
    world.execute("alter schema unreachable rename to payment_simulator").await;
    let soon = time::OffsetDateTime::now_utc() + time::Duration::seconds(20);
    let swept = forebay_checkout::sweep(&world.state, soon).await.unwrap();
    assert_eq!((swept.waiting, swept.expired, world.stock_of(1).await), (1, 0, (UNITS, 7)));
}

#[tokio::test]
async fn a_retry_takes_over_what_a_dead_process_left() {
    let world = World::with(UNITS).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 7)]).await, world.key());
    world.execute("alter schema payment_simulator rename to unreachable").await;
    world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    world.execute("alter schema unreachable rename to payment_simulator").await;
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
    world.execute("alter schema payment_simulator rename to unreachable").await;
    world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    world.execute("alter schema unreachable rename to payment_simulator").await;
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
    assert_eq!(world.sweep().await.keys_forgotten, 0);
    world.execute("update checkout.idempotency_keys set expires_at = now()").await;
    assert_eq!(world.sweep().await.keys_forgotten, 1);
    assert_eq!(world.send(world.order(ada, &key, &cart, "tok_ok")).await.problem(), (409, "cart-already-ordered"));
}
