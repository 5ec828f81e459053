//! The two alerts that matter most, for a shop that no Prometheus watches: a line when each begins, and one when it ends.
//!
//! They have the bounds and the delays of `ops/prometheus/rules`: utilisation above 80 % over 20 seconds for 10, bad answers above 5 % over
//! a minute for a minute.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use forebay_pool::Usage;

use crate::{db::Db, serve::Answers};

const EVERY: Duration = Duration::from_secs(1);
/// Fewer answers than this say nothing about a ratio.
const FEWEST_ANSWERS: u64 = 20;

/// A bound on a value, how long the value must be above it before that is said, and how long it must be back before that is.
#[derive(Debug)]
pub struct Alarm {
    bound: f64,
    begins_after: Duration,
    ends_after: Duration,
    /// Since when the value is on the other side of the bound than what was said last.
    turning: Option<Instant>,
    ringing: Option<Instant>,
}

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// It rings from now on.
    Began {
        /// The value that it rings for.
        value: f64,
    },
    /// It has ended.
    Ended {
        /// How long it rang.
        lasted: Duration,
    },
}

impl Alarm {
    /// An alarm that is silent.
    #[must_use]
    pub const fn new(bound: f64, begins_after: Duration, ends_after: Duration) -> Self {
        Self { bound, begins_after, ends_after, turning: None, ringing: None }
    }

    /// Judges the value of this moment; of none, nothing is known, which is not too much.
    pub fn judge(&mut self, now: Instant, value: Option<f64>) -> Option<Change> {
        let high = value.filter(|value| *value > self.bound);
        if high.is_some() == self.ringing.is_some() {
            self.turning = None;
            return None;
        }
        let since = *self.turning.get_or_insert(now);
        let after = if high.is_some() { self.begins_after } else { self.ends_after };
        if now.saturating_duration_since(since) < after {
            return None;
        }
        self.turning = None;
        match (high, self.ringing.take()) {
            (Some(value), _) => {
                self.ringing = Some(now);
                Some(Change::Began { value })
            }
            (None, begun) => {
                Some(Change::Ended { lasted: begun.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)) })
            }
        }
    }
}

/// What a counter said within a time.
#[derive(Debug)]
struct Window<T> {
    length: Duration,
    said: VecDeque<(Instant, T)>,
}

impl<T: Copy> Window<T> {
    const fn new(length: Duration) -> Self {
        Self { length, said: VecDeque::new() }
    }

    /// What it said first of what is still within the window, which ends with this.
    fn first(&mut self, now: Instant, value: T) -> T {
        self.said.push_back((now, value));
        while self.said.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > self.length) {
            self.said.pop_front();
        }
        self.said.front().map_or(value, |(_, first)| *first)
    }
}

/// Both alarms, and what they look at.
#[derive(Debug)]
pub struct Alarms {
    pool: Alarm,
    usage: Window<Usage>,
    errors: Alarm,
    answers: Window<Answers>,
}

impl Default for Alarms {
    fn default() -> Self {
        let minute = Duration::from_mins(1);
        Self {
            pool: Alarm::new(0.8, Duration::from_secs(10), minute),
            usage: Window::new(Duration::from_secs(20)),
            errors: Alarm::new(0.05, minute, 2 * minute),
            answers: Window::new(minute),
        }
    }
}

impl Alarms {
    /// Looks at both counters; answers with what is to be said of the pool, and of the answers.
    pub fn look(&mut self, now: Instant, usage: Usage, answers: Answers) -> [Option<Change>; 2] {
        let utilisation = usage.utilisation_since(&self.usage.first(now, usage));
        let first = self.answers.first(now, answers);
        let (all, bad) = (answers.all.saturating_sub(first.all), answers.bad.saturating_sub(first.bad));
        let ratio = (all >= FEWEST_ANSWERS).then(|| share(bad, all));
        [self.pool.judge(now, utilisation), self.errors.judge(now, ratio)]
    }
}

#[expect(clippy::cast_precision_loss, reason = "a minute's answers stay far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Looks once a second, and says what there is to say; never returns. Dropping the future stops it.
pub async fn watch(db: Db) {
    let mut alarms = Alarms::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let now = tokio::time::Instant::now().into_std();
        let [pool, errors] = alarms.look(now, db.usage(), Answers::until_now());
        match pool {
            Some(Change::Began { value: utilisation }) => tracing::warn!(
                alert = "pool_utilization",
                utilisation,
                "the connection pool is close to exhaustion: /pool on the admin listener shows who holds its connections"
            ),
            Some(Change::Ended { lasted }) => {
                tracing::info!(
                    alert = "pool_utilization",
                    lasted_s = lasted.as_secs(),
                    "the connection pool has room again"
                );
            }
            None => {}
        }
        match errors {
            Some(Change::Began { value: ratio }) => {
                tracing::warn!(alert = "error_ratio", ratio, "more than 5 % of requests fail or are refused");
            }
            Some(Change::Ended { lasted }) => {
                tracing::info!(alert = "error_ratio", lasted_s = lasted.as_secs(), "requests are answered again");
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// What is said over so many seconds, with the second, when this is the utilisation and this the share of bad answers of 100 a
    /// second.
    fn said(seconds: u32, utilisation: impl Fn(u32) -> f64, bad: impl Fn(u32) -> u64) -> Vec<(u32, usize, Change)> {
        let (begin, mut alarms) = (start(), Alarms::default());
        let (mut usage, mut answers) = (Usage::default(), Answers::default());
        let mut said = Vec::new();
        for second in 0..seconds {
            usage.busy += 10.0 * utilisation(second);
            usage.capacity += 10.0;
            answers.all += 100;
            answers.bad += bad(second);
            let changes = alarms.look(begin + EVERY * second, usage, answers);
            said.extend(changes.into_iter().enumerate().filter_map(|(which, change)| Some((second, which, change?))));
        }
        said
    }

    #[test]
    fn each_is_said_once_when_it_begins_and_once_when_it_ends_and_the_pool_first() {
        let outage = 100..400;
        let full = |second| if outage.contains(&second) { 1.3 } else { 0.2 };
        // Whoever waits for five seconds fails after these.
        let bad = |second| if (105..405).contains(&second) { 80 } else { 0 };
        let said = said(600, full, bad);
        let order: Vec<_> =
            said.iter().map(|(_, which, change)| (*which, matches!(change, Change::Began { .. }))).collect();
        assert_eq!(order, [(0, true), (1, true), (0, false), (1, false)], "{said:?}");
        let lead = said[1].0 - said[0].0;
        assert!(lead >= 30, "the pool's is {lead} s earlier");
    }

    #[test]
    fn a_moment_is_nobodys_alarm() {
        let moment = |second| if (100..105).contains(&second) { 1.0 } else { 0.5 };
        assert_eq!(said(300, moment, |second| u64::from(second == 100) * 90), []);
    }

    #[test]
    fn a_few_bad_answers_of_a_few_say_nothing() {
        let (begin, mut alarms) = (start(), Alarms::default());
        for second in 0..300u32 {
            let answers = Answers { all: u64::from(second / 10), bad: u64::from(second / 10) };
            let changes = alarms.look(begin + EVERY * second, Usage::default(), answers);
            assert_eq!(changes, [None, None]);
        }
    }

    proptest! {
        #[test]
        fn begin_and_end_alternate_and_keep_their_distance(values in prop::collection::vec(prop::option::of(0.0..1.0f64), 1..400)) {
            let (begins_after, ends_after) = (EVERY * 10, EVERY * 30);
            let (begin, mut alarm) = (start(), Alarm::new(0.8, begins_after, ends_after));
            let mut last: Option<(Instant, bool)> = None;
            for (second, value) in (0u32..).zip(&values) {
                // Slow enough for something to happen.
                let value = values[(second / 20 * 20) as usize].or(*value);
                let now = begin + EVERY * second;
                let Some(change) = alarm.judge(now, value) else { continue };
                let began = matches!(change, Change::Began { .. });
                prop_assert_eq!(began, last.is_none_or(|(_, began)| !began));
                let (since, after) = (last.map_or(begin, |(at, _)| at), if began { begins_after } else { ends_after });
                prop_assert!(now.saturating_duration_since(since) >= after);
                last = Some((now, began));
            }
        }
    }
}
