//! Tasks that each do the same in a loop, counted from outside while they run.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::BenchError;
use crate::machine::Processor;
use crate::plan::Span;

/// How one task counts, and hears that it is over.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Which of them it is.
    pub(crate) task: usize,
    counts: Arc<[AtomicU64]>,
    refusals: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Tally {
    pub(crate) fn count(&self) {
        self.counts[self.task].fetch_add(1, Ordering::Relaxed);
    }

    /// It was refused, lets the others go on, and asks again.
    pub(crate) async fn refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// What was seen within the window.
#[derive(Debug)]
pub(crate) struct Counted {
    per_task: Vec<u64>,
    refusals: u64,
    time: Duration,
    processor: Option<(f64, f64)>,
}

impl Counted {
    pub(crate) fn total(&self) -> f64 {
        self.per_task.iter().sum::<u64>() as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.total() / self.time.as_secs_f64()
    }

    /// Nanoseconds for each, over all tasks.
    pub(crate) fn nanos(&self) -> f64 {
        1e9 / self.per_second()
    }

    /// The most that a task got over the least. One that got nothing counts as one: see [`Counted::starved`].
    pub(crate) fn unfairness(&self) -> f64 {
        let most = self.per_task.iter().max().copied().unwrap_or(0);
        let least = self.per_task.iter().min().copied().unwrap_or(0);
        most as f64 / least.max(1) as f64
    }

    /// Tasks that got nothing at all.
    pub(crate) fn starved(&self) -> f64 {
        self.per_task.iter().filter(|count| **count == 0).count() as f64
    }

    /// Of all times that somebody asked, in percent, those that ended in a refusal.
    pub(crate) fn refused(&self) -> f64 {
        100.0 * self.refusals as f64 / (self.total() + self.refusals as f64)
    }

    /// Microseconds of processor time for each, of client and server.
    pub(crate) fn processor(&self) -> Option<(f64, f64)> {
        self.processor.map(|(client, server)| (client / self.total(), server / self.total()))
    }
}

/// Lets so many tasks work, and counts them over the span's window, after its warm-up.
pub(crate) async fn watch<W>(
    span: Span,
    postmaster: u32,
    tasks: usize,
    work: impl Fn(Tally) -> W,
) -> Result<Counted, BenchError>
where
    W: Future<Output = Result<(), BenchError>> + Send + 'static,
{
    let counts: Arc<[AtomicU64]> = (0..tasks).map(|_| AtomicU64::new(0)).collect();
    let (refusals, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let mut crowd = JoinSet::new();
    for task in 0..tasks {
        let (counts, refusals, over) = (Arc::clone(&counts), Arc::clone(&refusals), Arc::clone(&over));
        crowd.spawn(work(Tally { task, counts, refusals, over }));
    }
    let read = || counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    tokio::time::sleep(span.warm_up).await;
    let (began, before, processor) = (Instant::now(), read(), Processor::now(postmaster));
    let refused_before = refusals.load(Ordering::Relaxed);
    tokio::time::sleep(span.window).await;
    let (time, after) = (began.elapsed(), read());
    let refusals = refusals.load(Ordering::Relaxed) - refused_before;
    let processor = processor.zip(Processor::now(postmaster)).map(|(before, after)| after.since(before));
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = crowd.join_next().await {
        ended.map_err(BenchError::turn)??;
    }
    let per_task: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    if per_task.iter().sum::<u64>() == 0 {
        return Err(BenchError::turn("nobody got anything"));
    }
    Ok(Counted { per_task, refusals, time, processor })
}
