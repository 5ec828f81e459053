use std::time::Duration;

use super::connections::Connections;
use super::line::Line;
use crate::pool::{Ask, Caller, Gauge, Lease, Order, Orders, Pool};

/// Controlled delay with adaptive LIFO in front of a pool of fixed size: B. Maurer, "Fail at Scale", ACM Queue 13(8), 2015.
///
/// A request that is queued may wait for N as long as the queue was empty within the last N, and for M otherwise; the
/// article uses N = 100 ms and M = 5 ms. While the queue stands the newest is served first ("adaptive LIFO").
#[derive(Debug)]
pub struct Codel {
    connections: Connections,
    line: Line,
    interval: Duration,
    target: Duration,
    last_empty: Duration,
}

impl Codel {
    /// So many connections, with the article's N and M.
    #[must_use]
    pub fn new(size: u32) -> Self {
        Self {
            connections: Connections::new(size),
            line: Line::default(),
            interval: Duration::from_millis(100),
            target: Duration::from_millis(5),
            last_empty: Duration::ZERO,
        }
    }

    fn stands(&self, now: Duration) -> bool {
        !self.line.is_empty() && self.last_empty + self.interval < now
    }

    fn note(&mut self, now: Duration) {
        if self.line.is_empty() {
            self.last_empty = now;
        }
    }
}

impl Pool for Codel {
    fn ask(&mut self, now: Duration, Ask { caller, .. }: Ask, orders: &mut Orders) {
        self.note(now);
        if let Some(lease) = self.connections.take() {
            orders.push_back(Order::Serve { caller, lease });
            return;
        }
        let patience = if self.stands(now) { self.target } else { self.interval };
        self.line.push(caller, now + patience);
    }

    fn leave(&mut self, now: Duration, caller: Caller, _orders: &mut Orders) {
        self.line.remove(caller);
        self.note(now);
    }

    fn give_back(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        let next = if self.stands(now) { self.line.pop_newest() } else { self.line.pop_oldest() };
        match next {
            Some(caller) => orders.push_back(Order::Serve { caller, lease: self.connections.pass_on(lease) }),
            None => self.connections.put(lease),
        }
        self.note(now);
    }

    fn next_timer(&self) -> Option<Duration> {
        self.line.next_end()
    }

    fn timer(&mut self, now: Duration, orders: &mut Orders) {
        while let Some(caller) = self.line.pop_ended(now) {
            orders.push_back(Order::Refuse { caller, told: None });
        }
        self.note(now);
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
    fn a_burst_may_wait_for_n_and_is_served_in_order() {
        let mut hand = Hand::new(Codel::new(1));
        let first = hand.ask(0, 1).served();
        hand.ask(1, 2).waits();
        hand.ask(2, 3).waits();
        assert_eq!(hand.next_timer(), Some(ms(101)));
        assert_eq!(hand.give_back(50, first).served_whom(), 2);
    }

    #[test]
    fn in_a_standing_queue_newcomers_may_wait_for_m_and_the_newest_is_served_first() {
        let mut hand = Hand::new(Codel::new(1));
        let first = hand.ask(0, 1).served();
        hand.ask(1, 2).waits();
        hand.ask(60, 3).waits();
        hand.timer(101);
        hand.ask(120, 4).waits();
        hand.ask(121, 5).waits();
        assert_eq!(hand.next_timer(), Some(ms(125)));
        assert_eq!(hand.give_back(122, first).served_whom(), 5);
        assert_eq!(hand.timer(125).refused_whom(), [4]);
    }

    #[test]
    fn an_empty_moment_ends_the_standing_queue() {
        let mut hand = Hand::new(Codel::new(1));
        hand.ask(0, 1).served();
        hand.ask(1, 2).waits();
        hand.timer(101);
        hand.ask(300, 3).waits();
        assert_eq!(hand.next_timer(), Some(ms(400)));
    }
}
