use forebay_pool::{Failure, Pool, Ran};
use metrics::{Histogram, counter, describe_counter, describe_histogram, gauge, histogram};

/// How long statements ran, by the first of what they do. Those that end well are looked for by their name once.
#[derive(Debug)]
pub(super) struct Operations([(&'static str, Histogram); 8]);

impl Operations {
    /// The last one is all others.
    const NAMES: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "ROLLBACK", "other"];

    pub(super) fn new() -> Self {
        let of = |name| histogram!("db_client_operation_duration_seconds", "db_operation_name" => name);
        Self(Self::NAMES.map(|name| (name, of(name))))
    }

    pub(super) fn ran(&self, ran: &Ran<'_>) {
        let first = ran.summary.split(' ').next().unwrap_or_default();
        let of = self.0.iter().find(|(name, _)| *name == first).or(self.0.last());
        let Some((_, well)) = of else { return };
        let took = ran.took.as_secs_f64();
        match ran.failure {
            None => well.record(took),
            // Each in as many buckets for every operation would be hundreds of series; how it failed is what matters.
            Some(failure) => {
                let labels = [("db_operation_name", "any"), ("error_type", failure.name())];
                histogram!("db_client_operation_duration_seconds", &labels).record(took);
            }
        }
    }
}

/// Sets what a scrape reads of the work that a pool has done. Who runs a statement pays nothing for it. The pool bounds what it
/// keeps account of: 256 summaries and 256 call sites, of which a program has some dozens.
pub(super) fn export(pool: &Pool) {
    let statements = pool.statements();
    for of in &statements {
        let summary = of.summary.to_string();
        counter!("pool_statements_total", "db_query_summary" => summary.clone()).absolute(of.calls());
        gauge!("pool_statement_seconds_total", "db_query_summary" => summary).set(of.took.as_secs_f64());
    }
    for failure in Failure::ALL {
        let failed = statements.iter().map(|of| of.failed(failure)).sum();
        counter!("pool_statement_failures_total", "error_type" => failure.name()).absolute(failed);
    }
    for site in pool.sites() {
        let owner = site.site.to_string();
        gauge!("pool_site_held_seconds_total", "owner" => owner.clone()).set(site.held.as_secs_f64());
        gauge!("pool_site_statement_seconds_total", "owner" => owner).set(site.ran.as_secs_f64());
    }
}

/// Says what they mean.
pub(super) fn describe_metrics() {
    for (name, text) in [
        ("pool_statements_total", "Statements that have ended, by what they do and to what"),
        ("pool_statement_seconds_total", "For how long statements ran, by what they do and to what"),
        ("pool_statement_failures_total", "Statements that did not end well, by how"),
        ("pool_site_held_seconds_total", "For how long leases that have ended were out, by where they were taken"),
        ("pool_site_statement_seconds_total", "For how long of it they ran a statement; the rest of it they were idle"),
    ] {
        describe_counter!(name, text);
    }
    describe_histogram!(
        "db_client_operation_duration_seconds",
        "For how long statements ran: those that ended well by the first of what they do, the others by how they failed"
    );
}
