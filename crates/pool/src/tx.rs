use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::loan::Transaction;
use crate::statements::Kind;
use crate::{Lease, LeaseConn, PoolError, classify};

mod options;
mod retry;

pub use options::{Isolation, TxOptions};

/// A transaction of ours, or a part of one that ends on its own ([`Tx::begin`]). Dropped without [`Tx::commit`] it is rolled
/// back: before the next statement on the same connection, or in the background when the lease has ended too.
///
/// That it is open is noted *before* BEGIN leaves, so that a future dropped half-way can never hand an open transaction
/// to the next user.
///
/// ```no_run
/// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
/// let mut tx = pool.begin().await?;
/// sqlx::query("update stock set on_hand = on_hand - 1").execute(&mut *tx).await?;
/// // A part that may fail on its own.
/// let mut part = tx.begin().await?;
/// match sqlx::query("insert into vouchers (code) values ('SPRING')").execute(&mut *part).await {
///     Ok(_) => part.commit().await?,
///     Err(_) => part.rollback().await?,
/// }
/// tx.commit().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Tx<'l> {
    on: On<'l>,
    /// Of a part: how deep its savepoint lies.
    level: u32,
    /// Nothing is to be rolled back: it has not begun, or has ended.
    ended: bool,
    /// The limit of statements to put back at the end.
    limit: Option<Option<Duration>>,
}

#[derive(Debug)]
enum On<'l> {
    Owned(Lease),
    Borrowed(&'l mut LeaseConn),
}

impl<'l> Tx<'l> {
    const fn new(on: On<'l>, level: u32) -> Self {
        Self { on, level, ended: true, limit: None }
    }

    /// Without options it is begun with those of its class.
    pub(crate) async fn begin_on(
        connection: &'l mut LeaseConn,
        options: Option<&TxOptions>,
    ) -> Result<Self, sqlx::Error> {
        let mut tx = Self::new(On::Borrowed(connection), 0);
        tx.open(options).await?;
        Ok(tx)
    }

    pub(crate) async fn begin_owned(lease: Lease, options: Option<&TxOptions>) -> Result<Tx<'static>, sqlx::Error> {
        let mut tx = Tx::new(On::Owned(lease), 0);
        tx.open(options).await?;
        Ok(tx)
    }

    async fn open(&mut self, options: Option<&TxOptions>) -> Result<(), sqlx::Error> {
        // What an earlier transaction of this lease left open goes first; then the mark, then BEGIN.
        match self.loan.transaction() {
            Transaction::None => {}
            Transaction::ByText => return Err(PoolError::ByText.into()),
            _ => {
                self.loan.set_transaction(Transaction::Abandoned);
                self.catch_up().await?;
            }
        }
        let options = options.or_else(|| self.shared.config.transaction_of(self.loan.borrower.class));
        let mut options = options.cloned().unwrap_or_default();
        options.statement_timeout = self.loan.limit_within(options.statement_timeout)?;
        let begin = options.begin(self.shared.local_settings().as_deref());
        if let Some(limit) = options.statement_timeout {
            let before = self.loan.set_limit(Some(limit).filter(|limit| !limit.is_zero()));
            self.limit = Some(before);
        }
        self.loan.set_transaction(Transaction::Open);
        self.ended = false;
        self.command(begin, Kind::BEGIN).await
    }

    /// Begins a part of the transaction that can be rolled back on its own: a savepoint.
    ///
    /// ```no_run
    /// # async fn example(mut tx: forebay_pool::Tx<'_>) -> Result<(), sqlx::Error> {
    /// let mut part = tx.begin().await?;
    /// match sqlx::query("insert into coupons_used values ($1)").bind(7_i64).execute(&mut *part).await {
    ///     Ok(_) => part.commit().await?,
    ///     Err(_) => part.rollback().await?,
    /// }
    /// tx.commit().await
    /// # }
    /// ```
    ///
    /// Dropping the future, or the part, rolls back to where it began, before the next statement of the transaction.
    ///
    /// # Errors
    /// As for a statement. [`PoolError::ByText`] where the transaction was ended by the text of a statement.
    pub async fn begin(&mut self) -> Result<Tx<'_>, sqlx::Error> {
        if self.loan.is_behind() {
            self.catch_up().await?;
        }
        if !matches!(self.loan.transaction(), Transaction::Open | Transaction::Failed) {
            return Err(PoolError::ByText.into());
        }
        let level = self.level + 1;
        let mut part = Tx::new(On::Borrowed(self), level);
        // From here to the moment at which it has left there is no await at which it could be dropped.
        part.ended = false;
        let begun = part.command(part.word("SAVEPOINT"), Kind::SAVEPOINT).await;
        part.ended = matches!(begun, Err(sqlx::Error::Database(_)));
        begun.map(|()| part)
    }

    /// A command that names the savepoint.
    fn word(&self, word: &str) -> SqlStr {
        AssertSqlSafe(format!("{word} forebay_{}", self.level)).into_sql_str()
    }

    /// Makes it permanent; a part of a transaction, as far as the whole is.
    ///
    /// If the future is dropped half-way, whether it was stored is unknown.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{PoolError, classify};
    /// let mut tx = pool.begin().await?;
    /// sqlx::query("insert into orders (id) values (1)").execute(&mut *tx).await?;
    /// if let Err(error) = tx.commit().await {
    ///     match classify(&error) {
    ///         Some(PoolError::OutcomeUnknown) => println!("look whether order 1 is there"),
    ///         _ => return Err(error.into()),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`PoolError::Aborted`] when a statement had failed before: the server would answer COMMIT with success and store
    /// nothing. [`PoolError::OutcomeUnknown`] when the connection was lost during COMMIT. [`PoolError::ByText`] when it
    /// was ended by the text of a statement. Otherwise what the server says, a deferred constraint for instance.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        // A statement cut short may have failed since.
        if self.loan.is_behind() {
            self.catch_up().await?;
        }
        match self.loan.transaction() {
            Transaction::Open if self.level > 0 => {
                // From the moment at which it has left there is nothing to go back to.
                self.ended = true;
                self.command(self.word("RELEASE SAVEPOINT"), Kind::RELEASE).await
            }
            Transaction::Open => self.leave("COMMIT".into_sql_str(), Kind::COMMIT).await.map_err(unknown_if_lost),
            Transaction::Failed => {
                self.undo().await?;
                Err(PoolError::Aborted.into())
            }
            _ => {
                self.ended = true;
                Err(PoolError::ByText.into())
            }
        }
    }

    /// Takes it back now; of a part, only what was done in it.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tx = pool.begin().await?;
    /// let left: i32 = sqlx::query_scalar("update stock set on_hand = on_hand - 1 returning on_hand").fetch_one(&mut *tx).await?;
    /// if left < 0 {
    ///     tx.rollback().await?;
    /// } else {
    ///     tx.commit().await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the server says; the connection is then cleaned or closed by the pool. [`PoolError::ByText`] when it was ended
    /// by the text of a statement.
    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        if self.level == 0 && self.loan.is_behind() {
            // What still runs in it is cancelled, not waited for.
            self.loan.set_transaction(Transaction::Abandoned);
            self.ended = true;
            return self.catch_up().await;
        }
        if !matches!(self.loan.transaction(), Transaction::Open | Transaction::Failed) {
            self.ended = true;
            return Err(PoolError::ByText.into());
        }
        self.undo().await
    }

    async fn undo(&mut self) -> Result<(), sqlx::Error> {
        if self.level == 0 {
            return self.leave("ROLLBACK".into_sql_str(), Kind::ROLLBACK).await;
        }
        // Twice does no harm, should this be dropped half-way; a second RELEASE would.
        self.command(self.word("ROLLBACK TO SAVEPOINT"), Kind::ROLLBACK).await?;
        self.loan.rolled_back_to();
        self.ended = true;
        self.command(self.word("RELEASE SAVEPOINT"), Kind::RELEASE).await
    }

    /// Ends the whole by this command.
    async fn leave(&mut self, command: SqlStr, kind: Kind) -> Result<(), sqlx::Error> {
        let answer = self.command(command, kind).await;
        // A COMMIT that the server refused has rolled back.
        if matches!(answer, Ok(()) | Err(sqlx::Error::Database(_))) {
            self.loan.set_transaction(Transaction::None);
            self.ended = true;
        }
        answer
    }
}

/// What an error at COMMIT means where it is not the server's refusal. A backend that is told to end may do so after it
/// has stored everything.
fn unknown_if_lost(error: sqlx::Error) -> sqlx::Error {
    let lost = match &error {
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        _ => !matches!(classify(&error), Some(PoolError::Revoked { .. } | PoolError::Lost)),
    };
    if lost { PoolError::OutcomeUnknown.into() } else { error }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if let Some(limit) = self.limit {
            self.loan.set_limit(limit);
        }
        match self.level {
            _ if self.ended => {}
            0 => self.loan.set_transaction(Transaction::Abandoned),
            level => self.loan.abandon_savepoint(level),
        }
    }
}

impl Deref for Tx<'_> {
    type Target = LeaseConn;

    fn deref(&self) -> &LeaseConn {
        match &self.on {
            On::Owned(lease) => lease,
            On::Borrowed(connection) => connection,
        }
    }
}

impl DerefMut for Tx<'_> {
    fn deref_mut(&mut self) -> &mut LeaseConn {
        match &mut self.on {
            On::Owned(lease) => lease,
            On::Borrowed(connection) => connection,
        }
    }
}
