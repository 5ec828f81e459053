use std::time::{Duration, Instant};

use forebay_pool_core::{Knee, Sample, Sizer};

const TICK: Duration = Duration::from_millis(20);

/// A database that does exactly what a curve says, and a queue in front of it that never ends: what the sizer asks for is
/// in force and in use at once.
struct Bench {
    knee: Knee,
    now: Instant,
    room: u32,
    limit: u32,
    reason: &'static str,
    finished: Left,
    lost: Left,
    lock_waits: Option<f64>,
    saturated: bool,
}

/// What of a lease that comes back is left over from the last tick.
struct Left(f64);

impl Left {
    /// How many of so many a second come back in this tick.
    fn done(&mut self, rate: f64) -> u32 {
        let done = rate * TICK.as_secs_f64() + self.0;
        self.0 = done.fract();
        whole(done)
    }
}

impl Bench {
    fn new(room: u32) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a bench needs a first moment")]
        let now = Instant::now();
        Self {
            knee: Knee::default(),
            now,
            room,
            limit: 10,
            reason: "",
            finished: Left(0.0),
            lost: Left(0.0),
            lock_waits: None,
            saturated: true,
        }
    }

    /// A tick later: so many leases in use, each for so many seconds, and more callers than these.
    fn saturated_by(&mut self, limit: f64, hold: f64) -> Sample {
        self.now += TICK;
        let mut sample = Sample::default();
        (sample.limit, sample.room, sample.floor) = (self.limit, self.room, 10.min(self.room));
        (sample.used, sample.offered, sample.standing, sample.refused) = (limit, 2.0 * limit, true, 1);
        (sample.hold, sample.spread) = (Duration::from_secs_f64(hold), 1.0);
        sample
    }

    fn take(&mut self, sample: &Sample) {
        let target = self.knee.tick(self.now, sample);
        (self.limit, self.reason) = (target.limit.clamp(1, self.room), target.reason);
    }

    /// One tick with statements of 10 ms by this curve, from leases to statements that run at full speed.
    fn tick(&mut self, curve: impl Fn(f64) -> f64) {
        self.now += TICK;
        let limit = f64::from(self.limit);
        let throughput = 100.0 * curve(limit);
        let done = self.finished.done(throughput);
        let mut sample = Sample::default();
        (sample.limit, sample.room, sample.floor) = (self.limit, self.room, 10.min(self.room));
        sample.hold = Duration::from_secs_f64(limit / throughput);
        sample.spread = 1.0;
        sample.lock_waits = self.lock_waits;
        if self.saturated {
            (sample.used, sample.offered, sample.standing, sample.refused) = (limit, 2.0 * limit, true, 1);
            sample.completed = done;
        } else {
            (sample.used, sample.offered) = (0.3 * limit, 0.3 * limit);
            sample.completed = whole(0.3 * f64::from(done));
        }
        self.take(&sample);
    }

    fn run(&mut self, seconds: u32, curve: impl Fn(f64) -> f64) {
        (0..50 * seconds).for_each(|_| self.tick(&curve));
    }

    /// The mean limit over the next five seconds.
    fn mean(&mut self, curve: impl Fn(f64) -> f64) -> f64 {
        let limits = (0..250).map(|_| {
            self.tick(&curve);
            f64::from(self.limit)
        });
        limits.sum::<f64>() / 250.0
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few, and not negative")]
fn whole(number: f64) -> u32 {
    number.floor() as u32
}

/// The Universal Scalability Law.
fn usl(queueing: f64, crosstalk: f64) -> impl Fn(f64) -> f64 + Copy {
    move |n| n / (1.0 + queueing * (n - 1.0) + crosstalk * n * (n - 1.0))
}

/// Where ten per cent more buy one per cent more.
fn knee_of(curve: impl Fn(f64) -> f64) -> f64 {
    let elasticity = |n: f64| (curve(n * 1.01).ln() - curve(n).ln()) / 1.01_f64.ln();
    (10..20_000).map(|n| f64::from(n) / 10.0).find(|n| elasticity(*n) < 0.1).expect("it falls")
}

#[test]
fn the_limit_goes_to_where_more_leases_are_not_worth_it_and_stays_there() {
    for (queueing, crosstalk) in [(0.02, 0.0008), (0.05, 0.006), (0.03, 0.002), (0.001, 0.0002), (0.4, 0.05)] {
        let curve = usl(queueing, crosstalk);
        let best = knee_of(curve);
        let mut bench = Bench::new(200);
        bench.run(80, curve);
        let found = bench.mean(curve);
        assert!((found / best).ln().abs() < 0.35, "{queueing} {crosstalk}: {found} of {best}");
        assert!(curve(found) > 0.97 * curve(best), "{queueing} {crosstalk}: {found} of {best}");
    }
}

#[test]
fn it_goes_down_where_statements_begin_to_hinder_each_other_and_up_when_they_stop() {
    let (wide, narrow) = (usl(0.02, 0.0008), usl(0.02, 0.008));
    let mut bench = Bench::new(200);
    bench.run(10, wide);
    assert!(bench.mean(wide) > 25.0);
    bench.run(15, narrow);
    let found = bench.mean(narrow);
    assert!((6.0..15.0).contains(&found), "{found}");
    bench.run(15, wide);
    assert!(bench.mean(wide) > 25.0);
}

#[test]
fn a_database_that_is_slower_as_a_whole_keeps_its_limit() {
    let curve = usl(0.02, 0.0008);
    for slower in [2.0, 4.0, 10.0] {
        let slow = move |n: f64| curve(n) / slower;
        let mut bench = Bench::new(200);
        bench.run(15, curve);
        let before = bench.mean(curve);
        bench.run(2, slow);
        for _ in 0..12 {
            let after = bench.mean(slow);
            assert!(after > 0.75 * before, "{slower}: {before} to {after}");
        }
    }
}

#[test]
fn leases_that_do_not_hinder_each_other_get_all_the_room_there_is() {
    let mut bench = Bench::new(54);
    bench.run(3, |n| n);
    // It looks down from there now and then.
    assert!(bench.mean(|n| n) > 50.0);
    assert!(bench.mean(|n| n) > 52.0);
}

#[test]
fn one_row_that_everybody_wants_brings_it_below_where_it_began() {
    let row = |n: f64| n.min(3.0) / (1.0 + 0.02 * (n - 1.0));
    let mut bench = Bench::new(54);
    bench.run(60, row);
    let found = bench.mean(row);
    assert!((2.0..5.0).contains(&found), "{found}");
}

#[test]
fn it_does_not_grow_while_locks_are_what_statements_wait_for() {
    let mut bench = Bench::new(54);
    bench.lock_waits = Some(0.5);
    bench.run(10, |n| n);
    assert!(bench.mean(|n| n) <= 21.0);
    bench.lock_waits = Some(0.1);
    bench.run(5, |n| n);
    assert!(bench.mean(|n| n) > 50.0);
}

#[test]
fn where_nearly_all_wait_for_locks_it_asks_more_of_a_lease() {
    // Two per cent more for ten per cent more leases, at any number.
    let curve = |n: f64| 10.0 * n.powf(0.2);
    let mut bench = Bench::new(54);
    for share in [None, Some(0.25)] {
        bench.lock_waits = share;
        bench.run(60, curve);
        assert!(bench.mean(curve) > 45.0, "{share:?}");
    }
    bench.lock_waits = Some(0.95);
    bench.run(60, curve);
    let found = bench.mean(curve);
    assert!(found < 8.0, "{found}");
}

/// Two processors and 20 ms of work for each, of whom nobody waits for longer than 250 ms.
#[test]
fn a_database_that_finishes_nothing_in_time_gets_so_few_that_it_does() {
    let mut bench = Bench::new(54);
    bench.run(5, |n| n);
    assert!(bench.limit > 45, "{}", bench.limit);
    let mut in_time = 0;
    for tick in 0..1_000 {
        let limit = f64::from(bench.limit);
        let held = limit / 100.0;
        let mut sample = bench.saturated_by(limit, held.min(0.25));
        let done = bench.finished.done(limit / held.min(0.25));
        *(if held > 0.25 { &mut sample.interrupted } else { &mut sample.completed }) = done;
        bench.take(&sample);
        in_time += u32::from(tick >= 100 && (2..=25).contains(&bench.limit));
    }
    assert!(in_time > 800, "{in_time} of 900 ticks after the first two seconds");
}

/// Up to all of the room, and then for five seconds nothing is finished in time.
fn after_a_retreat() -> Bench {
    let mut bench = Bench::new(54);
    bench.run(5, |n| n);
    assert!(bench.limit > 45, "{}", bench.limit);
    for _ in 0..250 {
        let limit = f64::from(bench.limit);
        let mut sample = bench.saturated_by(limit, 0.25);
        sample.interrupted = bench.finished.done(limit / 0.25);
        bench.take(&sample);
    }
    assert!(bench.limit < 5, "{}", bench.limit);
    bench
}

#[test]
fn a_limit_that_went_down_is_what_it_was_when_leases_are_short_again() {
    let mut bench = after_a_retreat();
    let ticks = (1..100).find(|_| {
        bench.tick(|n| n);
        bench.limit > 40
    });
    assert!(ticks.is_some_and(|ticks| ticks < 40), "{ticks:?} of 20 ms");
}

/// A minute of long leases that are not cut off: what was before is not what is now.
#[test]
fn where_it_was_is_forgotten_in_a_minute() {
    let mut bench = after_a_retreat();
    for _ in 0..3_500 {
        let mut sample = bench.saturated_by(f64::from(bench.limit), 0.2);
        sample.completed = bench.finished.done(20.0);
        bench.take(&sample);
    }
    for _ in 0..500 {
        let before = bench.limit;
        bench.tick(|n| n);
        assert!(bench.limit <= 2 * before + 2, "{before} to {}", bench.limit);
    }
    assert!(bench.limit > 40, "{}: it has climbed", bench.limit);
}

#[test]
fn a_limit_that_went_down_and_is_not_used_up_is_what_it_was_ten_seconds_later() {
    for (seconds, returns) in [(5, false), (12, true)] {
        let mut bench = after_a_retreat();
        for _ in 0..50 * seconds {
            let mut sample = bench.saturated_by(0.4, 0.2);
            (sample.offered, sample.standing, sample.refused) = (0.4, false, 0);
            bench.take(&sample);
        }
        // Long leases again, many of them: no other way leads back so soon.
        for _ in 0..15 {
            let mut sample = bench.saturated_by(f64::from(bench.limit), 0.2);
            (sample.offered, sample.completed) = (100.0, bench.finished.done(f64::from(bench.limit) / 0.2));
            bench.take(&sample);
        }
        assert_eq!(bench.limit > 40, returns, "{seconds} s: {}", bench.limit);
    }
}

impl Bench {
    /// A tick of this many that come back in a second after this long, of which this share is cut off, by the limit.
    fn cutting(&mut self, of: impl Fn(f64) -> (f64, f64, f64)) {
        let limit = f64::from(self.limit);
        let (rate, hold, cut) = of(limit);
        let mut sample = self.saturated_by(limit, hold);
        (sample.completed, sample.interrupted) = (self.finished.done(rate * (1.0 - cut)), self.lost.done(rate * cut));
        sample.lock_waits = self.lock_waits;
        self.take(&sample);
    }
}

/// 40 a second whatever the limit, for whom nobody waits longer than 250 ms: ten at once are in time.
#[test]
fn a_database_that_finishes_nothing_from_the_beginning_gets_fewer_at_once() {
    let mut bench = Bench::new(54);
    for _ in 0..500 {
        bench.cutting(|n| (40.0, (n / 40.0).min(0.25), f64::from(u8::from(n > 10.0))));
    }
    assert!(bench.limit <= 12, "{}", bench.limit);
}

/// The limits of the retreats in the four seconds after a change.
fn retreats(of: impl Fn(f64) -> (f64, f64, f64)) -> Vec<u32> {
    let mut bench = Bench::new(54);
    bench.run(5, |n| n);
    let mut limits = Vec::new();
    for _ in 0..200 {
        bench.cutting(&of);
        if bench.reason == "knee_retreat" && limits.last() != Some(&bench.limit) {
            limits.push(bench.limit);
        }
    }
    limits
}

#[test]
fn it_goes_down_on_and_on_only_while_next_to_nothing_is_finished() {
    let cut = |share: f64| retreats(move |n| (4.0 * n, 0.25, share));
    assert!(matches!(cut(0.6)[..], [limit] if limit > 30), "{:?}", cut(0.6));
    assert!(matches!(cut(1.0)[..], [.., limit] if limit < 10), "{:?}", cut(1.0));
}

#[test]
fn it_goes_down_from_the_room_that_there_is() {
    let mut bench = Bench::new(54);
    bench.run(5, |n| n);
    bench.room = 20;
    bench.limit = 20;
    let ticks = (1..100).find(|_| {
        bench.cutting(|_| (200.0, 0.1, 1.0));
        bench.limit < 15
    });
    assert!(ticks.is_some_and(|ticks| ticks < 40), "{ticks:?} of 20 ms");
}

/// One row of 10 ms that everybody wants, for 250 ms at the most: as many are served with one at once as with 25.
#[test]
fn a_row_that_everybody_wants_is_not_faster_because_fewer_wait_for_it() {
    // Where nobody looks at locks it does not know better than to try some more now and then.
    for (lock_waits, bound) in [(Some(0.95), 8), (None, 40)] {
        let mut bench = Bench::new(54);
        bench.run(5, |n| n);
        bench.lock_waits = lock_waits;
        let row = |n: f64| (100.0, (n / 100.0).min(0.25), (1.0 - 25.0 / n).max(0.0));
        (0..50 * 12).for_each(|_| bench.cutting(row));
        let mut most = 0;
        for second in 12..120 {
            (0..50).for_each(|_| bench.cutting(row));
            most = if lock_waits.is_none() || second >= 60 { most.max(bench.limit) } else { most };
        }
        assert!(most < bound, "{lock_waits:?}: {most}");
    }
}

/// Two thirds of everything are cut off whatever the limit: by chance ten in a row are, and nothing has become slower.
#[test]
fn a_share_that_is_always_cut_off_brings_nothing_down() {
    let mut bench = Bench::new(54);
    let mut dice = 1_u64;
    let (mut least, mut good) = (u32::MAX, 0);
    for tick in 0..50 * 120 {
        let limit = f64::from(bench.limit);
        let mut sample = bench.saturated_by(limit, 0.2);
        for _ in 0..bench.finished.done(limit / 0.2) {
            // Knuth's generator: "The Art of Computer Programming", volume 2, 3.3.4.
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *(if (dice >> 33) % 3 < 2 { &mut sample.interrupted } else { &mut sample.completed }) += 1;
        }
        good += sample.completed;
        bench.take(&sample);
        least = if tick > 50 * 20 { least.min(bench.limit) } else { least };
    }
    assert!(least > 15, "{least}");
    assert!(good > 120 * 60, "{good} in two minutes, and 54 at once would finish 90 a second");
}

#[test]
fn it_measures_nothing_while_the_traffic_is_what_limits() {
    let curve = usl(0.02, 0.0008);
    let mut bench = Bench::new(200);
    bench.run(15, curve);
    let before = bench.mean(curve);
    bench.saturated = false;
    // Ever slower, and nobody waits: of no meaning for the cap.
    bench.run(60, usl(0.5, 0.5));
    assert_eq!(bench.limit, bench.limit.clamp(10, 20), "down to what is needed");
    bench.saturated = true;
    bench.run(3, curve);
    let after = bench.mean(curve);
    assert!((after / before).ln().abs() < 0.3, "{before} to {after}");
}

/// So many leases go on and on; the rest of the limit is for short ones, of which this share is cut off after 250 ms.
fn beside_long_leases(bench: &mut Bench, going_on: f64, frozen: bool) {
    let limit = f64::from(bench.limit);
    let short = (limit - going_on).max(0.0);
    let hold = if frozen { 0.25 } else { 0.01 };
    let mut sample = bench.saturated_by(limit.max(going_on), hold);
    sample.going_on = whole(going_on);
    let done = bench.finished.done(short / hold);
    *(if frozen { &mut sample.interrupted } else { &mut sample.completed }) = done;
    bench.take(&sample);
}

/// For how many ticks there is no place beside the leases that go on: in a row at most, and in all.
fn locked_out(bench: &mut Bench, seconds: u32, going_on: f64, frozen: bool) -> (u32, u32) {
    let (mut now, mut longest, mut all) = (0, 0, 0);
    for _ in 0..50 * seconds {
        beside_long_leases(bench, going_on, frozen);
        let is_locked_out = f64::from(bench.limit) <= going_on;
        now = if is_locked_out { now + 1 } else { 0 };
        longest = longest.max(now);
        all += u32::from(is_locked_out);
    }
    (longest, all)
}

#[test]
fn leases_that_go_on_do_not_take_all_places_where_the_limit_goes_down() {
    let mut bench = Bench::new(54);
    bench.run(5, |n| n);
    let (longest, all) = locked_out(&mut bench, 3, 40.0, true);
    assert!(longest < 5 && all < 15, "{longest} and {all} of 150 ticks");
    let (longest, all) = locked_out(&mut bench, 60, 40.0, false);
    assert!(longest < 5 && all < 15, "{longest} and {all} of 3000 ticks");
    assert!(bench.limit > 45, "{}", bench.limit);
}

#[test]
fn a_limit_below_the_leases_that_go_on_is_none_for_long() {
    for more in [0, 1, 3] {
        let mut bench = Bench::new(54);
        bench.run(30, |n| n.min(20.0));
        let going_on = f64::from(bench.limit + more);
        let (longest, all) = locked_out(&mut bench, 60, going_on, false);
        assert!(longest < 5 && all < 15, "{longest} and {all} of 3000 ticks, {going_on}");
        assert!(bench.limit > 45, "{}", bench.limit);
    }
}

/// A row that more than one are worse for has brought it down to one place, and there is room for 54.
fn at_one_place(seconds: u32) -> Bench {
    let mut bench = Bench::new(4);
    bench.run(seconds, |n: f64| 0.5 / n.powi(2));
    assert_eq!(bench.limit, 1);
    bench.room = 54;
    bench
}

#[test]
fn one_place_is_not_all_for_ever_where_leases_become_long() {
    let mut bench = at_one_place(60);
    for _ in 0..50 * 600 {
        let mut sample = bench.saturated_by(f64::from(bench.limit), 3.0);
        sample.completed = bench.finished.done(f64::from(bench.limit) / 3.0);
        bench.take(&sample);
    }
    assert!(bench.limit > 3, "{}: there are few to learn from", bench.limit);
}

#[test]
fn one_place_is_tried_anew_though_more_were_much_worse() {
    let mut bench = at_one_place(300);
    let seconds = (1..1_200).find(|_| {
        bench.run(1, |n| 0.5 * n);
        bench.limit > 20
    });
    assert!(seconds.is_some_and(|seconds| seconds < 600), "{seconds:?}");
}

#[test]
fn suspects_that_come_and_go_do_not_keep_it_from_measuring() {
    let mut bench = Bench::new(54);
    bench.run(5, |n| n);
    for turn in 0..4 * 60 {
        bench.room = [54, 53, 52, 53][turn % 4];
        bench.limit = bench.limit.min(bench.room);
        for _ in 0..12 {
            bench.tick(usl(0.05, 0.005));
        }
    }
    assert!(bench.limit < 25, "{}", bench.limit);
}

#[test]
fn where_nobody_came_for_a_while_a_limit_that_went_down_is_what_it_was() {
    let mut bench = after_a_retreat();
    bench.now += Duration::from_secs(70);
    (0..20).for_each(|_| bench.tick(|n| n));
    assert!(bench.limit > 30, "{}: it tries less, too", bench.limit);
}

#[test]
fn a_first_guess_that_is_used_up_only_now_and_then_is_raised_all_the_same() {
    let mut bench = Bench::new(100);
    let climbed = (0..100).find(|tick| {
        // Nineteen leases on average, of those that leave the database idle.
        let used = if tick % 2 == 0 { f64::from(bench.limit) } else { 0.85 * f64::from(bench.limit) };
        let mut sample = bench.saturated_by(used, 0.05);
        (sample.standing, sample.refused, sample.completed) = (false, 0, whole(used * 0.4));
        bench.take(&sample);
        bench.limit > 20
    });
    assert!(climbed.is_some_and(|tick| tick < 50), "within a second: {climbed:?}, {}", bench.limit);
}
