//! Money that goes back: asked for in one short transaction, given by the provider, written down in another.
//!
//! It is as exact as an order, by the same means. What is asked back is taken from what is left of the payment before the
//! provider hears of it, so that two who ask at once never get more than was paid. The provider keeps one refund for each
//! id. What a crash, or a provider that says nothing, leaves `requested` is asked for again by [`sweep`](crate::sweep).

use forebay_platform::db::{Db, Tx};
use forebay_platform::instant;
use forebay_pool::{Admission, Class};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{EventKind, Move, ReturnState};
use crate::error::Error;
use crate::payments::{self, RefundBill, RefundOutcome};
use crate::settlement::Unsettled;
use crate::{State, store};

/// A part of a payment that goes back, or all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The same for us and for the provider.
    pub id: Uuid,
    /// Whose payment it was.
    pub order_id: Uuid,
    /// Which.
    pub payment_id: Uuid,
    /// Which of the order's attempts to pay that was.
    pub attempt: i16,
    /// In minor units.
    pub amount: i64,
    /// That of the payment.
    pub currency: String,
    /// Why, for people.
    pub reason: String,
    /// How far it is.
    pub state: RefundState,
    /// When it was asked for.
    pub requested_at: OffsetDateTime,
}

/// How far a refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// The provider has not said yet what became of it.
    Requested,
    /// The money went back.
    Succeeded,
    /// The provider refused; what was taken for it from the payment is left again.
    Failed,
}

/// Why nothing is asked back.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// The order was never paid, or there is no such order.
    #[error("the order was not paid")]
    NotPaid,
    /// There is less left of the payment, or nothing.
    #[error("only {left} {currency} are left of the payment")]
    TooMuch {
        /// In minor units.
        left: i64,
        /// That of the payment.
        currency: String,
    },
    /// The database.
    #[error("{}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

/// Asks for `amount` minor units of what was paid for the order, or for all that is left of it, in `tx`. Nothing goes back
/// before it commits; then [`settle`] sees to it, or the next sweep. Locks the order, and then its payment.
///
/// # Errors
/// See [`RefundError`]; only the last one has written anything.
pub async fn request(
    tx: &mut Tx<'_>,
    order_id: Uuid,
    amount: Option<i64>,
    reason: &str,
    now: OffsetDateTime,
) -> Result<Refund, RefundError> {
    store::orders::lock(&mut tx.conn(), order_id).await?;
    let payment = store::refunds::lock_payment(&mut tx.conn(), order_id).await?.ok_or(RefundError::NotPaid)?;
    let amount = amount.unwrap_or(payment.left);
    if !(1..=payment.left).contains(&amount) {
        return Err(RefundError::TooMuch { left: payment.left, currency: payment.currency });
    }
    let refund = Refund {
        id: Uuid::now_v7(),
        order_id,
        payment_id: payment.id,
        attempt: payment.attempt,
        amount,
        currency: payment.currency,
        reason: reason.to_owned(),
        state: RefundState::Requested,
        requested_at: now,
    };
    store::refunds::insert(&mut tx.conn(), &refund).await?;
    Ok(refund)
}

/// Has the provider give the money back, with no lease held, and writes down what it says. Answers with how far that got:
/// what is still `requested` is asked for again by the sweeper. While the provider does not answer it is not asked here.
///
/// Waits for the provider as long as [`Payments`](crate::Payments) does. Dropped at any point, the refund is settled or
/// `requested`.
pub async fn settle(state: &State, refund: Refund) -> Refund {
    if let Err(unavailable) = state.payments.pass() {
        tracing::warn!(refund = %refund.id, order = %refund.order_id, %unavailable, "a refund waits for the provider");
        return refund;
    }
    match try_settle(state, &refund).await {
        Ok(settled) => Refund { state: settled, ..refund },
        Err(unsettled) => {
            tracing::warn!(refund = %refund.id, order = %refund.order_id, %unsettled, "a refund is asked for again later");
            refund
        }
    }
}

pub(crate) async fn try_settle(state: &State, refund: &Refund) -> Result<RefundState, Unsettled> {
    let said = state.payments.refund(&refund.bill()).await?;
    Ok(write_down(&state.db, refund, &said, instant::now()).await?)
}

/// The one way out of `requested`, for handlers and the sweeper alike. It happens once, whoever comes first; the provider
/// told the others the same.
///
/// On a lease of its own, never shed: what has gone back must be written down.
async fn write_down(
    db: &Db,
    refund: &Refund,
    said: &payments::Refund,
    now: OffsetDateTime,
) -> Result<RefundState, Error> {
    let admission = Admission::without_deadline(Class::Critical);
    admission.begin();
    let mut lease = db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let written = write(&mut tx, refund, said, now).await;
    tx.end(written).await?;
    Ok(RefundState::after(said.outcome))
}

/// Locks the order before its payment, as whoever asks for a refund does.
pub(crate) async fn write(
    tx: &mut Tx<'_>,
    refund: &Refund,
    said: &payments::Refund,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let order = store::fulfilment::lock(&mut tx.conn(), refund.order_id).await?;
    if !store::refunds::leave_requested(&mut tx.conn(), refund, said, now).await? {
        return Ok(());
    }
    match said.outcome {
        RefundOutcome::Succeeded => {
            let is_all = store::refunds::is_all(&mut tx.conn(), refund.payment_id).await?;
            let this = if is_all { Move::Refund } else { Move::RefundPart };
            // A cancelled one stays cancelled.
            if order.is_some_and(|order| this.is_allowed_from(order.stage)) {
                store::fulfilment::advance(&mut tx.conn(), refund.order_id, this.to()).await?;
            }
            if let Some(id) = store::returns::refunded(&mut tx.conn(), refund.id, now).await? {
                let returned = (id, ReturnState::Refunded);
                store::events::record_return(&mut tx.conn(), refund.order_id, returned, now).await?;
            }
            Ok(())
        }
        RefundOutcome::Refused => store::refunds::put_back(&mut tx.conn(), refund).await,
    }
}

impl Refund {
    pub(crate) fn bill(&self) -> RefundBill {
        RefundBill {
            refund_id: self.id,
            order_id: self.order_id,
            attempt: self.attempt,
            amount: self.amount,
            currency: self.currency.clone(),
        }
    }
}

impl RefundState {
    pub(crate) const fn after(outcome: RefundOutcome) -> Self {
        match outcome {
            RefundOutcome::Succeeded => Self::Succeeded,
            RefundOutcome::Refused => Self::Failed,
        }
    }

    /// What is told of it.
    pub(crate) const fn event(self) -> EventKind {
        match self {
            Self::Requested => EventKind::RefundRequested,
            Self::Succeeded => EventKind::RefundSucceeded,
            Self::Failed => EventKind::RefundFailed,
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        match name {
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            _ => Self::Requested,
        }
    }

    /// As it is kept and told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}
