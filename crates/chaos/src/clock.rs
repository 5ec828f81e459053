//! The postmortem's clock: minutes of an afternoon, played faster than they were.

use serde::{Deserialize, Serialize};

/// Minutes after midnight at which the postmortem begins: 2:30 PM, told on a twelve hour face.
const ALERT_MINUTE: f64 = 150.0;

/// Maps the postmortem's afternoon to seconds since the start of a play.
///
/// Only the length of phases shrinks with `speed`; service times and time-outs stay real.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Seconds of play at which the clock shows 2:30.
    pub origin_s: f64,
    /// Seconds of the postmortem per second of play.
    pub speed: f64,
}

impl Clock {
    /// A clock that shows 2:30 after `origin_s` seconds of play.
    #[must_use]
    pub fn new(origin_s: f64, speed: f64) -> Self {
        Self { origin_s, speed }
    }

    /// A clock that shows so many minutes after midnight, 2:30 at the latest, as the play begins.
    #[must_use]
    pub fn beginning_at(minute: u32, speed: f64) -> Self {
        Self::new((ALERT_MINUTE - f64::from(minute)) * 60.0 / speed, speed)
    }

    /// The second of play at which the clock shows `hour:minute`.
    #[must_use]
    pub fn at(&self, hour: u32, minute: u32) -> f64 {
        let minutes = f64::from(hour * 60 + minute) - ALERT_MINUTE;
        self.origin_s + self.span(minutes)
    }

    /// How many seconds of play `minutes` of the postmortem last.
    #[must_use]
    pub fn span(&self, minutes: f64) -> f64 {
        minutes * 60.0 / self.speed
    }

    /// What the clock shows `seconds` into the play, as `2:35`.
    #[must_use]
    pub fn face(&self, seconds: f64) -> String {
        let minutes = self.minutes(seconds).max(0.0);
        let hour = (minutes / 60.0).floor();
        format!("{hour:.0}:{:02.0}", (minutes - hour * 60.0).floor())
    }

    fn minutes(&self, seconds: f64) -> f64 {
        // A hair is added so that an exact minute is not shown as the one before it.
        ALERT_MINUTE + (seconds - self.origin_s) * self.speed / 60.0 + 1e-6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_fifteen_times_speed_a_minute_lasts_four_seconds() {
        let clock = Clock::new(40.0, 15.0);
        assert_eq!(clock.at(2, 30), 40.0);
        assert_eq!(clock.at(2, 20), 0.0);
        assert_eq!(clock.at(3, 15), 220.0);
    }

    #[test]
    fn the_face_shows_the_minute_that_was_asked_for() {
        let clock = Clock::new(40.0, 15.0);
        for (hour, minute, face) in [(2, 20, "2:20"), (2, 35, "2:35"), (3, 0, "3:00")] {
            assert_eq!(clock.face(clock.at(hour, minute)), face);
        }
    }
}
