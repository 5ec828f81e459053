//! The provider's own book. Its statements are here and not in the store, since it is not ours.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Error, PgConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Bill, Charge, Outcome};

#[derive(Debug)]
pub(super) struct Ledger {
    options: PgConnectOptions,
    /// Taken out for a statement and put back after it, so that a call dropped half-way closes its connection.
    connection: Mutex<Option<PgConnection>>,
}

impl Ledger {
    /// Commits without waiting for the disk. Whatever our own transactions say of a charge is written to the same log
    /// after it, so a crash cannot keep what they say and lose the charge.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let options = options.options([("synchronous_commit", "off")]).application_name("payment-simulator");
        Self { options, connection: Mutex::new(None) }
    }

    /// Writes `outcome` unless there is one already; answers with the one that stands.
    pub(super) async fn record(&self, bill: &Bill, outcome: Outcome) -> Result<Charge, Error> {
        let mut place = self.connection.lock().await;
        let mut connection = self.take(&mut place).await?;
        insert(&mut connection, bill, outcome).await?;
        let charge = select(&mut connection, bill).await?;
        *place = Some(connection);
        charge.ok_or(Error::RowNotFound)
    }

    pub(super) async fn find(&self, bill: &Bill) -> Result<Option<Charge>, Error> {
        let mut place = self.connection.lock().await;
        let mut connection = self.take(&mut place).await?;
        let charge = select(&mut connection, bill).await?;
        *place = Some(connection);
        Ok(charge)
    }

    /// The connection of last time if it still answers, else a new one.
    async fn take(&self, place: &mut Option<PgConnection>) -> Result<PgConnection, Error> {
        if let Some(mut connection) = place.take()
            && connection.ping().await.is_ok()
        {
            return Ok(connection);
        }
        PgConnection::connect_with(&self.options).await
    }
}

async fn insert(connection: &mut PgConnection, bill: &Bill, outcome: Outcome) -> Result<(), Error> {
    sqlx::query!(
        r#"
        insert into payment_simulator.charges (order_id, attempt, outcome, amount, currency, provider_ref)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (order_id, attempt) do nothing
        "#,
        bill.order_id,
        bill.attempt,
        outcome.as_str(),
        bill.amount,
        bill.currency,
        format!("sim_{}", Uuid::now_v7().simple()),
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn select(connection: &mut PgConnection, bill: &Bill) -> Result<Option<Charge>, Error> {
    let row = sqlx::query!(
        "select outcome, provider_ref from payment_simulator.charges where order_id = $1 and attempt = $2",
        bill.order_id,
        bill.attempt,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Charge { outcome: Outcome::named(&row.outcome), reference: row.provider_ref }))
}
