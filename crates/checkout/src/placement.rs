//! How an order is placed: two short transactions, and between them a payment with no lease held.

use forebay_platform::db::Tx;
use forebay_platform::extract::IdempotencyKey;
use forebay_platform::instant;
use forebay_platform::security::{self, Event};
use forebay_pool::Admission;
use uuid::Uuid;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::collect::{Begun, answered_before, collect, resume};
use crate::domain::{Order, PlaceOrder};
use crate::error::Error;
use crate::store::keys::KeyedRequest;
use crate::takeover::GivenUp;
use crate::{State, store, takeover};

/// A request to place an order, checked, with who sends it.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) caller: Caller,
    pub(crate) claim: KeyedRequest,
    /// The id that the order will have.
    pub(crate) order_id: Uuid,
    pub(crate) request: PlaceOrder,
}

impl Placement {
    pub(crate) fn new(caller: Caller, key: &IdempotencyKey, request: PlaceOrder) -> Self {
        let order_id = Uuid::now_v7();
        let claim =
            KeyedRequest::new(caller.key_owner(), key, "order.place", ("POST /v1/orders", &request), instant::now());
        Self { caller, claim: claim.settled_by(order_id), order_id, request }
    }
}

/// Dropped at any point, it leaves a state that [the crate's documentation](crate) says is exact.
pub(crate) async fn place(state: &State, admission: &Admission, placement: Placement) -> Result<Answer, Error> {
    let pass = match state.payments.pass() {
        Ok(pass) => pass,
        Err(unavailable) => {
            return answered_before(state, admission, &placement.claim).await?.ok_or(unavailable.into());
        }
    };
    match begin_or_take_over(state, admission, &placement).await? {
        Begun::Pending(order) => {
            let token = &placement.request.payment_token;
            Ok(collect(state, admission, pass, &placement.claim, &order, token).await)
        }
        Begun::Answered(answer) => Ok(answer),
    }
}

/// What is short may be held by an unpaid order of the same account; then that one makes way.
async fn begin_or_take_over(state: &State, admission: &Admission, placement: &Placement) -> Result<Begun, Error> {
    let short = match begin(state, admission, placement, &[]).await {
        Err(short @ Error::InsufficientStock(_)) => short,
        begun => return begun,
    };
    let cart_id = placement.request.cart_id;
    let Some(user_id) = placement.caller.user else { return Err(short) };
    let Some(given_up) = takeover::give_up_own(state, admission, user_id, cart_id).await? else { return Err(short) };
    let begun = begin(state, admission, placement, &given_up).await;
    // Refused after all, or the same key was faster.
    if !matches!(begun, Ok(Begun::Pending(_))) {
        takeover::let_go(state, &given_up).await;
    }
    begun
}

/// Tx A: the key, the cart, the order, the stock; all of it or nothing.
async fn begin(
    state: &State,
    admission: &Admission,
    placement: &Placement,
    given_up: &[GivenUp],
) -> Result<Begun, Error> {
    let mut lease = state.db.acquire(admission).await?;
    let mut tx = lease.begin().await?;
    let written = write(&mut tx, placement, given_up, state.reservation_ttl).await;
    match tx.end(written).await? {
        Some(order) => {
            security::record(Event::OrderPlaced { order: order.id }, order.user_id);
            Ok(Begun::Pending(order))
        }
        None => resume(&mut lease.conn(), &placement.claim).await,
    }
}

/// Nothing is written, and there is no order, where the key was used before.
async fn write(
    tx: &mut Tx<'_>,
    placement: &Placement,
    given_up: &[GivenUp],
    reservation_ttl: std::time::Duration,
) -> Result<Option<Order>, Error> {
    let Placement { caller, claim, order_id, request } = placement;
    let now = claim.now;
    if !store::keys::claim(&mut tx.conn(), claim).await? {
        return Ok(None);
    }
    let cart = caller.may_change(store::carts::lock(&mut tx.conn(), request.cart_id).await?)?;
    let lines = store::carts::lines(&mut tx.conn(), cart.id).await?;
    let until = now + reservation_ttl;
    let order = Order::place(*order_id, caller.user, &cart, &lines, request, (now, until))?;
    let order = store::orders::insert(&mut tx.conn(), order).await?;
    takeover::make_way(tx, given_up, &order, now).await?;
    // Last, so that the rows that everyone wants are locked for the shortest time.
    let short = store::stock::reserve(&mut tx.conn(), &order, until).await?;
    if short.is_empty() { Ok(Some(order)) } else { Err(Error::InsufficientStock(short)) }
}
