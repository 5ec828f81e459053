use super::super::numbers::Numbers;
use super::Knee;

impl Knee {
    /// The names of the numbers that it goes by, and the numbers; times are in seconds. With the feature `ablation` alone.
    #[must_use]
    pub fn numbers() -> Vec<(&'static str, f64)> {
        Numbers::all()
    }

    /// One that goes by other numbers, which it keeps to the end of the program; `None` where one of the names is none of
    /// [`Knee::numbers`]. With the feature `ablation` alone.
    #[must_use]
    pub fn with_numbers(changed: &[(&str, f64)]) -> Option<Self> {
        let shipped = <&Numbers>::default();
        let numbers = changed.iter().try_fold(*shipped, |numbers, (name, value)| numbers.with(name, *value))?;
        Some(Self::by(Box::leak(Box::new(numbers))))
    }
}
