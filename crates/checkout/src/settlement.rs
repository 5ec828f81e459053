//! Tx B: what became of an attempt to pay is written down, by handlers and the sweeper alike; and what an order that will not
//! be paid gives back.

use forebay_platform::db::{Db, Tx};
use forebay_platform::security::{self, Event};
use forebay_pool::{Admission, Class};
use time::OffsetDateTime;
use tokio::time::error::Elapsed;

use crate::answer::Answer;
use crate::domain::{Move, Order, Status};
use crate::error::Error;
use crate::payments::{Charge, Outcome, Unknown};
use crate::store;

/// Why an order is still pending, or a refund still asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsettled {
    #[error("the provider does not say what became of it: {0}")]
    Unknown(#[from] Unknown),
    #[error("settling it did not end in time")]
    Late(#[from] Elapsed),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Unsettled {
    /// Nothing is wrong with it, but with those who were asked about it.
    pub(crate) fn unanswered(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Late(_))
    }
}

/// Writes what the provider said, on a lease of its own: never shed, and whether or not somebody still waits for it, since
/// what was charged must be written down. Answers with the order as it is then; none where someone else was first, and
/// nothing is written.
///
/// `if_voided` is what becomes of an order that the provider was told to leave alone.
pub(crate) async fn write_down(
    db: &Db,
    order: &Order,
    charge: &Charge,
    if_voided: Move,
    now: OffsetDateTime,
) -> Result<Option<Order>, Error> {
    let admission = Admission::without_deadline(Class::Critical);
    admission.begin();
    let mut lease = db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let settled = settle(&mut tx, order, charge, if_voided, now).await;
    let settled = tx.end(settled).await?;
    if let Some(settled) = &settled {
        report(settled);
    }
    Ok(settled)
}

/// Tells of an order that was settled, once that is committed.
pub(crate) fn report(settled: &Order) {
    if settled.status == Status::Paid {
        security::record(Event::OrderPaid { order: settled.id }, settled.user_id);
    }
}

/// All of it in `tx`; the caller commits, and reports.
pub(crate) async fn settle(
    tx: &mut Tx<'_>,
    order: &Order,
    charge: &Charge,
    if_voided: Move,
    now: OffsetDateTime,
) -> Result<Option<Order>, Error> {
    let Some(settled) = leave(tx, order, charge, if_voided, now).await? else { return Ok(None) };
    // Last, as in Tx A: the rows that everyone wants are locked for the shortest time.
    match settled.status {
        Status::Paid => store::stock::consume(&mut tx.conn(), order).await?,
        // It keeps its units for another attempt.
        Status::PaymentFailed => {}
        _ => free(tx, order).await?,
    }
    Ok(Some(settled))
}

/// The order, its payment and the answer to whoever waits for it; the stock is the caller's. None where someone else was
/// first, and nothing is written.
pub(crate) async fn leave(
    tx: &mut Tx<'_>,
    order: &Order,
    charge: &Charge,
    if_voided: Move,
    now: OffsetDateTime,
) -> Result<Option<Order>, Error> {
    let this = match charge.outcome {
        Outcome::Approved => Move::Pay,
        Outcome::Declined => Move::Fail,
        Outcome::Voided => if_voided,
    };
    let settled = order.clone().after(this);
    let answer = Answer::about(&settled);
    let is_first = store::orders::settle_attempt(&mut tx.conn(), order, this, charge, &answer, now).await?;
    Ok(is_first.then_some(settled))
}

/// An order that will not be paid gives back what it holds: its cart to its buyer, and its units to all.
pub(crate) async fn free(tx: &mut Tx<'_>, order: &Order) -> Result<(), Error> {
    if let Some(user_id) = order.user_id {
        store::carts::lock_account(&mut tx.conn(), user_id).await?;
    }
    store::carts::reopen(&mut tx.conn(), order.cart_id).await?;
    Ok(store::stock::release(&mut tx.conn(), order).await?)
}

/// An order that was declined, and not paid for again before its reservation ended. False where it has moved on.
pub(crate) async fn expire(db: &Db, order: &Order, now: OffsetDateTime) -> Result<bool, Error> {
    let mut lease = db.acquire(&Admission::without_deadline(Class::Background)).await?;
    let mut tx = lease.begin().await?;
    let expired = expire_in(&mut tx, order, now).await;
    tx.end(expired).await
}

async fn expire_in(tx: &mut Tx<'_>, order: &Order, now: OffsetDateTime) -> Result<bool, Error> {
    let expired = store::orders::advance(&mut tx.conn(), order, Move::Expire, now).await?;
    if expired {
        free(tx, order).await?;
    }
    Ok(expired)
}
