//! Fills an empty shop: products, users and a year of orders, the same every time.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Error, PgConnection};

use crate::database::dial;

/// Only one process seeds at a time; the number is this project's own.
const LOCK: i64 = 0x466f_7265_6261_7900;

/// The files in their order. Each reads what the ones before it left in temporary tables.
const STEPS: [(&str, &str); 5] = [
    ("agreeing on what is random", include_str!("seed/settings.sql")),
    ("filling the catalog", include_str!("seed/catalog.sql")),
    ("registering users", include_str!("seed/auth.sql")),
    ("stocking the shelves and placing a year of orders", include_str!("seed/checkout.sql")),
    ("measuring the tables", include_str!("seed/analyze.sql")),
];

/// How much there is to sell and to have sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// 10,000 products, 30,000 SKUs, 5,000 users, 200,000 orders.
    Full,
    /// 200 products, 600 SKUs, 50 users, 500 orders: for tests.
    Small,
}

/// The shop could not be filled; it is as empty as before.
#[derive(Debug, thiserror::Error)]
#[error("{step} failed: {}", forebay_pool::describe(source))]
pub struct SeedError {
    step: &'static str,
    source: Error,
}

/// Fills the shop that `options` lead to, unless it has products already; its schemas must be migrated.
///
/// Everything happens in one transaction: killed or dropped at any point it leaves an empty shop, and the next call
/// begins anew.
///
/// # Errors
/// [`SeedError`], with the step at which the database refused.
pub async fn seed(options: &PgConnectOptions, scale: Scale, progress: impl Fn(&str)) -> Result<(), SeedError> {
    let mut connection = dial(options).await.map_err(at("connecting"))?;
    let mut transaction = connection.begin().await.map_err(at("beginning"))?;
    if !claim(&mut transaction, scale).await.map_err(at("looking for products"))? {
        return transaction.rollback().await.map_err(at("looking for products"));
    }
    for (step, sql) in STEPS {
        progress(step);
        sqlx::raw_sql(sql).execute(&mut *transaction).await.map_err(at(step))?;
    }
    transaction.commit().await.map_err(at("keeping it all"))?;
    connection.close().await.map_err(at("ending"))
}

/// Waits for whoever else is seeding. False where there is nothing to do; else the sizes are set for the files.
async fn claim(connection: &mut PgConnection, scale: Scale) -> Result<bool, Error> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *connection).await?;
    let filled: bool =
        sqlx::query_scalar("select exists (select from catalog.products)").fetch_one(&mut *connection).await?;
    if filled {
        return Ok(false);
    }
    for (setting, value) in scale.sizes() {
        let set = sqlx::query("select set_config($1, $2, true)").bind(setting).bind(value.to_string());
        set.execute(&mut *connection).await?;
    }
    Ok(true)
}

impl Scale {
    fn sizes(self) -> [(&'static str, u32); 3] {
        let [products, users, orders] = match self {
            Self::Full => [10_000, 5_000, 200_000],
            Self::Small => [200, 50, 500],
        };
        [("seed.products", products), ("seed.users", users), ("seed.orders", orders)]
    }
}

fn at(step: &'static str) -> impl Fn(Error) -> SeedError {
    move |source| SeedError { step, source }
}

#[cfg(test)]
mod tests;
