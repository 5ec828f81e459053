//! Settles what a crash, a lost client or a silent provider left pending.

use forebay_platform::db::Db;
use forebay_platform::instant;
use forebay_pool::{AcquireError, Admission, Class};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use crate::domain::{Move, Order};
use crate::payments::{Charge, Outcome, Unknown};
use crate::refunds::{self, Refund};
use crate::settlement::{self, Unsettled, write_down};
use crate::store::orders::Place;
use crate::{State, store};

/// A handler gets this long before its order is looked at. Too short would be waste, but never wrong.
const SETTLE_AFTER: time::Duration = time::Duration::seconds(15);
/// Nobody charges an order this late any more: its client hung up before the payment. No need to hold its stock for as
/// long as its reservation runs; and if someone does charge it, the provider decides who was first.
const GIVE_UP_AFTER: time::Duration = time::Duration::seconds(60);
const EVERY: std::time::Duration = std::time::Duration::from_secs(5);
/// No step of a sweep takes longer, also where the database's host is gone and nobody says so.
const LONGEST_STEP: std::time::Duration = std::time::Duration::from_secs(10);
/// After so many orders in a row without an answer there is none to be had for the rest either.
const MOST_UNANSWERED: u32 = 5;
const BATCH: i64 = 100;

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Orders that had been charged and are paid now.
    pub paid: u64,
    /// Orders that had been declined; they may be paid for again until their reservation ends.
    pub failed: u64,
    /// Orders that were given up and can never be charged; their stock is free.
    pub expired: u64,
    /// Orders that had been declined, and were not paid for again before their reservation ended; their stock is free.
    pub lapsed: u64,
    /// Refunds that the provider gave or refused.
    pub refunds: u64,
    /// Orders that wait on: not charged, not given up, or the provider did not say.
    pub waiting: u64,
    /// Orders that the database would not have settled, or not in time; the log says why. The next sweep tries again.
    pub failed_to_settle: u64,
}

/// A sweep that stopped half-way: it could not learn what is pending, or nobody answered. What it settled stays
/// settled; the next one begins anew. An order that alone cannot be settled is none of these: it is counted, and the
/// sweep goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// No lease.
    #[error("the sweep got no connection")]
    Acquire(#[from] AcquireError),
    /// The pending orders could not be read.
    #[error("a statement of the sweep failed")]
    Store(#[from] sqlx::Error),
    /// The same, since the database did not answer.
    #[error("a statement of the sweep did not end in time")]
    Late(#[from] Elapsed),
    /// Neither the provider nor the database answered, several times in a row.
    #[error("nobody answered several times in a row")]
    Unanswered,
}

/// Settles every order that is pending, and every refund that is asked for, for longer than a handler takes, as of `now`. A `now` in the future gives
/// orders up whose time has not come, and so settles everything.
///
/// Holds one lease at a time, and none while the provider is asked. May run in several processes at once.
///
/// # Errors
/// Where what is pending cannot be read, or nobody answers for several in a row. Dropped at any point, each is settled or as it was.
pub async fn sweep(state: &State, now: OffsetDateTime) -> Result<Swept, SweepError> {
    let mut swept = Swept::default();
    let mut patience = Patience::default();
    settle_orders(state, now, &mut swept, &mut patience).await?;
    expire_orders(state, now, &mut swept, &mut patience).await?;
    settle_refunds(state, now, &mut swept, &mut patience).await?;
    Ok(swept)
}

/// Sweeps every five seconds until the task is aborted.
pub fn spawn_sweeper(state: State) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match sweep(&state, instant::now()).await {
                Ok(Swept { paid: 0, failed: 0, expired: 0, lapsed: 0, refunds: 0, .. }) => {}
                Ok(swept) => tracing::info!(?swept, "settled what was left pending"),
                Err(error) => tracing::warn!(%error, "the sweep stopped half-way"),
            }
        }
    })
}

impl Swept {
    fn count(&mut self, settled: &Result<Option<Outcome>, Unsettled>) {
        let counter = match settled {
            Ok(Some(Outcome::Approved)) => &mut self.paid,
            Ok(Some(Outcome::Declined)) => &mut self.failed,
            Ok(Some(Outcome::Voided)) => &mut self.expired,
            Ok(None) | Err(Unsettled::Unknown(_)) => &mut self.waiting,
            Err(Unsettled::Late(_) | Unsettled::Failed(_)) => &mut self.failed_to_settle,
        };
        *counter += 1;
    }
}

/// With those who are asked, over a whole sweep.
#[derive(Debug, Default)]
struct Patience {
    unanswered: u32,
}

impl Patience {
    fn note<T>(&mut self, settled: &Result<T, Unsettled>) -> Result<(), SweepError> {
        let unanswered = settled.as_ref().is_err_and(Unsettled::unanswered);
        self.unanswered = if unanswered { self.unanswered + 1 } else { 0 };
        if self.unanswered == MOST_UNANSWERED { Err(SweepError::Unanswered) } else { Ok(()) }
    }
}

/// No step takes longer than the longest.
async fn in_time<T>(step: impl Future<Output = Result<T, Unsettled>>) -> Result<T, Unsettled> {
    timeout(LONGEST_STEP, step).await.unwrap_or_else(|late| Err(late.into()))
}

async fn settle_orders(
    state: &State,
    now: OffsetDateTime,
    swept: &mut Swept,
    patience: &mut Patience,
) -> Result<(), SweepError> {
    let mut place = Place::start();
    loop {
        let overdue = timeout(LONGEST_STEP, overdue(&state.db, now, &place)).await??;
        let Some(last) = overdue.last() else { return Ok(()) };
        place = Place::of(last);
        for order in &overdue {
            let settled = in_time(settle_one(state, order, now)).await;
            swept.count(&settled);
            if let Err(unsettled) = &settled {
                tracing::warn!(order = %order.id, %unsettled, "an order stays pending until the next sweep");
            }
            patience.note(&settled)?;
        }
    }
}

/// Declined orders whose reservation has ended.
async fn expire_orders(
    state: &State,
    now: OffsetDateTime,
    swept: &mut Swept,
    patience: &mut Patience,
) -> Result<(), SweepError> {
    let mut last = Uuid::nil();
    loop {
        let lapsed = timeout(LONGEST_STEP, lapsed(&state.db, now, last)).await??;
        let Some(order) = lapsed.last() else { return Ok(()) };
        last = order.id;
        for order in &lapsed {
            let expired = in_time(async { Ok(settlement::expire(&state.db, order, now).await?) }).await;
            match &expired {
                Ok(expired) => swept.lapsed += u64::from(*expired),
                Err(unsettled) => {
                    swept.failed_to_settle += 1;
                    tracing::warn!(order = %order.id, %unsettled, "an order keeps its units until the next sweep");
                }
            }
            patience.note(&expired)?;
        }
    }
}

async fn settle_refunds(
    state: &State,
    now: OffsetDateTime,
    swept: &mut Swept,
    patience: &mut Patience,
) -> Result<(), SweepError> {
    let mut place = store::refunds::Place::start();
    loop {
        let overdue = timeout(LONGEST_STEP, overdue_refunds(&state.db, now, &place)).await??;
        let Some(last) = overdue.last() else { return Ok(()) };
        place = store::refunds::Place::behind(last);
        for refund in &overdue {
            let settled = in_time(refunds::try_settle(state, refund)).await;
            match &settled {
                Ok(_) => swept.refunds += 1,
                Err(unsettled) => {
                    tracing::warn!(refund = %refund.id, %unsettled, "a refund is asked for again in the next sweep");
                }
            }
            patience.note(&settled)?;
        }
    }
}

async fn overdue_refunds(
    db: &Db,
    now: OffsetDateTime,
    after: &store::refunds::Place,
) -> Result<Vec<Refund>, SweepError> {
    let mut lease = db.acquire(&Admission::without_deadline(Class::Background)).await?;
    Ok(store::refunds::overdue(&mut lease.conn(), now - SETTLE_AFTER, after, BATCH).await?)
}

async fn overdue(db: &Db, now: OffsetDateTime, after: &Place) -> Result<Vec<Order>, SweepError> {
    let mut lease = db.acquire(&Admission::without_deadline(Class::Background)).await?;
    Ok(store::orders::overdue(&mut lease.conn(), now - SETTLE_AFTER, after, BATCH).await?)
}

async fn lapsed(db: &Db, now: OffsetDateTime, after: Uuid) -> Result<Vec<Order>, SweepError> {
    let mut lease = db.acquire(&Admission::without_deadline(Class::Background)).await?;
    Ok(store::orders::lapsed(&mut lease.conn(), now, after, BATCH).await?)
}

async fn settle_one(state: &State, order: &Order, now: OffsetDateTime) -> Result<Option<Outcome>, Unsettled> {
    let Some(charge) = ask(state, order, now).await? else { return Ok(None) };
    write_down(&state.db, order, &charge, Move::Expire, now).await?;
    Ok(Some(charge.outcome))
}

/// Past its reservation, or a minute after its last attempt began, an order that was not charged is given up, and the
/// provider is told first.
async fn ask(state: &State, order: &Order, now: OffsetDateTime) -> Result<Option<Charge>, Unknown> {
    let given_up = order.tried_at + GIVE_UP_AFTER;
    // An order without a reservation has nothing to wait for.
    if order.reserved_until.is_none_or(|reserved_until| reserved_until.min(given_up) <= now) {
        return state.payments.void(&order.bill()).await.map(Some);
    }
    state.payments.look_up(&order.bill()).await
}
