use std::collections::VecDeque;
use std::time::Instant;

use forebay_pool_core::Event;

use crate::Holder;

/// Something that has happened, as [`crate::Pool::history`] remembers it.
///
/// ```
/// # fn example(pool: &forebay_pool::Pool) {
/// let mut seen = 0;
/// for happening in pool.history().iter().filter(|happening| happening.number > seen) {
///     println!("{:?} ago: {:?}", happening.at.elapsed(), happening.event);
/// }
/// seen = pool.history().last().map_or(seen, |last| last.number);
/// # let _ = seen;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Happening {
    /// Counted from 1 since the pool was made, so that a reader knows what it has seen.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// What. Limits that a sizer only tries out, one after another, are one happening: from the first to the last.
    pub event: Event,
    /// How often; more than 1 only for limits that were tried out.
    pub times: u32,
    /// Whose lease, for events about a lease.
    pub holder: Option<Holder>,
}

/// The last happenings, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    last: VecDeque<Happening>,
    number: u64,
}

impl History {
    const CAPACITY: usize = 64;

    pub(crate) fn note(&mut self, at: Instant, event: Event, holder: Option<Holder>) {
        if event.is_try() && self.goes_on(&event) {
            return;
        }
        self.number += 1;
        if self.last.len() == Self::CAPACITY {
            self.last.pop_front();
        }
        self.last.push_back(Happening { number: self.number, at, event, times: 1, holder });
    }

    /// One more of the tries that the last happening is about.
    fn goes_on(&mut self, event: &Event) -> bool {
        let Some(last) = self.last.back_mut().filter(|last| last.event.is_try()) else { return false };
        if let (Event::LimitChanged { to, reason, .. }, Event::LimitChanged { to: now, reason: why, .. }) =
            (&mut last.event, event)
        {
            (*to, *reason) = (*now, *why);
        }
        last.times += 1;
        true
    }

    pub(crate) fn list(&self) -> Vec<Happening> {
        self.last.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_in_a_row_are_one_happening_and_the_oldest_are_forgotten() {
        let (mut history, now) = (History::default(), crate::clock::now());
        let limit = |from, to, reason| Event::LimitChanged { from, to, reason };
        history.note(now, limit(10, 20, "knee_climb"), None);
        history.note(now, limit(20, 22, "knee_try_more"), None);
        history.note(now, limit(22, 18, "knee_try_less"), None);
        history.note(now, Event::BreakerClosed, None);
        let list = history.list();
        assert_eq!(list.iter().map(|one| (one.number, one.times)).collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 1)]);
        assert_eq!(list[1].event, limit(20, 18, "knee_try_less"));
        (0..100).for_each(|_| history.note(now, Event::BreakerClosed, None));
        assert_eq!((history.list().len(), history.list()[0].number), (History::CAPACITY, 40));
    }
}
