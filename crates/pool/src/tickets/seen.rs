use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use super::TicketFate;
use super::seal::{SIGNATURE, Ticket, millis};

/// The tickets that were used, until their slots are over.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By the stretch of time in which their slots end.
    used: BTreeMap<u64, HashSet<[u8; SIGNATURE]>>,
    /// Of which stretch, and of all before it, nothing is known any more.
    forgotten: u64,
}

impl Seen {
    /// How long a stretch lasts, in milliseconds.
    const STRETCH: u64 = 5_000;
    /// How many are remembered of one stretch: half a megabyte.
    pub(super) const MOST: usize = 16_384;

    /// Uses a ticket that is good now.
    pub(super) fn note(&mut self, now: SystemTime, ticket: &Ticket) -> TicketFate {
        self.forget(now);
        let stretch = ticket.slot.end() / Self::STRETCH;
        if stretch < self.forgotten {
            // The clock was set back: whether it was used is not known.
            return TicketFate::Late;
        }
        let used = self.used.entry(stretch).or_default();
        match used {
            _ if used.contains(&ticket.signature) => TicketFate::Replayed,
            _ if used.len() >= Self::MOST => TicketFate::Crowded,
            _ => {
                used.insert(ticket.signature);
                TicketFate::Honoured
            }
        }
    }

    fn forget(&mut self, now: SystemTime) {
        let present = millis(now).unwrap_or_default() / Self::STRETCH;
        if present > self.forgotten {
            self.forgotten = present;
            self.used = self.used.split_off(&present);
        }
    }
}
