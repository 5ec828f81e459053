//! What becomes of a delivery, decided by values alone: time and chance are arguments.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use forebay_platform::outbound::OutboundError;
use forebay_platform::webhook::ReceiverAnswer;
use http::StatusCode;
use time::OffsetDateTime;

use crate::store::deliveries::Next;

/// How long a receiver may ask to be left alone.
const LONGEST_TOLD: Duration = Duration::from_secs(24 * 3600);

/// How deliveries are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Between the attempts at one event. After the last it is a dead letter.
    pub pauses: Pauses,
    /// How long a receiver may take to answer.
    pub within: Duration,
    /// After so many attempts in a row that nobody answered, a receiver is only tried.
    pub silent_after: u32,
    /// How often such a one is tried, give or take a fifth.
    pub probe_every: Duration,
}

/// The pauses between attempts, give or take a fifth. As text whole milliseconds, with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pauses(Vec<Duration>);

impl Pauses {
    /// After an attempt, of which the first is 1; none where it was the last.
    fn after(&self, attempts: u32) -> Option<Duration> {
        self.0.get(usize::try_from(attempts).ok()?.saturating_sub(1)).copied()
    }
}

impl Default for Pauses {
    /// Nine attempts within 44 hours: after 5 s, 30 s, 2 min, 10 min, 1 h, 6 h, 12 h and 24 h.
    fn default() -> Self {
        [5, 30, 120, 600, 3_600, 6 * 3_600, 12 * 3_600, 24 * 3_600].map(Duration::from_secs).into_iter().collect()
    }
}

impl FromIterator<Duration> for Pauses {
    fn from_iter<T: IntoIterator<Item = Duration>>(pauses: T) -> Self {
        Self(pauses.into_iter().collect())
    }
}

impl FromStr for Pauses {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let pauses = text.split(',').map(|pause| pause.trim().parse().map(u32::into).map(Duration::from_millis));
        pauses
            .collect::<Result<_, _>>()
            .map_err(|_wrong| "must be milliseconds, whole numbers with commas between them")
    }
}

impl fmt::Display for Pauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pauses: Vec<_> = self.0.iter().map(|pause| pause.as_millis().to_string()).collect();
        f.write_str(&pauses.join(","))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            pauses: Pauses::default(),
            within: Duration::from_secs(15),
            silent_after: 5,
            probe_every: Duration::from_secs(60),
        }
    }
}

/// What an attempt means for the receiver as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receivers {
    /// It is there, also where it does not want this event.
    Answers,
    /// It is not, or cannot now.
    Silent,
    /// It wants no more of them.
    Gone,
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Outcome {
    /// None: it has it.
    pub(super) next: Option<Next>,
    pub(super) receiver: Receivers,
    /// For people.
    pub(super) said: String,
}

impl Rules {
    /// For how long a claimed event is nobody else's: longer than sending it can take.
    pub(super) fn lease(&self) -> Duration {
        self.within * 2 + Duration::from_secs(1)
    }

    /// `attempts` counts this one; `chance` is from `[0, 1)`.
    pub(super) fn judge(
        &self,
        answer: &Result<ReceiverAnswer, OutboundError>,
        attempts: u32,
        now: OffsetDateTime,
        chance: f64,
    ) -> Outcome {
        let (receiver, said) = match answer {
            Ok(answer) => (meant(answer.status), answer.status.to_string()),
            Err(error) => (Receivers::Silent, error.to_string()),
        };
        let told = match answer {
            Ok(answer) if answer.status.is_success() => return Outcome { next: None, receiver, said },
            Ok(answer) => answer.told.min(LONGEST_TOLD),
            Err(_) => Duration::ZERO,
        };
        let again = |pause| Next::Again { at: now + spread(pause, chance).max(told) };
        let next = self.pauses.after(attempts).map_or(Next::Dead, again);
        Outcome { next: Some(next), receiver, said }
    }

    /// When a silent receiver is tried next.
    pub(super) fn probe_at(&self, now: OffsetDateTime, chance: f64) -> OffsetDateTime {
        now + spread(self.probe_every, chance)
    }
}

/// A refusal of one event says nothing of the others; that it cannot now, or not so fast, does.
fn meant(status: StatusCode) -> Receivers {
    match status {
        StatusCode::GONE => Receivers::Gone,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Receivers::Silent,
        status if status.is_server_error() => Receivers::Silent,
        _ => Receivers::Answers,
    }
}

/// Give or take a fifth, so that what failed together does not come back together.
fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.8 + 0.4 * chance)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-27 12:00 UTC);

    fn answered(status: u16) -> Result<ReceiverAnswer, OutboundError> {
        Ok(ReceiverAnswer { status: StatusCode::from_u16(status).unwrap(), told: Duration::ZERO })
    }

    fn again(outcome: &Outcome) -> time::Duration {
        let Some(Next::Again { at }) = outcome.next else { panic!("{outcome:?}") };
        at - NOW
    }

    #[test]
    fn pauses_grow_and_are_spread_and_the_last_attempt_makes_a_dead_letter() {
        let rules = Rules::default();
        let pause = |attempts, chance| again(&rules.judge(&answered(500), attempts, NOW, chance));
        assert_eq!((pause(1, 0.0), pause(1, 0.5)), (time::Duration::seconds(4), time::Duration::seconds(5)));
        assert!(pause(1, 0.999) < time::Duration::seconds(6));
        assert_eq!(pause(8, 0.5), time::Duration::hours(24));
        let last = rules.judge(&answered(500), 9, NOW, 0.5);
        assert!(matches!(last.next, Some(Next::Dead)), "{last:?}");
    }

    #[test]
    fn pauses_are_read_as_they_are_written() {
        let usual = Pauses::default();
        assert_eq!(usual.to_string(), "5000,30000,120000,600000,3600000,21600000,43200000,86400000");
        assert_eq!(usual.to_string().parse(), Ok(usual));
        for wrong in ["", "5000,", "5s", "-1", "1.5", "4294967296"] {
            assert!(wrong.parse::<Pauses>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_two_hundreds_say_that_it_has_it() {
        let rules = Rules::default();
        for status in [200, 202, 204, 299] {
            assert!(rules.judge(&answered(status), 1, NOW, 0.5).next.is_none(), "{status}");
        }
        for status in [301, 302, 304, 400, 404, 410, 422, 429, 500, 503] {
            assert!(rules.judge(&answered(status), 1, NOW, 0.5).next.is_some(), "{status}");
        }
    }

    #[test]
    fn a_refusal_of_one_event_is_no_silence() {
        let rules = Rules::default();
        let receiver = |status| rules.judge(&answered(status), 1, NOW, 0.5).receiver;
        for status in [200, 301, 400, 404, 422] {
            assert_eq!(receiver(status), Receivers::Answers, "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(receiver(status), Receivers::Silent, "{status}");
        }
        assert_eq!(receiver(410), Receivers::Gone);
        assert_eq!(rules.judge(&Err(OutboundError::Late), 1, NOW, 0.5).receiver, Receivers::Silent);
    }

    #[test]
    fn what_the_receiver_asks_for_is_waited_for_but_not_longer_than_a_day() {
        let rules = Rules::default();
        let told = |seconds| {
            Ok(ReceiverAnswer { status: StatusCode::SERVICE_UNAVAILABLE, told: Duration::from_secs(seconds) })
        };
        assert_eq!(again(&rules.judge(&told(1), 1, NOW, 0.5)), time::Duration::seconds(5));
        assert_eq!(again(&rules.judge(&told(90), 1, NOW, 0.5)), time::Duration::seconds(90));
        assert_eq!(again(&rules.judge(&told(u64::MAX), 1, NOW, 0.5)), time::Duration::days(1));
    }
}
