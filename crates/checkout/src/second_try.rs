//! An order that was declined is paid for again, while its units are held.
//!
//! Each attempt has a number, and a charge of its own at the provider. The next one begins only once the last one is written
//! down as one that took no money, so that two of them never do; and only one is under way, since the order is pending then.

use forebay_platform::db::Tx;
use forebay_platform::instant;
use forebay_pool::Admission;
use uuid::Uuid;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::collect::{ABANDONED_AFTER, Begun, answered_before, collect, resume};
use crate::domain::{Move, Order, PayAgain, Status};
use crate::error::Error;
use crate::settlement::write_down;
use crate::store::keys::KeyedRequest;
use crate::{State, store};

/// A request to pay again, checked, with who sends it.
#[derive(Debug)]
pub(crate) struct SecondTry {
    pub(crate) caller: Caller,
    pub(crate) order_id: Uuid,
    pub(crate) claim: KeyedRequest,
    pub(crate) request: PayAgain,
}

/// Dropped at any point, it leaves a state that [the crate's documentation](crate) says is exact.
pub(crate) async fn pay_again(state: &State, admission: &Admission, request: SecondTry) -> Result<Answer, Error> {
    let pass = match state.payments.pass() {
        Ok(pass) => pass,
        Err(unavailable) => return answered_before(state, admission, &request.claim).await?.ok_or(unavailable.into()),
    };
    settle_abandoned(state, admission, &request).await?;
    match begin(state, admission, &request).await? {
        Begun::Pending(order) => {
            let token = &request.request.payment_token;
            Ok(collect(state, admission, pass, &request.claim, &order, token).await)
        }
        Begun::Answered(answer) => Ok(answer),
    }
}

/// The last attempt may have been left without an answer. Before there is another one the provider is told that it will not
/// be collected; where it was, the order is paid.
async fn settle_abandoned(state: &State, admission: &Admission, request: &SecondTry) -> Result<(), Error> {
    let mut lease = state.db.acquire(admission).await?;
    let order = store::orders::of(&mut lease.conn(), request.order_id, &request.caller).await?;
    let order = order.ok_or(Error::NotFound("order"))?;
    let repeated = store::keys::find(&mut lease.conn(), &request.claim).await?.is_some();
    drop(lease);
    let abandoned = order.status == Status::PendingPayment && order.tried_at < request.claim.now - ABANDONED_AFTER;
    if abandoned && !repeated {
        let charge = state.payments.void(&order.bill()).await?;
        write_down(&state.db, &order, &charge, Move::Fail, instant::now()).await?;
    }
    Ok(())
}

/// The key and the next attempt; both or neither.
async fn begin(state: &State, admission: &Admission, request: &SecondTry) -> Result<Begun, Error> {
    let mut lease = state.db.acquire(admission).await?;
    let mut tx = lease.begin().await?;
    let written = write(&mut tx, request).await;
    match tx.end(written).await? {
        Some(order) => Ok(Begun::Pending(order)),
        None => resume(&mut lease.conn(), &request.claim).await,
    }
}

/// Nothing is written, and there is no attempt, where the key was used before.
async fn write(tx: &mut Tx<'_>, SecondTry { order_id, claim, .. }: &SecondTry) -> Result<Option<Order>, Error> {
    if !store::keys::claim(&mut tx.conn(), claim).await? {
        return Ok(None);
    }
    let began = store::orders::try_again(&mut tx.conn(), *order_id, claim.now).await?;
    let order = store::orders::by_id(&mut tx.conn(), *order_id).await?.ok_or(Error::NotFound("order"))?;
    if began { Ok(Some(order)) } else { Err(Error::OrderState(order.status)) }
}
