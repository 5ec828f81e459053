//! Serves carts and orders, exact under concurrency.
//!
//! # Why an order is exact, wherever the process or the database is killed
//!
//! Placing an order is three steps, and each leaves a state that says what remains to be done:
//!
//! 1. **Tx A** takes the idempotency key and the cart, writes the order as `pending_payment` and reserves its stock, all
//!    or nothing. Killed before its COMMIT, nothing happened; the key is free again.
//! 2. **The payment provider is asked with no lease held.** It keeps one charge per order and attempt: asked again, it
//!    answers again, and takes no money twice. Killed here, the order is pending and its stock is held.
//! 3. **Tx B** moves the order out of `pending_payment`, guarded by that state, and with it writes the payment, consumes
//!    or frees the stock and stores the answer, all or nothing. It happens once, whoever comes first: the handler, a
//!    retry with the same key that takes over an abandoned claim, or the sweeper.
//!
//! A declined order is `payment_failed` and keeps its stock until its reservation ends. To pay again is the same three steps with
//! the next attempt's number: its Tx A moves the order back to `pending_payment`, which only one does; each attempt has a charge
//! of its own, and none begins before the last one is written down as one that took no money.
//!
//! What was left pending is settled by [`sweep`]. It asks the provider what happened: charged, then the order is paid;
//! declined, then it may be paid for again, and once its reservation ends its stock is free. An order that is still not charged a
//! minute after its attempt began, or when its reservation ends, is *voided* at the provider first, which is the one decision both sides obey: the provider answers
//! with the charge if there was one, and else refuses every later charge for it. So no order is paid twice, none is
//! charged without becoming paid, and no unit stays reserved. One order that cannot be settled keeps no other from it.
//!
//! To cancel an unpaid order is to void it as well. Every move is guarded by the state and the attempt from which it was decided:
//! of a cancel, a payment and the end of a reservation at once one moves the order, and the others find it elsewhere.
//!
//! Money goes back the same way ([`refunds`]): written as `requested`, given by the provider, written down, and asked for again
//! by the sweeper where any of this was interrupted.
//!
//! An order of a buyer whose own unpaid order holds what is short does the same before that minute is over: the old one is
//! voided at the provider, and makes way in the new one's Tx A.

use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post, put};
use forebay_platform::admit::Admit;
use forebay_platform::db::Db;
use forebay_platform::identity::Verifier;
use forebay_platform::problem;
use forebay_pool::Class;
use sqlx::migrate::Migrator;

mod answer;
mod caller;
mod cancellation;
mod cleaning;
mod collect;
mod domain;
mod error;
pub mod events;
mod levels;
mod openapi;
pub mod payments;
mod placement;
pub mod reconciliation;
pub mod refunds;
mod routes;
mod second_try;
mod settlement;
mod store;
mod sweeper;
mod takeover;
mod webhooks;

/// The names of this service's quotas, as clients see them.
pub mod quotas {
    /// New carts.
    pub const CARTS: &str = "carts";
    /// Orders, and repeats of orders.
    pub const ORDERS: &str = "orders";
}

pub use cleaning::{Cleaned, clean, keep_clean};
pub use domain::{Level, LevelChanges, SkuLevel};
pub use levels::level_changes;
pub use openapi::openapi;
pub use payments::Payments;
pub use sweeper::{SweepError, Swept, spawn_sweeper, sweep};

/// The schemas `checkout` and `payment_simulator`. The three services share one table of applied migrations, so each
/// ignores the others' rows. Reads `catalog.sku_prices`: migrate the catalog first.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("../../migrations/checkout");
    migrator.set_ignore_missing(true);
    migrator
});

/// What the handlers share.
#[derive(Clone)]
pub struct State {
    db: Db,
    admit: Admit,
    verifier: Verifier,
    payments: Payments,
    reservation_ttl: Duration,
}

impl State {
    /// Leases from `db` under the name `checkout`; `admit` guards the door; an order that is not charged after a minute,
    /// or after `reservation_ttl` if that is shorter, is given up by the sweeper.
    #[must_use]
    pub fn new(db: Db, admit: Admit, verifier: Verifier, payments: Payments, reservation_ttl: Duration) -> Self {
        Self { db: db.named("checkout"), admit, verifier, payments, reservation_ttl }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("db", &self.db).field("payments", &self.payments).finish_non_exhaustive()
    }
}

impl FromRef<State> for Verifier {
    fn from_ref(state: &State) -> Self {
        state.verifier.clone()
    }
}

/// What only those who run the shop may ask. Their lists are of low class: customers come first.
fn for_admins(state: &State) -> Router<State> {
    use routes::admin::{inventory, orders, refunds, returns};
    let changes = Router::new()
        .route("/v1/admin/orders/{id}/ship", post(orders::ship))
        .route("/v1/admin/orders/{id}/deliver", post(orders::deliver))
        .route("/v1/admin/orders/{id}/refund", post(refunds::refund))
        .route("/v1/admin/returns/{id}/approve", post(returns::approve))
        .route("/v1/admin/returns/{id}/reject", post(returns::reject))
        .route("/v1/admin/returns/{id}/receive", post(returns::receive))
        .route("/v1/admin/inventory/{sku}/adjustments", post(inventory::adjust))
        .route_layer(state.admit.class(Class::Normal));
    Router::new()
        .route("/v1/admin/orders", get(orders::list))
        .route("/v1/admin/orders/{id}", get(orders::read))
        .route("/v1/admin/returns", get(returns::list))
        .route("/v1/admin/inventory", get(inventory::list))
        .route_layer(state.admit.class(Class::Low))
        .merge(changes)
}

/// The routes of this service. Placing an order, and what its payment came to, are critical: it is what the shop lives on.
pub fn router(state: State) -> Router {
    let normal = state.admit.class(Class::Normal);
    let background = state.admit.class(Class::Background);
    let (high, low) = (state.admit.class(Class::High), state.admit.class(Class::Low));
    let paying = |routes| state.admit.within(quotas::ORDERS, routes).layer(state.admit.class(Class::Critical));
    let item = put(routes::carts::put_item).delete(routes::carts::remove_item);
    Router::new()
        .route("/v1/carts", state.admit.within(quotas::CARTS, post(routes::carts::create)))
        .route("/v1/cart", get(routes::carts::read_own))
        .route("/v1/carts/{id}", get(routes::carts::read))
        .route("/v1/carts/{id}/items/{sku}", item)
        .route("/v1/carts/{id}/claim", post(routes::carts::claim))
        .route("/v1/availability", get(routes::availability::exact))
        .route_layer(normal)
        .route("/v1/availability/changes", get(routes::availability::changes).layer(background))
        .route("/v1/orders/{id}", get(routes::orders::read).layer(high.clone()))
        .route("/v1/orders/{id}/cancel", post(routes::orders::cancel).layer(high))
        .route("/v1/orders/{id}/payment", paying(post(routes::orders::pay_again)))
        .route("/v1/orders", paying(post(routes::orders::place)).merge(get(routes::orders::list).layer(low.clone())))
        .route("/v1/orders/{id}/returns", post(routes::returns::request).layer(low.clone()))
        .route("/v1/returns", get(routes::returns::list).layer(low.clone()))
        .route("/v1/returns/{id}", get(routes::returns::read).layer(low))
        .route("/v1/payments/webhook", post(routes::webhooks::payment).layer(state.admit.class(Class::Critical)))
        .merge(for_admins(&state))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(state)
}
