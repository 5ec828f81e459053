//! Whether the connections that this process may open fit into the server.

use sqlx::{PgConnection, postgres::PgConnectOptions};

/// Ours beside the pool: the readiness probe, and the payment simulator's ledger.
const BESIDE_THE_POOL: u32 = 2;
/// Left for migrations and an operator's psql.
const OPERATORS: u32 = 3;

/// What the server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// `max_connections`.
    pub max_connections: u32,
    /// `superuser_reserved_connections`, and from Postgres 16 on `reserved_connections`.
    pub reserved: u32,
}

/// Why the shop does not start with this pool on this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "FOREBAY_POOL_MAX={pool_max} does not fit: the server's max_connections {} - {} reserved - {BESIDE_THE_POOL} of this \
     process beside the pool - {OPERATORS} for operators = {left}. Set FOREBAY_POOL_MAX={left} or less, or raise max_connections",
    limits.max_connections, limits.reserved
)]
pub struct DoesNotFit {
    /// What was asked for.
    pub pool_max: u32,
    /// What the server allows.
    pub limits: ServerLimits,
    /// What there is for a pool.
    pub left: u32,
}

impl ServerLimits {
    /// Asks the server.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let (max_connections, reserved): (i32, i32) = sqlx::query_as(
            "SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int \
             + coalesce(current_setting('reserved_connections', true), '0')::int",
        )
        .fetch_one(connection)
        .await?;
        let number = |setting: i32| u32::try_from(setting).unwrap_or_default();
        Ok(Self { max_connections: number(max_connections), reserved: number(reserved) })
    }

    /// Refuses a pool that could not open all its connections.
    ///
    /// # Errors
    ///
    /// [`DoesNotFit`] shows the arithmetic.
    pub fn fits(self, pool_max: u32) -> Result<(), DoesNotFit> {
        let left = self.max_connections.saturating_sub(self.reserved + BESIDE_THE_POOL + OPERATORS);
        if pool_max <= left { Ok(()) } else { Err(DoesNotFit { pool_max, limits: self, left }) }
    }
}

/// Asks the server at `options` and checks.
///
/// # Errors
///
/// As of [`ServerLimits::read`] and [`ServerLimits::fits`].
pub async fn check(options: &PgConnectOptions, pool_max: u32) -> Result<(), CheckError> {
    use sqlx::{ConnectOptions as _, Connection as _};
    let mut connection = options.connect().await?;
    let limits = ServerLimits::read(&mut connection).await?;
    connection.close().await?;
    Ok(limits.fits(pool_max)?)
}

/// Why the budget is not known to hold.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It does not.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
    /// The server did not say.
    #[error("cannot ask the database for its connection limits: {0}")]
    Sql(#[from] sqlx::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_larger_than_the_server_is_refused_with_the_arithmetic() {
        let limits = ServerLimits { max_connections: 100, reserved: 3 };
        assert_eq!(limits.fits(92), Ok(()));
        let said = limits.fits(93).unwrap_err().to_string();
        assert!(said.contains("100 - 3 reserved - 2 of this process beside the pool - 3 for operators = 92"), "{said}");
    }
}
