//! Tx B: the one way out of `pending_payment`, for handlers and the sweeper alike.

use forebay_platform::db::{Db, Tx};
use forebay_platform::security::{self, Event};
use forebay_pool::{Admission, Class};
use time::OffsetDateTime;

use crate::answer::Answer;
use crate::domain::{Order, Status};
use crate::error::Error;
use crate::payments::{Charge, Outcome};
use crate::store;

/// Writes what the provider said, on a lease of its own: never shed, and whether or not somebody still waits for it, since
/// what was charged must be written down.
pub(crate) async fn write_down(db: &Db, order: &Order, charge: &Charge, now: OffsetDateTime) -> Result<Answer, Error> {
    let admission = Admission::without_deadline(Class::Critical);
    admission.begin();
    let mut lease = db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let settled = settle(&mut tx, order, charge, now).await;
    let (answer, settled) = tx.end(settled).await?;
    if settled && charge.outcome == Outcome::Approved {
        security::record(Event::OrderPaid { order: order.id }, Some(order.user_id));
    }
    Ok(answer)
}

/// Writes what the provider said, all of it in `tx`; the caller commits. Where someone else was first, nothing is
/// written, which is the second word of what it gives, and the answer is theirs.
async fn settle(tx: &mut Tx<'_>, order: &Order, charge: &Charge, now: OffsetDateTime) -> Result<(Answer, bool), Error> {
    let Some(answer) = leave(tx, order, charge, now).await? else {
        return Ok((answer_of_another(tx, order).await?, false));
    };
    // Last, as in Tx A: the rows that everyone wants are locked for the shortest time.
    match charge.outcome {
        Outcome::Approved => store::stock::consume(&mut tx.conn(), order).await?,
        Outcome::Declined | Outcome::Voided => store::stock::release(&mut tx.conn(), order).await?,
    }
    Ok((answer, true))
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
    store::keys::answer(&mut tx.conn(), &answer).await?;
    Ok(Some(answer))
}

async fn answer_of_another(tx: &mut Tx<'_>, order: &Order) -> Result<Answer, Error> {
    if let Some(answer) = store::keys::answer_of(&mut tx.conn(), order.id).await? {
        return Ok(answer.replayed());
    }
    let order = store::orders::by_id(&mut tx.conn(), order.id).await?.ok_or(Error::NotFound("order"))?;
    Ok(Answer::about(&order))
}
