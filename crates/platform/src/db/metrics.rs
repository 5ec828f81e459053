use std::time::Duration;

use forebay_pool::{AcquireError, Class, Event, Holder, Observer, TicketFate};
use metrics::{counter, gauge, histogram};

use super::DbSnapshot;

/// Turns what a pool tells into metrics, under the names of the OpenTelemetry conventions where they exist.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolMetrics;

impl Observer for PoolMetrics {
    fn acquired(&self, class: Class, waited: Duration) {
        histogram!("db_client_connection_wait_time_seconds", "class" => class.name()).record(waited.as_secs_f64());
        counter!("admission_decisions_total", "class" => class.name(), "decision" => "admit", "reason" => "none")
            .increment(1);
    }

    fn handed_over(&self, class: Class, latency: Duration) {
        histogram!("pool_handover_latency_seconds", "class" => class.name()).record(latency.as_secs_f64());
    }

    fn refused(&self, class: Class, error: &AcquireError) {
        if let AcquireError::Shed { reason, retry_after, .. } = error {
            let labels = [("class", class.name()), ("decision", "shed"), ("reason", reason.name())];
            counter!("admission_decisions_total", &labels).increment(1);
            histogram!("admission_retry_after_seconds", "class" => class.name()).record(retry_after.as_secs_f64());
        }
    }

    fn ticket(&self, class: Class, fate: TicketFate) {
        counter!("admission_tickets_total", "class" => class.name(), "outcome" => fate.name()).increment(1);
    }

    fn released(&self, class: Class, held: Duration) {
        histogram!("db_client_connection_use_time_seconds", "class" => class.name()).record(held.as_secs_f64());
    }

    fn opened(&self, took: Duration, error: Option<&sqlx::Error>) {
        histogram!("db_client_connection_create_time_seconds").record(took.as_secs_f64());
        if let Some(error) = error {
            let kind = if error.as_database_error().is_some() { "server" } else { "connection" };
            counter!("pool_connect_failures_total", "error_type" => kind).increment(1);
        }
    }

    fn event(&self, event: &Event, holder: Option<&Holder>) {
        match event {
            Event::LimitChanged { from, to, reason } => {
                let direction = if to > from { "up" } else { "down" };
                counter!("pool_limit_changes_total", "direction" => direction, "reason" => *reason).increment(1);
            }
            Event::Suspected { .. } => {
                let owner = holder.map_or_else(String::new, |holder| holder.site.to_string());
                counter!("pool_leaks_suspected_total", "owner" => owner).increment(1);
            }
            _ => {}
        }
    }

    fn revoked(&self, holder: &Holder) {
        counter!("pool_reclaimed_total", "owner" => holder.site.to_string()).increment(1);
    }
}

/// Sets what a scrape reads.
pub(super) fn export(snapshot: &DbSnapshot) {
    let totals = snapshot.totals;
    gauge!("db_client_connection_count", "state" => "used").set(snapshot.in_use + snapshot.suspects);
    gauge!("db_client_connection_count", "state" => "idle").set(snapshot.idle);
    gauge!("db_client_connection_count", "state" => "opening").set(snapshot.opening);
    gauge!("db_client_connection_count", "state" => "checking").set(snapshot.checking);
    gauge!("db_client_connection_count", "state" => "closing").set(snapshot.closing);
    gauge!("db_client_connection_max").set(snapshot.ceiling);
    gauge!("db_client_connection_idle_min").set(snapshot.min_idle);
    gauge!("db_client_connection_pending_requests").set(snapshot.waiting);
    counter!("db_client_connection_timeouts_total").absolute(totals.timed_out);
    gauge!("pool_limit").set(snapshot.limit);
    gauge!("pool_recommended_limit").set(snapshot.recommended_limit);
    gauge!("pool_reserve").set(snapshot.reserve);
    for (class, waiting) in &snapshot.waiting_by_class {
        gauge!("pool_waiters", "class" => *class).set(*waiting);
    }
    gauge!("pool_oldest_wait_seconds").set(snapshot.oldest_wait_ms / 1_000.0);
    gauge!("pool_predicted_wait_seconds").set(snapshot.predicted_wait_ms / 1_000.0);
    gauge!("pool_breaker_closed").set(if snapshot.breaker == "closed" { 1.0 } else { 0.0 });
    gauge!("pool_suspects").set(snapshot.suspects);
    gauge!("pool_oldest_hold_seconds").set(snapshot.oldest_hold_ms / 1_000.0);
    // Its rate over the ceiling is the exact mean utilisation, at any scrape interval. It only rises; a gauge carries it
    // because the recorder's counters are whole numbers.
    gauge!("pool_busy_connection_seconds_total").set(totals.busy_seconds);
    counter!("admission_would_shed_total").absolute(totals.would_shed);
    counter!("pool_unavailable_total").absolute(totals.unavailable);
    for (reason, opened) in &snapshot.opened_for {
        counter!("pool_connections_opened_total", "reason" => *reason).absolute(*opened);
    }
    for (reason, closed) in &snapshot.closed_for {
        counter!("pool_connections_closed_total", "reason" => *reason).absolute(*closed);
    }
    counter!("pool_checks_total", "outcome" => "well").absolute(totals.checks_well);
    counter!("pool_checks_total", "outcome" => "failed").absolute(totals.checks_failed);
    counter!("pool_waits_cancelled_total").absolute(totals.cancelled);
    counter!("pool_nested_acquires_total").absolute(totals.nested);
    counter!("pool_quarantined_total").absolute(totals.quarantined);
}
