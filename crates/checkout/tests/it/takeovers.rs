//! A buyer's own unpaid order makes way for the next one.

use serde_json::json;
use uuid::Uuid;

use crate::client::{Answer, send};
use crate::crashes::{HIDE_PROVIDER, SHOW_PROVIDER, dropped_after, settled};
use crate::world::World;

/// An order of this user that was never charged: its client hung up, or its process died, before the payment.
async fn left_unpaid(world: &World, user: Uuid, lines: &[(u32, i64)]) -> Answer {
    let cart = world.cart(lines).await;
    world.execute(HIDE_PROVIDER).await;
    let pending = world.place(user, &cart, "tok_ok").await;
    world.execute(SHOW_PROVIDER).await;
    assert_eq!(pending.status, 202, "{pending:?}");
    pending
}

#[tokio::test]
async fn the_last_unit_in_ones_own_unpaid_order_is_there_for_the_next_attempt_at_once() {
    let world = World::with(1).await;
    let (ada, eve) = (Uuid::now_v7(), Uuid::now_v7());
    let old = left_unpaid(&world, ada, &[(1, 1)]).await;
    let hers = world.place(eve, &world.cart(&[(1, 1)]).await, "tok_ok").await;
    assert_eq!(hers.problem(), (409, "insufficient-stock"), "another's order is not hers to take");
    let placed = world.place(ada, &world.cart(&[(1, 1)]).await, "tok_ok").await;
    assert_eq!((placed.status.as_u16(), world.stock_of(1).await), (201, (0, 0)));
    assert_eq!(world.get(old.header("location"), ada).await.body["status"], "expired");
    assert_eq!(world.sweep().await.expired, 0, "nothing is left to do");
    assert_eq!(world.faults(1).await, [""; 0]);
}

#[tokio::test]
async fn several_orders_and_skus_make_way_together() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    for lines in [&[(3, 3), (1, 2)][..], &[(1, 3)], &[(2, 5)]] {
        left_unpaid(&world, ada, lines).await;
    }
    let placed = world.place(ada, &world.cart(&[(1, 4), (3, 4), (4, 1)]).await, "tok_ok").await;
    assert_eq!(placed.status, 201, "{placed:?}");
    assert_eq!([world.stock_of(1).await, world.stock_of(2).await, world.stock_of(3).await], [(1, 0), (5, 5), (1, 0)]);
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn an_order_that_would_not_be_enough_is_left_alone() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    let old = left_unpaid(&world, ada, &[(1, 2)]).await;
    for lines in [&[(1, 6)][..], &[(1, 4), (2, 6)]] {
        let refused = world.place(ada, &world.cart(lines).await, "tok_ok").await;
        assert_eq!(refused.problem(), (409, "insufficient-stock"));
    }
    assert_eq!(world.get(old.header("location"), ada).await.body["status"], "pending_payment");
    assert_eq!(world.count("select count(*) from payment_simulator.charges").await, 0);
    assert_eq!(world.faults(5).await, [""; 0]);
}

#[tokio::test]
async fn an_order_that_was_charged_without_our_knowing_is_paid_and_its_unit_sold() {
    let world = World::with(1).await;
    let ada = Uuid::now_v7();
    let old = world.place(ada, &world.cart(&[(1, 1)]).await, "tok_lost").await;
    let again = world.place(ada, &world.cart(&[(1, 1)]).await, "tok_ok").await;
    assert_eq!(again.problem(), (409, "insufficient-stock"));
    assert_eq!(world.get(old.header("location"), ada).await.body["status"], "paid");
    assert_eq!(world.faults(1).await, [""; 0]);
}

#[tokio::test]
async fn a_silent_provider_leaves_the_old_order_as_it_was() {
    let world = World::with(1).await;
    let ada = Uuid::now_v7();
    let old = left_unpaid(&world, ada, &[(1, 1)]).await;
    let cart = world.cart(&[(1, 1)]).await;
    world.execute(HIDE_PROVIDER).await;
    assert_eq!(world.place(ada, &cart, "tok_ok").await.problem(), (409, "insufficient-stock"));
    world.execute(SHOW_PROVIDER).await;
    assert_eq!(world.get(old.header("location"), ada).await.body["status"], "pending_payment");
    assert_eq!(world.place(ada, &cart, "tok_ok").await.status, 201);
    assert_eq!(world.faults(1).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_attempts_of_one_account_at_its_last_unit_pay_for_it_once() {
    let world = World::with(1).await;
    for _ in 0..5 {
        world.execute("update checkout.inventory set on_hand = 1 where sku = 'SKU-1'").await;
        let ada = Uuid::now_v7();
        let carts = world.carts(16, &[(1, 1)]).await;
        let answers = world.send_at_once(carts.iter().map(|cart| world.order(ada, &world.key(), cart, "tok_ok"))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            let (status, code) = refused.problem();
            assert!(status == 409 && ["insufficient-stock", "order-state-conflict"].contains(&code), "{refused:?}");
        }
        assert_eq!(world.stock_of(1).await, (0, 0));
    }
    world.sweep().await;
    assert_eq!(world.count("select count(*) from checkout.orders where status = 'paid'").await, 5);
    assert_eq!(world.count("select count(*) from payment_simulator.charges where outcome = 'approved'").await, 5);
}

/// The old order holds what sorts last. A takeover that freed it first and then waited for what sorts before it would do so
/// against the order of everybody else.
#[tokio::test]
async fn a_takeover_locks_stock_in_the_order_of_all_others() {
    let world = World::with(5).await;
    let ada = Uuid::now_v7();
    left_unpaid(&world, ada, &[(5, 5)]).await;
    let cart = world.cart(&[(1, 1), (5, 5)]).await;
    let (mut provider, mut other) = (world.connection().await, world.connection().await);
    sqlx::raw_sql("begin; lock table payment_simulator.charges").execute(&mut provider).await.unwrap();
    let order = world.order(ada, &world.key(), &cart, "tok_ok");
    let placed = tokio::spawn({
        let router = world.router.clone();
        async move { send(&router, order).await }
    });
    world.waiting(1).await;
    let touch = |sku: &str| {
        sqlx::AssertSqlSafe(format!("update checkout.inventory set updated_at = now() where sku = '{sku}'"))
    };
    sqlx::raw_sql("begin").execute(&mut other).await.unwrap();
    sqlx::raw_sql(touch("SKU-1")).execute(&mut other).await.unwrap();
    sqlx::raw_sql("commit").execute(&mut provider).await.unwrap();
    world.waiting(1).await;
    sqlx::raw_sql(touch("SKU-5")).execute(&mut other).await.expect("the takeover waits before it holds this");
    sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    assert_eq!(placed.await.unwrap().status, 201);
    assert_eq!(world.faults(5).await, [""; 0]);
}

async fn unpaid_charges(world: &World) -> i64 {
    let charged = "select count(*) from payment_simulator.charges c left join checkout.orders o on o.id = c.order_id \
                   where (c.outcome = 'approved') is distinct from (o.status = 'paid')";
    world.count(charged).await
}

#[tokio::test]
async fn a_takeover_dropped_at_any_await_leaves_nothing_that_the_sweep_does_not_settle() {
    let world = World::with(1_000).await;
    let (mut ended, ada) = (0, Uuid::now_v7());
    for waits in 0..60 {
        world.execute("update checkout.inventory set on_hand = reserved + 1 where sku = 'SKU-1'").await;
        left_unpaid(&world, ada, &[(1, 1), (2, 1)]).await;
        let cart = world.cart(&[(1, 1), (2, 2)]).await;
        ended += u32::from(dropped_after(waits, world.place(ada, &cart, "tok_ok")).await);
        settled(&world).await;
        assert_eq!((world.stock_of(1).await.1, unpaid_charges(&world).await), (0, 0), "after {waits} waits");
    }
    assert!((1..60).contains(&ended), "some got through, and some were dropped: {ended}");
    assert_eq!(world.count("select count(*) from checkout.orders where status = 'pending_payment'").await, 0);
}

#[tokio::test]
async fn the_key_of_an_order_that_made_way_says_what_became_of_it() {
    let world = World::with(1).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 1)]).await, world.key());
    world.execute(HIDE_PROVIDER).await;
    assert_eq!(world.send(world.order(ada, &key, &cart, "tok_ok")).await.status, 202);
    world.execute(SHOW_PROVIDER).await;
    assert_eq!(world.place(ada, &world.cart(&[(1, 1)]).await, "tok_ok").await.status, 201);
    let old = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!((old.problem(), old.header("idempotent-replayed")), ((409, "order-state-conflict"), "true"));
    assert_eq!(old.body["detail"], json!("the order expired before it was paid; nothing was charged"));
}
