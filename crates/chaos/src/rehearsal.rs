//! A play in virtual time: the same scenario, the same schedule of users and the same measures, on the simulator's world instead
//! of a shop. Seconds instead of minutes, any number of seeds, and the same seed gives the same figures.
//!
//! What the world leaves out is listed in `docs/scenarios.md`; our arm decides by the ledger that serves.

pub mod figures;
pub mod programme;
pub mod recorded;
pub mod stand_in;
mod verdict;

use std::sync::Arc;

use forebay_sim::lab::on_all_processors;
use forebay_sim::world;
use serde::Serialize;

use crate::arm::Arm;
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::verdict::Verdict;
use figures::Figures;
use stand_in::StandIn;

/// A scenario in virtual time, over seeds, on each of its arms.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsal {
    /// What was played.
    pub scenario: Scenario,
    /// The seeds, from the first to the last.
    pub seeds: [u64; 2],
    /// Requests a second that the legacy arm can do in this world.
    pub capacity: f64,
    /// What came of it, arm by arm.
    pub arms: Vec<Figures>,
    /// Whether the scenario's marks hold, with every seed.
    pub verdict: Verdict,
}

/// Plays `scenario` on these stand-ins with each of `seeds`. With no seed there is nothing to judge.
#[must_use]
pub fn rehearse(scenario: &Scenario, cast: &[StandIn], seeds: std::ops::RangeInclusive<u64>) -> Rehearsal {
    let capacity = stand_in::capacity();
    let ends = [*seeds.start(), *seeds.end()];
    let plays: Vec<(usize, u64)> = seeds.clone().flat_map(|seed| (0..cast.len()).map(move |arm| (arm, seed))).collect();
    let played = on_all_processors(&plays, |(arm, seed)| cast[*arm].play(scenario, capacity, *seed));
    let mut arms: Vec<Figures> = cast.iter().map(|stand_in| Figures::of(stand_in.arm, stand_in.name.clone())).collect();
    for ((arm, _), played) in plays.iter().zip(played) {
        arms[*arm].push(&played.unwrap_or_default());
    }
    let verdict = verdict::judge(scenario, &arms);
    Rehearsal { scenario: scenario.clone(), seeds: ends, capacity, arms, verdict }
}

/// The stand-ins of these arms, as they are shipped.
#[must_use]
pub fn cast(arms: &[Arm]) -> Vec<StandIn> {
    arms.iter().map(|arm| StandIn::of(*arm)).collect()
}

impl StandIn {
    /// Plays it once; a value for each measure.
    fn play(&self, scenario: &Scenario, capacity: f64, seed: u64) -> figures::Values {
        let schedule = Schedule::draw(scenario, capacity, seed);
        let world = self.world(scenario, &schedule);
        let record = world::run(&world, &mut *self.pool(scenario, seed), seed);
        let recording = recorded::of(self.arm, &record);
        figures::values(&schedule, &recording, scenario, &record)
    }
}

/// Visits of a schedule, as the world takes them.
fn visits(schedule: &Schedule) -> Arc<[forebay_sim::scenario::Visit]> {
    schedule.journeys.iter().map(stand_in::visit).collect()
}

#[cfg(test)]
mod tests;
