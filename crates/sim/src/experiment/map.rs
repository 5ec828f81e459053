//! E4: the map of metastability: base load by attempts per request.

use forebay_pool_core::Rules;

use super::{CAPACITY, Findings, mean, or_never, secs};
use crate::client::{Client, Population};
use crate::contender::Contender;
use crate::lab::{Case, Cell, Lab, Measure};
use crate::load::Profile;
use crate::report::{Grid, Panel, Picture, Table};
use crate::rival::Fixed;
use crate::scenario::{Change, Scenario};

const BASES: [f64; 8] = [0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50];
const ATTEMPTS: [u32; 4] = [1, 2, 3, 4];
const KINDS: [&str; 4] = ["within a second", "later", "in some runs never within 300 s", "never within 300 s"];
const ENDS: u64 = 20;
const OBSERVED: u64 = 300;
/// Eight statements at once, in shares of X*: what a pool of 20 has left after twelve leaks.
const DRAIN: f64 = 0.507;

fn scenario(base: f64, attempts: u32) -> Scenario {
    let rate = base * CAPACITY;
    let profile = Profile::steady(rate).until(secs(10)).then(2.0 * CAPACITY).until(secs(ENDS)).then(rate);
    Scenario {
        changes: vec![(secs(5), Change::Leak { holders: 12, again: None })],
        clients: Population::of(Client { attempts, ..Client::NAIVE }),
        phases: Vec::new(),
        ..Scenario::plain(profile, secs(ENDS + OBSERVED))
    }
}

fn map(lab: &Lab, contender: &Contender) -> Vec<Vec<Cell>> {
    let row = |attempts: u32| BASES.map(|base| Case::new(&scenario(base, attempts), contender));
    let cases: Vec<Case> = ATTEMPTS.iter().flat_map(|attempts| row(*attempts)).collect();
    let recovery = Measure::new("recovery, s", 0, |record| or_never(record.recovery(secs(ENDS))));
    let cells = lab.measure(&format!("e4 {}", contender.name), &cases, &[recovery]);
    let cells: Vec<Cell> = cells.into_iter().flatten().collect();
    cells.chunks(BASES.len()).map(<[Cell]>::to_vec).collect()
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "Base load (columns, in shares of X*) by attempts that a client makes (rows). Twelve of twenty connections are kept from \
         second 5 on, 2 X* from second 10 to 20."
            .to_owned(),
        "The cell is the time in s from the end of the spike to the first second in which 95 % of the new requests had a good \
         answer; never is not within 300 s."
            .to_owned(),
        format!(
            "Theory: no return where base x attempts exceeds {DRAIN}, the drain rate that eight connections have left."
        ),
    ];
    let queue = Contender::new("a queue of any length before 20 connections", |_| Fixed::unbounded(20));
    let shed = Contender::new("20 connections that shed", |_| Fixed::shedding(20, 0));
    let twenty = Rules { ceiling: 20, ..Rules::default() };
    let kept = Contender::ours("ours, ceiling 20, takes nothing back", Rules { revoke_after: None, ..twenty.clone() });
    let watched = Contender::ours("ours, ceiling 20", twenty);
    let shipped = Contender::ours("ours, defaults (ceiling 60)", Rules::default());
    let mut panels = Vec::new();
    let tables = [queue, shed, kept, watched, shipped].into_iter().map(|contender| {
        let map = map(lab, &contender);
        panels.push((contender.name.clone(), map.iter().map(|row| row.iter().map(colour).collect()).collect()));
        let columns = ["attempts".to_owned()].into_iter().chain(BASES.map(|base| format!("{base:.2}"))).collect();
        let caption = format!("{}: {}", contender.name, verdict(&map));
        let rows = ATTEMPTS.iter().map(ToString::to_string).zip(map).collect();
        Table { caption, columns, rows }
    });
    let tables = tables.collect();
    panels.truncate(4);
    (method, Findings { tables, pictures: vec![picture(panels)] })
}

/// What stands in a cell, and which of [`KINDS`] it is.
fn colour(cell: &Cell) -> (String, usize) {
    let returned: Vec<f64> = cell.values.iter().copied().filter(|value| value.is_finite()).collect();
    if returned.is_empty() {
        return ("never".to_owned(), 3);
    }
    let (all, found) = (returned.len() == cell.values.len(), mean(&returned));
    (format!("{found:.0}"), if !all { 2 } else { usize::from(found > 1.0) })
}

fn picture(panels: Vec<Panel>) -> Picture {
    let grid = Grid {
        file: "e4-map",
        title: "Seconds until nearly everybody is served again, after a spike with 12 of 20 connections lost"
            .to_owned(),
        axes: ["base load, X*", "attempts a client makes"],
        columns: BASES.map(|base| format!("{base:.2}")).into(),
        rows: ATTEMPTS.map(|attempts| attempts.to_string()).into(),
        kinds: KINDS.into(),
        panels,
    };
    grid.picture()
}

fn verdict(map: &[Vec<Cell>]) -> String {
    let cells = ATTEMPTS.iter().zip(map).flat_map(|(attempts, row)| {
        BASES.iter().zip(row).map(move |(base, cell)| (base * f64::from(*attempts) > DRAIN, cell))
    });
    let is_stuck = |cell: &Cell| cell.values.iter().filter(|value| value.is_infinite()).count() * 2 > cell.values.len();
    let (mut stuck, mut as_predicted) = (0, 0);
    for (predicted, cell) in cells {
        stuck += u32::from(is_stuck(cell));
        as_predicted += u32::from(is_stuck(cell) == predicted);
    }
    format!("{stuck} of 32 cells do not return; {as_predicted} of 32 are as the theory of a queue predicts.")
}
