//! Statements of 64 tasks on pools of several sizes, and on the same number of connections without a pool, each with a
//! task of its own.

use std::sync::Mutex;

use super::crowd::{Tally, watch};
use super::{PATIENT, trips};
use crate::book::Measured;
use crate::pools::{Bb8, Deadpool, Forebay, Stock, fill, names};
use crate::run::{Bench, Turn};
use crate::stage::Stage;
use crate::{BenchError, Held, Peer, Plan, Refused, Row, Statement};

pub(crate) const RATE: &str = "operations/s";
pub(crate) const PROCESSOR: &str = "µs of CPU, both";
pub(crate) const CLIENT: &str = "µs of CPU, client";
pub(crate) const SERVER: &str = "µs of CPU, server";
const FAIRNESS: &str = "most / least per task";
const REFUSED: &str = "refused, %";
const TASKS: usize = 64;

/// What each task asks for.
#[derive(Clone, Copy)]
pub(crate) enum What {
    One,
    Lookup,
}

impl What {
    pub(crate) fn case(self, size: u32) -> String {
        match self {
            Self::One => format!("SELECT 1, {size} connections"),
            Self::Lookup => format!("lookup, {size} connections"),
        }
    }

    /// The statement of a task's turn: keys all over the table, none drawn, since that would be measured too.
    fn statement(self, task: usize, turn: u64) -> Statement {
        let key = (turn.wrapping_mul(7_919).wrapping_add(task as u64 * 1_563) % Statement::ITEMS as u64) as i64;
        match self {
            Self::One => Statement::One,
            Self::Lookup => Statement::Lookup(key + 1),
        }
    }
}

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    trips::play(bench).await?;
    let (plan, stage) = (bench.plan, bench.stage);
    for round in 0..plan.rounds {
        let mut turns = Vec::new();
        for &size in &plan.sizes {
            for what in [What::One, What::Lookup] {
                turns.extend(Setup { plan, stage, size, what }.turns());
            }
        }
        bench.round(Row::Lookups, round, turns).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Setup<'s> {
    plan: &'s Plan,
    stage: &'s Stage,
    size: u32,
    what: What,
}

impl<'s> Setup<'s> {
    fn turns(self) -> Vec<Turn<'s>> {
        let Self { stage: Stage { options, .. }, size, .. } = self;
        let case = || self.what.case(size);
        vec![
            Turn::new(case(), names::FOREBAY, async move { self.pooled(Forebay::fixed(options, size)?).await }),
            Turn::new(case(), names::SQLX, async move { self.pooled(Stock::pinging(options, size)).await }),
            Turn::new(
                case(),
                names::SQLX_NO_PING,
                async move { self.pooled(Stock::trusting(options, size, None)).await },
            ),
            Turn::new(case(), names::DEADPOOL, async move { self.pooled(Deadpool::new(options, size, None)?).await }),
            Turn::new(case(), names::BB8, async move { self.pooled(Bb8::new(options, size, None)).await }),
            Turn::new(case(), names::BARE, self.bare()),
        ]
    }

    async fn pooled<P: Peer<Lease: Held>>(self, peer: P) -> Result<Measured, BenchError> {
        fill(&peer, self.size).await?;
        let measured = self.measure(TASKS, |tally| ask(peer.clone(), self.what, tally)).await;
        peer.close().await;
        measured
    }

    async fn bare(self) -> Result<Measured, BenchError> {
        let mut connections = Vec::new();
        for _ in 0..self.size {
            connections.push(self.stage.connect().await?);
        }
        let connections = Mutex::new(connections);
        let take = || connections.lock().expect("nobody panics with it").pop().expect("one for each task");
        self.measure(self.size as usize, |tally| ask_directly(take(), self.what, tally)).await
    }

    async fn measure<W>(self, tasks: usize, work: impl Fn(Tally) -> W) -> Result<Measured, BenchError>
    where
        W: Future<Output = Result<(), BenchError>> + Send + 'static,
    {
        let counted = watch(self.plan.span(), self.stage.postmaster(), tasks, work).await?;
        let mut values =
            vec![(RATE, counted.per_second()), (FAIRNESS, counted.unfairness()), (REFUSED, counted.refused())];
        if let Some((client, server)) = counted.processor() {
            values.extend([(PROCESSOR, client + server), (CLIENT, client), (SERVER, server)]);
        }
        Ok(Measured::of(values))
    }
}

async fn ask<P: Peer<Lease: Held>>(peer: P, what: What, tally: Tally) -> Result<(), BenchError> {
    let mut turn = 0;
    while !tally.is_over() {
        let mut lease = match peer.acquire(PATIENT).await {
            Ok(lease) => lease,
            Err(Refused::Busy { .. }) => {
                tally.refused().await;
                continue;
            }
            Err(Refused::Failed(why)) => return Err(BenchError::Turn(why)),
        };
        lease.run(what.statement(tally.task, turn)).await?;
        drop(lease);
        tally.count();
        turn += 1;
    }
    Ok(())
}

async fn ask_directly(mut connection: sqlx::PgConnection, what: What, tally: Tally) -> Result<(), BenchError> {
    let mut turn = 0;
    while !tally.is_over() {
        what.statement(tally.task, turn).on(&mut connection).await?;
        tally.count();
        turn += 1;
    }
    Ok(())
}
