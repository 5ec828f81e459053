//! The world: an event queue in virtual time, between clients, a pool under test and a database.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use forebay_pool_core::OpenFailure;

use crate::chance::{Chance, Purpose, stream};
use crate::database::{Database, Job};
use crate::load::Arrivals;
use crate::measure::Record;
use crate::pool::{Caller, Order, Orders, Pool};
use crate::scenario::{Change, Load, Scenario};

mod requests;
mod works;

use requests::Requests;
use works::Works;

/// Something that comes at a moment.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A tenth of a second is over.
    Sample,
    /// The scenario's change with this index.
    Change(usize),
    /// The next request of an open load.
    Arrive,
    /// The next request of the visit with this index, of which so many are over.
    Ask { visit: u32, asked: u32 },
    /// A client sends its request again.
    Again(Caller),
    /// A client has waited long enough for this attempt.
    Impatient(Caller),
    /// The application goes on with its connection.
    Thought { work: u32, serial: u64 },
    /// The server begins to work for a connection that is being opened.
    Handshaken { ticket: u64 },
    /// The pool does not wait any longer for it.
    GivenUp { ticket: u64 },
    /// The server had no room for it.
    Turned { place: u32 },
    /// A ping is answered, or is not.
    Pinged { place: u32, well: bool },
    /// A connection is clean, or out of reach.
    Cleaned { place: u32, well: bool },
    /// A connection is closed.
    Closed { place: u32 },
}

/// An event that will come. One number orders them, first by their moments and then as they were foreseen: most of a run is
/// spent on comparing these.
#[derive(Clone, Copy, Debug)]
struct Foreseen {
    at: Duration,
    key: u128,
    event: Event,
}

impl PartialEq for Foreseen {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Foreseen {}

impl PartialOrd for Foreseen {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    fn le(&self, other: &Self) -> bool {
        self.key <= other.key
    }

    fn lt(&self, other: &Self) -> bool {
        self.key < other.key
    }
}

impl Ord for Foreseen {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

/// A pool and everything around it.
#[derive(Debug)]
struct World<'a> {
    scenario: &'a Scenario,
    pool: &'a mut dyn Pool,
    now: Duration,
    events: BinaryHeap<Reverse<Foreseen>>,
    order: u64,
    orders: Orders,
    database: Database,
    requests: Requests,
    works: Works,
    arrivals: Option<Arrivals>,
    arriving: Chance,
    clients: Chance,
    server: Chance,
    tickets: u64,
    /// Connections that are being opened: whose place by ticket.
    openings: BTreeMap<u64, u32>,
    sessions: u32,
    record: Record,
}

/// Plays a scenario on a pool. The same seed brings the same requests, and with the same pool the same record.
#[must_use]
pub fn run(scenario: &Scenario, pool: &mut dyn Pool, seed: u64) -> Record {
    let arrivals = match &scenario.load {
        Load::Open { profile, burstiness } => Some(Arrivals::new(profile.clone(), *burstiness)),
        Load::Closed { .. } | Load::Visits { .. } => None,
    };
    let mut world = World {
        scenario,
        pool,
        now: Duration::ZERO,
        events: BinaryHeap::new(),
        order: 0,
        orders: Orders::new(),
        database: Database::new(&scenario.machine),
        requests: Requests::default(),
        works: Works::default(),
        arrivals,
        arriving: stream(seed, Purpose::Arrivals),
        clients: stream(seed, Purpose::Clients),
        server: stream(seed, Purpose::Server),
        tickets: 0,
        openings: BTreeMap::new(),
        sessions: 0,
        record: Record::new(&scenario.phases, scenario.end),
    };
    world.begin();
    while world.step() {}
    world.conclude();
    world.record
}

impl World<'_> {
    fn begin(&mut self) {
        self.pool.start(self.now, &mut self.orders);
        self.settle();
        for (index, (at, _)) in self.scenario.changes.iter().enumerate() {
            self.at(*at, Event::Change(index));
        }
        self.at(Record::BIN, Event::Sample);
        match &self.scenario.load {
            Load::Open { .. } => self.expect_arrival(),
            Load::Closed { users } => (0..*users).for_each(|_| self.arrive()),
            Load::Visits { .. } => self.expect_visit(0),
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        if at <= self.scenario.end {
            self.order += 1;
            self.events.push(Reverse(Foreseen { at, key: at.as_nanos() << 64 | u128::from(self.order), event }));
        }
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now.saturating_add(wait), event);
    }

    /// Lets happen what comes next; false when the run is over. At one moment the database comes first, then the pool's
    /// timer, then the rest in the order in which it was foreseen.
    fn step(&mut self) -> bool {
        let event = self.events.peek().map(|Reverse(foreseen)| foreseen.at);
        let moments = [self.database.next_ready(), self.pool.next_timer(), event];
        let Some(next) = moments.into_iter().flatten().min().filter(|next| *next <= self.scenario.end) else {
            return false;
        };
        self.now = self.now.max(next);
        if let Some(job) = self.database.ready(self.now) {
            self.job_done(job);
        } else if moments[1].is_some_and(|at| at <= self.now) {
            self.pool.timer(self.now, &mut self.orders);
        } else if let Some(Reverse(Foreseen { event, .. })) = self.events.pop() {
            self.happen(event);
        }
        self.settle();
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Sample => self.sample(),
            Event::Change(index) => self.change(self.scenario.changes[index].1),
            Event::Arrive => {
                self.arrive();
                self.expect_arrival();
            }
            Event::Ask { visit, asked } => self.visit(visit, asked),
            Event::Again(caller) => self.send_again(caller),
            Event::Impatient(caller) => self.lose_patience(caller),
            Event::Thought { work, serial } => self.thought(work, serial),
            Event::Handshaken { ticket } => {
                let fork = self.scenario.machine.fork;
                self.database.begin(self.now, Job::Opening(ticket), fork);
            }
            Event::GivenUp { ticket } => {
                if let Some(place) = self.openings.remove(&ticket) {
                    self.sessions -= 1;
                    self.pool.opened(self.now, place, Err(OpenFailure::Other), &mut self.orders);
                }
            }
            Event::Turned { place } => {
                self.pool.opened(self.now, place, Err(OpenFailure::NoRoom), &mut self.orders);
            }
            Event::Pinged { place, well } => self.pool.pinged(self.now, place, well, &mut self.orders),
            Event::Cleaned { place, well } => self.pool.cleaned(self.now, place, well, &mut self.orders),
            Event::Closed { place } => {
                self.sessions -= 1;
                self.pool.closed(self.now, place, &mut self.orders);
            }
        }
    }

    /// Carries out what the pool has ordered.
    fn settle(&mut self) {
        while let Some(order) = self.orders.pop_front() {
            match order {
                Order::Serve { caller, lease } => self.serve(caller, lease),
                Order::Refuse { caller, told } => self.refuse(caller, told),
                Order::Open { place, limit } => self.open(place, limit),
                Order::Ping { place, limit } => {
                    let (after, well) = self.reach(limit);
                    self.after(after, Event::Pinged { place, well });
                }
                Order::Clean { place } => {
                    let (after, well) = self.reach(Duration::from_millis(200));
                    self.after(after, Event::Cleaned { place, well });
                }
                Order::Close { place } => {
                    let (after, _) = self.reach(Duration::from_secs(1));
                    self.after(after, Event::Closed { place });
                }
                Order::TakenBack { lease } => self.taken_back(lease),
                // The answer takes a round trip that nobody waits for.
                Order::LookAtLocks => self.pool.saw_locks(self.now, self.database.lock_waits()),
            }
        }
    }

    /// How long a round trip takes, and whether there is an answer within the limit.
    fn reach(&self, limit: Duration) -> (Duration, bool) {
        let round_trip = self.scenario.machine.round_trip;
        if self.database.is_frozen() || round_trip > limit { (limit, false) } else { (round_trip, true) }
    }

    fn open(&mut self, place: u32, limit: Duration) {
        let machine = &self.scenario.machine;
        if self.sessions >= machine.max_sessions {
            self.after(machine.round_trip, Event::Turned { place });
            return;
        }
        self.sessions += 1;
        self.record.most_sessions = self.record.most_sessions.max(self.sessions);
        self.tickets += 1;
        let ticket = self.tickets;
        self.openings.insert(ticket, place);
        let handshake = machine.handshake.draw(&mut self.server);
        self.after(handshake, Event::Handshaken { ticket });
        self.after(limit, Event::GivenUp { ticket });
    }

    fn job_done(&mut self, job: Job) {
        match job {
            Job::Statement(work) => self.statement_done(work),
            Job::Opening(ticket) => {
                if let Some(place) = self.openings.remove(&ticket) {
                    self.record.opened += 1;
                    self.pool.opened(self.now, place, Ok(()), &mut self.orders);
                }
            }
        }
    }

    fn sample(&mut self) {
        let gauge = self.pool.gauge(self.now);
        let leased = self.works.count();
        let running = u32::try_from(self.database.running()).unwrap_or(u32::MAX);
        // The bin that ends now.
        let bin = self.record.bin(self.now - Record::BIN);
        (bin.gauge, bin.leased, bin.running) = (gauge, leased, running);
        self.after(Record::BIN, Event::Sample);
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Capacity(capacity) => self.database.set_capacity(self.now, capacity),
            Change::Contention(contention) => self.database.set_contention(self.now, contention),
            Change::Leak { holders, again } => (0..holders).for_each(|_| self.leak(again)),
            Change::LeaksEnd => self.end_leaks(),
        }
    }
}
