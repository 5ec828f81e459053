use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::class::Rank;
use crate::{Class, Standstill};

/// Names one caller that waits. Ids rise, so their order is the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterId(u64);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    pub(crate) class: Class,
    pub(crate) rank: Rank,
    pub(crate) enqueued: Instant,
    /// Its own: from then on nothing is of use to it.
    pub(crate) deadline: Instant,
    /// It waits no longer than this.
    pub(crate) latest: Instant,
    /// The end of its wait: that, or earlier where its class may not wait so long.
    pub(crate) until: Instant,
    /// Where it is at home.
    pub(crate) home: u32,
    pub(crate) checks: Checks,
}

/// What was checked for one waiter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checks {
    pub(crate) under_way: bool,
    pub(crate) failed: u32,
}

impl Checks {
    /// Whoever met so many dead connections waits for one that is used or new.
    const MOST: u32 = 2;

    pub(crate) const fn are_exhausted(self) -> bool {
        self.failed >= Self::MOST
    }
}

/// Who waits: in order of arrival within a rank, each with an end.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    next: u64,
    ranks: [BTreeMap<WaiterId, Waiter>; Rank::COUNT],
    ends: BTreeSet<(Instant, WaiterId, Rank)>,
    by_class: [u32; Class::ALL.len()],
}

impl Queue {
    pub(crate) fn push(&mut self, waiter: Waiter) -> WaiterId {
        let id = WaiterId(self.next);
        self.next += 1;
        self.ranks[waiter.rank.index()].insert(id, waiter);
        self.ends.insert((waiter.until, id, waiter.rank));
        self.by_class[waiter.class.index()] += 1;
        id
    }

    pub(crate) fn remove(&mut self, id: WaiterId) -> Option<Waiter> {
        let waiter = self.ranks.iter_mut().find_map(|rank| rank.remove(&id))?;
        self.ends.remove(&(waiter.until, id, waiter.rank));
        self.by_class[waiter.class.index()] -= 1;
        Some(waiter)
    }

    /// The oldest waiter of a rank.
    pub(crate) fn head(&self, rank: Rank) -> Option<WaiterId> {
        self.ranks[rank.index()].keys().next().copied()
    }

    /// Where the oldest waiter of a rank is at home.
    pub(crate) fn home_of_head(&self, rank: Rank) -> u32 {
        self.ranks[rank.index()].values().next().map_or(0, |waiter| waiter.home)
    }

    /// The youngest waiter of the least important rank below this one.
    pub(crate) fn youngest_below(&self, rank: Rank) -> Option<WaiterId> {
        let below = self.ranks[rank.index() + 1..].iter().rev();
        below.filter_map(|waiters| waiters.keys().next_back().copied()).next()
    }

    /// The oldest waiter of this rank for whom a connection may be checked and none is yet, and the end of its wait.
    pub(crate) fn unchecked(&self, rank: Rank) -> Option<(WaiterId, Instant)> {
        let mut waiters = self.ranks[rank.index()].iter();
        let (id, waiter) = waiters.find(|(_, waiter)| !waiter.checks.under_way && !waiter.checks.are_exhausted())?;
        Some((*id, waiter.until))
    }

    /// Changes what was checked for a waiter, if it still waits.
    pub(crate) fn checks_of(&mut self, id: WaiterId) -> Option<&mut Checks> {
        self.ranks.iter_mut().find_map(|rank| rank.get_mut(&id)).map(|waiter| &mut waiter.checks)
    }

    /// Whether the oldest waiter of this rank has met too many dead connections.
    pub(crate) fn is_exhausted(&self, rank: Rank) -> bool {
        self.ranks[rank.index()].values().next().is_some_and(|waiter| waiter.checks.are_exhausted())
    }

    /// How many wait, by class.
    pub(crate) const fn by_class(&self) -> [u32; Class::ALL.len()] {
        self.by_class
    }

    /// Since when the oldest one waits.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.ranks.iter().filter_map(|rank| rank.values().next()).map(|waiter| waiter.enqueued).min()
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many wait in this rank or in a more important one.
    pub(crate) fn ahead_of(&self, rank: Rank) -> usize {
        self.ranks[..=rank.index()].iter().map(BTreeMap::len).sum()
    }

    /// How many wait in this rank.
    pub(crate) fn of(&self, rank: Rank) -> usize {
        self.ranks[rank.index()].len()
    }

    pub(crate) fn has(&self, rank: Rank) -> bool {
        !self.ranks[rank.index()].is_empty()
    }

    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(end, ..)| *end)
    }

    /// One waiter whose end has come.
    pub(crate) fn ended(&self, now: Instant) -> Option<(WaiterId, Waiter)> {
        let (_, id, rank) = *self.ends.first().filter(|(end, ..)| *end <= now)?;
        Some((id, *self.ranks[rank.index()].get(&id)?))
    }

    /// How many are served before this waiter of this rank.
    pub(crate) fn before(&self, id: WaiterId, rank: Rank) -> usize {
        let above: usize = self.ranks[..rank.index()].iter().map(BTreeMap::len).sum();
        above + self.ranks[rank.index()].range(..id).count()
    }

    /// This waiter waits as long as it may, whatever its class.
    pub(crate) fn wait_to_the_last(&mut self, id: WaiterId, rank: Rank) {
        let Some(waiter) = self.ranks[rank.index()].get_mut(&id) else { return };
        self.ends.remove(&(waiter.until, id, rank));
        waiter.until = waiter.latest;
        self.ends.insert((waiter.until, id, rank));
    }

    /// Whoever waits may wait for so much longer, up to its deadline.
    pub(crate) fn stood_still(&mut self, standstill: Standstill) {
        self.ends.clear();
        for (waiters, rank) in self.ranks.iter_mut().zip(Rank::ALL) {
            for (id, waiter) in waiters {
                waiter.latest = standstill.due(waiter.latest).min(waiter.deadline);
                waiter.until = standstill.due(waiter.until).min(waiter.latest);
                self.ends.insert((waiter.until, *id, rank));
            }
        }
    }

    /// Takes out any waiter, the most important and oldest first.
    pub(crate) fn pop(&mut self) -> Option<(WaiterId, Waiter)> {
        let id = Rank::ALL.into_iter().find_map(|rank| self.head(rank))?;
        self.remove(id).map(|waiter| (id, waiter))
    }
}
