//! Which sessions have ended, wherever that was: by another replica, or in the database itself.

use std::time::Duration;

use forebay_platform::identity::RevokedSessions;
use forebay_pool::{AcquireError, Admission, Class};
use time::OffsetDateTime;
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{State, store};

const EVERY: Duration = Duration::from_secs(1);

/// For one look.
const LIMIT: Duration = Duration::from_secs(2);

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    #[error("no connection: {0}")]
    Acquire(#[from] AcquireError),
    #[error("{}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
    #[error("the statement did not end in time")]
    Late(#[from] Elapsed),
}

/// Looks every second which sessions have ended or whose users were disabled, and refuses their access tokens from then on.
/// Never returns; where the database does not answer, what is known stays. Dropping the future stops it.
pub async fn keep_told(state: State) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_told = true;
    loop {
        ticks.tick().await;
        let told = look(&state).await;
        match &told {
            Err(error) if is_told => {
                tracing::warn!(%error, "cannot tell which sessions have ended; what is known stays");
            }
            Ok(()) if !is_told => tracing::info!("knows again which sessions have ended"),
            _ => {}
        }
        is_told = told.is_ok();
    }
}

/// Critical, so that whoever is logged out under overload is.
async fn look(state: &State) -> Result<(), Unknown> {
    let since = OffsetDateTime::now_utc() - RevokedSessions::good_for();
    let most = i64::try_from(RevokedSessions::MOST).unwrap_or(i64::MAX);
    let mut lease = state.db.acquire(&Admission::within(Class::Critical, LIMIT)).await?;
    let ended = timeout(LIMIT, store::sessions::ended_since(&mut lease.conn(), since, most)).await??;
    drop(lease);
    state.revoked.add(ended);
    Ok(())
}
