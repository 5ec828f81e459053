//! Who sends requests, how long they wait for an answer, and what they do when they get none.

use std::time::Duration;

use crate::chance::{self, Chance};

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client {
    /// How long it waits for an answer to one attempt.
    pub patience: Duration,
    /// How often it sends a request at most, the first time included; `u32::MAX` never gives up.
    pub attempts: u32,
    /// How long it pauses between two attempts.
    pub pause: Pause,
}

/// The pause between two attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pause {
    /// The same every time; zero is the naive client that sends again at once.
    Fixed(Duration),
    /// Between zero and a bound that doubles with every attempt (exponential backoff with full jitter).
    Backoff {
        /// The bound before the second attempt.
        first: Duration,
        /// The bound's bound.
        longest: Duration,
    },
    /// As long as the refusal said. Where it said nothing (a time-out, a refusal without the header), backoff.
    Honoured {
        /// The bound of the backoff before the second attempt.
        first: Duration,
        /// The bound's bound.
        longest: Duration,
        /// Whether only whole seconds are understood, as in the standard's `Retry-After`; rounded up.
        whole_seconds: bool,
    },
}

impl Client {
    /// Sends again up to two times, 100 ms after each failure; waits a second for each answer.
    pub const NAIVE: Self =
        Self { patience: Duration::from_secs(1), attempts: 3, pause: Pause::Fixed(Duration::from_millis(100)) };

    /// The same without any pause.
    pub const AT_ONCE: Self = Self { pause: Pause::Fixed(Duration::ZERO), ..Self::NAIVE };

    /// Up to four attempts with full jitter between 100 ms and 5 s.
    pub const BACKOFF: Self = Self {
        attempts: 4,
        pause: Pause::Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) },
        ..Self::NAIVE
    };

    /// Comes back when it was told to, as long as it takes.
    pub const HONEST: Self = Self {
        attempts: u32::MAX,
        pause: Pause::Honoured {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            whole_seconds: false,
        },
        ..Self::NAIVE
    };

    /// The pause before the next attempt after `made` of them; `None` gives up. `told` is what a refusal said.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_sim::{chance::{Purpose, stream}, client::Client};
    /// let mut chance = stream(1, Purpose::Clients);
    /// assert_eq!(Client::NAIVE.pause(1, None, &mut chance), Some(Duration::from_millis(100)));
    /// assert_eq!(Client::NAIVE.pause(3, None, &mut chance), None);
    /// let told = Duration::from_secs(7);
    /// assert_eq!(Client::HONEST.pause(9, Some(told), &mut chance), Some(told));
    /// ```
    pub fn pause(&self, made: u32, told: Option<Duration>, chance: &mut Chance) -> Option<Duration> {
        if made >= self.attempts {
            return None;
        }
        Some(match (self.pause, told) {
            (Pause::Fixed(pause), _) => pause,
            (Pause::Honoured { whole_seconds: true, .. }, Some(told)) => {
                Duration::from_secs(told.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX))
            }
            (Pause::Honoured { .. }, Some(told)) => told,
            (Pause::Backoff { first, longest } | Pause::Honoured { first, longest, .. }, _) => {
                let bound = first.saturating_mul(1 << made.saturating_sub(1).min(20)).min(longest);
                bound.mul_f64(chance::uniform(chance))
            }
        })
    }
}

/// Clients of several kinds, each with its weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    kinds: Vec<(f64, Client)>,
}

impl Population {
    /// All alike.
    #[must_use]
    pub fn of(client: Client) -> Self {
        Self { kinds: vec![(1.0, client)] }
    }

    /// So much of each, in any unit.
    #[must_use]
    pub fn mixed(kinds: &[(f64, Client)]) -> Self {
        Self { kinds: kinds.to_vec() }
    }

    /// Somebody.
    pub fn draw(&self, chance: &mut Chance) -> Client {
        let total: f64 = self.kinds.iter().map(|(weight, _)| weight).sum();
        let mut point = chance::uniform(chance) * total;
        for (weight, client) in &self.kinds {
            point -= weight;
            if point < 0.0 {
                return *client;
            }
        }
        self.kinds.last().map_or(Client::NAIVE, |(_, client)| *client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Purpose, stream};

    #[test]
    fn backoff_stays_below_a_bound_that_doubles_and_has_an_end() {
        let mut chance = stream(5, Purpose::Clients);
        let client = Client { attempts: 40, ..Client::BACKOFF };
        for made in 1..40 {
            let bound = Duration::from_millis(100 << (made - 1).min(6)).min(Duration::from_secs(5));
            assert!(client.pause(made, None, &mut chance).unwrap() <= bound);
        }
        assert_eq!(client.pause(40, None, &mut chance), None);
    }

    #[test]
    fn an_honest_client_that_reads_whole_seconds_rounds_up() {
        let mut chance = stream(5, Purpose::Clients);
        let pause = Pause::Honoured { first: Duration::ZERO, longest: Duration::ZERO, whole_seconds: true };
        let client = Client { pause, ..Client::HONEST };
        let told = |ms| client.pause(1, Some(Duration::from_millis(ms)), &mut stream(1, Purpose::Clients));
        assert_eq!([told(1), told(1_000), told(1_001)], [1, 1, 2].map(|s| Some(Duration::from_secs(s))));
        assert_eq!(client.pause(1, None, &mut chance), Some(Duration::ZERO));
    }

    #[test]
    fn a_population_has_each_kind_by_its_weight() {
        let mut chance = stream(6, Purpose::Clients);
        let population = Population::mixed(&[(3.0, Client::NAIVE), (1.0, Client::HONEST)]);
        let honest = (0..10_000).filter(|_| population.draw(&mut chance) == Client::HONEST).count();
        assert!((2_300..2_700).contains(&honest), "{honest}");
    }
}
