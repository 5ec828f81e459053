//! One's own unpaid order does not keep the last units from oneself: a new order of the same account takes them over.
//!
//! It is as exact as the sweeper, by the same means. The provider is told first, with no lease held, that the old order will
//! not be paid; it answers with the charge when there was one, and then the order is paid. What was voided makes way within
//! the new order's own transaction: whether it commits or not, nobody else gets the units in between.

use forebay_platform::db::Tx;
use forebay_platform::instant;
use forebay_pool::Admission;
use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;

use crate::domain::{Move, Order, Status};
use crate::error::Error;
use crate::payments::{Charge, Outcome};
use crate::settlement::{leave, write_down};
use crate::{State, store};

/// An order that will not be charged, and still holds its units.
#[derive(Debug)]
pub(crate) struct GivenUp {
    order: Order,
    /// What the provider says of the attempt that was under way; nothing where none was.
    voided: Option<Charge>,
}

/// Gives up every unpaid order of the buyer that holds what the cart lacks, if all of them together hold enough of it.
/// None where there is none. One that turns out to be charged or declined is settled as that.
///
/// Dropped at any point, an order is pending and voided at most, which the sweeper settles.
pub(crate) async fn give_up_own(
    state: &State,
    admission: &Admission,
    user_id: Uuid,
    cart_id: Uuid,
) -> Result<Option<Vec<GivenUp>>, Error> {
    let orders = in_the_way(state, admission, user_id, cart_id).await?;
    if orders.is_empty() {
        return Ok(None);
    }
    let mut given_up = Vec::with_capacity(orders.len());
    for order in orders {
        if order.status == Status::PaymentFailed {
            given_up.push(GivenUp { order, voided: None });
            continue;
        }
        let Ok(Ok(charge)) = timeout(admission.remaining(), state.payments.void(&order.bill())).await else {
            tracing::warn!(order = %order.id, "the provider does not say whether this unpaid order may make way");
            continue;
        };
        if charge.outcome == Outcome::Voided {
            given_up.push(GivenUp { order, voided: Some(charge) });
            continue;
        }
        let settled = write_down(&state.db, &order, &charge, Move::Expire, instant::now()).await?;
        let declined = settled.filter(|order| order.status == Status::PaymentFailed);
        given_up.extend(declined.map(|order| GivenUp { order, voided: None }));
    }
    Ok(Some(given_up))
}

async fn in_the_way(state: &State, admission: &Admission, user_id: Uuid, cart_id: Uuid) -> Result<Vec<Order>, Error> {
    let mut lease = state.db.acquire(admission).await?;
    let ids = store::orders::in_the_way(&mut lease.conn(), user_id, cart_id).await?;
    let mut orders = Vec::with_capacity(ids.len());
    for id in ids {
        orders.extend(store::orders::by_id(&mut lease.conn(), id).await?);
    }
    Ok(orders)
}

/// Frees what these orders hold, for `order`, in its transaction.
///
/// As everywhere orders are locked before stock, and each in one order for all: two that wait for each other in a circle
/// would both be lost.
pub(crate) async fn make_way(
    tx: &mut Tx<'_>,
    given_up: &[GivenUp],
    order: &Order,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut left = Vec::with_capacity(given_up.len());
    for GivenUp { order: old, voided } in given_up {
        let has_left = match voided {
            Some(charge) => leave(tx, old, charge, Move::Expire, now).await?.is_some(),
            None => store::orders::advance(&mut tx.conn(), old, Move::Expire, now).await?,
        };
        if has_left {
            tracing::info!(order = %old.id, by = %order.id, "an unpaid order makes way for a new one of its buyer");
            left.push(old);
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let all = left.iter().copied().chain([order]);
    let skus: Vec<_> = all.flat_map(|order| &order.items).map(|item| item.sku.clone()).collect();
    store::stock::lock(&mut tx.conn(), &skus).await?;
    for old in left {
        store::stock::release(&mut tx.conn(), old).await?;
    }
    Ok(())
}

/// They made way for nothing: the units of those that were voided are free for all now. What fails here the sweeper does.
pub(crate) async fn let_go(state: &State, given_up: &[GivenUp]) {
    for GivenUp { order, voided } in given_up {
        let Some(charge) = voided else { continue };
        if let Err(error) = write_down(&state.db, order, charge, Move::Expire, instant::now()).await {
            tracing::warn!(order = %order.id, %error, "an order that was given up stays pending until the next sweep");
        }
    }
}
