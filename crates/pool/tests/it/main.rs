//! The pool on a real Postgres, and its door in front of a service.

mod abandoned;
mod adoption;
mod closing;
mod complaints;
mod deadlines;
mod door;
mod drops;
mod forgotten;
mod glossary;
mod leases;
mod leftovers;
mod life;
mod macros;
mod outside;
mod overlay;
mod panics;
mod parts;
mod places;
mod runtimes;
mod size;
mod stale;
mod standstill;
mod start_stop;
mod statements;
mod told;
mod traces;
mod transactions;
mod turns;
mod uploads;

use std::time::Duration;

use forebay_embedded::testing::{TestDatabase, database};
use forebay_pool::{Admission, Class, Config, Pool, Rules, Snapshot};
use tokio::time::{Instant, timeout};

/// How long anything may take before a test says that it never comes.
const LIMIT: Duration = Duration::from_secs(20);

/// A pool on a database of its own. The database lives as long as the value.
struct Site {
    pool: Pool,
    database: TestDatabase,
}

impl Site {
    async fn new(rules: Rules) -> Self {
        Self::with(Config { rules, ..Config::named("test") }).await
    }

    async fn with(config: Config) -> Self {
        let database = database().await;
        let pool = Pool::connect(database.options(), config).expect("these rules hold");
        Self { pool, database }
    }

    /// A second way to the same database, past the pool.
    async fn outside(&self) -> sqlx::PgConnection {
        use sqlx::Connection;
        sqlx::PgConnection::connect_with(&self.database.options()).await.expect("the server runs")
    }

    /// Waits until the pool's numbers are as they should be.
    async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let end = Instant::now() + LIMIT;
        loop {
            let snapshot = self.pool.snapshot();
            if holds(&snapshot) {
                return snapshot;
            }
            assert!(Instant::now() < end, "still not so: {what}; {snapshot:?}");
            tokio::task::yield_now().await;
        }
    }
}

/// Asks again and again until the answer is yes, and no longer than anything may take.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(LIMIT, asking).await.is_ok(), "not within {LIMIT:?}: {what}");
}

fn rules() -> Rules {
    Rules { min_idle: 0, initial_limit: 4, ceiling: 8, ..Rules::default() }
}

fn admission(class: Class) -> Admission {
    Admission::new(class, (Instant::now() + Duration::from_secs(10)).into_std())
}
