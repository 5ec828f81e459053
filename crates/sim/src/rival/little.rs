use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::connections::Connections;
use super::line::Line;
use super::whole;
use crate::pool::{Ask, Caller, Gauge, Lease, Order, Orders, Pool};

/// `little-loadshedder` (`src/lib.rs` of `Skepfyr/little-loadshedder`): by Little's law the queue may be as long as keeps the
/// latency at its target, `concurrency * (target / latency - 1)`, and concurrency moves by one, up while more of it brought
/// more throughput and the latency stays below the target, down otherwise.
#[derive(Debug)]
pub struct Little {
    target: f64,
    weight: f64,
    connections: Connections,
    /// Let in, and waiting for one of the connections behind the limiter.
    inner: VecDeque<Caller>,
    /// Who has which connection, and when it was let in.
    holders: Vec<Option<(Caller, Duration)>>,
    begun: HashMap<Caller, Duration>,
    line: Line,
    /// Permits of the limiter that nobody has.
    permits: u32,
    concurrency: u32,
    queue_capacity: u32,
    /// Permits to queue that nobody has.
    queue_permits: u32,
    latency: f64,
    latency_at_capacity: f64,
    changed: Duration,
    before: (f64, u32),
}

impl Little {
    /// Both are for the user to choose; `weight` is that of a new latency in the mean, in `(0, 1)`.
    #[must_use]
    pub fn new(target: Duration, weight: f64, connections: u32) -> Self {
        let target = target.as_secs_f64();
        Self {
            target,
            weight,
            connections: Connections::new(connections),
            inner: VecDeque::new(),
            holders: vec![None; connections as usize],
            begun: HashMap::new(),
            line: Line::default(),
            permits: 1,
            concurrency: 1,
            queue_capacity: 1,
            queue_permits: 1,
            latency: target,
            latency_at_capacity: target,
            changed: Duration::ZERO,
            before: (0.0, 0),
        }
    }

    /// Brings the queue to its wanted length; false when it cannot shrink so far now, which refuses the request.
    fn fit_queue(&mut self) -> bool {
        let wanted = f64::from(self.concurrency) * (self.target / self.latency_at_capacity - 1.0);
        let wanted = whole(wanted.floor()).max(1);
        if wanted < self.queue_capacity {
            let Some(left) = self.queue_permits.checked_sub(self.queue_capacity - wanted) else { return false };
            self.queue_permits = left;
        } else {
            self.queue_permits += wanted - self.queue_capacity;
        }
        self.queue_capacity = wanted;
        true
    }

    /// Lets those in for whom there is a permit, in order of arrival.
    fn admit(&mut self, now: Duration, orders: &mut Orders) {
        while self.permits > 0
            && let Some(caller) = self.line.pop_oldest()
        {
            self.permits -= 1;
            self.queue_permits += 1;
            self.begin(now, caller, orders);
        }
    }

    fn begin(&mut self, now: Duration, caller: Caller, orders: &mut Orders) {
        self.begun.insert(caller, now);
        match self.connections.take() {
            Some(lease) => self.serve(caller, lease, orders),
            None => self.inner.push_back(caller),
        }
    }

    fn serve(&mut self, caller: Caller, lease: Lease, orders: &mut Orders) {
        let begun = self.begun.remove(&caller).unwrap_or_default();
        self.holders[lease.place as usize] = Some((caller, begun));
        orders.push_back(Order::Serve { caller, lease });
    }

    /// A request has ended; its permit comes back, unless it is the one by which concurrency shrinks.
    fn stop(&mut self, now: Duration, elapsed: f64) {
        self.latency += (elapsed - self.latency) * self.weight;
        let at_most = self.permits <= (self.concurrency / 10).max(1);
        let settled = (now - self.changed).as_secs_f64() > self.latency / self.weight / 10.0;
        let mut keep = true;
        if settled && at_most {
            let current = self.concurrency - self.permits;
            let throughput = f64::from(current) / self.latency;
            let falls = (throughput > self.before.0) ^ (current > self.before.1);
            if !falls && self.latency <= self.target {
                self.permits += 1;
                self.resize(1);
            } else if self.concurrency >= 2 {
                keep = false;
                self.resize(-1);
            }
            self.before = (throughput, current);
            self.changed = now;
        }
        if at_most {
            self.latency_at_capacity += (elapsed - self.latency_at_capacity) * self.weight;
        }
        self.permits += u32::from(keep);
    }

    /// Latency is assumed to move with concurrency.
    fn resize(&mut self, by: i32) {
        let before = f64::from(self.concurrency);
        self.concurrency = self.concurrency.saturating_add_signed(by);
        let factor = f64::from(self.concurrency) / before;
        self.latency *= factor;
        self.latency_at_capacity *= factor;
    }
}

impl Pool for Little {
    fn ask(&mut self, now: Duration, Ask { caller, .. }: Ask, orders: &mut Orders) {
        if !self.fit_queue() || self.queue_permits == 0 {
            orders.push_back(Order::Refuse { caller, told: None });
            return;
        }
        self.queue_permits -= 1;
        self.line.push(caller, Duration::MAX);
        self.admit(now, orders);
    }

    fn leave(&mut self, _now: Duration, caller: Caller, _orders: &mut Orders) {
        if self.line.remove(caller) {
            self.queue_permits += 1;
        } else if let Some(at) = self.inner.iter().position(|other| *other == caller) {
            self.inner.remove(at);
            self.begun.remove(&caller);
            self.permits += 1;
        }
    }

    fn give_back(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        if let Some((_, begun)) = self.holders[lease.place as usize].take() {
            self.stop(now, (now - begun).as_secs_f64());
        }
        match self.inner.pop_front() {
            Some(caller) => {
                let lease = self.connections.pass_on(lease);
                self.serve(caller, lease, orders);
            }
            None => self.connections.put(lease),
        }
        self.admit(now, orders);
    }

    fn next_timer(&self) -> Option<Duration> {
        None
    }

    fn timer(&mut self, _now: Duration, _orders: &mut Orders) {}

    fn gauge(&self, _now: Duration) -> Gauge {
        let waiting = self.line.len() + u32::try_from(self.inner.len()).unwrap_or(u32::MAX);
        Gauge { limit: self.concurrency, open: self.connections.size(), waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rival::limited::tests::{Hand, ms};

    fn little() -> Hand<Little> {
        Hand::new(Little::new(ms(100), 0.25, 10))
    }

    /// Asks and gives back at once, one after another.
    fn serve(hand: &mut Hand<Little>, times: u32, takes_ms: u64) {
        for index in 0..times {
            let at = 1_000 * u64::from(index + 1);
            let lease = hand.ask(at, index).served();
            hand.give_back(at + takes_ms, lease);
        }
    }

    #[test]
    fn it_begins_with_one_at_a_time_and_one_in_the_queue() {
        let mut hand = little();
        hand.ask(0, 1).served();
        hand.ask(0, 2).waits();
        assert_eq!(hand.ask(0, 3).refused_whom(), [3]);
    }

    #[test]
    fn concurrency_grows_while_latency_is_below_its_target_and_throughput_rises() {
        let mut hand = little();
        serve(&mut hand, 1, 10);
        assert_eq!(hand.pool.concurrency, 2);
    }

    #[test]
    fn concurrency_shrinks_while_latency_is_above_its_target() {
        let mut hand = little();
        hand.pool.concurrency = 2;
        hand.pool.permits = 2;
        serve(&mut hand, 1, 500);
        assert_eq!(hand.pool.concurrency, 1);
        assert_eq!(hand.pool.permits, 1);
    }

    #[test]
    fn the_queue_is_as_long_as_keeps_the_latency_at_its_target() {
        let mut hand = little();
        hand.pool.concurrency = 4;
        hand.pool.permits = 0;
        hand.pool.latency_at_capacity = 0.020;
        (1..=16).for_each(|index| hand.ask(0, index).waits());
        assert_eq!(hand.ask(0, 17).refused_whom(), [17], "4 * (100 / 20 - 1) may wait");
    }
}
