use std::time::Duration;

use crate::{Class, CloseReason, OpenReason, ShedReason};

/// Whether connections can be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breaker {
    /// As far as is known.
    #[default]
    Closed,
    /// Nothing is alive and nothing could be opened for a while: callers are refused at once.
    Open,
    /// The same, and an attempt is under way.
    HalfOpen,
}

impl Breaker {
    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The pool in numbers, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// How many leases may be out at once, below the reserve.
    pub limit: u32,
    /// What the sizer would make of the limit if no bound and no person stood in its way.
    pub recommended_limit: u32,
    /// Whether a person has put the limit where it is.
    pub pinned: bool,
    /// How many more critical work may take.
    pub reserve: u32,
    /// How many connections may exist: the bound, or less where the server has said that it has no room.
    pub ceiling: u32,
    /// Connections kept open without traffic.
    pub min_idle: u32,
    /// Connections kept though nobody uses them, since so many were needed lately; `min_idle` at least.
    pub kept: u32,
    /// Connections on loan and used.
    pub leased: u32,
    /// Connections on loan that run no statement; outside the limit, inside the ceiling.
    pub suspects: u32,
    /// Connections ready to be leased.
    pub idle: u32,
    /// Connections being opened.
    pub opening: u32,
    /// Connections being pinged.
    pub checking: u32,
    /// Connections being cleaned after a dirty return.
    pub quarantined: u32,
    /// Connections being closed.
    pub closing: u32,
    /// Callers that wait for a connection.
    pub waiting: u32,
    pub(crate) waiting_by_class: [u32; Class::ALL.len()],
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
    /// Whether connections can be opened.
    pub breaker: Breaker,
    /// How often all connections were replaced because the server had changed.
    pub era: u32,
    /// The mean hold time of a lease.
    pub mean_hold: Duration,
    /// How long the next waiter would wait.
    pub predicted_wait: Duration,
    /// How long the oldest lease is out.
    pub oldest_lease: Duration,
    /// Since the start.
    pub totals: Totals,
}

impl Snapshot {
    /// Every connection that exists or is about to.
    #[must_use]
    pub const fn open(&self) -> u32 {
        self.leased + self.suspects + self.idle + self.opening + self.checking + self.quarantined + self.closing
    }

    /// Callers of this class that wait.
    #[must_use]
    pub const fn waiting_of(&self, class: Class) -> u32 {
        self.waiting_by_class[class.index()]
    }
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Leases given out.
    pub granted: u64,
    /// Leases that came back.
    pub released: u64,
    /// Requests that would have been shed in report-only mode.
    pub would_shed: u64,
    /// Waiters whose deadline passed.
    pub timed_out: u64,
    /// Waiters that gave up.
    pub cancelled: u64,
    /// Waiters and callers refused because nothing could be opened.
    pub unavailable: u64,
    /// Connections opened.
    pub opened: u64,
    /// Attempts to open that failed.
    pub open_failed: u64,
    /// Connections closed.
    pub closed: u64,
    /// Connections closed for being idle too long.
    pub reaped: u64,
    /// Leases that became suspects.
    pub suspected: u64,
    /// Leases whose connection was taken back.
    pub revoked: u64,
    /// Connections that came back dirty.
    pub quarantined: u64,
    /// Leases granted to somebody who had left: their connection went on to the next.
    pub unused: u64,
    /// Connections checked and found well.
    pub checks_well: u64,
    /// Connections checked and found dead, or late to answer, or of another role.
    pub checks_failed: u64,
    /// Suspects that ran statements again or came back by themselves.
    pub cleared: u64,
    /// Callers that waited while their own task held a lease: a pool of one would have hung.
    pub nested: u64,
    pub(crate) shed: [[u64; ShedReason::ALL.len()]; Class::ALL.len()],
    pub(crate) opened_for: [u64; OpenReason::ALL.len()],
    pub(crate) closed_for: [u64; CloseReason::ALL.len()],
    /// Times the limit went up.
    pub limit_raised: u64,
    /// Times the limit went down.
    pub limit_lowered: u64,
    /// What of the pool was used, and what there was.
    pub usage: Usage,
    /// Time in which the pool did not run although it should have: its process was stopped, or had no turn.
    pub stood_still: Duration,
}

impl Totals {
    /// Requests of this class that were shed for this reason.
    #[must_use]
    pub const fn shed_for(&self, class: Class, reason: ShedReason) -> u64 {
        self.shed[class.index()][reason as usize]
    }

    /// Requests of this class that were shed, for whatever reason.
    #[must_use]
    pub fn shed_of(&self, class: Class) -> u64 {
        self.shed[class.index()].iter().sum()
    }

    /// Connections opened for this.
    #[must_use]
    pub const fn opened_for(&self, reason: OpenReason) -> u64 {
        self.opened_for[reason as usize]
    }

    /// Connections closed, or being closed, for this.
    #[must_use]
    pub const fn closed_for(&self, reason: CloseReason) -> u64 {
        self.closed_for[reason as usize]
    }
}

/// Seconds of connections, summed: between two moments the differences are exact means, however far apart these are.
///
/// What is *busy* and what *waits* over the *capacity* is the pool's utilisation: at 1 the next caller of ordinary work finds no
/// place. It says the same of a fixed pool, of a small one and of one whose limit moves. It is more than 1 where callers wait, or
/// where critical work is in the reserve.
///
/// ```
/// use forebay_pool_core::Usage;
/// let then = Usage { busy: 10.0, waiting: 0.0, capacity: 60.0 };
/// let now = Usage { busy: 55.0, waiting: 3.0, capacity: 120.0 };
/// assert_eq!(now.utilisation_since(&then), Some(0.8));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Connections on loan, those of suspects too, or being cleaned.
    pub busy: f64,
    /// Callers that wait and that more places would help.
    pub waiting: f64,
    /// How many connections would be busy if ordinary work had all that it may be given: the limit of a fixed pool; the most that
    /// the sizer lets an adaptive one grow to; no more than fits beside the reserve into the ceiling; and what suspects hold.
    pub capacity: f64,
}

impl Usage {
    /// The mean utilisation since then; `None` where no time has passed.
    #[must_use]
    pub fn utilisation_since(&self, then: &Self) -> Option<f64> {
        let capacity = self.capacity - then.capacity;
        let asked_for = self.busy - then.busy + self.waiting - then.waiting;
        (capacity > 0.0).then(|| asked_for / capacity)
    }

    /// Adds a time in which so many were busy and waited, out of so many.
    pub fn add(&mut self, level: &Self, passed: Duration) {
        let seconds = passed.as_secs_f64();
        self.busy += level.busy * seconds;
        self.waiting += level.waiting * seconds;
        self.capacity += level.capacity * seconds;
    }
}
