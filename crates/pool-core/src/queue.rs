use std::time::Instant;

use crate::class::Rank;
use crate::{Class, Standstill};

/// Names one caller that waits. Their order is the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterId {
    /// Rises with every caller.
    nth: u64,
    index: u32,
}

impl WaiterId {
    /// The index of its place in the queue: good for a table of the shell's. It is given to another one when the caller has left and
    /// [`crate::Ledger::poll_action`] has said that nothing is left to do.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

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
///
/// Places lie in one vector and are used again, so that a queue that was as long before takes no memory and searches nothing.
/// When the first wait ends is kept as a bound: it is looked for when the bound is reached, and not with everyone who leaves.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    next: u64,
    places: Vec<Place>,
    free: Vec<u32>,
    /// Places of those who left, of which the shell may not have been told yet.
    left: Vec<u32>,
    lines: [Line; Rank::COUNT],
    len: usize,
    by_class: [u32; Class::ALL.len()],
    /// No wait ends before; `None` while nobody waits.
    next_end: Option<Instant>,
}

/// One caller between its neighbours in the line.
#[derive(Debug)]
struct Place {
    nth: u64,
    waiter: Option<Waiter>,
    ahead: Option<u32>,
    behind: Option<u32>,
}

/// Who waits in one rank.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    oldest: Option<u32>,
    youngest: Option<u32>,
    len: usize,
}

impl Queue {
    pub(crate) fn push(&mut self, waiter: Waiter) -> WaiterId {
        let (nth, line) = (self.next, &mut self.lines[waiter.rank.index()]);
        let place = Place { nth, waiter: Some(waiter), ahead: line.youngest, behind: None };
        let index = if let Some(index) = self.free.pop() {
            self.places[index as usize] = place;
            index
        } else {
            self.places.push(place);
            u32::try_from(self.places.len() - 1).expect("the capacity is a u32")
        };
        match line.youngest.replace(index) {
            Some(ahead) => self.places[ahead as usize].behind = Some(index),
            None => line.oldest = Some(index),
        }
        line.len += 1;
        self.len += 1;
        self.next += 1;
        self.by_class[waiter.class.index()] += 1;
        self.ends_by(waiter.until);
        WaiterId { nth, index }
    }

    pub(crate) fn remove(&mut self, id: WaiterId) -> Option<Waiter> {
        let place = self.places.get_mut(id.index()).filter(|place| place.nth == id.nth)?;
        let waiter = place.waiter.take()?;
        let (ahead, behind) = (place.ahead, place.behind);
        let line = &mut self.lines[waiter.rank.index()];
        match ahead {
            Some(ahead) => self.places[ahead as usize].behind = behind,
            None => line.oldest = behind,
        }
        match behind {
            Some(behind) => self.places[behind as usize].ahead = ahead,
            None => line.youngest = ahead,
        }
        line.len -= 1;
        self.len -= 1;
        self.left.push(id.index);
        self.by_class[waiter.class.index()] -= 1;
        if self.len == 0 {
            self.next_end = None;
        }
        Some(waiter)
    }

    /// The shell has been told of everyone who left: their places may be given to others.
    pub(crate) fn settle(&mut self) {
        if !self.left.is_empty() {
            self.free.append(&mut self.left);
        }
    }

    fn ends_by(&mut self, until: Instant) {
        self.next_end = Some(self.next_end.map_or(until, |end| end.min(until)));
    }

    fn id(&self, index: u32) -> WaiterId {
        WaiterId { nth: self.places[index as usize].nth, index }
    }

    fn at(&self, index: u32) -> Option<&Waiter> {
        self.places[index as usize].waiter.as_ref()
    }

    /// Those who wait in this rank, in order of arrival.
    fn in_line(&self, rank: Rank) -> impl Iterator<Item = (WaiterId, &Waiter)> {
        let indices =
            std::iter::successors(self.lines[rank.index()].oldest, |index| self.places[*index as usize].behind);
        indices.filter_map(|index| Some((self.id(index), self.at(index)?)))
    }

    fn oldest_of(&self, rank: Rank) -> Option<&Waiter> {
        self.lines[rank.index()].oldest.and_then(|index| self.at(index))
    }

    /// What is known of a waiter, if it still waits.
    pub(crate) fn get(&self, id: WaiterId) -> Option<&Waiter> {
        self.places.get(id.index()).filter(|place| place.nth == id.nth)?.waiter.as_ref()
    }

    fn get_mut(&mut self, id: WaiterId) -> Option<&mut Waiter> {
        self.places.get_mut(id.index()).filter(|place| place.nth == id.nth)?.waiter.as_mut()
    }

    /// The oldest waiter of a rank.
    pub(crate) fn head(&self, rank: Rank) -> Option<WaiterId> {
        self.lines[rank.index()].oldest.map(|index| self.id(index))
    }

    /// Where the oldest waiter of a rank is at home.
    pub(crate) fn home_of_head(&self, rank: Rank) -> u32 {
        self.oldest_of(rank).map_or(0, |waiter| waiter.home)
    }

    /// The youngest waiter of the least important rank below this one.
    pub(crate) fn youngest_below(&self, rank: Rank) -> Option<WaiterId> {
        let below = self.lines[rank.index() + 1..].iter().rev();
        below.filter_map(|line| line.youngest).next().map(|index| self.id(index))
    }

    /// The oldest waiter of this rank for whom a connection may be checked and none is yet, and the end of its wait.
    pub(crate) fn unchecked(&self, rank: Rank) -> Option<(WaiterId, Instant)> {
        let mut waiters = self.in_line(rank);
        let (id, waiter) = waiters.find(|(_, waiter)| !waiter.checks.under_way && !waiter.checks.are_exhausted())?;
        Some((id, waiter.until))
    }

    /// Changes what was checked for a waiter, if it still waits.
    pub(crate) fn checks_of(&mut self, id: WaiterId) -> Option<&mut Checks> {
        self.get_mut(id).map(|waiter| &mut waiter.checks)
    }

    /// Whether the oldest waiter of this rank has met too many dead connections.
    pub(crate) fn is_exhausted(&self, rank: Rank) -> bool {
        self.oldest_of(rank).is_some_and(|waiter| waiter.checks.are_exhausted())
    }

    /// How many wait, by class.
    pub(crate) const fn by_class(&self) -> [u32; Class::ALL.len()] {
        self.by_class
    }

    /// Since when the oldest one waits.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        Rank::ALL.into_iter().filter_map(|rank| self.oldest_of(rank)).map(|waiter| waiter.enqueued).min()
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many wait in this rank or in a more important one.
    pub(crate) fn ahead_of(&self, rank: Rank) -> usize {
        if self.is_empty() { 0 } else { self.lines[..=rank.index()].iter().map(|line| line.len).sum() }
    }

    /// How many wait in this rank.
    pub(crate) const fn of(&self, rank: Rank) -> usize {
        self.lines[rank.index()].len
    }

    pub(crate) const fn has(&self, rank: Rank) -> bool {
        self.of(rank) > 0
    }

    /// No wait ends before this.
    pub(crate) const fn next_end(&self) -> Option<Instant> {
        self.next_end
    }

    /// Those whose end has come, the first to end first.
    pub(crate) fn ended(&mut self, now: Instant) -> Vec<WaiterId> {
        if self.next_end.is_none_or(|end| now < end) {
            return Vec::new();
        }
        self.next_end = None;
        let mut ended = Vec::new();
        for index in 0..self.places.len() {
            let Place { nth, waiter: Some(Waiter { until, .. }), .. } = self.places[index] else { continue };
            let index = u32::try_from(index).expect("the capacity is a u32");
            if until <= now {
                ended.push((until, WaiterId { nth, index }));
            } else {
                self.ends_by(until);
            }
        }
        ended.sort_unstable();
        ended.into_iter().map(|(_, id)| id).collect()
    }

    /// How many are served before this waiter of this rank.
    pub(crate) fn before(&self, id: WaiterId, rank: Rank) -> usize {
        let above: usize = self.lines[..rank.index()].iter().map(|line| line.len).sum();
        above + self.in_line(rank).take_while(|(other, _)| *other < id).count()
    }

    /// This waiter waits as long as it may, whatever its class.
    pub(crate) fn wait_to_the_last(&mut self, id: WaiterId) {
        let Some(waiter) = self.get_mut(id) else { return };
        waiter.until = waiter.latest;
        let until = waiter.until;
        self.ends_by(until);
    }

    /// Whoever waits may wait for so much longer, up to its deadline.
    pub(crate) fn stood_still(&mut self, standstill: Standstill) {
        for waiter in self.places.iter_mut().filter_map(|place| place.waiter.as_mut()) {
            waiter.latest = standstill.due(waiter.latest).min(waiter.deadline);
            waiter.until = standstill.due(waiter.until).min(waiter.latest);
        }
        let ends = self.places.iter().filter_map(|place| place.waiter.as_ref()).map(|waiter| waiter.until);
        self.next_end = ends.min();
    }

    /// Takes out any waiter, the most important and oldest first.
    pub(crate) fn pop(&mut self) -> Option<(WaiterId, Waiter)> {
        let id = Rank::ALL.into_iter().find_map(|rank| self.head(rank))?;
        self.remove(id).map(|waiter| (id, waiter))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Who waits, as a list in order of arrival.
    #[derive(Default)]
    struct Naive(Vec<(WaiterId, Waiter)>);

    impl Naive {
        fn of(&self, rank: Rank) -> impl DoubleEndedIterator<Item = &(WaiterId, Waiter)> {
            self.0.iter().filter(move |(_, waiter)| waiter.rank == rank)
        }

        fn ended(&self, now: Instant) -> Vec<WaiterId> {
            let mut ended: Vec<_> = self.0.iter().filter(|(_, waiter)| waiter.until <= now).collect();
            ended.sort_by_key(|(id, waiter)| (waiter.until, *id));
            ended.into_iter().map(|(id, _)| *id).collect()
        }

        fn assert_is(&self, queue: &Queue) {
            assert_eq!((queue.len(), queue.is_empty()), (self.0.len(), self.0.is_empty()));
            assert_eq!(queue.oldest(), self.0.iter().map(|(_, waiter)| waiter.enqueued).min());
            let first = self.0.iter().map(|(_, waiter)| waiter.until).min();
            assert_eq!(queue.next_end().is_some(), first.is_some());
            assert!(queue.next_end() <= first, "no wait ends before the bound");
            for rank in Rank::ALL {
                let line: Vec<_> = self.of(rank).map(|(id, _)| *id).collect();
                assert_eq!(queue.in_line(rank).map(|(id, _)| id).collect::<Vec<_>>(), line);
                assert_eq!((queue.of(rank), queue.head(rank)), (line.len(), line.first().copied()));
                assert_eq!(queue.ahead_of(rank), self.0.iter().filter(|(_, waiter)| waiter.rank <= rank).count());
                let below = Rank::ALL.into_iter().rev().take_while(|below| *below > rank);
                let youngest = below.filter_map(|below| self.of(below).next_back()).next();
                assert_eq!(queue.youngest_below(rank), youngest.map(|(id, _)| *id));
                for id in line {
                    let before = self.0.iter().filter(|(other, waiter)| (waiter.rank, *other) < (rank, id)).count();
                    assert_eq!(queue.before(id, rank), before);
                }
            }
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
    fn whatever_happens_those_who_wait_stand_in_order_of_arrival_and_end_in_order_of_their_ends() {
        let mut drawn = 1_u64;
        let mut below = |end: usize| {
            // Knuth's generator, of which the high bits are good.
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(drawn >> 33).expect("31 bits") % end
        };
        for _ in 0..200 {
            let (mut now, mut queue, mut naive) = (Instant::now(), Queue::default(), Naive::default());
            for _ in 0..100 {
                let rank = Rank::ALL[below(Rank::COUNT)];
                match below(10) {
                    0..5 => {
                        let (until, class) = (now + Duration::from_millis(below(30) as u64), Class::ALL[below(5)]);
                        let latest = until + Duration::from_millis(below(2) as u64 * 20);
                        let (deadline, checks) = (latest, Checks::default());
                        let waiter = Waiter { class, rank, enqueued: now, deadline, latest, until, home: 0, checks };
                        naive.0.push((queue.push(waiter), waiter));
                    }
                    5 | 6 if !naive.0.is_empty() => {
                        let (id, waiter) = naive.0.remove(below(naive.0.len()));
                        assert_eq!(queue.remove(id).map(|removed| removed.until), Some(waiter.until));
                        assert!(queue.remove(id).is_none() && queue.get(id).is_none(), "it left once");
                    }
                    7 => {
                        let ended = queue.ended(now);
                        assert_eq!(ended, naive.ended(now));
                        for id in ended {
                            if below(2) == 0 {
                                queue.wait_to_the_last(id);
                                let (_, waiter) = naive.0.iter_mut().find(|(other, _)| *other == id).expect("it waits");
                                waiter.until = waiter.latest;
                            } else {
                                queue.remove(id);
                                naive.0.retain(|(other, _)| *other != id);
                            }
                        }
                    }
                    8 => {
                        let head = Rank::ALL.into_iter().find_map(|rank| queue.head(rank));
                        assert_eq!(queue.pop().map(|(id, _)| id), head);
                        naive.0.retain(|(id, _)| Some(*id) != head);
                    }
                    9 => queue.settle(),
                    _ => now += Duration::from_millis(below(10) as u64),
                }
                naive.assert_is(&queue);
            }
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
    fn a_place_is_given_to_another_one_when_the_shell_has_heard_of_those_who_left_and_not_before() {
        let (now, mut queue) = (Instant::now(), Queue::default());
        let waiter = Waiter {
            class: Class::Normal,
            rank: Rank::Normal,
            enqueued: now,
            deadline: now,
            latest: now,
            until: now,
            home: 0,
            checks: Checks::default(),
        };
        let first = queue.push(waiter);
        queue.remove(first);
        let second = queue.push(waiter);
        assert_ne!(first.index(), second.index());
        queue.settle();
        let third = queue.push(waiter);
        assert_eq!(first.index(), third.index());
        assert!(queue.remove(first).is_none() && first < second && second < third);
        assert_eq!(queue.len(), 2);
    }
}
