use std::time::Instant;

use super::numbers::Numbers;
use super::{Sample, Sizer, Target};

/// Gives the traffic what it needs, by square-root staffing: for an offered load of R Erlang, `R + 2 sqrt(R) + 1` leases
/// leave next to nobody waiting (Halfin and Whitt, "Heavy-traffic limits for queues with many exponential servers", 1981).
///
/// R is an exponential mean over about three ticks while it rises. The limit grows by at most a quarter at each tick,
/// also whenever a queue stands or somebody was refused. After ten calm seconds it shrinks by a tenth each second towards
/// the most that was needed meanwhile. It does not ask whether the database is better off with fewer: where that matters,
/// set a ceiling.
#[derive(Clone, Copy, Debug, Default)]
pub struct Staffing {
    numbers: &'static Numbers,
    offered: f64,
    calm: Option<Calm>,
}

#[derive(Clone, Copy, Debug)]
struct Calm {
    /// When the present window began.
    since: Instant,
    /// The most that was needed in the window before, and in this one.
    needed: [u32; 2],
    next_step: Instant,
}

impl Staffing {
    #[cfg(feature = "ablation")]
    pub(super) const fn new(numbers: &'static Numbers) -> Self {
        Self { numbers, offered: 0.0, calm: None }
    }

    /// How many leases this load needs.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of the type")]
    fn needed(&mut self, sample: &Sample) -> u32 {
        self.offered += (sample.offered - self.offered) * self.numbers.weight;
        let needed = self.offered + self.numbers.safety * self.offered.max(0.0).sqrt() + self.numbers.spare;
        needed.ceil().clamp(1.0, f64::from(u32::MAX)) as u32
    }

    /// The calm in which nothing more was needed: what was is remembered for at least one window, at most two.
    fn calm(&mut self, now: Instant, needed: u32) -> &mut Calm {
        let window = self.numbers.calm;
        let fresh = Calm { since: now, needed: [0, needed], next_step: now + window };
        let calm = self.calm.get_or_insert(fresh);
        if now.saturating_duration_since(calm.since) >= window {
            (calm.since, calm.needed) = (now, [calm.needed[1], needed]);
        }
        calm.needed[1] = calm.needed[1].max(needed);
        calm
    }
}

impl Sizer for Staffing {
    fn tick(&mut self, now: Instant, sample: &Sample) -> Target {
        let target = self.choose(now, sample);
        let reason = if target.limit < sample.floor { "floor" } else { target.reason };
        Target { limit: target.limit.max(sample.floor), reason }
    }
}

impl Staffing {
    fn choose(&mut self, now: Instant, sample: &Sample) -> Target {
        let needed = self.needed(sample);
        let most = sample.limit.saturating_add(share_of(sample.limit, self.numbers.growth));
        let reason = match sample {
            Sample { standing: true, .. } => "standing_queue",
            Sample { refused: 1.., .. } => "refusals",
            _ if needed > sample.limit => "demand",
            _ => "calm",
        };
        if reason != "calm" {
            self.calm = None;
            let limit = if reason == "demand" { needed.min(most) } else { most };
            return Target { limit, reason };
        }
        let every = self.numbers.shrink_every;
        let calm = self.calm(now, needed);
        let most_needed = calm.needed[0].max(calm.needed[1]);
        if now < calm.next_step || most_needed >= sample.limit {
            return Target { limit: sample.limit, reason: "steady" };
        }
        calm.next_step = now + every;
        let step = share_of(sample.limit, self.numbers.shrink);
        Target { limit: (sample.limit - step).max(most_needed), reason }
    }
}

/// So much of a limit, but one at the least.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "smaller than a limit, and not negative")]
fn share_of(limit: u32, share: f64) -> u32 {
    ((f64::from(limit) * share) as u32).max(1)
}
