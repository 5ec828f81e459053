use std::time::Duration;

/// The pool in numbers, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// How many leases may be out at once, below the reserve.
    pub limit: u32,
    /// How many more critical work may take.
    pub reserve: u32,
    /// How many connections may exist.
    pub ceiling: u32,
    /// Connections kept open without traffic.
    pub min_idle: u32,
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
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Leases given out.
    pub granted: u64,
    /// Leases that came back.
    pub released: u64,
    /// Requests shed, critical class.
    pub shed_critical: u64,
    /// Requests shed, normal class.
    pub shed_normal: u64,
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
    /// Times the limit went up.
    pub limit_raised: u64,
    /// Times the limit went down.
    pub limit_lowered: u64,
    /// Seconds that leases were out, suspects too, summed: its rate over the ceiling is the exact mean utilisation.
    pub busy_seconds: f64,
}
