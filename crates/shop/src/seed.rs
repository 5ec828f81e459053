//! Fills an empty shop: products, users and a year of orders, the same every time.

use std::{fmt, str::FromStr};

use sqlx::{AssertSqlSafe, Connection as _, Error, PgConnection, postgres::PgConnectOptions};

use crate::database::dial;

/// Only one process seeds at a time; the number is this project's own.
const LOCK: i64 = 0x466f_7265_6261_7900;

/// What the files draw from, and the files in their order: each reads what the ones before it left in temporary tables.
const SETTINGS: &str = include_str!("seed/settings.sql");
const FILES: [&str; 4] = [
    include_str!("seed/catalog.sql"),
    include_str!("seed/auth.sql"),
    include_str!("seed/checkout.sql"),
    include_str!("seed/analyze.sql"),
];
/// How the line above a step begins, in a file.
const MARK: &str = "-- step: ";

/// How much there is to sell and to have sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// 10,000 products, 30,000 SKUs, 5,000 users, 200,000 orders.
    Full,
    /// 200 products, 600 SKUs, 50 users, 500 orders: for tests.
    Small,
    /// So many times the full one.
    Times(Factor),
}

/// From 0.1 to 10, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(u32);

impl FromStr for Factor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be a number from 0.1 to 10, with two digits after the point at most";
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = (1..=2).contains(&whole.len()) && rest.len() <= 2 && are_digits(whole) && are_digits(rest);
        let hundredths: u32 = format!("{whole}{rest:0<2}").parse().ok().filter(|_| fits).ok_or(wrong)?;
        (10..=1_000).contains(&hundredths).then_some(Self(hundredths)).ok_or(wrong)
    }
}

/// What begins now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// From 1 on.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// In words, with how many of what.
    pub doing: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, of, doing } = self;
        write!(f, "{number}/{of} {doing}")
    }
}

/// What a seed came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeded {
    /// The shop is filled.
    Filled,
    /// There were products already, and nothing was changed.
    HadProducts,
}

/// The shop could not be filled; it is as it was before.
#[derive(Debug, thiserror::Error)]
#[error("{doing} failed: {}", forebay_pool::describe(source))]
pub struct SeedError {
    doing: String,
    source: Error,
}

/// Fills the shop that `options` lead to, unless it has products already; its schemas must be migrated.
///
/// Everything happens in one transaction: killed or dropped at any point it leaves an empty shop, and the next call
/// begins anew.
///
/// # Errors
/// [`SeedError`], with the step at which the database refused.
pub async fn seed(options: &PgConnectOptions, scale: Scale, progress: impl Fn(Step)) -> Result<Seeded, SeedError> {
    let mut connection = dial(options).await.map_err(at("connecting"))?;
    let mut tx = connection.begin().await.map_err(at("beginning"))?;
    if !claim(&mut tx).await.map_err(at("looking for products"))? {
        tx.rollback().await.map_err(at("looking for products"))?;
        return Ok(Seeded::HadProducts);
    }
    fill(&mut tx, scale, progress).await?;
    tx.commit().await.map_err(at("keeping it all"))?;
    connection.close().await.map_err(at("ending"))?;
    Ok(Seeded::Filled)
}

/// Deletes **all** that the shop's tables hold, but the audit log, and fills them. In one transaction: killed or dropped at any
/// point it leaves everything as it was.
///
/// # Errors
/// [`SeedError`], with the step at which the database refused; also where somebody has used a table for five seconds.
pub async fn seed_anew(options: &PgConnectOptions, scale: Scale, progress: impl Fn(Step)) -> Result<(), SeedError> {
    let mut connection = dial(options).await.map_err(at("connecting"))?;
    let mut tx = connection.begin().await.map_err(at("beginning"))?;
    claim(&mut tx).await.map_err(at("looking for products"))?;
    empty(&mut tx).await.map_err(at("deleting what there was"))?;
    fill(&mut tx, scale, progress).await?;
    tx.commit().await.map_err(at("keeping it all"))?;
    connection.close().await.map_err(at("ending"))
}

/// Waits for whoever else is seeding. Whether the shop is empty.
async fn claim(connection: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *connection).await?;
    sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM catalog.products)").fetch_one(&mut *connection).await
}

async fn empty(connection: &mut PgConnection) -> Result<(), Error> {
    let tables = "SELECT string_agg(format('%I.%I', nspname, relname), ', ') \
         FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace \
         WHERE relkind IN ('r', 'p') AND nspname IN ('catalog', 'auth', 'checkout', 'payment_simulator')";
    let tables: String = sqlx::query_scalar(tables).fetch_one(&mut *connection).await?;
    sqlx::raw_sql("SET LOCAL lock_timeout = '5s'").execute(&mut *connection).await?;
    let truncate = format!("TRUNCATE {tables} RESTART IDENTITY");
    sqlx::raw_sql(AssertSqlSafe(truncate)).execute(connection).await.map(|_| ())
}

async fn fill(connection: &mut PgConnection, scale: Scale, progress: impl Fn(Step)) -> Result<(), SeedError> {
    let sizes = Sizes::of(scale);
    let agreeing = at("agreeing on what is random");
    sizes.set(connection).await.map_err(&agreeing)?;
    sqlx::raw_sql(SETTINGS).execute(&mut *connection).await.map_err(&agreeing)?;
    let steps: Vec<_> = FILES.into_iter().flat_map(steps).collect();
    let of = steps.len();
    for (number, (doing, sql)) in (1..).zip(steps) {
        let doing = sizes.fill_in(doing);
        progress(Step { number, of, doing: doing.clone() });
        sqlx::raw_sql(sql).execute(&mut *connection).await.map_err(at(&doing))?;
    }
    Ok(())
}

/// The steps of a file: what is said of each, and its statements.
fn steps(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    file.split(MARK).skip(1).map(|step| step.split_once('\n').unwrap_or((step, "")))
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    products: u32,
    users: u32,
    orders: u32,
}

impl Sizes {
    fn of(scale: Scale) -> Self {
        let hundredths = match scale {
            Scale::Small => return Self { products: 200, users: 50, orders: 500 },
            Scale::Full => 100,
            Scale::Times(Factor(hundredths)) => hundredths,
        };
        // Never a multiple of the prime by which products get their ranks.
        Self { products: 100 * hundredths, users: 50 * hundredths, orders: 2_000 * hundredths }
    }

    async fn set(self, connection: &mut PgConnection) -> Result<(), Error> {
        let Self { products, users, orders } = self;
        for (setting, value) in [("seed.products", products), ("seed.users", users), ("seed.orders", orders)] {
            let set = sqlx::query("SELECT set_config($1, $2, true)").bind(setting).bind(value.to_string());
            set.execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// The words of a step, with numbers.
    fn fill_in(self, words: &str) -> String {
        let Self { products, users, orders } = self;
        let named = [("{products}", products), ("{skus}", 3 * products), ("{users}", users), ("{orders}", orders)];
        named.into_iter().fold(words.to_owned(), |words, (name, number)| words.replace(name, &in_groups(number)))
    }
}

/// `200,000`
fn in_groups(number: u32) -> String {
    let digits = number.to_string();
    let (first, rest) = digits.split_at(digits.len() % 3);
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let groups: Vec<_> = Some(first.to_owned()).filter(|first| !first.is_empty()).into_iter().chain(groups).collect();
    groups.join(",")
}

fn at(doing: &str) -> impl Fn(Error) -> SeedError {
    move |source| SeedError { doing: doing.to_owned(), source }
}

#[cfg(test)]
mod tests;
