//! `shop reconcile`: whether the payment provider and our tables say the same.

use std::{fmt::Write as _, str::FromStr};

use clap::Args;
use forebay_checkout::reconciliation::{self, Difference, Reconciliation};
use forebay_platform::{db::Db, instant};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use time::{
    Date, OffsetDateTime,
    format_description::well_known::{Iso8601, Rfc3339},
};

use crate::{
    Config, Failure, Signals,
    database::{DIAL_LIMIT, Database},
    running, schema, waiting,
};

/// What is compared, and how it is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct Order {
    /// Only what ended since then: a day of UTC (2026-11-27) or a moment (2026-11-27T15:00:00Z). Default all
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// A day, from its first moment in UTC on, or a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since(OffsetDateTime);

/// Neither a day nor a moment.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("must be a day, such as 2026-11-27, or a moment, such as 2026-11-27T15:00:00Z")]
pub struct InvalidSince;

impl FromStr for Since {
    type Err = InvalidSince;

    fn from_str(text: &str) -> Result<Self, InvalidSince> {
        let day = || Date::parse(text, &Iso8601::DATE).map(|day| day.midnight().assume_utc());
        OffsetDateTime::parse(text, &Rfc3339).or_else(|_no_moment| day()).map(Self).map_err(|_neither| InvalidSince)
    }
}

/// What was found, as it is to be shown.
#[derive(Debug)]
pub struct Found {
    /// Ready to be printed.
    pub text: String,
    /// Whether both sides say the same.
    pub is_same: bool,
}

/// Compares, on the database that `DATABASE_URL` names, or on the embedded server's: on the one that runs, else on one that is
/// started for it. Changes nothing, and may be done while the shop runs.
///
/// # Errors
///
/// See [`Failure`].
pub async fn reconcile(config: Config, order: Order, mut signals: Signals) -> Result<Found, Failure> {
    let hush = |line: &str| tracing::info!("{line}");
    let opening = Box::pin(async { Ok(Database::open_or_join(&config, &schema::folder(&config)?, hush).await?) });
    let found = schema::on_database(opening, &mut signals, async |database| compare(&config, database, order).await);
    Ok(shown(&found.await?, order))
}

async fn compare(config: &Config, database: &Database, order: Order) -> Result<Reconciliation, Failure> {
    drop(waiting::until_ready(&database.options, DIAL_LIMIT, |line| tracing::info!("{line}")).await?);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(DIAL_LIMIT);
    let db = Db::stock(pool.connect_lazy_with(database.options.clone()));
    let payments = running::payments(config, &database.options, "forebay-payments");
    let since = order.since.map_or(OffsetDateTime::UNIX_EPOCH, |Since(since)| since);
    let found = reconciliation::reconcile(&db, &payments, since, instant::now()).await;
    db.close(DIAL_LIMIT).await;
    Ok(found?)
}

fn shown(found: &Reconciliation, order: Order) -> Found {
    let text = if order.json { json!(found).to_string() } else { table(found) };
    Found { text, is_same: found.differences.is_empty() }
}

/// A line for each difference, and one for all.
fn table(found: &Reconciliation) -> String {
    let mut text = String::new();
    if !found.differences.is_empty() {
        let (order, what, here) = ("order", "difference", "here");
        _ = writeln!(text, "{:<6}  {order:<36}  {:<36}  {what:<13}  {here:<40}  there", "kind", "attempt or refund");
    }
    for Difference { kind, order_id, attempt, refund_id, what, here, there } in &found.differences {
        let of = refund_id.map_or_else(|| attempt.to_string(), |id| id.to_string());
        let (here, there) = (here.as_deref().unwrap_or("-"), there.as_deref().unwrap_or("-"));
        _ = writeln!(text, "{kind:<6}  {order_id}  {of:<36}  {what:<13}  {here:<40}  {there}");
    }
    let Reconciliation { charges, refunds, under_way, differences } = found;
    let differences = differences.len();
    _ = write!(
        text,
        "{charges} charges and {refunds} refunds compared, {under_way} under way: {differences} differences"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_or_a_moment_is_understood_and_nothing_else() {
        let moment = |text: &str| text.parse::<Since>().unwrap().0;
        assert_eq!(moment("2026-11-27"), moment("2026-11-27T00:00:00Z"));
        assert_eq!(moment("2026-11-27T01:00:00+01:00"), moment("2026-11-27"));
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-27 15:00", "24h", "-1"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
