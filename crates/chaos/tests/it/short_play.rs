//! A play of a few seconds, from an empty machine to an empty machine.

use std::sync::Arc;

use forebay_chaos::arm::Arm;
use forebay_chaos::clock::Clock;
use forebay_chaos::play::{Theatre, play};
use forebay_chaos::progress::Progress;
use forebay_chaos::scenario::{Kind, Load, Phase, Scenario, Window};
use forebay_chaos::schedule::{Operation, Schedule};
use forebay_chaos::stop::Stop;

use crate::program;

fn calm(seconds: f64) -> Scenario {
    let window = Window::new(0.0, seconds);
    Scenario {
        name: "calm".to_owned(),
        kind: Kind::HoldersAlone,
        clock: Clock::new(0.0, 1.0),
        phases: vec![Phase { name: "calm".to_owned(), window, load: Load::PerSecond(40.0) }],
        holders: None,
        slowdown: None,
        action: None,
        baseline: window,
        judged: window,
        retries: 3,
        marks: Vec::new(),
        only_for_real: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calm_play_affects_nobody_and_leaves_nothing_behind() {
    let theatre =
        Theatre { program: program().to_owned(), admin_port: 0, progress: Progress::quiet(), stop: Stop::never() };
    let scenario = calm(3.0);
    for arm in [Arm::Legacy, Arm::Resilient] {
        let schedule = Arc::new(Schedule::draw(&scenario, 200.0, 5));
        let summary = play(&theatre, &scenario, arm, &schedule).await.unwrap();
        assert_eq!(summary.users.affected.part, 0, "{:?}", summary.users);
        assert_eq!(summary.rejected, 0);
        assert!(summary.correctness.holds() && summary.correctness.paid > 0, "{:?}", summary.correctness);
        assert_eq!(summary.left_behind, Vec::<String>::new());
        let served = |operation| summary.latencies.iter().any(|one| one.operation == operation);
        assert!(Operation::MIX.iter().all(|(operation, _)| served(*operation)), "{:?}", summary.latencies);
    }
}
