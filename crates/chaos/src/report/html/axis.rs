//! The axes of charts: the postmortem's clock along, and round numbers up.

use crate::scenario::{Kind, Scenario, Window};
use crate::summary::Summary;

/// What the clock shows at a second of play; sequels have no postmortem, so that they count seconds.
pub(super) fn face(scenario: &Scenario, at: f64) -> String {
    match scenario.kind {
        Kind::Marked => format!("{:.0} s", at - scenario.clock.origin_s),
        _ => scenario.clock.face(at),
    }
}

/// A moment that all charts show: a number above a line.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// Second of play.
    pub(super) at: f64,
    /// What stands above it.
    pub(super) number: usize,
}

/// The axis along.
#[derive(Clone, Debug)]
pub(super) struct TimeAxis<'a> {
    /// Whose clock it shows.
    pub(super) scenario: &'a Scenario,
    /// What it shows of the play.
    pub(super) shown: Window,
    /// Moments with a number.
    pub(super) moments: Vec<Moment>,
}

impl<'a> TimeAxis<'a> {
    /// The axis of plays of one scenario.
    pub(super) fn over(scenario: &'a Scenario, plays: &[&Summary]) -> Self {
        let last = plays.iter().filter_map(|play| play.seconds.last()).map(|second| second.at).max();
        let to = last.map_or(scenario.end(), f64::from).max(1.0);
        let clocks = clocks(plays);
        let at = clocks.iter().filter_map(|clock| second_of(scenario, clock));
        let moments = (1..).zip(at).map(|(number, at)| Moment { at, number }).collect();
        Self { scenario, shown: Window::new(0.0, to), moments }
    }

    /// What the axis counts.
    pub(super) fn unit(&self) -> &'static str {
        if self.scenario.kind == Kind::Marked { "seconds of real time" } else { "the postmortem's clock" }
    }

    /// Where the clock stands below the axis, at most so often.
    pub(super) fn ticks(&self, most: usize) -> Vec<f64> {
        let scenario = self.scenario;
        let steps: &[f64] = match scenario.kind {
            Kind::Marked => &[10.0, 20.0, 30.0, 60.0, 120.0],
            _ => &[5.0, 10.0, 15.0, 30.0, 60.0],
        };
        let unit = if steps[0] == 5.0 { scenario.clock.span(1.0) } else { 1.0 };
        let all = |step: f64| {
            let step = step * unit;
            let first = scenario.clock.origin_s - (scenario.clock.origin_s / step).floor() * step;
            (0u32..500).map(move |n| first + f64::from(n) * step).take_while(|at| *at <= self.shown.to).collect()
        };
        let found = steps.iter().map(|step| all(*step)).find(|ticks: &Vec<f64>| ticks.len() <= most);
        found.unwrap_or_default()
    }
}

/// The clocks of marks, each once, in order.
pub(super) fn clocks(plays: &[&Summary]) -> Vec<String> {
    let marks = plays.iter().flat_map(|play| &play.marks);
    let mut clocks: Vec<String> = marks.map(|mark| mark.clock.clone()).filter(|clock| !clock.is_empty()).collect();
    clocks.sort();
    clocks.dedup();
    clocks
}

/// The second of play at which the clock shows `2:45`.
pub(super) fn second_of(scenario: &Scenario, clock: &str) -> Option<f64> {
    let (hour, minute) = clock.split_once(':')?;
    Some(scenario.clock.at(hour.parse().ok()?, minute.parse().ok()?))
}

/// How values lie on the axis up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// In equal steps from zero.
    Linear,
    /// Each step is ten times the last one.
    Log,
}

impl Scale {
    /// The least and the most that is shown, and what stands beside the axis: all of them places on it.
    pub(super) fn over(self, values: impl Iterator<Item = f64>) -> (f64, f64, Vec<f64>) {
        let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        match self {
            Self::Linear => {
                let step = step(most.max(1.0));
                let ticks: Vec<f64> =
                    (0..=8u32).map(|n| f64::from(n) * step).take_while(|at| *at < most + step).collect();
                (0.0, ticks.last().copied().unwrap_or(step).max(step), ticks)
            }
            Self::Log => {
                let decades = most.max(10.0).log10().ceil();
                (0.0, decades, (0..=8u32).map(f64::from).take_while(|at| *at <= decades).collect())
            }
        }
    }

    /// Where a value is.
    pub(super) fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(1.0).log10(),
        }
    }

    /// What is at a place.
    pub(super) fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Log => 10.0_f64.powf(place),
        }
    }
}

/// The step of about four ticks: 1, 2 or 5 times a power of ten.
fn step(most: f64) -> f64 {
    let rough = most / 4.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough * 0.999).unwrap_or(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::shipped;

    #[test]
    fn the_clock_stands_at_round_minutes_and_no_more_often_than_there_is_room() {
        let scenario = Scenario::incident(20.0, true);
        let axis = TimeAxis::over(&scenario, &[]);
        let faces = |most| axis.ticks(most).into_iter().map(|at| face(&scenario, at)).collect::<Vec<_>>();
        assert_eq!(faces(12)[..4], ["2:20", "2:25", "2:30", "2:35"]);
        assert_eq!(faces(5), ["2:30", "2:45", "3:00", "3:15"]);
    }

    #[test]
    fn sequels_count_seconds_from_where_they_begin() {
        let leak = shipped::named("leak").scenario(1.0, false);
        let axis = TimeAxis::over(&leak, &[]);
        let faces: Vec<String> = axis.ticks(6).into_iter().map(|at| face(&leak, at)).collect();
        assert_eq!(faces[..2], ["0 s", "20 s"], "{faces:?}");
    }

    #[test]
    fn the_axis_up_ends_at_or_above_the_most() {
        for most in [0.0, 0.4, 1.0, 7.0, 60.0, 612.0, 4_999.0] {
            let (least, end, ticks) = Scale::Linear.over([most].into_iter());
            assert!(least == 0.0 && end >= most && ticks.len() <= 6, "{most}: {end} {ticks:?}");
        }
        assert_eq!(Scale::Log.over([4_999.0].into_iter()).1, 4.0);
    }
}
