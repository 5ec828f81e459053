//! The two alerts on the replay's own, shortened clock: the one that rang and the one that did not exist.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::{Share, utilisation};
use crate::record::Recording;
use crate::scenario::{Scenario, Window};

/// Utilisation of the pool above which the pool alert fires, in percent.
pub const POOL_PERCENT: f64 = 80.0;
/// Share of errors above which the error alert fires, in percent.
pub const ERROR_PERCENT: f64 = 5.0;
/// Fewer answers than this in a window say nothing about a ratio.
const FEWEST_ANSWERS: usize = 20;
/// Nothing later is looked at.
const LONGEST_PLAY_S: usize = 4 * 3600;

/// When each alert first fired, in seconds of play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alerts {
    /// The pool's utilisation was above 80 % over a minute of the postmortem's clock.
    pub pool: Option<f64>,
    /// More than 5 % of answers were errors over a minute of the postmortem's clock.
    pub errors: Option<f64>,
}

impl Alerts {
    /// Evaluates both rules at each full second of `scenario`.
    #[must_use]
    pub fn evaluate(recording: &Recording, scenario: &Scenario) -> Self {
        let width = window_s(scenario);
        let seen = recording.pool.last().map_or(0.0, |sample| sample.at);
        let mut windows = (0u32..).map(|from| Window::new(f64::from(from), f64::from(from) + width));
        let fires = |window: &Window| utilisation(recording, *window).is_some_and(|used| used > POOL_PERCENT);
        let pool = windows.by_ref().take_while(|window| window.to <= seen).find(fires);
        Self { pool: pool.map(|window| window.to), errors: Bins::of(recording).first(width) }
    }

    /// The pool alert came first, or there were no errors to alert on.
    #[must_use]
    pub fn are_in_order(&self) -> bool {
        match (self.pool, self.errors) {
            (_, None) => true,
            (Some(pool), Some(errors)) => pool < errors,
            (None, Some(_)) => false,
        }
    }

    /// Seconds by which the pool alert was earlier.
    #[must_use]
    pub fn lead(&self) -> Option<f64> {
        self.errors.zip(self.pool).map(|(errors, pool)| errors - pool)
    }
}

/// A minute of the postmortem's clock in full seconds, and never less than two, in which a ratio means something.
#[must_use]
pub fn window_s(scenario: &Scenario) -> f64 {
    scenario.clock.span(1.0).round().clamp(2.0, 60.0)
}

/// What was seen in one second, or in the sum of several.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    answers: usize,
    errors: usize,
}

impl Bin {
    fn plus(self, other: &Self) -> Self {
        Self { answers: self.answers + other.answers, errors: self.errors + other.errors }
    }

    fn fires(&self) -> bool {
        let share = Share { part: self.errors, total: self.answers };
        share.total >= FEWEST_ANSWERS && share.percent() > ERROR_PERCENT
    }
}

/// The recording second by second.
#[derive(Debug, Default)]
struct Bins(Vec<Bin>);

impl Bins {
    fn of(recording: &Recording) -> Self {
        let mut bins = Self::default();
        for attempt in &recording.attempts {
            if let Some(bin) = bins.at(attempt.end()) {
                bin.answers += 1;
                bin.errors += usize::from(attempt.reply.is_error());
            }
        }
        bins
    }

    fn at(&mut self, seconds: f64) -> Option<&mut Bin> {
        let second = Duration::try_from_secs_f64(seconds).ok()?.as_secs();
        let index = usize::try_from(second).ok().filter(|index| *index < LONGEST_PLAY_S)?;
        if self.0.len() <= index {
            self.0.resize(index + 1, Bin::default());
        }
        self.0.get_mut(index)
    }

    /// The end of the first `width` seconds that fire.
    fn first(&self, width: f64) -> Option<f64> {
        let width_bins = (1u32..).zip(0..LONGEST_PLAY_S).find(|(n, _)| f64::from(*n) >= width).map(|(_, n)| n + 1)?;
        let sums = self.0.windows(width_bins).map(|bins| bins.iter().fold(Bin::default(), Bin::plus));
        (0u32..).zip(sums).find(|(_, sum)| sum.fires()).map(|(second, _)| f64::from(second) + width)
    }
}

#[cfg(test)]
mod tests {
    use forebay_pool::Usage;

    use super::*;
    use crate::record::{Attempt, PoolSample, Reply};
    use crate::schedule::Operation;

    fn pool(at: f64, in_use: u32, waiting: u32) -> PoolSample {
        PoolSample { at, limit: 10, ceiling: 10, in_use, waiting, ..PoolSample::default() }
    }

    fn recording(busy_from: u32, failing_from: u32) -> Recording {
        let scenario = Scenario::incident(15.0, false);
        let mut recording = Recording::default();
        for second in (0u32..).take_while(|second| f64::from(*second) < scenario.end()) {
            let at = f64::from(second);
            recording.pool.push(pool(at, if second >= busy_from { 9 } else { 2 }, 0));
            let reply = if second >= failing_from { Reply::Failed(503) } else { Reply::Success };
            recording.attempts.extend([Attempt { operation: Operation::List, at, took: 0.1, reply }; 40]);
        }
        recording.count_usage();
        recording
    }

    #[test]
    fn a_pool_that_fills_before_errors_appear_alerts_first() {
        let alerts = Alerts::evaluate(&recording(20, 40), &Scenario::incident(15.0, false));
        assert!(alerts.are_in_order());
        assert!(alerts.lead().is_some_and(|lead| (15.0..25.0).contains(&lead)), "{alerts:?}");
    }

    #[test]
    fn a_pool_whose_callers_wait_alerts_before_all_of_it_is_in_use() {
        let mut recording = recording(1000, 1000);
        for sample in &mut recording.pool {
            (sample.in_use, sample.waiting) = (6, 3);
        }
        recording.count_usage();
        let alerts = Alerts::evaluate(&recording, &Scenario::incident(15.0, false));
        assert_eq!(alerts, Alerts { pool: Some(4.0), errors: None });
    }

    #[test]
    fn a_moment_between_two_samples_counts_for_as_long_as_it_lasted() {
        let mut recording = recording(1000, 1000);
        // Whoever looks sees two of ten in use: nine seconds in ten it was all of them.
        for (second, sample) in (0u32..).zip(&mut recording.pool) {
            let second = f64::from(second);
            sample.usage = Usage { busy: 9.2 * second, waiting: 0.0, capacity: 10.0 * second };
        }
        assert_eq!(Alerts::evaluate(&recording, &Scenario::incident(15.0, false)).pool, Some(4.0));
    }

    #[test]
    fn a_window_that_is_not_over_says_nothing() {
        let mut recording = recording(0, 1000);
        recording.pool.truncate(4);
        assert_eq!(Alerts::evaluate(&recording, &Scenario::incident(15.0, false)).pool, None);
        assert_eq!(Alerts::evaluate(&Recording::default(), &Scenario::incident(15.0, false)).pool, None);
    }

    #[test]
    fn errors_without_a_full_pool_are_out_of_order() {
        let alerts = Alerts::evaluate(&recording(1000, 40), &Scenario::incident(15.0, false));
        assert!(!alerts.are_in_order());
    }

    #[test]
    fn without_errors_there_is_no_order_to_keep() {
        let alerts = Alerts::evaluate(&recording(1000, 1000), &Scenario::incident(15.0, false));
        assert_eq!(alerts, Alerts::default());
        assert!(alerts.are_in_order());
    }
}
