//! Messages of the payment provider: what it says by itself is written down as what it answers is, once.

use forebay_platform::db::Tx;
use forebay_platform::instant;
use forebay_pool::Admission;
use time::OffsetDateTime;

use crate::domain::{Move, Order};
use crate::error::Error;
use crate::payments::message::Message;
use crate::payments::{Bill, Charge, Outcome, Refund, RefundBill};
use crate::settlement::{report, settle};
use crate::{State, refunds, store};

/// Whose messages these are in the inbox.
const SOURCE: &str = "payments";

/// Takes a message whose sender is known, in one transaction with its id: sent again, it changes nothing. Dropped at any
/// point, it was taken or it was not.
pub(crate) async fn take(state: &State, admission: &Admission, id: &str, message: &Message) -> Result<(), Error> {
    let mut lease = state.db.acquire(admission).await?;
    let mut tx = lease.begin().await?;
    let taken = take_in(&mut tx, id, message, instant::now()).await;
    if let Some(settled) = tx.end(taken).await? {
        report(&settled);
    }
    Ok(())
}

/// The order that it settled.
async fn take_in(tx: &mut Tx<'_>, id: &str, message: &Message, now: OffsetDateTime) -> Result<Option<Order>, Error> {
    if !store::inbox::note(&mut tx.conn(), SOURCE, id, now).await? {
        return Ok(None);
    }
    match message {
        Message::Charge(bill, charge) => take_charge(tx, bill, charge, now).await,
        Message::Refund(bill, refund) => take_refund(tx, bill, refund, now).await.map(|()| None),
    }
}

async fn take_charge(
    tx: &mut Tx<'_>,
    bill: &Bill,
    charge: &Charge,
    now: OffsetDateTime,
) -> Result<Option<Order>, Error> {
    // Whoever had it voided knows what becomes of the order, or the sweeper asks.
    if charge.outcome == Outcome::Voided {
        return Ok(None);
    }
    let Some(order) = store::orders::by_id(&mut tx.conn(), bill.order_id).await? else {
        tracing::warn!(order = %bill.order_id, "the payment provider speaks of an order that there is not");
        return Ok(None);
    };
    let ours = order.bill();
    // Of an earlier attempt nothing is left to write down.
    if bill.attempt != ours.attempt {
        return Ok(None);
    }
    if *bill != ours {
        tracing::error!(order = %order.id, ?bill, ?ours, "the payment provider speaks of another amount");
        return Err(Error::invalid("/data/amount", "is not what the order costs"));
    }
    settle(tx, &order, charge, Move::Expire, now).await
}

async fn take_refund(tx: &mut Tx<'_>, bill: &RefundBill, said: &Refund, now: OffsetDateTime) -> Result<(), Error> {
    let Some(refund) = store::refunds::by_id(&mut tx.conn(), bill.refund_id).await? else {
        tracing::warn!(refund = %bill.refund_id, "the payment provider speaks of a refund that there is not");
        return Ok(());
    };
    let ours = refund.bill();
    if *bill != ours {
        tracing::error!(refund = %refund.id, ?bill, ?ours, "the payment provider speaks of another refund");
        return Err(Error::invalid("/data/amount", "is not what was asked back"));
    }
    Ok(refunds::write(tx, &refund, said, now).await?)
}
