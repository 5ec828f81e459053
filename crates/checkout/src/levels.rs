//! Tells others whose stock has changed its level, so that they can keep a projection of it.
//!
//! Whoever reads asks with the cursor of the last answer. A round reads what has changed since the last one began, page by
//! page in the order of SKUs; the first one reads everything. The next round begins with the oldest transaction that was
//! still running when this one began: what such a one changes is told after it commits, and some things are told twice.

use std::time::Duration;

use forebay_platform::db::Conn;
use forebay_platform::problem::Problem;
use forebay_pool::{Admission, Class};

use crate::domain::{LevelChanges, Reading, Round};
use crate::error::Error;
use crate::{State, store};

/// How many levels a part has at most.
const PART: i64 = 1_000;
const LIMIT: Duration = Duration::from_secs(2);

/// The next part of what changed behind `cursor`, of all levels without one, on a lease of class background. What
/// `GET /v1/availability/changes` answers, for whoever lives in the same process. Dropping the future loses nothing.
///
/// # Errors
/// A cursor that is none, or a database that does not answer within two seconds.
pub async fn level_changes(state: &State, cursor: Option<&str>) -> Result<LevelChanges, Problem> {
    let read = async {
        let reading = Reading::parse(cursor)?;
        let mut lease = state.db.acquire(&Admission::within(Class::Background, LIMIT)).await?;
        read_on(&mut lease.conn(), reading).await
    };
    read.await.map_err(Problem::from)
}

pub(crate) async fn read_on(conn: &mut Conn<'_>, reading: Reading) -> Result<LevelChanges, Error> {
    let moment = store::stock::moment(conn).await?;
    let Round { next, after } = reading.round.unwrap_or(Round { next: moment.oldest_running, after: String::new() });
    // From the life of another database, where it is of a transaction that is yet to come.
    let since = reading.since.filter(|since| *since <= moment.oldest_running);
    let mut levels = match since {
        Some(since) => store::stock::levels_changed(conn, since, &after, PART + 1).await?,
        None => store::stock::levels(conn, &after, PART + 1).await?,
    };
    let part = usize::try_from(PART).unwrap_or(usize::MAX);
    let more = levels.len() > part;
    levels.truncate(part);
    let reading = match levels.last().filter(|_| more) {
        Some(last) => Reading { since, round: Some(Round { next, after: last.sku.clone() }) },
        None => Reading { since: Some(next), round: None },
    };
    Ok(LevelChanges { as_of: moment.at, levels, cursor: reading.to_cursor(), more })
}
