//! A process's part of the server's connections, which moves while it runs.
//!
//! What it may open and what it wants stand in its session's `application_name`, where all others read them. The decisions are
//! `forebay_pool::share`'s; here are the statements, the clock, and what becomes of the pool.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use forebay_platform::{
    admin::{Bounds, ProbeSession, refused},
    db::Db,
    problem::Problem,
};
use forebay_pool::{
    Resize,
    share::{Member, Published},
};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Mutex, MutexGuard, OnceCell},
    time::{Instant, sleep, timeout},
};

use crate::{
    budget::{DoesNotFit, STARTING, Share},
    claim::{self, ClaimError, not_granted},
};

mod gate;
mod need;
mod reading;

pub(crate) use gate::{Counted, Gate};
use need::Needs;
use reading::{Identity, Reading};

/// Between two looks at what all publish.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);
/// The same when somebody's publication is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(950);
/// Two looks are recent when no more lies between the question of the first and the answer of the last.
const RECENT: Duration = Duration::from_millis(1_700);
/// For so long after its first publication nobody grows: a little more than what others take for recent.
const NEW: Duration = Duration::from_millis(1_800);
/// An answer that took longer says nothing about now.
const FRESH: Duration = Duration::from_millis(500);
/// Whoever has not looked for so long begins anew.
const LONG: Duration = Duration::from_secs(10);
/// For one question to the server.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How long somebody who asks for a larger pool waits until one may be asked for.
const GROWTH_LIMIT: Duration = Duration::from_secs(4);
/// Between two looks at the pool.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// How long a start waits until others have given back what they can spare.
const START_LIMIT: Duration = Duration::from_secs(10);
/// A pool has at least so many.
const SMALLEST: u32 = 2;

/// What a process wants at least and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// As much as it may have at most.
    pub most: Share,
    /// The least that its pool is left.
    pub floor: u32,
}

/// A process that shares: its session, what it publishes, and its pool once there is one.
#[derive(Debug)]
pub struct Sharing {
    identity: Identity,
    beside: u32,
    session: ProbeSession,
    state: Mutex<State>,
    db: OnceCell<Db>,
    under_way: gate::UnderWay,
}

#[derive(Debug)]
struct State {
    member: Member,
    /// The least and the most that its pool may have.
    floor: u32,
    most: u32,
    /// Which of its sessions it has published on.
    session: u64,
    /// When the last two looks that were answered were asked for.
    looked: [Option<Instant>; 2],
    /// Since when others see it.
    since: Option<Instant>,
    next_look: Instant,
    needs: Needs,
    troubled: bool,
}

impl State {
    /// Nobody can have come, grown, and lost its publication unseen.
    fn has_looked_lately(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now >= since + NEW)
            && self.looked[1].is_some_and(|before| now <= before + RECENT)
    }

    fn lose(&mut self) {
        let long = self.looked[0].is_none_or(|last| last.elapsed() > LONG);
        self.member.lost(long);
        self.since = None;
    }
}

impl Sharing {
    /// Publishes over `connection`, which was opened by [`claim::options`], and waits until its floor is granted. Whoever has the
    /// server to itself has all that fits at once; others are given a few seconds to make room.
    ///
    /// # Errors
    ///
    /// See [`ClaimError`]; at once where the floors of all do not fit together.
    pub async fn start(
        connection: PgConnection,
        options: &PgConnectOptions,
        want: Want,
    ) -> Result<Arc<Self>, ClaimError> {
        let Want { most: Share { process, ceiling, beside }, floor } = want;
        let identity = Identity::new(process);
        let member = Member::new(identity.number(), floor + beside, ceiling + beside);
        let state = State {
            member,
            floor,
            most: ceiling,
            session: 0,
            looked: [None; 2],
            since: None,
            next_look: Instant::now(),
            needs: Needs::default(),
            troubled: false,
        };
        let this = Self {
            identity,
            beside,
            session: ProbeSession::of(connection, options.clone().application_name(STARTING)),
            state: Mutex::new(state),
            db: OnceCell::new(),
            under_way: gate::UnderWay::default(),
        };
        let end = Instant::now() + START_LIMIT;
        loop {
            let reading = timeout(ANSWER_LIMIT, this.look()).await.map_err(|_elapsed| no_answer())??;
            if this.state.lock().await.member.held() >= floor + beside {
                return Ok(Arc::new(this));
            }
            let least = Share { process, ceiling: floor, beside };
            reading.fleet.clone().of_floors().fits(least).map_err(DoesNotFit::at_least)?;
            if Instant::now() >= end {
                reading.fleet.fits(least).map_err(DoesNotFit::at_least)?;
                return Err(ClaimError::Busy);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The session that carries it.
    pub fn session(&self) -> ProbeSession {
        self.session.clone()
    }

    /// By which its sessions are known to be its own.
    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What its pool may have now.
    pub async fn ceiling(&self) -> u32 {
        self.state.lock().await.member.ceiling().saturating_sub(self.beside)
    }

    /// Watches over the pool that opens what was granted.
    pub(crate) fn watch(&self, db: Db) {
        // There is one pool, and this is called once.
        _ = self.db.set(db);
    }

    /// Looks once a second and moves the pool's ceiling; never returns. Dropping the future stops it.
    pub async fn keep(&self) {
        loop {
            sleep(SAMPLE_EVERY).await;
            let due = {
                let mut state = self.state.lock().await;
                if let Some(pool) = self.db.get().and_then(Db::pool) {
                    state.needs.note(&pool.snapshot());
                }
                state.next_look <= Instant::now()
            };
            if due {
                let looked = timeout(ANSWER_LIMIT, self.look()).await;
                let error = match looked {
                    Ok(Ok(_)) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(_elapsed) => Some(format!("no answer within {} s", ANSWER_LIMIT.as_secs())),
                };
                self.note_trouble(error).await;
            }
        }
    }

    async fn note_trouble(&self, error: Option<String>) {
        let mut state = self.state.lock().await;
        match error {
            Some(error) => {
                state.lose();
                state.next_look = Instant::now() + SAMPLE_EVERY;
                if !std::mem::replace(&mut state.troubled, true) {
                    tracing::warn!(
                        error,
                        "the share of the server's connections is not published; nothing is opened until it is"
                    );
                }
            }
            None if std::mem::take(&mut state.troubled) => {
                tracing::info!(holds = state.member.held(), "the share of the server's connections is published again");
            }
            None => {}
        }
    }

    /// One look, and what follows from it. Dropped half-way it closes the session.
    async fn look(&self) -> Result<Reading, ClaimError> {
        let mut state = self.state.lock().await;
        let mut held = self.session.hold().await;
        let asked = Instant::now();
        let mut connection = held.take().await?;
        if held.generation() != state.session {
            state.session = held.generation();
            state.lose();
        }
        let reading = Reading::read(&mut connection, &self.identity, self.beside).await?;
        let now = Instant::now();
        state.looked = [Some(asked), state.looked[0]];
        let alone = state.since.is_none() && reading.is_alone && self.db.get().is_none();
        let recent = alone || state.has_looked_lately(now);
        let need = self.need(&mut state);
        if alone {
            // Nobody is there who would have to be seen first.
            state.member.confirm(Published { holds: 0, ..Published::default() });
        }
        let said = state.member.look(&reading.view, need, self.open(), recent);
        state.next_look = now + if state.member.is_looking_again() { LOOK_AGAIN } else { LOOK_EVERY };
        let reading = if said.holds > state.member.held() {
            self.ask(&mut connection, &mut state, said, alone).await?.unwrap_or(reading)
        } else {
            if Some(said) != state.member.published() {
                claim::rename(&mut connection, &self.identity.claim(said)).await?;
            }
            self.confirm_published(&mut state, said);
            reading
        };
        held.keep(connection);
        self.apply(&state, &reading);
        Ok(reading)
    }

    /// Publishes more, looks once more, and keeps what fits. Nothing changes when somebody else is at it.
    async fn ask(
        &self,
        connection: &mut PgConnection,
        state: &mut State,
        asked: Published,
        alone: bool,
    ) -> Result<Option<Reading>, ClaimError> {
        let returns = state.member.published().is_none();
        let mut tx = connection.begin().await?;
        match claim::lock(&mut tx, claim::PATIENCE_OF_GROWTH).await {
            Ok(()) => {}
            Err(ClaimError::Busy) => {
                tx.rollback().await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        claim::rename(&mut tx, &self.identity.claim(asked)).await?;
        let reading = Reading::read(&mut tx, &self.identity, self.beside).await?;
        let mut settled = state.member.settle(&reading.view, asked, self.open());
        if !(alone || returns || state.has_looked_lately(Instant::now())) {
            settled.holds = state.member.held();
        }
        if settled != asked {
            claim::rename(&mut tx, &self.identity.claim(settled)).await?;
        }
        tx.commit().await?;
        self.confirm_published(state, settled);
        Ok(Some(reading))
    }

    fn confirm_published(&self, state: &mut State, published: Published) {
        state.since.get_or_insert_with(Instant::now);
        state.member.confirm(published);
    }

    /// For how many connections of all kinds there has been use since the last look.
    fn need(&self, state: &mut State) -> u32 {
        let Some(pool) = self.db.get().and_then(Db::pool) else { return 0 };
        state.needs.note(&pool.snapshot());
        state.needs.take().saturating_add(self.beside)
    }

    /// How many there are, or are on their way.
    fn open(&self) -> u32 {
        self.beside + self.db.get().and_then(Db::pool).map_or(0, |pool| pool.snapshot().open())
    }

    /// Lets the pool have what the member may have, and says so.
    fn apply(&self, state: &State, reading: &Reading) {
        let Some(published) = state.member.published() else { return };
        let Some((db, pool)) = self.db.get().and_then(|db| Some((db, db.pool()?))) else { return };
        let rules = pool.rules();
        let ceiling = state.member.ceiling().saturating_sub(self.beside).max(SMALLEST).max(rules.min_idle);
        if ceiling == rules.ceiling {
            return;
        }
        let (from, to, wanted, room) = (rules.ceiling, ceiling, published.wants, reading.view.room);
        let why = if to > from { "there is room for more" } else { "others need connections" };
        tracing::info!(from, to, wanted, room, members = reading.view.members.len(), "the pool's ceiling moved: {why}");
        if let Err(wrong) = db.resize(Resize { ceiling: Some(ceiling), ..Resize::default() }) {
            tracing::error!(faults = ?wrong.faults, "the pool's ceiling could not be moved");
        }
    }

    /// Whether one more may be opened now: asks over the session that publishes. Dropped half-way it closes that.
    async fn may_open(&self) -> sqlx::Result<bool> {
        let mut state = self.state.lock().await;
        let mut held = self.session.hold().await;
        let asked = Instant::now();
        let mut connection = held.take().await?;
        if held.generation() != state.session {
            state.lose();
            state.next_look = Instant::now();
            held.keep(connection);
            return Ok(false);
        }
        let sessions = self.identity.count(&mut connection).await? + self.beside;
        held.keep(connection);
        if asked.elapsed() > FRESH || !state.member.may_open(sessions, self.under_way.count()) {
            return Ok(false);
        }
        self.under_way.begin();
        Ok(true)
    }

    /// Changes the pool's bounds. More is published first; what is less is given back once its connections are closed.
    async fn resize(&self, bounds: Resize) -> Result<(), Problem> {
        let db = self.db.get().ok_or_else(|| not_granted(ClaimError::Busy))?;
        if let Some(most) = bounds.ceiling {
            let mut state = self.state_for_growth(most).await;
            if most > state.most {
                self.grow(&mut state, most).await.map_err(not_granted)?;
            }
            state.most = most;
            let floor = state.floor.min(most);
            state.member.set_bounds(floor + self.beside, most + self.beside);
        }
        db.resize(bounds).map_err(refused)
    }

    /// Who has just started grows a moment later.
    async fn state_for_growth(&self, most: u32) -> MutexGuard<'_, State> {
        let end = Instant::now() + GROWTH_LIMIT;
        loop {
            let state = self.state.lock().await;
            if most <= state.most || state.has_looked_lately(Instant::now()) || Instant::now() >= end {
                return state;
            }
            drop(state);
            sleep(SAMPLE_EVERY).await;
        }
    }

    async fn grow(&self, state: &mut State, most: u32) -> Result<(), ClaimError> {
        let mut held = self.session.hold().await;
        let mut connection = held.take().await?;
        let Some(before) = state.member.published().filter(|_| held.generation() == state.session) else {
            held.keep(connection);
            return Err(ClaimError::Busy);
        };
        let asked = Published { holds: before.holds.max(most + self.beside), most: most + self.beside, ..before };
        let reading = self.ask(&mut connection, state, asked, false).await?.ok_or(ClaimError::Busy)?;
        if state.member.held() < asked.holds {
            // As it was: who asks is told what there is.
            claim::rename(&mut connection, &self.identity.claim(before)).await?;
            state.member.confirm(before);
            held.keep(connection);
            let share = Share { process: self.identity.process(), ceiling: most, beside: self.beside };
            return Err(reading.fleet.fits(share).err().map_or(ClaimError::Busy, Into::into));
        }
        held.keep(connection);
        Ok(())
    }
}

impl Bounds for Sharing {
    fn resize(&self, bounds: Resize) -> Pin<Box<dyn Future<Output = Result<(), Problem>> + Send + '_>> {
        Box::pin(self.resize(bounds))
    }
}

fn no_answer() -> ClaimError {
    let text = format!("no answer within {} s", ANSWER_LIMIT.as_secs());
    ClaimError::Sql(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text)))
}
