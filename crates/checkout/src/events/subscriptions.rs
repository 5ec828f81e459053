use std::fmt;
use std::str::FromStr;

use forebay_platform::db::{Db, Lease};
use forebay_platform::instant;
use forebay_platform::webhook::Secret;
use forebay_pool::{AcquireError, Admission, Class};
use http::Uri;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::EventKind;
use crate::store::{deliveries, subscribers};

/// How many subscribers there may be: each is served on its own.
pub const MOST_SUBSCRIBERS: usize = 32;

/// For so long the secret before the present one signs too.
const ROTATION: Duration = Duration::hours(24);

/// Where events are posted: `http` or `https`, a host, no user, no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

/// Which events are wanted: `order.paid`, or what begins so: `order.*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics(Vec<String>);

/// A new subscriber, with the one sight of its secret.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// By which it is called from now on.
    pub id: Uuid,
    /// What its events are signed with.
    pub secret: Secret,
}

/// A subscriber, and what it has still to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// By which it is called.
    pub id: Uuid,
    /// Where its events go.
    pub url: String,
    /// Which it wants.
    pub topics: Vec<String>,
    /// Whether its events wait until it is resumed.
    pub is_paused: bool,
    /// Attempts in a row that nobody answered.
    pub failures: u32,
    /// Events that are to be sent.
    pub waiting: u64,
    /// Events that were given up.
    pub dead: u64,
    /// What came of the last attempt at the oldest of these.
    pub said: Option<String>,
}

/// Why something was not done; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// No lease.
    #[error("no connection: {0}")]
    Acquire(#[from] AcquireError),
    /// A statement failed.
    #[error("a statement failed: {}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
    /// Nobody has this id.
    #[error("there is no subscriber {0}: `shop events list` shows them")]
    Unknown(Uuid),
    /// There are as many as there may be.
    #[error("there are {MOST_SUBSCRIBERS} subscribers already: unsubscribe one first")]
    TooMany,
}

/// Who is told of events: an operator's view.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    db: Db,
}

impl Subscriptions {
    /// On this database.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Events that are published from now on are sent there.
    ///
    /// # Errors
    /// There are too many already; or the database's.
    pub async fn subscribe(&self, target: &Target, topics: &Topics) -> Result<Subscribed, SubscriptionError> {
        let mut lease = self.lease().await?;
        if subscribers::list(&mut lease.conn()).await?.len() >= MOST_SUBSCRIBERS {
            return Err(SubscriptionError::TooMany);
        }
        let subscribed = Subscribed { id: Uuid::now_v7(), secret: Secret::random() };
        let secret = subscribed.secret.reveal();
        let (id, now) = (subscribed.id, instant::now());
        subscribers::insert(&mut lease.conn(), id, &target.0, &topics.0, &secret, now).await?;
        Ok(subscribed)
    }

    /// All of them, the oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self) -> Result<Vec<Subscriber>, SubscriptionError> {
        let listed = subscribers::list(&mut self.lease().await?.conn()).await?;
        Ok(listed.into_iter().map(Subscriber::from).collect())
    }

    /// Nothing is sent to it any more, and what it was not told of is forgotten. What is on its way may still arrive.
    ///
    /// # Errors
    /// There is no such subscriber; or the database's. So below.
    pub async fn unsubscribe(&self, id: Uuid) -> Result<(), SubscriptionError> {
        known(subscribers::delete(&mut self.lease().await?.conn(), id).await?, id)
    }

    /// Its events wait.
    ///
    /// # Errors
    /// See [`unsubscribe`](Self::unsubscribe).
    pub async fn pause(&self, id: Uuid) -> Result<(), SubscriptionError> {
        known(subscribers::pause(&mut self.lease().await?.conn(), id).await?, id)
    }

    /// Its events go on, at once.
    ///
    /// # Errors
    /// See [`unsubscribe`](Self::unsubscribe).
    pub async fn resume(&self, id: Uuid) -> Result<(), SubscriptionError> {
        known(subscribers::resume(&mut self.lease().await?.conn(), id).await?, id)
    }

    /// A new secret; the present one signs too for a day.
    ///
    /// # Errors
    /// See [`unsubscribe`](Self::unsubscribe).
    pub async fn change_secret(&self, id: Uuid) -> Result<Secret, SubscriptionError> {
        let secret = Secret::random();
        let until = instant::now() + ROTATION;
        known(subscribers::change_secret(&mut self.lease().await?.conn(), id, &secret.reveal(), until).await?, id)?;
        Ok(secret)
    }

    /// Sends its dead letters again, and so what they keep back. Says how many there were.
    ///
    /// # Errors
    /// See [`unsubscribe`](Self::unsubscribe).
    pub async fn replay_dead(&self, id: Uuid) -> Result<u64, SubscriptionError> {
        let mut lease = self.lease().await?;
        known(subscribers::exists(&mut lease.conn(), id).await?, id)?;
        Ok(deliveries::replay_dead(&mut lease.conn(), id, instant::now()).await?)
    }

    /// Sends all events since then, also those that it has, and those of before it subscribed. Says how many there are.
    ///
    /// # Errors
    /// See [`unsubscribe`](Self::unsubscribe).
    pub async fn replay_since(&self, id: Uuid, since: OffsetDateTime) -> Result<u64, SubscriptionError> {
        let mut lease = self.lease().await?;
        known(subscribers::exists(&mut lease.conn(), id).await?, id)?;
        Ok(deliveries::replay_since(&mut lease.conn(), id, since, instant::now()).await?)
    }

    /// Leaves out its dead letters, all or those of one order, and goes on behind them. Says how many there were.
    ///
    /// # Errors
    /// See [`unsubscribe`](Self::unsubscribe).
    pub async fn skip_dead(&self, id: Uuid, order_id: Option<Uuid>) -> Result<u64, SubscriptionError> {
        let mut lease = self.lease().await?;
        known(subscribers::exists(&mut lease.conn(), id).await?, id)?;
        Ok(deliveries::skip_dead(&mut lease.conn(), id, order_id).await?)
    }

    async fn lease(&self) -> Result<Lease, AcquireError> {
        self.db.acquire(&Admission::without_deadline(Class::Normal)).await
    }
}

fn known(exists: bool, id: Uuid) -> Result<(), SubscriptionError> {
    if exists { Ok(()) } else { Err(SubscriptionError::Unknown(id)) }
}

impl From<subscribers::Listed> for Subscriber {
    fn from(listed: subscribers::Listed) -> Self {
        let subscribers::Listed { id, url, topics, state, failures, waiting, dead, said } = listed;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let failures = u32::try_from(failures).unwrap_or(0);
        let is_paused = state == "paused";
        Self { id, url, topics, is_paused, failures, waiting: count(waiting), dead: count(dead), said }
    }
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_wrong| "is no address such as https://books.example/hooks")?;
        let authority = uri.authority().ok_or("has no host: https://books.example/hooks")?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            _ => return Err("must begin with http:// or https://"),
        }
        if authority.host().is_empty() {
            return Err("has no host: https://books.example/hooks");
        }
        if authority.as_str().contains('@') {
            return Err("must not name a user: events are signed, which is how a receiver knows them");
        }
        if text.contains('#') {
            return Err("has a fragment, which is never sent");
        }
        Ok(Self(uri.to_string()))
    }
}

impl FromStr for Topics {
    type Err = String;

    /// With commas between them. One that no event has is refused: nobody would ever hear of it, and nobody would know why.
    fn from_str(text: &str) -> Result<Self, String> {
        let topics: Vec<_> = text.split(',').map(|topic| topic.trim().to_owned()).collect();
        let known: Vec<_> = EventKind::all().map(EventKind::topic).collect();
        let is_known = |wanted: &str| match wanted.strip_suffix('*') {
            Some(beginning) => known.iter().any(|topic| topic.starts_with(beginning)),
            None => known.iter().any(|topic| topic == wanted),
        };
        match topics.iter().find(|topic| !is_known(topic)) {
            None => Ok(Self(topics)),
            Some(wrong) => Err(format!(
                "`{wrong}` is no event, nor a beginning such as order.* or *; with commas between them name some of {}",
                known.join(", ")
            )),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_that_can_be_posted_to() {
        for right in
            ["http://127.0.0.1:9000/", "https://books.example/hooks?shop=1", "http://[::1]:80/a", "HTTPS://B.example/"]
        {
            assert!(right.parse::<Target>().is_ok(), "{right}");
        }
        for wrong in [
            "",
            "books.example",
            "/hooks",
            "ftp://books.example/",
            "https:///hooks",
            "http://:80/",
            "https://user:word@books.example/",
            "https://books.example/#a",
            "http://books example/",
            "mailto:a@b.example",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn topics_are_names_or_beginnings_of_names() {
        for right in ["*", "order.*", "order.paid", "order.paid, order.payment_failed", "order.p*"] {
            assert!(right.parse::<Topics>().is_ok(), "{right}");
        }
        for wrong in ["", ",", "order.paid,", "Order.paid", "order.*.paid", "**", "order paid", "order.%"] {
            assert!(wrong.parse::<Topics>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_topic_that_no_event_has_is_refused_with_those_that_there_are() {
        for wrong in ["order.refunded", "order.placed,order.payed", "order.refunded*", "cart.*", "order"] {
            let said = wrong.parse::<Topics>().unwrap_err();
            let unknown = wrong.split(',').next_back().unwrap();
            assert!(said.contains(&format!("`{unknown}`")) && said.contains("order.refund_succeeded"), "{said}");
        }
    }
}
