use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::pool::Caller;

/// Who waits, in order of arrival, each with an end.
#[derive(Debug, Default)]
pub(super) struct Line {
    next: u64,
    waiting: BTreeMap<u64, (Caller, Duration)>,
    ends: BTreeSet<(Duration, u64)>,
    places: HashMap<Caller, u64>,
}

impl Line {
    pub(super) fn push(&mut self, caller: Caller, until: Duration) {
        self.next += 1;
        self.waiting.insert(self.next, (caller, until));
        self.ends.insert((until, self.next));
        self.places.insert(caller, self.next);
    }

    pub(super) fn pop_oldest(&mut self) -> Option<Caller> {
        let number = *self.waiting.first_key_value()?.0;
        self.take(number)
    }

    pub(super) fn pop_newest(&mut self) -> Option<Caller> {
        let number = *self.waiting.last_key_value()?.0;
        self.take(number)
    }

    /// Whoever should have left by now, the one whose end came first.
    pub(super) fn pop_ended(&mut self, now: Duration) -> Option<Caller> {
        let (_, number) = *self.ends.first().filter(|(end, _)| *end <= now)?;
        self.take(number)
    }

    /// Says whether it waited.
    pub(super) fn remove(&mut self, caller: Caller) -> bool {
        self.places.get(&caller).copied().and_then(|number| self.take(number)).is_some()
    }

    pub(super) fn next_end(&self) -> Option<Duration> {
        self.ends.first().map(|(end, _)| *end).filter(|end| *end < Duration::MAX)
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take(&mut self, number: u64) -> Option<Caller> {
        let (caller, until) = self.waiting.remove(&number)?;
        self.ends.remove(&(until, number));
        self.places.remove(&caller);
        Some(caller)
    }
}
