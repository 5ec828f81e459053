//! One pool's turn under open-loop load.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::load::{Caller, Manners, Stretch, Visit, arrivals, play};
use super::verdict;
use crate::book::Measured;
use crate::pools::fill;
use crate::stage::Stage;
use crate::work::Work;
use crate::{BenchError, Held, Peer, Plan};

/// Who comes, and when: the same for all pools of a round.
#[derive(Clone)]
pub(crate) struct Scene<'s> {
    pub(crate) stage: &'s Stage,
    pub(crate) callers: Arc<[Caller]>,
    pub(crate) manners: Manners,
}

impl<'s> Scene<'s> {
    /// Callers that arrive by chance in these stretches, and go away for good when there is nothing for them.
    pub(crate) fn new(stage: &'s Stage, plan: &Plan, round: u32, stretches: &[Stretch], work: Work) -> Self {
        let mut dice = StdRng::seed_from_u64(plan.seed ^ (u64::from(round) << 32));
        let callers = Caller::alike(&arrivals(stretches, &mut dice), work);
        Self { stage, callers: callers.into(), manners: Manners::Leave }
    }

    /// The same, each caller changed by what is given.
    pub(crate) fn changed(self, change: impl Fn(usize, Caller) -> Caller) -> Self {
        let callers = self.callers.iter().enumerate().map(|(index, caller)| change(index, *caller));
        Self { callers: callers.collect(), ..self }
    }

    pub(crate) fn with(self, manners: Manners) -> Self {
        Self { manners, ..self }
    }

    /// Opens so many connections, plays the load, and closes the pool. `told` is what the visits amount to, with the new
    /// sessions that the server was asked for.
    pub(crate) async fn play<P: Peer<Lease: Held>>(
        &self,
        peer: P,
        filled: u32,
        told: impl FnOnce(&[Visit], u32) -> Vec<(&'static str, f64)>,
    ) -> Result<Measured, BenchError> {
        fill(&peer, filled).await?;
        let asked = self.stage.asked_for()?;
        let visits = play(&peer, &self.callers, self.manners).await?;
        let sessions = asked.since()?;
        // A pool that is in a bad way need not find out of it by itself.
        _ = tokio::time::timeout(Duration::from_secs(5), peer.close()).await;
        Ok(Measured { values: told(&visits, sessions), void: verdict::late(&visits) })
    }
}
