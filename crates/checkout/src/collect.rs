//! One attempt to have an order paid, whoever asks for it: begun in a transaction of theirs, collected here.

use forebay_platform::db::Conn;
use forebay_platform::instant;
use forebay_pool::Admission;
use time::Duration;

use crate::answer::Answer;
use crate::domain::{Move, Order};
use crate::error::Error;
use crate::payments::Pass;
use crate::settlement::write_down;
use crate::store::keys::{KeyedRequest, UsedKey};
use crate::{State, store};

/// A claim or an attempt this old, still without an answer, was abandoned: its process died, or its client left. The next
/// request goes on where it stopped, which is safe, since every step from here on happens only once.
pub(crate) const ABANDONED_AFTER: Duration = Duration::seconds(15);

/// What the idempotency key says.
pub(crate) enum Begun {
    /// The order is pending and its payment is ours to ask for.
    Pending(Order),
    /// This request was answered before.
    Answered(Answer),
}

/// The key was used before: the same answer again, or a refusal, or going on with what was abandoned.
pub(crate) async fn resume(conn: &mut Conn<'_>, claim: &KeyedRequest) -> Result<Begun, Error> {
    match store::keys::find(conn, claim).await? {
        Some(UsedKey { answer: Some(answer), .. }) => Ok(Begun::Answered(answer.replayed())),
        Some(UsedKey { order_id: Some(order_id), .. })
            if store::keys::take_over(conn, claim, claim.now - ABANDONED_AFTER).await? =>
        {
            let order = store::orders::by_id(conn, order_id).await?;
            order.map(Begun::Pending).ok_or(Error::InFlight)
        }
        // Or gone again: its transaction was rolled back after ours had seen it.
        _ => Err(Error::InFlight),
    }
}

/// While nobody can pay nothing is begun; what was answered is answered again.
pub(crate) async fn answered_before(
    state: &State,
    admission: &Admission,
    claim: &KeyedRequest,
) -> Result<Option<Answer>, Error> {
    let mut lease = state.db.acquire(admission).await?;
    store::keys::replay(&mut lease.conn(), claim).await
}

/// Asks for the payment, with no lease held, and writes down what became of it.
///
/// Work has been done, so whatever fails here, the answer is that the order is pending. Dropped at any point, it is.
pub(crate) async fn collect(
    state: &State,
    admission: &Admission,
    pass: Pass,
    claim: &KeyedRequest,
    order: &Order,
    payment_token: &str,
) -> Answer {
    let left = admission.remaining();
    if left.is_zero() {
        return pending(order, &"nobody waits for the payment any more");
    }
    let charge = match state.payments.charge(pass, &order.bill(), payment_token, left).await {
        Ok(charge) => charge,
        Err(unknown) => return pending(order, &unknown),
    };
    let written = match write_down(&state.db, order, &charge, Move::Expire, instant::now()).await {
        Ok(Some(settled)) => Ok(Answer::about(&settled)),
        // Somebody else was first, and kept the answer.
        Ok(None) => answered_before(state, admission, claim).await.and_then(|answer| answer.ok_or(Error::InFlight)),
        Err(error) => Err(error),
    };
    written.unwrap_or_else(|error| pending(order, &error))
}

fn pending(order: &Order, reason: &dyn std::fmt::Display) -> Answer {
    tracing::warn!(order = %order.id, %reason, "the payment is not settled yet; the sweeper will see to it");
    Answer::about(order)
}
