use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One question of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    /// What acquire and release cost when nobody else is there.
    Uncontended,
    /// What they cost when many tasks share eight connections, and how evenly.
    Contended,
    /// Statements a second, and the processor time that each takes.
    Lookups,
    /// What a caller gets when more arrive than the database can serve.
    Overload,
    /// What becomes of a connection whose user left in the middle of a statement.
    Dropped,
    /// What a refusal costs.
    Refusal,
    /// E1: what the database does with so many connections, for each kind of work.
    #[value(name = "e1")]
    Steady,
    /// E2: ten times the capacity, and back.
    #[value(name = "e2")]
    Spike,
    /// E3: holders that give nothing back, and a spike.
    #[value(name = "e3")]
    Incident,
    /// E5: what one configuration loses against the best size of each kind of work.
    #[value(name = "e5")]
    Regret,
    /// E6: a database that changes under load.
    #[value(name = "e6")]
    Tracking,
    /// E8: critical work within a flood of all else.
    #[value(name = "e8")]
    Priority,
    /// E9: those who were refused come back.
    #[value(name = "e9")]
    Herd,
    /// Over HTTP: what a complete refusal costs, and how much overload an app stands.
    Http,
}

impl Row {
    /// All of the benchmark, in the order in which they are measured and reported.
    pub const BENCH: [Self; 6] =
        [Self::Uncontended, Self::Contended, Self::Lookups, Self::Dropped, Self::Refusal, Self::Overload];
    /// All of the trials.
    pub const TRIALS: [Self; 8] = [
        Self::Steady,
        Self::Regret,
        Self::Spike,
        Self::Incident,
        Self::Tracking,
        Self::Priority,
        Self::Herd,
        Self::Http,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uncontended => "uncontended",
            Self::Contended => "contended",
            Self::Lookups => "lookups",
            Self::Overload => "overload",
            Self::Dropped => "dropped",
            Self::Refusal => "refusal",
            Self::Steady => "e1",
            Self::Spike => "e2",
            Self::Incident => "e3",
            Self::Regret => "e5",
            Self::Tracking => "e6",
            Self::Priority => "e8",
            Self::Herd => "e9",
            Self::Http => "http",
        }
    }

    /// Its heading in the report.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Uncontended => "Acquire and release, nobody else there",
            Self::Contended => "Acquire and release, many tasks on 8 connections",
            Self::Lookups => "Statements of 64 tasks",
            Self::Overload => "More than the database can serve",
            Self::Dropped => "A future dropped 50 ms into a 300 ms statement, on a pool of 1",
            Self::Refusal => "Refusing while every connection is taken",
            Self::Steady => "E1: what the database does with so many connections",
            Self::Spike => "E2: ten times the capacity, and back",
            Self::Incident => "E3: twelve of twenty connections are never given back, and a spike comes",
            Self::Regret => "E5: one configuration for all, against the best size of each",
            Self::Tracking => "E6: a database that changes under load",
            Self::Priority => "E8: critical work within twenty times the capacity",
            Self::Herd => "E9: those who were refused come back",
            Self::Http => "Over HTTP: what a refusal costs, and how much overload an app stands",
        }
    }
}

/// How long something is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Uncounted, before.
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// How long and how often everything is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What is measured.
    pub rows: Vec<Row>,
    /// Draws the order of turns and the arrivals.
    pub seed: u64,
    /// Turns of each pool in each case.
    pub rounds: u32,
    /// How long a closed loop is counted.
    pub window: Duration,
    /// How long it runs before, uncounted.
    pub warm_up: Duration,
    /// Tasks of the contended row.
    pub tasks: Vec<usize>,
    /// Pool sizes of the lookups.
    pub sizes: Vec<u32>,
    /// Loads of the overload, as multiples of the capacity.
    pub loads: Vec<f64>,
    /// Sizes tried to find the capacity.
    pub static_sizes: Vec<u32>,
    /// The same where a bound on a mean is wanted.
    pub rounds_for_a_bound: u32,
    /// What one second of a trial's course takes.
    pub second: Duration,
    /// How long half the capacity is offered before.
    pub before: Duration,
    /// How long the load is offered.
    pub during: Duration,
    /// How long half the capacity is offered afterwards, where the load was 2x or more.
    pub after: Duration,
}

impl Plan {
    /// The run that is reported.
    #[must_use]
    pub fn full(seed: u64) -> Self {
        Self {
            rows: Row::BENCH.to_vec(),
            seed,
            rounds: 5,
            rounds_for_a_bound: 5,
            second: Duration::from_secs(1),
            window: Duration::from_millis(500),
            warm_up: Duration::from_millis(100),
            tasks: vec![64, 1_024],
            sizes: vec![2, 8, 32],
            loads: vec![0.5, 1.0, 1.5, 2.0, 6.0, 20.0],
            static_sizes: vec![4, 6, 8, 10, 12, 16, 24, 32],
            before: Duration::from_millis(200),
            during: Duration::from_millis(1_600),
            after: Duration::from_millis(500),
        }
    }

    /// A few minutes, to see that it works.
    #[must_use]
    pub fn quick(seed: u64) -> Self {
        Self {
            rounds: 3,
            window: Duration::from_millis(150),
            warm_up: Duration::from_millis(50),
            sizes: vec![8],
            loads: vec![1.0, 2.0, 20.0],
            static_sizes: vec![4, 8, 12, 16, 24],
            during: Duration::from_millis(1_200),
            ..Self::full(seed)
        }
    }

    /// The trials that are reported.
    #[must_use]
    pub fn trials(seed: u64) -> Self {
        Self {
            rows: Row::TRIALS.to_vec(),
            rounds: 3,
            window: Duration::from_millis(600),
            warm_up: Duration::from_millis(200),
            static_sizes: vec![1, 2, 4, 8, 12, 16, 24, 32, 48, 64],
            ..Self::full(seed)
        }
    }

    /// The trials in a few minutes.
    #[must_use]
    pub fn quick_trials(seed: u64) -> Self {
        Self {
            rounds: 1,
            window: Duration::from_millis(300),
            static_sizes: vec![1, 4, 12, 24, 48],
            rounds_for_a_bound: 3,
            second: Duration::from_millis(500),
            ..Self::trials(seed)
        }
    }

    pub(crate) const fn span(&self) -> Span {
        Span { warm_up: self.warm_up, window: self.window }
    }

    /// Seconds, for a test that looks only whether everything comes out.
    #[must_use]
    pub fn tiny(seed: u64) -> Self {
        Self {
            rounds: 1,
            // Long enough for a statement of 20 ms to come back.
            window: Duration::from_millis(150),
            warm_up: Duration::from_millis(5),
            tasks: vec![16],
            sizes: vec![2],
            loads: vec![2.0],
            static_sizes: vec![4],
            rounds_for_a_bound: 2,
            second: Duration::from_millis(50),
            before: Duration::from_millis(50),
            during: Duration::from_millis(150),
            after: Duration::from_millis(150),
            ..Self::full(seed)
        }
    }
}
