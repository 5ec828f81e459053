//! What becomes of a connection that came back dirty, or not at all.

use std::sync::Arc;

use forebay_pool_core::Health;
use sqlx::{Connection, Row};

use crate::clock::now;
use crate::connect::{Backend, Session};
use crate::job::JobId;
use crate::loan::{Answer, Soiled, Taken, command, drain, in_step};
use crate::shared::Shared;
use crate::standstill::timeout;
use crate::state::Seat;
use crate::statement::Trace;

/// How the connection of a place is closed.
#[derive(Debug)]
pub(crate) enum Closing {
    Politely(Box<Session>),
    /// It is out of reach, or broken, and its backend may still work.
    Backend(Backend),
    /// It is gone.
    Nothing,
}

impl Closing {
    /// The backend that may outlive its socket.
    pub(crate) const fn backend(&self) -> Option<Backend> {
        match self {
            Self::Politely(session) => Some(session.backend),
            Self::Backend(backend) => Some(*backend),
            Self::Nothing => None,
        }
    }
}

/// Makes it usable again, or ends it.
pub(crate) async fn clean(shared: Arc<Shared>, id: JobId, taken: Taken) {
    let (session, health) = match taken {
        Taken::Session(soiled) => purify(&shared, soiled).await,
        Taken::Backend(backend) => {
            end(&shared, backend).await;
            (None, Health::Lost)
        }
    };
    let now = now();
    let unwanted = shared.with(now, |state| {
        if state.done(id).is_none() {
            return session;
        }
        *state.seat(id.slot) = session.map_or(Seat::Away, Seat::Resting);
        state.ledger.cleaned(now, id.slot, health);
        None
    });
    drop(unwanted);
}

async fn purify(shared: &Shared, soiled: Soiled) -> (Option<Box<Session>>, Health) {
    let Soiled { mut session, answer, in_transaction, trace, read_only } = soiled;
    let backend = session.backend;
    let work = async {
        if answer != Answer::Drained {
            session.catch_up_last(&shared.control).await?;
        }
        if answer == Answer::Raw {
            in_step(&mut session.connection).await?;
        }
        if in_transaction {
            command(&mut session.connection, "ROLLBACK").await?;
        }
        reset(shared, &mut session, trace).await?;
        session.wash().await?;
        if read_only { session.health(shared.config.role).await } else { Ok(Health::Well) }
    };
    if let Ok(Ok(health)) = timeout(shared.config.cleanup_timeout, work).await {
        if trace != Trace::ForGood && !session.residue.is_stale() {
            return (Some(session), health);
        }
        close_politely(shared, session).await;
        return (None, Health::Lost);
    }
    drop(session);
    end(shared, backend).await;
    (None, Health::Lost)
}

/// What DISCARD ALL does, except that it keeps the plans and what the driver has prepared: to prepare that again would take
/// the next users a round trip for each statement. Asks before and after how names are looked up, and at last what is prepared.
/// One round trip.
const RESTORE: &str = "\
    SELECT pg_catalog.hashtextextended(pg_catalog.concat(pg_catalog.current_setting('search_path'), ' ', current_user), 0);
    CLOSE ALL;
    SET SESSION AUTHORIZATION DEFAULT;
    RESET ALL;
    UNLISTEN *;
    DISCARD TEMP;
    DISCARD SEQUENCES;
    SELECT pg_catalog.hashtextextended(pg_catalog.concat(pg_catalog.current_setting('search_path'), ' ', current_user), 0),
        pg_catalog.count(*) FILTER (WHERE from_sql), pg_catalog.count(*), pg_catalog.pg_advisory_unlock_all()
    FROM pg_catalog.pg_prepared_statements";

/// Takes away what the last user may have left in the session.
async fn reset(shared: &Shared, session: &mut Session, trace: Trace) -> Result<(), sqlx::Error> {
    match trace {
        Trace::None | Trace::ForGood => return Ok(()),
        Trace::Unseen if restore(session).await? => {}
        Trace::Unseen | Trace::Session => discard_all(session).await?,
        // Refused where a transaction is open: that is how it becomes known, without a warning in the server's log where
        // none is.
        Trace::Unknown => match discard_all(session).await {
            Err(sqlx::Error::Database(_)) => {
                command(&mut session.connection, "ROLLBACK").await?;
                discard_all(session).await?;
            }
            done => done?,
        },
    }
    shared.dialer.prepare(&mut session.connection, &shared.settings()).await
}

/// Says whether it was enough. It is not where names were looked up elsewhere, since the driver has noted what it found, and
/// where something was prepared by text, or is prepared no more.
async fn restore(session: &mut Session) -> Result<bool, sqlx::Error> {
    let connection = &mut session.connection;
    let rows = sqlx::raw_sql(RESTORE).fetch_all(&mut *connection).await;
    drain(connection).await?;
    let rows = rows?;
    let [before, after] = rows.as_slice() else { return Err(sqlx::Error::RowNotFound) };
    let names: [i64; 2] = [before.try_get(0)?, after.try_get(0)?];
    let (by_text, prepared): (i64, i64) = (after.try_get(1)?, after.try_get(2)?);
    let known = usize::try_from(prepared).is_ok_and(|prepared| prepared == connection.cached_statements_size());
    Ok(names[0] == names[1] && by_text == 0 && known)
}

async fn discard_all(session: &mut Session) -> Result<(), sqlx::Error> {
    command(&mut session.connection, "DISCARD ALL").await?;
    // The server has forgotten the prepared statements too.
    session.forget_all().await
}

/// Only when the server has stopped working for it is its place free again.
async fn end(shared: &Shared, backend: Backend) {
    let ended = timeout(shared.config.cleanup_timeout, shared.control.end(backend)).await;
    if ended != Ok(true) {
        // Nobody can be told, so the server has to notice by itself.
        tokio::time::sleep(shared.config.check_interval).await;
    }
}

/// A polite close that takes too long is a closed socket instead.
pub(crate) async fn close_politely(shared: &Shared, session: Box<Session>) {
    let _polite = timeout(shared.config.close_timeout, session.connection.close()).await;
}

/// Closes it and gives the place free.
pub(crate) async fn close(shared: Arc<Shared>, id: JobId, closing: Closing) {
    match closing {
        Closing::Politely(session) => close_politely(&shared, session).await,
        Closing::Backend(backend) => end(&shared, backend).await,
        Closing::Nothing => {}
    }
    let now = now();
    shared.with(now, |state| {
        if state.done(id).is_some() {
            state.ledger.closed(now, id.slot);
        }
    });
}

/// The control connection of a pool, and whether there is a place for it: below a ceiling of three there is not, since a
/// lease and the reserve come first.
pub(crate) const fn control_places(wanted: bool, ceiling: u32) -> u32 {
    if wanted && ceiling >= 3 { 1 } else { 0 }
}
