//! What an axis measures, and where its ticks are.

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From zero on, in equal steps.
    Linear,
    /// Each step is ten times the last one.
    Log,
}

/// The stretch of values that an axis shows.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    /// Where lines are drawn and numbers stand.
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// Holds all these values; a linear one begins at zero or below it.
    pub(super) fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let shown = values.filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0));
        let (low, high) = shown.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (1.0, 1.0) } else { (low, high) };
        match scale {
            Scale::Linear => Self::linear(low.min(0.0), high.max(0.0)),
            Scale::Log => Self::log(low, high),
        }
    }

    /// Ends at this value at the latest, if it is linear: what lies beyond is cut off.
    pub(super) fn cut(mut self, most: Option<f64>) -> Self {
        if let Some(most) = most.filter(|most| self.scale == Scale::Linear && *most < self.to) {
            self = Self { to: most, ..Self::linear(self.from, most) };
            self.ticks.retain(|tick| *tick <= most);
        }
        self
    }

    fn linear(low: f64, high: f64) -> Self {
        let step = step(high - low);
        let (from, to) = ((low / step).floor() * step, (high / step - 0.05).ceil() * step);
        let ticks = (0..=20_u32).map(|tick| from + f64::from(tick) * step).take_while(|tick| *tick <= to + step / 2.0);
        Self { scale: Scale::Linear, from, to: to.max(high), ticks: ticks.collect() }
    }

    fn log(low: f64, high: f64) -> Self {
        let (from, to) = (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0));
        let decades = (0..=20_u32).map(|decade| from + f64::from(decade)).take_while(|decade| *decade <= to);
        let steps = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10.0_f64.powf(decade)));
        let most = high * 1.05;
        let mut ticks: Vec<f64> = steps.filter(|tick| *tick <= most).collect();
        let below = ticks.iter().filter(|tick| **tick <= low).count();
        ticks.drain(..below.saturating_sub(1));
        let from = ticks.first().copied().unwrap_or(low).min(low);
        Self { scale: Scale::Log, from, to: most, ticks }
    }

    /// Where a value lies, 0 to 1.
    pub(super) fn at(&self, value: f64) -> f64 {
        let place = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(self.from).log10(),
        };
        ((place(value) - place(self.from)) / (place(self.to) - place(self.from))).clamp(0.0, 1.0)
    }

    /// Where bars begin: at zero, or at the lowest value that is shown.
    pub(super) fn origin(&self) -> f64 {
        match self.scale {
            Scale::Linear => self.at(0.0),
            Scale::Log => 0.0,
        }
    }

    /// Whether it lies beyond the end.
    pub(super) fn ends_before(&self, value: f64) -> bool {
        value > self.to
    }
}

/// The step of about six ticks: 1, 2 or 5 times a power of ten.
fn step(range: f64) -> f64 {
    let rough = range.max(1e-9) / 6.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    power * steps.into_iter().find(|step| step * power >= rough * 0.999).unwrap_or(10.0)
}

/// A tick's number: whole where it is.
pub(super) fn number(value: f64) -> String {
    let rounded = format!("{value:.2}");
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_as_far_as_the_values() {
        let linear = Axis::over(Scale::Linear, [3.0, 97.0].into_iter());
        assert_eq!(linear.ticks, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let log = Axis::over(Scale::Log, [1.02, 44.0].into_iter());
        assert_eq!(log.ticks.iter().copied().map(number).collect::<Vec<_>>(), ["1", "2", "5", "10", "20"]);
        assert!((Axis::over(Scale::Linear, [250.0].into_iter()).cut(Some(100.0)).at(400.0) - 1.0).abs() < 1e-9);
    }
}
