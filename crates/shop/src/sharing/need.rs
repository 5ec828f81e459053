use forebay_pool::{Class, Snapshot};

/// For how many connections a pool has had use since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    peak: u32,
    refused: u64,
}

impl Needs {
    /// Whoever waits could use one more, and nobody knows how many those could who are refused; unless the pool keeps its limit down
    /// by itself: then the database would not be faster.
    pub(super) fn note(&mut self, snapshot: &Snapshot) {
        let Snapshot { leased, suspects, quarantined, waiting, limit, recommended_limit, reserve, ceiling, .. } =
            *snapshot;
        let busy = leased + suspects + quarantined;
        // One is for the connection that cancels.
        let is_bound = recommended_limit > limit || limit + reserve + suspects + 1 >= ceiling;
        let refused = Class::ALL.iter().map(|class| snapshot.totals.shed_of(*class)).sum();
        let refuses = std::mem::replace(&mut self.refused, refused) < refused;
        self.peak = self.peak.max(match is_bound {
            true if refuses => u32::MAX,
            true => busy.saturating_add(waiting),
            false => busy,
        });
    }

    /// The most of it, with an eighth and two more: the next moment may need more, and one connection cancels statements.
    pub(super) const fn take(&mut self) -> u32 {
        let peak = self.peak;
        self.peak = 0;
        if peak == 0 { 0 } else { peak.saturating_add(peak / 8).saturating_add(2) }
    }
}
