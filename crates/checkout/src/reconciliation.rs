//! Holds what the payment provider says against what our tables say: charges against payments, refunds against refunds.
//!
//! The provider's list is read first, and ours looked up for each page of it; then ours, and the provider asked for what its
//! list did not have. So it can be done while the shop runs: what is settled meanwhile is found on both sides, and what is
//! still under way is counted, not held against anybody.

use std::collections::HashSet;
use std::fmt::{self, Display};

use forebay_platform::db::Db;
use forebay_pool::{AcquireError, Admission, Class};
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::payments::{Bill, Charge, Collected, GivenBack, Payments, Place, Refund, RefundBill, Unknown};
use crate::refunds::RefundState;
use crate::store::reconciliation as ours;

/// So long something may be under way: a handler, then the sweeper, which gives an order up after a minute.
const UNDER_WAY: Duration = Duration::minutes(2);

/// What was compared, and what differs.
#[derive(Debug, Default, Serialize)]
pub struct Reconciliation {
    /// Charges and payments that were compared.
    pub charges: u64,
    /// Refunds that were compared.
    pub refunds: u64,
    /// Of both, those that are known on one side and so young that they may be under way.
    pub under_way: u64,
    /// In no particular order.
    pub differences: Vec<Difference>,
}

/// One thing of which the two sides do not say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `charge` or `refund`.
    pub kind: Kind,
    /// Whose.
    pub order_id: Uuid,
    /// Which of its attempts to pay.
    pub attempt: i16,
    /// Which refund, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<Uuid>,
    /// What differs.
    pub what: What,
    /// What our tables say; nothing where they do not know it.
    pub here: Option<String>,
    /// What the provider says; nothing where it does not know it.
    pub there: Option<String>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A charge with a payment.
    Charge,
    /// Money that went back.
    Refund,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Our tables do not know what the provider did.
    MissingHere,
    /// The provider does not know what our tables say.
    MissingThere,
    /// How it ended.
    State,
    /// How much it was, or of which currency.
    Amount,
    /// The provider's name for it.
    Reference,
}

/// Why it could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum ReconciliationError {
    /// The provider.
    #[error("the payment provider does not tell: {0}")]
    Provider(#[from] Unknown),
    /// No connection.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The database.
    #[error("{}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

/// Compares all that either side knows of since then, as of `now`. Changes nothing. Dropping the future ends it.
///
/// # Errors
/// The first question that is not answered ends it: of a part nothing is said.
pub async fn reconcile(
    db: &Db,
    payments: &Payments,
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Reconciliation, ReconciliationError> {
    let mut comparison =
        Comparison { db, payments, since, settled_before: now - UNDER_WAY, found: Reconciliation::default() };
    comparison.charges().await?;
    comparison.refunds().await?;
    Ok(comparison.found)
}

struct Comparison<'a> {
    db: &'a Db,
    payments: &'a Payments,
    since: OffsetDateTime,
    settled_before: OffsetDateTime,
    found: Reconciliation,
}

/// One side's words: state, amount with currency, reference.
type Said = [String; 3];

const ASPECTS: [What; 3] = [What::State, What::Amount, What::Reference];

impl Comparison<'_> {
    async fn charges(&mut self) -> Result<(), ReconciliationError> {
        let mut seen = HashSet::new();
        let mut place = Place::since(self.since);
        loop {
            let page = self.payments.charges(&place).await?;
            let Some(last) = page.last() else { break };
            place = last.place();
            self.compare_charges(&page).await?;
            seen.extend(page.iter().map(|charge| (charge.bill.order_id, charge.bill.attempt)));
        }
        let mut after = first_id(self.since);
        loop {
            let page = {
                let mut lease = self.db.acquire(&background()).await?;
                ours::payments_since(&mut lease.conn(), self.since, after).await?
            };
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            for payment in page.iter().filter(|payment| !seen.contains(&(payment.order_id, payment.attempt))) {
                self.found.charges += 1;
                let there = self.payments.look_up(&payment.bill()).await?;
                let subject = Subject::Charge(payment.order_id, payment.attempt);
                // Asked for one, the provider says how it ended, and not how much it was.
                let there = there.map(|charge| said_of_charge(&payment.bill(), &charge));
                self.note(subject, Some(payment.said()), there);
            }
        }
    }

    async fn compare_charges(&mut self, page: &[Collected]) -> Result<(), ReconciliationError> {
        let (orders, attempts): (Vec<_>, Vec<_>) =
            page.iter().map(|charge| (charge.bill.order_id, charge.bill.attempt)).unzip();
        let (known, pending) = {
            let mut lease = self.db.acquire(&background()).await?;
            // In this order: what is settled in between is found.
            let pending = ours::pending(&mut lease.conn(), &orders).await?;
            (ours::payments_of(&mut lease.conn(), &orders, &attempts).await?, pending)
        };
        for Collected { bill, charge, at } in page {
            let here = known.get(&(bill.order_id, bill.attempt)).map(ours::Payment::said);
            if here.is_none() && *at >= self.settled_before && pending.contains(&bill.order_id) {
                self.found.under_way += 1;
                continue;
            }
            self.found.charges += 1;
            self.note(Subject::Charge(bill.order_id, bill.attempt), here, Some(said_of_charge(bill, charge)));
        }
        Ok(())
    }

    async fn refunds(&mut self) -> Result<(), ReconciliationError> {
        let mut seen = HashSet::new();
        let mut place = Place::since(self.since);
        loop {
            let page = self.payments.refunds(&place).await?;
            let Some(last) = page.last() else { break };
            place = last.place();
            let ids: Vec<_> = page.iter().map(|refund| refund.bill.refund_id).collect();
            let known = {
                let mut lease = self.db.acquire(&background()).await?;
                ours::refunds_of(&mut lease.conn(), &ids).await?
            };
            for GivenBack { bill, refund, .. } in &page {
                self.compare_refund(bill, known.get(&bill.refund_id), Some(refund));
            }
            seen.extend(ids);
        }
        let mut after = first_id(self.since);
        loop {
            let page = {
                let mut lease = self.db.acquire(&background()).await?;
                ours::refunds_since(&mut lease.conn(), self.since, after).await?
            };
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            for refund in page.iter().filter(|refund| !seen.contains(&refund.id)) {
                let there = self.payments.look_up_refund(refund.id).await?;
                self.compare_refund(&refund.bill(), Some(refund), there.as_ref());
            }
        }
    }

    fn compare_refund(&mut self, bill: &RefundBill, here: Option<&ours::Refund>, there: Option<&Refund>) {
        let requested = here.filter(|refund| refund.state == RefundState::Requested);
        if requested.is_some_and(|refund| refund.requested_at >= self.settled_before) {
            self.found.under_way += 1;
            return;
        }
        self.found.refunds += 1;
        let there = there.map(|refund| {
            [
                RefundState::after(refund.outcome).as_str().to_owned(),
                money(bill.amount, &bill.currency),
                refund.reference.clone(),
            ]
        });
        let subject = Subject::Refund(bill.order_id, bill.attempt, bill.refund_id);
        self.note(subject, here.map(ours::Refund::said), there);
    }

    fn note(&mut self, subject: Subject, here: Option<Said>, there: Option<Said>) {
        match (here, there) {
            (Some(here), Some(there)) => {
                for ((what, here), there) in ASPECTS.into_iter().zip(here).zip(there) {
                    // What we were not told yet is no other word.
                    if here != there && !here.is_empty() {
                        self.found.differences.push(subject.differs(what, Some(here), Some(there)));
                    }
                }
            }
            (Some(here), None) => {
                self.found.differences.push(subject.differs(What::MissingThere, Some(in_short(&here)), None));
            }
            (None, Some(there)) => {
                self.found.differences.push(subject.differs(What::MissingHere, None, Some(in_short(&there))));
            }
            (None, None) => {}
        }
    }
}

/// What is compared.
#[derive(Clone, Copy)]
enum Subject {
    Charge(Uuid, i16),
    Refund(Uuid, i16, Uuid),
}

impl Subject {
    fn differs(self, what: What, here: Option<String>, there: Option<String>) -> Difference {
        let (kind, order_id, attempt, refund_id) = match self {
            Self::Charge(order, attempt) => (Kind::Charge, order, attempt, None),
            Self::Refund(order, attempt, refund) => (Kind::Refund, order, attempt, Some(refund)),
        };
        Difference { kind, order_id, attempt, refund_id, what, here, there }
    }
}

impl ours::Payment {
    fn bill(&self) -> Bill {
        let Self { order_id, attempt, amount, .. } = *self;
        Bill { order_id, attempt, amount, currency: self.currency.clone() }
    }

    fn said(&self) -> Said {
        [self.state.clone(), money(self.amount, &self.currency), self.reference.clone()]
    }
}

impl ours::Refund {
    fn bill(&self) -> RefundBill {
        let Self { id: refund_id, order_id, attempt, amount, .. } = *self;
        RefundBill { refund_id, order_id, attempt, amount, currency: self.currency.clone() }
    }

    fn said(&self) -> Said {
        let reference = self.reference.clone().unwrap_or_default();
        [self.state.as_str().to_owned(), money(self.amount, &self.currency), reference]
    }
}

impl Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::MissingHere => "missing here",
            Self::MissingThere => "missing there",
            Self::State => "state",
            Self::Amount => "amount",
            Self::Reference => "reference",
        })
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Charge => "charge",
            Self::Refund => "refund",
        })
    }
}

fn said_of_charge(bill: &Bill, charge: &Charge) -> Said {
    [charge.outcome.payment_state().to_owned(), money(bill.amount, &bill.currency), charge.reference.clone()]
}

fn in_short([state, amount, _]: &Said) -> String {
    format!("{state} {amount}")
}

fn money(amount: i64, currency: &str) -> String {
    format!("{amount} {currency}")
}

/// Below every id that was made from then on: they begin with their time. A day is left for clocks that differ.
fn first_id(since: OffsetDateTime) -> Uuid {
    let millis = (since - Duration::DAY).unix_timestamp_nanos() / 1_000_000;
    Uuid::from_u128(u128::try_from(millis).unwrap_or(0) << 80)
}

fn background() -> Admission {
    Admission::without_deadline(Class::Background)
}
