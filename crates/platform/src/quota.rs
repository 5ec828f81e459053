//! Quotas: how many requests a client may send in a while, and the answer to whoever has sent them.
//!
//! The header fields are those of `draft-ietf-httpapi-ratelimit-headers-11`, and are written here alone.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, str::FromStr, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::MethodRouter,
};
use governor::{RateLimiter, clock::Clock as _, clock::DefaultClock, nanos::Nanos, state::StateStore};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{client::Client, problem::Problem};

mod table;

pub use table::Table;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const REFUSED: &str = "quota_refusals_total";

/// Each quota has places for 458,752 clients, in at most 9 MiB.
const SHARDS: usize = 16;

/// So many requests in a row, and then one for each that has become due: `60/min` is sixty at once, and one a second.
///
/// ```
/// use forebay_platform::quota::Quota;
///
/// let quota: Quota = "60/min".parse().expect("as it is written");
/// assert_eq!(quota.to_string(), "60/min");
/// assert_eq!("off".parse(), Ok(Quota::OFF));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(Option<(NonZeroU32, Unit)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
        }
    }

    const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
        })
    }
}

impl Quota {
    /// No bound.
    pub const OFF: Self = Self(None);

    /// So many a minute; none is no bound.
    #[must_use]
    pub const fn per_minute(requests: u32) -> Self {
        Self::of(requests, Unit::Minute)
    }

    /// So many an hour; none is no bound.
    #[must_use]
    pub const fn per_hour(requests: u32) -> Self {
        Self::of(requests, Unit::Hour)
    }

    const fn of(requests: u32, unit: Unit) -> Self {
        match NonZeroU32::new(requests) {
            Some(requests) => Self(Some((requests, unit))),
            None => Self::OFF,
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((requests, unit)) => write!(f, "{requests}/{}", unit.name()),
            None => f.write_str("off"),
        }
    }
}

impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, InvalidQuota> {
        if text == "off" {
            return Ok(Self::OFF);
        }
        let (requests, unit) = text.split_once('/').ok_or(InvalidQuota)?;
        let unit = Unit::ALL.into_iter().find(|known| known.name() == unit).ok_or(InvalidQuota)?;
        let requests = requests.parse().map_err(|_no_number| InvalidQuota)?;
        Ok(Self(Some((requests, unit))))
    }
}

/// A text that is no quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no number of requests a second (s), minute (min) or hour (h), nor `off`")]
pub struct InvalidQuota;

/// The quotas of a process, by the name that clients see; by default none. A clone counts along.
#[derive(Clone, Debug, Default)]
pub struct Quotas(Arc<BTreeMap<&'static str, Arc<Policy>>>);

impl Quotas {
    /// These quotas.
    #[must_use]
    pub fn new(named: impl IntoIterator<Item = (&'static str, Quota)>) -> Self {
        let policies = named.into_iter().filter_map(|(name, quota)| {
            let (requests, unit) = quota.0?;
            let period = unit.length() / requests.get();
            let bound = governor::Quota::with_period(period)?.allow_burst(requests);
            let limiter = RateLimiter::new(bound, Counts(Table::new(SHARDS)), DefaultClock::default());
            Some((name, Arc::new(Policy { name, requests: requests.get(), window: unit.length(), limiter })))
        });
        Self(Arc::new(policies.collect()))
    }

    /// The same routes, where each client has no more requests than the quota of this name; without one, as they were.
    /// Requests whose sender is not known are not counted.
    pub fn bound<S>(&self, name: &str, routes: MethodRouter<S>) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        match self.0.get(name) {
            Some(policy) => routes.layer(from_fn_with_state(Arc::clone(policy), spend)),
            None => routes,
        }
    }

    /// Uses up one request of the quota of this name, if there is one.
    ///
    /// # Errors
    ///
    /// None is left.
    pub fn spend(&self, name: &str, client: Client) -> Result<(), Spent> {
        self.0.get(name).map_or(Ok(()), |policy| policy.spend(client))
    }
}

type Limiter = RateLimiter<Client, Counts, DefaultClock>;

#[derive(Debug)]
struct Policy {
    name: &'static str,
    requests: u32,
    window: Duration,
    limiter: Limiter,
}

async fn spend(State(policy): State<Arc<Policy>>, request: Request, next: Next) -> Response {
    let refused = Client::of_request(request.extensions()).and_then(|client| policy.spend(client).err());
    match refused {
        Some(spent) => Problem::spent(spent).into_response(),
        None => next.run(request).await,
    }
}

impl Policy {
    fn spend(&self, client: Client) -> Result<(), Spent> {
        self.limiter.check_key(&client).map_err(|until| {
            let wait = until.wait_time_from(self.limiter.clock().now());
            Spent { policy: self.name, requests: self.requests, window: self.window, wait }
        })
    }
}

/// A quota that is used up. Made into an answer it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The quota's name.
    pub policy: &'static str,
    /// How many requests it has.
    pub requests: u32,
    /// In which time they come back.
    pub window: Duration,
    /// When the next is there.
    pub wait: Duration,
}

impl Spent {
    /// Adds what a client should know; `Retry-After` goes with it and says the same time.
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        let Self { policy, requests, window, .. } = self;
        let fields = [
            (RATELIMIT_POLICY, format!("\"{policy}\";q={requests};w={}", window.as_secs())),
            (RATELIMIT, format!("\"{policy}\";r=0;t={}", crate::problem::whole_seconds(self.wait))),
        ];
        for (name, text) in fields {
            headers.insert(name, HeaderValue::try_from(text).expect("names and numbers are plain ASCII"));
        }
        metrics::counter!(REFUSED, "policy" => *policy).increment(1);
    }
}

/// What clients have used: the moment at which nothing of it will be left, in nanoseconds.
#[derive(Debug)]
struct Counts(Table<u64>);

impl StateStore for Counts {
    type Key = Client;

    fn measure_and_replace<T, F, E>(&self, client: &Client, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.update(client, |used| match judge(used.map(Nanos::new)) {
            Ok((answer, used)) => (Some(used.as_u64()), Ok(answer)),
            Err(refused) => (used, Err(refused)),
        })
    }
}

/// Says what the counter means.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(REFUSED, "Requests refused with 429 since their client had used up this quota");
}

#[cfg(test)]
mod tests;
