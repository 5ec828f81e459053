//! Tells a play while it runs: a line every few seconds, and each mark when its time has come.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::arm::Arm;
use crate::marks::{Mark, legacy, resilient};
use crate::measure::users;
use crate::progress::Progress;
use crate::record::{Recording, Reply};
use crate::recorder::Recorder;
use crate::scenario::{Kind, Scenario, Window};
use crate::schedule::Schedule;

/// Seconds of real time between two lines.
const EVERY_S: f64 = 8.0;

/// What is told at some second of play.
#[derive(Clone, Copy, Debug)]
enum Telling {
    Line,
    Mark(fn(&Recording, &Scenario) -> Mark),
}

/// Knows what to tell and when.
#[derive(Debug)]
pub struct Narrator {
    progress: Progress,
    scenario: Scenario,
    schedule: Arc<Schedule>,
    recorder: Recorder,
    tellings: Vec<(f64, Telling)>,
}

/// A narrator at work.
#[derive(Debug)]
pub struct Narrating {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Narrating {
    /// Lets it fall silent.
    pub async fn end(self) {
        // Either side may be gone already.
        _ = self.end.send(());
        _ = self.task.await;
    }
}

impl Narrator {
    /// A narrator of one play.
    #[must_use]
    pub fn new(
        progress: Progress,
        scenario: &Scenario,
        arm: Arm,
        schedule: &Arc<Schedule>,
        recorder: &Recorder,
    ) -> Self {
        let mut tellings = marks(scenario, arm);
        let mut at = EVERY_S;
        while at < scenario.end() + EVERY_S {
            tellings.push((at, Telling::Line));
            at += EVERY_S;
        }
        tellings.sort_by(|a, b| a.0.total_cmp(&b.0));
        progress.line(format!("\n{} on {}", scenario.name.to_uppercase(), arm.name().to_uppercase()));
        Self {
            progress,
            scenario: scenario.clone(),
            schedule: Arc::clone(schedule),
            recorder: recorder.clone(),
            tellings,
        }
    }

    /// Begins.
    #[must_use]
    pub fn start(self) -> Narrating {
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = self.tell() => {}
                _ = ended => {}
            }
        });
        Narrating { task, end }
    }

    async fn tell(self) {
        let this = Arc::new(self);
        for (at, telling) in this.tellings.clone() {
            sleep_until(this.recorder.moment(at)).await;
            let narrator = Arc::clone(&this);
            // A copy is read on another thread, so that the users do not wait for arithmetic.
            let told = tokio::task::spawn_blocking(move || narrator.one(at, telling));
            if told.await.is_err() {
                return;
            }
        }
        // The next line never comes; keep still until told to end.
        std::future::pending::<()>().await;
    }

    fn one(&self, at: f64, telling: Telling) {
        let recording = self.recorder.with(|recording| recording.clone());
        match telling {
            Telling::Line => self.progress.line(self.line(&recording, at)),
            Telling::Mark(judge) => self.progress.mark(&judge(&recording, &self.scenario)),
        }
    }

    fn line(&self, recording: &Recording, at: f64) -> String {
        let window = Window::before(at, EVERY_S);
        let rate = |counts: &dyn Fn(Reply) -> bool| {
            let answers = recording.attempts.iter().filter(|attempt| window.holds(attempt.end()));
            answers.filter(|attempt| counts(attempt.reply)).count() as f64 / EVERY_S
        };
        let shed = rate(&|reply| matches!(reply, Reply::Shed(_)));
        let (ok, failed) = (rate(&Reply::is_success), rate(&Reply::is_error) - shed);
        let pool = recording.pool.last();
        let [used, limit, waiting] = pool.map_or([0; 3], |pool| [pool.in_use, pool.limit, pool.waiting]);
        let arrived = Window::new(self.scenario.judged.from, self.scenario.judged.to.min(at));
        let affected = users(&self.schedule, recording, arrived).affected.percent();
        format!(
            " {:>5}   {ok:>4.0} ok/s {failed:>4.0} failed/s {shed:>4.0} shed/s   pool {used}/{limit}, {waiting} waiting   \
             users affected {affected:.0} %",
            self.face(at),
        )
    }

    fn face(&self, at: f64) -> String {
        match self.scenario.kind {
            Kind::Marked => format!("{:.0} s", at - self.scenario.clock.origin_s),
            _ => self.scenario.clock.face(at),
        }
    }
}

/// The marks that can be told before the end, with the second at which their evidence is complete.
fn marks(scenario: &Scenario, arm: Arm) -> Vec<(f64, Telling)> {
    let clock = scenario.clock;
    match (scenario.kind, arm) {
        (Kind::Incident, Arm::Legacy) => vec![
            (clock.at(2, 27) + 0.2, Telling::Mark(legacy::pool_alert)),
            (clock.at(2, 30) + 5.1, Telling::Mark(legacy::error_alert)),
            (clock.at(2, 35) + 8.5, Telling::Mark(|recording, _| legacy::probes(recording))),
            (clock.at(2, 40) + 1.1, Telling::Mark(legacy::logs)),
            (clock.at(2, 45) + 0.2, Telling::Mark(legacy::database)),
            (clock.at(2, 50) + 0.2, Telling::Mark(legacy::saturated)),
            (clock.at(3, 0) + 3.5, Telling::Mark(legacy::action)),
            (clock.at(3, 15) + 0.2, Telling::Mark(legacy::restored)),
        ],
        (Kind::Incident, Arm::Resilient) => vec![
            (clock.at(2, 45), Telling::Mark(|recording, _| resilient::taken_back(recording))),
            (clock.at(3, 0) + 1.0, Telling::Mark(|recording, _| resilient::nobody_acts(recording))),
            (clock.at(3, 15), Telling::Mark(resilient::alerts)),
        ],
        _ => Vec::new(),
    }
}
