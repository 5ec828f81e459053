use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqlSafeStr, SqlStr};
use tracing::Span;

use super::{Answer, Before, Loan, Place, Transaction, nanos};
use crate::catalog::{Catalog, Sign};
use crate::connect::Session;
use crate::control::Control;
use crate::residue::Residue;
use crate::shared::Shared;
use crate::statement::{Effect, Form};
use crate::statements::Kind;
use crate::{Failure, PoolError, classify, spans};

/// The connection while a statement runs on it. However it ends, the connection goes back onto the desk; only
/// [`Statement::settle`] says that nothing of the answer is left unread.
#[derive(Debug)]
pub(crate) struct Statement<'l> {
    loan: &'l Loan,
    session: Option<Box<Session>>,
    before: Before,
    effect: Effect,
    form: Form,
    /// Whether the server answered with an error.
    failed: bool,
    /// What that error says beyond the statement.
    hint: Option<Hint>,
    alone: Alone,
    end: Answer,
    /// When it took the connection out.
    taken: Instant,
    /// Since when it ran itself.
    since: Instant,
    /// For how long its lease had been idle before it.
    idle: Duration,
    /// On whose account it runs, if it counts.
    account: Option<(&'l Shared, Kind)>,
    /// How it failed, where neither the server nor its connection was the cause.
    failure: Option<Failure>,
    span: Span,
}

/// How a statement ends that is in no transaction of its caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alone {
    /// By itself; or it is in one.
    Trusted,
    /// In a transaction that something on its way has begun for it, or by itself.
    Doubted,
    /// By a command of ours, as it began.
    Wrapped,
}

/// What a server's error says of something else than the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    /// It was refused for the sake of another transaction: to do it again may help.
    Conflict,
    /// It cannot write: its server may have become a standby.
    ReadOnly,
    /// It had no more time.
    TimedOut,
    /// What the connection knows of the catalog may not be so any more.
    Outdated(Sign),
}

impl Hint {
    fn of(error: &sqlx::Error) -> Option<Self> {
        let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
        match (error.code(), error.routine()) {
            ("40001" | "40P01", _) => Some(Self::Conflict),
            ("25006", _) => Some(Self::ReadOnly),
            ("57014", _) => Some(Self::TimedOut),
            _ => Sign::of(error).map(Self::Outdated),
        }
    }
}

impl<'l> Statement<'l> {
    pub(super) fn new(loan: &'l Loan, session: Box<Session>, before: Before, taken: Instant) -> Self {
        let effect = Effect::NONE;
        let session = Some(session);
        // Dropped before it was asked, a raw connection stays one.
        let end = if matches!(before.answer, Answer::Raw) { Answer::Raw } else { Answer::CutShort };
        let form = Form::NONE;
        Self {
            loan,
            session,
            before,
            effect,
            form,
            failed: false,
            hint: None,
            alone: Alone::Trusted,
            end,
            taken,
            since: taken,
            idle: loan.idle(),
            account: None,
            failure: None,
            span: Span::none(),
        }
    }

    pub(crate) const fn connection(&mut self) -> &mut PgConnection {
        &mut self.session().connection
    }

    const fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("it is put back only on drop")
    }

    pub(crate) const fn connection_ref(&self) -> &PgConnection {
        &self.session.as_ref().expect("it is put back only on drop").connection
    }

    /// What is done with it is not seen from here.
    pub(super) const fn is_raw(&mut self) {
        self.end = Answer::Raw;
        self.session().residue.passed(Residue::BULKY);
    }

    /// Says what the statement will do and how it goes out, before it leaves.
    pub(crate) fn expect(&mut self, effect: Effect, form: Form) {
        self.form = form;
        self.session().residue.leaves(form);
        if effect != Effect::NONE {
            self.effect = effect;
            self.loan.expect(effect);
        }
    }

    /// From here on it counts as one of this kind.
    pub(crate) fn counts(&mut self, shared: &'l Shared, kind: Kind) {
        self.span = spans::statement(&shared.config.name, shared.statements.summary(kind));
        self.account = Some((shared, kind));
    }

    /// Says how it ended, if it did not end well.
    fn failure(&self) -> Option<Failure> {
        match self.end {
            Answer::Broken => Some(Failure::Connection),
            _ if self.failed && self.hint == Some(Hint::TimedOut) => Some(Failure::Timeout),
            _ if self.failed => Some(Failure::Server),
            Answer::Drained | Answer::Raw => self.failure,
            Answer::CutShort => Some(self.failure.unwrap_or(Failure::Dropped)),
        }
    }

    /// Its time is over: it is put on its lease's account and, if it counts, on that of its kind.
    fn count(&self, now: Instant) {
        if self.end == Answer::Raw {
            return;
        }
        self.loan.was_paused(now);
        let paused = self.loan.idle().saturating_sub(self.idle);
        let time = |since: Instant| now.saturating_duration_since(since).saturating_sub(paused);
        self.loan.ran.fetch_add(nanos(time(self.taken)), Ordering::Relaxed);
        if let Some((shared, kind)) = self.account {
            self.loan.statements.fetch_add(1, Ordering::Relaxed);
            let failure = self.failure();
            spans::ended(&self.span, failure);
            shared.observer.ran(&shared.statements.ended(kind, time(self.since), failure));
        }
    }

    /// Reads what an earlier statement left unread, so that a late error is not taken for this one's answer, and rolls
    /// back what a dropped transaction left open, and forgets what is not so any more. A statement that nobody waits for is
    /// cancelled, except inside a transaction that goes on: to cancel it there would abort the transaction.
    pub(crate) async fn begin(&mut self, shared: &Shared) -> Result<(), sqlx::Error> {
        let mut done = self.catch_up(&shared.control).await;
        if done.is_ok() {
            done = self.session().look_again(shared.catalog.era()).await;
        }
        if let Err(error) = &done
            && classify(error).is_none()
        {
            self.end = Answer::Broken;
        }
        done
    }

    async fn catch_up(&mut self, control: &Control) -> Result<(), sqlx::Error> {
        let Before { answer, transaction, savepoint } = self.before;
        let is_behind = answer != Answer::Drained || transaction == Transaction::Abandoned || savepoint.is_some();
        if answer != Answer::Drained {
            let goes_on = matches!(transaction, Transaction::Open | Transaction::ByText);
            let late = self.session().catch_up((!goes_on).then_some(control)).await?;
            if late || answer == Answer::Raw && !in_step(self.connection()).await? {
                self.loan.fail();
            }
            if self.loan.transaction() != Transaction::Failed {
                self.session().deallocate().await?;
            }
            self.end = Answer::CutShort;
        }
        if transaction == Transaction::Abandoned {
            command(self.connection(), "ROLLBACK").await?;
            self.loan.set_transaction(Transaction::None);
            self.loan.rolled_back_to();
        } else if let Some(level) = savepoint {
            // Twice does no harm, should this be dropped half-way; a second RELEASE would.
            command(self.connection(), AssertSqlSafe(format!("ROLLBACK TO SAVEPOINT forebay_{level}"))).await?;
            self.loan.rolled_back_to();
            command(self.connection(), AssertSqlSafe(format!("RELEASE SAVEPOINT forebay_{level}"))).await?;
        }
        if is_behind {
            self.since = crate::clock::now();
        }
        Ok(())
    }

    /// Begins a transaction for it alone, which is rolled back unless [`Statement::end`] has committed it.
    pub(crate) async fn wrap(&mut self, begin: SqlStr) -> Result<(), sqlx::Error> {
        self.alone = Alone::Wrapped;
        self.loan.set_transaction(Transaction::Abandoned);
        let begun = command(self.connection(), begin).await;
        if !matches!(begun, Ok(()) | Err(sqlx::Error::Database(_))) {
            self.end = Answer::Broken;
        }
        begun
    }

    /// Looks behind it whether it was left in a transaction, which is rolled back when it does not come to that.
    pub(crate) fn doubt(&mut self) {
        self.alone = Alone::Doubted;
        self.loan.set_transaction(Transaction::Abandoned);
    }

    pub(crate) fn is_trusted(&self) -> bool {
        self.alone == Alone::Trusted
    }

    /// Whether a write is committed by itself here.
    pub(crate) const fn commits(&self) -> bool {
        self.session.as_ref().expect("it is put back only on drop").commits
    }

    /// Ends the transaction that it was alone in, where its answer was read to the end.
    pub(crate) async fn end(&mut self, commits: bool) -> Result<(), sqlx::Error> {
        if self.end != Answer::Drained {
            return Ok(());
        }
        self.end = Answer::CutShort;
        let session = self.session.as_mut().expect("it is put back only on drop");
        let ended = if self.alone == Alone::Doubted {
            session.settle_write(commits).await
        } else {
            command(&mut session.connection, if commits { "COMMIT" } else { "ROLLBACK" }).await
        };
        self.end = match ended {
            // A COMMIT that the server refused has rolled back.
            Ok(()) | Err(sqlx::Error::Database(_)) => {
                self.loan.set_transaction(Transaction::None);
                Answer::Drained
            }
            Err(_) => Answer::Broken,
        };
        ended
    }

    /// Reads what is left of the answer. A server's error leaves its last message unread: reading it now costs no round
    /// trip, and leaving it would make the connection dirty.
    pub(crate) async fn settle(&mut self, catalog: &Catalog, error: Option<&sqlx::Error>) {
        match error {
            // The pool's own: the server has not answered, and is waited for no longer.
            Some(error) if let Some(cause) = classify(error) => {
                let silent = matches!(cause, PoolError::Silent { .. });
                self.failure = Some(if silent { Failure::Timeout } else { Failure::Connection });
                return;
            }
            Some(error @ sqlx::Error::Database(_)) => {
                self.failed = true;
                self.hint = Hint::of(error);
            }
            Some(sqlx::Error::Protocol(_)) if self.form.refused => self.failure = Some(Failure::Client),
            Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed) => {
                self.end = Answer::Broken;
                return;
            }
            Some(_) => self.failure = Some(Failure::Client),
            None => {}
        }
        let loan = self.loan;
        match loan.within(self.read_rest(catalog)).await {
            Ok(Ok(())) => {
                self.end = Answer::Drained;
                if self.is_forgotten(error) {
                    self.session().residue.forgot();
                }
            }
            Ok(Err(_)) => self.end = Answer::Broken,
            Err(_silent) => self.failure = Some(Failure::Timeout),
        }
    }

    /// Reads the rest, and forgets what does not fit the catalog any more: statements of this connection would else fail for
    /// as long as it lives.
    async fn read_rest(&mut self, catalog: &Catalog) -> Result<(), sqlx::Error> {
        self.failed |= drain(self.connection()).await?;
        match self.hint {
            // A statement without a name is lost alone.
            Some(Hint::Outdated(Sign::Lost)) if !self.form.named => Ok(()),
            Some(Hint::Outdated(sign)) => self.session().heed(sign, catalog).await,
            _ => Ok(()),
        }
    }

    /// Whether the server may have prepared it and the driver does not know: between the two lie questions about its types, and
    /// a cache of no size keeps nothing.
    fn is_forgotten(&self, error: Option<&sqlx::Error>) -> bool {
        self.form.named
            && match error {
                None => self.connection_ref().cached_statements_size() == 0,
                Some(sqlx::Error::Database(error)) => matches!(error.code().as_deref(), Some("57014" | "55P03")),
                Some(_) => true,
            }
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        let since = crate::clock::now();
        let mut session = self.session.take().expect("it is put back only here");
        self.count(since);
        if self.form.named && self.end != Answer::Drained {
            session.residue.forgot();
        }
        let mut desk = self.loan.desk();
        if let Place::Ended { held_idle } = desk.place {
            desk.place = Place::Revoked { held_idle };
            drop(desk);
            // The socket is closed after the unlock.
            drop(session);
            return;
        }
        if matches!(desk.place, Place::Running { bulky: true, .. }) {
            session.residue.passed(Residue::BULKY);
        }
        desk.place = Place::Here { session, since };
        desk.answer = self.end;
        desk.conflict |= self.hint == Some(Hint::Conflict);
        desk.read_only |= self.hint == Some(Hint::ReadOnly);
        desk.timed_out |= self.hint == Some(Hint::TimedOut);
        if self.failed {
            desk.fail();
        }
        if self.effect.ends && self.end == Answer::Drained && !self.failed {
            desk.transaction = Transaction::None;
            desk.savepoint = None;
        }
    }
}

/// Reads until the server is ready; says whether a late error was among it.
pub(crate) async fn drain(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut late = false;
    loop {
        match connection.flush().await {
            Ok(()) => return Ok(late),
            // The first call hands out the late error, a second one goes on behind it.
            Err(sqlx::Error::Database(_)) => late = true,
            Err(error) => return Err(error),
        }
    }
}

/// Runs one command that has no answer.
pub(crate) async fn command(connection: &mut PgConnection, sql: impl SqlSafeStr) -> Result<(), sqlx::Error> {
    let done = sqlx::raw_sql(sql).execute(&mut *connection).await;
    drain(connection).await?;
    done.map(drop)
}

/// Asks a question with one right answer, since a COPY that was dropped half-way leaves messages of which nobody keeps
/// count: the next statement would take them for its own. Says whether statements can run, which they cannot in a
/// transaction that has failed.
pub(crate) async fn in_step(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let nonce = i64::from(rand::random::<u32>());
    let question = AssertSqlSafe(format!("select {nonce}::int8"));
    let answer = sqlx::raw_sql(question).fetch_one(&mut *connection).await.and_then(|row| row.try_get::<i64, _>(0));
    let runs = match answer {
        Ok(answer) if answer == nonce => true,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("25P02") => false,
        _ => return Err(sqlx::Error::Protocol("the raw connection was left in the middle of an answer".to_owned())),
    };
    drain(connection).await?;
    Ok(runs)
}
