//! What of a pool changes, and is changed under its lock alone.

use std::collections::HashSet;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use forebay_pool_core::{Class, Ledger, Refusal, Resize, Rules, Sizer, SlotId, Snapshot, WaiterId};
use tokio::task;

use crate::Holder;
use crate::acquire::{Caller, Place};
use crate::cleaning::{Closing, control_places};
use crate::connect::Session;
use crate::driver;
use crate::error::Details;
use crate::history::History;
use crate::homes::Homes;
use crate::job::Job;
use crate::loan::{Borrower, Loan, Taken};
use crate::sites::Sites;
use crate::standstill::Standstills;
use crate::threshold::Classes;

/// Everything that changes, under one lock: never held across an await, nor while a connection is closed.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    /// By [`SlotId::index`].
    pub(crate) seats: Vec<Seat>,
    /// By [`WaiterId::index`].
    pub(crate) waiters: Vec<Option<Arc<Caller>>>,
    /// Which task has which connection, by [`SlotId::index`]: the last one, where nobody has it.
    tasks: Vec<Option<task::Id>>,
    /// Loans that have ended, to be used again.
    spare: Vec<Arc<Loan>>,
    pub(crate) last_open_error: Option<Arc<str>>,
    pub(crate) history: History,
    pub(crate) sites: Sites,
    pub(crate) standstills: Standstills,
    /// When the driver will wake by itself.
    pub(crate) alarm_at: Option<Instant>,
    /// When to look for statements that wait for too long; while leases are out, or a connection is opened.
    pub(crate) look_at: Option<Instant>,
    /// Whom to wake after the unlock: statements that have waited for too long, and those whose runtime may be gone.
    pub(crate) to_wake: Vec<Waker>,
    pub(crate) homes: Homes,
    /// What is to be put on a runtime after the unlock, or when there is one.
    pub(crate) unhoused: Vec<driver::Task>,
    /// How many jobs there have been.
    pub(crate) jobs: u64,
    /// How long the server may be silent within a statement.
    pub(crate) statement_limit: Option<Duration>,
    /// Places below the ceiling that the ledger does not know of: the control connection's.
    pub(crate) control_places: u32,
    /// As the pool's user wrote them: their bounds count the control connection.
    pub(crate) rules: Rules,
    /// Whether a lease is ended whatever its holder does: the pool has waited long enough for it.
    pub(crate) ends_leases: bool,
    /// How many connections others have whom nobody watches: [`Seat::Detached`].
    pub(crate) outside: u32,
    /// Where callers have waited whose own task held a lease.
    pub(crate) nested_at: HashSet<&'static Location<'static>>,
    /// Whose refusals the threshold has to follow.
    pub(crate) refused: Classes,
}

/// Where a slot's connection is, seen from the pool.
#[derive(Debug, Default)]
pub(crate) enum Seat {
    /// There is none, or its place is just being given to another one.
    #[default]
    Away,
    /// A task has it: it is being opened, checked, cleaned or closed.
    Entrusted(Job),
    Resting(Box<Session>),
    Soiled(Taken),
    Lent(Arc<Loan>),
    /// Its connection left the pool, or is one of somebody else's pool; the place is kept until they are done.
    Detached,
}

impl State {
    pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

    /// Of a pool in which nothing has happened yet.
    pub(crate) fn new(
        now: Instant,
        rules: Rules,
        statement_limit: Option<Duration>,
        control_places: u32,
        sizer: Box<dyn Sizer>,
    ) -> Self {
        Self {
            ledger: Ledger::new(ledger_rules(&rules, control_places), sizer, now),
            seats: Vec::new(),
            waiters: Vec::new(),
            tasks: Vec::new(),
            spare: Vec::new(),
            last_open_error: None,
            history: History::default(),
            sites: Sites::default(),
            standstills: Standstills::new(now),
            alarm_at: None,
            look_at: None,
            to_wake: Vec::new(),
            homes: Homes::default(),
            unhoused: Vec::new(),
            jobs: 0,
            statement_limit,
            control_places,
            rules,
            ends_leases: false,
            outside: 0,
            nested_at: HashSet::new(),
            refused: Classes::default(),
        }
    }

    pub(crate) fn seat(&mut self, slot: SlotId) -> &mut Seat {
        if self.seats.len() <= slot.index() {
            self.seats.resize_with(slot.index() + 1, Seat::default);
        }
        &mut self.seats[slot.index()]
    }

    /// Takes the connection off its seat, where it rests there.
    pub(crate) fn take(&mut self, slot: SlotId) -> Option<Box<Session>> {
        let seat = self.seat(slot);
        match std::mem::take(seat) {
            Seat::Resting(session) => Some(session),
            other => {
                *seat = other;
                None
            }
        }
    }

    /// Takes what has to be cleaned off its seat.
    pub(crate) fn take_soiled(&mut self, slot: SlotId) -> Option<Taken> {
        let seat = self.seat(slot);
        match std::mem::take(seat) {
            Seat::Soiled(taken) => Some(taken),
            other => {
                *seat = other;
                None
            }
        }
    }

    /// How to close what is on this seat.
    pub(crate) fn take_to_close(&mut self, slot: SlotId) -> Option<Closing> {
        let seat = self.seat(slot);
        if matches!(seat, Seat::Detached) {
            return None;
        }
        Some(match std::mem::take(seat) {
            Seat::Resting(session) => Closing::Politely(session),
            Seat::Soiled(Taken::Backend(backend)) => Closing::Backend(backend),
            _ => Closing::Nothing,
        })
    }

    /// A place without a connection of the pool's is free again.
    pub(crate) fn vacate(&mut self, now: Instant, slot: SlotId) {
        if let Seat::Detached = std::mem::take(self.seat(slot)) {
            self.outside -= 1;
        }
        self.ledger.closed(now, slot);
    }

    /// Whether the pool is closed, and no connection is left but those that nobody watches.
    pub(crate) fn is_wound_up(&self) -> bool {
        self.ledger.is_drained_to(self.outside)
    }

    /// Whether something is to be done after the unlock, though the ledger wants nothing.
    pub(crate) fn owes_errands(&self) -> bool {
        !self.to_wake.is_empty() || !self.unhoused.is_empty() || self.is_wound_up()
    }

    /// Resizes the ledger by bounds that count the control connection; says how many places that has now.
    pub(crate) fn resize(&mut self, now: Instant, resize: Resize, control: bool) -> Result<u32, Vec<String>> {
        let ceiling = resize.ceiling.unwrap_or(self.rules.ceiling);
        let start = self.rules.initial_limit;
        let min_idle = resize.min_idle.unwrap_or(self.rules.min_idle);
        let rules = Rules { min_idle, ceiling, initial_limit: start.min(ceiling), ..self.rules.clone() };
        let places = self.set_rules(now, rules, control)?;
        // A ceiling that is lowered for a while leaves the limit of the start to come back to.
        self.rules.initial_limit = start;
        self.ledger.resize(now, Resize { limit: resize.limit, ..Resize::default() })?;
        Ok(places)
    }

    /// Gives the ledger rules whose bounds count the control connection; says how many places that has now.
    pub(crate) fn set_rules(&mut self, now: Instant, rules: Rules, control: bool) -> Result<u32, Vec<String>> {
        let faults = rules.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let places = control_places(control, rules.ceiling);
        self.ledger.set_rules(now, ledger_rules(&rules, places))?;
        self.rules = rules;
        self.control_places = places;
        Ok(places)
    }

    /// When to look again, now that somebody with this deadline has a lease: soon, and when it passes.
    fn next_look(now: Instant, deadline: Instant, planned: Option<Instant>) -> Instant {
        let soon = planned.unwrap_or_else(|| now + Self::LOOK_EVERY);
        if deadline > now { soon.min(deadline) } else { soon }
    }

    /// Has the driver wake by then.
    pub(crate) fn look_by(&mut self, at: Instant) {
        self.look_at = Some(self.look_at.map_or(at, |planned| planned.min(at)));
    }

    /// Looks at every lease for a statement that the server does not answer.
    pub(crate) fn look_at_statements(&mut self, now: Instant) {
        if self.look_at.is_none_or(|at| now < at) {
            return;
        }
        self.has_given_a_turn();
        let mut out = self.ledger.is_opening().then_some(now + Self::LOOK_EVERY);
        for seat in &self.seats {
            if let Seat::Lent(loan) = seat {
                out = Some(Self::next_look(now, loan.borrower.deadline, out));
                self.to_wake.extend(loan.look(now));
            }
        }
        self.look_at = out;
    }

    pub(crate) fn loan(&self, slot: SlotId) -> Option<&Arc<Loan>> {
        match self.seats.get(slot.index())? {
            Seat::Lent(loan) if loan.slot == slot => Some(loan),
            _ => None,
        }
    }

    /// Lends the resting connection of this slot.
    pub(crate) fn lend(&mut self, slot: SlotId, borrower: Borrower, now: Instant) -> Arc<Loan> {
        let session = self.take(slot).expect("the ledger lends only what rests");
        let loan = Loan::new(slot, borrower, now, session, self.statement_limit);
        let mut spare = self.spare.pop();
        // Whoever still knows the loan that has ended keeps it.
        let loan = match spare.as_mut().and_then(Arc::get_mut) {
            Some(ended) => {
                *ended = loan;
                spare.expect("it is there")
            }
            None => Arc::new(loan),
        };
        *self.seat(slot) = Seat::Lent(Arc::clone(&loan));
        if self.tasks.len() <= slot.index() {
            self.tasks.resize(slot.index() + 1, None);
        }
        self.tasks[slot.index()] = borrower.task;
        self.look_at = Some(Self::next_look(now, borrower.deadline, self.look_at));
        loan
    }

    /// Keeps a loan that has ended: the next one needs no memory.
    pub(crate) fn keep(&mut self, loan: Arc<Loan>) {
        if self.spare.len() < self.seats.len() {
            self.spare.push(loan);
        }
    }

    /// Somebody waits.
    pub(crate) fn enlist(&mut self, place: &Place) {
        let index = place.id.index();
        if self.waiters.len() <= index {
            self.waiters.resize(index + 1, None);
        }
        self.waiters[index] = Some(Arc::clone(&place.caller));
    }

    /// Whoever waits there is told the end of it.
    pub(crate) fn call(&mut self, waiter: WaiterId) -> Option<Arc<Caller>> {
        self.waiters.get_mut(waiter.index())?.take()
    }

    /// Somebody does not wait any more. Their place may be another one's already.
    pub(crate) fn strike_off(&mut self, place: &Place) {
        if let Some(waiter) = self.waiters.get_mut(place.id.index()) {
            waiter.take_if(|caller| Arc::ptr_eq(caller, &place.caller));
        }
    }

    /// Somebody of this class was refused: from here on the threshold may know the answer.
    pub(crate) fn note_refused(&mut self, class: Class, refusal: &Refusal) {
        if matches!(refusal, Refusal::Shed { .. }) {
            self.refused.add(class);
        }
    }

    /// Counts a caller who has to wait although its task holds a lease; says where that was taken, the first time that a
    /// caller waits like this at its site.
    pub(crate) fn note_nested(&mut self, borrower: Borrower) -> Option<&'static Location<'static>> {
        let task = Some(borrower.task?);
        let mut of_task = self.tasks.iter().zip(&self.seats).filter(|(other, _)| **other == task).map(|(_, seat)| seat);
        let held = of_task.find_map(|seat| match seat {
            Seat::Lent(loan) if loan.borrower.task == task => Some(loan.borrower.site),
            _ => None,
        })?;
        self.ledger.note_nested();
        self.nested_at.insert(borrower.site).then_some(held)
    }

    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let mut snapshot = self.ledger.snapshot(now);
        snapshot.ceiling += self.control_places;
        snapshot
    }

    pub(crate) fn holders(&self, now: Instant) -> Vec<Holder> {
        let loans = self.seats.iter().filter_map(|seat| match seat {
            Seat::Lent(loan) => Some(loan.holder(now)),
            _ => None,
        });
        let mut holders: Vec<Holder> = loans.collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.held));
        holders
    }

    pub(crate) fn details(&self, now: Instant) -> Details {
        let mut longest = self.holders(now);
        longest.truncate(5);
        Details { snapshot: self.snapshot(now), longest, last_open_error: self.last_open_error.clone() }
    }
}

/// The rules for what is left when the control connection has its place.
fn ledger_rules(rules: &Rules, control_places: u32) -> Rules {
    let ceiling = rules.ceiling - control_places;
    let (initial_limit, min_idle) = (rules.initial_limit.min(ceiling), rules.min_idle.min(ceiling));
    Rules { ceiling, initial_limit, min_idle, ..rules.clone() }
}
