use std::time::Instant;

use super::Ledger;
use crate::{CloseReason, SlotId};

/// What the shell knows of the reach of its connections.
impl Ledger {
    /// Closes the idle connections of which the shell says that they are out of its reach. Nothing is concluded about the
    /// server.
    pub fn strand(&mut self, now: Instant, is_out_of_reach: impl Fn(SlotId) -> bool) {
        let idle = self.slots.idle().map(|(slot, _)| slot);
        let stranded: Vec<SlotId> = idle.filter(|slot| is_out_of_reach(*slot)).collect();
        for slot in stranded {
            self.discard(now, slot, CloseReason::Stranded);
        }
        self.pump(now);
    }

    /// Says where the connection is opened, before [`Ledger::opened`]. See [`crate::Ask::at`].
    pub fn locate(&mut self, slot: SlotId, home: u32) {
        self.slots.locate(slot, home);
    }
}
