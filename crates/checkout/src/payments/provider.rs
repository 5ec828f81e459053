//! What the shop asks of whoever collects its money, and the words for what they say.

use std::error::Error as StdError;
use std::fmt;

use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use uuid::Uuid;

/// A reply that comes in its time.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, Unknown>>;

/// Collects bills and gives money back.
///
/// It keeps one charge for each order and attempt, and one refund for each id: asked again, it says again what it said
/// first. A reply is final. [`Unknown`] says nothing: the money may have moved or not, and whoever asks the same again,
/// however late, learns which. So does whoever dropped a future half-way.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Collects the bill with what the buyer's `token` stands for, or says why not.
    fn charge<'a>(&'a self, bill: &'a Bill, token: &'a str) -> Reply<'a, Charge>;

    /// Sees to it that the bill will never be collected, unless it was settled before: then it says how.
    fn void<'a>(&'a self, bill: &'a Bill) -> Reply<'a, Charge>;

    /// What became of the bill so far; nothing where it was never asked about it.
    fn look_up<'a>(&'a self, bill: &'a Bill) -> Reply<'a, Option<Charge>>;

    /// Gives back a part of a charge, or all of it. Refuses more than was charged and is not given back yet.
    fn refund<'a>(&'a self, bill: &'a RefundBill) -> Reply<'a, Refund>;

    /// What became of the refund so far; nothing where it was never asked for it.
    fn look_up_refund(&self, refund_id: Uuid) -> Reply<'_, Option<Refund>>;

    /// The charges that it settled after that place, the oldest first, as many as it tells at once. None is the end.
    fn charges<'a>(&'a self, after: &'a Place) -> Reply<'a, Vec<Collected>>;

    /// The refunds that it settled after that place, the oldest first, as many as it tells at once. None is the end.
    fn refunds<'a>(&'a self, after: &'a Place) -> Reply<'a, Vec<GivenBack>>;
}

/// What is to be collected: one attempt to pay one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Whose.
    pub order_id: Uuid,
    /// From 1 on.
    pub attempt: i16,
    /// In minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// How a bill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money was taken.
    Approved,
    /// It was not.
    Declined,
    /// Never charged, and never will be.
    Voided,
}

/// The final word on a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// How it ended.
    pub outcome: Outcome,
    /// The provider's own name for it.
    pub reference: String,
}

/// What is to be given back of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundBill {
    /// The same id is the same refund.
    pub refund_id: Uuid,
    /// Of whose charge.
    pub order_id: Uuid,
    /// Of which of its attempts.
    pub attempt: i16,
    /// In minor units, more than zero.
    pub amount: i64,
    /// That of the charge.
    pub currency: String,
}

/// How a refund ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money was given back.
    Succeeded,
    /// It was not, and never will be by this id: more than is left of the charge, or no such charge.
    Refused,
}

/// The final word on a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// How it ended.
    pub outcome: RefundOutcome,
    /// The provider's own name for it.
    pub reference: String,
}

/// A bill that ended, as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// Which.
    pub bill: Bill,
    /// How.
    pub charge: Charge,
    /// When.
    pub at: OffsetDateTime,
}

/// A refund that ended, as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// Which.
    pub bill: RefundBill,
    /// How.
    pub refund: Refund,
    /// When.
    pub at: OffsetDateTime,
}

/// A place in a list of the provider's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// When the entry before it ended.
    pub at: OffsetDateTime,
    /// The provider's name for that entry.
    pub reference: String,
}

/// No answer: the money may have moved or not. Ask again later.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// It takes too long.
    #[error("the provider did not answer in time")]
    Late,
    /// It answered, and the answer did not arrive.
    #[error("the provider's answer was lost")]
    Lost,
    /// It was not reached, or the exchange broke off.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
}

impl Unknown {
    /// What it is, in a fixed word.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Lost => "lost",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

impl Place {
    /// Before everything that ended at this moment or later.
    #[must_use]
    pub fn since(at: OffsetDateTime) -> Self {
        Self { at, reference: String::new() }
    }
}

impl Outcome {
    /// The state of the payment that the outcome makes.
    #[must_use]
    pub const fn payment_state(self) -> &'static str {
        match self {
            Self::Approved => "succeeded",
            Self::Declined => "declined",
            Self::Voided => "voided",
        }
    }
}

impl Collected {
    /// Behind this one.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at: self.at, reference: self.charge.reference.clone() }
    }
}

impl GivenBack {
    /// Behind this one.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at: self.at, reference: self.refund.reference.clone() }
    }
}
