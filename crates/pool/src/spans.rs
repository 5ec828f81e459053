//! Spans of `tracing`, of target `forebay_pool::span` and level `DEBUG`, for whoever records them. Where nobody does, a span is
//! the load of a flag. Names and fields are those of OpenTelemetry's conventions as far as there are any, and
//! numbers are signed: a layer of OpenTelemetry writes others down as text.

use std::panic::Location;
use std::time::Duration;

use forebay_pool_core::{Class, Snapshot};
use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;

use crate::{AcquireError, Failure};

pub(crate) const TARGET: &str = "forebay_pool::span";

/// Whether nobody records anything of this level. The macro would make a list of all values even then, where the crate `log` is
/// to be told of spans.
fn are_off() -> bool {
    LevelFilter::current() < LevelFilter::DEBUG
}

/// The wait for a connection.
pub(crate) fn acquire(pool: &str, class: Class, site: &Location<'_>) -> Span {
    if are_off() {
        return Span::none();
    }
    tracing::debug_span!(
        target: TARGET,
        "db.acquire",
        db.client.connection.pool.name = pool,
        forebay.class = class.name(),
        code.file.path = site.file(),
        code.line.number = i64::from(site.line()),
        forebay.pool.limit = Empty,
        forebay.pool.in_use = Empty,
        forebay.pool.waiting = Empty,
        forebay.pool.wait_us = Empty,
        forebay.admission.reason = Empty,
        error.type = Empty,
        otel.status_code = Empty,
    )
}

/// The pool as the caller met it.
pub(crate) fn met(span: &Span, pool: &Snapshot) {
    span.record("forebay.pool.limit", i64::from(pool.limit));
    span.record("forebay.pool.in_use", i64::from(pool.leased));
    span.record("forebay.pool.waiting", i64::from(pool.waiting));
}

pub(crate) fn waited(span: &Span, wait: Duration) {
    if !span.is_disabled() {
        span.record("forebay.pool.wait_us", i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
    }
}

pub(crate) fn refused(span: &Span, error: &AcquireError) {
    if span.is_disabled() {
        return;
    }
    if let AcquireError::Timeout(timeout) = error {
        waited(span, timeout.waited);
    }
    span.record("error.type", error.kind());
    span.record("otel.status_code", "ERROR");
    note_reason(span, Some(error));
}

/// A statement, by what it does. Its text and its parameters are not on it.
pub(crate) fn statement(pool: &str, summary: &str) -> Span {
    if are_off() {
        return Span::none();
    }
    tracing::debug_span!(
        target: TARGET,
        "db.statement",
        otel.name = summary,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "postgresql",
        db.query.summary = summary,
        db.client.connection.pool.name = pool,
        error.type = Empty,
    )
}

pub(crate) fn ended(span: &Span, failure: Option<Failure>) {
    if let Some(failure) = failure {
        span.record("error.type", failure.name());
        span.record("otel.status_code", "ERROR");
    }
}

pub(crate) fn note_reason(span: &Span, refused: Option<&AcquireError>) {
    if let Some(AcquireError::Shed { reason, .. }) = refused {
        span.record("forebay.admission.reason", reason.name());
    }
}
