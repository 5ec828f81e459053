use std::sync::atomic::{AtomicU32, Ordering};

/// What repetitions may cost: a tenth of what succeeds, and a burst of ten. Where everything fails, to repeat it all makes
/// more of what it fails of; so [`spend`](Self::spend) before the pause that precedes a repetition, and give up without it.
/// (Finagle's retry budget, with a tenth instead of its fifth.)
///
/// ```
/// let budget = forebay_pool::RetryBudget::default();
/// assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
/// (0..10).for_each(|_| budget.earn());
/// assert!(budget.spend() && !budget.spend());
/// ```
#[derive(Debug)]
pub struct RetryBudget {
    /// Tenths of a repetition.
    tokens: AtomicU32,
}

impl RetryBudget {
    const ONE: u32 = 10;
    const BURST: u32 = 10 * Self::ONE;

    /// Something succeeded.
    pub fn earn(&self) {
        let more = |tokens: u32| (tokens < Self::BURST).then_some(tokens + 1);
        // Full is as good.
        let _full = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes one repetition; false where none is left, and none may be made.
    ///
    /// ```no_run
    /// # async fn ask() -> Result<(), ()> { Ok(()) }
    /// # async fn example(budget: forebay_pool::RetryBudget) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut answer = ask().await;
    /// while answer.is_err() && budget.spend() {
    ///     answer = ask().await;
    /// }
    /// if answer.is_ok() {
    ///     budget.earn();
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn spend(&self) -> bool {
        let less = |tokens: u32| tokens.checked_sub(Self::ONE);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { tokens: AtomicU32::new(Self::BURST) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;

    use super::RetryBudget;

    proptest::proptest! {
        #[test]
        fn whatever_happens_no_more_is_repeated_than_a_burst_and_a_tenth_of_what_succeeded(history in vec(any::<bool>(), 0..2_000)) {
            let budget = RetryBudget::default();
            let (mut succeeded, mut repeated) = (0, 0);
            for success in history {
                if success {
                    succeeded += 1;
                    budget.earn();
                } else {
                    repeated += usize::from(budget.spend());
                }
                assert!(repeated <= 10 + succeeded / 10, "{repeated} after {succeeded}");
            }
        }
    }

    #[test]
    fn repetitions_are_a_burst_and_then_a_tenth_of_what_succeeds() {
        let budget = RetryBudget::default();
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        for _ in 0..25 {
            budget.earn();
        }
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 2);
        for _ in 0..1_000 {
            budget.earn();
        }
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }
}
