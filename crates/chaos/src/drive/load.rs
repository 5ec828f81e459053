//! The load: journeys that arrive when they were drawn to, whatever becomes of those before them.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::arrivals::Arrivals;
use super::journey::Travellers;
use crate::progress::Progress;
use crate::stop::Stop;

/// Between two lines of progress.
const EVERY: Duration = Duration::from_secs(5);
/// Journeys that have ended are forgotten whenever so many have begun.
const TIDY_EVERY: u64 = 1_024;

/// How a load ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasted {
    /// How long journeys arrived.
    pub(crate) arriving: Duration,
    /// Until the last of them had ended.
    pub(crate) all: Duration,
    /// Whether somebody stopped it early.
    pub(crate) interrupted: bool,
}

/// Lets `arrivals` come until there are no more or somebody asks to stop; returns when all journeys have ended, which all
/// do by themselves. An arrival that begins more than `punctual` after its time is late.
///
/// If the future is dropped, all journeys end at once.
pub(crate) async fn load(
    travellers: &Travellers,
    arrivals: Arrivals,
    punctual: Duration,
    stop: &Stop,
    progress: Progress,
) -> Lasted {
    let start = Instant::now();
    let loading = async {
        let mut journeys = JoinSet::new();
        let interrupted = arrive(travellers, arrivals, punctual, start, stop, &mut journeys).await;
        let arriving = start.elapsed();
        while journeys.join_next().await.is_some() {}
        Lasted { arriving, all: start.elapsed(), interrupted }
    };
    tokio::select! {
        lasted = loading => lasted,
        never = narrate(travellers, start, progress) => match never {},
    }
}

/// Whether somebody asked to stop.
async fn arrive(
    travellers: &Travellers,
    arrivals: Arrivals,
    punctual: Duration,
    start: Instant,
    stop: &Stop,
    journeys: &mut JoinSet<()>,
) -> bool {
    for (number, arrival) in (1_u64..).zip(arrivals) {
        let intended = start + Duration::from_secs_f64(arrival.at);
        tokio::select! {
            biased;
            () = stop.asked() => return true,
            () = sleep_until(intended) => {}
        }
        let travellers = travellers.clone();
        journeys.spawn(async move {
            let late = intended.elapsed();
            travellers.customer.notebook.with(|record| record.arrival(late, punctual));
            travellers.run(arrival, intended).await;
        });
        if number % TIDY_EVERY == 0 {
            while journeys.try_join_next().is_some() {}
        }
    }
    false
}

async fn narrate(travellers: &Travellers, start: Instant, progress: Progress) -> std::convert::Infallible {
    let mut ticks = interval_at(start + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let (counts, answered) = travellers
            .customer
            .notebook
            .with(|record| (record.counts, record.purchases.iter().filter(|purchase| purchase.is_promised()).count()));
        progress.line(format!(
            " {:>5} s  sent {:>7}  ok {:>7}  shed {:>5}  failed {:>5}  orders answered {:>6}",
            start.elapsed().as_secs(),
            counts.sent,
            counts.ok,
            counts.shed,
            counts.failed,
            answered,
        ));
    }
}
