use std::collections::BTreeMap;

use crate::{Kind, Side};

/// What came by, forwarded or swallowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were accepted.
    pub dials: u64,
    /// Sessions that became ready for their first statement.
    pub ready: u64,
    /// Times that a client asked and the server said it was ready again: a `Sync`, a simple query or a function call, each
    /// with its `ReadyForQuery`. The beginning of a session is none.
    pub round_trips: u64,
    /// Bytes of whole frames, both directions.
    pub bytes: u64,
    frames: BTreeMap<(Side, Kind), u64>,
}

impl Counts {
    /// Messages of this type from this side.
    #[must_use]
    pub fn messages(&self, side: Side, tag: u8) -> u64 {
        self.frames(side, Kind::Message(tag))
    }

    /// Frames of this kind from this side.
    #[must_use]
    pub fn frames(&self, side: Side, kind: Kind) -> u64 {
        self.frames.get(&(side, kind)).copied().unwrap_or(0)
    }

    /// Every frame from this side.
    #[must_use]
    pub fn all_frames(&self, side: Side) -> u64 {
        self.frames.iter().filter(|((from, _), _)| *from == side).map(|(_, count)| count).sum()
    }

    /// What came by after `before`, an earlier reading of the same counts.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let frames = self.frames.iter().map(|(of, count)| (*of, count - before.frames(of.0, of.1)));
        Self {
            dials: self.dials - before.dials,
            ready: self.ready - before.ready,
            round_trips: self.round_trips - before.round_trips,
            bytes: self.bytes - before.bytes,
            frames: frames.filter(|(_, count)| *count > 0).collect(),
        }
    }

    pub(crate) fn of_one_dial() -> Self {
        Self { dials: 1, ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.dials += other.dials;
        self.ready += other.ready;
        self.round_trips += other.round_trips;
        self.bytes += other.bytes;
        for (of, count) in &other.frames {
            *self.frames.entry(*of).or_default() += count;
        }
    }

    pub(crate) fn frame(&mut self, side: Side, kind: Kind, size: u64) {
        *self.frames.entry((side, kind)).or_default() += 1;
        self.bytes += size;
    }
}
