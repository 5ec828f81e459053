//! From an inner failure to its line of the table: the only place that decides it.

use std::borrow::Cow;

use forebay_pool::http::retry_after as retry_after_of;
use forebay_pool::{AcquireError, PoolError, ShedReason, classify, describe};

use super::{Code, Problem};

/// A lease was not to be had.
pub(super) fn of_acquire(error: &AcquireError) -> Problem {
    match error {
        AcquireError::Shed { retry_after, reason, .. } => {
            let problem = match reason {
                ShedReason::Deadline => Problem::new(Code::Overloaded)
                    .detail("it could not have been done within the time of the request; nothing was executed"),
                _ => nothing_was_executed(),
            };
            problem.reason(reason.name()).retry_after(retry_after_of(*retry_after))
        }
        AcquireError::Timeout(timeout) if timeout.continuation => work_may_have_begun(),
        AcquireError::Timeout(_) => nothing_was_executed(),
        AcquireError::Unavailable { continuation: true, .. } | AcquireError::Closed { continuation: true } => {
            work_may_have_begun()
        }
        AcquireError::Unavailable { retry_after, .. } => {
            Problem::new(Code::DependencyUnavailable).retry_after(retry_after_of(*retry_after))
        }
        _ => Problem::new(Code::Draining),
    }
}

/// A statement failed. Nobody above knows more, so what is a fault of ours is logged here, once.
pub(super) fn of_statement(error: &sqlx::Error) -> Problem {
    if let Some(PoolError::Acquire(error)) = classify(error) {
        return of_acquire(error);
    }
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return nothing_was_executed();
    }
    if let Some(fault) = fault_of_text(error) {
        return Problem::new(Code::InvalidRequest).detail(fault);
    }
    if code_of(error).as_deref() == Some("25006") {
        tracing::warn!(error = %describe(error), "the database takes no writes");
        return Problem::new(Code::ReadOnly).detail("the database takes no writes at present; nothing was stored");
    }
    if lost_or_cut_short(error) {
        tracing::warn!(error = %describe(error), "a statement did not finish");
        return work_may_have_begun();
    }
    tracing::error!(error = %describe(error), "a statement failed");
    Code::Internal.into()
}

fn nothing_was_executed() -> Problem {
    Problem::new(Code::Overloaded).detail("at the database concurrency limit; nothing was executed")
}

fn work_may_have_begun() -> Problem {
    Problem::new(Code::DeadlineExceeded).detail("the request was cut short; repeat it only if that is safe")
}

/// The connection went away under the statement, or a server-side limit ended it. Whether the work was done is then
/// unknown (a lost COMMIT may have succeeded), which is what 504 says and 503 must not.
fn lost_or_cut_short(error: &sqlx::Error) -> bool {
    match error {
        // The pool's own errors travel inside Io: a revoked lease, a lost COMMIT. A transaction that went on after a
        // failed statement is none of them, but a fault of ours.
        sqlx::Error::Io(_) if matches!(classify(error), Some(PoolError::Aborted)) => false,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(answer) => answer.code().is_some_and(|code| {
            matches!(&*code, "57014" | "55P03" | "40001" | "40P01" | "25P03")
                || code.starts_with("57P")
                || code.starts_with("08")
        }),
        _ => false,
    }
}

/// What JSON can carry and the database cannot store, so that the database is the place that notices it.
fn fault_of_text(error: &sqlx::Error) -> Option<&'static str> {
    match code_of(error).as_deref() {
        Some("22021") => Some("text must not contain the character U+0000"),
        Some("22P05") => Some("text contains a character that the database cannot store"),
        _ => None,
    }
}

fn code_of(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|answer| answer.code())
}
