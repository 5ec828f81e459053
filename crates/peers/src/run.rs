//! The run: rounds, turns, and the order in which they are taken.

use std::future::Future;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::book::{Book, Measured, Report};
use crate::machine::Machine;
use crate::precedence::PriorityGuard;
use crate::stage::Stage;
use crate::{BenchError, Plan, Row, rows, targets};

/// Measures what the plan says, and tells `progress` about it line by line.
///
/// # Errors
/// There is no server, or it refuses what every turn needs. A turn that fails is no error: it is void.
pub async fn run(plan: &Plan, progress: impl Fn(&str) + Send + Sync) -> Result<Report, BenchError> {
    let claim = PriorityGuard::stake();
    let stage = Stage::start(&progress).await?;
    let machine = Machine::here(stage.version().await?, claim.over(stage.postmaster()));
    let dice = StdRng::seed_from_u64(plan.seed);
    let mut bench = Bench { stage: &stage, plan, book: Book::default(), dice, swept: Vec::new(), progress: &progress };
    let outcome = bench.play().await;
    let book = bench.book;
    stage.stop().await;
    drop(claim);
    outcome?;
    let judgements = targets::judge(&book, plan);
    Ok(Report { machine, plan: plan.clone(), book, judgements })
}

/// A run under way.
pub(crate) struct Bench<'s> {
    pub(crate) stage: &'s Stage,
    pub(crate) plan: &'s Plan,
    pub(crate) book: Book,
    pub(crate) dice: StdRng,
    /// The sizes that suit each kind of work, where they were looked for.
    pub(crate) swept: Vec<rows::steady::Swept>,
    progress: &'s (dyn Fn(&str) + Send + Sync),
}

/// One pool's turn in one case.
pub(crate) struct Turn<'s> {
    case: String,
    pool: &'static str,
    play: LocalBoxFuture<'s, Result<Measured, BenchError>>,
}

impl<'s> Turn<'s> {
    pub(crate) fn new(
        case: impl Into<String>,
        pool: &'static str,
        play: impl Future<Output = Result<Measured, BenchError>> + 's,
    ) -> Self {
        Self { case: case.into(), pool, play: play.boxed_local() }
    }
}

impl Bench<'_> {
    async fn play(&mut self) -> Result<(), BenchError> {
        for &row in &self.plan.rows {
            match row {
                Row::Uncontended => rows::uncontended::play(self).await?,
                Row::Contended => rows::contended::play(self).await?,
                Row::Lookups => rows::lookups::play(self).await?,
                Row::Overload => rows::overload::play(self).await?,
                Row::Dropped => rows::dropped::play(self).await?,
                Row::Refusal => rows::refusal::play(self).await?,
                Row::Steady => rows::steady::play(self).await?,
                Row::Regret => rows::regret::play(self).await?,
                Row::Spike => rows::spike::play(self).await?,
                Row::Incident => rows::incident::play(self).await?,
                Row::Tracking => rows::tracking::play(self).await?,
                Row::Priority => rows::priority::play(self).await?,
                Row::Herd => rows::herd::play(self).await?,
                Row::Http => rows::http::play(self).await?,
            }
        }
        Ok(())
    }

    /// Lets every turn of a round be taken, in an order of its own, each on a server that nobody else uses.
    pub(crate) async fn round(&mut self, row: Row, round: u32, mut turns: Vec<Turn<'_>>) -> Result<(), BenchError> {
        let rounds = if row == Row::Regret { self.plan.rounds_for_a_bound } else { self.plan.rounds };
        self.say(&format!("{}: round {} of {rounds}", row.name(), round + 1));
        turns.shuffle(&mut self.dice);
        for Turn { case, pool, play } in turns {
            let measured = tokio::time::timeout(std::time::Duration::from_secs(60), play).await;
            let failed = measured.unwrap_or_else(|_late| Err(BenchError::turn("it took longer than a minute")));
            let measured =
                failed.unwrap_or_else(|error| Measured { values: Vec::new(), void: Some(error.to_string()) });
            if let Some(why) = &measured.void {
                self.say(&format!("  void: {pool}, {case}: {why}"));
            }
            self.book.enter(row, &case, pool, round, measured);
            self.stage.settle().await?;
        }
        Ok(())
    }

    pub(crate) fn say(&self, line: &str) {
        (self.progress)(line);
    }
}
