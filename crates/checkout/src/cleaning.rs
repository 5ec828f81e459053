//! Deletes carts that were abandoned, stored answers that nobody may ask for any more, and events that were told.

use forebay_platform::cleaning::{self, BATCH, Batches, CleaningError};
use time::{Duration, OffsetDateTime};

use crate::store::carts::Abandoned;
use crate::{State, store};

/// A cart that nobody has claimed is kept for so long after its last change.
const ANONYMOUS_CART: Duration = Duration::days(30);

/// The same, for one of a user.
const OWNED_CART: Duration = Duration::days(90);

/// An event is kept for so long after it was published, for replays.
const EVENT: Duration = Duration::days(7);

/// The id of a message is kept for so long: who sent it gave up long before.
const MESSAGE: Duration = Duration::days(30);

/// The same, for one that was merged into another.
const MERGED_CART: Duration = Duration::days(1);

/// What one cleaning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Carts that were never ordered, with their lines, and those that were merged into others.
    pub carts: u64,
    /// Idempotency keys past their time, with their answers.
    pub keys: u64,
    /// Events that everybody was told of.
    pub events: u64,
    /// Ids of messages that came so long ago that nobody sends them again.
    pub messages: u64,
}

/// Deletes what is past its time, as of `now`: open carts that have not changed for 30 days, or for 90 where they are a
/// user's, carts that were merged a day ago, answers that were kept for a day, events that were published a week ago and that nobody
/// misses, and ids of messages that were kept for 30 days.
///
/// In small batches of class background, each a transaction of its own: dropped or killed at any point, what was deleted
/// stays deleted, and the next call goes on. May run in several processes at once.
///
/// # Errors
/// The first batch that fails ends it.
pub async fn clean(state: &State, now: OffsetDateTime) -> Result<Cleaned, CleaningError> {
    let mut keys = Batches::of(&state.db);
    while let Some(mut lease) = keys.next().await? {
        keys.note(store::keys::forget(&mut lease.conn(), now, BATCH).await?);
    }
    let unchanged_since =
        Abandoned { anonymous: now - ANONYMOUS_CART, owned: now - OWNED_CART, merged: now - MERGED_CART };
    let mut carts = Batches::of(&state.db);
    while let Some(mut lease) = carts.next().await? {
        carts.note(store::carts::forget(&mut lease.conn(), unchanged_since, BATCH).await?);
    }
    let mut events = Batches::of(&state.db);
    while let Some(mut lease) = events.next().await? {
        events.note(store::deliveries::forget(&mut lease.conn(), now - EVENT, BATCH).await?);
    }
    let mut messages = Batches::of(&state.db);
    while let Some(mut lease) = messages.next().await? {
        messages.note(store::inbox::forget(&mut lease.conn(), now - MESSAGE, BATCH).await?);
    }
    Ok(Cleaned { carts: carts.deleted(), keys: keys.deleted(), events: events.deleted(), messages: messages.deleted() })
}

/// Cleans every ten minutes. Never returns; dropping the future stops it.
pub async fn keep_clean(state: State) {
    let mut times = cleaning::times();
    loop {
        times.tick().await;
        cleaning::report(clean(&state, OffsetDateTime::now_utc()).await);
    }
}
