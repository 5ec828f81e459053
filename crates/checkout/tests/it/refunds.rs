use forebay_checkout::refunds::{self, Refund, RefundError, RefundState};
use forebay_pool::{Admission, Class};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::crashes::{HIDE_PROVIDER, SHOW_PROVIDER, dropped_after};
use crate::world::World;

/// An order of 700 that was paid.
async fn paid(world: &World) -> Uuid {
    let answer = world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_ok").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().unwrap().parse().unwrap()
}

async fn request(world: &World, order: Uuid, amount: Option<i64>) -> Result<Refund, RefundError> {
    let mut lease = world.db.acquire(&Admission::without_deadline(Class::Normal)).await.unwrap();
    let mut tx = lease.begin().await?;
    let requested = refunds::request(&mut tx, order, amount, "a test", OffsetDateTime::now_utc()).await;
    tx.end(requested).await
}

async fn give(world: &World, order: Uuid, amount: Option<i64>) -> Refund {
    let refund = request(world, order, amount).await.unwrap();
    refunds::settle(&world.state, refund).await
}

async fn text(world: &World, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(&mut world.connection().await).await.unwrap()
}

const STATUS: &str = "select status from checkout.orders";
const EVENTS: &str = "select string_agg(kind, ' ' order by id) from checkout.order_events";

/// What was paid, what is asked back of it by our tables, and what the provider gave back.
const BOOKS: &str = "select concat_ws(' ', p.amount, p.refunded, \
    (select coalesce(sum(r.amount), 0) from checkout.refunds r where r.payment_id = p.id and r.state <> 'failed'), \
    (select c.refunded from payment_simulator.charges c where c.order_id = p.order_id and c.attempt = p.attempt), \
    (select coalesce(sum(r.amount), 0) from payment_simulator.refunds r where r.order_id = p.order_id and r.outcome = 'succeeded')) \
    from checkout.payments p where p.state = 'succeeded'";

#[tokio::test]
async fn money_goes_back_in_parts_and_never_more_than_was_paid() {
    let world = World::with(100).await;
    let order = paid(&world).await;
    assert_eq!(give(&world, order, Some(200)).await.state, RefundState::Succeeded);
    assert_eq!(
        (text(&world, STATUS).await, text(&world, BOOKS).await),
        ("partially_refunded".into(), "700 200 200 200 200".into())
    );
    let buyer = text(&world, "select user_id::text from checkout.orders").await.parse().unwrap();
    let shown = world.get(&format!("/v1/orders/{order}"), buyer).await;
    assert_eq!(shown.body["payments"][0]["refunded"], json!({ "amount": 200, "currency": "EUR" }), "{shown:?}");
    let too_much = request(&world, order, Some(501)).await.unwrap_err();
    assert!(matches!(too_much, RefundError::TooMuch { left: 500, .. }), "{too_much:?}");
    let rest = give(&world, order, None).await;
    assert_eq!((rest.amount, rest.state), (500, RefundState::Succeeded));
    assert_eq!(
        (text(&world, STATUS).await, text(&world, BOOKS).await),
        ("refunded".into(), "700 700 700 700 700".into())
    );
    for amount in [None, Some(1), Some(0), Some(-1), Some(i64::MAX)] {
        let nothing = request(&world, order, amount).await.unwrap_err();
        assert!(matches!(nothing, RefundError::TooMuch { left: 0, .. }), "{nothing:?}");
    }
    let events = "placed paid refund_requested refund_succeeded refund_requested refund_succeeded";
    assert_eq!(text(&world, EVENTS).await, events);
}

/// The last guard, where a statement of ours should be wrong.
#[tokio::test]
async fn the_database_itself_refuses_to_give_back_more_or_to_pay_twice() {
    let world = World::with(100).await;
    paid(&world).await;
    let cases = [
        ("update checkout.payments set refunded = amount + 1", "payments_never_over_refunded"),
        ("update checkout.payments set refunded = -1", "payments_never_over_refunded"),
        ("update payment_simulator.charges set refunded = amount + 1", "charges_never_over_refunded"),
        ("update checkout.inventory set reserved = on_hand + 1", "inventory_never_oversold"),
        (
            "insert into checkout.payments select gen_random_uuid(), order_id, 2, 'second', amount, currency, state, created_at \
             from checkout.payments",
            "payments_one_success",
        ),
    ];
    for (wrong, guard) in cases {
        let refused = sqlx::raw_sql(wrong).execute(&mut world.connection().await).await.unwrap_err();
        assert_eq!(refused.as_database_error().and_then(|error| error.constraint()), Some(guard), "{wrong}: {refused}");
    }
}

#[tokio::test]
async fn what_was_not_paid_is_not_given_back() {
    let world = World::with(100).await;
    let declined = world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_decline").await;
    assert_eq!(declined.status, 422);
    let order = text(&world, "select id::text from checkout.orders").await.parse().unwrap();
    for order in [order, Uuid::now_v7()] {
        let refused = request(&world, order, None).await.unwrap_err();
        assert!(matches!(refused, RefundError::NotPaid), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_refunds_of_one_payment_at_once_never_give_back_more_than_was_paid() {
    let world = std::sync::Arc::new(World::with(100).await);
    let order = paid(&world).await;
    let asked = (0..20).map(|_| {
        let world = std::sync::Arc::clone(&world);
        tokio::spawn(async move {
            let refund = request(&world, order, Some(300)).await?;
            Ok::<_, RefundError>(refunds::settle(&world.state, refund).await)
        })
    });
    let mut given = 0;
    for asked in asked.collect::<Vec<_>>() {
        match asked.await.unwrap() {
            Ok(refund) => {
                assert_eq!(refund.state, RefundState::Succeeded);
                given += 1;
            }
            Err(error) => assert!(matches!(error, RefundError::TooMuch { .. }), "{error:?}"),
        }
    }
    assert_eq!((given, text(&world, BOOKS).await), (2, "700 600 600 600 600".into()));
}

#[tokio::test]
async fn a_refund_that_the_provider_never_heard_of_is_asked_for_again_by_the_sweeper() {
    let world = World::with(100).await;
    let order = paid(&world).await;
    world.execute(HIDE_PROVIDER).await;
    assert_eq!(give(&world, order, Some(200)).await.state, RefundState::Requested);
    world.execute(SHOW_PROVIDER).await;
    assert_eq!(text(&world, BOOKS).await, "700 200 200 0 0", "what is asked for is taken from what is left");
    assert_eq!((world.sweep().await.refunds, world.sweep().await.refunds), (1, 0));
    assert_eq!(
        (text(&world, STATUS).await, text(&world, BOOKS).await),
        ("partially_refunded".into(), "700 200 200 200 200".into())
    );
}

#[tokio::test]
async fn a_refund_that_the_provider_refuses_has_failed_and_its_money_is_left_again() {
    let world = World::with(100).await;
    let order = paid(&world).await;
    // Given back by hand, past us.
    world.execute("update payment_simulator.charges set refunded = 600").await;
    assert_eq!(give(&world, order, Some(200)).await.state, RefundState::Failed);
    assert_eq!((text(&world, STATUS).await, text(&world, BOOKS).await), ("paid".into(), "700 0 0 600 0".into()));
    assert_eq!(give(&world, order, Some(100)).await.state, RefundState::Succeeded);
}

#[tokio::test]
async fn a_cancelled_order_stays_cancelled_when_its_money_goes_back() {
    let world = World::with(100).await;
    let order = paid(&world).await;
    world.execute("update checkout.orders set status = 'cancelled'").await;
    assert_eq!(give(&world, order, None).await.state, RefundState::Succeeded);
    assert_eq!(text(&world, STATUS).await, "cancelled");
}

#[tokio::test]
async fn a_refund_dropped_at_any_await_is_given_once() {
    let world = World::with(1_000).await;
    let (mut ended, mut by_sweep) = (0, 0);
    for waits in 0..60 {
        let order = paid(&world).await;
        let refund = async {
            let refund = request(&world, order, Some(200)).await.unwrap();
            refunds::settle(&world.state, refund).await
        };
        ended += u32::from(dropped_after(waits, refund).await);
        let swept = async {
            loop {
                by_sweep += world.sweep().await.refunds;
                let busy = "select count(*) from pg_stat_activity where datname = current_database() and state <> 'idle' \
                            and pid <> pg_backend_pid()";
                let requested = "select count(*) from checkout.refunds where state = 'requested'";
                if world.count(requested).await == 0 && world.count(busy).await == 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), swept).await.unwrap();
        let differ = "select count(*) from checkout.payments p join payment_simulator.charges c using (order_id, attempt) \
                      where p.refunded <> c.refunded or p.refunded not in (0, 200)";
        assert_eq!(world.count(differ).await, 0, "after {waits} waits");
    }
    assert!(ended > 0 && by_sweep > 0, "some got through, and some were dropped between: {ended} {by_sweep}");
}
