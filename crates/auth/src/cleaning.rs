//! Deletes sessions and refresh tokens that are of no use to anybody any more.

use forebay_platform::cleaning::{self, BATCH, Batches, CleaningError};
use time::{Duration, OffsetDateTime};

use crate::{State, store};

/// A session that is over is kept for so long: an access token of it may be good for some minutes.
const KEPT_FOR: Duration = Duration::days(1);

/// What one cleaning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Refresh tokens that had expired.
    pub tokens: u64,
    /// Sessions that had come to their end.
    pub sessions: u64,
}

/// Deletes what is past its time, as of `now`: refresh tokens that have expired, spent or not (until then the use of one
/// that is spent shows that somebody has a copy), and sessions that ended a day ago or longer.
///
/// In small batches of class background, each a transaction of its own: dropped or killed at any point, what was deleted
/// stays deleted, and the next call goes on. May run in several processes at once.
///
/// # Errors
/// The first batch that fails ends it.
pub async fn clean(state: &State, now: OffsetDateTime) -> Result<Cleaned, CleaningError> {
    let mut tokens = Batches::of(&state.db);
    while let Some(mut lease) = tokens.next().await? {
        tokens.note(store::sessions::forget_tokens(&mut lease.conn(), now, BATCH).await?);
    }
    let mut sessions = Batches::of(&state.db);
    while let Some(mut lease) = sessions.next().await? {
        sessions.note(store::sessions::forget(&mut lease.conn(), now - KEPT_FOR, BATCH).await?);
    }
    Ok(Cleaned { tokens: tokens.deleted(), sessions: sessions.deleted() })
}

/// Cleans every ten minutes. Never returns; dropping the future stops it.
pub async fn keep_clean(state: State) {
    let mut times = cleaning::times();
    loop {
        times.tick().await;
        cleaning::report(clean(&state, OffsetDateTime::now_utc()).await);
    }
}
