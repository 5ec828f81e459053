//! A real bouncer in front of the shared server, for one test.

use forebay_embedded::testing::{TestBouncer, database};
use sqlx::postgres::PgConnectOptions;

/// A bouncer that runs, and a database of its own behind it.
#[derive(Debug)]
pub(super) struct Bouncer {
    bouncer: TestBouncer,
    /// Past it.
    pub(super) direct: PgConnectOptions,
}

impl Bouncer {
    /// PgBouncer with `pool_mode` and further settings, one a line.
    pub(super) async fn pgbouncer(pool_mode: &str, settings: &str) -> Self {
        Self { bouncer: TestBouncer::pgbouncer(pool_mode, settings).await, direct: database().await.options() }
    }

    /// pgpool-II that passes statements on to its only server.
    pub(super) async fn pgpool() -> Self {
        Self { bouncer: TestBouncer::pgpool("num_init_children = 8").await, direct: database().await.options() }
    }

    /// Through it.
    pub(super) fn options(&self) -> PgConnectOptions {
        self.bouncer.options(&self.direct)
    }
}
