//! A report is whole, keeps to its schema, and says nothing that it was not told.

use super::*;
use crate::arm::Arm;
use crate::calibration::Measured;
use crate::correctness::Correctness;
use crate::departures;
use crate::marks::Mark;
use crate::record::Recording;
use crate::scenario::Scenario;
use crate::schedule::{Needs, Schedule};
use crate::summary::Second;
use crate::verdict::incident;

/// One play of the incident in which `affected` of 100 users were affected.
fn play(arm: Arm, affected: usize) -> Summary {
    let scenario = Scenario::incident(20.0, true);
    let schedule = Schedule { journeys: Vec::new(), needs: Needs::default() };
    let mut play = Summary::of(arm, &scenario, &schedule, &Recording::default(), Correctness::default(), Vec::new());
    play.users.affected.part = affected;
    play.users.affected.total = 100;
    let legacy = arm == Arm::Legacy;
    for second in &mut play.seconds {
        let peak = scenario.peak().holds(f64::from(second.at));
        *second = Second {
            ok: if peak && !legacy { 400 } else { 60 },
            failed: if peak && legacy { 340 } else { 0 },
            accepted_p95_ms: (second.at % 7 != 0).then_some(if peak && legacy { 4_800.0 } else { 31.0 }),
            arrived: 20,
            affected: if peak { affected / 5 } else { 0 },
            in_use: 10,
            limit: if legacy { 10 } else { 34 },
            waiting: if peak && legacy { 611 } else { 0 },
            sessions: 10,
            idle_in_transaction: 7,
            active: 1,
            commit_ms: Some(2.0),
            postgres_cpu: Some(11.0),
            ..*second
        };
    }
    play
}

/// A report of both arms.
pub(crate) fn sample() -> Report {
    let plays = vec![play(Arm::Legacy, 85), play(Arm::Resilient, 0)];
    let measured = Measured { leases_per_request: 1.05, base_hold_s: 0.002 };
    Report {
        schema_version: SCHEMA_VERSION,
        version: "0.1.0".into(),
        command: "forebay-chaos replay --quick".to_owned(),
        began: "2026-01-01T00:00:00Z".to_owned(),
        seed: 1,
        host: Host { cores: 2, processor: "any".to_owned(), memory_mib: 8_192, kernel: "6.1".to_owned() },
        commit: Some("1234567".to_owned()),
        method: METHOD.map(Cow::Borrowed).to_vec(),
        departures: departures::all(),
        calibration: Calibration {
            measured,
            capacity: 203.0,
            check_errors_percent: 0.0,
            check_offered: 170.0,
            check_served: 170.0,
        },
        verdict: incident::judge(&plays),
        postmortem: crate::postmortem::sentences(&plays),
        plays,
    }
}

/// What a person or a server could have said, if they meant harm.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&]]>--|";

/// A report in which every text that comes from outside is that.
pub(crate) fn hostile() -> Report {
    let mut report = sample();
    let text = || HOSTILE.to_owned();
    (report.command, report.began, report.commit) = (text(), text(), Some(text()));
    (report.host.processor, report.host.kernel) = (text(), text());
    report.version = Cow::Owned(text());
    report.method.push(Cow::Owned(text()));
    report.verdict.reasons = vec![text(), text()];
    for row in &mut report.verdict.rows {
        row.cells.fill(text());
        (row.what, row.required) = (text(), text());
    }
    for play in &mut report.plays {
        play.marks.push(Mark { clock: "2:45".to_owned(), says: Cow::Owned(text()), evidence: text(), held: false });
        play.marks.push(Mark { clock: text(), says: Cow::Owned(text()), evidence: text(), held: true });
        play.marks.push(Mark { clock: String::new(), says: Cow::Owned(text()), evidence: text(), held: true });
        play.scenario.name = text();
        for phase in &mut play.scenario.phases {
            phase.name = text();
        }
    }
    for sentence in &mut report.postmortem {
        sentence.evidence = text();
    }
    for departure in &mut report.departures {
        *departure = Departure { setting: text(), shipped: text(), played: text(), why: text() };
    }
    report
}

#[test]
fn a_report_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let report = sample();
    let files = report.write(&folder.path().join("new/folder")).unwrap();
    let [json, text, page] = files.each_ref().map(|file| fs::read_to_string(file).unwrap());
    let read = Report::read(&files[0]).unwrap();
    assert_eq!(serde_json::to_string_pretty(&read).unwrap(), json);
    assert_eq!((markdown::page(&read), html::page(&read).unwrap()), (text, page));
    assert_eq!(Report::read(files[0].parent().unwrap()).unwrap().seed, report.seed, "its folder will do");
}

#[test]
fn a_file_that_is_no_report_is_told_from_one_of_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let said = || Report::read(&file).unwrap_err().to_string();
    assert!(said().contains("cannot be read"), "{}", said());
    for (text, expected) in [
        ("", "is no report of a replay: EOF"),
        ("[1, 2", "is no report of a replay"),
        (r#"{"schema_version": 1, "plays": []}"#, "a report of version 1, and this program reads version 2"),
        (r#"{"schema_version": 2}"#, "is no report of a replay: missing field"),
    ] {
        fs::write(&file, text).unwrap();
        assert!(said().contains(expected), "{text}: {}", said());
    }
    let half = serde_json::to_string(&sample()).unwrap();
    fs::write(&file, &half[..half.len() / 2]).unwrap();
    assert!(said().contains("is no report of a replay: EOF"), "{}", said());
}

#[test]
fn a_folder_that_cannot_be_is_told_before_the_run_and_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "somebody's").unwrap();
    let below = file.join("report");
    for said in [try_folder(&below).unwrap_err(), sample().write(&below).unwrap_err()].map(|error| error.to_string()) {
        assert!(said.contains("cannot be written to") && said.contains("--out"), "{said}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's");
}

#[test]
fn trying_a_folder_leaves_nothing_in_it() {
    let folder = tempfile::tempdir().unwrap();
    try_folder(folder.path()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_published_schema_is_that_of_the_report() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/report.schema.json");
    let same = fs::read_to_string(published).unwrap() == Report::schema();
    assert!(same, "write it anew (forebay-chaos report --schema), and see whether SCHEMA_VERSION must change");
}

#[test]
fn reports_keep_to_the_published_schema_and_others_do_not() {
    let schema = serde_json::from_str(&Report::schema()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for report in [sample(), hostile()] {
        let report = serde_json::to_value(report).unwrap();
        let faults: Vec<String> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
        assert_eq!(faults, Vec::<String>::new());
    }
    let mut report = serde_json::to_value(sample()).unwrap();
    report["schema_version"] = 3.into();
    assert!(!schema.is_valid(&report));
    report["schema_version"] = SCHEMA_VERSION.into();
    report["plays"][0]["seconds"][0]["waiting"] = "many".into();
    assert!(!schema.is_valid(&report));
}
