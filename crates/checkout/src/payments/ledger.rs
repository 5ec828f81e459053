//! The provider's own book. Its statements are here and not in the store, since it is not ours.

use std::time::Duration;

use forebay_pool::Addresses;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Error, PgConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Bill, Charge, Outcome};

/// How long it may take to connect.
const DIAL_LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Ledger {
    options: PgConnectOptions,
    addresses: Addresses,
    /// Taken out for a statement and put back after it, so that a call dropped or failed half-way closes its connection.
    connection: Mutex<Option<PgConnection>>,
}

impl Ledger {
    /// Commits without waiting for the disk. Whatever our own transactions say of a charge is written to the same log
    /// after it, so a crash cannot keep what they say and lose the charge.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let options = options.options([("synchronous_commit", "off")]);
        Self { options, addresses: Addresses::default(), connection: Mutex::new(None) }
    }

    async fn dial(&self) -> Result<PgConnection, Error> {
        self.addresses.connect(&self.options, DIAL_LIMIT).await
    }

    /// Writes `outcome` unless there is one already; answers with the one that stands.
    pub(super) async fn record(&self, bill: &Bill, outcome: Outcome) -> Result<Charge, Error> {
        let mut place = self.connection.lock().await;
        if let Some(mut kept) = place.take()
            && let Ok(charge) = insert(&mut kept, bill, outcome).await
        {
            *place = Some(kept);
            return Ok(charge);
        }
        // Never used before, or lost meanwhile. To write it again is to find it.
        let mut fresh = self.dial().await?;
        let charge = insert(&mut fresh, bill, outcome).await?;
        *place = Some(fresh);
        Ok(charge)
    }

    pub(super) async fn find(&self, bill: &Bill) -> Result<Option<Charge>, Error> {
        let mut place = self.connection.lock().await;
        if let Some(mut kept) = place.take()
            && let Ok(charge) = select(&mut kept, bill).await
        {
            *place = Some(kept);
            return Ok(charge);
        }
        let mut fresh = self.dial().await?;
        let charge = select(&mut fresh, bill).await?;
        *place = Some(fresh);
        Ok(charge)
    }
}

/// One round trip, save where another process writes the same charge at the same moment.
async fn insert(connection: &mut PgConnection, bill: &Bill, outcome: Outcome) -> Result<Charge, Error> {
    let row = sqlx::query!(
        r#"
        with made as (
            insert into payment_simulator.charges (order_id, attempt, outcome, amount, currency, provider_ref)
            values ($1, $2, $3, $4, $5, $6)
            on conflict (order_id, attempt) do nothing
            returning outcome, provider_ref
        )
        select outcome as "outcome!", provider_ref as "provider_ref!" from made
        union all
        select outcome, provider_ref from payment_simulator.charges where order_id = $1 and attempt = $2
        "#,
        bill.order_id,
        bill.attempt,
        outcome.as_str(),
        bill.amount,
        bill.currency,
        format!("sim_{}", Uuid::now_v7().simple()),
    )
    .fetch_optional(&mut *connection)
    .await?;
    match row {
        Some(row) => Ok(Charge { outcome: Outcome::named(&row.outcome), reference: row.provider_ref }),
        // Committed by the other after our statement began: the next statement sees it.
        None => select(connection, bill).await?.ok_or(Error::RowNotFound),
    }
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
