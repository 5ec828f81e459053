//! The two alerts on the replay's own, shortened clock: the one that rang and the one that did not exist.

use serde::Serialize;

use crate::measure::{errors, utilisation};
use crate::record::Recording;
use crate::scenario::Scenario;
use crate::scenario::Window;

/// Use of the pool's ceiling above which the pool alert fires, in percent.
pub const POOL_PERCENT: f64 = 80.0;
/// Share of errors above which the error alert fires, in percent.
pub const ERROR_PERCENT: f64 = 5.0;
/// Fewer answers than this in a window say nothing about a ratio.
const FEWEST_ANSWERS: usize = 20;

/// When each alert first fired, in seconds of play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Alerts {
    /// The pool was used above 80 % of its ceiling for a minute of the postmortem's clock.
    pub pool: Option<f64>,
    /// More than 5 % of answers were errors for a minute of the postmortem's clock.
    pub errors: Option<f64>,
}

impl Alerts {
    /// Evaluates both rules each second of `scenario`.
    #[must_use]
    pub fn evaluate(recording: &Recording, scenario: &Scenario) -> Self {
        let minute = window_s(scenario);
        let first = |fires: &dyn Fn(Window) -> bool| {
            let mut at = minute;
            while at <= scenario.end() {
                if fires(Window::before(at, minute)) {
                    return Some(at);
                }
                at += 1.0;
            }
            None
        };
        Self {
            pool: first(&|window| utilisation(recording, window).is_some_and(|percent| percent > POOL_PERCENT)),
            errors: first(&|window| {
                let share = errors(recording, window, |_| true);
                share.total >= FEWEST_ANSWERS && share.percent() > ERROR_PERCENT
            }),
        }
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

/// A minute of the postmortem's clock, and never less than two seconds, in which a ratio means something.
#[must_use]
pub fn window_s(scenario: &Scenario) -> f64 {
    scenario.clock.span(1.0).clamp(2.0, 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Attempt, PoolSample, Reply};
    use crate::schedule::Operation;

    fn pool(at: f64, in_use: u32) -> PoolSample {
        PoolSample {
            at,
            limit: 10,
            ceiling: 10,
            in_use,
            idle: 0,
            waiting: 0,
            suspects: 0,
            revoked: 0,
            holders: Vec::new(),
        }
    }

    fn recording(busy_from: u32, failing_from: u32) -> Recording {
        let scenario = Scenario::incident(15.0, false);
        let mut recording = Recording::default();
        for second in (0u32..).take_while(|second| f64::from(*second) < scenario.end()) {
            let at = f64::from(second);
            recording.pool.push(pool(at, if second >= busy_from { 9 } else { 2 }));
            let reply = if second >= failing_from { Reply::Failed(503) } else { Reply::Success };
            recording.attempts.extend([Attempt { operation: Operation::List, at, took: 0.1, reply }; 40]);
        }
        recording
    }

    #[test]
    fn a_pool_that_fills_before_errors_appear_alerts_first() {
        let alerts = Alerts::evaluate(&recording(20, 40), &Scenario::incident(15.0, false));
        assert!(alerts.are_in_order());
        assert!(alerts.lead().is_some_and(|lead| (15.0..25.0).contains(&lead)), "{alerts:?}");
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
