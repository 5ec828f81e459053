//! What a play leaves behind for the judge: facts with time stamps, no opinions.

use forebay_pool::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schedule::{Operation, Service};

/// How an attempt was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// 2xx.
    Success,
    /// 202: the order stands, its payment is settled later.
    Accepted,
    /// 503 by admission, with nothing executed.
    Shed(Refusal),
    /// Any other 5xx.
    Failed(u16),
    /// No answer within the client's attempt time-out.
    TimedOut,
    /// The connection broke.
    Lost,
    /// 409: an earlier attempt with the same key still runs.
    InFlight,
    /// Any other 4xx: the request itself was refused.
    Rejected(u16),
}

/// Why a request was refused, as its answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It would have waited for too long.
    PredictedWait,
    /// It could not have been done in time.
    Deadline,
    /// The queue was full.
    QueueFull,
    /// It had waited for too long.
    Sojourn,
    /// For another reason.
    Other,
}

impl Refusal {
    /// The refusal with this word in its answer.
    #[must_use]
    pub fn named(word: &str) -> Self {
        let all = [Self::PredictedWait, Self::Deadline, Self::QueueFull, Self::Sojourn];
        all.into_iter().find(|one| one.name() == word).unwrap_or(Self::Other)
    }

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PredictedWait => "predicted_wait",
            Self::Deadline => "deadline",
            Self::QueueFull => "queue_full",
            Self::Sojourn => "sojourn",
            Self::Other => "other",
        }
    }

    /// Whether it was refused before it waited, and not out of the queue.
    #[must_use]
    pub const fn is_at_the_door(self) -> bool {
        !matches!(self, Self::Sojourn)
    }
}

impl Reply {
    /// 2xx of any kind.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::Accepted)
    }

    /// What a monitoring system counts as an error: 5xx, sheds included, and no answer.
    #[must_use]
    pub fn is_error(self) -> bool {
        matches!(self, Self::Shed(_) | Self::Failed(_) | Self::TimedOut | Self::Lost)
    }
}

/// One HTTP request.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Attempt {
    /// What was asked.
    pub operation: Operation,
    /// When it left the client, in seconds of play.
    pub at: f64,
    /// Seconds until the answer was read.
    pub took: f64,
    /// The answer.
    pub reply: Reply,
}

impl Attempt {
    /// When the answer was there.
    #[must_use]
    pub fn end(&self) -> f64 {
        self.at + self.took
    }
}

/// One operation of a user: an attempt and its retries.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Done {
    /// Number of the journey in the schedule.
    pub journey: u32,
    /// What was asked.
    pub operation: Operation,
    /// When it was meant to start.
    pub intended: f64,
    /// How much later the generator started it.
    pub late: f64,
    /// When it ended for good.
    pub end: f64,
    /// Attempts made.
    pub attempts: u32,
    /// The last answer.
    pub reply: Reply,
}

impl Done {
    /// Seconds from the intended start to the end.
    #[must_use]
    pub fn latency(&self) -> f64 {
        self.end - self.intended
    }
}

/// The pool, seen from the admin listener.
#[derive(Clone, Debug, Default)]
pub struct PoolSample {
    /// When, in seconds of play.
    pub at: f64,
    /// Leases the pool grants at once right now.
    pub limit: u32,
    /// Leases it may ever grant at once.
    pub ceiling: u32,
    /// Leases out, suspects included.
    pub in_use: u32,
    /// Connections open and free.
    pub idle: u32,
    /// Connections that are being opened.
    pub opening: u32,
    /// Callers that wait.
    pub waiting: u32,
    /// Leases held idle for too long.
    pub suspects: u32,
    /// What was used and waited for since the shop's start, and what there was.
    pub usage: Usage,
    /// Leases taken back since the start.
    pub revoked: u64,
    /// Call sites of the longest holders.
    pub holders: Vec<String>,
    /// How its limit moved of late.
    pub moves: Vec<LimitMove>,
}

/// The pool's limit moved, or was tried out a few times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitMove {
    /// The pool's own number of it.
    pub number: u64,
    /// When, in seconds of play.
    pub at: f64,
    /// The limit before.
    pub from: u32,
    /// The limit after.
    pub to: u32,
    /// Why.
    pub reason: String,
    /// How often in a row.
    pub times: u32,
}

/// Sessions of the pool in `pg_stat_activity`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SessionSample {
    /// When, in seconds of play.
    pub at: f64,
    /// All of them.
    pub total: u32,
    /// Running a statement.
    pub active: u32,
    /// Idle in a transaction.
    pub idle_in_transaction: u32,
}

/// One commit of the probe on its own connection.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CommitSample {
    /// When, in seconds of play.
    pub at: f64,
    /// Seconds it took.
    pub took: f64,
}

/// CPU of the three parties since the sample before, in percent of one core.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CpuSample {
    /// When, in seconds of play.
    pub at: f64,
    /// This process.
    pub generator: f64,
    /// The child.
    pub shop: f64,
    /// The postmaster and all its children.
    pub postgres: f64,
}

/// The child's own gauges: faults around it and time-outs in its log.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct FaultSample {
    /// When, in seconds of play.
    pub at: f64,
    /// Report jobs that hold a lease.
    pub holding: u32,
    /// Typed errors of jobs whose lease was taken back.
    pub taken_back: u64,
    /// Actions carried out by hand.
    pub actions: u32,
    /// Acquire time-outs logged by catalog, auth and checkout.
    pub timeouts: [u64; 3],
}

impl FaultSample {
    /// Acquire time-outs in the log of `service`.
    #[must_use]
    pub fn timeouts_of(&self, service: Service) -> u64 {
        match service {
            Service::Catalog => self.timeouts[0],
            Service::Auth => self.timeouts[1],
            Service::Checkout => self.timeouts[2],
        }
    }
}

/// A request made by hand at 2:35.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// Method and path.
    pub request: String,
    /// The service asked.
    pub service: Service,
    /// The answer.
    pub attempt: Attempt,
}

/// All facts of one play.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// When second 0 of the play was.
    pub began: Option<time::OffsetDateTime>,
    /// Requests.
    pub attempts: Vec<Attempt>,
    /// Operations that ended.
    pub done: Vec<Done>,
    /// Journeys that had not ended when the drain was over.
    pub unfinished: Vec<u32>,
    /// The pool.
    pub pool: Vec<PoolSample>,
    /// The database's sessions.
    pub sessions: Vec<SessionSample>,
    /// The commit probe.
    pub commits: Vec<CommitSample>,
    /// CPU.
    pub cpu: Vec<CpuSample>,
    /// Faults and log counts.
    pub faults: Vec<FaultSample>,
    /// Requests by hand.
    pub probes: Vec<Probe>,
}

#[cfg(test)]
impl Recording {
    /// Counts what the pool's samples say was in use and waited, as if each had held since the one before.
    pub(crate) fn count_usage(&mut self) {
        let (mut usage, mut since) = (Usage::default(), 0.0);
        for sample in &mut self.pool {
            let [busy, waiting, capacity] = [sample.in_use, sample.waiting, sample.ceiling].map(f64::from);
            usage.add(&Usage { busy, waiting, capacity }, std::time::Duration::from_secs_f64(sample.at - since));
            (sample.usage, since) = (usage, sample.at);
        }
    }
}
