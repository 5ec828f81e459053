use std::time::{Duration, Instant};

use crate::Standstill;

/// When to come back, as a calendar instead of a guess: each refusal books the next free moment, and moments lie as far
/// apart as half of the capacity that was left over before the overload can serve. So those who come back when they were
/// told cannot make a second wave. It is the virtual scheduling of the generic cell rate algorithm (ITU-T I.371), turned
/// from deciding who may pass into telling who should come when.
///
/// One calendar serves all classes: were there one for each, their sum could exceed what is left over.
#[derive(Debug)]
pub(super) struct Calendar {
    /// The moment that was booked last.
    booked: Instant,
    /// Leases that came back in a second while nobody had to wait or was refused: a mean over half a minute.
    usual: f64,
    noted: Instant,
    released: u64,
}

impl Calendar {
    /// The part of the capacity left over that is given to those who come back.
    const PART: f64 = 0.5;
    /// The least that counts as left over, as a part of all.
    const LEAST: f64 = 0.05;
    pub(super) const SOONEST: Duration = Duration::from_millis(200);
    /// Clients that repeat at once book moments too: those who come when they are told are not sent away for minutes by them.
    const LATEST: Duration = Duration::from_secs(30);
    /// Over how many seconds the usual traffic is a mean.
    const MEMORY: f64 = 30.0;

    pub(super) const fn new(now: Instant) -> Self {
        Self { booked: now, usual: 0.0, noted: now, released: 0 }
    }

    /// Learns what is usual from so many leases that came back since the start, as long as things are calm.
    pub(super) fn note(&mut self, now: Instant, released: u64, calm: bool) {
        let lasted = now.saturating_duration_since(self.noted).as_secs_f64();
        let came_back = released.saturating_sub(self.released);
        if lasted > 0.0 && calm {
            let weight = 1.0 - (-lasted / Self::MEMORY).exp();
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let rate = came_back as f64 / lasted;
            self.usual += (rate - self.usual) * weight;
        }
        (self.noted, self.released) = (now, released);
    }

    pub(super) fn stood_still(&mut self, standstill: Standstill) {
        self.noted = standstill.since(self.noted);
    }

    /// Books the next so many moments and says how far off the last is, where `capacity` leases can be served in a second.
    pub(super) fn book_many(&mut self, now: Instant, capacity: f64, count: u32) -> Duration {
        let apart = self.apart(capacity).saturating_mul(count).min(Self::LATEST);
        self.booked = (self.booked.max(now + Self::SOONEST) + apart).min(now + Self::LATEST);
        self.booked.saturating_duration_since(now)
    }

    /// How far off the next moment is, and how much further each after it.
    pub(super) fn next(&self, now: Instant, capacity: f64) -> (Duration, Duration) {
        let apart = self.apart(capacity);
        let first = self.booked.max(now + Self::SOONEST).saturating_duration_since(now) + apart;
        (first.min(Self::LATEST), apart)
    }

    fn apart(&self, capacity: f64) -> Duration {
        let left = (capacity - self.usual).max(capacity * Self::LEAST).max(1e-3);
        Duration::try_from_secs_f64(1.0 / (Self::PART * left)).unwrap_or(Self::LATEST).min(Self::LATEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
    fn calendar() -> (Calendar, Instant) {
        let now = Instant::now();
        (Calendar::new(now), now)
    }

    #[test]
    fn a_thousand_refused_at_once_come_back_at_half_of_what_is_left_over() {
        let (mut calendar, now) = calendar();
        let moments: Vec<_> = (0..1_000).map(|_| calendar.book_many(now, 100.0, 1)).collect();
        assert!(moments[0] >= Calendar::SOONEST);
        // 100 can be served in a second and none came before: 50 in each second until the end of the calendar.
        let within = |from: u64| {
            let second = Duration::from_secs(from)..Duration::from_secs(from + 1);
            moments.iter().filter(|moment| second.contains(moment)).count()
        };
        assert!((1..19).all(|second| within(second) == 50), "{:?}", (1..19).map(within).collect::<Vec<_>>());
        assert!(moments.iter().all(|moment| *moment <= Calendar::LATEST));
    }

    #[test]
    fn the_usual_traffic_is_left_its_room() {
        let (mut calendar, start) = calendar();
        let mut now = start;
        for tick in 1..=6_000 {
            now = start + Duration::from_millis(20 * tick);
            // 60 in a second.
            calendar.note(now, tick * 6 / 5, true);
        }
        let first = calendar.book_many(now, 100.0, 1);
        let apart = calendar.book_many(now, 100.0, 1).saturating_sub(first).as_secs_f64();
        // About 40 are left over, half of it is given away.
        assert!((apart - 1.0 / 20.0).abs() < 0.01, "{apart}");
    }

    #[test]
    fn many_at_once_are_as_many_one_by_one() {
        let ((mut one, now), (mut other, _)) = (calendar(), calendar());
        other.booked = one.booked;
        (0..99).for_each(|_| _ = one.book_many(now, 100.0, 1));
        let (first, apart) = other.next(now, 100.0);
        assert_eq!(other.book_many(now, 100.0, 99), first + apart * 98);
        assert_eq!((one.booked, one.next(now, 100.0)), (other.booked, other.next(now, 100.0)));
    }

    #[test]
    fn within_no_second_are_more_told_to_come_than_half_of_what_is_left_over_can_serve() {
        let mut drawn = 1_u64;
        let mut below = |end: u64| {
            // Knuth's generator, of which the high bits are good.
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (drawn >> 33) % end
        };
        for _ in 0..500 {
            let (mut calendar, start) = calendar();
            let (capacity, calm) = (1 + below(2_000), 1 + below(30));
            let usual = below(capacity + 1);
            for second in 1..=calm {
                calendar.note(start + Duration::from_secs(second), usual * second, true);
            }
            let (mut now, mut moments) = (start + Duration::from_secs(calm), Vec::new());
            let capacity = u32::try_from(capacity).map(f64::from).expect("two thousand");
            for _ in 0..200 {
                now += Duration::from_millis(below(40));
                moments.push(now + calendar.book_many(now, capacity, 1));
            }
            let left = (capacity - calendar.usual).max(Calendar::LEAST * capacity);
            for (index, moment) in moments.iter().enumerate() {
                // All that lies beyond the end of the calendar is told its end, which is later than this: they ask within 8 s.
                let second = moments[index..].iter().take_while(|later| **later < *moment + Duration::from_secs(1));
                let told = second.filter(|later| **later < now + Calendar::LATEST - Duration::from_secs(9)).count();
                let most = Calendar::PART * left + 1.0;
                assert!(f64::from(u32::try_from(told).expect("few")) <= most, "{told} of {most}");
            }
        }
    }

    #[test]
    fn a_flood_books_no_further_than_the_end_of_the_calendar() {
        let (mut calendar, now) = calendar();
        (0..1_000_000).for_each(|_| _ = calendar.book_many(now, 1.0, 1));
        assert_eq!(calendar.book_many(now, 1.0, 1), Calendar::LATEST);
        let later = now + Calendar::LATEST;
        assert!(calendar.book_many(later, 1_000.0, 1) < Duration::from_secs(1), "and is forgotten");
    }
}
