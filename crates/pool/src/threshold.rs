use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use forebay_pool_core::{Class, Ledger, ShedReason};

use crate::sync::AtomicU64;

/// Says no without the pool's lock, where the ledger has said so before and nothing has happened since.
///
/// Once the ledger has refused a class, what it would say to each is put here under the lock, and again after every change,
/// until nobody would be refused. Since a class that is shut stays so until something happens ([`Ledger::shut`]), nobody is
/// refused here whom the ledger would have let in at the moment of asking. Of those refused the ledger is told at the next
/// change, the next beat at the latest.
#[derive(Debug, Default)]
pub(crate) struct Threshold {
    /// Why each class is refused: a byte for each, zero where it is not.
    shut: AtomicU64,
    /// In nanoseconds: when the first that is refused here is told to come back, and how much later each after it.
    first: AtomicU64,
    apart: AtomicU64,
    /// How many were refused here since the ledger was told: in all, and of each class.
    refused: AtomicU64,
    refused_of: [AtomicU64; Class::ALL.len()],
}

impl Threshold {
    /// Nobody is told to come back later; as long as the ledger's calendar is.
    const LATEST: Duration = Duration::from_secs(30);

    /// Refuses somebody of this class, if it is shut: why, and when to come back.
    pub(crate) fn refuse(&self, class: Class) -> Option<(ShedReason, Duration)> {
        let reason = reason_of(self.shut.load(Relaxed), class)?;
        self.refused_of[class as usize].fetch_add(1, Relaxed);
        // Whoever sees this one sees that one.
        let before = self.refused.fetch_add(1, Release);
        let wait = self.apart.load(Relaxed).saturating_mul(before).saturating_add(self.first.load(Relaxed));
        Some((reason, Duration::from_nanos(wait).min(Self::LATEST)))
    }

    /// Tells the ledger of those who were refused here, before it changes.
    pub(crate) fn tell(&self, ledger: &mut Ledger, now: Instant) {
        if self.refused.load(Relaxed) == 0 || self.refused.swap(0, Acquire) == 0 {
            return;
        }
        let shut = self.shut.load(Relaxed);
        for (class, refused) in Class::ALL.iter().zip(&self.refused_of) {
            let count = u32::try_from(refused.swap(0, Relaxed)).unwrap_or(u32::MAX);
            if count > 0 {
                // One that came in while the door was opened is counted under the usual reason.
                let reason = reason_of(shut, *class).unwrap_or(ShedReason::PredictedWait);
                ledger.refused_outside(now, *class, reason, count);
            }
        }
    }

    /// Does as the ledger would do now; says whether anybody is refused.
    pub(crate) fn follow(&self, ledger: &Ledger, now: Instant) -> bool {
        let mut shut = [0; 8];
        for (class, byte) in Class::ALL.iter().zip(&mut shut) {
            *byte = ledger.shut(now, *class).map_or(0, |reason| 1 + reason as u8);
        }
        let shut = u64::from_le_bytes(shut);
        if shut != 0 {
            let (first, apart) = ledger.next_return(now);
            self.first.store(nanos(first), Relaxed);
            self.apart.store(nanos(apart), Relaxed);
        }
        self.shut.store(shut, Relaxed);
        shut != 0
    }
}

fn reason_of(shut: u64, class: Class) -> Option<ShedReason> {
    let nth = shut.to_le_bytes()[class as usize];
    ShedReason::ALL.get(usize::from(nth.checked_sub(1)?)).copied()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
