//! One test under many schedules.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, Runner};
use sqlx::server::{self, Manners};

/// When time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Only when nobody has anything else to do: no wait ends late, and nothing takes longer than it says.
    Patient,
    /// At any moment: all may be late, and every time limit may be met.
    Hasty,
}

impl Pace {
    /// Where its schedules that failed are kept.
    fn folder(self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(match self {
            Self::Patient => "patient",
            Self::Hasty => "hasty",
        })
    }
}

/// Runs a test from its beginning under one schedule after another: such as are drawn at random, in which each task that
/// can run is as likely to be the next, and such that go on with one task and change to another one at few points.
///
/// `FOREBAY_RACES` says how many of each kind, and `FOREBAY_RACES_REPLAY` names a file that a failure has left, to run its
/// schedule again.
pub(crate) fn explore<F>(paces: &[Pace], manners: Manners, test: fn(Pace) -> F)
where
    F: Future<Output = ()> + 'static,
{
    let number = variable("FOREBAY_RACES").map_or(100, |number| number.parse().expect("FOREBAY_RACES is a number"));
    let replay = variable("FOREBAY_RACES_REPLAY").map(PathBuf::from);
    for pace in paces.iter().copied() {
        let run = |scheduler: Box<dyn Scheduler + Send>| run(scheduler, pace, manners, test);
        match (&replay, pace) {
            (Some(file), _) if file.parent() != Some(&pace.folder()) => {}
            (Some(file), _) => run(Box::new(ReplayScheduler::new_from_file(file).expect("a schedule"))),
            (None, Pace::Hasty) => run(Box::new(Paced(RandomScheduler::new(number)))),
            (None, Pace::Patient) => {
                run(Box::new(Paced(RandomScheduler::new(number))));
                run(Box::new(Paced(PctScheduler::new(5, number))));
            }
        }
    }
}

fn run<F>(scheduler: Box<dyn Scheduler + Send>, pace: Pace, manners: Manners, test: fn(Pace) -> F)
where
    F: Future<Output = ()> + 'static,
{
    std::fs::create_dir_all(pace.folder()).expect("the target folder can be written to");
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::File(Some(pace.folder()));
    config.stack_size = 1 << 18;
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    Runner::new(scheduler, config).run(move || {
        PATIENT.set(pace == Pace::Patient);
        tokio::time::start();
        server::start(manners);
        tokio::runtime::block_on(test(pace));
    });
}

#[expect(clippy::disallowed_methods, reason = "the knobs of a test run, not of the pool")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

thread_local! {
    static PATIENT: Cell<bool> = const { Cell::new(false) };
}

/// From here to its end the schedule is a patient one.
pub(crate) fn be_patient() {
    PATIENT.set(true);
}

/// While the pace is patient, lets the clock's keeper run only when no other task can. It is the first that the first one
/// spawns.
struct Paced<S>(S);

impl<S: Scheduler> Scheduler for Paced<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.new_execution()
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        let keeper = TaskId::from(1);
        let others: Vec<&Task> = runnable.iter().copied().filter(|task| task.id() != keeper).collect();
        let choice = if others.is_empty() || !PATIENT.get() { runnable } else { &others };
        self.0.next_task(choice, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}
