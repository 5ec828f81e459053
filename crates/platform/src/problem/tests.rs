use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use forebay_pool::{Class, PoolError, ShedReason, Snapshot, Timeout};
use sqlx::error::{DatabaseError, ErrorKind};

use super::*;

const WAIT: Duration = Duration::from_millis(2_300);

fn shed() -> AcquireError {
    AcquireError::Shed { class: Class::Normal, reason: ShedReason::PredictedWait, retry_after: WAIT }
}

fn timeout(continuation: bool) -> AcquireError {
    let (snapshot, longest) = (Snapshot::default(), Vec::new());
    AcquireError::Timeout(Box::new(Timeout { waited: WAIT, continuation, snapshot, longest, last_open_error: None }))
}

fn unavailable() -> AcquireError {
    AcquireError::Unavailable { since: WAIT, cause: None, retry_after: WAIT, continuation: false }
}

fn answered(code: &'static str) -> sqlx::Error {
    sqlx::Error::Database(Box::new(Answer(code)))
}

fn lost() -> sqlx::Error {
    std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()
}

#[test]
fn every_cause_has_its_line_of_the_table() {
    let causes: Vec<(&str, Problem, u16, &str)> = vec![
        ("shed", shed().into(), 503, "overloaded"),
        ("late, nothing executed", timeout(false).into(), 503, "overloaded"),
        ("late, with work begun", timeout(true).into(), 504, "deadline-exceeded"),
        ("no database", unavailable().into(), 503, "dependency-unavailable"),
        ("closed", AcquireError::Closed { continuation: false }.into(), 503, "draining"),
        ("shed, inside a statement", sqlx::Error::from(shed()).into(), 503, "overloaded"),
        ("revoked", sqlx::Error::from(PoolError::Revoked { held_idle: WAIT }).into(), 504, "deadline-exceeded"),
        ("lost in commit", sqlx::Error::from(PoolError::OutcomeUnknown).into(), 504, "deadline-exceeded"),
        ("commit of a failed transaction", sqlx::Error::from(PoolError::Aborted).into(), 500, "internal"),
        ("stock pool, late", sqlx::Error::PoolTimedOut.into(), 503, "overloaded"),
        ("connection lost", lost().into(), 504, "deadline-exceeded"),
        ("statement_timeout", answered("57014").into(), 504, "deadline-exceeded"),
        ("lock_timeout", answered("55P03").into(), 504, "deadline-exceeded"),
        ("deadlock", answered("40P01").into(), 504, "deadline-exceeded"),
        ("terminated by an operator", answered("57P01").into(), 504, "deadline-exceeded"),
        ("idle in transaction", answered("25P03").into(), 504, "deadline-exceeded"),
        ("a write on a server that takes none", answered("25006").into(), 503, "read-only"),
        ("text the database cannot store", answered("22P05").into(), 400, "invalid-request"),
        ("U+0000 in text", answered("22021").into(), 400, "invalid-request"),
        ("a constraint nobody foresaw", answered("23514").into(), 500, "internal"),
        ("no row where there must be one", sqlx::Error::RowNotFound.into(), 500, "internal"),
    ];
    for (cause, problem, status, code) in causes {
        assert_eq!((problem.status().as_u16(), problem.code().as_str()), (status, code), "{cause}");
    }
}

#[test]
fn every_line_of_the_table_is_answered_whole() {
    let mut seen = HashSet::new();
    for code in Code::ALL {
        let problem = Problem::new(code);
        let body: serde_json::Value = serde_json::from_slice(&problem.body()).unwrap();
        assert!(seen.insert(body["code"].as_str().unwrap().to_owned()), "{code:?} has a name of its own");
        assert_eq!(body["status"], problem.status().as_u16());
        assert!(body["type"].as_str().unwrap().contains(':') && body["title"].is_string());
        let response = problem.into_response();
        let has = |name: &str| response.headers().contains_key(name);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let challenged = response.status() == 401 || code == Code::InsufficientScope;
        assert_eq!(has("www-authenticate"), challenged, "{code:?}");
        assert_eq!(has("retry-after"), body["retry_after_s"].is_u64(), "{code:?}");
        assert!(has("retry-after") || ![503, 429].contains(&response.status().as_u16()), "{code:?}");
    }
}

#[test]
fn retry_after_is_whole_seconds_rounded_up_and_milliseconds_beside() {
    for (wait, seconds, millis) in [(0, "1", "0"), (1, "1", "1"), (1_000, "1", "1000"), (1_001, "2", "1001")] {
        let response = Problem::new(Code::Overloaded).retry_after(Duration::from_millis(wait)).into_response();
        assert_eq!(response.headers()["retry-after"], seconds);
        assert_eq!(response.headers()["retry-after-ms"], millis);
    }
}

#[test]
fn refusals_come_back_spread_over_time_and_never_after_half_a_minute() {
    let waits: HashSet<Duration> = (0..50).filter_map(|_| Problem::from(shed()).retry_after).collect();
    assert!(waits.len() > 40);
    assert!(waits.iter().all(|wait| *wait >= WAIT && *wait <= WAIT * 2));
    let long = || {
        let retry_after = Duration::from_secs(300);
        Problem::from(AcquireError::Unavailable { since: WAIT, cause: None, retry_after, continuation: false })
    };
    let waits: HashSet<Duration> = (0..50).filter_map(|_| long().retry_after).collect();
    assert!(waits.len() > 40, "those sent away for longest do not come back together either");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(30)));
}

#[tokio::test]
async fn the_request_id_is_in_the_body() {
    let body = REQUEST_ID.scope("0af7651916cd43dd".into(), async { Problem::new(Code::NotFound).body() }).await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["trace_id"], "0af7651916cd43dd");
}

#[test]
fn a_shed_request_learns_why_and_a_late_one_was_not_shed() {
    let reason = |error: AcquireError| {
        serde_json::from_slice::<serde_json::Value>(&Problem::from(error).body()).unwrap().get("reason").cloned()
    };
    assert_eq!(reason(shed()), Some("predicted_wait".into()));
    assert_eq!(reason(timeout(false)), None);
}

#[test]
fn each_fault_of_a_text_is_told_in_its_own_words() {
    let detail = |code| {
        let body: serde_json::Value = serde_json::from_slice(&Problem::from(answered(code)).body()).unwrap();
        body["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(detail("22021"), "text must not contain the character U+0000");
    assert_eq!(detail("22P05"), "text contains a character that the database cannot store");
}

#[test]
fn an_internal_error_shows_nothing_of_its_inside() {
    let body = Problem::from(answered("23514")).body();
    assert!(!String::from_utf8(body).unwrap().contains("23514"));
}

/// What the server says.
#[derive(Debug)]
struct Answer(&'static str);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Answer {}

impl DatabaseError for Answer {
    fn message(&self) -> &str {
        self.0
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.0.into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
