//! In virtual time: what the handle does about a provider that does not answer.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::time::{advance, sleep};
use uuid::Uuid;

use super::*;

/// Answers, or says nothing for ever.
#[derive(Debug, Default)]
struct Moody {
    silent: AtomicBool,
    asked: AtomicU32,
}

impl Moody {
    fn reply<T: Send + 'static>(&self, said: T) -> Reply<'_, T> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if self.silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(said)
        })
    }
}

impl Provider for Moody {
    fn charge<'a>(&'a self, _: &'a Bill, _: &'a str) -> Reply<'a, Charge> {
        self.reply(approved())
    }

    fn void<'a>(&'a self, _: &'a Bill) -> Reply<'a, Charge> {
        self.reply(approved())
    }

    fn look_up<'a>(&'a self, _: &'a Bill) -> Reply<'a, Option<Charge>> {
        self.reply(None)
    }

    fn refund<'a>(&'a self, _: &'a RefundBill) -> Reply<'a, Refund> {
        self.reply(Refund { outcome: RefundOutcome::Succeeded, reference: String::new() })
    }

    fn look_up_refund(&self, _: Uuid) -> Reply<'_, Option<Refund>> {
        self.reply(None)
    }

    fn charges<'a>(&'a self, _: &'a Place) -> Reply<'a, Vec<Collected>> {
        self.reply(Vec::new())
    }

    fn refunds<'a>(&'a self, _: &'a Place) -> Reply<'a, Vec<GivenBack>> {
        self.reply(Vec::new())
    }
}

fn approved() -> Charge {
    Charge { outcome: Outcome::Approved, reference: "ref".to_owned() }
}

fn bill() -> Bill {
    Bill { order_id: Uuid::now_v7(), attempt: 1, amount: 100, currency: "EUR".to_owned() }
}

struct World {
    provider: Arc<Moody>,
    payments: Payments,
}

impl World {
    fn new() -> Self {
        let provider = Arc::new(Moody::default());
        Self { payments: Payments::new(Arc::<Moody>::clone(&provider)), provider }
    }

    fn be_silent(&self, silent: bool) {
        self.provider.silent.store(silent, Ordering::Relaxed);
    }

    fn asked(&self) -> u32 {
        self.provider.asked.load(Ordering::Relaxed)
    }

    async fn charge(&self, within: Duration) -> Result<Charge, Unknown> {
        self.payments.charge(self.payments.pass().unwrap(), &bill(), "tok_ok", within).await
    }

    /// Until nobody may ask any more.
    async fn trip(&self) {
        self.be_silent(true);
        for _ in 0..5 {
            assert!(matches!(self.charge(LONG).await, Err(Unknown::Late)));
        }
        assert!(self.payments.pass().is_err());
    }
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn an_answer_is_waited_for_as_long_as_somebody_waits_and_no_longer_than_patience() {
    let world = World::new();
    world.be_silent(true);
    for (within, waited) in [(LONG, PATIENCE), (Duration::from_millis(20), Duration::from_millis(20))] {
        let began = Instant::now();
        assert!(matches!(world.charge(within).await, Err(Unknown::Late)));
        assert_eq!(began.elapsed(), waited);
    }
}

#[tokio::test(start_paused = true)]
async fn after_five_without_an_answer_nobody_new_may_ask_until_one_tried_and_was_answered() {
    let world = World::new();
    world.trip().await;
    assert_eq!(world.asked(), 5);
    let Unavailable { retry_after } = world.payments.pass().unwrap_err();
    advance(retry_after).await;
    let probe = world.payments.pass().unwrap();
    assert!(world.payments.pass().is_err(), "one tries, and the others wait for what comes of it");
    world.be_silent(false);
    assert_eq!(world.payments.charge(probe, &bill(), "tok_ok", LONG).await.unwrap(), approved());
    let both = [world.payments.pass(), world.payments.pass()];
    assert!(both.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn who_tries_in_vain_closes_the_door_again() {
    let world = World::new();
    world.trip().await;
    for tries in 1..4 {
        sleep(world.payments.pass().unwrap_err().retry_after).await;
        assert!(world.charge(LONG).await.is_err());
        assert_eq!(world.asked(), 5 + tries);
        assert!(world.payments.pass().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_let_to_try_and_did_not_ask_leaves_it_to_another() {
    let world = World::new();
    world.trip().await;
    sleep(world.payments.pass().unwrap_err().retry_after).await;
    drop(world.payments.pass().unwrap());
    world.be_silent(false);
    assert!(world.charge(LONG).await.is_ok());
    // The same where its client left while the provider was asked.
    world.trip().await;
    sleep(world.payments.pass().unwrap_err().retry_after).await;
    assert!(timeout(Duration::from_millis(1), world.charge(LONG)).await.is_err());
    assert!(world.payments.pass().is_ok());
}

#[tokio::test(start_paused = true)]
async fn clients_in_a_hurry_say_nothing_of_the_provider() {
    let world = World::new();
    world.be_silent(true);
    for _ in 0..50 {
        assert!(world.charge(Duration::from_millis(10)).await.is_err());
    }
    assert!(world.payments.pass().is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_answer_makes_up_for_all_that_were_missing() {
    let world = World::new();
    for _ in 0..10 {
        world.be_silent(true);
        for _ in 0..4 {
            assert!(world.charge(LONG).await.is_err());
        }
        world.be_silent(false);
        assert!(world.charge(LONG).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_asks_while_nobody_new_may_and_its_answer_lets_all_in_again() {
    let world = World::new();
    world.trip().await;
    assert!(world.payments.look_up(&bill()).await.is_err());
    assert_eq!(world.asked(), 6);
    world.be_silent(false);
    assert!(world.payments.void(&bill()).await.is_ok());
    assert!(world.payments.pass().is_ok());
}
