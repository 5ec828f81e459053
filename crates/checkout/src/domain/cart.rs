use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Money;
use crate::error::Error;

/// How many different SKUs a cart holds.
const MAX_LINES: usize = 100;
/// How many units of one.
pub(crate) const MAX_QUANTITY: i32 = 99;

pub(crate) type TokenHash = [u8; 32];

/// The secret that opens a cart without an account; only its hash is kept.
#[derive(Debug)]
pub(crate) struct CartToken {
    pub(crate) secret: String,
    pub(crate) hash: TokenHash,
}

impl CartToken {
    pub(crate) fn generate() -> Self {
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let hash = Self::hash_of(secret.as_bytes());
        Self { secret, hash }
    }

    pub(crate) fn hash_of(secret: &[u8]) -> TokenHash {
        Sha256::digest(secret).into()
    }
}

/// Whether a cart can still be filled: `ordered` is one that was bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CartStatus {
    Open,
    Ordered,
    /// What was in it is in the open cart of its account; nobody is shown it any more.
    #[serde(skip)]
    Merged,
}

#[derive(Clone, Debug)]
pub(crate) struct Cart {
    pub(crate) id: Uuid,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) token_hash: TokenHash,
    pub(crate) status: CartStatus,
    pub(crate) version: i64,
}

/// A line of a cart, at today's price.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CartLine)]
pub(crate) struct Line {
    /// What is in the cart.
    pub(crate) sku: String,
    /// Of its product; null, as the price, where the shop does not know the SKU any more.
    pub(crate) name: Option<String>,
    /// How many units.
    pub(crate) quantity: i32,
    /// Of one unit; null where there is none.
    pub(crate) unit_price: Option<Money>,
    /// Of all units; null where there is no price.
    pub(crate) line_total: Option<Money>,
    /// False once the shop no longer sells it: the cart can be ordered when the line is removed.
    pub(crate) sellable: bool,
    /// How many units could be ordered now, 99 at most.
    pub(crate) available: i32,
    /// The cart's version when the line was last changed; 0 where that was not written down.
    #[serde(skip)]
    pub(crate) changed_in: i64,
    /// What one cost then, in minor units.
    #[serde(skip)]
    pub(crate) shown_price: Option<i64>,
}

/// How much of a SKU is in the cart from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quantity {
    /// 0 removes the line.
    #[schema(minimum = 0, maximum = 99)]
    quantity: i64,
}

impl Quantity {
    pub(crate) fn parse(&self) -> Result<i32, Error> {
        let allowed = i32::try_from(self.quantity).ok().filter(|quantity| (0..=MAX_QUANTITY).contains(quantity));
        allowed.ok_or_else(|| Error::invalid("/quantity", "must be between 0 and 99"))
    }
}

/// A cart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cart)]
pub(crate) struct CartView {
    /// Names it in a path.
    id: Uuid,
    /// Whether it can still be filled.
    status: CartStatus,
    /// Goes up with each change of its lines; an order names it.
    version: i64,
    /// In the order in which they were put in.
    items: Vec<Line>,
    /// Of what can be ordered; null where there is nothing.
    total: Option<Money>,
}

impl CartView {
    pub(crate) fn new(cart: &Cart, items: Vec<Line>) -> Self {
        let sellable = items.iter().filter(|line| line.sellable);
        let total = sum(sellable.filter_map(|line| Some((line.unit_price.as_ref()?, line.quantity))));
        Self { id: cart.id, status: cart.status, version: cart.version, items, total }
    }

    /// The same, after something was put into it.
    pub(crate) fn within_bounds(self) -> Result<Self, Error> {
        if self.items.len() > MAX_LINES {
            return Err(Error::invalid("", "a cart holds at most 100 different SKUs; nothing was changed"));
        }
        Ok(self)
    }
}

/// The sum of prices and quantities, where there is one: nothing has no currency, and two currencies have no sum.
pub(super) fn sum<'a>(lines: impl IntoIterator<Item = (&'a Money, i32)>) -> Option<Money> {
    let mut lines = lines.into_iter().peekable();
    let currency = lines.peek()?.0.currency.clone();
    let amount = lines.try_fold(0_i64, |sum, (price, quantity)| {
        let same = price.currency == currency;
        sum.checked_add(price.amount.checked_mul(i64::from(quantity)).filter(|_| same)?)
    })?;
    Some(Money { amount, currency })
}

/// A new cart.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewCart {
    #[serde(flatten)]
    pub(crate) cart: CartView,
    /// Opens the cart, as `X-Cart-Token`, and is shown only now. Left out where the cart belongs to an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cart_token: Option<String>,
}

/// The open cart of an account, which has taken up another one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimedCart {
    #[serde(flatten)]
    pub(crate) cart: CartView,
    /// SKUs of which both together had more than the 99 that a line may hold.
    pub(crate) capped: Vec<String>,
}
