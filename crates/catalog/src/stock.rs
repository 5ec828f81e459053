//! Keeps up with the stock that somebody else owns: which SKUs are sold out, nearly so, or neither.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::ACCEPT;
use axum::http::{Request, StatusCode, Uri};
use forebay_platform::db::Tx;
use forebay_platform::outbound::{Outbound, OutboundError};
use forebay_pool::{AcquireError, Admission, Class};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{State, store};

/// With a second for the answer and one for the database, what is sold out says so within five seconds.
const EVERY: Duration = Duration::from_secs(2);
/// For one answer, to its last byte.
const LIMIT: Duration = Duration::from_secs(2);
/// No part is written for longer.
const LONGEST_PART: Duration = Duration::from_secs(10);
/// The largest answer, in bytes: a thousand levels, and room.
const MAX_SIZE: usize = 1024 * 1024;

const AGE: &str = "catalog_stock_age_seconds";

/// A part of what has changed.
#[derive(Clone, Debug, Deserialize)]
pub struct Changes {
    /// Nothing in it is older.
    #[serde(with = "time::serde::rfc3339")]
    pub as_of: OffsetDateTime,
    /// The levels as they are.
    pub levels: Vec<Level>,
    /// What to ask with for the next part.
    pub cursor: String,
    /// Whether there is more of it already.
    pub more: bool,
}

/// How much there is of a SKU.
#[derive(Clone, Debug, Deserialize)]
pub struct Level {
    /// Which.
    pub sku: String,
    /// `in_stock`, `low` or `out_of_stock`.
    pub level: String,
}

/// Why nothing was heard, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unheard(pub String);

/// What [`Stock::changes`] answers with.
pub type ChangesFuture<'a> = Pin<Box<dyn Future<Output = Result<Changes, Unheard>> + Send + 'a>>;

/// Who owns the stock, and tells what changes.
pub trait Stock: Debug + Send + Sync + 'static {
    /// The part behind `cursor`; without one, the first part of everything. Every change is told at least once.
    fn changes<'a>(&'a self, cursor: Option<&'a str>) -> ChangesFuture<'a>;
}

/// An owner elsewhere, who is asked over HTTP.
#[derive(Debug)]
pub struct RemoteStock {
    uri: Uri,
    client: Outbound,
}

impl RemoteStock {
    /// Its changes are at this address, such as `http://checkout:8080/v1/availability/changes`.
    #[must_use]
    pub fn at(uri: Uri) -> Self {
        Self { uri, client: Outbound::new().without_repetitions().longest_body(MAX_SIZE) }
    }

    async fn ask(&self, cursor: Option<&str>) -> Result<Changes, Unheard> {
        let query = cursor.map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
        let request = Request::get(format!("{}{query}", self.uri)).header(ACCEPT, "application/json");
        let request = request.body(Bytes::new()).map_err(unheard)?;
        let answer = self.client.send(request, LIMIT).await.map_err(|error: OutboundError| unheard(error))?;
        match answer.status() {
            StatusCode::OK => serde_json::from_slice(answer.body()).map_err(unheard),
            other => Err(Unheard(format!("the answer is {other}"))),
        }
    }
}

impl Stock for RemoteStock {
    fn changes<'a>(&'a self, cursor: Option<&'a str>) -> ChangesFuture<'a> {
        Box::pin(self.ask(cursor))
    }
}

fn unheard(error: impl std::fmt::Display) -> Unheard {
    Unheard(error.to_string())
}

/// Why a turn ended half-way; the next one goes on where it was.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// Nobody told what has changed.
    #[error("the owner of the stock does not tell: {0}")]
    Unheard(#[from] Unheard),
    /// No lease.
    #[error("no connection: {0}")]
    Acquire(#[from] AcquireError),
    /// It was not written down.
    #[error("the levels were not written down: {}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

/// Writes down what the owner of the stock tells. Several may do so at once, in as many processes.
#[derive(Debug)]
pub struct Follower {
    state: State,
    stock: Arc<dyn Stock>,
    cursor: Option<String>,
}

impl Follower {
    /// Knows nothing yet: its first turn reads everything.
    #[must_use]
    pub fn new(state: State, stock: Arc<dyn Stock>) -> Self {
        metrics::describe_gauge!(AGE, "How long ago it was last heard which SKUs are in stock");
        Self { state, stock, cursor: None }
    }

    /// Reads what has changed since the last turn (everything, where an admin has added products), and writes down what is new of it; answers with how many SKUs that was.
    /// Holds a lease of class background for one part at a time, and none while it waits for the owner. Dropped or failed
    /// half-way, what was written stays, and the next turn goes on.
    ///
    /// # Errors
    /// See [`TurnError`].
    pub async fn turn(&mut self) -> Result<usize, TurnError> {
        if self.state.read_stock_anew.swap(false, Relaxed) {
            self.cursor = None;
        }
        let mut changed = 0;
        loop {
            let changes = self.stock.changes(self.cursor.as_deref()).await?;
            if !changes.levels.is_empty() {
                changed += self.write(&changes).await?;
            }
            self.cursor = Some(changes.cursor);
            if !changes.more {
                return Ok(changed);
            }
        }
    }

    /// A turn every two seconds.
    /// Never returns; dropping the future stops it.
    pub async fn keep_up(mut self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut is_current) = (Instant::now(), None);
        loop {
            ticks.tick().await;
            let turn = self.turn().await;
            let is_news = is_current.replace(turn.is_ok()) != Some(turn.is_ok());
            match turn {
                Ok(_) => heard = Instant::now(),
                Err(error) if is_news => {
                    tracing::warn!(%error, "availability is not kept up to date; what is known stays");
                }
                Err(_) => {}
            }
            if is_news && is_current == Some(true) {
                tracing::info!("availability is up to date");
            }
            metrics::gauge!(AGE).set(heard.elapsed().as_secs_f64());
        }
    }

    /// Most of what is told is known already.
    async fn write(&self, changes: &Changes) -> Result<usize, TurnError> {
        let mut lease = self.state.db.acquire(&Admission::within(Class::Background, LONGEST_PART)).await?;
        let products = store::stock::affected(&mut lease.conn(), &changes.levels).await?;
        if products.is_empty() {
            return Ok(0);
        }
        let mut tx = lease.begin().await?;
        let written = write_down(&mut tx, &products, changes).await;
        Ok(tx.end(written).await?)
    }
}

/// The products are locked, so that of two who know of different SKUs of one the second sees what the first has written.
async fn write_down(tx: &mut Tx<'_>, products: &[uuid::Uuid], changes: &Changes) -> Result<usize, sqlx::Error> {
    store::products::lock(&mut tx.conn(), products).await?;
    let written = store::stock::write(&mut tx.conn(), &changes.levels, changes.as_of).await?;
    store::stock::sum_up(&mut tx.conn(), products, changes.as_of).await?;
    Ok(written)
}
