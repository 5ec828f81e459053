//! What a complete 503 costs the app. It has one thread, and its processor time is its own: the clients' is not in it.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::book::Measured;
use crate::pools::{Forebay, fill, names};
use crate::rows::PATIENT;
use crate::run::{Bench, Turn};
use crate::web::{App, Line};
use crate::work::Work;
use crate::{BenchError, Peer as _, Plan, Row, Statement};

pub(crate) const CASE: &str = "32 clients, every connection taken";
pub(crate) const PROCESSOR: &str = "µs of CPU per request, app";
const RATE: &str = "requests/s";
const CLIENTS: usize = 32;
/// Of so many the best is told: whatever else the machine does only adds.
const WINDOWS: usize = 7;
const SIZE: u32 = 8;

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    bench.book.remark(
        Row::Http,
        format!(
            "Cost: {CLIENTS} clients on connections that are kept alive ask again as soon as they have read their answer. The app \
             is axum's on one thread; counted is the processor time of that thread alone, the kernel's part included, in the best of {WINDOWS} windows of {} ms. Of ours \
             {SIZE} of {SIZE} connections are taken and the queue has one place, so that the door refuses all but the one who waits \
             in it, which is refused after a while too. axum alone answers with a ready-made 503 of the same kind and size, but \
             for the header Retry-After-Ms, or with 200 and nothing.",
            (plan.window / 2).as_millis(),
        ),
    );
    for round in 0..plan.rounds {
        let turns = vec![
            Turn::new(CASE, names::FOREBAY, async {
                let options = stage.options.clone();
                measure(plan, 503, async move {
                    let peer = Forebay::shut(&options, SIZE)?;
                    fill(&peer, SIZE).await?;
                    let mut leases = Vec::new();
                    for _ in 0..SIZE {
                        leases.push(peer.acquire(PATIENT).await.map_err(|why| BenchError::turn(format!("{why:?}")))?);
                    }
                    let router = super::behind_the_door(peer.pool().clone(), Work::Single(Statement::One));
                    Ok((router, leases))
                })
                .await
            }),
            Turn::new(CASE, names::AXUM_BUSY, async {
                let router = Router::new().route("/", get(async || super::busy()));
                measure(plan, 503, async { Ok((router, ())) }).await
            }),
            Turn::new(CASE, names::AXUM_EMPTY, async {
                let router = Router::new().route("/", get(async || StatusCode::OK));
                measure(plan, 200, async { Ok((router, ())) }).await
            }),
        ];
        bench.round(Row::Http, round, turns).await?;
    }
    Ok(())
}

async fn measure<T: Send + 'static>(
    plan: &Plan,
    status: u16,
    build: impl Future<Output = Result<(Router, T), BenchError>> + Send + 'static,
) -> Result<Measured, BenchError> {
    let (app, _kept) = App::serve(1, build).await?;
    let mut lines = Vec::new();
    for _ in 0..CLIENTS {
        lines.push(Line::open(app.address()).await.map_err(BenchError::io("reaching the app"))?);
    }
    let (lines, _) = ask(lines, plan.warm_up, status).await?;
    let (mut lines, mut most, mut least) = (lines, 0.0_f64, f64::INFINITY);
    for _ in 0..WINDOWS {
        let before = app.processor();
        let (back, answers) = ask(lines, plan.window / 2, status).await?;
        if answers == 0 {
            return Err(BenchError::turn("nobody was answered"));
        }
        lines = back;
        most = most.max(answers as f64 / (plan.window / 2).as_secs_f64());
        if let Some((before, after)) = before.zip(app.processor()) {
            least = least.min(after.saturating_sub(before).as_secs_f64() * 1e6 / answers as f64);
        }
    }
    let mut values = vec![(RATE, most)];
    values.extend(least.is_finite().then_some((PROCESSOR, least)));
    Ok(Measured::of(values))
}

/// All lines ask for so long, and hand themselves back with the number of their answers.
async fn ask(lines: Vec<Line>, time: Duration, status: u16) -> Result<(Vec<Line>, u64), BenchError> {
    let until = Instant::now() + time;
    let mut clients = JoinSet::new();
    for mut line in lines {
        clients.spawn(async move {
            let mut answers = 0;
            while Instant::now() < until {
                let found = line.ask().await.map_err(BenchError::io("asking the app"))?;
                if found != status {
                    return Err(BenchError::turn(format!("the answer was to be {status}, and is {found}")));
                }
                answers += 1;
            }
            Ok((line, answers))
        });
    }
    let (mut lines, mut answers) = (Vec::new(), 0);
    while let Some(client) = clients.join_next().await {
        let (line, count) = client.map_err(BenchError::turn)??;
        lines.push(line);
        answers += count;
    }
    Ok((lines, answers))
}
