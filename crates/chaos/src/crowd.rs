//! The users: open-loop journeys, played from the schedule whatever becomes of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::client::{Ask, Caller};
use crate::prepared::Prepared;
use crate::record::{Attempt, Done, Reply};
use crate::recorder::Recorder;
use crate::schedule::{Journey, Schedule, Step, THINK_S};

/// How often a 5xx or a time-out is sent again, at once, where a scenario does not say.
pub const RETRIES: u32 = 3;
/// How long a client waits before it asks again for the answer to a request that still runs.
const IN_FLIGHT_PAUSE: Duration = Duration::from_millis(250);
/// How long a client keeps asking for that answer, in seconds from the intended start.
const IN_FLIGHT_PATIENCE_S: f64 = 15.0;

/// All users of one play.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Where they ask.
    pub caller: Caller,
    /// What they carry.
    pub prepared: Arc<Prepared>,
    /// Where they are written down.
    pub recorder: Recorder,
    /// How often a 5xx or a time-out is sent again, at once.
    pub retries: u32,
}

impl Crowd {
    /// Plays all journeys; returns when each has ended, or `drain` after the last arrival.
    ///
    /// If the future is dropped, all users leave at once.
    pub async fn play(&self, schedule: &Arc<Schedule>, drain: Duration) {
        let mut users = JoinSet::new();
        let mut playing = Vec::new();
        for (number, journey) in (0u32..).zip(&schedule.journeys) {
            tokio::time::sleep_until(self.recorder.moment(journey.at)).await;
            let (crowd, journey) = (self.clone(), journey.clone());
            let handle = users.spawn(async move { crowd.journey(number, &journey).await });
            playing.push((number, handle));
            if playing.len() % 4096 == 0 {
                while users.try_join_next().is_some() {}
                playing.retain(|(_, handle)| !handle.is_finished());
            }
        }
        let all = async { while users.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, all).await.is_err() {
            let unfinished = playing.iter().filter(|(_, handle)| !handle.is_finished()).map(|(number, _)| *number);
            self.recorder.with(|recording| recording.unfinished.extend(unfinished));
        }
        users.shutdown().await;
    }

    /// One user: request after request, until one fails for good.
    async fn journey(&self, number: u32, journey: &Journey) {
        let mut intended = journey.at;
        for step in &journey.steps {
            tokio::time::sleep_until(self.recorder.moment(intended)).await;
            let done = self.operation(number, step, intended).await;
            self.recorder.with(|recording| recording.done.push(done));
            if !done.reply.is_success() {
                return;
            }
            intended = done.end + THINK_S;
        }
    }

    async fn operation(&self, journey: u32, step: &Step, intended: f64) -> Done {
        let ask = self.prepared.ask(step);
        let late = self.recorder.now() - intended;
        let (mut attempts, mut failures) = (0, 0);
        loop {
            attempts += 1;
            let reply = self.attempt(step, &ask).await;
            let end = self.recorder.now();
            let again = match reply {
                Reply::InFlight if end - intended < IN_FLIGHT_PATIENCE_S => {
                    tokio::time::sleep(IN_FLIGHT_PAUSE).await;
                    true
                }
                _ if reply.is_error() => {
                    failures += 1;
                    failures <= self.retries
                }
                _ => false,
            };
            if !again {
                return Done { journey, operation: step.operation, intended, late, end, attempts, reply };
            }
        }
    }

    async fn attempt(&self, step: &Step, ask: &Ask) -> Reply {
        let at = self.recorder.now();
        let reply = self.caller.attempt(ask).await.reply;
        let attempt = Attempt { operation: step.operation, at, took: self.recorder.now() - at, reply };
        self.recorder.with(|recording| recording.attempts.push(attempt));
        reply
    }
}
