//! A steady load on a shop that runs somewhere, through its public address, and a judgement of what its clients saw.
//!
//! Meant for scripts that break something meanwhile: kill a replica, restart them in turn, take the database away. The load
//! is an open loop of independent journeys ([`arrivals`]), whose clients repeat what the API asks them to (`customer`,
//! `patience`). Afterwards every order is read back (`readback`). Nothing is judged while the load runs: [`judgement`] is a
//! pure function over the [`record`].

pub mod arrivals;
mod customer;
mod journey;
pub mod judgement;
mod load;
mod patience;
pub mod preparation;
pub mod purchase;
mod readback;
pub mod record;
pub mod report;
pub mod route;
mod session;
pub mod target;
pub mod wire;

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use self::arrivals::{Arrivals, Mix};
use self::customer::Customer;
use self::journey::Travellers;
use self::judgement::{Failures, Rules, judge};
use self::preparation::{NotReady, USERS, prepare};
use self::readback::read_back;
use self::record::Notebook;
use self::report::Report;
use self::session::Session;
use self::target::Target;
use crate::client::Caller;
use crate::preflight::{PreflightError, raise_open_files};
use crate::progress::Progress;
use crate::stop::Stop;

/// An arrival that begins later than this is late.
pub const PUNCTUAL: Duration = Duration::from_millis(100);
/// How long orders are asked about without any news, at the end.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Sockets in use by a journey that waits for its client's patience to end, per journey a second.
const FILES_PER_RATE: f64 = 20.0;
const FEWEST_FILES: u64 = 1_024;

/// What to drive, and how.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The shop.
    #[serde(serialize_with = "as_text")]
    pub at: Target,
    /// How long journeys arrive.
    pub seconds: f64,
    /// How many do so a second.
    pub rate: f64,
    /// What they do.
    pub mix: Mix,
    /// What may fail.
    pub failures: Failures,
    /// Seed of the journeys.
    pub seed: u64,
    /// Where the JSON goes.
    pub out: Option<PathBuf>,
    /// See [`PUNCTUAL`].
    #[serde(skip)]
    pub punctual: Duration,
    /// See [`PATIENCE`].
    #[serde(skip)]
    pub patience: Duration,
    /// The command line, for the report.
    pub command: String,
}

fn as_text<S: Serializer>(at: &Target, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// Why a run has no judgement.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The machine.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The shop.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The JSON.
    #[error("the report cannot be written to {}: {source}", file.display())]
    Report {
        /// The file that was asked for.
        file: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Somebody asked to stop before the load, or a second time after it.
    #[error("interrupted: nothing was judged")]
    Interrupted,
}

/// Drives the shop, reads its orders back and judges. Asked to stop, it lets no more journeys arrive and judges what there
/// is; asked again, it gives up.
///
/// If the future is dropped, all journeys end at once and nothing is judged.
///
/// # Errors
/// See [`DriveError`].
pub async fn run(plan: &Plan, stop: &Stop, progress: Progress) -> Result<Report, DriveError> {
    tokio::select! {
        report = Box::pin(judged(plan, stop, progress)) => report,
        () = stop.asked_again() => Err(DriveError::Interrupted),
    }
}

async fn judged(plan: &Plan, stop: &Stop, progress: Progress) -> Result<Report, DriveError> {
    let began = time::OffsetDateTime::now_utc();
    let began = began.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    raise_open_files(files(plan.rate))?;
    check_out(plan)?;
    let Plan { at, seconds, rate, mix, seed, .. } = plan;
    progress.line(format!("drive: {at}, mix {}, {rate} journeys a second for {seconds} s, seed {seed}", mix.name()));
    let caller = Caller::of(at.authority().clone());
    let unrecorded = Customer::unrecorded(caller.clone());
    let sessions = tokio::select! {
        sessions = prepare(&unrecorded, at, *mix) => sessions?,
        () = stop.asked() => return Err(DriveError::Interrupted),
    };
    if *mix == Mix::Shop {
        progress.step(format!("{USERS} users are logged in; all journeys share their tokens, since a login is dear"));
    }
    let customer = Customer { caller, notebook: Notebook::default() };
    let travellers = Travellers { customer, sessions: Arc::clone(&sessions) };
    let arrivals = Arrivals::new(*rate, *seconds, *mix, *seed);
    let lasted = load::load(&travellers, arrivals, plan.punctual, stop, progress).await;
    let mut record = travellers.customer.notebook.with(std::mem::take);
    look_for_orders(&unrecorded, &sessions, plan, &mut record, progress).await;
    let judgement = judge(&record, Rules { mix: *mix, failures: plan.failures });
    let report = Report::of(plan, began, lasted, &record, judgement);
    tell(&report, plan, progress)?;
    Ok(report)
}

async fn look_for_orders(
    unrecorded: &Customer,
    sessions: &[Session],
    plan: &Plan,
    record: &mut record::Record,
    progress: Progress,
) {
    let purchases = std::mem::take(&mut record.purchases);
    if !purchases.is_empty() {
        progress.step(format!("the load is over; {} orders are read back and sent again", purchases.len()));
    }
    record.purchases = read_back(unrecorded, sessions, purchases, plan.patience, progress).await;
}

fn tell(report: &Report, plan: &Plan, progress: Progress) -> Result<(), DriveError> {
    for line in report.lines() {
        progress.line(line);
    }
    if let Some(file) = &plan.out {
        report.write(file).map_err(|source| DriveError::Report { file: file.clone(), source })?;
        progress.line(format!("report    {}", file.display()));
    }
    Ok(())
}

/// Better now than after an hour of load.
fn check_out(plan: &Plan) -> Result<(), DriveError> {
    let Some(file) = &plan.out else { return Ok(()) };
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.map(drop).map_err(|source| DriveError::Report { file: file.clone(), source })
}

/// What a rate may need while a shop is away and everybody waits.
fn files(rate: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate lies between 0 and 10,000")]
    let needed = (rate * FILES_PER_RATE) as u64;
    FEWEST_FILES + needed
}
