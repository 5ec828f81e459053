//! E5: what each contender loses against the best size, which nobody knows beforehand.

use std::time::Duration;

use forebay_pool_core::Rules;

use super::steady::{Workload, best, sweep, workloads};
use super::{Findings, secs};
use crate::client::{Client, Population};
use crate::contender::{self, Contender};
use crate::lab::{Case, Cell, Lab, Measure};
use crate::load::{Burstiness, Profile};
use crate::report::{Bars, Table};
use crate::rival::Fixed;
use crate::scenario::{Load, Scenario};

const FROM: Duration = secs(20);
const TO: Duration = secs(40);

fn scenario(workload: &Workload, most: f64) -> Scenario {
    let load = Load::Open { profile: Profile::steady(3.0 * most), burstiness: Burstiness::Poisson };
    let clients = Population::of(Client { attempts: 1, ..Client::NAIVE });
    Scenario { clients, ..workload.in_scenario(load, TO) }
}

/// Who is compared: each limiter by default and tuned, ours, and sizes that people choose.
fn contenders() -> Vec<Contender> {
    let mut all = vec![
        Contender::ours("ours, defaults (ceiling 60)", Rules::default()),
        Contender::ours("ours, ceiling 160", Rules { ceiling: 160, ..Rules::default() }),
    ];
    let shed = |size: u32| Contender::new(format!("shed at {size}"), move |_| Fixed::shedding(size, 0));
    all.extend([10, 20, 35, 100].map(shed));
    all.extend(contender::limiters());
    all
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "Three times what the best static size of E1 does, without retries, for 40 s; answers within a second from second 20 on."
            .to_owned(),
        "A cell is the loss against the best static size that sheds under the same load, in percent; negative is better than it."
            .to_owned(),
    ];
    let who = contenders();
    let workloads = workloads();
    let mut rows: Vec<(String, Vec<Cell>)> = who.iter().map(|one| (one.name.clone(), Vec::new())).collect();
    for workload in &workloads {
        let (size, most) = best(&sweep(lab, workload));
        let scenario = scenario(workload, most);
        let mut cases = vec![Case::new(&scenario, &Contender::new("best", move |_| Fixed::shedding(size, 0)))];
        cases.extend(who.iter().map(|contender| Case::new(&scenario, contender)));
        let answers = Measure::new("", 0, |record| record.goodput(FROM, TO));
        let mut found = lab.measure(&format!("e5 {}", workload.name), &cases, &[answers]).into_iter().flatten();
        let Some(reference) = found.next() else { continue };
        for ((_, cells), cell) in rows.iter_mut().zip(found) {
            cells.push(loss(&reference, &cell));
        }
    }
    let mut columns = vec![String::new()];
    columns.extend(workloads.iter().map(|workload| workload.name.to_owned()));
    columns.extend(["mean".to_owned(), "worst".to_owned()]);
    for (_, cells) in &mut rows {
        let (mean, worst) =
            (Cell::of(over(cells, |all| all.iter().sum::<f64>() / 7.0), 1), Cell::of(over(cells, most_of), 1));
        cells.extend([mean, worst]);
    }
    let caption = "Loss against the best static size, %:".to_owned();
    let table = Table { caption, columns, rows };
    let bars = Bars::new("e5-regret", "Loss against the best static size, over seven kinds of work at 3 X*", "% lost")
        .with("mean of the seven", table.column("mean"))
        .with("worst of the seven", table.column("worst"));
    (method, Findings { tables: vec![table], pictures: vec![bars.picture()] })
}

/// Seed by seed, since both saw the same requests.
fn loss(reference: &Cell, cell: &Cell) -> Cell {
    let pairs = reference.values.iter().zip(&cell.values);
    Cell::of(pairs.map(|(best, found)| 100.0 * (1.0 - found / best)).collect(), 1)
}

fn over(cells: &[Cell], of: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let seeds = cells.first().map_or(0, |cell| cell.values.len());
    (0..seeds).map(|seed| of(&cells.iter().map(|cell| cell.values[seed]).collect::<Vec<_>>())).collect()
}

fn most_of(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::MIN, f64::max)
}
