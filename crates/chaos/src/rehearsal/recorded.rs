//! What happened in virtual time, in the words of the replay's recording.

use std::time::Duration;

use forebay_sim::measure::{Asked, Ending, Record, Try};

use crate::arm::Arm;
use crate::record::{Attempt, Done, Recording, Refusal, Reply};
use crate::schedule::Operation;

/// The recording of one play; of the machine around it there is nothing.
#[must_use]
pub fn of(arm: Arm, record: &Record) -> Recording {
    let attempt = |tried: &Try| {
        let Try { kind, at, end, ending } = *tried;
        let took = end - at;
        Attempt {
            operation: operation(kind),
            at: at.as_secs_f64(),
            took: took.as_secs_f64(),
            reply: reply(arm, ending, took),
        }
    };
    let done = |asked: &Asked| {
        let Asked { visit, kind, at, end, attempts, ending } = *asked;
        Done {
            journey: visit,
            operation: operation(kind),
            intended: at.as_secs_f64(),
            late: 0.0,
            end: end.as_secs_f64(),
            attempts,
            reply: reply(arm, ending, end - at),
        }
    };
    Recording {
        attempts: record.visited.tries.iter().map(attempt).collect(),
        done: record.visited.asked.iter().map(done).collect(),
        unfinished: record.visited.unfinished.clone(),
        ..Recording::default()
    }
}

fn operation(kind: u32) -> Operation {
    Operation::MIX.get(kind as usize).map_or(Operation::List, |(operation, _)| *operation)
}

/// A stock pool knows no refusal but the end of its time-out. Ours says at once that it will not, or out of its queue.
fn reply(arm: Arm, ending: Ending, took: Duration) -> Reply {
    match ending {
        Ending::Answered => Reply::Success,
        Ending::Left => Reply::TimedOut,
        Ending::Refused if arm != Arm::Resilient => Reply::Failed(503),
        Ending::Refused if took.is_zero() => Reply::Shed(Refusal::PredictedWait),
        Ending::Refused => Reply::Shed(Refusal::Sojourn),
    }
}
