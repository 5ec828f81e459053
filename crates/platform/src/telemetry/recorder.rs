//! The metrics of the process by name: what is known of each, and its series.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit, atomics::AtomicU64,
};

use super::buckets::Buckets;

/// So many series has a name at most. What would be one more is counted in one together, as the OpenTelemetry SDKs do it.
pub(super) const MOST_SERIES: usize = 500;
/// The label of that one.
const OVERFLOW: (&str, &str) = ("otel_metric_overflow", "true");

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// It is as it is.
    Gauge,
    /// Values are counted by how large they are.
    Histogram,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// All metrics of one name.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// As which it was described, and in which words. That decides: a counter that is no whole number is told as a gauge.
    pub(super) described: Option<(Kind, SharedString)>,
    pub(super) series: BTreeMap<Key, Series>,
}

/// One metric.
#[derive(Debug)]
pub(super) enum Series {
    Whole(Arc<AtomicU64>),
    /// The bits of a floating-point number.
    Number(Arc<AtomicU64>),
    Buckets(Arc<Buckets>),
}

impl Family {
    /// What it was described as, or was told as.
    pub(super) fn kind(&self) -> Kind {
        let told = match self.series.values().next() {
            Some(Series::Whole(_)) => Kind::Counter,
            Some(Series::Buckets(_)) => Kind::Histogram,
            Some(Series::Number(_)) | None => Kind::Gauge,
        };
        self.described.as_ref().map_or(told, |(kind, _)| *kind)
    }
}

/// By name.
#[derive(Debug, Default)]
pub(super) struct Families(RwLock<BTreeMap<String, Family>>);

impl Families {
    /// Shows all of them, in the order of their names. Meanwhile no series begins.
    pub(super) fn each(&self, mut show: impl FnMut(&str, &Family)) {
        let families = self.0.read().unwrap_or_else(PoisonError::into_inner);
        families.iter().for_each(|(name, family)| show(name, family));
    }

    fn describe(&self, name: &KeyName, kind: Kind, text: SharedString) {
        let mut families = self.0.write().unwrap_or_else(PoisonError::into_inner);
        families.entry(name.as_str().to_owned()).or_default().described = Some((kind, text));
    }

    /// `take` says whether the series is of the kind that is asked for.
    fn series<T>(&self, key: &Key, new: impl FnOnce() -> Series, take: impl Fn(&Series) -> Option<T>) -> Option<T> {
        let families = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = families.get(key.name()).and_then(|family| family.series.get(key)) {
            return take(series);
        }
        drop(families);
        let mut families = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(key.name().to_owned()).or_default();
        let key = if family.series.len() < MOST_SERIES || family.series.contains_key(key) {
            key.clone()
        } else {
            Key::from_parts(key.name().to_owned(), vec![Label::from_static_parts(OVERFLOW.0, OVERFLOW.1)])
        };
        take(family.series.entry(key).or_insert_with(new))
    }
}

/// A name that is told as two kinds keeps the first of them: what is told as the other is not recorded.
impl Recorder for Families {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&name, Kind::Counter, text);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&name, Kind::Gauge, text);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&name, Kind::Histogram, text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let known = self.series(
            key,
            || Series::Whole(Arc::default()),
            |series| match series {
                Series::Whole(value) => Some(Counter::from_arc(Arc::clone(value))),
                _ => None,
            },
        );
        known.unwrap_or_else(Counter::noop)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let known = self.series(
            key,
            || Series::Number(Arc::default()),
            |series| match series {
                Series::Number(value) => Some(Gauge::from_arc(Arc::clone(value))),
                _ => None,
            },
        );
        known.unwrap_or_else(Gauge::noop)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let known = self.series(
            key,
            || Series::Buckets(Arc::new(Buckets::of(key.name()))),
            |series| match series {
                Series::Buckets(buckets) => Some(Histogram::from_arc(Arc::clone(buckets))),
                _ => None,
            },
        );
        known.unwrap_or_else(Histogram::noop)
    }
}
