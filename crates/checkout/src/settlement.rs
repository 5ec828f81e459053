//! Tx B: the one way out of `pending_payment`, for handlers and the sweeper alike.

use forebay_platform::db::{Db, Tx};
use forebay_platform::security::{self, Event};
use forebay_pool::{Admission, Class};
use time::OffsetDateTime;
use tokio::time::error::Elapsed;

use crate::answer::Answer;
use crate::domain::{Order, Status};
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
/// what was charged must be written down. None where someone else was first; then nothing is written.
pub(crate) async fn write_down(
    db: &Db,
    order: &Order,
    charge: &Charge,
    now: OffsetDateTime,
) -> Result<Option<Answer>, Error> {
    let admission = Admission::without_deadline(Class::Critical);
    admission.begin();
    let mut lease = db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let settled = settle(&mut tx, order, charge, now).await;
    let answer = tx.end(settled).await?;
    if answer.is_some() {
        report(order, charge);
    }
    Ok(answer)
}

/// Tells of an order that was settled, once that is committed.
pub(crate) fn report(order: &Order, charge: &Charge) {
    if charge.outcome == Outcome::Approved {
        security::record(Event::OrderPaid { order: order.id }, Some(order.user_id));
    }
}

/// Writes what the provider said, all of it in `tx`; the caller commits.
pub(crate) async fn settle(
    tx: &mut Tx<'_>,
    order: &Order,
    charge: &Charge,
    now: OffsetDateTime,
) -> Result<Option<Answer>, Error> {
    let Some(answer) = leave(tx, order, charge, now).await? else { return Ok(None) };
    // Last, as in Tx A: the rows that everyone wants are locked for the shortest time.
    match charge.outcome {
        Outcome::Approved => store::stock::consume(&mut tx.conn(), order).await?,
        Outcome::Declined | Outcome::Voided => store::stock::release(&mut tx.conn(), order).await?,
    }
    Ok(Some(answer))
}

/// The order and its key; the stock is the caller's. None where someone else was first, and nothing is written.
pub(crate) async fn leave(
    tx: &mut Tx<'_>,
    order: &Order,
    charge: &Charge,
    now: OffsetDateTime,
) -> Result<Option<Answer>, Error> {
    let settled = Order { status: Status::after(charge.outcome), ..order.clone() };
    if !store::orders::leave_pending(&mut tx.conn(), &settled, charge, now).await? {
        return Ok(None);
    }
    let answer = Answer::about(&settled);
    store::keys::settle(&mut tx.conn(), order.id, &answer).await?;
    Ok(Some(answer))
}
