//! E1: throughput by size, for seven workloads.

use std::time::Duration;

use forebay_pool_core::Class;

use super::{Findings, secs};
use crate::chance::Length;
use crate::contender::Contender;
use crate::database::{Contention, Machine};
use crate::lab::{Case, Cell, Lab, Measure};
use crate::load::Profile;
use crate::report::{Chart, Scale, Table};
use crate::rival::Fixed;
use crate::scenario::{Kind, Load, Scenario, Step};

/// What a service does with its database.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    steps: Vec<Step>,
    contention: Contention,
}

impl Workload {
    fn of(name: &'static str, queueing: f64, crosstalk: f64, steps: &[Step]) -> Self {
        Self { name, steps: steps.to_vec(), contention: Contention { queueing, crosstalk } }
    }

    /// This workload in a scenario without classes.
    pub(super) fn in_scenario(&self, load: Load, end: Duration) -> Scenario {
        let machine = Machine { contention: self.contention, ..Machine::default() };
        let kind = Kind { class: Class::Normal, weight: 1.0, slo: Duration::from_secs(1), steps: self.steps.clone() };
        Scenario { load, kinds: vec![kind], machine, ..Scenario::plain(Profile::steady(0.0), end) }
    }
}

/// Seven kinds of service, whose best sizes lie far apart.
pub(super) fn workloads() -> Vec<Workload> {
    let ms = |ms: f64, cv: f64| Length::varying(Duration::from_secs_f64(ms / 1_000.0), cv);
    let (light, spread) = ((0.02, 0.0008), 1.0);
    vec![
        Workload::of("CPU-bound", light.0, light.1, &[Step::Statement(ms(10.0, spread))]),
        Workload::of("heavy tail", light.0, light.1, &[Step::Statement(ms(10.0, 3.0))]),
        Workload::of("hot row", light.0, light.1, &[Step::Statement(ms(4.0, spread)), Step::HotRow(ms(1.5, spread))]),
        Workload::of("IO-bound", 0.001, 0.000_02, &[Step::Statement(ms(10.0, spread))]),
        Workload::of(
            "think in transaction",
            light.0,
            light.1,
            &[Step::Statement(ms(2.0, spread)), Step::Think(ms(5.0, spread)), Step::Statement(ms(2.0, spread))],
        ),
        Workload::of("retrograde", 0.05, 0.006, &[Step::Statement(ms(10.0, spread))]),
        Workload::of("tiny statements", 0.03, 0.002, &[Step::Statement(ms(1.0, spread))]),
    ]
}

/// The sizes that are tried.
pub(super) const SIZES: [u32; 14] = [1, 2, 4, 6, 8, 10, 12, 16, 24, 35, 50, 70, 100, 140];

/// Answers a second by size, for one workload.
pub(super) fn sweep(lab: &Lab, workload: &Workload) -> Vec<Cell> {
    let (from, to) = (secs(2), secs(12));
    let case = |size: &u32| {
        let scenario = workload.in_scenario(Load::Closed { users: *size }, to);
        let size = *size;
        Case::new(&scenario, &Contender::new("", move |_| Fixed::unbounded(size)))
    };
    let cases: Vec<Case> = SIZES.iter().map(case).collect();
    let measure = Measure::new("answers a second", 0, |record| record.goodput(from, to));
    let found = lab.measure(&format!("e1 {}", workload.name), &cases, &[measure]);
    found.into_iter().filter_map(|cells| cells.into_iter().next()).collect()
}

/// The best size in a sweep, and what it does.
pub(super) fn best(sweep: &[Cell]) -> (u32, f64) {
    let all = SIZES.iter().copied().zip(sweep.iter().map(Cell::mean));
    all.fold((0, 0.0), |best, found| if found.1 > best.1 { found } else { best })
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "As many users as connections, each of whom sends the next request when the last one is answered: nobody waits \
         for a connection."
            .to_owned(),
        "Answers within a second, from second 2 to 12.".to_owned(),
    ];
    let workloads = workloads();
    let sweeps: Vec<Vec<Cell>> = workloads.iter().map(|workload| sweep(lab, workload)).collect();
    let head =
        |first: &str| [first.to_owned()].into_iter().chain(workloads.iter().map(|one| one.name.to_owned())).collect();
    let rows = SIZES
        .iter()
        .enumerate()
        .map(|(at, size)| (size.to_string(), sweeps.iter().map(|sweep| sweep[at].clone()).collect()));
    let mut rows: Vec<_> = rows.collect();
    let bests = sweeps.iter().map(|sweep| Cell::text(best(sweep).0.to_string())).collect();
    rows.push(("best".to_owned(), bests));
    let by_size = Table { caption: "Answers a second by size:".to_owned(), columns: head("size"), rows };
    let rules = rules(&sweeps);
    let rules = Table {
        caption: "What one size for all costs, in percent of the best:".to_owned(),
        columns: head("size"),
        rows: rules,
    };
    let lines = workloads.iter().zip(&sweeps).map(|(workload, sweep)| {
        let most = best(sweep).1;
        let points =
            SIZES.iter().zip(sweep).map(|(size, cell)| (f64::from(*size), 100.0 * cell.mean() / most)).collect();
        (workload.name.to_owned(), points)
    });
    let chart = Chart {
        file: "e1-steady",
        title: "Throughput by size, in percent of the best".to_owned(),
        axes: ["connections (logarithmic)", "% of the best size's answers a second"],
        scale: Scale::Log,
        lines: lines.collect(),
    };
    (method, Findings { tables: vec![by_size, rules], pictures: vec![chart.picture()] })
}

fn rules(sweeps: &[Vec<Cell>]) -> Vec<(String, Vec<Cell>)> {
    let loss =
        |sweep: &Vec<Cell>, at: usize| Cell::text(format!("{:.0}", 100.0 * (1.0 - sweep[at].mean() / best(sweep).1)));
    let row = |(at, size): (usize, &u32)| (size.to_string(), sweeps.iter().map(|sweep| loss(sweep, at)).collect());
    SIZES.iter().enumerate().filter(|(_, size)| [4, 8, 10, 35, 100].contains(*size)).map(row).collect()
}
