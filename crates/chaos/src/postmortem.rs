//! The postmortem, sentence by sentence, beside the evidence that the replay found for it.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arm::Arm;
use crate::calibration::LEGACY_POOL;
use crate::marks::{Mark, seconds};
use crate::schedule::Operation;
use crate::summary::Summary;

/// One sentence and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sentence {
    /// As the postmortem says it.
    pub line: Cow<'static, str>,
    /// What was measured.
    pub evidence: String,
    /// Whether the evidence bears the sentence out; `None` where the replay did not look.
    pub held: Option<bool>,
}

/// The rows for an incident played on both arms, or on one.
#[must_use]
pub fn sentences(plays: &[Summary]) -> Vec<Sentence> {
    let legacy = plays.iter().find(|play| play.arm == Arm::Legacy);
    let ours = plays.iter().find(|play| play.arm == Arm::Resilient);
    let mut rows = legacy.map(timeline).unwrap_or_default();
    rows.extend(legacy.map(causes).unwrap_or_default());
    rows.extend(ours.map(measures).unwrap_or_default());
    rows
}

fn from_mark(line: &'static str, play: &Summary, clock: &str) -> Sentence {
    let mark = play.marks.iter().find(|mark: &&Mark| mark.clock == clock);
    Sentence {
        line: Cow::Borrowed(line),
        evidence: mark.map_or_else(|| "not looked at".to_owned(), |mark| mark.evidence.clone()),
        held: mark.map(|mark| mark.held),
    }
}

fn timeline(play: &Summary) -> Vec<Sentence> {
    let affected = play.affected();
    let span = play.recovery_s.map_or_else(
        || "not restored".to_owned(),
        |after| {
            let clock = play.scenario.clock;
            format!("2:30 to {} on the replay's clock", clock.face(clock.at(3, 0) + after))
        },
    );
    vec![
        Sentence {
            line: Cow::Borrowed("Outage duration: 2:30 PM to 3:15 PM (45 minutes)"),
            evidence: format!(
                "{span}; the replay's action works as soon as it is taken, and only phases are compressed"
            ),
            held: None,
        },
        Sentence {
            line: Cow::Borrowed("Approximately 85% of users were affected"),
            evidence: format!("{affected:.1} % ({:+.1} points)", affected - 85.0),
            held: Some(affected >= 75.0),
        },
        from_mark("2:30 PM: an alert for high error rates and failed API requests across the platform", play, "2:30"),
        from_mark("2:35 PM: 503 errors on key APIs (product listings and user authentication)", play, "2:35"),
        from_mark("2:40 PM: logs showed numerous database connection timeout errors", play, "2:40"),
        from_mark("2:45 PM: the database was found fully operational", play, "2:45"),
        from_mark("2:50 PM: the connection pool was saturated, leading to a backlog of requests", play, "2:50"),
        from_mark("3:00 PM: pool size was increased, and idle connections were flushed", play, "3:00"),
        from_mark("3:15 PM: platform services were fully restored", play, "3:15"),
    ]
}

fn causes(play: &Summary) -> Vec<Sentence> {
    let lost = play.orders_lost;
    let idle = play.seconds.iter().map(|second| second.idle_in_transaction).max().unwrap_or(0);
    let most = play.seconds.iter().map(|second| second.waiting).max().unwrap_or(0);
    vec![
        Sentence {
            line: Cow::Borrowed(
                "Users were unable to browse products, make purchases, or log in; loss of potential transactions",
            ),
            evidence: format!("{} of {} orders lost, goodput {:.1} %", lost.part, lost.total, play.goodput.percent()),
            held: Some(lost.part > 0),
        },
        Sentence {
            line: Cow::Borrowed("The pool had a fixed number of connections, insufficient for a sudden spike"),
            evidence: format!("up to {most} requests waited for {LEGACY_POOL} connections"),
            held: Some(most > 20),
        },
        Sentence {
            line: Cow::Borrowed("Due to improper handling of idle connections, the pool became saturated"),
            evidence: format!("up to {idle} sessions idle in transaction, of a pool of {LEGACY_POOL}"),
            held: Some(idle >= 6),
        },
    ]
}

fn measures(play: &Summary) -> Vec<Sentence> {
    let limits = || play.sizes.iter().map(|change| change.limit);
    let (least, most) = (limits().min().unwrap_or(0), limits().max().unwrap_or(0));
    let mark = |says: &str| play.marks.iter().find(|mark| mark.says.starts_with(says));
    let taken = mark("idle holders");
    let affected = mark("less than 5 %");
    let alerts = mark("no error alert");
    let p95 = play.accepted_p95_s(Operation::List);
    let sentence = |line, found: Option<&Mark>| Sentence {
        line: Cow::Borrowed(line),
        evidence: found.map_or_else(String::new, |mark| mark.evidence.clone()),
        held: found.map(|mark| mark.held),
    };
    vec![
        Sentence {
            line: Cow::Borrowed("Dynamic scaling: auto-scaling for database connections based on traffic"),
            evidence: format!("limit between {least} and {most} in {} steps, by itself", play.limit_steps()),
            held: Some(most > least),
        },
        sentence("Idle connection management: closed or reused more effectively", taken),
        sentence(
            "Load testing: simulate sudden spikes and ensure that limits are adequate for peak conditions",
            affected,
        ),
        sentence("Alerts when pool usage exceeds 80%: earlier than the error alert, or nothing to alert on", alerts),
        Sentence {
            line: Cow::Borrowed("Retries and timeouts to prevent long-waiting requests from occupying the pool"),
            evidence: format!("accepted p95 of a list {}", seconds(p95)),
            held: Some(p95.is_some_and(|p95| p95 < 0.25)),
        },
    ]
}
