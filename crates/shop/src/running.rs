//! A process that serves, until it is told to stop.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use forebay_checkout::{Payments, payments::Simulator};
use forebay_embedded::Server;
use forebay_platform::{
    admit::Admit,
    db::{Db, PoolMetrics},
    quota::Quotas,
    serve::Drained,
    telemetry::Metrics,
};
use forebay_pool::{Bouncer, Pool};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::{
    Address, App, Config, Failure, Purpose, Signals,
    app::Holding,
    budget::{DoesNotFit, Fleet, Share},
    claim::{self, ClaimError, Granted},
    config::PaymentConfig,
    console::say,
    sharing::{Counted, Gate, Sharing, Want},
};

/// A process that was killed has its ports until the system has cleared it away.
const PORT_PATIENCE: Duration = Duration::from_secs(2);

/// Listens there; waits a moment for a port that is taken.
pub(crate) async fn listen(address: SocketAddr, variable: &'static str) -> Result<TcpListener, Failure> {
    let deadline = Instant::now() + PORT_PATIENCE;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            bound => return bound.map_err(|source| Failure::Listen { address, variable, source }),
        }
    }
}

/// The most that this process will open. A bouncer opens and bounds its pool's by itself.
pub(crate) fn share(config: &Config, purpose: Purpose) -> Share {
    let ceiling = if config.pool.bouncer == Bouncer::None { config.pool.rules.ceiling } else { 0 };
    Share { process: purpose.process(), ceiling, beside: purpose.beside() }
}

/// What it needs to start.
pub(crate) fn least(config: &Config, purpose: Purpose) -> Share {
    let share = share(config, purpose);
    Share { ceiling: config.shares().unwrap_or(share.ceiling), ..share }
}

/// Whether it could start now.
pub(crate) fn fits(config: &Config, purpose: Purpose, fleet: Fleet) -> Result<(), DoesNotFit> {
    let least = least(config, purpose);
    match config.shares() {
        Some(_) => fleet.of_floors().fits(least).map_err(DoesNotFit::at_least),
        None => fleet.fits(least),
    }
}

/// What a process was granted before it has a pool.
#[derive(Debug)]
pub(crate) enum Start {
    /// For good.
    Fixed(Granted),
    /// To begin with.
    Shared(Arc<Sharing>),
}

/// Asks for it over `connection`, which [`claim::options`] opened.
pub(crate) async fn claim(
    config: &Config,
    purpose: Purpose,
    options: &PgConnectOptions,
    connection: PgConnection,
) -> Result<Start, ClaimError> {
    let (options, most) = (claim::options(options), share(config, purpose));
    if let Some(floor) = config.shares() {
        return Sharing::start(connection, &options, Want { most, floor }).await.map(Start::Shared);
    }
    if config.pool_floor.is_some() {
        tracing::warn!("FOREBAY_POOL_FLOOR does nothing where the pool has a way of its own (FOREBAY_POOL_URL)");
    }
    if most.ceiling == 0 {
        tracing::info!(
            "the pool's connections are the bouncer's, and are not claimed: bound them there (max_db_connections)"
        );
    }
    Granted::ask(connection, &options, most).await.map(Start::Fixed)
}

/// The pool that opens what was granted. Measured from its first connection on.
pub(crate) async fn pool(config: &Config, options: &PgConnectOptions, start: Start) -> Result<(Db, Holding), Failure> {
    Metrics::of_process();
    let through = config.pool_url.as_ref().map_or_else(|| options.clone(), Address::options);
    match start {
        Start::Fixed(granted) => {
            let pool = Pool::builder(through, config.pool.clone()).observer(PoolMetrics::new()).connect()?;
            let db = Db::forebay(pool);
            Ok((db.clone(), Holding::Fixed(Arc::new(granted.of(db)))))
        }
        Start::Shared(sharing) => {
            let mut settings = config.pool.clone();
            settings.name = sharing.identity().named(sharing.identity().process());
            let ceiling = sharing.ceiling().await;
            settings.rules.ceiling = ceiling;
            settings.rules.initial_limit = settings.rules.initial_limit.min(ceiling.saturating_sub(1)).max(1);
            let observer = Counted::new(PoolMetrics::new(), Arc::clone(&sharing));
            let gate = Gate::new(Arc::clone(&sharing));
            let pool = Pool::builder(through, settings).observer(observer).connector(gate).connect()?;
            let db = Db::forebay(pool);
            sharing.watch(db.clone());
            Ok((db, Holding::Shared(sharing)))
        }
    }
}

/// The doors of its routes.
pub(crate) fn admit(config: &Config, db: &Db) -> Admit {
    let admit = Admit::new(db, config.time_limits).quotas(Quotas::new(config.quotas.named()));
    match &config.ticket_keys {
        Some(keys) => admit.ticket_keys(keys.clone()),
        None => admit,
    }
}

/// The payment simulator, whose book connects under this name.
pub(crate) fn payments(config: &Config, options: &PgConnectOptions, name: &str) -> Payments {
    let PaymentConfig { knobs, secrets, messages } = &config.payment;
    let simulator = Simulator::new(options.clone().application_name(name), *knobs);
    let Some(secrets) = secrets else { return Payments::new(Arc::new(simulator)) };
    let simulator = match messages {
        Some(messages) => simulator.sending(messages.clone(), secrets.clone()),
        None => simulator,
    };
    Payments::new(Arc::new(simulator)).believing(secrets.clone())
}

/// `127.0.0.1:8080`, also where port 0 was asked for.
pub(crate) fn address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "?".to_owned(), |at| at.to_string())
}

/// Serves until the first signal, drains, and stops what was started for it. A second signal ends the drain.
pub(crate) async fn run(
    app: App,
    http: TcpListener,
    admin: TcpListener,
    server: Option<Server>,
    mut signals: Signals,
) -> Result<(), Failure> {
    let (stop_serving, stopped) = tokio::sync::oneshot::channel::<()>();
    let draining = how_it_drains(app.drain_delay, app.drain);
    let mut serving = std::pin::pin!(app.serve(http, admin, async move { _ = stopped.await }));
    let mut fault = None;
    let drained = tokio::select! {
        ended = &mut serving => ended,
        cause = end_of(server.as_ref(), &mut signals) => {
            say(&draining);
            fault = cause;
            // The listener may have ended by itself meanwhile.
            _ = stop_serving.send(());
            tokio::select! {
                ended = serving => ended,
                () = signals.next() => Drained::CutOff,
            }
        }
    };
    stop(server, &mut signals).await;
    say(if drained == Drained::Complete { "stopped" } else { "stopped; some requests were cut off" });
    fault.map_or(Ok(()), Err)
}

fn how_it_drains(delay: Duration, drain: Duration) -> String {
    let first =
        if delay.is_zero() { String::new() } else { format!("serving on for {} s, then ", delay.as_secs_f32()) };
    format!("{first}draining for at most {} s; once more Ctrl-C stops at once", drain.as_secs_f32())
}

/// A signal, or the end of the embedded server, which is a fault.
async fn end_of(server: Option<&Server>, signals: &mut Signals) -> Option<Failure> {
    let Some(server) = server else {
        signals.next().await;
        return None;
    };
    tokio::select! {
        () = signals.next() => None,
        status = server.ended() => {
            let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
            Some(Failure::PostgresEnded { status, log: server.log_file() })
        }
    }
}

/// Stops the embedded server; a further signal leaves it to its guardian.
pub(crate) async fn stop(server: Option<Server>, signals: &mut Signals) {
    let Some(server) = server else { return };
    tokio::select! {
        stopped = server.shutdown() => if let Err(error) = stopped { tracing::error!(%error, "Postgres did not stop") },
        () = signals.next() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, pin::pin};

    use super::*;

    #[tokio::test]
    async fn the_port_of_a_process_that_is_just_going_is_waited_for() {
        let going = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = going.local_addr().unwrap();
        let mut listening = pin!(listen(address, "FOREBAY_HTTP"));
        tokio::select! {
            biased;
            bound = &mut listening => panic!("{bound:?}"),
            () = std::future::ready(()) => {}
        }
        drop(going);
        assert_eq!(listening.await.unwrap().local_addr().unwrap(), address);
    }
}
