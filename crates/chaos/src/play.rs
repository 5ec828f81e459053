//! One play: a scenario on one arm, from an empty machine to an empty machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep};

use crate::arm::Arm;
use crate::client::Caller;
use crate::correctness::Correctness;
use crate::crowd::Crowd;
use crate::director::Director;
use crate::narrator::Narrator;
use crate::prepared::{ON_HAND, Prepared};
use crate::progress::Progress;
use crate::recorder::Recorder;
use crate::sampler::{Sampler, Subject, connect, pool_now};
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::stage::{Stage, StageError};
use crate::stop::Stop;
use crate::summary::Summary;

/// Users that are still at it this long after the last arrival are cut off and count as affected.
pub(crate) const DRAIN: Duration = Duration::from_secs(45);
/// How long the shop may take to become calm before its data is judged.
const CALM_WITHIN: Duration = Duration::from_secs(30);
/// Requests before the play that wake connections and caches; they are not recorded.
const WARM_UP: Duration = Duration::from_secs(2);
/// From there to second 0.
const BREATH: Duration = Duration::from_millis(500);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The stage.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The data cannot be read.
    #[error("reading the data afterwards: {0}")]
    Sql(#[from] sqlx::Error),
    /// The data cannot be settled.
    #[error("the shop could not settle what was pending")]
    Unsettled,
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// What all plays of a run share.
#[derive(Clone, Debug)]
pub struct Theatre {
    /// This program, which the child is started from.
    pub program: PathBuf,
    /// The port of the admin listener of the shop that is played on; 0 is any that is free.
    pub admin_port: u16,
    /// Where progress is told.
    pub progress: Progress,
    /// Ctrl-C.
    pub stop: Stop,
}

/// Plays `scenario` on `arm` and sums it up. Everything that was started is stopped before it returns, also after
/// Ctrl-C.
///
/// # Errors
/// See [`PlayError`].
pub async fn play(
    theatre: &Theatre,
    scenario: &Scenario,
    arm: Arm,
    schedule: &Arc<Schedule>,
) -> Result<Summary, PlayError> {
    let stage = tokio::select! {
        stage = Stage::start(arm, &theatre.program, theatre.admin_port, theatre.progress) => stage?,
        () = theatre.stop.asked() => return Err(PlayError::Interrupted),
    };
    let played = tokio::select! {
        played = on_stage(theatre, scenario, arm, schedule, &stage) => played,
        () = theatre.stop.asked() => Err(PlayError::Interrupted),
    };
    let left_behind = stage.stop().await?;
    let (recorder, correctness) = played?;
    let recording = recorder.with(std::mem::take);
    Ok(Summary::of(arm, scenario, schedule, &recording, correctness, left_behind))
}

async fn on_stage(
    theatre: &Theatre,
    scenario: &Scenario,
    arm: Arm,
    schedule: &Arc<Schedule>,
    stage: &Stage,
) -> Result<(Recorder, Correctness), PlayError> {
    let run = format!("{}-{arm:?}", scenario.name);
    let prepared = Arc::new(stage.prepare(schedule.needs, &run).await?);
    let caller = Caller::new(stage.child.ports.http);
    warm_up(&caller, &prepared).await;
    let recorder = Recorder::new(Instant::now() + BREATH);
    recorder.with(|recording| recording.began = Some(time::OffsetDateTime::now_utc() + BREATH));
    let subject = Subject {
        admin: Caller::new(stage.child.ports.admin),
        database: stage.database.clone(),
        shop_pid: stage.child.identity.pid,
        postgres_pid: stage.postgres_pid(),
    };
    let sampler = Sampler::start(&subject, &recorder);
    let crowd =
        Crowd { caller, prepared: Arc::clone(&prepared), recorder: recorder.clone(), retries: scenario.retries };
    let director = Director::new(stage, scenario, arm, &recorder);
    let narrator = Narrator::new(theatre.progress, scenario, arm, schedule, &recorder);
    let narrating = narrator.start();
    tokio::join!(crowd.play(schedule, DRAIN), director.direct(&prepared));
    narrating.end().await;
    sampler.stop().await;
    let correctness = settle(stage, &subject.admin).await?;
    Ok((recorder, correctness))
}

/// Twenty lists a second and one of each other request that leaves nothing behind.
async fn warm_up(caller: &Caller, prepared: &Prepared) {
    let until = Instant::now() + WARM_UP;
    caller.attempt(&prepared.login_by_hand()).await;
    while Instant::now() < until {
        caller.attempt(&crate::client::Ask::get("/v1/products?limit=20")).await;
        sleep(Duration::from_millis(50)).await;
    }
}

/// Ends the faults, lets the shop become calm, settles what is pending and reads the data.
async fn settle(stage: &Stage, admin: &Caller) -> Result<Correctness, PlayError> {
    stage.child.order(Method::DELETE, "/chaos/holders", &serde_json::Value::Null).await;
    let deadline = Instant::now() + CALM_WITHIN;
    while Instant::now() < deadline {
        if pool_now(admin, 0.0).await.is_some_and(|pool| pool.waiting == 0 && pool.in_use <= 1) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    if !stage.child.order(Method::POST, "/chaos/sweep", &serde_json::Value::Null).await {
        return Err(PlayError::Unsettled);
    }
    let mut conn = connect(&stage.database).await?;
    Ok(Correctness::read(&mut conn, i64::from(ON_HAND)).await?)
}
