use std::collections::HashMap;
use std::time::{Duration, Instant};

use forebay_pool_core::{
    Acquired, Action, Activity, Ask, Class, CloseReason, Event, Health, Ledger, OpenFailure, Opening, Refusal, Resize,
    Return, Rules, ShedReason, Sizer, SlotId, Snapshot, Staffing, Standstill, Usage, WaiterId,
};

/// More than any test takes: what a test waits for does not come.
const MOST_STEPS: u32 = 1_000_000;

/// A shell without a database: it carries the ledger's actions out by hand, when a test says so, and keeps its own
/// naive account of who has what. Each decision is checked against that account as it comes.
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) now: Instant,
    pub(crate) openings: Vec<Opening>,
    pub(crate) checking: Vec<Checking>,
    pub(crate) cleaning: Vec<SlotId>,
    pub(crate) closing: Vec<SlotId>,
    pub(crate) leased: Vec<Lent>,
    pub(crate) idle: Vec<Idle>,
    pub(crate) waiting: Vec<Queued>,
    pub(crate) refused: HashMap<WaiterId, Refusal>,
    pub(crate) events: Vec<Event>,
    pub(crate) closed: Vec<(Instant, SlotId, CloseReason)>,
    pub(crate) checks_failed: u32,
    pub(crate) looks_at_locks: u32,
    /// Openings that failed since the last that did not, when those under way began, and the longest that any took.
    failed_in_a_row: u32,
    begun_openings: HashMap<SlotId, Instant>,
    longest_opening: Duration,
    /// After how many flushes each was opened.
    born: HashMap<SlotId, u32>,
    era: u32,
    flushed: Option<Instant>,
    begun: Instant,
    /// For each grant to a waiter, whether somebody more important waited.
    inversions: Vec<bool>,
    revoke_fails: bool,
    /// The numbers before the call whose decisions are carried out.
    before: Snapshot,
    steps: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lent {
    pub(crate) slot: SlotId,
    pub(crate) idle_since: Option<Instant>,
    pub(crate) suspect: bool,
    pub(crate) background: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Idle {
    pub(crate) slot: SlotId,
    pub(crate) since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Checking {
    pub(crate) slot: SlotId,
    pub(crate) since: Instant,
    pub(crate) role: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) id: WaiterId,
    pub(crate) class: Class,
    pub(crate) continuation: bool,
    pub(crate) deadline: Instant,
    /// From then on nothing is of use to it, however long it may wait.
    of_use_until: Instant,
}

impl Queued {
    pub(crate) fn uses_reserve(&self) -> bool {
        self.continuation || self.class == Class::Critical
    }

    pub(crate) fn rank(&self) -> usize {
        rank(self.class, self.continuation)
    }
}

fn rank(class: Class, continuation: bool) -> usize {
    let place = Class::ALL.iter().position(|other| *other == class).expect("all of them");
    if continuation { 0 } else { 1 + place }
}

/// The most places that background work may have.
fn share(snapshot: &Snapshot) -> usize {
    (snapshot.limit as usize / 5).max(1)
}

/// How an attempt to open a connection ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Attempt {
    Open,
    Fail(OpenFailure),
}

impl World {
    pub(crate) fn new(rules: Rules) -> Self {
        Self::with_sizer(rules, Box::new(Staffing::default()))
    }

    pub(crate) fn with_sizer(rules: Rules, sizer: Box<dyn Sizer>) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a world needs a first moment")]
        let now = Instant::now();
        let ledger = Ledger::new(rules, sizer, now);
        let mut world = Self {
            before: ledger.snapshot(now),
            ledger,
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
            closed: Vec::new(),
            checks_failed: 0,
            looks_at_locks: 0,
            failed_in_a_row: 0,
            begun_openings: HashMap::new(),
            longest_opening: Duration::ZERO,
            born: HashMap::new(),
            era: 0,
            flushed: None,
            begun: now,
            inversions: Vec::new(),
            revoke_fails: false,
            steps: 0,
        };
        world.ledger.handle_timeout(now);
        world.act();
        world
    }

    /// A world in which so many connections are open and idle.
    pub(crate) fn with_open(rules: Rules, count: u32) -> Self {
        Self::open_with(rules, count, Box::new(Staffing::default()))
    }

    pub(crate) fn open_with(rules: Rules, count: u32, sizer: Box<dyn Sizer>) -> Self {
        let min_idle = rules.min_idle;
        let mut world = Self::with_sizer(Rules { min_idle: count, ..rules }, sizer);
        world.open_all();
        world.ledger.resize(world.now, Resize { min_idle: Some(min_idle), ..Resize::default() }).expect("as it was");
        world
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.ledger.snapshot(self.now)
    }

    pub(crate) fn ask(&mut self, class: Class, within_ms: u64) -> Acquired {
        self.acquire(class, false, within_ms)
    }

    pub(crate) fn acquire(&mut self, class: Class, continuation: bool, within_ms: u64) -> Acquired {
        self.acquire_within(class, continuation, within_ms, within_ms)
    }

    /// Waits for at most so long, and is of use for so long.
    pub(crate) fn acquire_within(&mut self, class: Class, continuation: bool, wait_ms: u64, use_ms: u64) -> Acquired {
        let (wait, within) = (Duration::from_millis(wait_ms), Duration::from_millis(use_ms));
        let deadline = self.now + wait.min(within);
        let ask = Ask::new(class, self.now + within).waiting_until(self.now + wait);
        let ask = if continuation { ask.continuing() } else { ask };
        self.before = self.snapshot();
        let place = self.waiting.iter().filter(|other| other.rank() <= rank(class, continuation)).count();
        let connection = self.free_connection(place, rank(class, continuation));
        let shut = !continuation && self.ledger.shut(self.now, class).is_some();
        let answer = self.ledger.acquire(self.now, ask);
        assert!(!shut || matches!(answer, Acquired::Refused(_)), "{class:?} was shut, and let in: {answer:?}");
        if let (Acquired::Refused(Refusal::Shed { reason, .. }), Some(arrival)) = (answer, connection)
            && reason != ShedReason::QueueFull
        {
            let comes_late = arrival > within && reason == ShedReason::Deadline;
            assert!(within.is_zero() || comes_late, "{reason:?} beside a free place and a connection in {arrival:?}");
        }
        match answer {
            Acquired::Leased(slot) => {
                let own = rank(class, continuation);
                assert!(!self.waiting.iter().any(|other| other.rank() <= own), "nobody overtakes");
                self.is_the_warmest(slot);
                self.lend(slot, class, continuation);
            }
            Acquired::Waiting(id) => {
                let of_use_until = self.now + within;
                self.waiting.push(Queued { id, class, continuation, deadline, of_use_until });
            }
            Acquired::Refused(_) => {}
        }
        self.act();
        answer
    }

    pub(crate) fn try_acquire(&mut self, class: Class) {
        let ask = Ask::new(class, self.now + Duration::from_secs(1));
        self.before = self.snapshot();
        if let Some(slot) = self.ledger.try_acquire(self.now, ask) {
            self.is_the_warmest(slot);
            self.lend(slot, class, false);
        }
        self.act();
    }

    /// Changes something else about the ledger, and carries out what follows.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Ledger, Instant)) {
        self.before = self.snapshot();
        change(&mut self.ledger, self.now);
        self.act();
    }

    /// What is lent without a question was used lately, was opened after the last flush, and nothing warmer is idle.
    fn is_the_warmest(&self, slot: SlotId) {
        let lent = self.idle.iter().find(|idle| idle.slot == slot).expect("only an idle connection is lent");
        let is_of_old = |idle: &Idle| self.born[&idle.slot] < self.era;
        assert!(!is_of_old(lent), "opened before the last flush, and lent unasked");
        let warmest = self.idle.iter().all(|other| is_of_old(other) || other.since <= lent.since);
        assert!(warmest, "the warmest is lent");
        let unused_for = self.now.saturating_duration_since(lent.since);
        assert!(unused_for < self.ledger.rules().check_after_idle, "unused for long, and lent unasked");
    }

    /// Lends it, unless that would be one more than may be out: at or above the limit nobody is granted anything.
    fn lend(&mut self, slot: SlotId, class: Class, continuation: bool) {
        let now = self.snapshot();
        let uses_reserve = continuation || class == Class::Critical;
        let background = !continuation && class == Class::Background;
        let share = share(&self.before).max(share(&now));
        assert!(!background || self.background() < share, "background work above its share of {share}");
        let most = |snapshot: &Snapshot| snapshot.limit + if uses_reserve { snapshot.reserve } else { 0 };
        let places = most(&self.before).max(most(&now));
        assert!(self.in_use() < places as usize, "{} in use, and granted above {places}", self.in_use());
        let at = self.idle.iter().position(|idle| idle.slot == slot).expect("only an idle connection is lent");
        self.idle.remove(at);
        self.leased.push(Lent { slot, idle_since: None, suspect: false, background });
    }

    fn rests(&mut self, slot: SlotId, since: Instant) {
        self.idle.push(Idle { slot, since });
    }

    pub(crate) fn release(&mut self, slot: SlotId, state: Return) {
        let at = self.leased.iter().position(|lent| lent.slot == slot).expect("leased");
        self.leased.remove(at);
        if matches!(state, Return::Clean | Return::Unused | Return::TimedOut) {
            self.rests(slot, self.now);
        }
        self.before = self.snapshot();
        self.ledger.release(self.now, slot, state);
        self.act();
    }

    pub(crate) fn cancel(&mut self, id: WaiterId) {
        self.waiting.retain(|queued| queued.id != id);
        self.before = self.snapshot();
        self.ledger.cancel(self.now, id);
        self.act();
    }

    pub(crate) fn open_one(&mut self, well: bool, chance: f64) {
        self.attempt(if well { Attempt::Open } else { Attempt::Fail(OpenFailure::Other) }, chance);
    }

    pub(crate) fn attempt(&mut self, outcome: Attempt, chance: f64) {
        let Some(opening) = self.openings.pop() else { return };
        self.end_attempt(opening, outcome, chance);
    }

    /// Lets those that are under way now come, and takes so long for it.
    pub(crate) fn open_those_under_way(&mut self, takes: Duration) {
        let under_way = self.openings.len();
        self.advance(takes);
        for _ in 0..under_way {
            let opening = self.openings.remove(0);
            self.end_attempt(opening, Attempt::Open, 0.0);
        }
    }

    fn end_attempt(&mut self, opening: Opening, outcome: Attempt, chance: f64) {
        self.before = self.snapshot();
        let began = self.begun_openings.remove(&opening.slot()).expect("it began");
        self.longest_opening = self.longest_opening.max(self.now.saturating_duration_since(began));
        self.failed_in_a_row = if outcome == Attempt::Open { 0 } else { self.failed_in_a_row + 1 };
        match outcome {
            Attempt::Open => {
                self.rests(opening.slot(), self.now);
                self.born.insert(opening.slot(), self.era);
                self.ledger.opened(self.now, opening, chance);
            }
            Attempt::Fail(failure) => self.ledger.open_failed(self.now, opening, failure, chance),
        }
        self.act();
    }

    pub(crate) fn open_all(&mut self) {
        while !self.openings.is_empty() {
            self.open_one(true, 0.0);
        }
    }

    pub(crate) fn check_one(&mut self, well: bool) {
        self.check(if well { Health::Well } else { Health::Lost });
    }

    pub(crate) fn check(&mut self, health: Health) {
        let Some(Checking { slot, since, role }) = self.checking.pop() else { return };
        // Only who is asked for its role can tell it.
        let health = if health == Health::WrongRole && !role { Health::Well } else { health };
        self.checks_failed += u32::from(health != Health::Well);
        self.rests(slot, since);
        self.before = self.snapshot();
        self.ledger.checked(self.now, slot, health);
        self.act();
    }

    pub(crate) fn clean_one(&mut self, well: bool) {
        self.clean(if well { Health::Well } else { Health::Lost });
    }

    pub(crate) fn clean(&mut self, health: Health) {
        let Some(slot) = self.cleaning.pop() else { return };
        self.rests(slot, self.now);
        self.before = self.snapshot();
        self.ledger.cleaned(self.now, slot, health);
        self.act();
    }

    pub(crate) fn close_one(&mut self) {
        let Some(slot) = self.closing.pop() else { return };
        self.before = self.snapshot();
        self.ledger.closed(self.now, slot);
        self.act();
    }

    pub(crate) fn close_all(&mut self) {
        while !self.closing.is_empty() {
            self.close_one();
        }
    }

    /// Lets time pass, waking the ledger whenever it asks for it.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        let mut turns = 0;
        while let Some(at) = self.ledger.poll_timeout().filter(|at| *at <= end) {
            // One that asks to be woken for nothing would keep a processor busy for nothing.
            turns = if at > self.now { 0 } else { turns + 1 };
            assert!(turns < 1_000, "it asks again and again to be woken at once");
            self.now = self.now.max(at);
            self.wake();
        }
        self.now = end;
        self.wake();
    }

    /// Lets time pass without anybody noticing, as when the process was stopped.
    pub(crate) fn jump(&mut self, by: Duration) {
        self.now += by;
        self.wake();
    }

    /// The same, and the ledger is told that it did not run.
    pub(crate) fn stand_still(&mut self, by: Duration) {
        self.now += by;
        let standstill = Standstill::new(self.now, by);
        self.ledger.stood_still(standstill);
        for lent in &mut self.leased {
            lent.idle_since = lent.idle_since.map(|since| standstill.since(since));
        }
        for queued in &mut self.waiting {
            queued.deadline = (queued.deadline + by).min(queued.of_use_until);
        }
        self.wake();
    }

    fn wake(&mut self) {
        self.before = self.snapshot();
        self.ledger.handle_timeout(self.now);
        self.act();
    }

    /// The clock was read before somebody else read it and went first.
    pub(crate) fn step_back(&mut self, by: Duration) {
        self.now = self.now.checked_sub(by).unwrap_or(self.now);
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

    /// What is counted never goes back, whatever changes beside it: it would look like a new process.
    pub(crate) fn uses_no_less_than(&self, before: &Usage) {
        let now = self.snapshot().totals.usage;
        let goes_on = now.busy >= before.busy && now.waiting >= before.waiting && now.capacity >= before.capacity;
        assert!(goes_on, "{before:?}, and then {now:?}");
    }

    /// Whether a connection is idle that could be lent without a question.
    pub(crate) fn has_fresh_idle(&self) -> bool {
        let limit = self.ledger.rules().check_after_idle;
        self.idle.iter().any(|idle| {
            let unused_for = self.now.saturating_duration_since(idle.since) + Duration::from_millis(2);
            unused_for < limit && self.born[&idle.slot] == self.era
        })
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

    /// How many connections were closed for this.
    pub(crate) fn closed_for(&self, reason: CloseReason) -> usize {
        self.closed.iter().filter(|(.., why)| *why == reason).count()
    }

    /// Carries out what the ledger decided, checking each decision against the naive account.
    pub(crate) fn act(&mut self) {
        self.step();
        while let Some(action) = self.ledger.poll_action() {
            self.step();
            match action {
                Action::Open(opening) => {
                    self.begun_openings.insert(opening.slot(), self.now);
                    self.openings.push(opening);
                }
                Action::Check { slot, role, .. } => self.begin_check(slot, role),
                Action::Clean(slot) => self.cleaning.push(slot),
                Action::Close { slot, reason } => self.begin_close(slot, reason),
                Action::Grant { waiter, slot } => self.grant(waiter, slot),
                Action::Refuse { waiter, refusal } => {
                    let at = self.waiting.iter().position(|queued| queued.id == waiter);
                    let queued = self.waiting.remove(at.expect("only a waiter is refused"));
                    self.is_rightly_refused(&queued, &refusal);
                    assert!(self.refused.insert(waiter, refusal).is_none(), "nobody is refused twice");
                }
                Action::Observe(slot) => self.observe(slot),
                Action::Revoke(slot) => self.revoke(slot),
                Action::LookAtLocks => self.looks_at_locks += 1,
                Action::Tell(event) => self.hear(event),
            }
        }
    }

    /// Each loop of a test does something to the ledger, so that this ends all of them.
    fn step(&mut self) {
        self.steps += 1;
        assert!(self.steps < MOST_STEPS, "it takes for ever: {:?}", self.snapshot());
    }

    /// How long somebody of this rank behind so many would wait at most for a connection, if a place is free for it, and one is idle
    /// or may be expected to come.
    fn free_connection(&self, behind: usize, of_rank: usize) -> Option<Duration> {
        let after = self.snapshot();
        let places = |snapshot: &Snapshot| snapshot.limit + if of_rank <= 1 { snapshot.reserve } else { 0 };
        let free = (places(&self.before).min(places(&after)) as usize).saturating_sub(self.in_use());
        let waiting = self.waiting.iter().filter(|other| other.rank() == of_rank).count();
        let least_share = share(&self.before).min(share(&after)).saturating_sub(self.background());
        if behind >= free || of_rank == rank(Class::Background, false) && waiting >= least_share {
            return None;
        }
        // One of those that are asked for their role may be meant for nobody.
        let nobodys = usize::from(self.checking.iter().any(|checking| checking.role));
        let ready = self.idle.len() + self.checking.len() - nobodys;
        let missing = (behind + 1).saturating_sub(ready);
        let more = missing.saturating_sub(self.openings.len());
        let ceiling = self.before.ceiling.min(after.ceiling) as usize;
        let fits = self.open() - self.closing.len() + more <= ceiling && self.failed_in_a_row < 5;
        if missing == 0 {
            return Some(Duration::ZERO);
        }
        // After a failure there is a pause, which is drawn.
        let pause = if self.failed_in_a_row == 0 { Duration::ZERO } else { Duration::from_secs(31) };
        let rounds = u32::try_from(missing).expect("few");
        (more == 0 || fits).then(|| pause + self.longest_opening * rounds)
    }

    /// Whose class would not let it wait any longer is not refused where only a connection is missing that will come.
    fn is_rightly_refused(&self, queued: &Queued, refusal: &Refusal) {
        if let Refusal::Shed { reason: ShedReason::Sojourn, .. } = refusal {
            let before = |other: &&Queued| (other.rank(), other.id) < (queued.rank(), queued.id);
            let behind = self.waiting.iter().filter(before).count();
            let comes = self.free_connection(behind, queued.rank());
            assert!(comes.is_none(), "shed beside a free place and a connection in {comes:?}: {:?}", self.snapshot());
        }
    }

    fn begin_check(&mut self, slot: SlotId, role: bool) {
        let at = self.idle.iter().position(|idle| idle.slot == slot).expect("only an idle connection is checked");
        let Idle { since, .. } = self.idle.remove(at);
        self.checking.push(Checking { slot, since, role });
    }

    fn begin_close(&mut self, slot: SlotId, reason: CloseReason) {
        assert!(self.leased.iter().all(|lent| lent.slot != slot), "no lease is ended by closing its connection");
        let rules = self.ledger.rules();
        if let (CloseReason::Idle, Some(idle)) = (reason, self.idle.iter().find(|idle| idle.slot == slot)) {
            assert!(self.idle.iter().all(|other| other.since >= idle.since), "from the cold end");
            assert!(self.now.saturating_duration_since(idle.since) >= rules.idle_timeout, "before its time");
        }
        self.idle.retain(|idle| idle.slot != slot);
        self.closing.push(slot);
        self.closed.push((self.now, slot, reason));
    }

    fn grant(&mut self, waiter: WaiterId, slot: SlotId) {
        let at = self.waiting.iter().position(|queued| queued.id == waiter).expect("only a waiter is granted");
        let queued = self.waiting.remove(at);
        let earlier = |other: &Queued| other.rank() == queued.rank() && other.id < queued.id;
        assert!(!self.waiting.iter().any(earlier), "first come, first served within a rank");
        // The last twenty: strict priority but for the declared floor.
        self.inversions.push(self.waiting.iter().any(|other| other.rank() < queued.rank()));
        let last = self.inversions.len().saturating_sub(20);
        let inverted = self.inversions[last..].iter().filter(|inverted| **inverted).count();
        assert!(inverted <= 2, "{inverted} of the last twenty went to the less important");
        self.lend(slot, queued.class, queued.continuation);
    }

    /// Background work that uses its connections.
    fn background(&self) -> usize {
        self.leased.iter().filter(|lent| lent.background && !lent.suspect).count()
    }

    fn observe(&mut self, slot: SlotId) {
        let Some(lent) = self.leased.iter().find(|lent| lent.slot == slot) else { return };
        let activity = lent.idle_since.map_or(Activity::Running, |since| Activity::HeldIdle { since });
        self.ledger.observed(self.now, slot, activity);
    }

    fn revoke(&mut self, slot: SlotId) {
        let taken = !self.revoke_fails;
        if taken {
            self.leased.retain(|lent| lent.slot != slot);
        } else if let Some(lent) = self.leased.iter_mut().find(|lent| lent.slot == slot) {
            (lent.idle_since, lent.suspect) = (None, false);
        }
        self.ledger.revoked(self.now, slot, taken);
    }

    fn hear(&mut self, event: Event) {
        self.events.push(event);
        let (slot, suspect) = match event {
            Event::Suspected { slot, .. } => (slot, true),
            Event::Cleared { slot } => (slot, false),
            Event::Flushed { .. } => {
                let last = self.flushed.replace(self.now);
                let apart = last.is_none_or(|at| self.now >= at + Duration::from_secs(60));
                assert!(apart, "at most one flush a minute");
                self.era += 1;
                return;
            }
            _ => return,
        };
        if let Some(lent) = self.leased.iter_mut().find(|lent| lent.slot == slot) {
            lent.suspect = suspect;
        }
    }

    /// The ledger's numbers are those of the naive account.
    pub(crate) fn agrees(&self) {
        let snapshot = self.snapshot();
        assert_eq!(snapshot.opening as usize, self.openings.len());
        assert_eq!(snapshot.checking as usize, self.checking.len());
        assert_eq!(snapshot.quarantined as usize, self.cleaning.len());
        assert_eq!(snapshot.closing as usize, self.closing.len());
        assert_eq!(snapshot.idle as usize, self.idle.len());
        assert_eq!(snapshot.suspects as usize, self.suspects());
        assert_eq!((snapshot.leased + snapshot.suspects) as usize, self.leased.len());
        assert_eq!(snapshot.waiting as usize, self.waiting.len());
        assert!(snapshot.limit + snapshot.reserve <= snapshot.ceiling.max(2), "the reserve lies inside the ceiling");
        let most = self.ledger.rules().openings_at_once as usize;
        assert!(self.openings.len() <= most.max(self.before.opening as usize), "{} at once", self.openings.len());
        assert!(self.waiting.iter().all(|queued| queued.deadline >= self.now), "nobody waits past its deadline");
        let seconds = usize::try_from((self.now - self.begun).as_secs()).expect("not that long");
        assert!(self.closed_for(CloseReason::Aged) <= seconds + 1, "at most one retirement a second");
    }

    /// A class that is shut stays so until something happens.
    pub(crate) fn stays_shut(&self) {
        for class in Class::ALL {
            let shut = |after| self.ledger.shut(self.now + after, *class).is_some();
            let later = [1, 101, 3_600_000].map(Duration::from_millis);
            assert!(!shut(Duration::ZERO) || later.into_iter().all(shut), "{class:?}");
        }
    }

    /// Nobody waits while there is a place and a connection for it.
    pub(crate) fn wastes_nothing(&self) {
        let snapshot = self.snapshot();
        let used = self.in_use();
        for queued in &self.waiting {
            let places = snapshot.limit + if queued.uses_reserve() { snapshot.reserve } else { 0 };
            let background = !queued.continuation && queued.class == Class::Background;
            if used >= places as usize || background && self.background() >= share(&snapshot) {
                continue;
            }
            assert!(!self.has_fresh_idle(), "{queued:?} waits beside a connection that could be lent");
            // Whoever met dead ones waits for a new one.
            let unasked = self.checking.is_empty() && self.checks_failed == 0 && !self.idle.is_empty();
            assert!(!unasked, "{queued:?} waits beside a connection that nobody asks");
        }
    }
}
