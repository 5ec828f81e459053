//! Several pools on one database: as the instances of a service have them, or one for each kind of request.

use std::collections::VecDeque;
use std::time::Duration;

use forebay_pool_core::OpenFailure;

use crate::pool::{Ask, Caller, Gauge, Lease, Order, Orders, Pool};

/// Pools behind a load balancer that knows nothing of them: each attempt goes to one of those that have started, drawn by
/// their weights. Or, [sorted](Self::sorted), to the one whose kind it is.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
    sorted: bool,
    /// So many of them, in order.
    started: u32,
    /// Who looked at the locks and has no answer yet.
    looking: VecDeque<u32>,
    orders: Orders,
}

#[derive(Debug)]
struct Member {
    pool: Box<dyn Pool>,
    starts: Duration,
    weight: f64,
}

impl Fleet {
    /// Of nobody.
    #[must_use]
    pub fn new() -> Self {
        Self { members: Vec::new(), sorted: false, started: 0, looking: VecDeque::new(), orders: Orders::new() }
    }

    /// With one more, which starts then and gets this share of the requests among those that have started, in any unit.
    ///
    /// # Panics
    /// When it starts before one that was added before.
    #[must_use]
    pub fn with(mut self, pool: Box<dyn Pool>, starts: Duration, weight: f64) -> Self {
        assert!(self.members.last().is_none_or(|last| last.starts <= starts), "in the order in which they start");
        self.members.push(Member { pool, starts, weight });
        self
    }

    /// Requests go by their kinds: those of the scenario's first to the first member, and so on, and the rest to the last.
    #[must_use]
    pub fn sorted(self) -> Self {
        Self { sorted: true, ..self }
    }

    /// To whom an attempt goes: always the same, however often it is asked.
    fn route(&self, caller: Caller) -> u32 {
        let last = self.started.saturating_sub(1);
        if self.sorted {
            return caller.kind.min(last);
        }
        let started = self.started();
        let mut left = scattered(caller) * started.iter().map(|member| member.weight).sum::<f64>();
        let chosen = (0..).zip(started).find(|(_, member)| {
            left -= member.weight;
            left < 0.0
        });
        chosen.map_or(last, |(index, _)| index)
    }

    fn started(&self) -> &[Member] {
        &self.members[..self.started as usize]
    }

    /// Lets a member act, and hands its orders on as those of the fleet.
    fn act(&mut self, member: u32, orders: &mut Orders, act: impl FnOnce(&mut dyn Pool, &mut Orders)) {
        act(&mut *self.members[member as usize].pool, &mut self.orders);
        let names = self.names();
        let place = |place| names.outside(member, place);
        let lease = |lease| names.lease_outside(member, lease);
        while let Some(order) = self.orders.pop_front() {
            orders.push_back(match order {
                Order::Serve { caller, lease: of } => Order::Serve { caller, lease: lease(of) },
                Order::Refuse { caller, told } => Order::Refuse { caller, told },
                Order::Open { place: at, limit } => Order::Open { place: place(at), limit },
                Order::Ping { place: at, limit } => Order::Ping { place: place(at), limit },
                Order::Clean { place: at } => Order::Clean { place: place(at) },
                Order::Close { place: at } => Order::Close { place: place(at) },
                Order::TakenBack { lease: of } => Order::TakenBack { lease: lease(of) },
                Order::LookAtLocks => {
                    self.looking.push_back(member);
                    Order::LookAtLocks
                }
            });
        }
    }

    fn names(&self) -> Names {
        Names { members: u32::try_from(self.members.len()).expect("a few members") }
    }
}

/// What members call their places and leases, and what the fleet calls them: no two the same.
#[derive(Clone, Copy)]
struct Names {
    members: u32,
}

impl Names {
    fn outside(self, member: u32, place: u32) -> u32 {
        place * self.members + member
    }

    /// Whose place it is, and the member's name for it.
    fn inside(self, place: u32) -> (u32, u32) {
        (place % self.members, place / self.members)
    }

    fn lease_outside(self, member: u32, Lease { place, serial }: Lease) -> Lease {
        let serial = serial * u64::from(self.members) + u64::from(member);
        Lease { place: self.outside(member, place), serial }
    }

    fn lease_inside(self, Lease { place, serial }: Lease) -> (u32, Lease) {
        let (member, place) = self.inside(place);
        (member, Lease { place, serial: serial / u64::from(self.members) })
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

/// A number in `[0, 1)` that looks drawn, by Steele and others' `splitmix64` ("Fast splittable pseudorandom number generators",
/// 2014).
fn scattered(caller: Caller) -> f64 {
    let mut bits = (u64::from(caller.index) << 32 | u64::from(caller.attempt)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let upper = u32::try_from((bits ^ (bits >> 31)) >> 32).expect("the upper half");
    f64::from(upper) / (f64::from(u32::MAX) + 1.0)
}

impl Pool for Fleet {
    fn start(&mut self, now: Duration, orders: &mut Orders) {
        while self.members.get(self.started as usize).is_some_and(|member| member.starts <= now) {
            let member = self.started;
            self.started += 1;
            self.act(member, orders, |pool, orders| pool.start(now, orders));
        }
    }

    fn ask(&mut self, now: Duration, ask: Ask, orders: &mut Orders) {
        self.act(self.route(ask.caller), orders, |pool, orders| pool.ask(now, ask, orders));
    }

    fn leave(&mut self, now: Duration, caller: Caller, orders: &mut Orders) {
        // More may have started since; where it is unknown, nothing happens.
        for member in 0..self.started {
            self.act(member, orders, |pool, orders| pool.leave(now, caller, orders));
        }
    }

    fn runs(&mut self, now: Duration, lease: Lease, running: bool) {
        let (member, lease) = self.names().lease_inside(lease);
        self.members[member as usize].pool.runs(now, lease, running);
    }

    fn give_back(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        let (member, lease) = self.names().lease_inside(lease);
        self.act(member, orders, |pool, orders| pool.give_back(now, lease, orders));
    }

    fn cut_off(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        let (member, lease) = self.names().lease_inside(lease);
        self.act(member, orders, |pool, orders| pool.cut_off(now, lease, orders));
    }

    fn next_timer(&self) -> Option<Duration> {
        let starts = self.members.get(self.started as usize).map(|member| member.starts);
        self.started().iter().filter_map(|member| member.pool.next_timer()).chain(starts).min()
    }

    fn timer(&mut self, now: Duration, orders: &mut Orders) {
        for member in 0..self.started {
            if self.members[member as usize].pool.next_timer().is_some_and(|at| at <= now) {
                self.act(member, orders, |pool, orders| pool.timer(now, orders));
            }
        }
        self.start(now, orders);
    }

    fn opened(&mut self, now: Duration, place: u32, outcome: Result<(), OpenFailure>, orders: &mut Orders) {
        let (member, place) = self.names().inside(place);
        self.act(member, orders, |pool, orders| pool.opened(now, place, outcome, orders));
    }

    fn pinged(&mut self, now: Duration, place: u32, well: bool, orders: &mut Orders) {
        let (member, place) = self.names().inside(place);
        self.act(member, orders, |pool, orders| pool.pinged(now, place, well, orders));
    }

    fn cleaned(&mut self, now: Duration, place: u32, well: bool, orders: &mut Orders) {
        let (member, place) = self.names().inside(place);
        self.act(member, orders, |pool, orders| pool.cleaned(now, place, well, orders));
    }

    fn closed(&mut self, now: Duration, place: u32, orders: &mut Orders) {
        let (member, place) = self.names().inside(place);
        self.act(member, orders, |pool, orders| pool.closed(now, place, orders));
    }

    fn saw_locks(&mut self, now: Duration, share: f64) {
        if let Some(member) = self.looking.pop_front() {
            self.members[member as usize].pool.saw_locks(now, share);
        }
    }

    /// The sum over those that have started.
    fn gauge(&self, now: Duration) -> Gauge {
        self.started().iter().map(|member| member.pool.gauge(now)).fold(Gauge::default(), |sum, one| Gauge {
            limit: sum.limit + one.limit,
            open: sum.open + one.open,
            waiting: sum.waiting + one.waiting,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rival::Fixed;

    fn fleet(weights: &[f64]) -> Fleet {
        let mut fleet = Fleet::new();
        for weight in weights {
            fleet = fleet.with(Box::new(Fixed::unbounded(10)), Duration::ZERO, *weight);
        }
        fleet.start(Duration::ZERO, &mut Orders::new());
        fleet
    }

    #[test]
    fn attempts_are_spread_by_weight() {
        let fleet = fleet(&[7.0, 1.0, 2.0]);
        let mut counts = [0_u32; 3];
        for index in 0..10_000 {
            counts[fleet.route(Caller { index, attempt: index % 3, kind: 0 }) as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([7_000_u32, 1_000, 2_000]) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }

    #[test]
    fn what_goes_out_comes_back_to_the_same_member() {
        let fleet = fleet(&[1.0; 3]).names();
        for member in 0..3 {
            for place in 0..5 {
                assert_eq!(fleet.inside(fleet.outside(member, place)), (member, place));
                let lease = Lease { place, serial: 17 };
                assert_eq!(fleet.lease_inside(fleet.lease_outside(member, lease)), (member, lease));
            }
        }
    }

    #[test]
    fn who_has_not_started_gets_nothing() {
        let late = Duration::from_secs(5);
        let fixed = || Box::new(Fixed::unbounded(10));
        let mut fleet = Fleet::new().with(fixed(), Duration::ZERO, 1.0).with(fixed(), late, 1_000.0);
        let mut orders = Orders::new();
        fleet.start(Duration::ZERO, &mut orders);
        let members = |fleet: &Fleet| -> Vec<u32> {
            (0..100).map(|index| fleet.route(Caller { index, attempt: 0, kind: 0 })).collect()
        };
        assert!(members(&fleet).iter().all(|member| *member == 0));
        assert_eq!(fleet.next_timer(), Some(late));
        fleet.timer(late, &mut orders);
        assert!(members(&fleet).contains(&1));
        assert_eq!(fleet.next_timer(), None);
    }
}
