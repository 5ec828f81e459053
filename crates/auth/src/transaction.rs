//! How a transaction ends.

use forebay_platform::db::Tx;

use crate::error::Error;

/// Commits what went well. A refusal, ours or the server's, is rolled back before it is answered, so that its connection
/// goes back clean. Where the connection itself failed, the transaction is dropped, and the pool sees to what is left.
pub(crate) async fn end<T>(tx: Tx<'_>, outcome: Result<T, Error>) -> Result<T, Error> {
    match &outcome {
        Ok(_) => tx.commit().await?,
        Err(Error::Store(error)) if error.as_database_error().is_none() => drop(tx),
        Err(_) => {
            if let Err(error) = tx.rollback().await {
                tracing::debug!(error = %forebay_pool::describe(&error), "a refused transaction was not rolled back; the pool sees to it");
            }
        }
    }
    outcome
}
