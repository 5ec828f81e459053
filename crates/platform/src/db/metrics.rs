use std::time::Duration;

use forebay_pool::{AcquireError, Class, Event, Holder, Observer, Ran, ShedReason};
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::DbSnapshot;
use super::work::Operations;
use crate::telemetry::Metrics;

/// Turns what a pool tells into metrics, under the names of the OpenTelemetry conventions where they exist. What every lease tells is
/// looked for by its name once.
#[derive(Debug)]
pub struct PoolMetrics {
    created: Histogram,
    handed_over: Histogram,
    used: Histogram,
    retry_after: Histogram,
    by_class: Vec<OfClass>,
    operations: Operations,
}

/// A class is its own place in the list of them.
const _: () = {
    let mut place = 0;
    while place < Class::ALL.len() {
        assert!(Class::ALL[place] as usize == place);
        place += 1;
    }
};

#[derive(Debug)]
struct OfClass {
    waited: Histogram,
    admitted: Counter,
    shed: [(ShedReason, Counter); ShedReason::ALL.len()],
}

impl OfClass {
    fn new(class: &'static str) -> Self {
        let decided = |decision, reason| counter!("admission_decisions_total", "class" => class, "decision" => decision, "reason" => reason);
        Self {
            waited: histogram!("db_client_connection_wait_time_seconds", "class" => class),
            admitted: decided("admit", "none"),
            shed: ShedReason::ALL.map(|reason| (reason, decided("shed", reason.name()))),
        }
    }
}

impl Default for PoolMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl PoolMetrics {
    /// For one pool, in the metrics of the process.
    #[must_use]
    pub fn new() -> Self {
        // A handle that is resolved before there is a recorder records nothing.
        Metrics::of_process();
        Self {
            created: histogram!("db_client_connection_create_time_seconds"),
            handed_over: histogram!("pool_handover_latency_seconds"),
            used: histogram!("db_client_connection_use_time_seconds"),
            retry_after: histogram!("admission_retry_after_seconds"),
            by_class: Class::ALL.iter().map(|class| OfClass::new(class.name())).collect(),
            operations: Operations::new(),
        }
    }

    fn of(&self, class: Class) -> &OfClass {
        &self.by_class[class as usize]
    }
}

impl Observer for PoolMetrics {
    fn acquired(&self, class: Class, waited: Duration) {
        let of_class = self.of(class);
        of_class.waited.record(waited.as_secs_f64());
        of_class.admitted.increment(1);
    }

    fn handed_over(&self, _: Class, latency: Duration) {
        self.handed_over.record(latency.as_secs_f64());
    }

    fn refused(&self, class: Class, error: &AcquireError) {
        if let AcquireError::Shed { reason, retry_after, .. } = error {
            super::sheds::note(class, *reason);
            let of_class = self.of(class);
            of_class.shed.iter().filter(|(of, _)| of == reason).for_each(|(_, shed)| shed.increment(1));
            self.retry_after.record(retry_after.as_secs_f64());
        }
    }

    fn released(&self, _: Class, held: Duration) {
        self.used.record(held.as_secs_f64());
    }

    fn ran(&self, ran: &Ran<'_>) {
        self.operations.ran(ran);
    }

    fn opened(&self, took: Duration, error: Option<&sqlx::Error>) {
        self.created.record(took.as_secs_f64());
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

/// Says what the metrics of a pool mean.
pub(crate) fn describe_metrics() {
    super::work::describe_metrics();
    for (name, text) in [
        (
            "admission_decisions_total",
            "Requests that got a connection, or were refused before anything was done for them, by class and reason",
        ),
        ("admission_tickets_total", "Retry tickets that were shown, by what they were worth"),
        ("admission_would_shed_total", "Requests that would have been refused if the pool did not only report"),
        ("db_client_connection_timeouts_total", "Callers whose time ended before they had a connection"),
        (
            "pool_busy_connection_seconds_total",
            "Time for which connections were on loan or being cleaned, of all of them together",
        ),
        (
            "pool_capacity_connection_seconds_total",
            "The same if ordinary work had had all connections that it may be given",
        ),
        ("pool_waiting_seconds_total", "Time for which callers waited for a place, of all of them together"),
        ("pool_checks_total", "Idle connections that were asked whether they are well before they were lent"),
        ("pool_connect_failures_total", "Attempts to connect that failed: the server said so, or was not reached"),
        ("pool_connections_closed_total", "Connections closed, by why"),
        ("pool_connections_opened_total", "Connections opened, by what for"),
        (
            "pool_leaks_suspected_total",
            "Leases that ran no statement for a while and lost their place, by where they were taken",
        ),
        ("pool_limit_changes_total", "Moves of the limit, by direction and reason"),
        ("pool_nested_acquires_total", "Callers that waited while their own task held a lease"),
        ("pool_quarantined_total", "Connections that came back dirty and had to be cleaned"),
        ("pool_reclaimed_total", "Leases whose connection was taken back, by where they were taken"),
        ("pool_unavailable_total", "Callers refused because no connection could be opened"),
        ("pool_waits_cancelled_total", "Callers that left while they waited"),
    ] {
        describe_counter!(name, text);
    }
    for (name, text) in [
        ("db_client_connections", "Connections by state"),
        ("db_client_connection_idle_min", "Connections kept open without traffic"),
        ("db_client_connection_max", "The most connections that may exist"),
        ("db_client_connection_pending_requests", "Callers that wait for a connection"),
        ("pool_breaker_closed", "Whether connections can be opened, as far as is known: 1 or 0"),
        ("pool_limit", "How many leases ordinary work may have out at once"),
        ("pool_oldest_hold_seconds", "How long the oldest lease is out"),
        ("pool_oldest_wait_seconds", "How long the first of those who wait has waited"),
        ("pool_predicted_wait_seconds", "How long the next caller of class normal would wait"),
        ("pool_recommended_limit", "What the sizer would make of the limit if nothing stood in its way"),
        ("pool_reserve", "How many more leases critical work may have out"),
        ("pool_suspects", "Leases that run no statement and whose places were given to others"),
        ("pool_waiters", "Callers that wait for a connection, by class"),
    ] {
        describe_gauge!(name, text);
    }
    for (name, text) in [
        ("admission_retry_after_seconds", "After how long those who were refused are told to come back"),
        ("db_client_connection_create_time_seconds", "How long it took to open a connection, or to fail"),
        ("db_client_connection_use_time_seconds", "How long connections were on loan"),
        ("db_client_connection_wait_time_seconds", "How long those who got a connection had waited"),
        ("pool_handover_latency_seconds", "From the grant of a connection to the caller that wakes up with it"),
    ] {
        describe_histogram!(name, text);
    }
}

/// Sets what a scrape reads.
pub(super) fn export(snapshot: &DbSnapshot) {
    let totals = snapshot.totals;
    gauge!("db_client_connections", "db_client_connection_state" => "used").set(snapshot.in_use + snapshot.suspects);
    gauge!("db_client_connections", "db_client_connection_state" => "idle").set(snapshot.idle);
    gauge!("db_client_connections", "db_client_connection_state" => "opening").set(snapshot.opening);
    gauge!("db_client_connections", "db_client_connection_state" => "checking").set(snapshot.checking);
    gauge!("db_client_connections", "db_client_connection_state" => "closing").set(snapshot.closing);
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
    // What was busy and waited over what there was is the exact mean utilisation, at any scrape interval.
    gauge!("pool_busy_connection_seconds_total").set(totals.busy_seconds);
    gauge!("pool_waiting_seconds_total").set(totals.waiting_seconds);
    gauge!("pool_capacity_connection_seconds_total").set(totals.capacity_seconds);
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
