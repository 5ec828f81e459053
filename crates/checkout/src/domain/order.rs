use forebay_platform::address::Address;
use forebay_platform::email::EmailAddress;
use forebay_platform::instant;
use forebay_platform::page::Moment;
use forebay_platform::problem::FieldError;
use forebay_platform::text::Check;
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::cart::{Line, sum};
use super::{Cart, Money, Place};
use crate::caller::Caller;
use crate::error::Error;
use crate::payments::Bill;

mod status;

pub(crate) use status::{Move, Status};

/// A cart that is to be bought, as its buyer was shown it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceOrder {
    /// Which cart.
    pub(crate) cart_id: Uuid,
    /// The `version` that the buyer was shown: where it is another one by now nothing is ordered.
    pub(crate) cart_version: i64,
    /// The `total` that the buyer was shown: where it costs something else by now nothing is charged.
    pub(crate) expected_total: Money,
    /// Of the payment provider. The simulated one knows `tok_ok`, `tok_decline` and `tok_lost`.
    #[schema(pattern = "^tok_[A-Za-z0-9_]{1,60}$")]
    pub(crate) payment_token: String,
    /// Where it goes.
    pub(crate) address: Address,
    /// Where the buyer hears of it. A guest has to say it.
    #[schema(format = "email")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) contact_email: Option<String>,
}

impl PlaceOrder {
    /// A guest has nothing else to hear of it by than an e-mail address.
    pub(crate) fn check(&self, caller: &Caller) -> Result<(), Error> {
        let mut checked = payment_token(Check::default(), &self.payment_token);
        let is_reached = caller.user.is_some() || self.contact_email.is_some();
        checked = checked.rule(is_reached, "/contact_email", "is required without an account");
        if let Some(Err(rule)) = self.contact_email.as_deref().map(EmailAddress::parse) {
            checked = checked.rule(false, "/contact_email", rule);
        }
        self.address.check(checked, "/address").finish().map_err(Error::Invalid)
    }
}

/// Another attempt to pay for an order.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayAgain {
    /// Of the payment provider. The simulated one knows `tok_ok`, `tok_decline` and `tok_lost`.
    #[schema(pattern = "^tok_[A-Za-z0-9_]{1,60}$")]
    pub(crate) payment_token: String,
}

impl PayAgain {
    pub(crate) fn check(&self) -> Result<(), Error> {
        payment_token(Check::default(), &self.payment_token).finish().map_err(Error::Invalid)
    }
}

fn payment_token(check: Check, token: &str) -> Check {
    let rest = token.strip_prefix("tok_").unwrap_or_default();
    let holds = (1..=60).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    check.rule(holds, "/payment_token", "must look like tok_ok")
}

/// What was ordered of a SKU.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OrderItem)]
pub(crate) struct Item {
    /// Which SKU.
    pub(crate) sku: String,
    /// Of its product, when it was ordered.
    pub(crate) name: String,
    /// How many units.
    pub(crate) quantity: i32,
    /// Of one unit, when it was ordered.
    pub(crate) unit_price: Money,
}

/// An order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Order {
    /// Names it in a path.
    pub(crate) id: Uuid,
    /// What people call it by.
    pub(crate) number: String,
    /// None where it is a guest's.
    #[serde(skip)]
    pub(crate) user_id: Option<Uuid>,
    #[serde(skip)]
    pub(crate) cart_id: Uuid,
    /// How far it is.
    pub(crate) status: Status,
    /// The same, but of an order of which a part went back where it was before: it goes on from there.
    #[serde(skip)]
    pub(crate) stage: Status,
    /// Counts its changes: who moves an order from what he has read finds it as he has read it, or leaves it.
    #[serde(skip)]
    pub(crate) version: i64,
    /// Which attempt to pay for it is under way, or was the last one; from 1 on.
    #[serde(skip)]
    pub(crate) attempt: i16,
    /// What was charged for it, or will be.
    pub(crate) total: Money,
    /// When it was ordered.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) placed_at: OffsetDateTime,
    /// When that attempt began.
    #[serde(skip)]
    pub(crate) tried_at: OffsetDateTime,
    /// Until when its units are held while it is not paid. Left out where none are held.
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    pub(crate) reserved_until: Option<OffsetDateTime>,
    /// Where the buyer hears of it. Left out where nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) contact_email: Option<String>,
    /// Where it goes.
    #[schema(value_type = Address)]
    pub(crate) address: serde_json::Value,
    /// By SKU, each once.
    pub(crate) items: Vec<Item>,
}

impl Order {
    /// What the cart becomes, at the server's prices of this moment.
    pub(crate) fn place(
        id: Uuid,
        user_id: Option<Uuid>,
        cart: &Cart,
        lines: &[Line],
        request: &PlaceOrder,
        (now, until): (OffsetDateTime, OffsetDateTime),
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
            number: String::new(),
            user_id,
            cart_id: cart.id,
            status: Status::PendingPayment,
            stage: Status::PendingPayment,
            version: 1,
            attempt: 1,
            total,
            placed_at: now,
            tried_at: now,
            reserved_until: Some(until),
            contact_email: request.contact_email.clone(),
            address,
            items,
        })
    }

    /// As it is after this.
    pub(crate) fn after(self, this: Move) -> Self {
        let (status, stage) = (this.to(), this.leads_to(self.stage));
        let reserved_until = self.reserved_until.filter(|_| status.holds_units());
        Self { status, stage, version: self.version + 1, reserved_until, ..self }
    }

    /// What the provider is asked to collect.
    pub(crate) fn bill(&self) -> Bill {
        Bill {
            order_id: self.id,
            attempt: self.attempt,
            amount: self.total.amount,
            currency: self.total.currency.clone(),
        }
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

fn optional_instant<S: Serializer>(at: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => instant::serialize(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// An order in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderSummary {
    /// Names it in a path.
    pub(crate) id: Uuid,
    /// What people call it by.
    pub(crate) number: String,
    /// How far it is.
    pub(crate) status: Status,
    /// What was charged for it, or will be.
    pub(crate) total: Money,
    /// How many things were ordered.
    pub(crate) units: i64,
    /// When it was ordered.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) placed_at: OffsetDateTime,
}

impl OrderSummary {
    pub(crate) fn place(&self) -> Place {
        (Moment(self.placed_at), self.id)
    }
}

/// An order, with its payments and all that became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderDetail {
    #[serde(flatten)]
    pub(crate) order: Order,
    /// Every attempt to pay, the first one first.
    pub(crate) payments: Vec<PaymentView>,
    /// What happened, the first one first.
    pub(crate) events: Vec<Event>,
}

/// An attempt to pay for an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub(crate) struct PaymentView {
    /// Stays the same.
    pub(crate) id: Uuid,
    /// `succeeded`, `declined`, or `voided`: it was given up before anything was charged.
    pub(crate) state: String,
    /// How much.
    pub(crate) amount: Money,
    /// What of it is asked back, or went back.
    pub(crate) refunded: Money,
    /// When its outcome was known.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) created_at: OffsetDateTime,
}

/// What happened to an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderEvent)]
pub(crate) struct Event {
    /// Such as `placed`, `paid` or `shipped`. More may come.
    pub(crate) kind: String,
    /// When it happened.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) at: OffsetDateTime,
}
