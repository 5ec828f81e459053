use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Tx, TxOptions};
use crate::acquire::Acquire;
use crate::clock::now;
use crate::{Admission, Pool, describe};

/// How often work is repeated at most.
const REPETITIONS: u32 = 2;

/// The longest pause before a repetition: it is drawn from nothing to this.
fn longest_pause(repetition: u32) -> Duration {
    Duration::from_millis(10) * 2_u32.saturating_pow(repetition)
}

impl Pool {
    /// Runs `work` in a transaction on a lease of its own, in class normal, and commits it; rolls it back when `work`
    /// fails. See [`Pool::transaction_with`].
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), sqlx::Error> {
    /// let left: i32 = pool
    ///     .transaction(|tx| {
    ///         let take = "update stock set on_hand = on_hand - 1 where sku = $1 returning on_hand";
    ///         Box::pin(async move { sqlx::query_scalar(take).bind("SKU-000001").fetch_one(&mut **tx).await })
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The future is boxed, since Rust cannot yet say of an `async` closure that it is fit for another thread.
    ///
    /// # Errors
    /// What `work` answers, or as [`Tx::commit`], or as [`Pool::acquire`] inside [`sqlx::Error::Io`].
    #[track_caller]
    pub fn transaction<'w, T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send + use<'w, T, E, F>
    where
        F: for<'t> FnMut(&'t mut Tx<'w>) -> BoxFuture<'t, Result<T, E>> + Send + 'w,
        T: Send + 'w,
        E: From<sqlx::Error> + Send + 'w,
    {
        self.transact(Admission::plain(), None, work, Location::caller())
    }

    /// The same with a request's admission, and with options of the transaction; without them it is begun with those of
    /// the admission's class ([`crate::Config::transactions`]).
    ///
    /// Where the server refuses it for the sake of another transaction (40001, 40P01) it is rolled back and `work` runs
    /// again, up to twice, after a pause of up to 20 ms, then 40 ms, without a lease; not past the admission's deadline,
    /// and no more than one repetition for ten transactions that succeed. So `work` must be fit to run more than once:
    /// nothing of it that happens outside the database is taken back. A commit of which the outcome is unknown is never
    /// repeated.
    ///
    /// Dropping the future rolls back, unless COMMIT has left.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool, admission: forebay_pool::Admission) -> Result<(), sqlx::Error> {
    /// use forebay_pool::{Isolation, TxOptions};
    /// let options = TxOptions { isolation: Some(Isolation::Serializable), ..TxOptions::default() };
    /// let sold: i64 = pool
    ///     .transaction_with(&admission, Some(options), |tx| {
    ///         Box::pin(async move { sqlx::query_scalar("select sum(quantity) from lines").fetch_one(&mut **tx).await })
    ///     })
    ///     .await?;
    /// # let _ = sold;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `work` answers, or as [`Tx::commit`], or as [`Pool::acquire`] inside [`sqlx::Error::Io`].
    #[track_caller]
    pub fn transaction_with<'w, T, E, F>(
        &self,
        admission: &Admission,
        options: Option<TxOptions>,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send + use<'w, T, E, F>
    where
        F: for<'t> FnMut(&'t mut Tx<'w>) -> BoxFuture<'t, Result<T, E>> + Send + 'w,
        T: Send + 'w,
        E: From<sqlx::Error> + Send + 'w,
    {
        self.transact(admission.clone(), options, work, Location::caller())
    }

    fn transact<'w, T, E, F>(
        &self,
        admission: Admission,
        options: Option<TxOptions>,
        mut work: F,
        site: &'static Location<'static>,
    ) -> impl Future<Output = Result<T, E>> + Send + use<'w, T, E, F>
    where
        F: for<'t> FnMut(&'t mut Tx<'w>) -> BoxFuture<'t, Result<T, E>> + Send + 'w,
        T: Send + 'w,
        E: From<sqlx::Error> + Send + 'w,
    {
        let shared = self.shared();
        async move {
            for repetition in 1.. {
                let lease = Acquire::new(Arc::clone(&shared), admission.clone(), site).await;
                let mut tx: Tx<'w> = Tx::begin_owned(lease.map_err(sqlx::Error::from)?, options.as_ref()).await?;
                let loan = tx.loan.share();
                let outcome = match work(&mut tx).await {
                    Ok(value) => tx.commit().await.map(|()| value).map_err(E::from),
                    Err(error) => {
                        if let Err(error) = tx.rollback().await {
                            tracing::debug!(error = %describe(&error), "a transaction could not be rolled back at once");
                        }
                        Err(error)
                    }
                };
                let pause = longest_pause(repetition).mul_f64(rand::random());
                match outcome {
                    Ok(value) => {
                        shared.retries.earn();
                        return Ok(value);
                    }
                    Err(_)
                        if repetition <= REPETITIONS
                            && loan.met_conflict()
                            && now() + pause < admission.deadline()
                            && shared.retries.spend() => {}
                    failed => return failed,
                }
                tokio::time::sleep(pause).await;
            }
            unreachable!("the repetitions end")
        }
    }
}
