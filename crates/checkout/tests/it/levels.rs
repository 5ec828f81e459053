use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Connection;
use uuid::Uuid;

use crate::world::World;

/// Reads on to the end of a round, as somebody would who keeps a projection.
async fn read_on(world: &World, cursor: &mut Option<String>) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for _part in 0..1_000 {
        let query = cursor.as_ref().map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
        let part = world.ask(&format!("/v1/availability/changes{query}")).await;
        assert_eq!(part.status, 200, "{part:?}");
        for level in part.body["levels"].as_array().unwrap() {
            told.insert(level["sku"].as_str().unwrap().to_owned(), level["level"].as_str().unwrap().to_owned());
        }
        *cursor = Some(part.body["cursor"].as_str().unwrap().to_owned());
        if !part.body["more"].as_bool().unwrap() {
            return told;
        }
    }
    panic!("the round has no end: {cursor:?}");
}

/// What is told of a SKU. Of others something may be told again, while any transaction of the server runs for long.
async fn told_of(world: &World, cursor: &mut Option<String>, sku: &str) -> Option<String> {
    read_on(world, cursor).await.remove(sku)
}

async fn count(world: &World) -> usize {
    world.count("select count(*) from checkout.inventory").await.try_into().unwrap()
}

/// Reads until nothing is told any more: until all those have ended that were running when it was told.
async fn read_out(world: &World, cursor: &mut Option<String>) {
    let reading = async { while !read_on(world, cursor).await.is_empty() {} };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("what was told is not told for ever");
}

#[tokio::test]
async fn the_first_reading_is_of_everything_and_the_next_of_what_has_changed_its_level() {
    let world = World::with(21).await;
    let mut cursor = None;
    let all = read_on(&world, &mut cursor).await;
    assert_eq!(all.len(), count(&world).await);
    assert!(all.values().all(|level| level == "in_stock"), "{all:?}");
    read_out(&world, &mut cursor).await;
    let buyer = Uuid::now_v7();
    // 20 are left, which is as much as before, in words.
    world.place(buyer, &world.cart(&[(7, 1)]).await, "tok_ok").await;
    assert!(read_on(&world, &mut cursor).await.is_empty());
    world.place(buyer, &world.cart(&[(7, 1), (8, 21)]).await, "tok_ok").await;
    let told = read_on(&world, &mut cursor).await;
    assert_eq!(told, BTreeMap::from([("SKU-7".into(), "low".into()), ("SKU-8".into(), "out_of_stock".into())]));
    read_out(&world, &mut cursor).await;
}

#[tokio::test]
async fn what_is_free_again_is_told_too() {
    let world = World::with(3).await;
    let mut cursor = None;
    read_on(&world, &mut cursor).await;
    let cart = world.cart(&[(5, 3)]).await;
    assert_eq!(world.place(Uuid::now_v7(), &cart, "tok_decline").await.status, 422);
    // It keeps its units until its reservation ends.
    world.sweep().await;
    let told = told_of(&world, &mut cursor, "SKU-5").await;
    assert_eq!(told.as_deref(), Some("low"), "as it is, not as it was in between");
}

#[tokio::test]
async fn a_change_that_commits_late_is_told_whoever_has_read_past_it_meanwhile() {
    let world = World::with(30).await;
    let mut cursor = None;
    read_on(&world, &mut cursor).await;
    let (mut slow, mut quick) = (world.connection().await, world.connection().await);
    let mut late = slow.begin().await.unwrap();
    sqlx::raw_sql("update checkout.inventory set on_hand = 0 where sku = 'SKU-1'").execute(&mut *late).await.unwrap();
    for (on_hand, level) in [(0, "out_of_stock"), (5, "low"), (40, "in_stock")] {
        let sold =
            "update checkout.inventory set on_hand = $1, updated_at = now() + interval '1 hour' where sku = 'SKU-2'";
        sqlx::query(sold).bind(on_hand).execute(&mut quick).await.unwrap();
        assert_eq!(told_of(&world, &mut cursor, "SKU-2").await.as_deref(), Some(level));
    }
    late.commit().await.unwrap();
    assert_eq!(told_of(&world, &mut cursor, "SKU-1").await.as_deref(), Some("out_of_stock"));
    read_out(&world, &mut cursor).await;
}

#[tokio::test]
async fn what_changes_behind_a_reader_in_the_middle_of_a_long_round_is_told_in_the_next() {
    let world = World::with(30).await;
    world.execute("insert into checkout.inventory (sku, on_hand) select 'X-' || lpad(n::text, 5, '0'), 50 from generate_series(1, 2500) n").await;
    let first = world.ask("/v1/availability/changes").await;
    assert_eq!((first.body["levels"].as_array().unwrap().len(), &first.body["more"]), (1000, &true.into()));
    let passed = first.body["levels"][0]["sku"].as_str().unwrap().to_owned();
    let gone = "update checkout.inventory set on_hand = 0 where sku = $1";
    sqlx::query(gone).bind(passed.clone()).execute(&mut world.connection().await).await.unwrap();
    let mut cursor = Some(first.body["cursor"].as_str().unwrap().to_owned());
    let rest = read_on(&world, &mut cursor).await;
    assert_eq!((rest.len() + 1_000, rest.contains_key(&passed)), (count(&world).await, false));
    assert_eq!(told_of(&world, &mut cursor, &passed).await.as_deref(), Some("out_of_stock"));
}

#[tokio::test]
async fn new_stock_is_told() {
    let world = World::with(30).await;
    let mut cursor = None;
    read_on(&world, &mut cursor).await;
    world.execute("insert into checkout.inventory (sku, on_hand) values ('NEW', 3) on conflict (sku) do update set on_hand = 3").await;
    assert_eq!(told_of(&world, &mut cursor, "NEW").await.as_deref(), Some("low"));
    world.execute("insert into checkout.inventory (sku, on_hand) values ('NEW', 9) on conflict (sku) do update set on_hand = 90").await;
    assert_eq!(told_of(&world, &mut cursor, "NEW").await.as_deref(), Some("in_stock"));
}

#[tokio::test]
async fn a_cursor_that_is_none_is_400() {
    let world = World::with(1).await;
    for cursor in ["", "x", "bnVsbA"] {
        let answer = world.ask(&format!("/v1/availability/changes?cursor={cursor}")).await;
        assert_eq!(answer.problem(), (400, "invalid-cursor"), "{cursor}");
    }
    assert_eq!(world.ask("/v1/availability/changes?since=1").await.problem(), (400, "invalid-request"));
}

#[tokio::test]
async fn how_many_are_free_is_told_exactly() {
    let world = World::with(10).await;
    world.place(Uuid::now_v7(), &world.cart(&[(2, 4)]).await, "tok_ok").await;
    let answer = world.ask("/v1/availability?sku=SKU-2,SKU-1,NOBODY").await;
    let told: Vec<_> = answer
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["sku"].as_str().unwrap(), one["available"].as_i64().unwrap()))
        .collect();
    assert_eq!((answer.status.as_u16(), told), (200, vec![("NOBODY", 0), ("SKU-1", 10), ("SKU-2", 6)]));
    assert!(answer.body[0]["as_of"].is_string());
    for wrong in ["", "?sku=", "?sku=a,,b", "?sku=a%20b", "?skus=a"] {
        assert_eq!(world.ask(&format!("/v1/availability{wrong}")).await.problem(), (400, "invalid-request"), "{wrong}");
    }
}
