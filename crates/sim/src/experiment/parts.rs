//! Ablation: each mechanism of the sizer left out alone, and each of its numbers halved and doubled.

use forebay_pool_core::{Knee, Sample, Sizer, Target};

use super::Findings;
use crate::contender::Contender;
use crate::lab::{self, Case, Cell, Lab};
use crate::report::Table;

mod judges;

use judges::{Judge, judges};

/// The numbers of the sizer that are changed, and what of the pool it does not see.
#[derive(Clone)]
struct Variant {
    name: String,
    numbers: Vec<(&'static str, f64)>,
    hide: fn(&mut Sample),
}

/// The sizer as shipped, but for what a variant changes.
#[derive(Debug)]
struct Changed {
    knee: Knee,
    hide: fn(&mut Sample),
}

impl Sizer for Changed {
    fn tick(&mut self, now: std::time::Instant, sample: &Sample) -> Target {
        let mut sample = *sample;
        (self.hide)(&mut sample);
        self.knee.tick(now, &sample)
    }

    fn guesses(&self) -> bool {
        self.knee.guesses()
    }

    fn most(&self) -> u32 {
        self.knee.most()
    }

    fn wants_lock_waits(&self) -> bool {
        self.knee.wants_lock_waits()
    }
}

impl Variant {
    fn of(name: impl Into<String>, numbers: &[(&'static str, f64)]) -> Self {
        Self { name: name.into(), numbers: numbers.to_vec(), hide: |_| () }
    }

    fn blind(name: &str, hide: fn(&mut Sample)) -> Self {
        Self { hide, ..Self::of(name, &[]) }
    }

    fn case(&self, Judge { rules, scenario, .. }: &Judge) -> Case {
        let Self { name, numbers, hide } = self.clone();
        let sizer = move || -> Box<dyn Sizer> {
            let knee = Knee::with_numbers(&numbers).expect("they have its names");
            Box::new(Changed { knee, hide })
        };
        Case::new(scenario, &Contender::ours_sized(name, rules.clone(), sizer))
    }
}

/// What the sizer does without each mechanism: its numbers are such that it does nothing, or it sees nothing to act on.
fn without() -> Vec<Variant> {
    const NEVER: f64 = f64::INFINITY;
    vec![
        Variant::of("no room above the offered load", &[("safety", 0.0), ("spare", 0.0)]),
        Variant::of("no doubling", &[("steep", NEVER)]),
        Variant::of("nothing known from before", &[("drift", 4.0), ("drift_near", 4.0), ("bend", 0.0)]),
        Variant::of("no holding", &[("clear", NEVER), ("still_clear", NEVER)]),
        Variant::blind("blind for lock waits", |sample| sample.lock_waits = None),
        Variant::blind("blind for leases that go on", |sample| sample.going_on = 0),
        Variant::blind("blind for what is cut off", |sample| sample.interrupted = 0),
        Variant::of("no way back", &[("worth", NEVER), ("over", NEVER)]),
    ]
}

fn variants() -> Vec<Variant> {
    let shipped = Variant::of("as shipped", &[]);
    let times = |(name, value): (&'static str, f64)| {
        [("halved", 0.5), ("doubled", 2.0)]
            .map(|(how, factor)| Variant::of(format!("`{name}` ({value:.3}) {how}"), &[(name, factor * value)]))
    };
    let numbers = Knee::numbers().into_iter().flat_map(times);
    [shipped].into_iter().chain(without()).chain(numbers).collect()
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "Each mechanism of the sizer is left out alone, and each of its numbers halved and doubled alone, in short forms of the other \
         experiments."
            .to_owned(),
        "A figure is in points, and more is better: per cent of what can be done, of runs without an alert, or milliseconds less of \
         waiting."
            .to_owned(),
        "What is said is the difference from the sizer as shipped with the same seed, where its mean is more than a point and more \
         than twice its standard error."
            .to_owned(),
    ];
    let variants = variants();
    let mut worse = vec![Vec::new(); variants.len()];
    let mut better = worse.clone();
    for judge in judges() {
        let cases: Vec<Case> = variants.iter().map(|variant| variant.case(&judge)).collect();
        let found = lab.measure(judge.name, &cases, &judge.figures);
        for (at, figure) in lab::names(&judge.figures).iter().enumerate() {
            for (variant, cells) in found.iter().enumerate() {
                let difference = Difference::between(&found[0][at], &cells[at]);
                let words = |cell: Cell| (difference.mean.abs(), format!("{}, {figure}: {}", judge.name, cell.text));
                if difference.is_clear() {
                    let list = if difference.mean < 0.0 { &mut worse } else { &mut better };
                    list[variant].push(words(difference.cell()));
                }
            }
        }
    }
    let rows = variants.iter().zip(worse.into_iter().zip(better));
    let rows = rows.map(|(variant, (worse, better))| (variant.name.clone(), vec![listed(worse), listed(better)]));
    let table = Table {
        caption: "What is worse and what is better than as shipped, the largest difference first:".to_owned(),
        columns: ["", "worse", "better"].map(str::to_owned).into(),
        rows: rows.collect(),
    };
    (method, Findings { tables: vec![table], pictures: Vec::new() })
}

fn listed(mut all: Vec<(f64, String)>) -> Cell {
    all.sort_by(|one, other| other.0.total_cmp(&one.0));
    Cell::text(all.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join("; "))
}

/// What a variant does more than the sizer as shipped, seed by seed.
struct Difference {
    values: Vec<f64>,
    mean: f64,
}

impl Difference {
    fn between(shipped: &Cell, variant: &Cell) -> Self {
        let values: Vec<f64> = shipped.values.iter().zip(&variant.values).map(|(one, other)| other - one).collect();
        Self { mean: super::mean(&values), values }
    }

    /// More than a point, and more than chance.
    fn is_clear(&self) -> bool {
        let squares = self.values.iter().map(|value| (value - self.mean).powi(2)).sum::<f64>();
        let count = f64::from(u32::try_from(self.values.len()).unwrap_or(u32::MAX));
        let error = (squares / (count - 1.0).max(1.0) / count).sqrt();
        self.mean.abs() > 1.0 && self.mean.abs() > 2.0 * error
    }

    fn cell(&self) -> Cell {
        Cell::of(self.values.clone(), 1)
    }
}
