//! The payment provider: a simulator in this process that behaves like an outside one.
//!
//! It takes its time, declines some, and keeps its charges in a ledger of its own, over one connection of its own,
//! never a lease. It is idempotent by order and attempt: the first answer is the answer.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

mod ledger;

use ledger::Ledger;

/// How long an answer is waited for, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(3);

/// The simulated provider. Cheap to clone.
///
/// Tokens: `tok_ok` is charged, save for the given percentage of orders; `tok_decline` is declined; `tok_lost` is
/// charged, but the answer never arrives; any other is declined.
#[derive(Clone, Debug)]
pub struct Payments {
    ledger: Arc<Ledger>,
    latency: Duration,
    patience: Duration,
    decline_percent: u8,
}

/// What is to be collected.
#[derive(Clone, Debug)]
pub(crate) struct Bill {
    pub(crate) order_id: Uuid,
    pub(crate) attempt: i16,
    pub(crate) amount: i64,
    pub(crate) currency: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Approved,
    Declined,
    /// Never charged, and never will be.
    Voided,
}

/// The provider's final word on a bill.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) outcome: Outcome,
    pub(crate) reference: String,
}

/// No answer: the money may have been taken or not. Ask again later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("the provider did not answer in time")]
    Late,
    #[error("the provider's answer was lost")]
    Lost,
    #[error("the provider cannot be reached")]
    Unreachable(#[from] sqlx::Error),
}

impl Payments {
    /// How many connections the ledger opens at most.
    pub const CONNECTIONS: u32 = 1;

    /// A provider that keeps its ledger in `payment_simulator` of the database that `ledger` leads to, takes `latency`
    /// for each charge and declines `decline_percent` of orders. Connects when it is first asked.
    #[must_use]
    pub fn simulated(ledger: PgConnectOptions, latency: Duration, decline_percent: u8) -> Self {
        let ledger = Arc::new(Ledger::new(ledger));
        Self { ledger, latency, patience: PATIENCE, decline_percent }
    }

    /// Waits this long for each answer, instead of 3 s. Past it the outcome is unknown, not negative.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Collects the bill, or says why not. Dropped half-way, the charge may have happened: that is what
    /// [`Payments::look_up`] is for.
    ///
    /// Waits `within` for the provider, and no longer than its own patience.
    pub(crate) async fn charge(&self, bill: &Bill, token: &str, within: Duration) -> Result<Charge, Unknown> {
        let Self { ledger, latency, patience, decline_percent } = self;
        let outcome = decide(token, bill.order_id, *decline_percent);
        let answer = async {
            sleep(*latency).await;
            ledger.record(bill, outcome).await
        };
        let charge = timeout(within.min(*patience), answer).await.map_err(|_elapsed| Unknown::Late)??;
        if token == "tok_lost" { Err(Unknown::Lost) } else { Ok(charge) }
    }

    /// Sees to it that the bill will never be collected, unless it was: then it answers with that charge.
    pub(crate) async fn void(&self, bill: &Bill) -> Result<Charge, Unknown> {
        let answer = self.ledger.record(bill, Outcome::Voided);
        Ok(timeout(self.patience, answer).await.map_err(|_elapsed| Unknown::Late)??)
    }

    /// What became of the bill so far.
    pub(crate) async fn look_up(&self, bill: &Bill) -> Result<Option<Charge>, Unknown> {
        let answer = self.ledger.find(bill);
        Ok(timeout(self.patience, answer).await.map_err(|_elapsed| Unknown::Late)??)
    }
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Voided => "voided",
        }
    }

    fn named(name: &str) -> Self {
        match name {
            "approved" => Self::Approved,
            "declined" => Self::Declined,
            _ => Self::Voided,
        }
    }

    /// The state of the payment that the outcome makes.
    pub(crate) fn payment_state(self) -> &'static str {
        match self {
            Self::Approved => "succeeded",
            Self::Declined => "declined",
            Self::Voided => "voided",
        }
    }
}

/// Drawn from the order's id, so that a run can be repeated.
fn decide(token: &str, order_id: Uuid, decline_percent: u8) -> Outcome {
    let drawn = Sha256::digest(order_id)[..4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) % 100;
    match token {
        "tok_lost" => Outcome::Approved,
        "tok_ok" if drawn >= u32::from(decline_percent) => Outcome::Approved,
        _ => Outcome::Declined,
    }
}
