//! Beside reads some requests change one hot row: would these need a limit of their own?

use std::time::Duration;

use forebay_pool_core::{Class, Knee, Rules};

use super::{CAPACITY, Findings, secs, table};
use crate::chance::Length;
use crate::client::{Client, Population};
use crate::contender::Contender;
use crate::fleet::Fleet;
use crate::lab::{Case, Lab, Measure};
use crate::load::Profile;
use crate::measure::Record;
use crate::ours::Ours;
use crate::pool::Pool;
use crate::report::Bars;
use crate::rival::Fixed;
use crate::scenario::{Kind, Scenario, Step};

const END: u64 = 40;
/// Which parts of the requests are for the hot row.
const HOT: [f64; 3] = [0.1, 0.3, 0.6];

/// Three times X* altogether, of which so much is for the hot row.
fn scenario(hot: f64) -> Scenario {
    let ms = |ms: f64| Length::varying(Duration::from_secs_f64(ms / 1_000.0), 1.0);
    let kind = |weight, steps: &[Step]| Kind {
        class: Class::Normal,
        weight,
        slo: Duration::from_millis(250),
        steps: steps.to_vec(),
    };
    Scenario {
        kinds: vec![
            kind(1.0 - hot, &[Step::Statement(ms(10.0))]),
            kind(hot, &[Step::Statement(ms(4.0)), Step::HotRow(ms(1.5))]),
        ],
        clients: Population::of(Client { attempts: 1, ..Client::NAIVE }),
        ..Scenario::plain(Profile::steady(3.0 * CAPACITY), secs(END))
    }
}

/// One pool for reads, one for the rest.
fn two<P: Pool + 'static>(reads: P, hot: P) -> Fleet {
    Fleet::new().sorted().with(Box::new(reads), Duration::ZERO, 1.0).with(Box::new(hot), Duration::ZERO, 1.0)
}

fn ours(ceiling: u32, seed: u64) -> Ours {
    Ours::new(Rules { ceiling, ..Rules::default() }, Box::new(Knee::default()), seed)
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn answers(record: &Record, kind: usize) -> f64 {
    record.good.get(kind).map_or(0.0, |good| *good as f64 / secs(END).as_secs_f64())
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        format!(
            "3 X* for {END} s without retries; answers within 250 ms. Most requests read, the rest also change one hot row."
        ),
        "Sorted: one pool for reads and one for the rest, on the same database.".to_owned(),
    ];
    let shed = |size| Contender::new(format!("shed at {size}"), move |_| Fixed::shedding(size, 0));
    let both = |reads, hot| {
        Contender::new(format!("sorted: shed at {reads} and {hot}"), move |_| {
            two(Fixed::shedding(reads, 0), Fixed::shedding(hot, 0))
        })
    };
    let mut who = vec![
        Contender::ours("ours, ceiling 160", Rules { ceiling: 160, ..Rules::default() }),
        Contender::new("sorted: ours, ceiling 80 each", |seed| two(ours(80, 2 * seed), ours(80, 2 * seed + 1))),
    ];
    who.extend([12, 20, 35, 50, 70].map(shed));
    who.extend([(20, 2), (20, 4), (20, 8), (35, 2), (35, 4), (35, 8)].map(|(reads, hot)| both(reads, hot)));
    let columns = [
        Measure::new("answers a second", 0, |record| answers(record, 0) + answers(record, 1)),
        Measure::new("reads", 0, |record| answers(record, 0)),
        Measure::new("hot row", 0, |record| answers(record, 1)),
    ];
    let tables = HOT.map(|hot| {
        let scenario = scenario(hot);
        let cases: Vec<Case> = who.iter().map(|contender| Case::new(&scenario, contender)).collect();
        let share = 100.0 * hot;
        table(lab, &format!("groups {share:.0} %"), &format!("{share:.0} % for the hot row:"), &cases, &columns)
    });
    let bars = |file, title: &str, column| {
        let bars = Bars::new(file, title, "good answers a second");
        let all = HOT.iter().zip(&tables);
        all.fold(bars, |bars, (hot, table)| bars.with(format!("{:.0} % want it", 100.0 * hot), table.column(column)))
    };
    let pictures = vec![
        bars("groups", "All good answers at 3 X*, where a part of the requests want one hot row", "answers a second")
            .picture(),
        bars("groups-hot", "Changes of the hot row in time, at 3 X*", "hot row").picture(),
    ];
    (method, Findings { tables: tables.into(), pictures })
}
