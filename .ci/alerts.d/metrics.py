"""Which metrics the sources declare, and which of them a replay cannot move."""

import os, re

SOURCES = ["platform", "catalog", "auth", "checkout", "shop"]
FAMILIES = "http db pool admission auth catalog shop idempotency inventory security quota event payments revoked chaos"
# What a day of the replay has nothing for, and why; `every_declared_metric_moves` of crates/shop/tests/it moves these.
NOT_IN_A_REPLAY = {
    "admission_tickets_total": "its clients show no tickets",
    "admission_would_shed_total": "its pools enforce",
    "catalog_degraded_total": "its catalog keeps no pages",
    "event_dead_letters": "nobody subscribes",
    "event_deliveries_total": "nobody subscribes",
    "payments_breaker_state": "the provider answers all day, so the breaker is closed: 0",
    "pool_connect_failures_total": "the database is there all day",
    "pool_unavailable_total": "the database is there all day",
    "pool_oldest_wait_seconds": "of the moment, and of our pool alone: nobody waits there when it is scraped",
    "pool_predicted_wait_seconds": "the same",
    "pool_waiters": "the same",
    "pool_waits_cancelled_total": "nobody leaves our queue before it is refused or served",
    "quota_refusals_total": "its clients have no quotas",
    "revoked_sessions_age_seconds": "checkout hears of ended sessions from auth in the same process",
}


def declared():
    """The names in `counter!("name"`, `gauge!(` and `histogram!(`, and in constants beside them, outside of tests."""
    names = {"chaos_fault_active"}
    for source in SOURCES:
        for folder, _, files in os.walk(f"crates/{source}/src"):
            for file in files:
                with open(os.path.join(folder, file)) as opened:
                    text = opened.read().split("#[cfg(test)]")[0]
                if file.endswith(".rs") and re.search(r"(counter|gauge|histogram)!\(", text):
                    names |= set(re.findall(rf'"((?:{FAMILIES.replace(" ", "|")})_[a-z_]+)"', text))
    return names - {"db_client_connection_state"}


def family(name, known):
    """Of a histogram's series, what declares them."""
    return name if name in known else re.sub("_(bucket|sum|count)$", "", name)


def undeclared(names):
    known = declared()
    return [f"no source declares {name}" for name in names if family(name, known) not in known]


def that_never_moved(moved):
    known = declared()
    return sorted(known - {family(name, known) for name in moved} - set(NOT_IN_A_REPLAY))
