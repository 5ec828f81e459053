use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use forebay_pool_core::{Class, Ledger, ShedReason};

use crate::sync::AtomicU64;

/// Says no without the pool's lock, where the ledger has said so before and nothing has happened since.
///
/// Once the ledger has refused a class, what it would say to that one is put here under the lock, and again after every change,
/// until it would not be refused. Since a class that is shut stays so until something happens ([`Ledger::shut`]), nobody is
/// refused here whom the ledger would have let in at the moment of asking. Of those refused the ledger is told at the next
/// change, the next beat at the latest.
/// It has lines of the processor's cache for itself: whoever asks here does not hold up those who have the lock.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Threshold {
    /// Why each class is refused: a byte for each, zero where it is not.
    shut: AtomicU64,
    /// In nanoseconds: when the first that is refused here is told to come back, and how much later each after it.
    first: AtomicU64,
    apart: AtomicU64,
    /// How many of each class were refused here since the ledger was told.
    refused: [AtomicU64; Class::ALL.len()],
}

impl Threshold {
    /// Nobody is told to come back later; as long as the ledger's calendar is.
    const LATEST: Duration = Duration::from_secs(30);

    /// Refuses somebody of this class, if it is shut: why, and when to come back.
    pub(crate) fn refuse(&self, class: Class) -> Option<(ShedReason, Duration)> {
        let reason = reason_of(self.shut.load(Relaxed), class)?;
        let (own, counts) = (class as usize, self.refused.iter().enumerate());
        let of_others: u64 = counts.filter(|(of, _)| *of != own).map(|(_, refused)| refused.load(Relaxed)).sum();
        let before = of_others + self.refused[own].fetch_add(1, Relaxed);
        let wait = self.apart.load(Relaxed).saturating_mul(before).saturating_add(self.first.load(Relaxed));
        Some((reason, Duration::from_nanos(wait).min(Self::LATEST)))
    }

    /// Tells the ledger of those who were refused here, before it changes.
    pub(crate) fn tell(&self, ledger: &mut Ledger, now: Instant) {
        if self.refused.iter().all(|refused| refused.load(Relaxed) == 0) {
            return;
        }
        let shut = self.shut.load(Relaxed);
        for (class, refused) in Class::ALL.iter().zip(&self.refused) {
            let count = u32::try_from(refused.swap(0, Relaxed)).unwrap_or(u32::MAX);
            if count > 0 {
                // One that came in while the door was opened is counted under the usual reason.
                let reason = reason_of(shut, *class).unwrap_or(ShedReason::PredictedWait);
                ledger.refused_outside(now, *class, reason, count);
            }
        }
    }

    /// Does as the ledger would do now with these classes, one of which was refused each; says which of them still are. Whoever is of
    /// another class asks the ledger.
    pub(crate) fn follow(&self, ledger: &Ledger, now: Instant, refused: Classes) -> Classes {
        let (mut shut, mut still) = ([0; 8], Classes::default());
        for (class, byte) in Class::ALL.iter().zip(&mut shut) {
            if refused.has(*class)
                && let Some(reason) = ledger.shut(now, *class)
            {
                *byte = 1 + reason as u8;
                still.add(*class);
            }
        }
        if still.any() {
            let (first, apart) = ledger.next_return(now);
            self.first.store(nanos(first), Relaxed);
            self.apart.store(nanos(apart), Relaxed);
        }
        self.shut.store(u64::from_le_bytes(shut), Relaxed);
        still
    }
}

/// Some of all classes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Classes(u8);

impl Classes {
    pub(crate) const fn any(self) -> bool {
        self.0 != 0
    }

    pub(crate) const fn add(&mut self, class: Class) {
        self.0 |= 1 << class as u8;
    }

    const fn has(self, class: Class) -> bool {
        self.0 & 1 << class as u8 != 0
    }
}

fn reason_of(shut: u64, class: Class) -> Option<ShedReason> {
    let nth = shut.to_le_bytes()[class as usize];
    ShedReason::ALL.get(usize::from(nth.checked_sub(1)?)).copied()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
