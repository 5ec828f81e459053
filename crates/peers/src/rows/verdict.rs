//! What the visits of one turn amount to.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::load::{End, Visit};
use crate::book::Measured;

pub(crate) const GOODPUT: &str = "goodput";
pub(crate) const FIRST_SECOND: &str = "goodput, first second";
pub(crate) const WAIT_P50: &str = "wait of the admitted, p50 ms";
pub(crate) const WAIT_P99: &str = "wait of the admitted, p99 ms";
pub(crate) const WAIT_P999: &str = "wait of the admitted, p99.9 ms";
pub(crate) const REFUSAL_P50: &str = "time of a refusal, p50 ms";
pub(crate) const REFUSAL_P99: &str = "time of a refusal, p99 ms";
pub(crate) const REFUSED: &str = "refused, %";
pub(crate) const LEFT: &str = "left after 250 ms, %";
pub(crate) const FAILED: &str = "failed, %";
pub(crate) const SESSIONS: &str = "new sessions";
pub(crate) const RECOVERY: &str = "recovery, ms";

/// An arrival is late if it comes so long after its plan; with more than [`LATE_SHARE`] of them the turn is void.
const LATE: Duration = Duration::from_millis(100);
const LATE_SHARE: f64 = 0.01;
/// A minute; no wait is longer, since callers leave long before.
const LONGEST_NS: u64 = 60_000_000_000;
/// Recovered is who serves so many of those that come from then on.
const RECOVERED: f64 = 0.95;

/// The stretches of a turn, and what the database could have done in them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// When the load began.
    pub(crate) from: Duration,
    /// When it ended.
    pub(crate) to: Duration,
    /// When the stretch at half the capacity ended that followed; `to` if none did.
    pub(crate) end: Duration,
    /// Answers a second.
    pub(crate) capacity: f64,
}

impl Frame {
    pub(crate) fn measure(&self, visits: &[Visit], sessions: u32) -> Measured {
        let during: Vec<&Visit> = visits.iter().filter(|visit| (self.from..self.to).contains(&visit.planned)).collect();
        let share =
            |is: &dyn Fn(&Visit) -> bool| percent(during.iter().filter(|visit| is(visit)).count(), during.len());
        let mut values = vec![
            (GOODPUT, self.goodput(visits, self.to)),
            (FIRST_SECOND, self.goodput(visits, self.to.min(self.from + Duration::from_secs(1)))),
            (REFUSED, share(&Visit::was_refused)),
            (LEFT, share(&|visit| visit.end == End::Left)),
            (FAILED, share(&|visit| visit.end == End::Failed)),
            (SESSIONS, f64::from(sessions)),
        ];
        let waits = during.iter().filter_map(|visit| visit.waited);
        let refusals = during.iter().filter(|visit| visit.was_refused());
        let refusals = refusals.map(|visit| visit.ended.saturating_sub(visit.came));
        values.extend(quantiles(waits, [(WAIT_P50, 0.5), (WAIT_P99, 0.99), (WAIT_P999, 0.999)]));
        values.extend(quantiles(refusals, [(REFUSAL_P50, 0.5), (REFUSAL_P99, 0.99)]));
        if self.end > self.to {
            values.push((RECOVERY, self.recovery(visits).as_secs_f64() * 1e3));
        }
        Measured { values, void: late(visits) }
    }

    /// Good answers between the beginning of the load and `to`, over what was possible: all that arrived, or as many as the
    /// database can answer in that time.
    pub(crate) fn goodput(&self, visits: &[Visit], to: Duration) -> f64 {
        let within = self.from..to;
        let good = visits.iter().filter(|visit| visit.is_good() && within.contains(&visit.ended)).count();
        let offered = visits.iter().filter(|visit| within.contains(&visit.planned)).count();
        good as f64 / (offered as f64).min(self.capacity * (to - self.from).as_secs_f64()).max(1.0)
    }

    /// How long after the load it took until nearly everybody who came from then on was served in time: the whole stretch if
    /// that never was so.
    pub(crate) fn recovery(&self, visits: &[Visit]) -> Duration {
        let mut good = 0_usize;
        let mut recovered = self.end;
        let after = visits.iter().rev().take_while(|visit| visit.planned >= self.to).enumerate();
        for (others, visit) in after {
            good += usize::from(visit.is_good());
            if visit.is_good() && good as f64 >= RECOVERED * (others + 1) as f64 {
                recovered = visit.planned;
            }
        }
        recovered - self.to
    }
}

pub(crate) fn percent(some: usize, of: usize) -> f64 {
    100.0 * some as f64 / of.max(1) as f64
}

pub(crate) fn late(visits: &[Visit]) -> Option<String> {
    let late = visits.iter().filter(|visit| visit.came.saturating_sub(visit.planned) > LATE).count();
    let share = percent(late, visits.len());
    (share > 100.0 * LATE_SHARE).then(|| format!("{share:.1} % of the callers came more than 100 ms late"))
}

pub(crate) fn quantiles<const N: usize>(
    times: impl Iterator<Item = Duration>,
    named: [(&'static str, f64); N],
) -> Vec<(&'static str, f64)> {
    let mut histogram = Histogram::<u32>::new_with_max(LONGEST_NS, 3).expect("the bounds are sound");
    for time in times {
        histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
    if histogram.is_empty() {
        return Vec::new();
    }
    named.map(|(name, at)| (name, histogram.value_at_quantile(at) as f64 / 1e6)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn visit(planned: u64, took: u64, end: End) -> Visit {
        let (came, ended) = (ms(planned), ms(planned + took));
        let (again, refused) = (Vec::new(), Vec::new());
        Visit { planned: came, critical: false, came, waited: None, ended, end, again, refused }
    }

    const FRAME: Frame = Frame { from: ms(1_000), to: ms(2_000), end: ms(3_000), capacity: 100.0 };

    fn value(measured: &Measured, metric: &str) -> f64 {
        measured.values.iter().find(|(name, _)| *name == metric).expect("measured").1
    }

    #[test]
    fn an_answer_counts_where_it_is_given_and_only_in_time() {
        let visits = [
            visit(900, 200, End::Answered),
            visit(1_100, 100, End::Answered),
            visit(1_200, 251, End::Answered),
            visit(1_300, 1, End::Refused { after: None }),
            visit(1_990, 100, End::Answered),
        ];
        let measured = FRAME.measure(&visits, 0);
        assert_eq!(value(&measured, GOODPUT), 2.0 / 4.0);
        assert_eq!(value(&measured, REFUSED), 25.0);
    }

    #[test]
    fn waits_are_told_in_milliseconds() {
        let wait = |waited| Visit { waited: Some(ms(waited)), ..visit(1_100, 100, End::Answered) };
        let measured = FRAME.measure(&[wait(10), wait(12), wait(200)], 0);
        assert_eq!((value(&measured, WAIT_P50).round(), value(&measured, WAIT_P99).round()), (12.0, 200.0));
    }

    #[test]
    fn it_is_recovered_where_nearly_everybody_is_served_from_then_on() {
        let after = |bad_until| {
            let end = move |at| if at < bad_until { End::Left } else { End::Answered };
            (200..300).map(move |at| visit(at * 10, 20, end(at))).collect::<Vec<_>>()
        };
        assert_eq!(FRAME.recovery(&after(200)), ms(0));
        assert_eq!(FRAME.recovery(&after(300)), ms(1_000));
        let half = FRAME.recovery(&after(250));
        assert!((ms(480)..=ms(500)).contains(&half), "{half:?}");
    }

    #[test]
    fn a_generator_that_could_not_keep_its_schedule_voids_the_turn() {
        let mut visits: Vec<Visit> = (0..200).map(|at| visit(1_000 + at, 5, End::Answered)).collect();
        for (count, valid) in [(2, true), (3, false)] {
            visits.iter_mut().take(count).for_each(|visit| visit.came += ms(101));
            assert_eq!(FRAME.measure(&visits, 0).void.is_none(), valid, "{count} of 200 are late");
            visits.iter_mut().for_each(|visit| visit.came = visit.planned);
        }
    }
}
