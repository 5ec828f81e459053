//! A scenario is data: when how much load arrives, which faults surround it, and what is judged.

use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// Errors trail the spike by about eight seconds at any speed, so the spike starts that much before 2:30.
const SPIKE_LEAD_S: f64 = 8.0;
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
    /// Sequel: holders that never give back.
    Leak,
    /// Sequel: more than the machine can do.
    Overload,
}

/// A play, apart from the arm that it is played on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Which one.
    pub kind: Kind,
    /// The clock on the wall.
    pub clock: Clock,
    /// Load over time, without gaps, in order.
    pub phases: Vec<Phase>,
    /// Idle holders, if any.
    pub holders: Option<Holders>,
    /// When the on-call engineer enlarges the legacy pool and flushes it.
    pub action: Option<f64>,
    /// Healthy stretch before any fault.
    pub baseline: Window,
    /// Stretch whose users and goodput are judged.
    pub judged: Window,
}

impl Kind {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::SpikeAlone => "spike alone",
            Self::HoldersAlone => "holders alone",
            Self::WithoutAction => "without the action",
            Self::Leak => "leak",
            Self::Overload => "overload",
        }
    }
}

impl Scenario {
    /// The incident of the postmortem; `quick` shortens the tail.
    #[must_use]
    pub fn incident(speed: f64, quick: bool) -> Self {
        let clock = Clock::new(600.0 / speed, speed);
        let tail = clock.span(if quick { 2.0 } else { 5.0 });
        let spike = clock.at(2, 30) - SPIKE_LEAD_S;
        let restored = clock.at(3, 15);
        Self {
            kind: Kind::Incident,
            clock,
            phases: vec![
                phase("base", 0.0, spike, Load::OfCapacity(BASE_LOAD)),
                phase("spike", spike, restored, Load::OfCapacity(SPIKE_LOAD)),
                phase("tail", restored, restored + tail, Load::OfCapacity(BASE_LOAD)),
            ],
            holders: Some(Holders { from: clock.at(2, 24), count: 7, every: clock.span(0.33), sleep: Some(60.0) }),
            action: Some(clock.at(3, 0)),
            baseline: Window::new(0.0, clock.at(2, 24)),
            judged: Window::new(clock.at(2, 30), clock.at(3, 0)),
        }
    }

    /// The incident's load without the idle holders, up to 3:00.
    #[must_use]
    pub fn spike_alone(speed: f64) -> Self {
        Self { kind: Kind::SpikeAlone, holders: None, ..Self::incident(speed, true).until_three() }
    }

    /// The incident's idle holders under base load, up to 3:00.
    #[must_use]
    pub fn holders_alone(speed: f64) -> Self {
        let mut calm = Self { kind: Kind::HoldersAlone, ..Self::incident(speed, true).until_three() };
        for phase in &mut calm.phases {
            phase.load = Load::OfCapacity(BASE_LOAD);
        }
        calm
    }

    /// The incident with nobody at the controls.
    #[must_use]
    pub fn without_action(speed: f64) -> Self {
        Self { kind: Kind::WithoutAction, action: None, ..Self::incident(speed, true) }
    }

    /// Holders that keep coming, one each 0.7 s, and never give back, under the incident's spike.
    #[must_use]
    pub fn leak() -> Self {
        let (start, end) = (10.0, 100.0);
        Self {
            kind: Kind::Leak,
            clock: Clock::new(start, 1.0),
            phases: vec![
                phase("base", 0.0, start, Load::OfCapacity(BASE_LOAD)),
                phase("leak", start, end, Load::OfCapacity(SPIKE_LOAD)),
            ],
            holders: Some(Holders { from: start, count: u32::MAX, every: 0.7, sleep: None }),
            action: None,
            baseline: Window::new(0.0, start),
            judged: Window::new(start, end - 10.0),
        }
    }

    /// More requests than the machine does, then calm.
    #[must_use]
    pub fn overload(per_second: f64) -> Self {
        let (start, end) = (10.0, 70.0);
        Self {
            kind: Kind::Overload,
            clock: Clock::new(start, 1.0),
            phases: vec![
                phase("base", 0.0, start, Load::OfCapacity(BASE_LOAD)),
                phase("overload", start, end, Load::PerSecond(per_second)),
                phase("tail", end, end + 10.0, Load::OfCapacity(BASE_LOAD)),
            ],
            holders: None,
            action: None,
            baseline: Window::new(0.0, start),
            judged: Window::new(start, end),
        }
    }

    /// The same with so many seconds of base load after it.
    #[must_use]
    pub fn followed_by(mut self, seconds: f64) -> Self {
        let end = self.end();
        if seconds > 0.0 {
            self.phases.push(phase("after", end, end + seconds, Load::OfCapacity(BASE_LOAD)));
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

fn phase(name: &str, from: f64, to: f64, load: Load) -> Phase {
    Phase { name: name.to_owned(), window: Window::new(from, to), load }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_contiguous(scenario: &Scenario) {
        assert_eq!(scenario.phases[0].window.from, 0.0);
        for pair in scenario.phases.windows(2) {
            assert_eq!(pair[0].window.to, pair[1].window.from);
        }
    }

    #[test]
    fn the_spike_starts_eight_real_seconds_before_half_past_two_at_any_speed() {
        for speed in [1.0, 7.0, 15.0, 20.0] {
            let scenario = Scenario::incident(speed, false);
            assert_contiguous(&scenario);
            assert_eq!(scenario.phases[1].window.from, scenario.clock.at(2, 30) - 8.0);
            assert_eq!(scenario.phases[1].window.to, scenario.clock.at(3, 15));
        }
    }

    #[test]
    fn the_quick_replay_never_shortens_the_spike_below_ninety_seconds() {
        let quick = Scenario::incident(QUICK_SPEED, true);
        assert!(quick.judged.length() >= 90.0);
        assert!(quick.end() < Scenario::incident(QUICK_SPEED, false).end());
    }

    #[test]
    fn all_holders_are_in_place_before_the_spike_at_any_speed() {
        for speed in [1.0, 15.0, FASTEST] {
            let scenario = Scenario::incident(speed, false);
            let holders = scenario.holders.expect("the incident has holders");
            let last = holders.from + f64::from(holders.count - 1) * holders.every;
            assert!(last < scenario.clock.at(2, 27) - scenario.clock.span(0.9));
            assert!(scenario.clock.at(2, 27) < scenario.phases[1].window.from);
        }
    }

    #[test]
    fn what_follows_a_play_is_base_load_and_moves_nothing_that_was_before() {
        for scenario in [Scenario::incident(15.0, false), Scenario::leak(), Scenario::overload(1_500.0)] {
            let longer = scenario.clone().followed_by(60.0);
            assert_contiguous(&longer);
            assert_eq!(longer.end(), scenario.end() + 60.0);
            assert_eq!(longer.phases.last().map(|phase| phase.load), Some(Load::OfCapacity(BASE_LOAD)));
            assert_eq!((longer.peak(), longer.judged), (scenario.peak(), scenario.judged));
            assert_eq!(scenario.clone().followed_by(0.0), scenario);
        }
    }

    #[test]
    fn each_control_leaves_out_one_thing() {
        assert_eq!(Scenario::spike_alone(20.0).holders, None);
        assert_eq!(Scenario::without_action(20.0).action, None);
        let calm = Scenario::holders_alone(20.0);
        assert!(calm.phases.iter().all(|phase| phase.load == Load::OfCapacity(BASE_LOAD)));
        assert_contiguous(&calm);
    }
}
