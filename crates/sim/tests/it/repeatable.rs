use forebay_sim::contender::{self, Contender};
use forebay_sim::lab::{Case, Lab, Measure};
use forebay_sim::measure::Record;
use forebay_sim::world;

use crate::short::{secs, spike};

fn play(contender: &Contender, seed: u64) -> Record {
    world::run(&spike(3.0), &mut *contender.build(seed), seed)
}

#[test]
fn the_same_seed_gives_the_same_record_and_another_seed_another_one() {
    for contender in contender::all() {
        let first = play(&contender, 7);
        assert_eq!(format!("{first:?}"), format!("{:?}", play(&contender, 7)), "{}", contender.name);
        assert_ne!(first.bins, play(&contender, 8).bins, "{}", contender.name);
    }
}

#[test]
fn all_pools_see_the_same_requests_under_one_seed() {
    let requests =
        |contender: &Contender| -> Vec<u32> { play(contender, 3).bins.iter().map(|bin| bin.requests).collect() };
    let all = contender::all();
    let first = requests(&all[0]);
    assert!(all.iter().all(|contender| requests(contender) == first));
}

#[test]
fn numbers_are_the_same_to_the_byte_on_however_many_threads_they_are_made() {
    let lab = Lab { seeds: 2, progress: false };
    let cases: Vec<Case> = contender::ours().iter().map(|contender| Case::new(&spike(1.5), contender)).collect();
    let numbers = || {
        let goodput = Measure::new("good answers", 3, |record| record.goodput(secs(0), secs(5)));
        serde_json::to_string(&lab.measure("", &cases, &[goodput])).unwrap()
    };
    assert_eq!(numbers(), numbers());
}
