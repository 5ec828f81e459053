use std::collections::HashMap;
use std::time::{Duration, Instant};

use forebay_pool_core::{
    Acquired, Action, Activity, Ask, Class, Event, Ledger, Opening, Refusal, Resize, Return, Rules, SlotId, Staffing,
    WaiterId,
};

/// A shell without a database: it carries the ledger's actions out by hand, when a test says so, and keeps its own
/// naive account of who has what.
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) now: Instant,
    pub(crate) openings: Vec<Opening>,
    pub(crate) checking: Vec<SlotId>,
    pub(crate) cleaning: Vec<SlotId>,
    pub(crate) closing: Vec<SlotId>,
    pub(crate) leased: Vec<Lent>,
    pub(crate) idle: Vec<SlotId>,
    pub(crate) waiting: Vec<Queued>,
    pub(crate) refused: HashMap<WaiterId, Refusal>,
    pub(crate) events: Vec<Event>,
    revoke_fails: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lent {
    pub(crate) slot: SlotId,
    pub(crate) idle_since: Option<Instant>,
    pub(crate) suspect: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) id: WaiterId,
    pub(crate) class: Class,
    pub(crate) continuation: bool,
    pub(crate) deadline: Instant,
}

impl Queued {
    pub(crate) fn uses_reserve(&self) -> bool {
        self.continuation || self.class == Class::Critical
    }

    pub(crate) fn rank(&self) -> usize {
        if self.continuation { 0 } else { 1 + usize::from(self.class == Class::Normal) }
    }
}

impl World {
    pub(crate) fn new(rules: Rules) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a world needs a first moment")]
        let now = Instant::now();
        let mut world = Self {
            ledger: Ledger::new(rules, Box::new(Staffing::default()), now),
            now,
            openings: Vec::new(),
            checking: Vec::new(),
            cleaning: Vec::new(),
            closing: Vec::new(),
            leased: Vec::new(),
            idle: Vec::new(),
            waiting: Vec::new(),
            refused: HashMap::new(),
            events: Vec::new(),
            revoke_fails: false,
        };
        world.ledger.handle_timeout(now);
        world.act();
        world
    }

    /// A world in which so many connections are open and idle.
    pub(crate) fn with_open(rules: Rules, count: u32) -> Self {
        let min_idle = rules.min_idle;
        let mut world = Self::new(Rules { min_idle: count, ..rules });
        world.open_all();
        world.ledger.resize(world.now, Resize { min_idle: Some(min_idle), ..Resize::default() }).expect("as it was");
        world
    }

    pub(crate) fn ask(&mut self, class: Class, within_ms: u64) -> Acquired {
        self.acquire(class, false, within_ms)
    }

    pub(crate) fn acquire(&mut self, class: Class, continuation: bool, within_ms: u64) -> Acquired {
        let deadline = self.now + Duration::from_millis(within_ms);
        let ask = Ask::new(class, deadline);
        let ask = if continuation { ask.continuing() } else { ask };
        let answer = self.ledger.acquire(self.now, ask);
        match answer {
            Acquired::Leased(slot) => self.lend(slot),
            Acquired::Waiting(id) => self.waiting.push(Queued { id, class, continuation, deadline }),
            Acquired::Refused(_) => {}
        }
        self.act();
        answer
    }

    fn lend(&mut self, slot: SlotId) {
        let at = self.idle.iter().position(|idle| *idle == slot).expect("only an idle connection is lent");
        self.idle.remove(at);
        self.leased.push(Lent { slot, idle_since: None, suspect: false });
    }

    pub(crate) fn release(&mut self, slot: SlotId, state: Return) {
        let at = self.leased.iter().position(|lent| lent.slot == slot).expect("leased");
        self.leased.remove(at);
        if state == Return::Clean {
            self.idle.push(slot);
        }
        self.ledger.release(self.now, slot, state);
        self.act();
    }

    pub(crate) fn cancel(&mut self, id: WaiterId) {
        self.waiting.retain(|queued| queued.id != id);
        self.ledger.cancel(self.now, id);
        self.act();
    }

    pub(crate) fn open_one(&mut self, well: bool, chance: f64) {
        let Some(opening) = self.openings.pop() else { return };
        if well {
            self.idle.push(opening.slot());
            self.ledger.opened(self.now, opening);
        } else {
            self.ledger.open_failed(self.now, opening, forebay_pool_core::OpenFailure::Other, chance);
        }
        self.act();
    }

    pub(crate) fn open_all(&mut self) {
        while !self.openings.is_empty() {
            self.open_one(true, 0.0);
        }
    }

    pub(crate) fn check_one(&mut self, well: bool) {
        let Some(slot) = self.checking.pop() else { return };
        self.idle.push(slot);
        self.ledger.checked(self.now, slot, well);
        self.act();
    }

    pub(crate) fn clean_one(&mut self, well: bool) {
        let Some(slot) = self.cleaning.pop() else { return };
        self.idle.push(slot);
        self.ledger.cleaned(self.now, slot, well);
        self.act();
    }

    pub(crate) fn close_one(&mut self) {
        let Some(slot) = self.closing.pop() else { return };
        self.ledger.closed(self.now, slot);
        self.act();
    }

    /// Lets time pass, waking the ledger whenever it asks for it.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.ledger.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.ledger.handle_timeout(self.now);
            self.act();
        }
        self.now = end;
        self.ledger.handle_timeout(self.now);
        self.act();
    }

    pub(crate) fn in_use(&self) -> usize {
        self.leased.iter().filter(|lent| !lent.suspect).count() + self.cleaning.len()
    }

    pub(crate) fn suspects(&self) -> usize {
        self.leased.iter().filter(|lent| lent.suspect).count()
    }

    pub(crate) fn open(&self) -> usize {
        self.openings.len()
            + self.checking.len()
            + self.cleaning.len()
            + self.closing.len()
            + self.leased.len()
            + self.idle.len()
    }

    pub(crate) fn hold_idle(&mut self, index: usize) {
        let now = self.now;
        if let Some(lent) = self.leased.get_mut(index) {
            lent.idle_since = lent.idle_since.xor(Some(now));
        }
    }

    pub(crate) fn let_revocations_fail(&mut self, fail: bool) {
        self.revoke_fails = fail;
    }

    /// Carries out what the ledger decided, checking each decision against the naive account.
    pub(crate) fn act(&mut self) {
        while let Some(action) = self.ledger.poll_action() {
            match action {
                Action::Open(opening) => self.openings.push(opening),
                Action::Check { slot, .. } => {
                    self.idle.retain(|idle| *idle != slot);
                    self.checking.push(slot);
                }
                Action::Clean(slot) => self.cleaning.push(slot),
                Action::Close(slot) => {
                    self.idle.retain(|idle| *idle != slot);
                    self.closing.push(slot);
                }
                Action::Grant { waiter, slot } => {
                    let at =
                        self.waiting.iter().position(|queued| queued.id == waiter).expect("only a waiter is granted");
                    let queued = self.waiting.remove(at);
                    let earlier = |other: &Queued| other.rank() == queued.rank() && other.id < queued.id;
                    assert!(!self.waiting.iter().any(earlier), "first come, first served within a rank");
                    self.lend(slot);
                }
                Action::Refuse { waiter, refusal } => {
                    self.waiting.retain(|queued| queued.id != waiter);
                    assert!(self.refused.insert(waiter, refusal).is_none(), "nobody is refused twice");
                }
                Action::Observe(slot) => self.observe(slot),
                Action::Revoke(slot) => {
                    let taken = !self.revoke_fails;
                    if taken {
                        self.leased.retain(|lent| lent.slot != slot);
                    } else if let Some(lent) = self.leased.iter_mut().find(|lent| lent.slot == slot) {
                        (lent.idle_since, lent.suspect) = (None, false);
                    }
                    self.ledger.revoked(self.now, slot, taken);
                }
                Action::Tell(event) => {
                    self.mark(&event);
                    self.events.push(event);
                }
            }
        }
    }

    fn observe(&mut self, slot: SlotId) {
        let Some(lent) = self.leased.iter().find(|lent| lent.slot == slot) else { return };
        let activity = lent.idle_since.map_or(Activity::Running, |since| Activity::HeldIdle { since });
        self.ledger.observed(self.now, slot, activity);
    }

    fn mark(&mut self, event: &Event) {
        let (slot, suspect) = match event {
            Event::Suspected { slot, .. } => (*slot, true),
            Event::Cleared { slot } => (*slot, false),
            _ => return,
        };
        if let Some(lent) = self.leased.iter_mut().find(|lent| lent.slot == slot) {
            lent.suspect = suspect;
        }
    }
}
