//! The pool's state and control.

use std::{fmt, future::Future, pin::Pin};

use axum::{Json, extract::State};
use forebay_pool::{InvalidConfig, Resize, Rules};
use serde::Deserialize;

use super::{Admin, Operator};
use crate::{
    db::{Db, DbSnapshot},
    extract,
    problem::{FieldError, Problem},
    security::{self, Event},
    text::Check,
};

/// A pool has at least so many connections.
const SMALLEST: u32 = 2;

/// Changes a pool's bounds. A pool does it by itself; whoever shares a server with others may have to ask them first.
pub trait Bounds: fmt::Debug + Send + Sync {
    /// Changes them, or leaves them as they are and says why. Dropping the future leaves one or the other.
    fn resize(&self, bounds: Resize) -> Pin<Box<dyn Future<Output = Result<(), Problem>> + Send + '_>>;
}

impl Bounds for Db {
    fn resize(&self, bounds: Resize) -> Pin<Box<dyn Future<Output = Result<(), Problem>> + Send + '_>> {
        Box::pin(std::future::ready(Self::resize(self, bounds).map_err(refused)))
    }
}

pub(super) async fn show(State(admin): State<Admin>) -> Json<DbSnapshot> {
    Json(admin.db.snapshot())
}

/// What `POST /pool` understands; what is missing stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolOrder {
    /// Connections kept open without traffic.
    pub min: Option<u32>,
    /// The most connections that may exist.
    pub max: Option<u32>,
    /// Leases out at once, from now on fixed. Zero gives the choice back to the pool.
    pub limit: Option<u32>,
    /// Close every idle connection.
    pub flush_idle: bool,
}

impl PoolOrder {
    /// In the names that it was sent under: the pool has others for these bounds.
    fn check(&self, rules: &Rules) -> Result<(), Problem> {
        let (min, max) = (self.min.unwrap_or(rules.min_idle), self.max.unwrap_or(rules.ceiling));
        let fits = max < SMALLEST || min <= max;
        let checked = Check::default()
            .rule(max >= SMALLEST, "/max", "must be at least 2: one lease and one reserved place")
            .rule(fits || self.min.is_none(), "/min", format!("must be at most max, which is {max}"))
            .rule(fits || self.min.is_some(), "/max", format!("must be at least min, which is {min}"));
        checked.finish().map_err(Problem::invalid)
    }
}

pub(super) async fn resize(
    State(admin): State<Admin>,
    operator: Operator,
    extract::Json(order): extract::Json<PoolOrder>,
) -> Result<Json<DbSnapshot>, Problem> {
    if let Some(pool) = admin.db.pool() {
        order.check(&pool.rules())?;
    }
    let before = bounds_of(&admin.db.snapshot());
    let PoolOrder { min, max, limit, flush_idle } = order;
    let bounds = Resize { min_idle: min, ceiling: max, limit };
    if bounds != Resize::default() {
        admin.bounds.resize(bounds).await?;
    }
    if flush_idle {
        admin.db.flush_idle().map_err(refused)?;
    }
    let snapshot = admin.db.snapshot();
    let what = if flush_idle { "POST /pool, flush_idle" } else { "POST /pool" };
    let (by, after) = (operator.to_string(), bounds_of(&snapshot));
    security::record(Event::AdminAction { what, by: &by, before: &before, after: &after }, None);
    Ok(Json(snapshot))
}

fn bounds_of(DbSnapshot { min_idle, ceiling, limit, pinned, .. }: &DbSnapshot) -> String {
    let by_hand = if *pinned { " by hand" } else { "" };
    format!("min {min_idle}, max {ceiling}, limit {limit}{by_hand}")
}

/// The answer to bounds that cannot be.
pub fn refused(wrong: InvalidConfig) -> Problem {
    let errors = wrong.faults.into_iter().map(|fault| FieldError::new("", "not-possible", fault)).collect();
    Problem::invalid(errors)
}
