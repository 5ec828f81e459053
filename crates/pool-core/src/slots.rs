use std::collections::BTreeSet;
use std::time::Instant;

use crate::class::Rank;
use crate::{CloseReason, Standstill, WaiterId};

/// Names one connection's place in the pool. A place that was given up and taken again has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId {
    index: u32,
    generation: u32,
}

impl SlotId {
    /// The place's index, reused after the place is given up: good for a table of the shell's.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// Where a connection is. The exits of each are in its comment, and [`Slots::shift`] is the only writer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Being opened. To idle or leased when open, gone when it fails.
    Opening,
    /// Being pinged after idleness, for this waiter. To idle or leased when well, closing when not.
    Checking { since: Instant, waiter: Option<WaiterId> },
    /// Ready. To leased, checking or closing.
    Idle { since: Instant },
    /// On loan. To idle or leased again, quarantined when dirty or revoked, closing when broken.
    Leased(Hold),
    /// Being cleaned; nobody's, but the server may still work for it. To idle, leased or closing.
    Quarantined,
    /// Being closed. Gone when closed.
    Closing,
}

impl Phase {
    const fn is_background(&self) -> bool {
        matches!(self, Self::Leased(Hold { rank: Rank::Background, suspect: false, .. }))
    }
}

/// What the ledger knows of one lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hold {
    pub(crate) rank: Rank,
    pub(crate) acquired: Instant,
    /// When to look at it next.
    pub(crate) look_at: Instant,
    pub(crate) suspect: bool,
}

/// How many connections are in each phase; suspects are counted apart from productive leases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) opening: u32,
    pub(crate) checking: u32,
    pub(crate) idle: u32,
    pub(crate) leased: u32,
    pub(crate) suspect: u32,
    pub(crate) quarantined: u32,
    pub(crate) closing: u32,
    /// Of the productive leases, those of background work.
    pub(crate) background: u32,
}

impl Counts {
    /// Connections that exist or are about to: what the ceiling bounds.
    pub(crate) const fn open(self) -> u32 {
        self.live() + self.opening + self.closing
    }

    /// Connections that can serve now or after a short while.
    pub(crate) const fn live(self) -> u32 {
        self.checking + self.idle + self.leased + self.suspect + self.quarantined
    }

    /// What counts against the limit: leases in use, and connections the server may still be working for.
    pub(crate) const fn in_use(self) -> u32 {
        self.leased + self.quarantined
    }

    fn add(&mut self, phase: &Phase) {
        *self.of(phase) += 1;
        self.background += u32::from(phase.is_background());
    }

    fn subtract(&mut self, phase: &Phase) {
        *self.of(phase) -= 1;
        self.background -= u32::from(phase.is_background());
    }

    fn of(&mut self, phase: &Phase) -> &mut u32 {
        match phase {
            Phase::Opening => &mut self.opening,
            Phase::Checking { .. } => &mut self.checking,
            Phase::Idle { .. } => &mut self.idle,
            Phase::Leased(hold) if hold.suspect => &mut self.suspect,
            Phase::Leased(_) => &mut self.leased,
            Phase::Quarantined => &mut self.quarantined,
            Phase::Closing => &mut self.closing,
        }
    }
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    phase: Option<Phase>,
    life: Life,
}

/// What goes with a connection through all its phases.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Life {
    /// How many flushes had happened when it was opened.
    pub(crate) era: u32,
    /// When it is to be replaced.
    expires: Option<Instant>,
    /// It goes as soon as nobody has it, for this reason.
    pub(crate) leaving: Option<CloseReason>,
    /// Where it was opened; zero is no home in particular.
    pub(crate) home: u32,
}

/// All connections, their phases and the stack of the idle ones.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Coldest first, so that the last one is the one used most recently.
    idle: Vec<SlotId>,
    /// When which connection is to be replaced.
    expiries: BTreeSet<(Instant, SlotId)>,
    counts: Counts,
}

impl Slots {
    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn phase(&self, slot: SlotId) -> Option<Phase> {
        let entry = self.entries.get(slot.index())?;
        if entry.generation == slot.generation { entry.phase } else { None }
    }

    pub(crate) fn hold(&self, slot: SlotId) -> Option<Hold> {
        match self.phase(slot) {
            Some(Phase::Leased(hold)) => Some(hold),
            _ => None,
        }
    }

    pub(crate) fn leased(&self) -> impl Iterator<Item = (SlotId, Hold)> + '_ {
        self.entries.iter().zip(0u32..).filter_map(|(entry, index)| match entry.phase {
            Some(Phase::Leased(hold)) => Some((SlotId { index, generation: entry.generation }, hold)),
            _ => None,
        })
    }

    /// A new place, in phase opening.
    pub(crate) fn mint(&mut self) -> SlotId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, phase: None, life: Life::default() });
            u32::try_from(self.entries.len() - 1).expect("the ceiling is a u32")
        });
        let entry = &mut self.entries[index as usize];
        entry.phase = Some(Phase::Opening);
        entry.life = Life::default();
        self.counts.add(&Phase::Opening);
        SlotId { index, generation: entry.generation }
    }

    /// The only writer of a phase: moves the slot, its count, and its place on the idle stack together.
    pub(crate) fn shift(&mut self, slot: SlotId, to: Phase) {
        let from = self.phase(slot).expect("only a slot that exists is moved");
        self.counts.subtract(&from);
        self.counts.add(&to);
        if let Phase::Idle { .. } = from {
            self.leave_idle(slot);
        }
        if to == Phase::Closing {
            self.expire(slot, None);
        }
        self.entries[slot.index()].phase = Some(to);
        if let Phase::Idle { since } = to {
            self.join_idle(slot, since);
        }
    }

    /// The connection is no more: its id is never valid again.
    pub(crate) fn remove(&mut self, slot: SlotId) {
        let from = self.phase(slot).expect("only a slot that exists is removed");
        self.counts.subtract(&from);
        self.expire(slot, None);
        let entry = &mut self.entries[slot.index()];
        entry.phase = None;
        entry.generation = entry.generation.wrapping_add(1);
        self.leave_idle(slot);
        self.free.push(slot.index);
    }

    /// What goes with this connection through all its phases; nothing is known of one that is gone.
    pub(crate) fn life(&self, slot: SlotId) -> Life {
        if self.phase(slot).is_some() { self.entries[slot.index()].life } else { Life::default() }
    }

    /// The connection was opened in this era.
    pub(crate) fn bear(&mut self, slot: SlotId, era: u32) {
        self.entries[slot.index()].life.era = era;
    }

    /// The connection goes as soon as nobody has it.
    pub(crate) fn leave(&mut self, slot: SlotId, reason: CloseReason) {
        if self.phase(slot).is_some() {
            self.entries[slot.index()].life.leaving = Some(reason);
        }
    }

    /// The connection was opened at this home.
    pub(crate) fn locate(&mut self, slot: SlotId, home: u32) {
        if self.phase(slot).is_some() {
            self.entries[slot.index()].life.home = home;
        }
    }

    /// The connection is to be replaced at this time.
    pub(crate) fn expire(&mut self, slot: SlotId, at: Option<Instant>) {
        let entry = self.entries.get_mut(slot.index()).filter(|entry| entry.generation == slot.generation);
        let Some(entry) = entry else { return };
        if let Some(before) = std::mem::replace(&mut entry.life.expires, at) {
            self.expiries.remove(&(before, slot));
        }
        self.expiries.extend(at.map(|at| (at, slot)));
    }

    /// Which connection is to be replaced first, and when.
    pub(crate) fn first_expiry(&self) -> Option<(Instant, SlotId)> {
        self.expiries.first().copied()
    }

    /// Nobody is to be replaced later than this; or nobody at all.
    pub(crate) fn expire_all_by(&mut self, latest: Option<Instant>) {
        for index in 0..self.entries.len() {
            let Entry { generation, phase, life } = &self.entries[index];
            if matches!(phase, None | Some(Phase::Opening | Phase::Closing)) {
                continue;
            }
            let slot = SlotId { index: u32::try_from(index).expect("the ceiling is a u32"), generation: *generation };
            let at = latest.map(|latest| life.expires.map_or(latest, |at| at.min(latest)));
            self.expire(slot, at);
        }
    }

    /// Every lease is to be looked at from then on.
    pub(crate) fn look_at_all(&mut self, at: Instant) {
        for entry in &mut self.entries {
            if let Some(Phase::Leased(hold)) = &mut entry.phase {
                hold.look_at = at;
            }
        }
    }

    /// No lease is judged by this time.
    pub(crate) fn stood_still(&mut self, standstill: Standstill) {
        for entry in &mut self.entries {
            if let Some(Phase::Leased(hold)) = &mut entry.phase {
                hold.acquired = standstill.since(hold.acquired);
                hold.look_at = standstill.due(hold.look_at);
            }
        }
    }

    /// The idle connections and since when, the one unused for longest first.
    pub(crate) fn idle(&self) -> impl DoubleEndedIterator<Item = (SlotId, Instant)> + '_ {
        self.idle.iter().filter_map(|slot| Some((*slot, self.idle_since(*slot)?)))
    }

    /// Whether a connection of an era before this one exists.
    pub(crate) fn any_before(&self, era: u32) -> bool {
        self.entries.iter().any(|entry| {
            let lives = !matches!(entry.phase, None | Some(Phase::Opening | Phase::Closing));
            lives && entry.life.era < era
        })
    }

    /// What was used a moment ago goes on top of the stack, and costs no search.
    fn join_idle(&mut self, slot: SlotId, since: Instant) {
        let is_colder = |other: &SlotId| self.idle_since(*other).is_some_and(|other| other <= since);
        let at = match self.idle.last() {
            Some(last) if !is_colder(last) => self.idle.partition_point(is_colder),
            _ => self.idle.len(),
        };
        self.idle.insert(at, slot);
    }

    /// The warmest connection leaves the stack most often, and costs no search.
    fn leave_idle(&mut self, slot: SlotId) {
        if self.idle.last() == Some(&slot) {
            self.idle.pop();
        } else {
            self.idle.retain(|other| *other != slot);
        }
    }

    /// The idle connection used most recently, and since when it is idle.
    pub(crate) fn warmest(&self) -> Option<(SlotId, Instant)> {
        let slot = *self.idle.last()?;
        Some((slot, self.idle_since(slot)?))
    }

    /// The idle connection unused for longest, and since when.
    pub(crate) fn coldest(&self) -> Option<(SlotId, Instant)> {
        let slot = *self.idle.first()?;
        Some((slot, self.idle_since(slot)?))
    }

    fn idle_since(&self, slot: SlotId) -> Option<Instant> {
        match self.phase(slot) {
            Some(Phase::Idle { since }) => Some(since),
            _ => None,
        }
    }
}
