//! When requests arrive: open loop, that is, without asking whether anybody is served.

use std::time::Duration;

use crate::chance::{self, Chance};

/// A rate that changes in steps.
///
/// ```
/// use std::time::Duration;
/// use forebay_sim::load::Profile;
/// let second = Duration::from_secs(1);
/// let spike = Profile::steady(100.0).until(10 * second).then(2_000.0).until(13 * second).then(100.0);
/// assert_eq!(spike.rate_at(11 * second), 2_000.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Each rate in requests a second with the moment it ends; the last one never does.
    steps: Vec<(f64, Duration)>,
}

impl Profile {
    /// The same rate, in requests a second, for ever.
    #[must_use]
    pub fn steady(rate: f64) -> Self {
        Self { steps: vec![(rate, Duration::MAX)] }
    }

    /// Ends the last rate at this moment; nothing comes afterwards, unless [`Profile::then`] says what.
    #[must_use]
    pub fn until(mut self, at: Duration) -> Self {
        if let Some((_, end)) = self.steps.last_mut() {
            *end = at;
        }
        self
    }

    /// Goes on with this rate.
    #[must_use]
    pub fn then(mut self, rate: f64) -> Self {
        self.steps.push((rate, Duration::MAX));
        self
    }

    /// The rate at a moment.
    #[must_use]
    pub fn rate_at(&self, at: Duration) -> f64 {
        self.step_at(at).0
    }

    fn step_at(&self, at: Duration) -> (f64, Duration) {
        self.steps.iter().copied().find(|(_, end)| at < *end).unwrap_or((0.0, Duration::MAX))
    }
}

/// How arrivals cluster around the profile's rate; the mean is the profile's in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Burstiness {
    /// Independent arrivals (Poisson).
    #[default]
    Poisson,
    /// A Markov-modulated Poisson process with two states, each held for an exponentially distributed time.
    Switched {
        /// How long the busy state lasts on average.
        busy: Duration,
        /// How long the calm state lasts on average.
        calm: Duration,
        /// The calm state's rate as a share of the mean rate, 0 to 1; 0 is on/off traffic.
        calm_rate: f64,
    },
}

impl Burstiness {
    /// On average so long in the state, and so many times the mean rate in it.
    fn state(self, busy: bool) -> (Duration, f64) {
        let Self::Switched { busy: on, calm: off, calm_rate } = self else { return (Duration::MAX, 1.0) };
        if busy {
            let (on_s, off_s) = (on.as_secs_f64(), off.as_secs_f64());
            (on, ((on_s + off_s) - calm_rate * off_s) / on_s)
        } else {
            (off, calm_rate)
        }
    }
}

/// The moments at which requests arrive.
#[derive(Debug)]
pub struct Arrivals {
    profile: Profile,
    burstiness: Burstiness,
    now: Duration,
    busy: bool,
    state_ends: Duration,
}

impl Arrivals {
    /// Begins at moment zero, in the busy state.
    #[must_use]
    pub fn new(profile: Profile, burstiness: Burstiness) -> Self {
        Self { profile, burstiness, now: Duration::ZERO, busy: false, state_ends: Duration::ZERO }
    }

    /// The next one; `None` when the profile has ended.
    ///
    /// The integral of the rate between two arrivals is exponential with mean 1: it is drawn once and used up step by step.
    pub fn next(&mut self, chance: &mut Chance) -> Option<Duration> {
        let mut area = chance::exponential(chance);
        loop {
            if self.now >= self.state_ends {
                self.switch(chance);
            }
            let (rate, step_ends) = self.profile.step_at(self.now);
            let rate = rate * self.burstiness.state(self.busy).1;
            let end = step_ends.min(self.state_ends);
            if rate > 0.0 {
                let gap = area / rate;
                let left = (end - self.now).as_secs_f64();
                if gap <= left {
                    self.now += Duration::from_secs_f64(gap);
                    return Some(self.now);
                }
                area -= left * rate;
            } else if end == Duration::MAX {
                return None;
            }
            self.now = end;
        }
    }

    fn switch(&mut self, chance: &mut Chance) {
        self.busy = !self.busy;
        let (mean, _) = self.burstiness.state(self.busy);
        self.state_ends = if mean == Duration::MAX {
            Duration::MAX
        } else {
            self.state_ends + mean.mul_f64(chance::exponential(chance))
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Purpose, stream};

    const SECOND: Duration = Duration::from_secs(1);

    fn counts(profile: Profile, burstiness: Burstiness, seconds: u32) -> Vec<f64> {
        let mut arrivals = Arrivals::new(profile, burstiness);
        let mut chance = stream(3, Purpose::Arrivals);
        let mut counts = vec![0.0; seconds as usize];
        while let Some(at) = arrivals.next(&mut chance).filter(|at| *at < seconds * SECOND) {
            counts[usize::try_from(at.as_secs()).unwrap()] += 1.0;
        }
        counts
    }

    fn index_of_dispersion(counts: &[f64]) -> (f64, f64) {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let number = counts.len() as f64;
        let mean = counts.iter().sum::<f64>() / number;
        (mean, counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / number / mean)
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_variance_of_their_name() {
        let (mean, dispersion) = index_of_dispersion(&counts(Profile::steady(200.0), Burstiness::Poisson, 1_000));
        assert!((mean / 200.0 - 1.0).abs() < 0.02, "{mean}");
        assert!((dispersion - 1.0).abs() < 0.2, "{dispersion}");
    }

    #[test]
    fn switched_arrivals_keep_the_mean_rate_and_cluster() {
        let switched = Burstiness::Switched { busy: SECOND, calm: 3 * SECOND, calm_rate: 0.2 };
        let (mean, dispersion) = index_of_dispersion(&counts(Profile::steady(200.0), switched, 4_000));
        assert!((mean / 200.0 - 1.0).abs() < 0.05, "{mean}");
        assert!(dispersion > 20.0, "{dispersion}");
    }

    #[test]
    fn a_profile_is_followed_step_by_step_and_may_end() {
        let profile = Profile::steady(50.0).until(100 * SECOND).then(500.0).until(200 * SECOND);
        let counts = counts(profile, Burstiness::Poisson, 300);
        let sum = |range: std::ops::Range<usize>| counts[range].iter().sum::<f64>();
        assert!((sum(0..100) / 5_000.0 - 1.0).abs() < 0.05);
        assert!((sum(100..200) / 50_000.0 - 1.0).abs() < 0.05);
        assert!(sum(200..300) < 0.5);
    }
}
