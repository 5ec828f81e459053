//! What the database can do at the most: closed loops on connections without a pool, at each of several sizes.

use std::sync::Mutex;
use std::time::Duration;

use super::crowd::{Tally, watch};
use crate::book::Spread;
use crate::peer::Held as _;
use crate::plan::Span;
use crate::run::Bench;
use crate::stage::Stage;
use crate::work::Work;
use crate::{BenchError, Plan};

pub(crate) const ANSWERS: &str = "answers/s";
/// A size is as good as the best if its throughput is.
const AS_GOOD: f64 = 0.98;

/// Connections without a pool that do one kind of work.
#[derive(Clone, Copy)]
pub(crate) struct Bare<'s> {
    pub(crate) stage: &'s Stage,
    pub(crate) work: Work,
}

/// The size that suits a kind of work best, and the medians by which it was found.
#[derive(Clone, Debug)]
pub(crate) struct Best {
    pub(crate) size: u32,
    pub(crate) found: Vec<(u32, f64)>,
}

impl Bare<'_> {
    /// Answers a second of so many connections, each of a task that asks again at once.
    pub(crate) async fn answers(self, size: u32, span: Span) -> Result<f64, BenchError> {
        let mut connections = Vec::new();
        for _ in 0..size {
            let mut connection = self.stage.connect().await?;
            connection.work(self.work, 0).await?;
            connections.push(connection);
        }
        let connections = Mutex::new(connections);
        let work = |tally: Tally| {
            let mut connection = connections.lock().expect("nobody panics with it").pop().expect("one for each task");
            async move {
                let mut seed = (tally.task as u64) << 32;
                while !tally.is_over() {
                    connection.work(self.work, seed).await?;
                    tally.count();
                    seed += 1;
                }
                Ok(())
            }
        };
        Ok(watch(span, self.stage.postmaster(), size as usize, work).await?.per_second())
    }

    /// The smallest size that is as good as the best of the plan's.
    pub(crate) async fn best(self, plan: &Plan) -> Result<Best, BenchError> {
        self.best_of(&plan.static_sizes, plan.span()).await
    }

    /// The smallest size that is as good as the best of these.
    pub(crate) async fn best_of(self, sizes: &[u32], span: Span) -> Result<Best, BenchError> {
        let mut rates = vec![Vec::new(); sizes.len()];
        for _ in 0..3 {
            for (&size, rates) in sizes.iter().zip(&mut rates) {
                rates.push(self.answers(size, span).await?);
                self.stage.settle().await?;
            }
        }
        Ok(Best::of(sizes.iter().copied().zip(rates)))
    }
}

impl Best {
    pub(crate) fn of(rates: impl IntoIterator<Item = (u32, Vec<f64>)>) -> Self {
        let medians = rates.into_iter().filter_map(|(size, rates)| Some((size, Spread::of(rates)?.median)));
        let found: Vec<(u32, f64)> = medians.collect();
        let most = found.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        let size = found.iter().find(|(_, rate)| *rate >= AS_GOOD * most).map_or(1, |(size, _)| *size);
        Self { size, found }
    }

    /// For a remark.
    pub(crate) fn tried(&self) -> String {
        let tried: Vec<String> = self.found.iter().map(|(size, rate)| format!("{size}: {rate:.0}")).collect();
        tried.join(", ")
    }
}

/// What the open-loop rows ask of the database: a statement that waits for 16 ms, as for a disk, and then keeps the processor
/// busy for 4 ms.
pub(crate) struct Service {
    pub(crate) work: Work,
    pub(crate) best: Best,
}

impl Service {
    pub(crate) const SLEEP_MS: f64 = 16.0;
    pub(crate) const WORK: Duration = Duration::from_millis(4);

    /// Calibrates it, and finds the size that suits it best.
    pub(crate) async fn find(bench: &Bench<'_>) -> Result<Self, BenchError> {
        let loops = bench.stage.loops_for(Self::WORK).await?;
        let work = Work::Single(crate::Statement::Service { sleep_ms: Self::SLEEP_MS, loops });
        let best = Bare { stage: bench.stage, work }.best(bench.plan).await?;
        Ok(Self { work, best })
    }

    /// For a remark.
    pub(crate) fn described(&self) -> String {
        format!(
            "Each caller asks for one statement: {} ms of sleep, then work that takes the server's processor {} ms when nobody \
             else is there. Answers a second by static size, without a pool: {}. Best is {}, the smallest within 2 % of the \
             most.",
            Self::SLEEP_MS,
            Self::WORK.as_millis(),
            self.best.tried(),
            self.best.size,
        )
    }
}
