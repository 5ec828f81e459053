//! How the shop asks its payment provider: with patience, for as long as somebody waits, and not at all for new orders while
//! it does not answer.

use std::sync::Arc;
use std::time::Duration;

use forebay_platform::trace;
use forebay_platform::webhook::Secrets;
use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

mod breaker;
pub(crate) mod message;
mod provider;
mod simulator;

use breaker::Breaker;
pub(crate) use breaker::{Pass, Unavailable};
pub use provider::{
    Bill, Charge, Collected, GivenBack, Outcome, Place, Provider, Refund, RefundBill, RefundOutcome, Reply, Unknown,
};
pub use simulator::{InvalidMessageUrl, Knobs, MessageUrl, Messages, Simulator};

const DURATION: &str = "payments_provider_seconds";
const ANSWERS: &str = "payments_provider_answers_total";

/// What the provider is called in traces.
const PROVIDER: &str = "payment-provider";

/// How long an answer is waited for, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(3);

/// The payment provider, as the shop asks it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Payments {
    provider: Arc<dyn Provider>,
    patience: Duration,
    breaker: Arc<Breaker>,
    secrets: Option<Secrets>,
}

impl Payments {
    /// How many connections the simulated provider opens at most.
    pub const CONNECTIONS: u32 = 1;

    /// Asks this provider, and waits 3 s for each answer.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>) -> Self {
        describe_metrics();
        Self { provider, patience: PATIENCE, breaker: Arc::default(), secrets: None }
    }

    /// A [`Simulator`] that keeps its book in `payment_simulator` of the database that `book` leads to, takes `latency`
    /// for each charge and declines `decline_percent` of them. Connects when it is first asked.
    #[must_use]
    pub fn simulated(book: PgConnectOptions, latency: Duration, decline_percent: u8) -> Self {
        let knobs = Knobs { latency, decline_percent, ..Knobs::default() };
        Self::new(Arc::new(Simulator::new(book, knobs)))
    }

    /// Waits this long for each answer, instead of 3 s. Past it the outcome is unknown, not negative.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Believes what the provider says by itself, in messages signed with one of these.
    #[must_use]
    pub fn believing(mut self, secrets: Secrets) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// What its messages are signed with; without, none is believed.
    pub(crate) fn secrets(&self) -> Option<&Secrets> {
        self.secrets.as_ref()
    }

    /// The right to ask for one charge or refund, for whoever has begun nothing yet.
    ///
    /// # Errors
    /// The provider has not answered several times in a row. Once every few seconds somebody may try, and as soon as
    /// anybody is answered, all may ask again.
    pub(crate) fn pass(&self) -> Result<Pass, Unavailable> {
        self.breaker.pass(Instant::now())
    }

    /// Collects the bill, or says why not. Dropped half-way, the charge may have happened: that is what
    /// [`Payments::look_up`] is for.
    ///
    /// Waits `within` for the provider, and no longer than its own patience.
    pub(crate) async fn charge(
        &self,
        pass: Pass,
        bill: &Bill,
        token: &str,
        within: Duration,
    ) -> Result<Charge, Unknown> {
        let limit = within.min(self.patience);
        let asked = in_time("charge", limit, self.provider.charge(bill, token)).await;
        // Who could not wait as long as we would learned nothing of the provider.
        if limit == self.patience || !matches!(asked, Err(Unknown::Late)) {
            pass.spend(asked.is_ok(), Instant::now());
        }
        asked
    }

    /// Sees to it that the bill will never be collected, unless it was: then it answers with that charge.
    pub(crate) async fn void(&self, bill: &Bill) -> Result<Charge, Unknown> {
        self.noted(in_time("void", self.patience, self.provider.void(bill)).await)
    }

    /// What became of the bill so far.
    pub(crate) async fn look_up(&self, bill: &Bill) -> Result<Option<Charge>, Unknown> {
        self.noted(in_time("look_up", self.patience, self.provider.look_up(bill)).await)
    }

    /// Gives money back, once for each `refund_id` however often it is asked. Dropped half-way, it may have happened: ask
    /// the same again.
    pub(crate) async fn refund(&self, bill: &RefundBill) -> Result<Refund, Unknown> {
        self.noted(in_time("refund", self.patience, self.provider.refund(bill)).await)
    }

    /// What became of the refund so far.
    pub(crate) async fn look_up_refund(&self, refund_id: Uuid) -> Result<Option<Refund>, Unknown> {
        self.noted(in_time("look_up_refund", self.patience, self.provider.look_up_refund(refund_id)).await)
    }

    /// A page of the charges that ended after that place.
    pub(crate) async fn charges(&self, after: &Place) -> Result<Vec<Collected>, Unknown> {
        self.noted(in_time("charges", self.patience, self.provider.charges(after)).await)
    }

    /// A page of the refunds that ended after that place.
    pub(crate) async fn refunds(&self, after: &Place) -> Result<Vec<GivenBack>, Unknown> {
        self.noted(in_time("refunds", self.patience, self.provider.refunds(after)).await)
    }

    /// Whoever settles what has begun asks also while nobody new may: that is how the provider's return is noticed.
    fn noted<T>(&self, asked: Result<T, Unknown>) -> Result<T, Unknown> {
        self.breaker.note(asked.is_ok(), Instant::now());
        asked
    }
}

fn describe_metrics() {
    metrics::describe_histogram!(DURATION, "How long the payment provider took, or was waited for in vain");
    metrics::describe_counter!(ANSWERS, "Questions to the payment provider, by what came of them");
    breaker::describe_metrics();
}

async fn in_time<T>(question: &'static str, limit: Duration, reply: Reply<'_, T>) -> Result<T, Unknown> {
    let began = Instant::now();
    let asking = async { timeout(limit, reply).await.unwrap_or(Err(Unknown::Late)) };
    let asked = trace::asking(question, PROVIDER, Unknown::kind, asking).await;
    let outcome = asked.as_ref().err().map_or("answered", Unknown::kind);
    metrics::histogram!(DURATION, "question" => question).record(began.elapsed().as_secs_f64());
    metrics::counter!(ANSWERS, "question" => question, "outcome" => outcome).increment(1);
    asked
}

#[cfg(test)]
mod tests;
