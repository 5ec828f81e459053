//! E1: what the database does with so many connections, for each kind of work. Closed loops without a pool.

use std::time::Duration;

use rand::seq::SliceRandom as _;

use super::capacity::{ANSWERS, Bare, Best};
use crate::book::Measured;
use crate::run::Bench;
use crate::work::{Statement, Work};
use crate::{BenchError, Row};

/// A kind of work, the name under which it is reported, and the size that suits it best.
#[derive(Clone, Debug)]
pub(crate) struct Swept {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    pub(crate) best: Best,
}

/// What is done while the hot row is locked, and by a statement that only works.
const UNDER_LOCK: Duration = Duration::from_millis(1);
const BURNT: Duration = Duration::from_millis(2);

pub(crate) fn connections(size: u32) -> String {
    match size {
        1 => "1 connection".to_owned(),
        size => format!("{size} connections"),
    }
}

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    sweep(bench).await.map(drop)
}

/// Sweeps once in a run.
pub(crate) async fn sweep(bench: &mut Bench<'_>) -> Result<Vec<Swept>, BenchError> {
    if bench.swept.is_empty() {
        bench.swept = swept(bench).await?;
    }
    Ok(bench.swept.clone())
}

async fn kinds(bench: &Bench<'_>) -> Result<[(&'static str, Work); 7], BenchError> {
    let loops = bench.stage.loops_for(UNDER_LOCK).await?;
    let burnt = bench.stage.loops_for(BURNT).await?;
    Ok([
        ("point read", Work::Read),
        ("update in five statements", Work::Update),
        ("hot row", Work::HotRow { loops }),
        ("think time", Work::Think),
        ("aggregate", Work::Scan),
        ("mixed", Work::Mixed),
        ("processor", Work::Single(Statement::Burn(burnt))),
    ])
}

async fn swept(bench: &mut Bench<'_>) -> Result<Vec<Swept>, BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    bench.book.remark(Row::Steady, METHOD);
    let mut all = Vec::new();
    for (name, work) in kinds(bench).await? {
        bench.say(&format!("e1: {name}"));
        let mut rates: Vec<(u32, Vec<f64>)> = plan.static_sizes.iter().map(|&size| (size, Vec::new())).collect();
        for round in 0..plan.rounds {
            let mut order: Vec<usize> = (0..rates.len()).collect();
            order.shuffle(&mut bench.dice);
            for at in order {
                let (size, rates) = &mut rates[at];
                let rate = Bare { stage, work }.answers(*size, plan.span()).await?;
                rates.push(rate);
                bench.book.enter(Row::Steady, name, &connections(*size), round, Measured::of([(ANSWERS, rate)]));
                stage.settle().await?;
            }
        }
        let best = Best::of(rates);
        bench.book.remark(Row::Steady, format!("{name}: best is {}.", connections(best.size)));
        all.push(Swept { name, work, best });
    }
    Ok(all)
}

const METHOD: &str = "Point read: one row of 100,000 by its key. Update: pgbench's transaction over 10 branches, without fsync. Hot \
    row: a transaction that adds to the one row that everybody wants, then works for 1 ms. Think time: a transaction whose \
    application waits 5 ms between its two reads. Aggregate: the sum over 1,000 rows. Mixed: seven reads to two updates and one \
    aggregate. Processor: 2 ms of work. The best size is the smallest within 2 % of the most.";
