//! A scenario is data: when how much load arrives, which faults surround it, and what is judged. It comes from a file
//! ([`filed`]), and some files come with the program ([`shipped`]).

pub mod bound;
mod check;
pub mod filed;
pub mod listing;
mod moment;
mod reading;
pub mod shipped;
pub mod text;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use bound::{Bound, Measure};

/// The quick replay: 2:30 to 3:00 still lasts ninety seconds.
pub const QUICK_SPEED: f64 = 20.0;
/// Above this the minutes before the spike no longer hold the marks that belong there.
pub const FASTEST: f64 = 20.0;
/// Base load as a share of the legacy arm's capacity.
pub const BASE_LOAD: f64 = 0.2;
/// Spike load as a share of the legacy arm's capacity.
pub const SPIKE_LOAD: f64 = 2.0;

/// A stretch of play, in seconds since its start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// First second, included.
    pub from: f64,
    /// Last second, excluded.
    pub to: f64,
}

impl Window {
    /// The stretch from `from` up to `to`.
    #[must_use]
    pub fn new(from: f64, to: f64) -> Self {
        Self { from, to }
    }

    /// The `seconds` before `to`.
    #[must_use]
    pub fn before(to: f64, seconds: f64) -> Self {
        Self { from: to - seconds, to }
    }

    /// Whether `at` lies inside.
    #[must_use]
    pub fn holds(&self, at: f64) -> bool {
        at >= self.from && at < self.to
    }

    /// Its length in seconds.
    #[must_use]
    pub fn length(&self) -> f64 {
        self.to - self.from
    }
}

/// How many requests a second arrive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// This multiple of the legacy arm's calibrated capacity.
    OfCapacity(f64),
    /// So many requests a second, whatever the capacity.
    PerSecond(f64),
}

impl Load {
    /// Requests a second, given the legacy arm's capacity.
    #[must_use]
    pub fn requests_per_second(self, capacity: f64) -> f64 {
        match self {
            Self::OfCapacity(share) => share * capacity,
            Self::PerSecond(rate) => rate,
        }
    }
}

/// A stretch of constant load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// What the phase is called in the report.
    pub name: String,
    /// When it holds.
    pub window: Window,
    /// How much arrives.
    pub load: Load,
}

/// Report jobs that borrow a connection and leave it idle in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holders {
    /// When the first one starts, in seconds of play.
    pub from: f64,
    /// How many start; more than the play is long means: until it ends.
    pub count: u32,
    /// Seconds between two starts.
    pub every: f64,
    /// Seconds a job sleeps with its transaction open; `None` never gives back.
    pub sleep: Option<f64>,
}

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The postmortem.
    Incident,
    /// Control: the spike without the idle holders.
    SpikeAlone,
    /// Control: the idle holders without the spike.
    HoldersAlone,
    /// Control: nobody acts at 3:00.
    WithoutAction,
    /// Judged by the marks that its file states, and by nothing else.
    Marked,
}

/// A database that is slower for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slowdown {
    /// When.
    pub window: Window,
    /// What is left of its speed; zero stands still.
    pub speed: f64,
}

/// A play, apart from the arm that it is played on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// What it is called in reports.
    pub name: String,
    /// How it is told and judged.
    pub kind: Kind,
    /// The clock on the wall.
    pub clock: Clock,
    /// Load over time, without gaps, in order.
    pub phases: Vec<Phase>,
    /// Idle holders, if any.
    pub holders: Option<Holders>,
    /// The slower database, if it becomes so.
    pub slowdown: Option<Slowdown>,
    /// When the on-call engineer enlarges the legacy pool and flushes it.
    pub action: Option<f64>,
    /// Healthy stretch before any fault.
    pub baseline: Window,
    /// Stretch whose users and goodput are judged.
    pub judged: Window,
    /// How often a client sends a 5xx or a time-out again, at once.
    pub retries: u32,
    /// What must hold, as its file states it.
    pub marks: Vec<Bound>,
    /// What virtual time is too coarse for: marks about it are judged for real alone.
    pub only_for_real: Vec<Measure>,
}

impl Scenario {
    /// The incident of the postmortem; `quick` shortens the tail.
    #[must_use]
    pub fn incident(speed: f64, quick: bool) -> Self {
        shipped::named("incident").scenario(speed, quick)
    }

    /// The incident's load without the idle holders, up to 3:00.
    #[must_use]
    pub fn spike_alone(speed: f64) -> Self {
        let incident = Self::incident(speed, true).until_three();
        Self { name: "spike alone".to_owned(), kind: Kind::SpikeAlone, holders: None, ..incident }
    }

    /// The incident's idle holders under base load, up to 3:00.
    #[must_use]
    pub fn holders_alone(speed: f64) -> Self {
        let incident = Self::incident(speed, true).until_three();
        let mut calm = Self { name: "holders alone".to_owned(), kind: Kind::HoldersAlone, ..incident };
        for phase in &mut calm.phases {
            phase.load = Load::OfCapacity(BASE_LOAD);
        }
        calm
    }

    /// The incident with nobody at the controls.
    #[must_use]
    pub fn without_action(speed: f64) -> Self {
        let name = "without the action".to_owned();
        Self { name, kind: Kind::WithoutAction, action: None, ..Self::incident(speed, true) }
    }

    /// The same with so many seconds of base load after it.
    #[must_use]
    pub fn followed_by(mut self, seconds: f64) -> Self {
        let end = self.end();
        if seconds > 0.0 {
            let window = Window::new(end, end + seconds);
            self.phases.push(Phase { name: "after".to_owned(), window, load: Load::OfCapacity(BASE_LOAD) });
        }
        self
    }

    /// Seconds of play until the last arrival.
    #[must_use]
    pub fn end(&self) -> f64 {
        self.phases.last().map_or(0.0, |phase| phase.window.to)
    }

    /// The phase with the most load.
    #[must_use]
    pub fn peak(&self) -> Window {
        self.phases.get(1).map_or(self.judged, |phase| phase.window)
    }

    fn until_three(mut self) -> Self {
        let three = self.clock.at(3, 0);
        self.action = None;
        self.phases.truncate(2);
        if let Some(last) = self.phases.last_mut() {
            last.window.to = three;
        }
        self.judged.to = three - 10.0;
        self
    }
}

#[cfg(test)]
mod tests;
