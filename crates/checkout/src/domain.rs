//! Money, carts and orders.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod cart;
mod order;

pub(crate) use cart::{Cart, CartStatus, CartToken, CartView, Line, NewCart, Quantity, TokenHash};
pub(crate) use order::{Event, Item, Order, OrderDetail, PaymentView, PlaceOrder, Status};

/// Minor units (cents) and an ISO 4217 code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Money {
    pub(crate) amount: i64,
    pub(crate) currency: String,
}
