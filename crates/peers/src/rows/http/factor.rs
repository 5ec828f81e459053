//! Up to which multiple of its capacity an app answers what it can.

use axum::Router;
use sqlx::postgres::PgConnectOptions;

use crate::book::{Book, Measured};
use crate::plan::Span;
use crate::pools::{Forebay, Stock, fill, names};
use crate::rows::capacity::{ANSWERS, Bare, Service};
use crate::rows::load::{Stretch, Visit};
use crate::rows::overload::{TUNED_WAIT, case};
use crate::rows::scene::Scene;
use crate::rows::verdict::{Frame, GOODPUT, WAIT_P50, WAIT_P99, WAIT_P999};
use crate::run::{Bench, Turn};
use crate::web::Site;
use crate::work::Work;
use crate::{BenchError, Held, Peer, Plan, Row};

const FACTORS: [f64; 6] = [1.5, 3.0, 6.0, 12.0, 24.0, 48.0];
const ALL: &str = "all factors";
const FACTOR: &str = "factor up to which goodput is at least 0.95";
const GOOD: f64 = 0.95;
const BASE: f64 = 0.5;

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let service = Service::find(bench).await?;
    bench.book.remark(Row::Http, service.described());
    bench.book.remark(Row::Http, described(plan, service.best.size));
    for round in 0..plan.rounds {
        for factor in FACTORS {
            let span = Span { window: 2 * plan.window, ..plan.span() };
            let capacity = Bare { stage, work: service.work }.answers(service.best.size, span).await?;
            bench.book.enter(Row::Http, &case(factor), names::BARE, round, Measured::of([(ANSWERS, capacity)]));
            stage.settle().await?;
            let setup = &Setup::new(bench, round, &service, capacity, factor);
            bench.round(Row::Http, round, setup.turns(service.best.size)).await?;
        }
        for pool in [names::FOREBAY, names::SQLX_TUNED] {
            factor(&mut bench.book, pool, round);
        }
    }
    Ok(())
}

fn described(plan: &Plan, size: u32) -> String {
    format!(
        "Factor: an app of one route, which takes a connection, runs that statement, and answers 200. Ours is behind its door, \
         nothing tuned; sqlx's has {size} connections, no ping before a lease, and a wait limit of {} ms, after which it \
         answers 503. Requests come by chance (Poisson) over connections that are kept alive: {BASE} of the capacity for \
         {:.1} s, then the multiple for {:.1} s; nobody comes back. Clients, app and server share the processors, and the capacity \
         was measured without clients and app: what they take is missing from goodput. A factor of 0 is less than {}.",
        TUNED_WAIT.as_millis(),
        plan.second.as_secs_f64(),
        2.0 * plan.second.as_secs_f64(),
        FACTORS[0],
    )
}

/// Enters the largest factor such that it and all smaller ones were good enough. A void turn ends it too.
fn factor(book: &mut Book, pool: &'static str, round: u32) {
    let mut reached = 0.0;
    for factor in FACTORS {
        let figure = book.find(Row::Http, &case(factor), GOODPUT, pool);
        let sample = figure.and_then(|figure| figure.samples.iter().find(|sample| sample.round == round)).copied();
        match sample {
            Some(sample) if sample.valid && sample.value >= GOOD => reached = factor,
            Some(sample) if sample.valid => break,
            _ => {
                let text = format!(
                    "{pool}, round {}: the turn at {factor}x is void, so that the factor is what was shown before it, and \
                     may be more.",
                    round + 1
                );
                book.remark(Row::Http, text);
                break;
            }
        }
    }
    book.enter(Row::Http, ALL, pool, round, Measured::of([(FACTOR, reached)]));
}

struct Setup<'s> {
    scene: Scene<'s>,
    frame: Frame,
    work: Work,
    case: String,
}

impl<'s> Setup<'s> {
    fn new(bench: &Bench<'s>, round: u32, service: &Service, capacity: f64, factor: f64) -> Self {
        let Plan { second, .. } = *bench.plan;
        let stretches =
            [(second, BASE), (2 * second, factor)].map(|(lasts, load)| Stretch { lasts, rate: load * capacity });
        let frame = Frame { from: second, to: 3 * second, end: 3 * second, capacity };
        let scene = Scene::new(bench.stage, bench.plan, round, &stretches, service.work);
        Self { scene, frame, work: service.work, case: case(factor) }
    }

    fn turns<'t>(&'t self, size: u32) -> Vec<Turn<'t>> {
        let door = |peer: Forebay, work| super::behind_the_door(peer.pool().clone(), work);
        let tuned = move |options: &PgConnectOptions| Ok(Stock::trusting(options, size, Some(TUNED_WAIT)));
        vec![
            self.turn(names::FOREBAY, 1, Forebay::by_default, door),
            self.turn(names::SQLX_TUNED, size, tuned, super::plain),
        ]
    }

    /// The pool is opened by its app when its turn comes, with so many connections.
    fn turn<'t, P: Peer<Lease: Held>>(
        &'t self,
        pool: &'static str,
        filled: u32,
        open: impl FnOnce(&PgConnectOptions) -> Result<P, BenchError> + Send + 'static,
        router: impl FnOnce(P, Work) -> Router + Send + 'static,
    ) -> Turn<'t> {
        let (options, work) = (self.scene.stage.options.clone(), self.work);
        Turn::new(&*self.case, pool, async move {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let build = async move {
                let peer = open(&options)?;
                fill(&peer, filled).await?;
                Ok((router(peer.clone(), work), peer))
            };
            let site = Site::open(threads, build).await?;
            self.scene.play(site, 1, |visits, sessions| self.told(visits, sessions)).await
        })
    }

    /// Who asks over HTTP cannot tell waiting from being served.
    fn told(&self, visits: &[Visit], sessions: u32) -> Vec<(&'static str, f64)> {
        let mut values = self.frame.measure(visits, sessions).values;
        values.retain(|(metric, _)| ![WAIT_P50, WAIT_P99, WAIT_P999].contains(metric));
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(goodputs: &[(f64, bool)]) -> (f64, usize) {
        let mut book = Book::default();
        for (&(goodput, valid), factor) in goodputs.iter().zip(FACTORS) {
            let void = (!valid).then(|| "late".to_owned());
            let measured = Measured { void, ..Measured::of([(GOODPUT, goodput)]) };
            book.enter(Row::Http, &case(factor), names::FOREBAY, 0, measured);
        }
        factor(&mut book, names::FOREBAY, 0);
        let figure = book.find(Row::Http, ALL, FACTOR, names::FOREBAY).expect("entered");
        (figure.samples[0].value, book.notes.len())
    }

    #[test]
    fn the_factor_ends_before_the_first_that_was_not_good_enough() {
        assert_eq!(reached(&[(0.99, true), (0.95, true), (0.94, true), (0.99, true)]), (3.0, 0));
        assert_eq!(reached(&[(0.9, true)]), (0.0, 0));
        assert_eq!(reached(&[(1.0, true); 6]), (48.0, 0));
    }

    #[test]
    fn a_void_turn_ends_it_and_that_is_said() {
        assert_eq!(reached(&[(0.99, true), (0.99, false), (0.99, true)]), (1.5, 1));
    }
}
