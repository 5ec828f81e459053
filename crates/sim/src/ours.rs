//! The production ledger behind the calls of a shell, in the order in which the shell makes them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use forebay_pool_core::{
    Acquired, Action, Activity, Ask as LedgerAsk, Class, Health, Ledger, OpenFailure, Opening, Refusal, Return, Rules,
    Sizer, SlotId, Usage, WaiterId,
};

use crate::chance::{Chance, Purpose, stream, uniform};
use crate::pool::{Ask, Caller, Gauge, Lease, Order, Orders, Pool};

/// The ledger, and what a shell keeps beside it.
#[derive(Debug)]
pub struct Ours {
    ledger: Ledger,
    /// The moment zero. The ledger counts in the standard library's moments, of which none can be made out of nothing.
    origin: Instant,
    acquire_timeout: Duration,
    /// How long a request of a class is of use, whatever its client says.
    time_limit: fn(Class) -> Duration,
    waiting: HashMap<WaiterId, Caller>,
    waiters: HashMap<Caller, WaiterId>,
    /// By place.
    seats: Vec<Seat>,
    serial: u64,
    chance: Chance,
}

#[derive(Debug, Default)]
struct Seat {
    slot: Option<SlotId>,
    opening: Option<Opening>,
    lent: Option<Lent>,
}

#[derive(Clone, Copy, Debug)]
struct Lent {
    serial: u64,
    activity: Activity,
}

impl Ours {
    /// The ledger under these rules. A caller waits for a second at most, as the shell's callers do by default.
    #[must_use]
    pub fn new(rules: Rules, sizer: Box<dyn Sizer>, seed: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "only differences to it are ever used")]
        let origin = Instant::now();
        Self {
            ledger: Ledger::new(rules, sizer, origin),
            origin,
            acquire_timeout: Duration::from_secs(1),
            time_limit: |_class| Duration::MAX,
            waiting: HashMap::new(),
            waiters: HashMap::new(),
            seats: Vec::new(),
            serial: 0,
            chance: stream(seed, Purpose::Pool),
        }
    }

    /// Behind a door that gives each class so much time.
    #[must_use]
    pub fn within(self, time_limit: fn(Class) -> Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// The ledger itself, to look at.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What of it was used until now.
    #[must_use]
    pub fn usage(&self, now: Duration) -> Usage {
        self.ledger.snapshot(self.moment(now)).totals.usage
    }

    fn moment(&self, at: Duration) -> Instant {
        self.origin + at
    }

    fn seat(&mut self, place: u32) -> &mut Seat {
        let index = place as usize;
        if self.seats.len() <= index {
            self.seats.resize_with(index + 1, Seat::default);
        }
        &mut self.seats[index]
    }

    fn lend(&mut self, now: Instant, caller: Caller, slot: SlotId, orders: &mut Orders) {
        self.serial += 1;
        let (serial, place) = (self.serial, place_of(slot));
        self.seat(place).lent = Some(Lent { serial, activity: Activity::HeldIdle { since: now } });
        orders.push_back(Order::Serve { caller, lease: Lease { place, serial } });
    }

    fn lent(&mut self, lease: Lease) -> Option<&mut Lent> {
        self.seat(lease.place).lent.as_mut().filter(|lent| lent.serial == lease.serial)
    }

    fn told(&mut self, refusal: &Refusal) -> Option<Duration> {
        match refusal {
            Refusal::Shed { retry_after, .. } | Refusal::Unavailable { retry_after, .. } => {
                Some(spread(*retry_after, uniform(&mut self.chance)))
            }
            _ => None,
        }
    }

    /// Carries out what the ledger decided.
    fn act(&mut self, now: Instant, orders: &mut Orders) {
        while let Some(action) = self.ledger.poll_action() {
            match action {
                Action::Open(opening) => {
                    let (slot, limit) = (opening.slot(), opening.limit());
                    let place = place_of(slot);
                    *self.seat(place) = Seat { slot: Some(slot), opening: Some(opening), lent: None };
                    orders.push_back(Order::Open { place, limit });
                }
                Action::Check { slot, limit, .. } => orders.push_back(Order::Ping { place: place_of(slot), limit }),
                Action::Clean(slot) => orders.push_back(Order::Clean { place: place_of(slot) }),
                Action::Close { slot, .. } => orders.push_back(Order::Close { place: place_of(slot) }),
                Action::Grant { waiter, slot } => {
                    let caller = self.waiting.remove(&waiter).expect("the ledger grants only to those who wait");
                    self.waiters.remove(&caller);
                    self.lend(now, caller, slot, orders);
                }
                Action::Refuse { waiter, refusal } => {
                    let caller = self.waiting.remove(&waiter).expect("the ledger refuses only those who wait");
                    self.waiters.remove(&caller);
                    let told = self.told(&refusal);
                    orders.push_back(Order::Refuse { caller, told });
                }
                Action::Observe(slot) => {
                    if let Some(lent) = self.seat(place_of(slot)).lent {
                        self.ledger.observed(now, slot, lent.activity);
                    }
                }
                Action::Revoke(slot) => self.revoke(now, slot, orders),
                Action::LookAtLocks => orders.push_back(Order::LookAtLocks),
                Action::Tell(_) => {}
            }
        }
    }

    fn revoke(&mut self, now: Instant, slot: SlotId, orders: &mut Orders) {
        let place = place_of(slot);
        let idle = self.seat(place).lent.filter(|lent| lent.activity != Activity::Running);
        if let Some(Lent { serial, .. }) = idle {
            self.seat(place).lent = None;
            orders.push_back(Order::TakenBack { lease: Lease { place, serial } });
        }
        self.ledger.revoked(now, slot, idle.is_some());
    }

    fn release(&mut self, now: Duration, lease: Lease, state: Return, orders: &mut Orders) {
        if self.lent(lease).is_none() {
            return;
        }
        let now = self.moment(now);
        let seat = self.seat(lease.place);
        seat.lent = None;
        if let Some(slot) = seat.slot {
            self.ledger.release(now, slot, state);
        }
        self.act(now, orders);
    }

    fn slot(&mut self, place: u32) -> Option<SlotId> {
        self.seat(place).slot
    }
}

fn place_of(slot: SlotId) -> u32 {
    u32::try_from(slot.index()).expect("the ceiling is a u32")
}

/// What the pool's HTTP layer makes of a refusal's time: between 1 and 15 s, spread over once to twice itself.
fn spread(base: Duration, chance: f64) -> Duration {
    base.clamp(Duration::from_secs(1), Duration::from_secs(15)).mul_f64(1.0 + chance)
}

impl Pool for Ours {
    fn start(&mut self, now: Duration, orders: &mut Orders) {
        self.timer(now, orders);
    }

    fn ask(&mut self, now: Duration, ask: Ask, orders: &mut Orders) {
        let Ask { caller, class, deadline } = ask;
        let limit = (self.time_limit)(class).min(Rules::LONGEST);
        let deadline = self.moment(deadline.min(now + limit));
        let latest = self.moment(now + self.acquire_timeout);
        let now = self.moment(now);
        match self.ledger.acquire(now, LedgerAsk::new(class, deadline).waiting_until(latest)) {
            Acquired::Leased(slot) => self.lend(now, caller, slot, orders),
            Acquired::Waiting(waiter) => {
                self.waiting.insert(waiter, caller);
                self.waiters.insert(caller, waiter);
            }
            Acquired::Refused(refusal) => {
                let told = self.told(&refusal);
                orders.push_back(Order::Refuse { caller, told });
            }
        }
        self.act(now, orders);
    }

    fn leave(&mut self, now: Duration, caller: Caller, orders: &mut Orders) {
        let Some(waiter) = self.waiters.remove(&caller) else { return };
        self.waiting.remove(&waiter);
        let now = self.moment(now);
        self.ledger.cancel(now, waiter);
        self.act(now, orders);
    }

    fn runs(&mut self, now: Duration, lease: Lease, running: bool) {
        let since = self.moment(now);
        if let Some(lent) = self.lent(lease) {
            lent.activity = if running { Activity::Running } else { Activity::HeldIdle { since } };
        }
    }

    fn give_back(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        self.release(now, lease, Return::Clean, orders);
    }

    fn cut_off(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        self.release(now, lease, Return::Interrupted, orders);
    }

    fn next_timer(&self) -> Option<Duration> {
        self.ledger.poll_timeout().map(|at| at.saturating_duration_since(self.origin))
    }

    fn timer(&mut self, now: Duration, orders: &mut Orders) {
        let now = self.moment(now);
        self.ledger.handle_timeout(now);
        self.act(now, orders);
    }

    fn opened(&mut self, now: Duration, place: u32, outcome: Result<(), OpenFailure>, orders: &mut Orders) {
        let now = self.moment(now);
        let chance = uniform(&mut self.chance);
        let seat = self.seat(place);
        let Some(opening) = seat.opening.take() else { return };
        match outcome {
            Ok(()) => self.ledger.opened(now, opening, chance),
            Err(failure) => {
                seat.slot = None;
                self.ledger.open_failed(now, opening, failure, chance);
            }
        }
        self.act(now, orders);
    }

    fn pinged(&mut self, now: Duration, place: u32, well: bool, orders: &mut Orders) {
        let now = self.moment(now);
        if let Some(slot) = self.slot(place) {
            self.ledger.checked(now, slot, health(well));
        }
        self.act(now, orders);
    }

    fn cleaned(&mut self, now: Duration, place: u32, well: bool, orders: &mut Orders) {
        let now = self.moment(now);
        if let Some(slot) = self.slot(place) {
            self.ledger.cleaned(now, slot, health(well));
        }
        self.act(now, orders);
    }

    fn closed(&mut self, now: Duration, place: u32, orders: &mut Orders) {
        let now = self.moment(now);
        if let Some(slot) = self.seat(place).slot.take() {
            self.ledger.closed(now, slot);
        }
        self.act(now, orders);
    }

    fn saw_locks(&mut self, now: Duration, share: f64) {
        let now = self.moment(now);
        self.ledger.lock_waits(now, share);
    }

    fn gauge(&self, now: Duration) -> Gauge {
        let snapshot = self.ledger.snapshot(self.moment(now));
        Gauge { limit: snapshot.limit, open: snapshot.open(), waiting: snapshot.waiting }
    }
}

const fn health(well: bool) -> Health {
    if well { Health::Well } else { Health::Lost }
}
