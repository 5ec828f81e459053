use std::time::Duration;

use forebay_checkout::Payments;
use forebay_checkout::reconciliation::{Difference, Kind, Reconciliation, What, reconcile};
use forebay_checkout::refunds::{self, RefundState};
use forebay_pool::{Admission, Class};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::crashes::{HIDE_PROVIDER, SHOW_PROVIDER, dropped_after, settled};
use crate::world::World;

/// As of some minutes later, so that nothing is too young to differ.
async fn later(world: &World, minutes: i64) -> Reconciliation {
    let payments = Payments::simulated(world.database.options(), Duration::ZERO, 0);
    let now = OffsetDateTime::now_utc() + time::Duration::minutes(minutes);
    reconcile(&world.db, &payments, OffsetDateTime::UNIX_EPOCH, now).await.unwrap()
}

async fn paid(world: &World) -> Uuid {
    let answer = world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_ok").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().unwrap().parse().unwrap()
}

async fn give(world: &World, order: Uuid, amount: i64) -> refunds::Refund {
    let refund = {
        let mut lease = world.db.acquire(&Admission::without_deadline(Class::Normal)).await.unwrap();
        let mut tx = lease.begin().await.unwrap();
        let asked = refunds::request(&mut tx, order, Some(amount), "a test", OffsetDateTime::now_utc()).await;
        tx.end(asked).await.unwrap()
    };
    refunds::settle(&world.state, refund).await
}

fn words(found: &Reconciliation) -> Vec<(Kind, What)> {
    found.differences.iter().map(|Difference { kind, what, .. }| (*kind, *what)).collect()
}

#[tokio::test]
async fn a_shop_that_went_well_has_no_differences() {
    let world = World::with(1_000).await;
    for payment in ["tok_ok", "tok_decline", "tok_lost"] {
        world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, payment).await;
    }
    world.sweep().await;
    let order = paid(&world).await;
    assert_eq!(give(&world, order, 300).await.state, RefundState::Succeeded);
    world.execute("update payment_simulator.charges set refunded = amount where outcome = 'approved'").await;
    assert_eq!(give(&world, order, 400).await.state, RefundState::Failed);
    let found = later(&world, 5).await;
    assert_eq!((found.charges, found.refunds, found.under_way, words(&found)), (4, 2, 0, Vec::new()));
}

#[tokio::test]
async fn each_difference_is_found_and_named() {
    let cases = [
        ("delete from payment_simulator.charges", Kind::Charge, What::MissingThere),
        ("delete from checkout.payments", Kind::Charge, What::MissingHere),
        ("update checkout.payments set amount = amount + 1", Kind::Charge, What::Amount),
        ("update payment_simulator.charges set currency = 'USD'", Kind::Charge, What::Amount),
        ("update checkout.payments set state = 'declined'", Kind::Charge, What::State),
        ("update payment_simulator.charges set provider_ref = 'other'", Kind::Charge, What::Reference),
    ];
    let world = World::with(1_000).await;
    paid(&world).await;
    for (planted, kind, what) in cases {
        world.execute("create table charges as table payment_simulator.charges; create table payments as table checkout.payments").await;
        world.execute(planted).await;
        assert_eq!(words(&later(&world, 5).await), [(kind, what)], "{planted}");
        world
            .execute(
                "truncate payment_simulator.charges, checkout.payments, checkout.refunds cascade; \
                 insert into payment_simulator.charges select * from charges; \
                 insert into checkout.payments select * from payments; drop table charges, payments",
            )
            .await;
    }
    assert_eq!(words(&later(&world, 5).await), []);
}

#[tokio::test]
async fn each_difference_of_a_refund_is_found_and_named() {
    let cases = [
        ("delete from payment_simulator.refunds", What::MissingThere),
        ("delete from checkout.refunds", What::MissingHere),
        ("update checkout.refunds set amount = amount + 1", What::Amount),
        ("update checkout.refunds set state = 'failed'", What::State),
        ("update checkout.refunds set state = 'requested', settled_at = null, provider_ref = null", What::State),
        ("update checkout.refunds set provider_ref = 'other'", What::Reference),
    ];
    let world = World::with(1_000).await;
    let order = paid(&world).await;
    assert_eq!(give(&world, order, 300).await.state, RefundState::Succeeded);
    for (planted, what) in cases {
        world
            .execute(
                "create table theirs as table payment_simulator.refunds; create table ours as table checkout.refunds",
            )
            .await;
        world.execute(planted).await;
        assert_eq!(words(&later(&world, 5).await), [(Kind::Refund, what)], "{planted}");
        world
            .execute(
                "truncate payment_simulator.refunds, checkout.refunds cascade; \
                 insert into payment_simulator.refunds select * from theirs; \
                 insert into checkout.refunds select * from ours; drop table theirs, ours",
            )
            .await;
    }
    assert_eq!(words(&later(&world, 5).await), []);
}

#[tokio::test]
async fn what_is_under_way_is_counted_and_differs_only_when_nobody_settled_it_for_long() {
    let world = World::with(1_000).await;
    world.place(Uuid::now_v7(), &world.cart(&[(1, 7)]).await, "tok_lost").await;
    let order = paid(&world).await;
    world.execute(HIDE_PROVIDER).await;
    assert_eq!(give(&world, order, 300).await.state, RefundState::Requested);
    world.execute(SHOW_PROVIDER).await;
    let young = later(&world, 0).await;
    assert_eq!((young.under_way, words(&young)), (2, Vec::new()));
    let old = later(&world, 5).await;
    assert_eq!(
        (old.under_way, words(&old)),
        (0, vec![(Kind::Charge, What::MissingHere), (Kind::Refund, What::MissingThere)])
    );
    world.sweep().await;
    assert_eq!(words(&later(&world, 5).await), []);
}

#[tokio::test]
async fn after_crashes_anywhere_and_a_sweep_both_sides_say_the_same() {
    let world = World::with(1_000).await;
    for waits in 0..40 {
        for payment in ["tok_ok", "tok_decline", "tok_lost"] {
            let cart = world.cart(&[(1, 1), (2, 1)]).await;
            dropped_after(waits, world.place(Uuid::now_v7(), &cart, payment)).await;
        }
    }
    settled(&world).await;
    assert_eq!(words(&later(&world, 5).await), []);
}

#[tokio::test]
async fn only_what_ended_since_then_is_compared() {
    let world = World::with(1_000).await;
    paid(&world).await;
    world.execute("update payment_simulator.charges set at = now() - interval '2 days'; update checkout.payments set created_at = now() - interval '2 days'").await;
    paid(&world).await;
    world.execute("update payment_simulator.charges set provider_ref = provider_ref || 'x'").await;
    let payments = Payments::simulated(world.database.options(), Duration::ZERO, 0);
    let now = OffsetDateTime::now_utc();
    let found = reconcile(&world.db, &payments, now - time::Duration::DAY, now).await.unwrap();
    assert_eq!((found.charges, words(&found)), (1, vec![(Kind::Charge, What::Reference)]));
}

#[tokio::test]
async fn a_provider_that_does_not_tell_is_no_difference() {
    let world = World::with(1_000).await;
    paid(&world).await;
    world.execute(HIDE_PROVIDER).await;
    let payments = Payments::simulated(world.database.options(), Duration::ZERO, 0);
    let now = OffsetDateTime::now_utc();
    let failed = reconcile(&world.db, &payments, OffsetDateTime::UNIX_EPOCH, now).await;
    assert!(failed.unwrap_err().to_string().contains("does not tell"));
}
