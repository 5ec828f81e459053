//! Chance: one seed, and a stream of numbers for each purpose.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, LogNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::Duration;

/// A stream of numbers. The algorithm is named, so that a seed means the same in every version of the libraries.
pub type Chance = Xoshiro256PlusPlus;

/// What a stream is for. Purposes do not share numbers: two pools under the same seed see the same arrivals, however
/// differently they use chance themselves.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// When requests arrive, and what they ask for.
    Arrivals,
    /// How clients spread their retries.
    Clients,
    /// What the database draws for itself: how long a connection takes to open.
    Server,
    /// What the pool under test draws for itself.
    Pool,
}

/// The stream of one purpose under one seed.
///
/// ```
/// use forebay_sim::chance::{Purpose, stream, uniform};
/// assert_eq!(uniform(&mut stream(7, Purpose::Pool)), uniform(&mut stream(7, Purpose::Pool)));
/// assert_ne!(uniform(&mut stream(7, Purpose::Pool)), uniform(&mut stream(7, Purpose::Clients)));
/// ```
#[must_use]
pub fn stream(seed: u64, purpose: Purpose) -> Chance {
    let mut root = Chance::seed_from_u64(seed);
    for _ in 0..=purpose as usize {
        root.long_jump();
    }
    root
}

/// A number in `[0, 1)`.
pub fn uniform(chance: &mut Chance) -> f64 {
    chance.random()
}

/// An exponentially distributed number with mean 1.
pub fn exponential(chance: &mut Chance) -> f64 {
    Exp1.sample(chance)
}

/// A length of time that is drawn: log-normal with a mean and a coefficient of variation (standard deviation over mean).
///
/// ```
/// use std::time::Duration;
/// use forebay_sim::chance::{Length, Purpose, stream};
/// let always = Length::fixed(Duration::from_millis(5));
/// assert_eq!(always.draw(&mut stream(1, Purpose::Server)), Duration::from_millis(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    mean: Duration,
    cv: f64,
    shape: Option<LogNormal<f64>>,
}

impl Length {
    /// The same every time.
    #[must_use]
    pub const fn fixed(mean: Duration) -> Self {
        Self { mean, cv: 0.0, shape: None }
    }

    /// Log-normal with this mean and coefficient of variation; 1 is about as variable as exponential, 3 has a heavy tail.
    ///
    /// # Panics
    /// `cv` is negative or no number.
    #[must_use]
    pub fn varying(mean: Duration, cv: f64) -> Self {
        let shape =
            LogNormal::from_mean_cv(mean.as_secs_f64(), cv).expect("a coefficient of variation is not negative");
        Self { mean, cv, shape: Some(shape) }
    }

    /// Its mean.
    #[must_use]
    pub const fn mean(&self) -> Duration {
        self.mean
    }

    /// Its coefficient of variation.
    #[must_use]
    pub const fn cv(&self) -> f64 {
        self.cv
    }

    /// One of them.
    pub fn draw(&self, chance: &mut Chance) -> Duration {
        self.shape.map_or(self.mean, |shape| Duration::from_secs_f64(shape.sample(chance)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_length_has_the_mean_and_the_spread_it_was_given() {
        let length = Length::varying(Duration::from_millis(10), 3.0);
        let mut chance = stream(1, Purpose::Server);
        let drawn: Vec<f64> = (0..400_000).map(|_| length.draw(&mut chance).as_secs_f64()).collect();
        let count = 400_000.0;
        let mean = drawn.iter().sum::<f64>() / count;
        let variance = drawn.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / count;
        assert!((mean / 0.010 - 1.0).abs() < 0.03, "{mean}");
        assert!((variance.sqrt() / mean / 3.0 - 1.0).abs() < 0.25, "{}", variance.sqrt() / mean);
    }
}
