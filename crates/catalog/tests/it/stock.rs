use std::sync::{Arc, Mutex};

use forebay_catalog::stock::{Changes, ChangesFuture, Follower, Level, Stock, Unheard};
use time::OffsetDateTime;

use crate::world::World;

/// Tells what it was given, and nothing twice.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Result<Changes, Unheard>>>);

impl Told {
    fn tell(&self, levels: &[(&str, &str)], as_of: OffsetDateTime, more: bool) {
        let level = |(sku, level): &(&str, &str)| Level { sku: (*sku).to_owned(), level: (*level).to_owned() };
        let levels = levels.iter().map(level).collect();
        self.0.lock().unwrap().push(Ok(Changes { as_of, levels, cursor: "next".to_owned(), more }));
    }
}

impl Stock for Told {
    fn changes<'a>(&'a self, cursor: Option<&'a str>) -> ChangesFuture<'a> {
        let mut told = self.0.lock().unwrap();
        let nothing =
            Changes { as_of: now(), levels: Vec::new(), cursor: cursor.unwrap_or_default().to_owned(), more: false };
        let next = if told.is_empty() { Ok(nothing) } else { told.remove(0) };
        Box::pin(async { next })
    }
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

async fn followed(products: u32) -> (World, Arc<Told>, Follower) {
    let world = World::with(products).await;
    let told = Arc::new(Told::default());
    let follower = Follower::new(world.state.clone(), Arc::<Told>::clone(&told));
    (world, told, follower)
}

/// Of thing-1, and of its SKUs.
async fn availability(world: &World) -> (String, Vec<String>) {
    let product = world.get("/v1/products/thing-1").await.body;
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let skus = product["skus"].as_array().unwrap().iter().map(|sku| text(&sku["availability"])).collect();
    (text(&product["availability"]["state"]), skus)
}

#[tokio::test]
async fn a_product_is_sold_out_with_its_last_sku_and_in_stock_with_all_of_them() {
    let (world, told, mut follower) = followed(2).await;
    let of = |product: &str, skus: [&str; 2]| (product.to_owned(), skus.map(str::to_owned).to_vec());
    for (sku, level, states) in [
        ("thing-1-M", "out_of_stock", of("low", ["out_of_stock", "in_stock"])),
        ("thing-1-S", "low", of("low", ["out_of_stock", "low"])),
        ("thing-1-S", "out_of_stock", of("out_of_stock", ["out_of_stock", "out_of_stock"])),
        ("thing-1-M", "in_stock", of("low", ["in_stock", "out_of_stock"])),
        ("thing-1-S", "in_stock", of("in_stock", ["in_stock", "in_stock"])),
    ] {
        told.tell(&[(sku, level)], now(), false);
        assert_eq!(follower.turn().await.unwrap(), 1);
        assert_eq!(availability(&world).await, states, "{sku} {level}");
    }
    assert_eq!(world.get("/v1/products/thing-2").await.body["availability"]["state"], "in_stock");
}

#[tokio::test]
async fn the_filter_goes_by_what_was_told() {
    let (world, told, mut follower) = followed(3).await;
    told.tell(&[("thing-2-S", "out_of_stock"), ("thing-2-M", "out_of_stock"), ("nobody", "low")], now(), false);
    assert_eq!(follower.turn().await.unwrap(), 2);
    let count =
        async |query: &str| world.get(&format!("/v1/products?{query}")).await.body["data"].as_array().unwrap().len();
    assert_eq!((count("in_stock=true").await, count("in_stock=false").await), (2, 1));
}

#[tokio::test]
async fn a_turn_reads_to_the_end_and_what_is_known_already_is_not_written_again() {
    let (world, told, mut follower) = followed(2).await;
    for _ in 0..2 {
        told.tell(&[("thing-1-S", "low")], now(), true);
        told.tell(&[("thing-1-M", "low"), ("thing-2-M", "in_stock")], now(), false);
    }
    assert_eq!(follower.turn().await.unwrap(), 2);
    let rows = "select string_agg(xmin::text || ctid::text, ' ' order by sku) from catalog.skus";
    let before = world.text(rows).await;
    let since = world.get("/v1/products/thing-1").await.body["availability"]["as_of"].clone();
    assert_eq!(follower.turn().await.unwrap(), 0);
    assert_eq!(world.text(rows).await, before);
    assert_eq!(world.get("/v1/products/thing-1").await.body["availability"]["as_of"], since);
}

#[tokio::test]
async fn what_is_older_than_what_is_known_changes_nothing() {
    let (world, told, mut follower) = followed(1).await;
    let early = now();
    told.tell(&[("thing-1-S", "out_of_stock"), ("thing-1-M", "out_of_stock")], now(), false);
    assert_eq!(follower.turn().await.unwrap(), 2);
    told.tell(&[("thing-1-S", "in_stock")], early, false);
    assert_eq!(follower.turn().await.unwrap(), 0);
    assert_eq!(availability(&world).await.0, "out_of_stock");
}

#[tokio::test]
async fn where_nobody_tells_what_is_known_stays_and_the_next_turn_goes_on() {
    let (world, told, mut follower) = followed(1).await;
    told.tell(&[("thing-1-S", "low")], now(), true);
    told.0.lock().unwrap().push(Err(Unheard("the line is dead".to_owned())));
    told.tell(&[("thing-1-M", "low")], now(), false);
    let error = follower.turn().await.unwrap_err().to_string();
    assert!(error.contains("the line is dead"), "{error}");
    assert_eq!(availability(&world).await.1, ["in_stock", "low"]);
    assert_eq!(follower.turn().await.unwrap(), 1);
    assert_eq!(availability(&world).await.1, ["low", "low"]);
}

#[tokio::test]
async fn two_followers_who_tell_of_different_skus_of_one_product_at_once_sum_it_up_right() {
    let (world, one, mut first) = followed(1).await;
    let other = Arc::new(Told::default());
    let mut second = Follower::new(world.state.clone(), Arc::<Told>::clone(&other));
    for round in 0..20 {
        let level = if round % 2 == 0 { "out_of_stock" } else { "in_stock" };
        one.tell(&[("thing-1-S", level)], now(), false);
        other.tell(&[("thing-1-M", level)], now(), false);
        let (first, second) = tokio::join!(first.turn(), second.turn());
        assert_eq!((first.unwrap(), second.unwrap()), (1, 1));
        assert_eq!(availability(&world).await.0, level);
    }
}
