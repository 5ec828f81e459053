use std::time::Duration;

use forebay_pool::{AcquireError, Admission, Class, Config, Fixed, Lease, Pool, Rules};
use sqlx::postgres::PgConnectOptions;

use crate::{BenchError, Held, Peer, Refused, Statement};

/// Ours.
#[derive(Clone, Debug)]
pub(crate) struct Forebay {
    pool: Pool,
    /// One admission for every acquire; otherwise each has its own, as requests have.
    standing: Option<Admission>,
}

/// The stage's functions stand for a server that works, as a plain statement makes it work: the pool is told that they leave
/// nothing in the session.
fn config(rules: Rules) -> Config {
    Config { rules, trusted_functions: ["burn", "hot"].map(str::to_owned).into(), ..Config::named("bench") }
}

impl Forebay {
    /// Nothing tuned.
    pub(crate) fn by_default(options: &PgConnectOptions) -> Result<Self, BenchError> {
        let pool = Pool::connect(options.clone(), config(Rules::default())).map_err(BenchError::turn)?;
        Ok(Self { pool, standing: None })
    }

    /// Nothing tuned but the ceiling.
    pub(crate) fn up_to(options: &PgConnectOptions, ceiling: u32) -> Result<Self, BenchError> {
        let rules = Rules { ceiling, ..Rules::default() };
        let pool = Pool::connect(options.clone(), config(rules));
        Ok(Self { pool: pool.map_err(BenchError::turn)?, standing: None })
    }

    /// A limit that stays where it is. The ceiling has room on top of it for the reserve and the control connection.
    pub(crate) fn fixed(options: &PgConnectOptions, size: u32) -> Result<Self, BenchError> {
        Self::of_size(options, size, |rules| rules)
    }

    fn of_size(options: &PgConnectOptions, size: u32, rules: impl FnOnce(Rules) -> Rules) -> Result<Self, BenchError> {
        let ceiling = size + size.div_ceil(10) + 1;
        let rules = rules(Rules { min_idle: size, initial_limit: size, ceiling, ..Rules::default() });
        let pool = Pool::builder(options.clone(), config(rules)).sizer(Fixed).connect();
        Ok(Self { pool: pool.map_err(BenchError::turn)?, standing: None })
    }

    /// A fixed size with a place for one who waits, whose leases are never suspects: once they are taken, it refuses.
    pub(crate) fn shut(options: &PgConnectOptions, size: u32) -> Result<Self, BenchError> {
        Self::of_size(options, size, |rules| Rules {
            queue_capacity: 1,
            suspect_after: Rules::LONGEST,
            revoke_after: None,
            ..rules
        })
    }

    /// The same pool with one admission for all its acquires.
    pub(crate) fn continuing(self) -> Self {
        Self { standing: Some(Admission::within(Class::Normal, Rules::LONGEST)), ..self }
    }

    pub(crate) const fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Peer for Forebay {
    type Lease = Lease;

    async fn acquire(&self, within: Duration) -> Result<Lease, Refused> {
        let answer = match &self.standing {
            Some(admission) => self.pool.acquire(admission).await,
            None => self.pool.acquire(&Admission::within(Class::Normal, within)).await,
        };
        answer.map_err(refused)
    }

    async fn acquire_first(&self, within: Duration) -> Result<Lease, Refused> {
        self.pool.acquire(&Admission::within(Class::Critical, within)).await.map_err(refused)
    }

    async fn close(self) {
        self.pool.close().await;
    }
}

fn refused(error: AcquireError) -> Refused {
    match error {
        AcquireError::Shed { retry_after, .. } => Refused::Busy { after: Some(retry_after) },
        AcquireError::Timeout(_) => Refused::Busy { after: None },
        error => Refused::Failed(error.to_string()),
    }
}

impl Held for Lease {
    async fn run(&mut self, statement: Statement) -> sqlx::Result<()> {
        statement.on(&mut **self).await
    }
}
