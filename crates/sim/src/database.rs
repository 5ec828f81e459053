//! A database: every statement that runs gets the same share of it, and the more run, the less there is to share.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::chance::Length;

/// How much statements hinder each other, by the Universal Scalability Law (Gunther, "Guerrilla Capacity Planning", 2007):
/// with `n` of them each runs at `1 / (1 + a (n - 1) + b n (n - 1))` of the speed it has alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contention {
    /// `a`: what they wait for each other's share of something serial.
    pub queueing: f64,
    /// `b`: what they spend on agreeing with each other; above zero there is a best number of statements at once.
    pub crosstalk: f64,
}

impl Contention {
    /// The speed of each of `n` statements.
    #[must_use]
    pub fn speed(self, n: f64) -> f64 {
        let others = (n - 1.0).max(0.0);
        1.0 / (1.0 + self.queueing * others + self.crosstalk * n * others)
    }

    /// How many statements at once are best for throughput: `sqrt((1 - a) / b)`.
    ///
    /// ```
    /// use forebay_sim::database::Contention;
    /// assert!((Contention { queueing: 0.02, crosstalk: 0.0008 }.best() - 35.0).abs() < 0.01);
    /// ```
    #[must_use]
    pub fn best(self) -> f64 {
        ((1.0 - self.queueing) / self.crosstalk).sqrt()
    }
}

/// What a database is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// How statements hinder each other.
    pub contention: Contention,
    /// How much a session that waits for the hot row's lock hinders those that run, as a share of one that runs.
    pub row_waiter: f64,
    /// The round trips of opening a connection, during which the server does not work for it.
    pub handshake: Length,
    /// What opening a connection costs the server, in time of a server that does nothing else.
    pub fork: Duration,
    /// How many sessions may exist.
    pub max_sessions: u32,
    /// The time of a round trip that costs the server nothing: a ping, a rollback, a goodbye.
    pub round_trip: Duration,
}

impl Default for Machine {
    /// Best with 35 statements at once, for 1,330 of 10 ms each second; opening a connection takes 8 ms on an idle server.
    fn default() -> Self {
        Self {
            contention: Contention { queueing: 0.02, crosstalk: 0.0008 },
            row_waiter: 0.25,
            handshake: Length::varying(Duration::from_millis(3), 0.5),
            fork: Duration::from_millis(5),
            max_sessions: 1_000,
            round_trip: Duration::from_millis(1),
        }
    }
}

/// What a session works at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// A statement of the work with this index.
    Statement(u32),
    /// The opening with this ticket.
    Opening(u64),
}

#[derive(Clone, Copy, Debug)]
struct Running {
    /// How much work the server must have done for each session when this one is ready.
    ready_at: f64,
    /// Who came first is ready first, all else equal: nothing depends on how a heap is built.
    order: u64,
    job: Job,
}

impl PartialEq for Running {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Running {}

impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Running {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.ready_at.total_cmp(&other.ready_at).then(self.order.cmp(&other.order))
    }
}

/// Processor sharing, as an event queue: since all jobs run at the same speed, they become ready in the order of the work
/// that each was left with, and one number, the work done for everybody, orders them for good.
#[derive(Debug)]
pub struct Database {
    contention: Contention,
    row_waiter: f64,
    /// 1 is as built, 0 stands still.
    capacity: f64,
    /// Seconds of work done for each session that was there all along.
    done: f64,
    updated: Duration,
    order: u64,
    running: BinaryHeap<Reverse<Running>>,
    next: Option<Duration>,
    /// Whether somebody has the hot row's lock, and who waits for it.
    row_held: bool,
    row_waiting: VecDeque<u32>,
}

impl Database {
    /// A server that has nothing to do.
    #[must_use]
    pub const fn new(machine: &Machine) -> Self {
        Self {
            contention: machine.contention,
            row_waiter: machine.row_waiter,
            capacity: 1.0,
            done: 0.0,
            updated: Duration::ZERO,
            order: 0,
            running: BinaryHeap::new(),
            next: None,
            row_held: false,
            row_waiting: VecDeque::new(),
        }
    }

    /// How many sessions work.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// A session begins to work; alone it would take `work`.
    pub fn begin(&mut self, now: Duration, job: Job, work: Duration) {
        self.advance(now);
        self.order += 1;
        let ready_at = self.done + work.as_secs_f64();
        self.running.push(Reverse(Running { ready_at, order: self.order, job }));
        self.foresee();
    }

    /// The statement of this work ends before it is ready, or waits for the hot row no longer.
    pub fn cancel(&mut self, now: Duration, work: u32) {
        self.advance(now);
        self.running.retain(|Reverse(running)| running.job != Job::Statement(work));
        self.row_waiting.retain(|waiting| *waiting != work);
        self.foresee();
    }

    /// When the next job is ready, if nothing changes until then.
    #[must_use]
    pub const fn next_ready(&self) -> Option<Duration> {
        self.next
    }

    /// A job that is ready by now.
    pub fn ready(&mut self, now: Duration) -> Option<Job> {
        if self.next.is_none_or(|at| at > now) {
            return None;
        }
        self.advance(now);
        let Reverse(first) = self.running.pop()?;
        self.done = self.done.max(first.ready_at);
        self.foresee();
        Some(first.job)
    }

    /// The server becomes so many times as fast as it was built; zero stands still.
    pub fn set_capacity(&mut self, now: Duration, capacity: f64) {
        self.advance(now);
        self.capacity = capacity;
        self.foresee();
    }

    /// Whether it stands still.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.capacity <= 0.0
    }

    /// Statements hinder each other in another way from now on.
    pub fn set_contention(&mut self, now: Duration, contention: Contention) {
        self.advance(now);
        self.contention = contention;
        self.foresee();
    }

    /// Takes the hot row's lock, or waits in line for it; says whether it was taken.
    pub fn lock_row(&mut self, now: Duration, work: u32) -> bool {
        if !self.row_held {
            self.row_held = true;
            return true;
        }
        self.advance(now);
        self.row_waiting.push_back(work);
        self.foresee();
        false
    }

    /// Gives the hot row's lock to the next in line, and says who that is.
    pub fn unlock_row(&mut self, now: Duration) -> Option<u32> {
        self.advance(now);
        let next = self.row_waiting.pop_front();
        self.row_held = next.is_some();
        self.foresee();
        next
    }

    /// Of the sessions that run a statement, the share that waits for the hot row.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sessions are counted in thousands at most")]
    pub fn lock_waits(&self) -> f64 {
        let waiting = self.row_waiting.len() as f64;
        waiting / (waiting + self.running.len() as f64).max(1.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "sessions are counted in thousands at most")]
    fn speed(&self) -> f64 {
        let burden = self.running.len() as f64 + self.row_waiter * self.row_waiting.len() as f64;
        self.capacity * self.contention.speed(burden)
    }

    fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.updated).as_secs_f64();
        if !self.running.is_empty() {
            self.done += passed * self.speed();
        }
        self.updated = now;
    }

    fn foresee(&mut self) {
        let speed = self.speed();
        let first = self.running.peek().filter(|_| speed > 0.0);
        self.next = first.map(|Reverse(first)| {
            let left = (first.ready_at - self.done).max(0.0) / speed;
            self.updated + Duration::from_secs_f64(left)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn alone() -> Database {
        Database::new(&Machine { contention: Contention { queueing: 0.0, crosstalk: 0.0 }, ..Machine::default() })
    }

    fn close(found: Duration, expected: Duration) -> bool {
        found.abs_diff(expected) < Duration::from_micros(1)
    }

    #[test]
    fn statements_that_do_not_hinder_each_other_take_what_they_take_alone() {
        let mut database = alone();
        database.begin(Duration::ZERO, Job::Statement(1), 20 * MS);
        database.begin(5 * MS, Job::Statement(2), 5 * MS);
        let first = database.next_ready().unwrap();
        assert!(close(first, 10 * MS));
        assert_eq!(database.ready(first), Some(Job::Statement(2)));
        assert!(close(database.next_ready().unwrap(), 20 * MS));
    }

    #[test]
    fn the_shipped_machine_does_1330_statements_a_second_with_35_at_once_and_917_with_100() {
        let contention = Machine::default().contention;
        let throughput = |n: f64| n * contention.speed(n) / 0.010;
        assert!((throughput(35.0) - 1_330.0).abs() < 1.0);
        assert!((throughput(100.0) - 917.0).abs() < 1.0);
        assert!((throughput(8.0) / throughput(35.0) - 0.507).abs() < 0.001);
    }

    #[test]
    fn a_server_that_stands_still_finishes_nothing_and_goes_on_where_it_was() {
        let mut database = alone();
        database.begin(Duration::ZERO, Job::Statement(1), 10 * MS);
        database.set_capacity(4 * MS, 0.0);
        assert_eq!(database.next_ready(), None);
        assert_eq!(database.ready(500 * MS), None);
        database.set_capacity(1_000 * MS, 0.5);
        assert!(close(database.next_ready().unwrap(), 1_012 * MS));
    }

    #[test]
    fn a_statement_that_is_cancelled_leaves_its_share_to_the_others_and_its_place_in_line() {
        let mut database = alone();
        assert!(database.lock_row(Duration::ZERO, 1));
        database.begin(Duration::ZERO, Job::Statement(1), 10 * MS);
        database.begin(Duration::ZERO, Job::Statement(2), 20 * MS);
        assert!(!database.lock_row(Duration::ZERO, 3));
        database.cancel(4 * MS, 1);
        database.cancel(4 * MS, 3);
        assert_eq!(database.running(), 1);
        assert!(close(database.next_ready().unwrap(), 20 * MS));
        assert_eq!(database.unlock_row(4 * MS), None);
    }

    #[test]
    fn the_hot_row_is_held_by_one_and_given_in_order_of_arrival() {
        let mut database = alone();
        assert!(database.lock_row(Duration::ZERO, 1));
        assert!(!database.lock_row(Duration::ZERO, 2));
        assert!(!database.lock_row(Duration::ZERO, 3));
        assert_eq!(database.unlock_row(MS), Some(2));
        assert_eq!(database.unlock_row(MS), Some(3));
        assert_eq!(database.unlock_row(MS), None);
        assert!(database.lock_row(MS, 4));
    }
}
