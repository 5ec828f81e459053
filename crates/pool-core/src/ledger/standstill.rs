use std::time::Instant;

use super::Ledger;
use crate::Standstill;

/// Time in which the pool did not run is nobody's fault.
impl Ledger {
    /// The shell did not run when it was due. Call it before anything else that is called at the end of the standstill.
    ///
    /// Nobody is judged by that time: it is taken out of how long leases are held and held idle, how long queues stand and waiters are
    /// let wait by their class, how long openings take and fail, and of all that the sizer sees. What others count goes on: the
    /// deadlines of callers, and how long connections are idle and old.
    pub fn stood_still(&mut self, standstill: Standstill) {
        self.totals.stood_still += standstill.lasted();
        self.slots.stood_still(standstill);
        self.queue.stood_still(standstill);
        self.openings.stood_still(standstill);
        self.estimate.stood_still(standstill);
        self.peaks.stood_still(standstill);
        self.ticker.stood_still(standstill);
        self.calendar.stood_still(standstill);
        self.standing.iter_mut().for_each(|queue| queue.stood_still(standstill));
        self.noted_at = standstill.since(self.noted_at);
    }

    /// On a clock that shows only the time in which the pool ran.
    pub(super) fn running(&self, now: Instant) -> Instant {
        now - self.totals.stood_still
    }
}
