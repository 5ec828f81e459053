//! E5: what one configuration loses against the best static size of each kind of work. Closed loops of more callers than any
//! size; whoever is refused comes back after about 10 ms.

use std::time::Duration;

use super::PATIENT;
use super::capacity::ANSWERS;
use super::crowd::{Tally, watch};
use super::steady::{Swept, sweep};
use crate::book::Measured;
use crate::plan::Span;
use crate::pools::{Deadpool, Forebay, Stock, fill, names};
use crate::run::{Bench, Turn};
use crate::stage::Stage;
use crate::work::scattered;
use crate::{BenchError, Held, Peer, Plan, Refused, Row};

pub(crate) const LOSS: &str = "loss against the best size, %";
pub(crate) const BOUND: &str = "mean loss, upper 95 % bound, %";
const LIMIT: &str = "limit at the end";
const REFUSED: &str = "refused, %";
const CALLERS: usize = 128;
/// How many seconds ours has to find its size.
const SETTLE: f64 = 10.0;
/// A ceiling above the largest size that is swept, with its reserve.
const ROOMY: u32 = 80;
/// The size that sqlx and bb8 come with.
const USUAL: u32 = 10;

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    bench.book.remark(
        Row::Regret,
        format!(
            "{CALLERS} callers in closed loops; who is refused comes back after 5 to 15 ms. deadpool, best size is what ours is held \
             against, round by round; ours runs {:.0} s before it is counted, to find its size, the others {:.1} s. Of the default \
             ceiling of 60, 53 are for these callers; with {ROOMY} there is room above the best size of all.",
            SETTLE * plan.second.as_secs_f64(),
            0.5 * plan.second.as_secs_f64(),
        ),
    );
    let all = sweep(bench).await?;
    for round in 0..plan.rounds_for_a_bound {
        for swept in &all {
            bench.round(Row::Regret, round, Setup { plan, stage, swept }.turns()).await?;
        }
    }
    for swept in &all {
        losses(bench, swept.name);
    }
    Ok(())
}

/// Enters what each pool lost in each round, and the bound.
fn losses(bench: &mut Bench<'_>, case: &str) {
    let book = &bench.book;
    let Some(best) = book.find(Row::Regret, case, ANSWERS, names::DEADPOOL_BEST) else { return };
    let mut found = Vec::new();
    for pool in [names::FOREBAY, names::FOREBAY_EIGHTY, names::FOREBAY_FIXED, names::DEADPOOL_TEN, names::SQLX] {
        let ratios = book.find(Row::Regret, case, ANSWERS, pool).map(|figure| figure.ratios(best)).unwrap_or_default();
        found.push((pool, ratios.into_iter().map(|(round, ratio)| (round, 100.0 * (1.0 - ratio))).collect::<Vec<_>>()));
    }
    for (pool, losses) in found {
        for &(round, loss) in &losses {
            bench.book.enter(Row::Regret, case, pool, round, Measured::of([(LOSS, loss)]));
        }
        let losses: Vec<f64> = losses.into_iter().map(|(_, loss)| loss).collect();
        if let Some(bound) = upper_bound(&losses) {
            bench.book.enter(Row::Regret, case, pool, 0, Measured::of([(BOUND, bound)]));
        }
    }
}

/// One-sided, by Student's t.
fn upper_bound(values: &[f64]) -> Option<f64> {
    const T: [f64; 9] = [6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833];
    let count = values.len();
    let t = T.get(count.checked_sub(2)?).copied().unwrap_or(1.833);
    let mean = values.iter().sum::<f64>() / count as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(mean + t * (squares / (count - 1) as f64 / count as f64).sqrt())
}

#[derive(Clone, Copy)]
struct Setup<'s> {
    plan: &'s Plan,
    stage: &'s Stage,
    swept: &'s Swept,
}

impl<'s> Setup<'s> {
    fn turns(self) -> Vec<Turn<'s>> {
        let (options, best, case) = (&self.stage.options, self.swept.best.size, self.swept.name);
        vec![
            Turn::new(case, names::FOREBAY, async move { self.ours(Forebay::by_default(options)?).await }),
            Turn::new(case, names::FOREBAY_EIGHTY, async move { self.ours(Forebay::up_to(options, ROOMY)?).await }),
            Turn::new(
                case,
                names::FOREBAY_FIXED,
                async move { self.fixed(Forebay::fixed(options, best)?, best).await },
            ),
            Turn::new(case, names::DEADPOOL_BEST, async move {
                self.fixed(Deadpool::new(options, best, None)?, best).await
            }),
            Turn::new(case, names::DEADPOOL_TEN, async move {
                self.fixed(Deadpool::new(options, USUAL, None)?, USUAL).await
            }),
            Turn::new(case, names::SQLX, async move { self.fixed(Stock::by_default(options), USUAL).await }),
        ]
    }

    async fn ours(self, peer: Forebay) -> Result<Measured, BenchError> {
        fill(&peer, 1).await?;
        let span = Span { warm_up: self.plan.second.mul_f64(SETTLE), window: 2 * self.plan.second };
        let mut measured = self.measure(peer.clone(), span).await?;
        measured.values.push((LIMIT, f64::from(peer.pool().snapshot().limit)));
        peer.close().await;
        Ok(measured)
    }

    async fn fixed<P: Peer<Lease: Held>>(self, peer: P, size: u32) -> Result<Measured, BenchError> {
        fill(&peer, size).await?;
        let span = Span { warm_up: self.plan.second / 2, window: 2 * self.plan.second };
        let measured = self.measure(peer.clone(), span).await;
        peer.close().await;
        measured
    }

    async fn measure<P: Peer<Lease: Held>>(self, peer: P, span: Span) -> Result<Measured, BenchError> {
        let work = |tally| self.come_and_go(peer.clone(), tally);
        let counted = watch(span, self.stage.postmaster(), CALLERS, work).await?;
        Ok(Measured::of([(ANSWERS, counted.per_second()), (REFUSED, counted.refused())]))
    }

    fn come_and_go<P: Peer<Lease: Held>>(
        self,
        peer: P,
        tally: Tally,
    ) -> impl Future<Output = Result<(), BenchError>> + Send + 'static {
        let work = self.swept.work;
        async move {
            let mut seed = (tally.task as u64) << 32;
            while !tally.is_over() {
                seed += 1;
                match peer.acquire(PATIENT).await {
                    Ok(mut lease) => lease.work(work, seed).await?,
                    Err(Refused::Busy { .. }) => {
                        tally.refused().await;
                        tokio::time::sleep(Duration::from_micros(5_000 + scattered(seed) % 10_000)).await;
                        continue;
                    }
                    Err(Refused::Failed(why)) => return Err(BenchError::Turn(why)),
                }
                tally.count();
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_lies_above_the_mean_by_what_the_spread_allows() {
        assert_eq!(upper_bound(&[5.0]), None);
        assert_eq!(upper_bound(&[5.0, 5.0, 5.0]), Some(5.0));
        let bound = upper_bound(&[4.0, 5.0, 6.0]).expect("three values");
        assert!((bound - (5.0 + 2.920 / 3_f64.sqrt())).abs() < 1e-9, "{bound}");
    }
}
