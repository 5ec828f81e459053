//! Values over seeds.

use forebay_sim::lab::Cell;
use forebay_sim::measure::Record;
use serde::Serialize;

use crate::arm::Arm;
use crate::record::Recording;
use crate::scenario::Scenario;
use crate::scenario::bound::Measure;
use crate::schedule::Schedule;

/// A value for each measure, in their order.
pub(super) type Values = Vec<Option<f64>>;

/// What came of one arm.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Which.
    pub arm: Arm,
    /// Who stood in for it.
    pub name: String,
    /// All measures.
    pub measures: Vec<Figure>,
}

/// One measure over seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Which.
    pub measure: Measure,
    /// One for each seed; none where there was nothing to measure.
    pub values: Vec<Option<f64>>,
}

/// What a play's measures are. That a holder is named by its call site cannot be seen here: it counts what was taken back.
pub(super) fn values(schedule: &Schedule, recording: &Recording, scenario: &Scenario, record: &Record) -> Values {
    let value = |measure| match measure {
        Measure::HoldersTakenBack => {
            let taken_back = u32::try_from(record.taken_back).unwrap_or(u32::MAX);
            (taken_back > 0).then(|| f64::from(taken_back))
        }
        measure => Measure::value(measure, schedule, recording, scenario),
    };
    Measure::ALL.map(value).to_vec()
}

impl Figures {
    pub(super) fn of(arm: Arm, name: String) -> Self {
        let measures = Measure::ALL.map(|measure| Figure { measure, values: Vec::new() }).to_vec();
        Self { arm, name, measures }
    }

    pub(super) fn push(&mut self, values: &[Option<f64>]) {
        for (figure, n) in self.measures.iter_mut().zip(0..) {
            figure.values.push(values.get(n).copied().flatten());
        }
    }

    /// The values of a measure.
    #[must_use]
    pub fn values(&self, measure: Measure) -> &[Option<f64>] {
        self.measures.iter().find(|figure| figure.measure == measure).map_or(&[], |figure| &figure.values)
    }

    /// The mean of a measure, and its range where it has one.
    #[must_use]
    pub fn told(&self, measure: Measure) -> String {
        let known: Vec<f64> = self.values(measure).iter().copied().flatten().collect();
        let (factor, digits, unit) = measure.scale();
        match known.is_empty() {
            true => "none".to_owned(),
            false => Cell::of(known.iter().map(|value| value * factor).collect(), digits).text + unit,
        }
    }
}
