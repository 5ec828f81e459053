//! An order is cancelled by its buyer.
//!
//! One that is not paid is voided at the provider first, as everywhere: where the provider says that it was charged, it is
//! paid. One that is paid and not shipped is cancelled, and all that is left of what was paid is asked back, in one transaction;
//! the provider gives it back after that, and where that is interrupted, the sweeper goes on with it.

use axum::http::StatusCode;
use forebay_platform::db::Tx;
use forebay_platform::instant;
use forebay_pool::Admission;
use sqlx::error::DatabaseError;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::domain::{Move, Order, Status};
use crate::error::Error;
use crate::payments::{Charge, Outcome};
use crate::refunds::{self, Refund, RefundError};
use crate::settlement::{free, leave, write_down};
use crate::store::keys::{self, KeyedRequest};
use crate::{State, store};

/// So often an order may move on between a look at it and the attempt to cancel it. Each time somebody else has gone on with
/// it, which ends.
const LOOKS: u32 = 5;

/// Why money goes back.
const REASON: &str = "The buyer has cancelled the order.";

/// A request to cancel, with who sends it.
#[derive(Debug)]
pub(crate) struct Cancellation {
    pub(crate) caller: Caller,
    pub(crate) order_id: Uuid,
    pub(crate) claim: KeyedRequest,
}

/// Dropped at any point, the order is cancelled or as it was; or voided at most, which the sweeper settles.
pub(crate) async fn cancel(state: &State, admission: &Admission, request: &Cancellation) -> Result<Answer, Error> {
    for _ in 0..LOOKS {
        let mut lease = state.db.acquire(admission).await?;
        let order = store::orders::of(&mut lease.conn(), request.order_id, &request.caller).await?;
        let order = order.ok_or(Error::NotFound("order"))?;
        let before = keys::replay(&mut lease.conn(), &request.claim).await?;
        drop(lease);
        if let Some(answer) = before {
            return Ok(answer);
        }
        let voided = match order.stage {
            Status::PendingPayment => {
                let charge = state.payments.void(&order.bill()).await?;
                if charge.outcome != Outcome::Voided {
                    write_down(&state.db, &order, &charge, Move::Cancel, instant::now()).await?;
                    continue;
                }
                Some(charge)
            }
            Status::PaymentFailed | Status::Paid => None,
            other => return Err(Error::OrderState(other)),
        };
        match write(state, admission, request, &order, voided.as_ref()).await {
            Err(Error::Moved) => {}
            Err(error) => return Err(error),
            Ok((answer, refund)) => {
                if let Some(refund) = refund {
                    refunds::settle(state, refund).await;
                }
                return Ok(answer);
            }
        }
    }
    Err(Error::InFlight)
}

async fn write(
    state: &State,
    admission: &Admission,
    request: &Cancellation,
    order: &Order,
    voided: Option<&Charge>,
) -> Result<(Answer, Option<Refund>), Error> {
    let mut lease = state.db.acquire(admission).await?;
    let mut tx = lease.begin().await?;
    let (now, mut refund) = (request.claim.now, None);
    let cancelled = keys::once(&mut tx, &request.claim, async |tx| {
        refund = end(tx, order, voided, now).await?;
        Ok(Answer::done(StatusCode::OK, &order.clone().after(Move::Cancel)))
    });
    let cancelled = cancelled.await;
    match tx.end(cancelled).await {
        // The program before this one makes an account's cart without its lock: here at the very moment in which it gets this one
        // back.
        Err(Error::Store(error)) if error.as_database_error().is_some_and(DatabaseError::is_unique_violation) => {
            Err(Error::Moved)
        }
        ended => ended.map(|answer| (answer, refund)),
    }
}

/// Answers with what is asked back, where there is anything.
async fn end(
    tx: &mut Tx<'_>,
    order: &Order,
    voided: Option<&Charge>,
    now: OffsetDateTime,
) -> Result<Option<Refund>, Error> {
    let has_ended = match voided {
        Some(charge) => leave(tx, order, charge, Move::Cancel, now).await?.is_some(),
        None => store::orders::advance(&mut tx.conn(), order, Move::Cancel, now).await?,
    };
    if !has_ended {
        return Err(Error::Moved);
    }
    if order.stage != Status::Paid {
        free(tx, order).await?;
        return Ok(None);
    }
    let refund = match refunds::request(tx, order.id, None, REASON, now).await {
        Ok(refund) => Some(refund),
        // It cost nothing, or all of it is on its way back.
        Err(RefundError::TooMuch { left: 0, .. }) => None,
        Err(RefundError::Store(error)) => return Err(error.into()),
        Err(_) => return Err(Error::Moved),
    };
    store::stock::put_back(&mut tx.conn(), order).await?;
    Ok(refund)
}
