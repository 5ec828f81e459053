//! Money, carts and orders.

use forebay_platform::page::Moment;
use serde::{Deserialize, Serialize};
use time::macros::datetime;
use utoipa::ToSchema;
use uuid::Uuid;

mod cart;
mod event;
mod fulfilment;
mod inventory;
mod order;
mod returns;
mod stock;

pub(crate) use cart::{
    Cart, CartStatus, CartToken, CartView, ClaimedCart, Line, MAX_QUANTITY, NewCart, Quantity, TokenHash,
};
pub(crate) use event::EventKind;
pub(crate) use fulfilment::{EventView, OrderFile, OrderLine, OrdersQuery, RefundView, Shipment, Wanted, WantedRefund};
pub(crate) use inventory::{Adjust, Adjusted, Adjustment, MOST_ON_HAND, Stock, StockQuery, StockView};
pub(crate) use order::{
    Event, Item, Move, Order, OrderDetail, OrderSummary, PayAgain, PaymentView, PlaceOrder, Status,
};
pub(crate) use returns::{
    Receipt, ReceivedReturn, RequestReturn, Return, ReturnFile, ReturnItem, ReturnMove, ReturnState, ReturnsQuery,
};
pub(crate) use stock::{Availability, AvailabilityQuery, ChangesQuery, Reading, Round};
pub use stock::{Level, LevelChanges, SkuLevel};

/// Where a row of a list is that begins with the newest.
pub(crate) type Place = (Moment, Uuid);

/// Before every row of such a list.
pub(crate) const NEWEST: Place = (Moment(datetime!(9999-12-31 23:59:59 UTC)), Uuid::max());

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Money {
    /// In minor units, such as cents.
    pub(crate) amount: i64,
    /// A code of ISO 4217, such as `EUR`.
    pub(crate) currency: String,
}

impl Money {
    /// Nothing where that is beyond all money.
    pub(crate) fn times(&self, quantity: i32) -> Option<Self> {
        let amount = self.amount.checked_mul(i64::from(quantity))?;
        Some(Self { amount, currency: self.currency.clone() })
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}
