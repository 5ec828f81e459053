//! Pools by name: ours in several settings, and each rival by its defaults and tuned by hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forebay_pool_core::{Fixed as FixedLimit, Knee, Rules, Sizer};

use crate::ours::Ours;
use crate::pool::Pool;
use crate::rival::{Aimd, Codel, Envoy, Fixed, Gradient2, Limited, Little, Vegas, Windowed};

/// How many connections stand behind a limiter that has none of its own.
pub const BEHIND: u32 = 100;

/// What experiments are tuned for: the best number of statements at once on the default machine.
pub const BEST: u32 = 35;

type Build = dyn Fn(u64) -> Box<dyn Pool> + Send + Sync;

/// A pool that can be made anew for each run.
#[derive(Clone)]
pub struct Contender {
    /// Its name in reports.
    pub name: String,
    build: Arc<Build>,
}

impl fmt::Debug for Contender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Contender").field(&self.name).finish()
    }
}

impl Contender {
    /// A pool made by this function from a seed.
    pub fn new<P: Pool + 'static>(name: impl Into<String>, build: impl Fn(u64) -> P + Send + Sync + 'static) -> Self {
        Self { name: name.into(), build: Arc::new(move |seed| Box::new(build(seed))) }
    }

    /// A new one.
    #[must_use]
    pub fn build(&self, seed: u64) -> Box<dyn Pool> {
        (self.build)(seed)
    }

    /// Our ledger by its rules, sized by [`Knee`], as by default.
    #[must_use]
    pub fn ours(name: impl Into<String>, rules: Rules) -> Self {
        Self::ours_sized(name, rules, || Box::new(Knee::default()))
    }

    /// Our ledger by its rules, sized by anything.
    #[must_use]
    pub fn ours_sized(
        name: impl Into<String>,
        rules: Rules,
        sizer: impl Fn() -> Box<dyn Sizer> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |seed| Ours::new(rules.clone(), sizer(), seed))
    }

    /// Our ledger with a limit that never moves: what admission does alone.
    #[must_use]
    pub fn ours_fixed(limit: u32) -> Self {
        // The reserve lies on top of the limit and inside the ceiling.
        let rules = Rules { initial_limit: limit, ceiling: limit + (limit / 10).max(1), ..Rules::default() };
        Self::ours_sized(format!("ours, limit {limit}"), rules, || Box::new(FixedLimit))
    }
}

/// Ours as shipped, with room for more, and with the best size given.
#[must_use]
pub fn ours() -> Vec<Contender> {
    vec![
        Contender::ours("ours, defaults (ceiling 60)", Rules::default()),
        Contender::ours("ours, ceiling 160", Rules { ceiling: 160, ..Rules::default() }),
        Contender::ours_fixed(BEST),
    ]
}

/// Pools of fixed size with a queue in order of arrival, as sqlx's.
#[must_use]
pub fn queues() -> Vec<Contender> {
    vec![
        Contender::new("queue, 10, 30 s (sqlx's defaults)", |_| Fixed::unbounded(10)),
        Contender::new("queue, 35, 250 ms (tuned)", |_| {
            Fixed::unbounded(BEST).acquire_timeout(Duration::from_millis(250))
        }),
        Contender::new("queue, 100, 30 s", |_| Fixed::unbounded(100)),
    ]
}

/// Pools of fixed size that refuse whoever finds no free connection.
#[must_use]
pub fn sheds() -> Vec<Contender> {
    let shed = |size| Contender::new(format!("shed at {size}"), move |_| Fixed::shedding(size, 0));
    vec![shed(20), shed(BEST), shed(100)]
}

/// Limiters that move by themselves: by default, then tuned for a good answer within 250 ms at [`BEST`].
#[must_use]
pub fn limiters() -> Vec<Contender> {
    let slo = Duration::from_millis(250);
    let window = Duration::from_millis(100);
    // Whoever tunes knows about where the best size is, and lets a limiter search around it.
    let most = BEST + BEST / 2;
    vec![
        Contender::new("AIMD", |_| Limited::new(Aimd::default(), BEHIND)),
        Contender::new("AIMD, tuned", move |_| {
            Limited::new(Aimd { min: 1, max: BEHIND, timeout: slo, ..Aimd::default() }, BEHIND)
        }),
        Contender::new("Vegas", |seed| Limited::new(Vegas::new(seed), BEHIND)),
        Contender::new("Vegas, tuned", move |seed| {
            let vegas = Vegas::new(seed).between(20, most).queue(18.0, 24.0);
            Limited::new(Windowed::of_width(vegas, window), BEHIND)
        }),
        Contender::new("Gradient2", |_| Limited::new(Windowed::new(Gradient2::default()), BEHIND)),
        Contender::new("Gradient2, tuned", move |_| {
            Limited::new(Windowed::of_width(Gradient2::default().between(20, 5, most), window), BEHIND)
        }),
        Contender::new("Envoy gradient", |seed| Limited::new(Envoy::new(seed), BEHIND)),
        Contender::new("Envoy gradient, tuned", move |seed| {
            let mut envoy = Envoy::new(seed).between(10, most);
            (envoy.buffer, envoy.learn_every) = (1.0, Duration::from_secs(300));
            Limited::new(envoy, BEHIND)
        }),
        Contender::new("CoDel + LIFO, 100", |_| Codel::new(100)),
        Contender::new("CoDel + LIFO, 35 (tuned)", |_| Codel::new(BEST)),
        Contender::new("little-loadshedder, 250 ms, 0.1", move |_| Little::new(slo, 0.1, BEHIND)),
        Contender::new("little-loadshedder, 100 ms, 0.02 (tuned)", |_| {
            Little::new(Duration::from_millis(100), 0.02, BEHIND)
        }),
    ]
}

/// Everybody.
#[must_use]
pub fn all() -> Vec<Contender> {
    [ours(), queues(), sheds(), limiters()].concat()
}
