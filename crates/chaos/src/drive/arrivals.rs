//! Who comes when: independent journeys, drawn from a seed, that wait for nobody.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

/// What journeys there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// Of a hundred: 65 browse, 25 buy, 9 renew a session, 1 logs in, though never two within a second.
    Shop,
    /// All browse: they need no account, and change nothing.
    Browse,
}

impl Mix {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Browse => "browse",
        }
    }
}

/// One journey.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    /// When, in seconds from the start.
    pub(crate) at: f64,
    pub(crate) errand: Errand,
    /// Chooses among lists, products and users.
    pub(crate) chance: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// A list, and one of its products.
    Browse,
    /// The same, and then a cart, an item and an order.
    Buy,
    Renew,
    LogIn,
}

/// All arrivals of a run, drawn as they are asked for: a Poisson process. The same arguments give the same ones.
#[derive(Debug)]
pub(crate) struct Arrivals {
    chance: StdRng,
    rate: f64,
    seconds: f64,
    mix: Mix,
    at: f64,
    login_at: f64,
}

impl Arrivals {
    pub(crate) fn new(rate: f64, seconds: f64, mix: Mix, seed: u64) -> Self {
        Self { chance: StdRng::seed_from_u64(seed), rate, seconds, mix, at: 0.0, login_at: f64::NEG_INFINITY }
    }

    fn errand(&mut self) -> Errand {
        let drawn = self.chance.random_range(0..100);
        match (self.mix, drawn) {
            (Mix::Browse, _) | (Mix::Shop, 0..65) => Errand::Browse,
            (Mix::Shop, 65..90) => Errand::Buy,
            // A login costs the shop a password hash, which is dear on purpose: at a high rate it would be all it does.
            (Mix::Shop, 99..) if self.at - self.login_at >= 1.0 => {
                self.login_at = self.at;
                Errand::LogIn
            }
            (Mix::Shop, _) => Errand::Renew,
        }
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let uniform: f64 = self.chance.random();
        self.at += -(1.0 - uniform).ln() / self.rate;
        if self.at >= self.seconds {
            return None;
        }
        Some(Arrival { at: self.at, errand: self.errand(), chance: self.chance.random() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_sends_the_same_journeys_and_another_seed_others() {
        let drawn = |seed| Arrivals::new(50.0, 30.0, Mix::Shop, seed).collect::<Vec<_>>();
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn rate_and_mix_are_as_asked_for() {
        let all: Vec<Arrival> = Arrivals::new(100.0, 100.0, Mix::Shop, 3).collect();
        assert!((9_700..10_300).contains(&all.len()), "{}", all.len());
        assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at) && all.iter().all(|one| one.at < 100.0));
        let share = |errand| all.iter().filter(|one| one.errand == errand).count() * 100 / all.len();
        assert!((63..=67).contains(&share(Errand::Browse)), "{}", share(Errand::Browse));
        assert!((23..=27).contains(&share(Errand::Buy)), "{}", share(Errand::Buy));
        assert!(Arrivals::new(100.0, 10.0, Mix::Browse, 3).all(|one| one.errand == Errand::Browse));
    }

    #[test]
    fn no_two_log_in_within_a_second() {
        let all = Arrivals::new(2_000.0, 20.0, Mix::Shop, 3).filter(|one| one.errand == Errand::LogIn);
        let at: Vec<f64> = all.map(|one| one.at).collect();
        assert!(at.len() > 10 && at.windows(2).all(|pair| pair[1] - pair[0] >= 1.0), "{at:?}");
    }
}
