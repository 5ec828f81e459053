//! The whole benchmark in little: whether everything comes out, not what.

use forebay_peers::book::Report;
use forebay_peers::{Plan, Row, plot, run};

#[tokio::test(flavor = "multi_thread")]
async fn every_row_comes_out_and_the_report_survives_json() {
    let report = run(&Plan::tiny(7), |_line| {}).await.expect("Postgres runs");

    for row in Row::BENCH {
        assert!(report.book.figures.iter().any(|figure| figure.row == row), "nothing of {}", row.name());
    }
    let json = serde_json::to_value(&report).expect("it is plain data");
    let read: Report = serde_json::from_str(&json.to_string()).expect("what was written can be read");
    assert_eq!(serde_json::to_value(&read).expect("it is plain data"), json);
    assert_eq!(read.markdown(), report.markdown());
    assert!(report.markdown().contains(&report.machine.precedence.described()));

    let plots = plot::all(&report.book).expect("they can be drawn");
    let names: Vec<_> = plots.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["costs.svg", "overload.svg"]);
    assert!(plots.iter().all(|(_, svg)| svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trial_comes_out() {
    let plan = Plan { rows: Row::TRIALS.to_vec(), ..Plan::tiny(7) };
    let report = run(&plan, |_line| {}).await.expect("Postgres runs");

    for row in Row::TRIALS {
        assert!(report.book.figures.iter().any(|figure| figure.row == row), "nothing of {}", row.name());
        assert!(report.markdown().contains(row.title()));
    }
    let plots = plot::all(&report.book).expect("they can be drawn");
    let names: Vec<_> = plots.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["steady.svg", "regret.svg"]);
}
