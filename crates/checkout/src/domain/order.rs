use forebay_platform::address::Address;
use forebay_platform::text::Check;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::cart::{Line, sum};
use super::{Cart, Money};
use crate::error::Error;
use crate::payments::{Bill, Outcome};

/// The body of `POST /v1/orders`.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceOrder {
    pub(crate) cart_id: Uuid,
    pub(crate) payment_token: String,
    pub(crate) address: Address,
    /// What the buyer was shown that it costs: at any other total there is no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expected_total: Option<Money>,
}

impl PlaceOrder {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let token = self.payment_token.strip_prefix("tok_").unwrap_or_default();
        let token_holds =
            (1..=60).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let checked = Check::default().rule(token_holds, "/payment_token", "must look like tok_ok");
        self.address.check(checked, "/address").finish().map_err(Error::Invalid)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OrderStatus)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Leaves for one of the next three, once.
    PendingPayment,
    Paid,
    PaymentFailed,
    Expired,
    /// Later states of the contract; nothing here moves an order into them.
    Shipped,
    Delivered,
    Cancelled,
    Refunded,
    PartiallyRefunded,
}

impl Status {
    /// Where a pending order goes.
    pub(crate) fn after(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Approved => Self::Paid,
            Outcome::Declined => Self::PaymentFailed,
            Outcome::Voided => Self::Expired,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PendingPayment => "pending_payment",
            Self::Paid => "paid",
            Self::PaymentFailed => "payment_failed",
            Self::Expired => "expired",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
            Self::PartiallyRefunded => "partially_refunded",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        use Status::{
            Cancelled, Delivered, Expired, Paid, PartiallyRefunded, PaymentFailed, PendingPayment, Refunded, Shipped,
        };
        let all =
            [PendingPayment, Paid, PaymentFailed, Expired, Shipped, Delivered, Cancelled, Refunded, PartiallyRefunded];
        all.into_iter().find(|status| status.as_str() == name)
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OrderItem)]
pub(crate) struct Item {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) quantity: i32,
    pub(crate) unit_price: Money,
}

/// An order, as it is kept and as it is answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    #[serde(skip)]
    pub(crate) user_id: Uuid,
    #[serde(skip)]
    pub(crate) cart_id: Uuid,
    pub(crate) status: Status,
    pub(crate) total: Money,
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) placed_at: OffsetDateTime,
    #[schema(value_type = Address)]
    pub(crate) address: serde_json::Value,
    /// Ascending by SKU: the order in which every transaction locks stock, so that none waits for another in a circle.
    pub(crate) items: Vec<Item>,
}

impl Order {
    /// What the cart becomes, at the server's prices of this moment.
    pub(crate) fn place(
        id: Uuid,
        user_id: Uuid,
        cart: &Cart,
        lines: Vec<Line>,
        request: &PlaceOrder,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let mut items = items_of(lines)?;
        items.sort_unstable_by(|a, b| a.sku.cmp(&b.sku));
        let total = sum(items.iter().map(|item| (&item.unit_price, item.quantity)))
            .ok_or_else(|| Error::invalid("/cart_id", "the cart has no lines that can be summed up"))?;
        if request.expected_total.as_ref().is_some_and(|expected| *expected != total) {
            return Err(Error::CartChanged(total));
        }
        let address = serde_json::to_value(&request.address).expect("strings always serialize");
        Ok(Self {
            id,
            user_id,
            cart_id: cart.id,
            status: Status::PendingPayment,
            total,
            placed_at: now,
            address,
            items,
        })
    }

    /// What the provider is asked to collect.
    pub(crate) fn bill(&self) -> Bill {
        Bill { order_id: self.id, attempt: 1, amount: self.total.amount, currency: self.total.currency.clone() }
    }
}

/// All of them, or which are not sold any more: nobody pays for a part of what the cart showed.
fn items_of(lines: Vec<Line>) -> Result<Vec<Item>, Error> {
    let (mut items, mut gone) = (Vec::with_capacity(lines.len()), Vec::new());
    for Line { sku, name, quantity, unit_price, sellable } in lines {
        match (name, unit_price) {
            (Some(name), Some(unit_price)) if sellable => items.push(Item { sku, name, quantity, unit_price }),
            _ => gone.push(sku),
        }
    }
    if gone.is_empty() { Ok(items) } else { Err(Error::ItemUnavailable(gone)) }
}

/// The answer of `GET /v1/orders/{id}`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderDetail {
    #[serde(flatten)]
    pub(crate) order: Order,
    pub(crate) payments: Vec<PaymentView>,
    pub(crate) events: Vec<Event>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub(crate) struct PaymentView {
    pub(crate) id: Uuid,
    pub(crate) state: String,
    pub(crate) amount: Money,
    /// What of it is asked back, or went back.
    pub(crate) refunded: Money,
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) created_at: OffsetDateTime,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderEvent)]
pub(crate) struct Event {
    pub(crate) kind: String,
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) at: OffsetDateTime,
}
