use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use super::permit::Permit;

type Acquire = BoxFuture<'static, Result<PoolConnection<Postgres>, sqlx::Error>>;

/// sqlx's own acquire, under way for a permit.
///
/// Dropped half-way, sqlx would throw away the connection that it pings or opens, and the next caller would open another:
/// that is how a pool under load comes to connect thousands of times. So it goes on in the background, and what it
/// finds goes to the pool.
pub(super) struct Connecting {
    acquire: Option<Acquire>,
    permit: Option<Permit>,
}

impl Connecting {
    pub(super) fn new(mut permit: Permit) -> Self {
        permit.ask();
        let acquire = permit.desk.pool.acquire();
        Self { acquire: Some(Box::pin(acquire)), permit: Some(permit) }
    }

    /// sqlx's answer, or `None` when the deadline passes first.
    pub(super) async fn until(
        mut self,
        deadline: Instant,
    ) -> Option<Result<(PoolConnection<Postgres>, Permit), sqlx::Error>> {
        let acquire = self.acquire.as_mut()?;
        let answer = tokio::time::timeout_at(deadline.into(), acquire).await.ok()?;
        self.acquire = None;
        let permit = self.permit.take()?;
        Some(answer.map(|connection| (connection, permit)))
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let (Some(acquire), Some(permit)) = (self.acquire.take(), self.permit.take()) else { return };
        let desk = Arc::clone(&permit.desk);
        desk.spawn(async move {
            if let Ok(connection) = acquire.await {
                give_back(connection, permit).await;
            }
        });
    }
}

/// Returns the connection as its drop would, and the permit when sqlx really has it back: its ping at return may take as
/// long as an abandoned statement runs, and until then there is nothing to lend.
pub(super) async fn give_back(mut connection: PoolConnection<Postgres>, permit: Permit) {
    connection.return_to_pool().await;
    drop(permit);
}
