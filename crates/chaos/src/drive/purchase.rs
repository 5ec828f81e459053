//! An order from the client's side: what was asked for, what was promised, and what was found afterwards.

use uuid::Uuid;

use super::wire::{Money, NewCart, OrderView, Shown, Word, mark_of};

/// One cart that somebody tried to order. Its idempotency key is the cart's id.
#[derive(Clone, Debug)]
pub struct Purchase {
    /// The cart.
    pub cart: Uuid,
    /// Opens the cart.
    pub(crate) cart_token: Word,
    /// What its buyer was shown of it.
    pub(crate) shown: Shown,
    /// Index of the session whose user orders.
    pub(crate) user: usize,
    /// What was put into the cart.
    pub sku: String,
    /// How much of it.
    pub quantity: u32,
    /// What the client was told in the end.
    pub ended: Ended,
    /// Whether that was only learned after the load, by repeating the key.
    pub late: bool,
    /// What became of it.
    pub found: Found,
    /// What the same key was answered once more.
    pub again: Again,
    /// What another key for the same cart was answered.
    pub second: Again,
}

/// What a client was told about its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// 2xx: it stands.
    Promised(Promise),
    /// It was not placed, for this reason.
    Refused(String),
    /// Nothing that says whether it stands; the last that came.
    Unanswered(String),
}

/// What a 2xx answer to an order says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The order's id.
    pub id: Uuid,
    /// What it costs.
    pub total: Money,
    /// Its state then.
    pub status: String,
}

/// What reading an order back came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The order.
    Order(OrderView),
    /// 404.
    Missing,
    /// No answer that says anything; the last that came.
    Unread(String),
}

/// What came of sending an order again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// 2xx, with this order's id.
    Order(Uuid),
    /// A refusal.
    Refused(String),
    /// No answer that says anything; the last that came.
    Unasked(String),
}

impl From<&OrderView> for Promise {
    fn from(order: &OrderView) -> Self {
        Self { id: order.id, total: order.total.clone(), status: order.status.clone() }
    }
}

impl OrderView {
    /// Whether its state is one that it still leaves.
    pub(crate) fn is_pending(&self) -> bool {
        self.status == "pending_payment"
    }

    /// Whether nobody took money for it.
    pub(crate) fn is_uncharged(&self) -> bool {
        self.payments.iter().all(|payment| payment.state == "voided")
    }

    pub(crate) fn is_paid(&self) -> bool {
        self.status == "paid"
    }
}

impl Purchase {
    /// Before it is ordered.
    pub(crate) fn new(cart: NewCart, shown: Shown, user: usize, sku: &Word, quantity: u32) -> Self {
        let nothing = || "it was not asked for".to_owned();
        Self {
            cart: cart.id,
            cart_token: cart.cart_token,
            shown,
            user,
            sku: sku.as_str().to_owned(),
            quantity,
            ended: Ended::Unanswered("it was under way when the run was cut off".to_owned()),
            late: false,
            found: Found::Unread(nothing()),
            again: Again::Unasked(nothing()),
            second: Again::Unasked(nothing()),
        }
    }

    /// Whether its client was told that it stands.
    pub(crate) fn is_promised(&self) -> bool {
        matches!(self.ended, Ended::Promised(_))
    }

    /// The key under which it is ordered.
    pub(crate) fn key(&self) -> String {
        self.cart.to_string()
    }

    /// Whether `order` is what this cart's buyer asked for.
    pub(crate) fn matches(&self, order: &OrderView) -> bool {
        let items = matches!(&order.items[..], [item] if item.sku == self.sku && item.quantity == self.quantity);
        items && order.address.line2 == Some(mark_of(self.cart))
    }
}
