//! A play of a few seconds, from an empty machine to an empty machine.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use forebay_chaos::arm::Arm;
use forebay_chaos::calibration::{Calibration, Measured};
use forebay_chaos::clock::Clock;
use forebay_chaos::departures;
use forebay_chaos::host::Host;
use forebay_chaos::play::{Theatre, play};
use forebay_chaos::progress::Progress;
use forebay_chaos::report::{METHOD, Report, SCHEMA_VERSION};
use forebay_chaos::scenario::{Kind, Load, Phase, Scenario, Window};
use forebay_chaos::schedule::{Operation, Schedule};
use forebay_chaos::source;
use forebay_chaos::stop::Stop;
use forebay_chaos::summary::Summary;
use forebay_chaos::verdict::controls;

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
    let mut plays = Vec::new();
    for arm in [Arm::Legacy, Arm::Resilient] {
        let schedule = Arc::new(Schedule::draw(&scenario, 200.0, 5));
        let summary = play(&theatre, &scenario, arm, &schedule).await.unwrap();
        assert_eq!(summary.users.affected.part, 0, "{:?}", summary.users);
        assert_eq!(summary.rejected, 0);
        assert!(summary.correctness.holds() && summary.correctness.paid > 0, "{:?}", summary.correctness);
        assert_eq!(summary.left_behind, Vec::<String>::new());
        let served = |operation| summary.latencies.iter().any(|one| one.operation == operation);
        assert!(Operation::MIX.iter().all(|(operation, _)| served(*operation)), "{:?}", summary.latencies);
        plays.push(summary);
    }
    keeps_to_the_published_schema(&report_of(plays));
}

fn report_of(plays: Vec<Summary>) -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        version: "0.1.0".into(),
        command: "a test".to_owned(),
        began: plays[0].began.clone().unwrap(),
        seed: 5,
        host: Host::here(),
        commit: source::commit(),
        method: METHOD.map(Cow::Borrowed).to_vec(),
        departures: departures::all(),
        calibration: Calibration {
            measured: Measured { leases_per_request: 1.0, base_hold_s: 0.002 },
            capacity: 200.0,
            check_errors_percent: 0.0,
            check_offered: 170.0,
            check_served: 170.0,
        },
        verdict: controls::judge(&plays),
        postmortem: Vec::new(),
        plays,
    }
}

fn keeps_to_the_published_schema(report: &Report) {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/report.schema.json");
    let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(published).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [json, _, page] = report.write(folder.path()).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let faults: Vec<String> = schema.iter_errors(&written).map(|fault| fault.to_string()).collect();
    assert_eq!(faults, Vec::<String>::new());
    let seconds = &report.plays[0].seconds;
    assert!(seconds.iter().any(|second| second.accepted_p95_ms.is_some() && second.commit_ms.is_some()), "{seconds:?}");
    assert!(
        seconds.iter().map(|second| second.arrived).sum::<usize>() > 0
            && seconds.iter().all(|second| second.affected == 0)
    );
    assert!(std::fs::metadata(page).unwrap().len() < 1_000_000);
}
