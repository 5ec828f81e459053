//! What came of a run.

use std::time::Duration;

use forebay_pool_core::Class;
use hdrhistogram::Histogram;

use crate::pool::Gauge;
use crate::scenario::{Kind, Phase};

/// How long a user waits for an answer, all attempts together, before it counts as lost.
pub const USER_PATIENCE: Duration = Duration::from_secs(10);

/// Times in microseconds, exact to about a percent.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new(2).expect("two significant figures are allowed"))
    }
}

impl Times {
    fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.record(micros).expect("it grows with what is recorded");
    }

    /// The time that so many of a hundred did not exceed; zero when there was none.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_micros(self.0.value_at_percentile(percent))
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same precision, and grow");
    }
}

/// The numbers of one class in one phase. A *request* is what a user wants; it is sent in one or more *attempts*.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests by when they were first sent.
    pub requests: u64,
    /// Attempts, by when they were sent.
    pub attempts: u64,
    /// Attempts that were refused, by when.
    pub refused: u64,
    /// Attempts that got a connection, by when.
    pub served: u64,
    /// Answers within the class's time after the attempt was sent, by when they came.
    pub good: u64,
    /// Answers after that, while the client still waited.
    pub late: u64,
    /// Answers to clients that had left.
    pub wasted: u64,
    /// Leases that were taken away from work that had not ended, or whose work was cut off.
    pub lost: u64,
    /// Users who had no answer [`USER_PATIENCE`] after they first asked, by when that was.
    pub hit: u64,
    /// Users who had one.
    pub content: u64,
    /// Requests that were refused at least once and are over, by when they were first sent.
    pub refused_requests: u64,
    /// Attempts of these beyond the first.
    pub extra_attempts: u64,
    /// From asking for a connection to having it.
    pub wait: Times,
    /// From the attempt to an answer that somebody waited for.
    pub latency: Times,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        let Self { requests, attempts, refused, served, good, late, wasted, lost, .. } = self;
        for (total, more) in [
            (requests, other.requests),
            (attempts, other.attempts),
            (refused, other.refused),
            (served, other.served),
            (good, other.good),
            (late, other.late),
            (wasted, other.wasted),
            (lost, other.lost),
            (&mut self.hit, other.hit),
            (&mut self.content, other.content),
            (&mut self.refused_requests, other.refused_requests),
            (&mut self.extra_attempts, other.extra_attempts),
        ] {
            *total += more;
        }
        self.wait.add(&other.wait);
        self.latency.add(&other.latency);
    }

    /// The share of users who were lost, of those whose fate is known.
    #[must_use]
    pub fn hit_share(&self) -> f64 {
        share(self.hit, self.hit + self.content)
    }

    /// How often a request that was refused was sent again, on average.
    #[must_use]
    pub fn extra_per_refused(&self) -> f64 {
        share(self.extra_attempts, self.refused_requests)
    }
}

/// `part / whole`, and zero of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts of a run stay far below 2^52")]
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Requests first sent.
    pub requests: u32,
    /// Attempts sent.
    pub attempts: u32,
    /// Good answers.
    pub good: u32,
    /// Refusals.
    pub refused: u32,
    /// Leases out at its end, those of holders who never give back included.
    pub leased: u32,
    /// Statements that run in the database at its end.
    pub running: u32,
    /// The pool's own numbers at its end.
    pub gauge: Gauge,
}

/// How an attempt of a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With an answer.
    Answered,
    /// The pool gave no connection.
    Refused,
    /// The client had waited for long enough.
    Left,
}

/// One attempt of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// Which of the scenario's kinds.
    pub kind: u32,
    /// When it was sent.
    pub at: Duration,
    /// When it ended.
    pub end: Duration,
    /// How.
    pub ending: Ending,
}

/// One request of a visit, when it was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The visit's place in the load.
    pub visit: u32,
    /// Which of the scenario's kinds.
    pub kind: u32,
    /// When it was first sent.
    pub at: Duration,
    /// When it was over.
    pub end: Duration,
    /// How many attempts it took.
    pub attempts: u32,
    /// How the last one ended.
    pub ending: Ending,
}

/// What became of the users of [`crate::scenario::Load::Visits`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// All attempts by when they ended.
    pub tries: Vec<Try>,
    /// All requests by when they were over.
    pub asked: Vec<Asked>,
    /// Visits that were not over at the end.
    pub unfinished: Vec<u32>,
}

/// Everything that was measured in one run.
#[derive(Clone, Debug)]
pub struct Record {
    phases: Vec<(Phase, Vec<Tally>)>,
    /// The run in tenths of a second.
    pub bins: Vec<Bin>,
    /// The most sessions that the server had at once; zero for pools that are open from the start.
    pub most_sessions: u32,
    /// How many connections were opened during the run.
    pub opened: u64,
    /// Good answers over the whole run, by the scenario's kinds.
    pub good: Vec<u64>,
    /// Leases of holders who never give back that were taken from them.
    pub taken_back: u64,
    /// What became of each visit, where there were visits.
    pub visited: Visited,
}

impl Record {
    /// The width of a bin.
    pub const BIN: Duration = Duration::from_millis(100);

    pub(crate) fn new(phases: &[Phase], end: Duration) -> Self {
        let bins = usize::try_from(end.as_millis() / Self::BIN.as_millis()).unwrap_or(0) + 1;
        Self {
            phases: phases.iter().map(|phase| (phase.clone(), vec![Tally::default(); Class::ALL.len()])).collect(),
            bins: vec![Bin::default(); bins],
            most_sessions: 0,
            opened: 0,
            good: Vec::new(),
            taken_back: 0,
            visited: Visited::default(),
        }
    }

    /// One class in one phase; nothing is measured in a phase that the scenario has not.
    #[must_use]
    pub fn of(&self, phase: &str, class: Class) -> Tally {
        self.tallies(phase).get(index(class)).cloned().unwrap_or_default()
    }

    /// All classes in one phase.
    #[must_use]
    pub fn all(&self, phase: &str) -> Tally {
        let mut sum = Tally::default();
        self.tallies(phase).iter().for_each(|tally| sum.add(tally));
        sum
    }

    fn tallies(&self, name: &str) -> &[Tally] {
        self.phases.iter().find(|(phase, _)| phase.name == name).map_or(&[], |(_, tallies)| tallies)
    }

    /// Good answers a second between two moments, to the tenth.
    #[must_use]
    pub fn goodput(&self, from: Duration, to: Duration) -> f64 {
        let good: u64 = self.between(from, to).iter().map(|bin| u64::from(bin.good)).sum();
        let millis = u64::try_from((to - from).as_millis()).unwrap_or(u64::MAX);
        1_000.0 * share(good, millis)
    }

    /// The bins between two moments.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> &[Bin] {
        let at = |moment: Duration| {
            usize::try_from(moment.as_millis() / Self::BIN.as_millis()).unwrap_or(usize::MAX).min(self.bins.len())
        };
        &self.bins[at(from)..at(to)]
    }

    /// How long after `trigger_end` the first second began in which there were at least 95 % as many good answers as new
    /// requests; `None` when there was none until the end.
    #[must_use]
    pub fn recovery(&self, trigger_end: Duration) -> Option<Duration> {
        let bins = self.between(trigger_end, Duration::MAX);
        let recovered = |second: &[Bin]| {
            let (good, requests) = second
                .iter()
                .fold((0, 0), |(good, requests), bin| (good + u64::from(bin.good), requests + u64::from(bin.requests)));
            100 * good >= 95 * requests
        };
        let found = bins.windows(10).position(recovered)?;
        Some(Self::BIN * u32::try_from(found).unwrap_or(u32::MAX))
    }

    pub(crate) fn bin(&mut self, at: Duration) -> &mut Bin {
        let index = usize::try_from(at.as_millis() / Self::BIN.as_millis()).unwrap_or(usize::MAX);
        let last = self.bins.len() - 1;
        &mut self.bins[index.min(last)]
    }

    /// Changes the tallies of a class in every phase that this moment is in.
    pub(crate) fn note(&mut self, at: Duration, class: Class, change: impl Fn(&mut Tally)) {
        for (phase, tallies) in &mut self.phases {
            if (phase.from..phase.to).contains(&at) {
                change(&mut tallies[index(class)]);
            }
        }
    }

    pub(crate) fn note_served(&mut self, at: Duration, class: Class, waited: Duration) {
        self.note(at, class, |tally| {
            tally.served += 1;
            tally.wait.record(waited);
        });
    }

    pub(crate) fn note_answer(&mut self, at: Duration, kind: u32, Kind { class, slo, .. }: &Kind, latency: Duration) {
        let good = latency <= *slo;
        let kind = kind as usize;
        self.good.resize(self.good.len().max(kind + 1), 0);
        self.good[kind] += u64::from(good);
        self.bin(at).good += u32::from(good);
        self.note(at, *class, |tally| {
            tally.good += u64::from(good);
            tally.late += u64::from(!good);
            tally.latency.record(latency);
        });
    }
}

fn index(class: Class) -> usize {
    Class::ALL.iter().position(|other| *other == class).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_the_first_second_in_which_nearly_everybody_is_served() {
        let mut record = Record::new(&[], Duration::from_secs(10));
        for (index, bin) in record.bins.iter_mut().enumerate() {
            bin.requests = 100;
            bin.good = if index < 42 { 90 } else { 99 };
        }
        assert_eq!(record.recovery(Duration::from_secs(1)), Some(Duration::from_millis(2_800)));
        record.bins.iter_mut().for_each(|bin| bin.good = 94);
        assert_eq!(record.recovery(Duration::from_secs(1)), None);
    }
}
