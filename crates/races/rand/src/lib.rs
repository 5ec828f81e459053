//! Stands in for `rand`, whose numbers would be others each time that a schedule is played again.

use real::SeedableRng as _;
use real::distr::{Distribution, StandardUniform};
use real::rngs::StdRng;
use shuttle::rand::RngCore as _;

/// As rand's, drawn from the schedule.
#[must_use]
pub fn random<T>() -> T
where
    StandardUniform: Distribution<T>,
{
    StandardUniform.sample(&mut StdRng::seed_from_u64(shuttle::rand::thread_rng().next_u64()))
}
