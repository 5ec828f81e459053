//! Calibrates on a legacy arm of its own: light load to measure, then a check close to what follows from it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::arm::Arm;
use crate::calibration::{Calibration, LEGACY_POOL, Measured, base_hold_s, capacity};
use crate::client::{Ask, Caller};
use crate::clock::Clock;
use crate::crowd::{Crowd, RETRIES};
use crate::measure::{errors, mean};
use crate::play::{PlayError, Theatre};
use crate::recorder::Recorder;
use crate::sampler::pool_now;
use crate::scenario::{Kind, Load, Phase, Scenario, Window};
use crate::schedule::Schedule;
use crate::stage::Stage;

/// Light load: about a quarter of what ten leases held for 45 ms can serve.
const LIGHT: f64 = 50.0;
/// The check's load as a share of the calibrated capacity; journeys come in bursts, so not all of it.
const CHECK_SHARE: f64 = 0.7;
const MEASURE_S: f64 = 10.0;
const CHECK_S: f64 = 5.0;
const POOL_EVERY: Duration = Duration::from_millis(5);

/// Measures the legacy arm's capacity.
///
/// # Errors
/// See [`PlayError`].
pub async fn calibrate(theatre: &Theatre, seed: u64) -> Result<Calibration, PlayError> {
    let stage = tokio::select! {
        stage = Stage::start(Arm::Legacy, &theatre.program, 0, theatre.progress) => stage?,
        () = theatre.stop.asked() => return Err(PlayError::Interrupted),
    };
    let measured = tokio::select! {
        measured = on_stage(&stage, seed) => measured,
        () = theatre.stop.asked() => Err(PlayError::Interrupted),
    };
    stage.stop().await?;
    measured
}

async fn on_stage(stage: &Stage, seed: u64) -> Result<Calibration, PlayError> {
    // The first journeys open connections and fill caches, so they are played but not measured.
    run(stage, LIGHT, 2.0, seed, "warm").await?;
    let light = run(stage, LIGHT, MEASURE_S, seed, "light").await?;
    let measured = Measured {
        leases_per_request: light.leases_per_second / light.requests_per_second,
        base_hold_s: base_hold_s(light.mean_in_use, light.leases_per_second),
    };
    let capacity = capacity(LEGACY_POOL, measured);
    let check = run(stage, capacity * CHECK_SHARE, CHECK_S, seed, "check").await?;
    Ok(Calibration {
        measured,
        capacity,
        check_errors_percent: check.errors_percent,
        check_offered: check.offered_per_second,
        check_served: check.served_per_second,
    })
}

/// Rates seen during one stretch of load.
#[derive(Debug)]
struct Seen {
    requests_per_second: f64,
    leases_per_second: f64,
    mean_in_use: f64,
    errors_percent: f64,
    offered_per_second: f64,
    served_per_second: f64,
}

async fn run(stage: &Stage, rate: f64, seconds: f64, seed: u64, name: &str) -> Result<Seen, PlayError> {
    let window = Window::new(0.0, seconds);
    let schedule = Arc::new(Schedule::draw(&steady(rate, window), 1.0, seed));
    let prepared = Arc::new(stage.prepare(schedule.needs, name).await?);
    let admin = Caller::new(stage.child.ports.admin);
    let granted_before = granted(&admin).await;
    let recorder = Recorder::new(Instant::now() + Duration::from_millis(100));
    let crowd =
        Crowd { caller: Caller::new(stage.child.ports.http), prepared, recorder: recorder.clone(), retries: RETRIES };
    tokio::select! {
        () = crowd.play(&schedule, Duration::from_secs(10)) => {}
        () = watch_pool(&admin, &recorder) => {}
    }
    let lasted = recorder.now();
    let leases = granted(&admin).await - granted_before;
    Ok(recorder.with(|recording| {
        let served =
            recording.done.iter().filter(|done| done.reply.is_success() && window.holds(done.intended)).count();
        let in_use = recording.pool.iter().filter(|sample| sample.at >= 0.0).map(|sample| f64::from(sample.in_use));
        Seen {
            requests_per_second: recording.attempts.len() as f64 / lasted,
            leases_per_second: leases / lasted,
            mean_in_use: mean(in_use).unwrap_or(0.0),
            errors_percent: errors(recording, Window::new(0.0, lasted), |_| true).percent(),
            offered_per_second: schedule.requests_within(window) as f64 / seconds,
            served_per_second: served as f64 / seconds,
        }
    }))
}

fn steady(rate: f64, window: Window) -> Scenario {
    let phase = Phase { name: "steady".to_owned(), window, load: Load::PerSecond(rate) };
    Scenario {
        name: "steady".to_owned(),
        kind: Kind::Marked,
        clock: Clock::new(0.0, 1.0),
        phases: vec![phase],
        holders: None,
        slowdown: None,
        action: None,
        baseline: window,
        judged: window,
        retries: RETRIES,
        marks: Vec::new(),
        only_for_real: Vec::new(),
    }
}

/// Looks at the pool much more often than a lease lasts, for Little's law. Never ends by itself.
async fn watch_pool(admin: &Caller, recorder: &Recorder) {
    loop {
        if let Some(sample) = pool_now(admin, recorder.now()).await {
            recorder.with(|recording| recording.pool.push(sample));
        }
        tokio::time::sleep(POOL_EVERY).await;
    }
}

/// Leases granted since the shop started.
async fn granted(admin: &Caller) -> f64 {
    let answer = admin.attempt(&Ask::get("/pool")).await;
    let pool: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    pool.pointer("/totals/granted").and_then(serde_json::Value::as_f64).unwrap_or(0.0)
}
