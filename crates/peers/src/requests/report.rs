use std::fmt::Write as _;

use super::{Cost, Figures, Plan};
use crate::book::Spread;
use crate::machine::Machine;
use crate::report::spread;

/// What a run has to say.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) machine: Machine,
    /// The build in question, and the other.
    pub(super) names: [String; 2],
    pub(super) plan: Plan,
    pub(super) figures: Vec<Figures>,
}

/// What became of one case. The ratios are of the shop's processor time, taken within a round.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The build in question over the other.
    pub ratio: Spread,
    /// The other over itself.
    pub control: Spread,
    /// How far a median of so many rounds may be off, as the control shows.
    pub noise: f64,
}

impl Judged {
    /// Of the ratios of each round.
    fn of(ratios: &[f64], control: &[f64]) -> Option<Self> {
        let (ratio, spread) = (Spread::of(ratios.iter().copied())?, Spread::of(control.iter().copied())?);
        let rounds = control.len() as f64;
        let away = control.iter().map(|ratio| (ratio - spread.median).abs()).sum::<f64>() / rounds;
        // For what is spread normally 1.2533 makes a mean deviation a standard one, and once more a mean's error a median's.
        let error = 1.2533 * 1.2533 * away / rounds.sqrt();
        Some(Self { ratio, control: spread, noise: (spread.median - 1.0).abs() + 2.0 * error })
    }

    /// Whether the build in question takes at most so much of what the other takes, as far as can be told.
    #[must_use]
    pub fn holds(self, at_most: f64) -> bool {
        self.ratio.median <= at_most + self.noise
    }
}

impl Report {
    /// Each case.
    #[must_use]
    pub fn judged(&self) -> Vec<Judged> {
        self.figures.iter().filter_map(Figures::judged).collect()
    }

    /// What the build in question may take of what the other takes.
    #[must_use]
    pub const fn at_most(&self) -> f64 {
        self.plan.at_most
    }

    /// As text with tables.
    #[must_use]
    pub fn markdown(&self) -> String {
        let machine = self.machine.line(", one for each shop, with fsync");
        let ([ours, other], Plan { rounds, seed, products, at_most }) = (&self.names, &self.plan);
        let mut text = format!(
            "# The cost of a request: {ours} against {other}\n\n\
             {machine}\n\n\
             **Method.** {rounds} rounds, seed {seed}; in each every shop takes its turn in every case, in an order drawn anew: {products} requests \
             for a product, or as many of the others as take about as long. µs of processor time, user's and system's, of the \
             shop's process and of its database; medians with least..most. Ratios are taken within a round. *By chance* is {other} over a \
             second shop of the same build, and *noise* how far a median of so many rounds may be off by that. A ratio is to be at most {at_most:.2}, give or take that.\n\n\
             | request | clients | {other}, µs | {ours}, µs | ratio | by chance | noise | |\n|---|---|---|---|---|---|---|---|\n"
        );
        for figures in &self.figures {
            let Some(judged) = figures.judged() else { continue };
            let verdict = if judged.holds(self.plan.at_most) { "held" } else { "**slower**" };
            _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {:.3} | {verdict} |",
                figures.case.journey.name(),
                figures.case.clients,
                shown(figures.other.iter().map(|cost| cost.shop)),
                shown(figures.ours.iter().map(|cost| cost.shop)),
                ratio(judged.ratio),
                ratio(judged.control),
                judged.noise,
            );
        }
        text.push_str("\n| request | clients | Postgres: ");
        _ = writeln!(
            text,
            "{other}, µs | {ours}, µs | ratio | wall clock: {other}, µs | {ours}, µs | ratio |\n|---|---|---|---|---|---|---|---|"
        );
        for figures in &self.figures {
            let sides = [Cost::postgres, Cost::wall].map(|of| {
                let found = Spread::of(over(&figures.ours, &figures.other, of));
                let costs = [&figures.other, &figures.ours].map(|costs| shown(costs.iter().map(of)));
                format!("{} | {} | {}", costs[0], costs[1], found.map_or_else(|| "-".to_owned(), ratio))
            });
            let (name, clients) = (figures.case.journey.name(), figures.case.clients);
            _ = writeln!(text, "| {name} | {clients} | {} | {} |", sides[0], sides[1]);
        }
        text
    }
}

impl Figures {
    fn judged(&self) -> Option<Judged> {
        let of = |cost: &Cost| cost.shop;
        Judged::of(&over(&self.ours, &self.other, of), &over(&self.again, &self.other, of))
    }
}

impl Cost {
    pub(super) fn shop(&self) -> f64 {
        self.shop
    }

    pub(super) fn postgres(&self) -> f64 {
        self.postgres
    }

    pub(super) fn both(&self) -> f64 {
        self.shop + self.postgres
    }

    fn wall(&self) -> f64 {
        self.wall
    }
}

pub(super) fn over(costs: &[Cost], base: &[Cost], of: impl Fn(&Cost) -> f64) -> Vec<f64> {
    let pairs = costs.iter().zip(base).filter(|(_, base)| of(base) > 0.0);
    pairs.map(|(cost, base)| of(cost) / of(base)).collect()
}

fn shown(values: impl Iterator<Item = f64>) -> String {
    Spread::of(values).map_or_else(|| "-".to_owned(), spread)
}

/// Hundredths matter here.
fn ratio(Spread { median, min, max }: Spread) -> String {
    format!("{median:.3} ({min:.3}..{max:.3})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_the_noise_of_the_other_build_is_not_slower() {
        let steady = [1.0, 1.001, 0.999, 1.0, 1.0];
        let shaky = [0.9, 1.1, 1.05, 0.95, 1.0];
        let holds = |ratios: &[f64], control: &[f64]| Judged::of(ratios, control).expect("some rounds").holds(1.0);
        assert!(holds(&steady, &steady) && holds(&[0.9; 5], &steady));
        assert!(!holds(&[1.02; 5], &steady), "two in a hundred are seen on a quiet machine");
        assert!(holds(&[1.02; 5], &shaky), "and not on one that does other things");
        assert!(!holds(&[1.5; 5], &shaky));
        let less = Judged::of(&[0.95; 5], &steady).expect("some rounds");
        assert!(less.holds(0.95) && !less.holds(0.9), "and less may be asked for");
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let cost = |shop| Cost { shop, postgres: 0.0, wall: 1.0 };
        let (ours, other) = ([cost(2.0), cost(30.0)], [cost(1.0), cost(10.0)]);
        assert_eq!(over(&ours, &other, |cost| cost.shop), [2.0, 3.0]);
        assert!(over(&ours, &other, Cost::postgres).is_empty());
    }
}
