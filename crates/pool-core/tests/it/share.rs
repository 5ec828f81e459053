//! Members that share a server never open more connections than it has, and end up with what is fair.

use forebay_pool_core::share::Published;

use crate::cases::Draw;

mod world;

use world::{Broken, World};

/// How many worlds a property is tried on, or the number that the environment says.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn cases(usual: u64) -> u64 {
    std::env::var("FOREBAY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

/// A few members to whom everything happens for a minute, and then nothing.
fn small_world(seed: u64, broken: Broken) -> World {
    let mut draw = Draw(seed);
    let room = draw.small(10, 90);
    let mut world = World::new(seed.wrapping_mul(7_919), room, broken);
    for _ in 0..draw.small(2, 12) {
        start(&mut world, &mut draw);
    }
    for _ in 0..draw.small(30, 90) {
        something(&mut world, &mut draw);
        let time = draw.small(1, 1_500);
        world.run(time.into());
    }
    world
}

fn start(world: &mut World, draw: &mut Draw) {
    let floor = draw.small(0, 4);
    let most = floor + draw.small(1, 60);
    world.start(floor, most, draw.small(0, 80));
}

fn something(world: &mut World, draw: &mut Draw) {
    let alive = world.alive();
    if alive.is_empty() {
        return start(world, draw);
    }
    let who = alive[draw.pick() % alive.len()];
    let long = u64::from(draw.small(1, 8_000));
    match draw.small(0, 24) {
        0..3 => start(world, draw),
        3 | 4 if alive.len() > 1 => world.kill(who),
        5..8 => world.stop(who, long),
        8..10 => world.cut(who, long),
        10 | 11 => world.lose_claim(who),
        12 => world.restart(),
        _ => world.need(who, draw.small(0, 80)),
    }
}

/// What each gets when connections are dealt one by one to whoever has fewest and wants more, the floors first.
fn dealt(room: u32, said: &[Published]) -> Vec<u32> {
    let mut has = vec![0; said.len()];
    for bound in [|said: &Published| said.floor, |said: &Published| said.wants.max(said.floor)] {
        while has.iter().sum::<u32>() < room {
            let poorest = (0..said.len()).filter(|at| has[*at] < bound(&said[*at])).min_by_key(|at| has[*at]);
            let Some(poorest) = poorest else { break };
            has[poorest] += 1;
        }
    }
    has
}

fn assert_fair(world: &World, case: &str) {
    let published = world.published();
    let said: Vec<Published> = published.iter().map(|(_, said)| *said).collect();
    assert!(said.iter().map(|said| said.holds).sum::<u32>() <= world.room, "{case}");
    for ((who, said), due) in published.iter().zip(dealt(world.room, &said)) {
        // What does not divide evenly stays where it was.
        assert!(said.holds + 1 >= due, "{case}: {who} holds {}, and {due} is its part", said.holds);
        assert!(world.open(*who) <= said.holds, "{case}");
    }
}

#[test]
fn no_more_is_opened_than_there_is_room_whatever_happens() {
    for seed in 0..cases(400) {
        let world = small_world(seed, Broken::Nothing);
        assert_eq!(world.refused, 0, "seed {seed}: room {}", world.room);
    }
}

#[test]
fn once_it_is_quiet_each_has_its_part_within_a_few_looks() {
    for seed in 0..cases(400) {
        let mut world = small_world(seed, Broken::Nothing);
        world.quiet = true;
        world.run(30_000);
        assert_eq!(world.refused, 0, "seed {seed}");
        assert_eq!(world.published().len(), world.alive().len(), "seed {seed}");
        assert_fair(&world, &format!("seed {seed}, room {}", world.room));
    }
}

#[test]
fn each_rule_is_needed() {
    let rules = [
        Broken::GrowsUnpublished,
        Broken::GrowsWithoutASecondLook,
        Broken::PublishesLessBeforeItCloses,
        Broken::OpensUnconfirmed,
        Broken::ForgetsWhatItJustClosed,
        Broken::BelievesLateConfirmations,
        Broken::ForgetsAtOnceWhoIsGone,
    ];
    for broken in rules {
        let caught = (0..4_000).find(|seed| small_world(*seed, broken).refused > 0);
        eprintln!("{broken:?}: seed {caught:?}");
        assert!(caught.is_some(), "{broken:?} does no harm");
    }
}

#[test]
fn a_thousand_members_stay_within_the_room_and_share_it() {
    let mut draw = Draw(1);
    let mut world = World::new(1, 5_000, Broken::Nothing);
    for member in 0..1_000 {
        start(&mut world, &mut draw);
        if member % 100 == 99 {
            world.run(300);
        }
    }
    for _ in 0..200 {
        something(&mut world, &mut draw);
        world.run(100);
    }
    world.quiet = true;
    world.run(30_000);
    assert_eq!(world.refused, 0);
    assert!(world.most_open > 4_000, "{}", world.most_open);
    assert_fair(&world, "a thousand");
}
