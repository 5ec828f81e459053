//! Whether a session is its connection's own, which it is not behind a bouncer that nobody spoke of.

use std::sync::PoisonError;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use super::{Dialer, STARTED, Session, is_in_transaction};
use crate::Bouncer;
use crate::bouncer::set_config;
use crate::loan::command;

/// A parameter of the session that nobody but its connection's startup packet gives a value to.
const MARK: &str = "forebay.session";

/// What a new session is asked: its backend, when that began, whether it is a standby's, whether it has this mark, and as
/// a number the way to it.
///
/// What a bouncer may have set is reset first: only the startup packet's own value comes back.
pub(super) fn question(mark: &str) -> String {
    format!(
        "reset {MARK}; select pg_backend_pid(), {STARTED}, pg_is_in_recovery(), \
         current_setting('{MARK}', true) is not distinct from '{mark}', \
         hashtextextended(concat_ws(' ', inet_client_addr(), inet_server_addr(), inet_server_port()), 0) \
         from pg_stat_get_activity(pg_backend_pid())"
    )
}

impl Dialer {
    /// Connects with these settings, and with the mark where nothing is known to stand between.
    pub(super) async fn dial(
        &self,
        options: PgConnectOptions,
        settings: &[(String, String)],
        mark: &str,
    ) -> Result<PgConnection, sqlx::Error> {
        let options = match self.bouncer {
            Bouncer::None => options.options(settings.iter().cloned()).options([(MARK, mark)]),
            Bouncer::Session | Bouncer::Transaction => options,
        };
        options.connect().await.map_err(|error| self.explain(error))
    }

    /// Says of a bouncer's refusal what would be right.
    fn explain(&self, error: sqlx::Error) -> sqlx::Error {
        let refusal = error.as_database_error().map(|error| error.message());
        match refusal.filter(|text| text.starts_with("unsupported startup parameter")) {
            Some(text) if self.bouncer == Bouncer::None => not_own(&format!("it answers \"{text}\"")),
            _ => error,
        }
    }

    /// Refuses a session that is not its connection's own, as far as that is to be found out.
    pub(super) fn prove(&self, is_marked: bool) -> Result<(), sqlx::Error> {
        match self.bouncer {
            Bouncer::None if !is_marked => Err(not_own("the session lacks what its startup packet held")),
            _ => Ok(()),
        }
    }

    /// Whether a write on this way to a server is committed by itself. It is tried with the first session on it, before anybody
    /// has that. Where sessions are shared it is no matter: a write has a transaction there.
    pub(super) async fn commits(&self, way: i64, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        if self.bouncer.shares_sessions() {
            return Ok(true);
        }
        let tried = || self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tried().filter(|(known, _)| *known == way);
        if let Some((_, commits)) = known {
            return Ok(commits);
        }
        let commits = !leaves_open(connection).await?;
        *tried() = Some((way, commits));
        Ok(commits)
    }

    /// Prepares a session that is new or was reset.
    pub(crate) async fn prepare(
        &self,
        connection: &mut PgConnection,
        settings: &[(String, String)],
    ) -> Result<(), sqlx::Error> {
        match self.bouncer {
            Bouncer::None => {}
            Bouncer::Session => self.introduce(connection, settings).await?,
            Bouncer::Transaction => return self.rehearse(connection, settings).await,
        }
        self.ask_connector(connection).await
    }

    /// Makes the settings that a startup packet would have held. Those that sqlx sends are the bouncer's to make, but after a
    /// reset they are gone.
    async fn introduce(&self, connection: &mut PgConnection, settings: &[(String, String)]) -> Result<(), sqlx::Error> {
        let name = self.options.get_application_name().unwrap_or_default();
        let sent =
            [("DateStyle", "ISO, MDY"), ("client_encoding", "UTF8"), ("TimeZone", "UTC"), ("application_name", name)];
        let mut all = sent.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        all.extend_from_slice(settings);
        match set_config(&all, false) {
            Some(query) => command(connection, AssertSqlSafe(query)).await,
            None => Ok(()),
        }
    }

    /// Begins a transaction as each will be, so that an opening fails where all of them would.
    async fn rehearse(&self, connection: &mut PgConnection, settings: &[(String, String)]) -> Result<(), sqlx::Error> {
        // Its own words, before it hangs up: one that pools statements takes no transaction.
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        if let Some(query) = set_config(settings, true) {
            command(connection, AssertSqlSafe(query)).await?;
        }
        command(connection, "COMMIT").await
    }
}

/// Whether something on the way begins a transaction for a statement that writes or locks, and leaves it open, as pgpool-II in raw mode
/// does where it parses one. This one locks no row and needs no right. An error of the server's is no answer: the question behind
/// it is.
async fn leaves_open(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let locking = sqlx::query("select from (select $1::int8) as nothing for no key update").bind(0_i64);
    let answer = locking.persistent(false).execute(&mut *connection).await;
    if let Err(error) = answer
        && error.as_database_error().is_none()
    {
        return Err(error);
    }
    let open = is_in_transaction(connection).await?;
    if open {
        command(connection, "ROLLBACK").await?;
    }
    Ok(open)
}

fn not_own(why: &str) -> sqlx::Error {
    let text = format!(
        "a bouncer stands between this pool and its server: {why}. Connect past it, or set the pool's `bouncer` to \
         `session` or `transaction`, as its pool_mode is (Config::bouncer)"
    );
    sqlx::Error::Configuration(text.into())
}

impl Session {
    /// Ends what somebody else has begun for a write that was in no transaction, if it was left open.
    pub(crate) async fn settle_write(&mut self, succeeded: bool) -> Result<(), sqlx::Error> {
        if is_in_transaction(&mut self.connection).await? {
            return command(&mut self.connection, if succeeded { "COMMIT" } else { "ROLLBACK" }).await;
        }
        Ok(())
    }
}
