//! Round trips that a pool adds to a statement, counted by a proxy between it and the server.

use std::time::Duration;

use forebay_wire::{Proxy, Upstream};
use sqlx::postgres::PgConnectOptions;

use super::PATIENT;
use crate::book::Measured;
use crate::pools::{Bb8, Deadpool, Forebay, Stock, acquire, fill, names};
use crate::run::{Bench, Turn};
use crate::{BenchError, Held, Peer, Row, Statement};

pub(crate) const METRIC: &str = "round trips added";
pub(crate) const CASE: &str = "SELECT 1, 1 connection";
const LEASES: u32 = 200;

/// Once, not in every round: it is counted, not timed.
pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let socket = bench.stage.socket();
    let proxy = &Proxy::tcp(Upstream::Unix(socket)).await.map_err(BenchError::io("starting the proxy"))?;
    let direct = &bench.stage.options;
    let options = &PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(proxy.port())
        .username(direct.get_username())
        .database(direct.get_database().unwrap_or("postgres"));
    let turns = vec![
        Turn::new(CASE, names::FOREBAY, async { count(proxy, Forebay::fixed(options, 1)?).await }),
        Turn::new(CASE, names::SQLX, async { count(proxy, Stock::pinging(options, 1)).await }),
        Turn::new(CASE, names::SQLX_NO_PING, async { count(proxy, Stock::trusting(options, 1, None)).await }),
        Turn::new(CASE, names::DEADPOOL, async { count(proxy, Deadpool::new(options, 1, None)?).await }),
        Turn::new(CASE, names::BB8, async { count(proxy, Bb8::new(options, 1, None)).await }),
    ];
    bench.round(Row::Lookups, 0, turns).await
}

/// What a pool does in the background when it starts, such as opening a connection more, is not counted.
async fn at_rest(proxy: &Proxy) {
    const CALM: Duration = Duration::from_millis(100);
    let mut seen = proxy.counts().round_trips;
    loop {
        tokio::time::sleep(CALM).await;
        let now = proxy.counts().round_trips;
        if now == seen {
            return;
        }
        seen = now;
    }
}

async fn count<P: Peer<Lease: Held>>(proxy: &Proxy, peer: P) -> Result<Measured, BenchError> {
    fill(&peer, 1).await?;
    // Whatever the return of the lease before has to say, it says it before this one is granted.
    drop(acquire(&peer, PATIENT).await?);
    at_rest(proxy).await;
    let before = proxy.counts();
    for _ in 0..LEASES {
        acquire(&peer, PATIENT).await?.run(Statement::One).await?;
    }
    let trips = proxy.counts().since(&before).round_trips;
    peer.close().await;
    Ok(Measured::of([(METRIC, trips as f64 / f64::from(LEASES) - 1.0)]))
}
