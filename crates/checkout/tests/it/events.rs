//! Subscribers hear of what happens to orders: each event at least once, and those of an order in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forebay_checkout::events::{Published, Publisher, Rules, Subscribed, SubscriptionError, Subscriptions};
use forebay_platform::webhook;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use sqlx::Connection as _;
use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;

use crate::crashes::dropped_after;
use crate::receiver::{Act, OK, Receiver};
use crate::world::World;

const LIMIT: Duration = Duration::from_secs(60);

/// Two retries, and nobody is waited for longer than the test needs to see it.
fn rules() -> Rules {
    let pauses = [5, 30].map(Duration::from_secs).into_iter().collect();
    Rules { pauses, within: Duration::from_secs(10), ..Rules::default() }
}

fn impatient() -> Rules {
    Rules { within: Duration::from_millis(200), ..rules() }
}

fn publisher(world: &World) -> Publisher {
    Publisher::new(&world.state, rules())
}

fn subscriptions(world: &World) -> Subscriptions {
    Subscriptions::new(world.db.clone())
}

async fn subscribe(world: &World, receiver: &Receiver, topics: &str) -> Subscribed {
    let (target, topics) = (receiver.url().parse().unwrap(), topics.parse().unwrap());
    subscriptions(world).subscribe(&target, &topics).await.unwrap()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn after(seconds: i64) -> OffsetDateTime {
    now() + time::Duration::seconds(seconds)
}

/// An order that is paid: two events.
async fn order(world: &World) -> Uuid {
    let placed = world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await;
    assert_eq!(placed.status, 201, "{placed:?}");
    placed.body["id"].as_str().unwrap().parse().unwrap()
}

async fn orders(world: &World, how_many: usize) {
    for _ in 0..how_many {
        order(world).await;
    }
}

fn sent(delivered: u64) -> Published {
    Published { delivered, ..Published::default() }
}

const WAITING: &str = "select count(*) from checkout.deliveries where state = 'waiting'";
const DEAD: &str = "select count(*) from checkout.deliveries where state = 'dead'";

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let polls = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(LIMIT, polls).await.is_ok(), "not within {LIMIT:?}: {what}");
}

#[tokio::test]
async fn a_subscriber_hears_once_of_what_it_asked_for_signed_and_in_order() {
    let world = World::with(10).await;
    let (all, paid) = (Receiver::well().await, Receiver::well().await);
    let secret = subscribe(&world, &all, "*").await.secret;
    let other = subscribe(&world, &paid, "order.payment_failed,order.paid").await.secret;
    let order = order(&world).await;
    let publisher = publisher(&world);
    assert_eq!(publisher.publish(now()).await.unwrap(), sent(3));
    assert_eq!(publisher.publish(now()).await.unwrap(), sent(0));
    assert_eq!(
        (all.types(), paid.types()),
        (vec!["order.placed".to_owned(), "order.paid".to_owned()], vec!["order.paid".to_owned()])
    );
    for received in all.received() {
        assert!(received.is_signed_by(&secret, now()) && !received.is_signed_by(&other, now()), "{received:?}");
        assert_eq!((received.order(), &received.json()["id"]), (order, &json!(received.id())));
        assert_eq!(received.headers["content-type"], "application/json");
    }
    assert_eq!(paid.received()[0].id(), all.received()[1].id(), "an event is the same for everybody");
}

#[tokio::test]
async fn what_failed_is_sent_again_later_with_the_same_id_and_body_and_then_given_up() {
    let world = World::with(10).await;
    let receiver = Receiver::doing(|_| Act::Answer(500, "", 0)).await;
    let id = subscribe(&world, &receiver, "order.placed").await.id;
    order(&world).await;
    let publisher = publisher(&world);
    let round = async |seconds| {
        let Published { delivered, failed, dead } = publisher.publish(after(seconds)).await.unwrap();
        (delivered, failed, dead, receiver.count())
    };
    assert_eq!(round(0).await, (0, 1, 0, 1));
    assert_eq!(round(2).await, (0, 0, 0, 1), "5 s, give or take a fifth, are not over");
    assert_eq!(round(7).await, (0, 1, 0, 2));
    assert_eq!(round(20).await, (0, 0, 0, 2));
    assert_eq!(round(60).await, (0, 0, 1, 3));
    assert_eq!(round(10_000).await, (0, 0, 0, 3), "dead is dead");
    let received = receiver.received();
    assert!(received.windows(2).all(|two| two[0].id() == two[1].id() && two[0].body == two[1].body), "{received:?}");
    assert_ne!(received[0].headers[webhook::TIMESTAMP], received[2].headers[webhook::TIMESTAMP]);
    let listed = subscriptions(&world).list().await.unwrap();
    assert_eq!((listed[0].id, listed[0].dead, listed[0].said.as_deref()), (id, 1, Some("500 Internal Server Error")));
    assert_eq!(subscriptions(&world).replay_dead(id).await.unwrap(), 1);
    assert_eq!(round(20_000).await, (0, 1, 0, 4), "replayed, it has all of its tries again");
}

#[tokio::test]
async fn a_failure_that_is_noticed_after_somebody_else_took_over_changes_nothing() {
    let world = World::with(10).await;
    let first = Receiver::doing(|_| Act::Hang).await;
    let second = Receiver::doing(|_| Act::Answer(500, "", 0)).await;
    subscribe(&world, &first, "order.placed").await;
    order(&world).await;
    let patient = Publisher::new(&world.state, Rules { within: LIMIT, ..rules() });
    let late = tokio::spawn(async move { patient.publish(now()).await });
    eventually("it was sent", async || first.count() == 1).await;
    let moved = sqlx::query("update checkout.subscribers set url = $1").bind(second.url());
    moved.execute(&mut world.connection().await).await.unwrap();
    // The lease of the first has ended, and it is still sending.
    let publisher = publisher(&world);
    let failed = Published { failed: 1, ..Published::default() };
    assert_eq!(publisher.publish(after(200)).await.unwrap(), failed);
    drop(first);
    late.await.unwrap().unwrap();
    publisher.publish(after(215)).await.unwrap();
    assert_eq!(second.count(), 1, "the pause after the second attempt is not over");
    publisher.publish(after(250)).await.unwrap();
    assert_eq!((second.count(), world.count(DEAD).await), (2, 1));
}

#[tokio::test]
async fn nobody_publishes_a_later_event_while_somebody_publishes_an_earlier_one() {
    let world = World::with(10).await;
    let receiver = Receiver::well().await;
    subscribe(&world, &receiver, "*").await;
    order(&world).await;
    let mut connection = world.connection().await;
    let mut somebody = connection.begin().await.unwrap();
    let earlier = "select id from checkout.outbox where topic = 'order.placed' for update";
    sqlx::query(earlier).execute(&mut *somebody).await.unwrap();
    let publisher = publisher(&world);
    let publishing = tokio::spawn(async move { publisher.publish(now()).await });
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("it waits", async || publishing.is_finished() || world.count(waiting).await > 0).await;
    assert_eq!(receiver.types(), [""; 0]);
    somebody.rollback().await.unwrap();
    assert_eq!(publishing.await.unwrap().unwrap(), sent(2));
    assert_in_order(&world, &receiver).await;
}

#[tokio::test]
async fn a_dead_letter_keeps_back_its_order_alone_until_it_is_replayed() {
    let world = World::with(10).await;
    let bad = order(&world).await;
    let receiver =
        Receiver::doing(move |received| if received.order() == bad { Act::Answer(422, "", 0) } else { OK }).await;
    let id = subscribe(&world, &receiver, "*").await.id;
    let good = order(&world).await;
    let publisher = publisher(&world);
    for seconds in [0, 10, 100, 1_000] {
        publisher.publish(after(seconds)).await.unwrap();
    }
    let of = |order| {
        receiver
            .received()
            .into_iter()
            .filter(|received| received.order() == order)
            .map(|received| received.kind())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of(good), of(bad)),
        (vec!["order.placed".to_owned(), "order.paid".to_owned()], vec!["order.placed".to_owned(); 3])
    );
    assert_eq!((world.count(WAITING).await, world.count(DEAD).await), (1, 1));
    receiver.does(|_| OK);
    assert_eq!(publisher.publish(after(2_000)).await.unwrap(), sent(0));
    assert_eq!(subscriptions(&world).replay_dead(id).await.unwrap(), 1);
    assert_eq!(publisher.publish(after(2_000)).await.unwrap(), sent(2));
    assert_eq!(of(bad)[3..], ["order.placed", "order.paid"]);
}

#[tokio::test]
async fn a_dead_letter_that_is_skipped_lets_its_order_go_on() {
    let world = World::with(10).await;
    let receiver =
        Receiver::doing(|received| if received.kind() == "order.placed" { Act::Answer(422, "", 0) } else { OK }).await;
    let id = subscribe(&world, &receiver, "*").await.id;
    let (first, second) = (order(&world).await, order(&world).await);
    let publisher = publisher(&world);
    for seconds in [0, 10, 100] {
        publisher.publish(after(seconds)).await.unwrap();
    }
    let subscriptions = subscriptions(&world);
    assert_eq!(subscriptions.skip_dead(id, Some(second)).await.unwrap(), 1);
    assert_eq!(publisher.publish(after(200)).await.unwrap(), sent(1));
    assert_eq!(
        receiver.received().last().map(|last| (last.order(), last.kind())),
        Some((second, "order.paid".to_owned()))
    );
    assert_eq!(subscriptions.skip_dead(id, None).await.unwrap(), 1);
    assert_eq!(publisher.publish(after(200)).await.unwrap(), sent(1));
    assert_eq!(receiver.received().last().map(|last| last.order()), Some(first));
    assert_eq!(subscriptions.skip_dead(id, None).await.unwrap(), 0);
}

#[tokio::test]
async fn an_event_that_is_committed_after_a_later_one_was_published_is_not_lost() {
    let world = World::with(10).await;
    let receiver = Receiver::well().await;
    subscribe(&world, &receiver, "order.shipped").await;
    let (late, early) = (order(&world).await, order(&world).await);
    const SHIP: &str = "insert into checkout.order_events (order_id, kind, at) values ($1, 'shipped', now())";
    let mut connection = world.connection().await;
    let mut slow = connection.begin().await.unwrap();
    sqlx::query(SHIP).bind(late).execute(&mut *slow).await.unwrap();
    sqlx::query(SHIP).bind(early).execute(&mut world.connection().await).await.unwrap();
    let publisher = publisher(&world);
    assert_eq!(publisher.publish(now()).await.unwrap(), sent(1));
    slow.commit().await.unwrap();
    assert_eq!(publisher.publish(now()).await.unwrap(), sent(1));
    let orders: Vec<_> = receiver.received().iter().map(|received| received.order()).collect();
    assert_eq!(orders, [early, late]);
    let ids = "select count(*) from checkout.outbox l join checkout.outbox e on l.id < e.id where l.published_at > e.published_at";
    assert!(world.count(ids).await > 0, "the one that was published later has the smaller id");
}

#[tokio::test]
async fn what_is_rolled_back_is_not_sent() {
    let world = World::with(10).await;
    let receiver = Receiver::well().await;
    subscribe(&world, &receiver, "order.shipped").await;
    order(&world).await;
    let mut connection = world.connection().await;
    let mut tx = connection.begin().await.unwrap();
    let ship =
        "insert into checkout.order_events (order_id, kind, at) select id, 'shipped', now() from checkout.orders";
    sqlx::query(ship).execute(&mut *tx).await.unwrap();
    assert_eq!(publisher(&world).publish(now()).await.unwrap(), sent(0));
    tx.rollback().await.unwrap();
    assert_eq!(publisher(&world).publish(now()).await.unwrap(), sent(0));
    assert_eq!(receiver.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_publishers_at_once_send_each_event_once() {
    let world = World::with(1_000).await;
    let receiver = Receiver::well().await;
    subscribe(&world, &receiver, "*").await;
    orders(&world, 60).await;
    let publishers: Vec<_> = (0..4).map(|_| publisher(&world)).collect();
    let done = join_all(publishers.iter().map(|publisher| publisher.publish(now()))).await;
    let delivered: u64 = done.iter().map(|done| done.as_ref().unwrap().delivered).sum();
    assert_eq!((delivered, receiver.count()), (120, 120));
    assert_in_order(&world, &receiver).await;
}

#[tokio::test]
async fn no_connection_is_held_while_a_receiver_takes_its_time() {
    let world = World::with(10).await;
    let receiver = Receiver::doing(|_| Act::Hang).await;
    subscribe(&world, &receiver, "*").await;
    order(&world).await;
    let publisher = Publisher::new(&world.state, rules());
    let publishing = tokio::spawn(async move { publisher.publish(now()).await });
    eventually("it was sent, and nothing is held", async || receiver.count() == 1 && world.db.snapshot().in_use == 0)
        .await;
    publishing.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_takes_nobody_elses_turn() {
    let world = World::with(100).await;
    let (hanging, well) = (Receiver::doing(|_| Act::Hang).await, Receiver::well().await);
    subscribe(&world, &hanging, "*").await;
    subscribe(&world, &well, "*").await;
    let patient = Rules { within: Duration::from_secs(3_600), ..rules() };
    let publishing = tokio::spawn(Publisher::new(&world.state, patient).keep_publishing());
    orders(&world, 20).await;
    eventually("the other has all of them", async || well.count() == 40).await;
    assert!((1..=8).contains(&hanging.count()), "so many are sent at once, and no more");
    assert_in_order(&world, &well).await;
    publishing.abort();
}

#[tokio::test]
async fn a_silent_receiver_is_tried_with_one_event_until_it_answers() {
    let world = World::with(100).await;
    let receiver = Receiver::doing(|_| Act::Die).await;
    subscribe(&world, &receiver, "order.placed").await;
    orders(&world, 30).await;
    let publisher = publisher(&world);
    publisher.publish(now()).await.unwrap();
    let first = receiver.count();
    assert!((5..30).contains(&first), "it was left alone after a few: {first}");
    assert_eq!(publisher.publish(after(10)).await.unwrap(), sent(0));
    assert_eq!(receiver.count(), first, "not before a minute");
    publisher.publish(after(100)).await.unwrap();
    assert_eq!(receiver.count(), first + 1, "one probe");
    receiver.does(|_| OK);
    assert_eq!(publisher.publish(after(300)).await.unwrap(), sent(30), "and all of them once it answers");
    assert_eq!(subscriptions(&world).list().await.unwrap()[0].failures, 0);
}

#[tokio::test]
async fn only_one_of_several_publishers_probes() {
    let world = World::with(100).await;
    let receiver = Receiver::doing(|_| Act::Answer(503, "", 0)).await;
    subscribe(&world, &receiver, "order.placed").await;
    orders(&world, 20).await;
    publisher(&world).publish(now()).await.unwrap();
    let first = receiver.count();
    let publishers: Vec<_> = (0..4).map(|_| publisher(&world)).collect();
    join_all(publishers.iter().map(|publisher| publisher.publish(after(100)))).await;
    assert_eq!(receiver.count(), first + 1);
}

#[tokio::test]
async fn redirects_are_not_followed_and_of_a_body_little_is_read() {
    let world = World::with(10).await;
    let elsewhere = Receiver::well().await;
    let location: &'static str = format!("location: {}\r\n", elsewhere.url()).leak();
    let receiver = Receiver::doing(move |_| Act::Answer(307, location, 0)).await;
    subscribe(&world, &receiver, "order.placed").await;
    order(&world).await;
    let publisher = publisher(&world);
    assert_eq!(publisher.publish(now()).await.unwrap(), Published { failed: 1, ..Published::default() });
    assert_eq!(elsewhere.count(), 0);
    receiver.does(|_| Act::Answer(200, "", 5_000_000));
    assert_eq!(publisher.publish(after(10)).await.unwrap(), sent(1));
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_paused_and_hears_all_when_it_is_resumed() {
    let world = World::with(10).await;
    let receiver = Receiver::doing(|_| Act::Answer(410, "", 0)).await;
    let id = subscribe(&world, &receiver, "*").await.id;
    order(&world).await;
    let publisher = publisher(&world);
    publisher.publish(now()).await.unwrap();
    order(&world).await;
    publisher.publish(after(100)).await.unwrap();
    assert_eq!(receiver.count(), 1);
    let subscriptions = subscriptions(&world);
    assert!(subscriptions.list().await.unwrap()[0].is_paused);
    receiver.does(|_| OK);
    subscriptions.resume(id).await.unwrap();
    assert_eq!(publisher.publish(after(100)).await.unwrap(), sent(4));
    assert_in_order(&world, &receiver).await;
}

#[tokio::test]
async fn a_changed_secret_and_the_one_before_it_sign_for_a_day() {
    let world = World::with(10).await;
    let receiver = Receiver::well().await;
    let Subscribed { id, secret: old } = subscribe(&world, &receiver, "order.placed").await;
    let subscriptions = subscriptions(&world);
    let new = subscriptions.change_secret(id).await.unwrap();
    let publisher = publisher(&world);
    for (hours, is_old_good) in [(0, true), (23, true), (25, false)] {
        order(&world).await;
        let at = after(hours * 3_600);
        assert_eq!(publisher.publish(at).await.unwrap(), sent(1));
        let last = receiver.received().pop().unwrap();
        assert_eq!((last.is_signed_by(&new, at), last.is_signed_by(&old, at)), (true, is_old_good), "{hours}");
    }
}

#[tokio::test]
async fn what_happened_before_can_be_replayed_also_to_one_that_has_just_subscribed() {
    let world = World::with(10).await;
    orders(&world, 2).await;
    let publisher = publisher(&world);
    assert_eq!(publisher.publish(now()).await.unwrap(), sent(0), "nobody is there");
    let receiver = Receiver::well().await;
    let id = subscribe(&world, &receiver, "*").await.id;
    let subscriptions = subscriptions(&world);
    assert_eq!(subscriptions.replay_since(id, after(60)).await.unwrap(), 0);
    for _ in 0..2 {
        assert_eq!(subscriptions.replay_since(id, after(-60)).await.unwrap(), 4);
        assert_eq!(publisher.publish(now()).await.unwrap(), sent(4));
    }
    let received = receiver.received();
    assert!(
        (0..4)
            .all(|nth| received[nth].id() == received[nth + 4].id()
                || received[nth].order() != received[nth + 4].order())
    );
    assert_eq!(received.iter().map(|received| received.id()).collect::<BTreeSet<_>>().len(), 4);
    assert_in_order(&world, &receiver).await;
}

#[tokio::test]
async fn who_unsubscribes_hears_no_more_and_nobody_unknown_can_be_ordered_about() {
    let world = World::with(10).await;
    let receiver = Receiver::well().await;
    let id = subscribe(&world, &receiver, "*").await.id;
    order(&world).await;
    let subscriptions = subscriptions(&world);
    subscriptions.pause(id).await.unwrap();
    let publisher = publisher(&world);
    assert_eq!(publisher.publish(now()).await.unwrap(), sent(0));
    subscriptions.unsubscribe(id).await.unwrap();
    order(&world).await;
    assert_eq!((publisher.publish(now()).await.unwrap(), receiver.count()), (sent(0), 0));
    assert_eq!(world.count("select count(*) from checkout.deliveries").await, 0);
    let refusals = [
        subscriptions.unsubscribe(id).await.unwrap_err(),
        subscriptions.pause(id).await.unwrap_err(),
        subscriptions.resume(id).await.unwrap_err(),
        subscriptions.change_secret(id).await.unwrap_err(),
        subscriptions.replay_dead(id).await.unwrap_err(),
        subscriptions.replay_since(id, now()).await.unwrap_err(),
        subscriptions.skip_dead(id, None).await.unwrap_err(),
    ];
    assert!(
        refusals.iter().all(|refusal| matches!(refusal, SubscriptionError::Unknown(unknown) if *unknown == id)),
        "{refusals:?}"
    );
}

#[tokio::test]
async fn events_are_forgotten_a_week_after_they_were_published_but_for_those_that_somebody_misses() {
    let world = World::with(10).await;
    let receiver =
        Receiver::doing(|received| if received.kind() == "order.paid" { Act::Answer(400, "", 0) } else { OK }).await;
    let id = subscribe(&world, &receiver, "*").await.id;
    orders(&world, 3).await;
    assert_eq!(world.clean().await.events, 0, "they were not published");
    let publisher = publisher(&world);
    for seconds in [0, 10, 100] {
        publisher.publish(after(seconds)).await.unwrap();
    }
    assert_eq!(world.clean().await.events, 0, "they are young");
    world.execute("update checkout.outbox set published_at = now() - interval '8 days'").await;
    assert_eq!((world.count(DEAD).await, world.clean().await.events), (3, 3));
    subscriptions(&world).skip_dead(id, None).await.unwrap();
    assert_eq!(world.clean().await.events, 3);
    assert_eq!(world.count("select count(*) from checkout.deliveries").await, 0);
}

/// First deliveries, order by order, against what was committed.
async fn assert_in_order(world: &World, receiver: &Receiver) {
    let committed: Vec<(Uuid, Uuid)> = sqlx::query_as("select key, event_id from checkout.outbox order by id")
        .fetch_all(&mut world.connection().await)
        .await
        .unwrap();
    let mut heard: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for received in receiver.received() {
        let events = heard.entry(received.order()).or_default();
        if !events.contains(&received.id()) {
            events.push(received.id());
        }
    }
    let mut expected: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for (order, event) in committed {
        expected.entry(order).or_default().push(event);
    }
    assert_eq!(heard, expected, "every committed event, no other, and in order");
}

/// How many rounds: `FOREBAY_CASES`.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn rounds(usual: u32) -> u32 {
    std::env::var("FOREBAY_CASES").ok().map_or(usual, |cases| cases.parse().unwrap())
}

/// `FOREBAY_CASES_SEED`, to draw the same again; who comes first is up to the machine.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn seed() -> u64 {
    std::env::var("FOREBAY_CASES_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap())
}

/// Buyers buy, publishers are dropped wherever they are, as by a kill, and the receiver fails, hangs, dies, and takes things
/// in without saying so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_made_up_or_out_of_order_wherever_a_publisher_is_cut_off() {
    let (rounds, seed) = (rounds(30), seed());
    eprintln!("FOREBAY_CASES_SEED={seed} FOREBAY_CASES={rounds}");
    let (mut moods, mut moments) = (StdRng::seed_from_u64(seed), StdRng::seed_from_u64(seed.wrapping_add(1)));
    let world = Arc::new(World::with(1_000_000).await);
    let receiver = Receiver::doing(move |_| match moods.random_range(0..10) {
        0..5 => OK,
        5 => Act::Answer(500, "", 0),
        6 => Act::Answer(422, "", 10),
        7 => Act::Hang,
        8 => Act::Die,
        _ => Act::Answer(302, "location: http://127.0.0.1:1/\r\n", 0),
    })
    .await;
    let soon = Duration::from_millis(1);
    let pauses = std::iter::repeat_n(soon, 10_000).collect();
    let forever = Rules { pauses, probe_every: soon, ..impatient() };
    subscribe(&world, &receiver, "*").await;
    for round in 0..rounds {
        let buying = tokio::spawn({
            let world = Arc::clone(&world);
            async move {
                let cart = world.cart(&[(1, 1)]).await;
                world.place(Uuid::now_v7(), &cart, ["tok_ok", "tok_decline"][round as usize % 2]).await;
            }
        });
        // Each as far as it gets, side by side, in a time of its own, so that leases of the dead have ended.
        let publishers = (0..3).map(|_| {
            let (publisher, at) = (Publisher::new(&world.state, forever.clone()), after(i64::from(round) * 30));
            let waits = moments.random_range(0..60);
            async move { dropped_after(waits, publisher.publish(at)).await }
        });
        join_all(publishers).await;
        buying.await.unwrap();
    }
    receiver.does(|_| OK);
    let publisher = Publisher::new(&world.state, forever);
    let mut at = after(i64::from(rounds) * 30);
    eventually("everything has arrived", async || {
        at += time::Duration::seconds(60);
        publisher.publish(at).await.unwrap();
        let open = "select count(*) from checkout.outbox o where published_at is null or exists \
                    (select from checkout.deliveries d where d.event = o.id and d.state <> 'delivered')";
        world.count(open).await == 0
    })
    .await;
    assert_in_order(&world, &receiver).await;
}
