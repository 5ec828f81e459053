use std::fmt::Debug;
use std::time::{Duration, Instant};

/// What a [`Sizer`] sees at each tick.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The limit in force.
    pub limit: u32,
    /// The largest limit there is room for now: the ceiling without the reserve and without suspects.
    pub room: u32,
    /// The most connections that were in use at once since the last tick.
    pub peak: u32,
    /// Whether there was no moment without a waiter within the last 100 ms.
    pub standing: bool,
    /// Requests refused since the last tick for lack of a place.
    pub refused: u32,
}

/// What a [`Sizer`] wants, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The limit it wants; the ledger clamps it to what there is room for.
    pub limit: u32,
    /// Why, as a short fixed word for metrics and logs.
    pub reason: &'static str,
}

/// Decides how many leases may be out at once. The ledger asks every 20 ms while the pool is in use.
pub trait Sizer: Debug + Send {
    /// The limit from now on.
    fn tick(&mut self, now: Instant, sample: &Sample) -> Target;
}

/// Never moves the limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fixed;

impl Sizer for Fixed {
    fn tick(&mut self, _now: Instant, sample: &Sample) -> Target {
        Target { limit: sample.limit, reason: "fixed" }
    }
}

/// Grows by a quarter at each tick with a standing queue or a refusal; after ten calm seconds shrinks by a tenth each
/// second towards what the recent peaks needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandingQueue {
    calm: Option<Calm>,
}

#[derive(Clone, Copy, Debug)]
struct Calm {
    since: Instant,
    peak: u32,
    next_step: Instant,
}

impl StandingQueue {
    const WINDOW: Duration = Duration::from_secs(10);
    const STEP: Duration = Duration::from_secs(1);

    /// What a peak needs: a quarter more than itself.
    const fn wanted(peak: u32) -> u32 {
        peak + peak.div_ceil(4)
    }
}

impl Sizer for StandingQueue {
    fn tick(&mut self, now: Instant, sample: &Sample) -> Target {
        if sample.standing || sample.refused > 0 {
            self.calm = None;
            let step = (sample.limit / 4).max(1);
            let reason = if sample.standing { "standing_queue" } else { "refusals" };
            return Target { limit: sample.limit.saturating_add(step), reason };
        }
        let stay = Target { limit: sample.limit, reason: "steady" };
        let calm = self.calm.get_or_insert(Calm { since: now, peak: 0, next_step: now + Self::WINDOW });
        calm.peak = calm.peak.max(sample.peak);
        if now < calm.next_step {
            return stay;
        }
        let wanted = Self::wanted(calm.peak);
        calm.next_step = now + Self::STEP;
        if now.saturating_duration_since(calm.since) >= Self::WINDOW * 2 {
            *calm = Calm { since: now, peak: sample.peak, next_step: now + Self::STEP };
        }
        if wanted >= sample.limit {
            return stay;
        }
        let step = (sample.limit / 10).max(1);
        Target { limit: (sample.limit - step).max(wanted).max(1), reason: "calm" }
    }
}
