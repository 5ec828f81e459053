use std::time::Duration;

use super::connections::Connections;
use super::line::Line;
use crate::pool::{Ask, Caller, Gauge, Lease, Order, Orders, Pool};

/// A pool of fixed size with a queue in order of arrival.
///
/// Without a bound on the queue it is what sqlx's `Pool` is to its callers: a fair semaphore of `max_connections` permits,
/// and [`Fixed::acquire_timeout`] after which `acquire` fails (`sqlx-core/src/pool/inner.rs` and `options.rs`, whose
/// defaults are 10 connections and 30 s). Left out is what makes the original worse: pings before and after each use, and
/// connections opened on demand under the same time-out. With a bound it is a concurrency limit that sheds, as tower's
/// `ConcurrencyLimit` under `LoadShed`.
#[derive(Debug)]
pub struct Fixed {
    connections: Connections,
    line: Line,
    queue: u32,
    acquire_timeout: Duration,
    told: Option<Duration>,
}

impl Fixed {
    /// So many connections, a queue of any length, 30 s.
    #[must_use]
    pub fn unbounded(size: u32) -> Self {
        Self {
            connections: Connections::new(size),
            line: Line::default(),
            queue: u32::MAX,
            acquire_timeout: Duration::from_secs(30),
            told: None,
        }
    }

    /// So many connections; who comes when so many wait is refused.
    #[must_use]
    pub fn shedding(size: u32, queue: u32) -> Self {
        Self { queue, ..Self::unbounded(size) }
    }

    /// Whoever has waited for so long is refused.
    #[must_use]
    pub fn acquire_timeout(self, acquire_timeout: Duration) -> Self {
        Self { acquire_timeout, ..self }
    }

    /// Every refusal carries this `Retry-After`.
    #[must_use]
    pub fn telling(self, told: Duration) -> Self {
        Self { told: Some(told), ..self }
    }
}

impl Pool for Fixed {
    fn ask(&mut self, now: Duration, Ask { caller, .. }: Ask, orders: &mut Orders) {
        if let Some(lease) = self.connections.take() {
            orders.push_back(Order::Serve { caller, lease });
        } else if self.line.len() < self.queue {
            self.line.push(caller, now + self.acquire_timeout);
        } else {
            orders.push_back(Order::Refuse { caller, told: self.told });
        }
    }

    fn leave(&mut self, _now: Duration, caller: Caller, _orders: &mut Orders) {
        self.line.remove(caller);
    }

    fn give_back(&mut self, _now: Duration, lease: Lease, orders: &mut Orders) {
        match self.line.pop_oldest() {
            Some(caller) => orders.push_back(Order::Serve { caller, lease: self.connections.pass_on(lease) }),
            None => self.connections.put(lease),
        }
    }

    fn next_timer(&self) -> Option<Duration> {
        self.line.next_end()
    }

    fn timer(&mut self, now: Duration, orders: &mut Orders) {
        while let Some(caller) = self.line.pop_ended(now) {
            orders.push_back(Order::Refuse { caller, told: self.told });
        }
    }

    fn gauge(&self, _now: Duration) -> Gauge {
        let size = self.connections.size();
        Gauge { limit: size, open: size, waiting: self.line.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rival::limited::tests::{Hand, ms};

    #[test]
    fn callers_are_served_in_order_of_arrival_and_time_out_after_their_wait() {
        let mut hand = Hand::new(Fixed::unbounded(1).acquire_timeout(ms(100)));
        let first = hand.ask(0, 1).served();
        hand.ask(10, 2).waits();
        hand.ask(20, 3).waits();
        assert_eq!(hand.next_timer(), Some(ms(110)));
        assert_eq!(hand.give_back(50, first).served_whom(), 2);
        assert_eq!(hand.timer(120).refused_whom(), [3]);
    }

    #[test]
    fn a_bounded_queue_refuses_whoever_comes_last() {
        let mut hand = Hand::new(Fixed::shedding(1, 1));
        hand.ask(0, 1).served();
        hand.ask(0, 2).waits();
        assert_eq!(hand.ask(0, 3).refused_whom(), [3]);
    }

    #[test]
    fn whoever_leaves_the_queue_is_passed_over() {
        let mut hand = Hand::new(Fixed::unbounded(1));
        let first = hand.ask(0, 1).served();
        hand.ask(0, 2).waits();
        hand.ask(0, 3).waits();
        hand.leave(5, 2);
        assert_eq!(hand.give_back(9, first).served_whom(), 3);
    }
}
