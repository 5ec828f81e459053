//! The provider's own book. Its statements are here and not in the store, since it is not ours.

use std::time::Duration;

use forebay_pool::Addresses;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Error, PgConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::super::provider::{Bill, Charge, Collected, GivenBack, Outcome, Place, Refund, RefundBill, RefundOutcome};

/// How long it may take to connect.
const DIAL_LIMIT: Duration = Duration::from_secs(3);
/// How many entries are listed at once.
const PAGE: i64 = 1_000;

#[derive(Debug)]
pub(super) struct Book {
    options: PgConnectOptions,
    addresses: Addresses,
    /// Taken out for a question and put back after it, so that a call dropped or failed half-way closes its connection.
    connection: Mutex<Option<PgConnection>>,
}

/// What can be asked of the book. To ask it twice is to ask it once.
pub(super) trait Question: Sync {
    type Answer: Send;

    fn ask(&self, connection: &mut PgConnection) -> impl Future<Output = Result<Self::Answer, Error>> + Send;
}

impl Book {
    /// A charge is on the disk before anybody hears of it, whatever the database's default: a shop outlives the crash of its
    /// server, and writes down then what it was told before.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let options = options.options([("synchronous_commit", "on")]);
        Self { options, addresses: Addresses::default(), connection: Mutex::new(None) }
    }

    pub(super) async fn ask<Q: Question>(&self, question: &Q) -> Result<Q::Answer, Error> {
        let mut place = self.connection.lock().await;
        if let Some(mut kept) = place.take()
            && let Ok(answer) = question.ask(&mut kept).await
        {
            *place = Some(kept);
            return Ok(answer);
        }
        // Never used before, or lost meanwhile.
        let mut fresh = self.addresses.connect(&self.options, DIAL_LIMIT).await?;
        let answer = question.ask(&mut fresh).await?;
        *place = Some(fresh);
        Ok(answer)
    }
}

/// Writes `outcome` unless there is one already; answers with the one that stands, and whether it is new.
pub(super) struct Record<'a> {
    pub(super) bill: &'a Bill,
    pub(super) outcome: Outcome,
}

/// One round trip, save where another process writes the same charge at the same moment.
impl Question for Record<'_> {
    type Answer = (Charge, bool);

    async fn ask(&self, connection: &mut PgConnection) -> Result<(Charge, bool), Error> {
        let Self { bill, outcome } = self;
        let row = sqlx::query!(
            r#"
            with made as (
                insert into payment_simulator.charges (order_id, attempt, outcome, amount, currency, provider_ref)
                values ($1, $2, $3, $4, $5, $6)
                on conflict (order_id, attempt) do nothing
                returning outcome, provider_ref
            )
            select outcome as "outcome!", provider_ref as "provider_ref!", true as "is_new!" from made
            union all
            select outcome, provider_ref, false from payment_simulator.charges where order_id = $1 and attempt = $2
            "#,
            bill.order_id,
            bill.attempt,
            name(*outcome),
            bill.amount,
            bill.currency,
            reference(),
        )
        .fetch_optional(&mut *connection)
        .await?;
        match row {
            Some(row) => Ok((Charge { outcome: named(&row.outcome), reference: row.provider_ref }, row.is_new)),
            // Committed by the other after our statement began: the next statement sees it.
            None => Ok((Find { bill }.ask(connection).await?.ok_or(Error::RowNotFound)?, false)),
        }
    }
}

pub(super) struct Find<'a> {
    pub(super) bill: &'a Bill,
}

impl Question for Find<'_> {
    type Answer = Option<Charge>;

    async fn ask(&self, connection: &mut PgConnection) -> Result<Option<Charge>, Error> {
        let row = sqlx::query!(
            "select outcome, provider_ref from payment_simulator.charges where order_id = $1 and attempt = $2",
            self.bill.order_id,
            self.bill.attempt,
        )
        .fetch_optional(connection)
        .await?;
        Ok(row.map(|row| Charge { outcome: named(&row.outcome), reference: row.provider_ref }))
    }
}

/// Gives back once, as far as the charge goes; answers with the refund that stands.
pub(super) struct Give<'a> {
    pub(super) bill: &'a RefundBill,
}

impl Question for Give<'_> {
    type Answer = Refund;

    async fn ask(&self, connection: &mut PgConnection) -> Result<Refund, Error> {
        let Self { bill } = self;
        let mut tx = connection.begin().await?;
        // Whoever gives back of the same charge waits here, and then sees what we gave.
        let is_there = sqlx::query_scalar!(
            r#"
            select true as "is_there!" from payment_simulator.charges
            where order_id = $1 and attempt = $2 and outcome = 'approved' and currency = $3
            for no key update
            "#,
            bill.order_id,
            bill.attempt,
            bill.currency,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let row = sqlx::query!(
            r#"
            with taken as (
                update payment_simulator.charges set refunded = refunded + $4
                where order_id = $2 and attempt = $3 and $5 and refunded + $4 <= amount
                  and not exists (select from payment_simulator.refunds r where r.refund_id = $1)
                returning 1
            )
            insert into payment_simulator.refunds (refund_id, order_id, attempt, outcome, amount, currency, provider_ref)
            select $1, $2, $3, case when exists (select from taken) then 'succeeded' else 'refused' end, $4, $6, $7
            on conflict (refund_id) do update set at = refunds.at
            returning outcome, provider_ref
            "#,
            bill.refund_id,
            bill.order_id,
            bill.attempt,
            bill.amount,
            is_there.is_some(),
            bill.currency,
            reference(),
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Refund { outcome: refund_named(&row.outcome), reference: row.provider_ref })
    }
}

pub(super) struct FindRefund {
    pub(super) refund_id: Uuid,
}

impl Question for FindRefund {
    type Answer = Option<Refund>;

    async fn ask(&self, connection: &mut PgConnection) -> Result<Option<Refund>, Error> {
        let row = sqlx::query!(
            "select outcome, provider_ref from payment_simulator.refunds where refund_id = $1",
            self.refund_id,
        )
        .fetch_optional(connection)
        .await?;
        Ok(row.map(|row| Refund { outcome: refund_named(&row.outcome), reference: row.provider_ref }))
    }
}

pub(super) struct List<'a> {
    pub(super) after: &'a Place,
}

impl Question for List<'_> {
    type Answer = Vec<Collected>;

    async fn ask(&self, connection: &mut PgConnection) -> Result<Vec<Collected>, Error> {
        let rows = sqlx::query!(
            r#"
            select order_id, attempt, amount, currency, outcome, provider_ref, at from payment_simulator.charges
            where (at, provider_ref) > ($1, $2) order by at, provider_ref limit $3
            "#,
            self.after.at,
            self.after.reference,
            PAGE,
        )
        .fetch_all(connection)
        .await?;
        let collected = rows.into_iter().map(|row| Collected {
            bill: Bill { order_id: row.order_id, attempt: row.attempt, amount: row.amount, currency: row.currency },
            charge: Charge { outcome: named(&row.outcome), reference: row.provider_ref },
            at: row.at,
        });
        Ok(collected.collect())
    }
}

pub(super) struct ListRefunds<'a> {
    pub(super) after: &'a Place,
}

impl Question for ListRefunds<'_> {
    type Answer = Vec<GivenBack>;

    async fn ask(&self, connection: &mut PgConnection) -> Result<Vec<GivenBack>, Error> {
        let rows = sqlx::query!(
            r#"
            select refund_id, order_id, attempt, amount, currency, outcome, provider_ref, at from payment_simulator.refunds
            where (at, provider_ref) > ($1, $2) order by at, provider_ref limit $3
            "#,
            self.after.at,
            self.after.reference,
            PAGE,
        )
        .fetch_all(connection)
        .await?;
        let given_back = rows.into_iter().map(|row| {
            let (refund_id, order_id, attempt) = (row.refund_id, row.order_id, row.attempt);
            GivenBack {
                bill: RefundBill { refund_id, order_id, attempt, amount: row.amount, currency: row.currency },
                refund: Refund { outcome: refund_named(&row.outcome), reference: row.provider_ref },
                at: row.at,
            }
        });
        Ok(given_back.collect())
    }
}

fn reference() -> String {
    format!("sim_{}", Uuid::now_v7().simple())
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "approved",
        Outcome::Declined => "declined",
        Outcome::Voided => "voided",
    }
}

fn named(name: &str) -> Outcome {
    match name {
        "approved" => Outcome::Approved,
        "declined" => Outcome::Declined,
        _ => Outcome::Voided,
    }
}

fn refund_named(name: &str) -> RefundOutcome {
    if name == "succeeded" { RefundOutcome::Succeeded } else { RefundOutcome::Refused }
}

#[cfg(test)]
mod tests {
    use forebay_embedded::testing::database;

    use super::*;

    struct Durability;

    impl Question for Durability {
        type Answer = String;

        async fn ask(&self, connection: &mut PgConnection) -> Result<String, Error> {
            sqlx::query_scalar("select current_setting('synchronous_commit')").fetch_one(connection).await
        }
    }

    #[tokio::test]
    async fn a_charge_is_on_the_disk_before_it_is_answered_also_where_the_database_does_not_wait_for_it() {
        let database = database().await;
        let hasty = database.options().options([("synchronous_commit", "off")]);
        assert_eq!(Book::new(hasty).ask(&Durability).await.unwrap(), "on");
    }
}
