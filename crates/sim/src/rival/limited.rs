use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use super::connections::Connections;
use super::line::Line;
use crate::pool::{Ask, Caller, Gauge, Lease, Order, Orders, Pool};

/// What a limit learns from one request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When the request was let in.
    pub begun: Duration,
    /// From then until it was answered, waiting for a connection included.
    pub rtt: Duration,
    /// How many were in flight when it was let in, itself included.
    pub in_flight: u32,
    /// Its client had left.
    pub dropped: bool,
}

/// Decides how many requests may be in flight at once, by what it sees of their latency.
pub trait Limit: Debug {
    /// The limit now.
    fn limit(&self) -> u32;

    /// A request has ended.
    fn on_sample(&mut self, now: Duration, sample: Sample);

    /// When [`Limit::timer`] is due.
    fn next_timer(&self) -> Option<Duration> {
        None
    }

    /// The moment that [`Limit::next_timer`] named has come.
    fn timer(&mut self, _now: Duration) {}
}

/// A concurrency limiter in front of a pool of fixed size: what is above the limit is refused at once, what is below it
/// and finds no connection waits in order of arrival. That wait is part of the latency that the limit sees.
#[derive(Debug)]
pub struct Limited<L> {
    limit: L,
    connections: Connections,
    line: Line,
    in_flight: u32,
    /// When each was let in, and how many were in flight then.
    let_in: HashMap<Caller, (Duration, u32)>,
    /// Who has which connection.
    holders: Vec<Option<Caller>>,
}

impl<L: Limit> Limited<L> {
    /// This limit before so many connections.
    #[must_use]
    pub fn new(limit: L, connections: u32) -> Self {
        Self {
            limit,
            connections: Connections::new(connections),
            line: Line::default(),
            in_flight: 0,
            let_in: HashMap::new(),
            holders: vec![None; connections as usize],
        }
    }

    fn serve(&mut self, caller: Caller, lease: Lease, orders: &mut Orders) {
        self.holders[lease.place as usize] = Some(caller);
        orders.push_back(Order::Serve { caller, lease });
    }

    fn pass_on(&mut self, now: Duration, lease: Lease, dropped: bool, orders: &mut Orders) {
        if let Some(caller) = self.holders[lease.place as usize].take() {
            self.end(now, caller, dropped);
        }
        match self.line.pop_oldest() {
            Some(caller) => {
                let lease = self.connections.pass_on(lease);
                self.serve(caller, lease, orders);
            }
            None => self.connections.put(lease),
        }
    }

    fn end(&mut self, now: Duration, caller: Caller, dropped: bool) {
        let Some((begun, in_flight)) = self.let_in.remove(&caller) else { return };
        self.in_flight -= 1;
        self.limit.on_sample(now, Sample { begun, rtt: now - begun, in_flight, dropped });
    }
}

impl<L: Limit> Pool for Limited<L> {
    fn ask(&mut self, now: Duration, Ask { caller, .. }: Ask, orders: &mut Orders) {
        if self.in_flight >= self.limit.limit() {
            orders.push_back(Order::Refuse { caller, told: None });
            return;
        }
        self.in_flight += 1;
        self.let_in.insert(caller, (now, self.in_flight));
        match self.connections.take() {
            Some(lease) => self.serve(caller, lease, orders),
            None => self.line.push(caller, Duration::MAX),
        }
    }

    fn leave(&mut self, now: Duration, caller: Caller, _orders: &mut Orders) {
        if self.line.remove(caller) {
            self.end(now, caller, true);
        }
    }

    fn give_back(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        self.pass_on(now, lease, false, orders);
    }

    fn cut_off(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        self.pass_on(now, lease, true, orders);
    }

    fn next_timer(&self) -> Option<Duration> {
        self.limit.next_timer()
    }

    fn timer(&mut self, now: Duration, _orders: &mut Orders) {
        self.limit.timer(now);
    }

    fn gauge(&self, _now: Duration) -> Gauge {
        Gauge { limit: self.limit.limit(), open: self.connections.size(), waiting: self.line.len() }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use forebay_pool_core::Class;

    pub(in crate::rival) const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Plays the world by hand. Times are milliseconds; callers are known by their index.
    pub(in crate::rival) struct Hand<P> {
        pub(in crate::rival) pool: P,
    }

    /// What a pool ordered in one call.
    #[derive(Debug)]
    pub(in crate::rival) struct Ordered(Vec<Order>);

    impl Ordered {
        pub(in crate::rival) fn served(&self) -> Lease {
            self.0
                .iter()
                .find_map(|order| if let Order::Serve { lease, .. } = order { Some(*lease) } else { None })
                .unwrap()
        }

        pub(in crate::rival) fn served_whom(&self) -> u32 {
            self.0
                .iter()
                .find_map(|order| if let Order::Serve { caller, .. } = order { Some(caller.index) } else { None })
                .unwrap()
        }

        pub(in crate::rival) fn refused_whom(&self) -> Vec<u32> {
            self.0
                .iter()
                .filter_map(|order| if let Order::Refuse { caller, .. } = order { Some(caller.index) } else { None })
                .collect()
        }

        pub(in crate::rival) fn waits(&self) {
            assert!(self.0.is_empty(), "{self:?}");
        }
    }

    impl<P: Pool> Hand<P> {
        pub(in crate::rival) fn new(pool: P) -> Self {
            Self { pool }
        }

        fn call(&mut self, call: impl FnOnce(&mut P, &mut Orders)) -> Ordered {
            let mut orders = Orders::new();
            call(&mut self.pool, &mut orders);
            Ordered(orders.into())
        }

        pub(in crate::rival) fn ask(&mut self, at: u64, index: u32) -> Ordered {
            let caller = Caller { index, attempt: 1, kind: 0 };
            let ask = Ask { caller, class: Class::Normal, deadline: Duration::MAX };
            self.call(|pool, orders| pool.ask(ms(at), ask, orders))
        }

        pub(in crate::rival) fn leave(&mut self, at: u64, index: u32) -> Ordered {
            self.call(|pool, orders| pool.leave(ms(at), Caller { index, attempt: 1, kind: 0 }, orders))
        }

        pub(in crate::rival) fn give_back(&mut self, at: u64, lease: Lease) -> Ordered {
            self.call(|pool, orders| pool.give_back(ms(at), lease, orders))
        }

        fn cut_off(&mut self, at: u64, lease: Lease) -> Ordered {
            self.call(|pool, orders| pool.cut_off(ms(at), lease, orders))
        }

        pub(in crate::rival) fn timer(&mut self, at: u64) -> Ordered {
            self.call(|pool, orders| pool.timer(ms(at), orders))
        }

        pub(in crate::rival) fn next_timer(&self) -> Option<Duration> {
            self.pool.next_timer()
        }
    }

    /// A limit that notes what it sees.
    #[derive(Debug)]
    struct Noting(Vec<Sample>);

    impl Limit for Noting {
        fn limit(&self) -> u32 {
            2
        }

        fn on_sample(&mut self, _now: Duration, sample: Sample) {
            self.0.push(sample);
        }
    }

    #[test]
    fn what_is_above_the_limit_is_refused_and_the_wait_for_a_connection_counts_as_latency() {
        let mut hand = Hand::new(Limited::new(Noting(Vec::new()), 1));
        let first = hand.ask(0, 1).served();
        hand.ask(5, 2).waits();
        assert_eq!(hand.ask(6, 3).refused_whom(), [3]);
        let second = hand.give_back(10, first);
        hand.give_back(30, second.served());
        let seen: Vec<_> = hand.pool.limit.0.iter().map(|sample| (sample.rtt, sample.in_flight)).collect();
        assert_eq!(seen, [(ms(10), 1), (ms(25), 2)]);
        hand.ask(31, 4).served();
    }

    #[test]
    fn whoever_is_cut_off_is_a_drop_and_the_next_has_the_connection() {
        let mut hand = Hand::new(Limited::new(Noting(Vec::new()), 1));
        let first = hand.ask(0, 1).served();
        hand.ask(5, 2).waits();
        assert_eq!(hand.cut_off(40, first).served_whom(), 2);
        assert!(hand.pool.limit.0[0].dropped);
    }

    #[test]
    fn whoever_leaves_while_waiting_is_a_drop() {
        let mut hand = Hand::new(Limited::new(Noting(Vec::new()), 1));
        hand.ask(0, 1).served();
        hand.ask(0, 2).waits();
        hand.leave(40, 2);
        assert!(hand.pool.limit.0[0].dropped);
        hand.ask(41, 3).waits();
    }
}
