use forebay_platform::address::Address;
use forebay_platform::problem::FieldError;
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
    /// What was in the cart that the buyer was shown: there is no order of any other.
    pub(crate) cart_version: i64,
    /// What it cost, since prices change without the cart: nothing else is charged.
    pub(crate) expected_total: Money,
    #[schema(pattern = "^tok_[A-Za-z0-9_]{1,60}$")]
    pub(crate) payment_token: String,
    pub(crate) address: Address,
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
        lines: &[Line],
        request: &PlaceOrder,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let seen = Seen { version: request.cart_version, total: &request.expected_total };
        let mut items = items_of(lines)?;
        items.sort_unstable_by(|a, b| a.sku.cmp(&b.sku));
        let total = sum(items.iter().map(|item| (&item.unit_price, item.quantity)))
            .ok_or_else(|| Error::invalid("/cart_id", "the cart has no lines that can be summed up"))?;
        let changes = seen.changes(cart.version, lines, &total);
        if !changes.is_empty() {
            return Err(Error::CartChanged { total, changes });
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
fn items_of(lines: &[Line]) -> Result<Vec<Item>, Error> {
    let (mut items, mut gone) = (Vec::with_capacity(lines.len()), Vec::new());
    for line in lines {
        match (&line.name, &line.unit_price) {
            (Some(name), Some(unit_price)) if line.sellable => items.push(Item {
                sku: line.sku.clone(),
                name: name.clone(),
                quantity: line.quantity,
                unit_price: unit_price.clone(),
            }),
            _ => gone.push(line.sku.clone()),
        }
    }
    if gone.is_empty() { Ok(items) } else { Err(Error::ItemUnavailable(gone)) }
}

/// What the buyer was shown: the version is what is in the cart, the total what that cost.
struct Seen<'a> {
    version: i64,
    total: &'a Money,
}

impl Seen<'_> {
    /// What is different now; nothing where nothing is. Of a line it is known since which version it is as it is, and what
    /// one cost then.
    fn changes(&self, version: i64, lines: &[Line], total: &Money) -> Vec<FieldError> {
        let mut changes = Vec::new();
        if version != self.version {
            let named = format!("version {} was named, and it is at version {version}", self.version);
            changes.push(FieldError::new(CART_VERSION, "cart-changed", named));
            for line in lines.iter().filter(|line| line.changed_in > self.version) {
                let now = format!("{}: {} now", line.sku, line.quantity);
                changes.push(FieldError::new(CART_VERSION, "line-changed", now));
            }
        }
        if total != self.total {
            let named = format!("{} was named, and it costs {total}", self.total);
            changes.push(FieldError::new(EXPECTED_TOTAL, "total-changed", named));
            for line in lines {
                let Some((shown, price)) = line.shown_price.zip(line.unit_price.as_ref()) else { continue };
                if shown != price.amount {
                    let detail = format!("{}: {shown} when it was put into the cart, {price} now", line.sku);
                    changes.push(FieldError::new(EXPECTED_TOTAL, "price-changed", detail));
                }
            }
        }
        changes
    }
}

const CART_VERSION: &str = "/cart_version";
const EXPECTED_TOTAL: &str = "/expected_total";

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
