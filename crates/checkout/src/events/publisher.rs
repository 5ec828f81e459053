use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use forebay_platform::db::{Db, Lease};
use forebay_platform::instant;
use forebay_platform::outbound::OutboundError;
use forebay_platform::webhook::{Message, ReceiverAnswer, Secret, Sender};
use forebay_pool::{AcquireError, Admission, Class};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::Uri;
use time::OffsetDateTime;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::rules::{Outcome, Receivers, Rules};
use crate::State;
use crate::store::deliveries::{self, Claimed, Next};
use crate::store::subscribers::{self, Receiver};

const EVERY: Duration = Duration::from_millis(500);
/// After a round that failed: the database has other worries.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How often the numbers of what is left are looked up.
const MEASURE_EVERY: u32 = 10;
const BATCH: i64 = 100;
/// How many events one receiver is sent at once.
const AT_ONCE: usize = 8;
/// No step takes longer, also where the database's host is gone and nobody says so.
const LONGEST_STEP: Duration = Duration::from_secs(10);

const DELIVERIES: &str = "event_deliveries_total";
const LAG: &str = "event_lag_seconds";
const DEAD: &str = "event_dead_letters";

/// Sends what the outbox holds to the subscribers. A clone shares its connections.
#[derive(Clone, Debug)]
pub struct Publisher {
    db: Db,
    sender: Arc<Sender>,
    rules: Arc<Rules>,
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Attempts that a receiver answered with 2xx.
    pub delivered: u64,
    /// Attempts that failed and are made again.
    pub failed: u64,
    /// Attempts that failed and were the last.
    pub dead: u64,
}

/// A round that stopped half-way; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No lease.
    #[error("no connection: {0}")]
    Acquire(#[from] AcquireError),
    /// A statement failed. What was sent and could not be written down is sent again.
    #[error("a statement failed: {}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

impl Publisher {
    /// Leases from the state's pool, of class background.
    #[must_use]
    pub fn new(state: &State, rules: Rules) -> Self {
        describe();
        let sender = Sender::new(rules.within);
        Self { db: state.db.clone(), sender: Arc::new(sender), rules: Arc::new(rules) }
    }

    /// Publishes all that is new, and sends all that is due, as of `now`.
    ///
    /// Dropped at any point, an event was delivered, or is sent when its lease has ended.
    ///
    /// # Errors
    /// The first that the database refused, once all the rest was tried.
    pub async fn publish(&self, now: OffsetDateTime) -> Result<Published, PublishError> {
        let due = self.due(now).await?;
        let served = join_all(due.into_iter().map(|id| self.serve(id, || now))).await;
        let mut published = Published::default();
        for served in served {
            published.add(served?);
        }
        Ok(published)
    }

    /// Publishes twice a second until the pool is closed; dropping the future stops it, as dropping
    /// [`publish`](Self::publish) does.
    pub async fn keep_publishing(self) {
        let mut tasks = JoinSet::new();
        let mut served: HashMap<Uuid, AbortHandle> = HashMap::new();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u32.. {
            ticks.tick().await;
            while tasks.try_join_next().is_some() {}
            served.retain(|_, task| !task.is_finished());
            let due = match self.round(round).await {
                Ok(due) => due,
                Err(PublishError::Acquire(AcquireError::Closed { .. })) => return,
                Err(error) => {
                    tracing::warn!(%error, "events are not published at the moment");
                    ticks.reset_after(AFTER_FAILURE);
                    continue;
                }
            };
            // One that takes its time keeps none of the others waiting: each has a task of its own.
            for id in due {
                let this = self.clone();
                served.entry(id).or_insert_with(|| tasks.spawn(async move { this.serve_and_log(id).await }));
            }
        }
    }

    async fn round(&self, round: u32) -> Result<Vec<Uuid>, PublishError> {
        let now = instant::now();
        if round.is_multiple_of(MEASURE_EVERY) {
            self.measure(now).await?;
        }
        self.due(now).await
    }

    /// Who something is due for, once all that is new has its deliveries.
    async fn due(&self, now: OffsetDateTime) -> Result<Vec<Uuid>, PublishError> {
        while deliveries::fan_out(&mut self.lease().await?.conn(), now, BATCH).await? == BATCH.unsigned_abs() {}
        Ok(subscribers::due(&mut self.lease().await?.conn(), now).await?)
    }

    async fn serve_and_log(&self, id: Uuid) {
        match self.serve(id, instant::now).await {
            Ok(published) => tracing::debug!(subscriber = %id, ?published, "sent what was due"),
            Err(error) => tracing::warn!(subscriber = %id, %error, "sending stopped half-way; the next round goes on"),
        }
    }

    /// Sends one subscriber what is due for it, several events at once, until nothing is.
    async fn serve(&self, id: Uuid, clock: impl Fn() -> OffsetDateTime + Copy) -> Result<Published, PublishError> {
        let mut published = Published::default();
        let mut sending = FuturesUnordered::new();
        let mut failed = None;
        loop {
            if failed.is_none() && sending.len() <= AT_ONCE / 2 {
                match self.claim(id, AT_ONCE - sending.len(), clock()).await {
                    Ok(claimed) => sending.extend(claimed.into_iter().map(|one| self.deliver(one, clock))),
                    Err(error) => failed = Some(error),
                }
            }
            // While one takes its time, others may have become due.
            match timeout(EVERY, sending.next()).await {
                Ok(Some(Ok(outcome))) => published.count(&outcome),
                // Others may be written down all the same.
                Ok(Some(Err(error))) => failed = Some(error),
                Ok(None) => return failed.map_or(Ok(published), Err),
                Err(_elapsed) => {}
            }
        }
    }

    /// Committed when it returns: what is sent is nobody else's until the lease ends.
    async fn claim(&self, id: Uuid, room: usize, now: OffsetDateTime) -> Result<Vec<Sending>, PublishError> {
        let lease_end = now + self.rules.lease();
        let mut lease = self.lease().await?;
        let Some(receiver) = subscribers::receiver(&mut lease.conn(), id, now).await? else { return Ok(Vec::new()) };
        let mut room = i64::try_from(room).unwrap_or(i64::MAX);
        if self.is_silent(receiver.failures) {
            if !subscribers::take_probe(&mut lease.conn(), id, now, lease_end).await? {
                return Ok(Vec::new());
            }
            room = 1;
        }
        let claimed = deliveries::claim(&mut lease.conn(), id, now, lease_end, room).await?;
        let receiver = Arc::new(receiver);
        let sending = claimed.into_iter().map(|claimed| Sending { claimed, receiver: Arc::clone(&receiver) });
        Ok(sending.collect())
    }

    /// No connection is held while it is sent.
    async fn deliver(
        &self,
        sending: Sending,
        clock: impl Fn() -> OffsetDateTime,
    ) -> Result<Option<Next>, PublishError> {
        let answer = sending.post(&self.sender, clock()).await;
        let now = clock();
        let attempts = u32::try_from(sending.claimed.attempts).unwrap_or(u32::MAX);
        let outcome = self.rules.judge(&answer, attempts, now, rand::random());
        self.write_down(&sending, outcome, now).await
    }

    async fn write_down(
        &self,
        Sending { claimed, receiver }: &Sending,
        outcome: Outcome,
        now: OffsetDateTime,
    ) -> Result<Option<Next>, PublishError> {
        let Outcome { next, receiver: meant, said } = outcome;
        // It was sent already: the rest is owed to it.
        let admission = Admission::within(Class::Background, LONGEST_STEP);
        admission.begin();
        let mut lease = self.db.acquire(&admission).await?;
        match &next {
            None => deliveries::delivered(&mut lease.conn(), claimed, &said).await?,
            Some(next) => {
                let written = deliveries::failed(&mut lease.conn(), claimed, next, &said).await?;
                if written && matches!(next, Next::Dead) {
                    tracing::warn!(subscriber = %receiver.id, order = %claimed.order_id, event = %claimed.event_id, topic = %claimed.topic, %said,
                        "an event was given up, and keeps back the later ones of its order");
                }
            }
        }
        match meant {
            Receivers::Answers => {
                subscribers::note_answer(&mut lease.conn(), receiver.id).await?;
                if self.is_silent(receiver.failures) {
                    tracing::info!(subscriber = %receiver.id, host = receiver.host(), "a subscriber answers again");
                }
            }
            Receivers::Silent => {
                let (enough, probe_at) = (self.silent_after(), self.rules.probe_at(now, rand::random()));
                let failures = subscribers::note_silence(&mut lease.conn(), receiver.id, enough, probe_at).await?;
                if failures == Some(enough) {
                    tracing::warn!(subscriber = %receiver.id, host = receiver.host(), %said,
                        "a subscriber does not answer; its events wait, and one is tried from time to time");
                }
            }
            Receivers::Gone => {
                subscribers::pause(&mut lease.conn(), receiver.id).await?;
                tracing::warn!(subscriber = %receiver.id, host = receiver.host(),
                    "a subscriber wants no more events (410); its events wait until it is resumed or unsubscribed");
            }
        }
        Ok(next)
    }

    async fn measure(&self, now: OffsetDateTime) -> Result<(), PublishError> {
        let backlog = deliveries::backlog(&mut self.lease().await?.conn()).await?;
        let lag = backlog.oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
        metrics::gauge!(LAG).set(lag);
        #[expect(clippy::cast_precision_loss, reason = "a count that is shown")]
        metrics::gauge!(DEAD).set(backlog.dead as f64);
        Ok(())
    }

    async fn lease(&self) -> Result<Lease, AcquireError> {
        self.db.acquire(&Admission::within(Class::Background, LONGEST_STEP)).await
    }

    fn silent_after(&self) -> i32 {
        i32::try_from(self.rules.silent_after).unwrap_or(i32::MAX)
    }

    fn is_silent(&self, failures: i32) -> bool {
        failures >= self.silent_after()
    }
}

/// A claimed event, and where it goes.
#[derive(Debug)]
struct Sending {
    claimed: Claimed,
    receiver: Arc<Receiver>,
}

impl Sending {
    async fn post(&self, sender: &Sender, now: OffsetDateTime) -> Result<ReceiverAnswer, OutboundError> {
        let url: Uri = self.receiver.url.parse().map_err(unusable)?;
        let previous = self.receiver.previous_secret.as_ref();
        let previous = previous.filter(|_| self.receiver.previous_until.is_some_and(|until| now < until));
        let secrets = [Some(&self.receiver.secret), previous].into_iter().flatten();
        let secrets = secrets.map(|secret| secret.parse().map_err(unusable)).collect::<Result<Vec<Secret>, _>>()?;
        let id = self.claimed.event_id.to_string();
        sender.post(&url, Message { id: &id, body: &self.claimed.payload }, &secrets, now).await
    }
}

/// Somebody changed the row by hand.
fn unusable(error: impl std::fmt::Display) -> OutboundError {
    OutboundError::Connect(error.to_string())
}

impl Published {
    fn count(&mut self, next: &Option<Next>) {
        let (counter, outcome) = match next {
            None => (&mut self.delivered, "delivered"),
            Some(Next::Again { .. }) => (&mut self.failed, "failed"),
            Some(Next::Dead) => (&mut self.dead, "dead"),
        };
        *counter += 1;
        metrics::counter!(DELIVERIES, "outcome" => outcome).increment(1);
    }

    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.dead += other.dead;
    }
}

fn describe() {
    metrics::describe_counter!(DELIVERIES, "Attempts to send an event to a subscriber, by what came of them");
    metrics::describe_gauge!(LAG, "How long ago the oldest event happened that somebody has still to be told of");
    metrics::describe_gauge!(DEAD, "Events that were given up and keep back the later ones of their orders");
}
