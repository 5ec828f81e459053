//! Whether to send at all. Decides only: time and chance are arguments.

use tokio::time::Instant;

/// Counts go back so many seconds: long enough to know a service that is away, short enough to forget that it was.
const WINDOW: u64 = SECONDS as u64;
const SECONDS: usize = 10;

/// So many requests for each that is answered are no reason to hold back.
const PER_ANSWER: f64 = 2.0;

/// So many requests more are none either: a few failures prove nothing.
const PADDING: f64 = 10.0;

/// The largest share that is held back: the rest finds out that the service is there again. (Envoy's admission control has
/// `max_rejection_probability` for it.)
const MOST: f64 = 0.95;

/// Holds back the share max(0, (requests - 2 answers - 10) / (requests + 1)) of the requests, at most 95 %: client-side
/// throttling of the Site Reliability Engineering book, chapter 21, eq. 21-1, as gRPC's route lookup has it with a padding.
/// What was held back counts as a request.
#[derive(Debug)]
pub(super) struct Throttle {
    origin: Instant,
    seconds: [Second; SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Since the origin.
    number: u64,
    requests: u32,
    answers: u32,
}

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self { origin: now, seconds: Default::default() }
    }

    /// Whether to send it; [`note`](Self::note) what came of it then. `chance` is drawn from `[0, 1)`.
    pub(super) fn admits(&mut self, now: Instant, chance: f64) -> bool {
        let admits = chance >= self.share(now);
        if !admits {
            self.second(now).requests += 1;
        }
        admits
    }

    /// One that was sent has ended. What is dropped half-way says nothing of the service, and is not noted.
    pub(super) fn note(&mut self, now: Instant, is_answered: bool) {
        let second = self.second(now);
        second.requests += 1;
        second.answers += u32::from(is_answered);
    }

    fn share(&self, now: Instant) -> f64 {
        let number = self.number(now);
        let (mut requests, mut answers) = (0.0, 0.0);
        for second in self.seconds.iter().filter(|second| second.number + WINDOW > number) {
            requests += f64::from(second.requests);
            answers += f64::from(second.answers);
        }
        ((requests - PER_ANSWER * answers - PADDING) / (requests + 1.0)).clamp(0.0, MOST)
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_secs()
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let number = self.number(now);
        let second = &mut self.seconds[usize::try_from(number % WINDOW).unwrap_or_default()];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A service that is asked so many times a second, evenly, and the requests that reach it, second by second.
    fn reached(throttle: &mut Throttle, start: Instant, seconds: u32, rate: u32, is_there: bool) -> Vec<u32> {
        // Steps of the golden ratio fall evenly over the unit interval.
        let mut chance = 0.0;
        let mut ask = |at: Duration| {
            chance = (chance + 0.618_034) % 1.0;
            let sent = throttle.admits(start + at, chance);
            if sent {
                throttle.note(start + at, is_there);
            }
            u32::from(sent)
        };
        let at = |second, request| Duration::from_secs(u64::from(second)) + Duration::from_secs(1) * request / rate;
        (0..seconds).map(|second| (0..rate).map(|request| ask(at(second, request))).sum()).collect()
    }

    #[test]
    fn a_service_that_is_away_is_asked_little_and_one_that_comes_back_is_found_in_half_a_minute() {
        for rate in [20, 100, 1_000] {
            let start = Instant::now();
            let mut throttle = Throttle::new(start);
            let away = reached(&mut throttle, start, 60, rate, false);
            let later: u32 = away[5..].iter().sum();
            assert!(later <= 55 * rate / 10, "{rate}/s: {away:?}");
            assert!(away.chunks(5).all(|sent| sent.iter().sum::<u32>() > 0), "who would see that it is back? {away:?}");
            let back = reached(&mut throttle, start + Duration::from_secs(60), 60, rate, true);
            assert!(back[30..].iter().all(|&sent| sent == rate), "{rate}/s: {back:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_held_back_while_every_other_is_answered(gaps in vec((0..3_000_u64, any::<bool>()), 1..500)) {
            let mut now = Instant::now();
            let mut throttle = Throttle::new(now);
            for (gap, first) in gaps {
                now += Duration::from_millis(gap);
                // Both within one instant, so that they leave the window together.
                for is_answered in [first, !first] {
                    prop_assert!(throttle.admits(now, 0.0));
                    throttle.note(now, is_answered);
                }
            }
        }

        #[test]
        fn what_lies_behind_the_window_is_forgotten(failures in 0..10_000_u32, later in WINDOW..1_000) {
            let start = Instant::now();
            let mut throttle = Throttle::new(start);
            (0..failures).for_each(|_| throttle.note(start, false));
            prop_assert!(throttle.admits(start + Duration::from_secs(later), 0.0));
        }
    }

    #[test]
    fn ten_failures_prove_nothing_and_a_hundred_do() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        (0..10).for_each(|_| throttle.note(now, false));
        assert!(throttle.admits(now, 0.0));
        (0..90).for_each(|_| throttle.note(now, false));
        assert!(!throttle.admits(now, 0.89) && throttle.admits(now, 0.9));
    }
}
