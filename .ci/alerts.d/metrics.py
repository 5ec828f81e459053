"""Which metrics the shop declares, and which of them a replay cannot move."""

import re

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
    """The families of docs/metrics.md, which a test holds to what the shop declares."""
    with open("docs/metrics.md") as page:
        return set(re.findall(r"^\| `([a-z_]+)` \| (?:counter|gauge|histogram) \|", page.read(), re.M))


def family(name, known):
    """Of a histogram's series, what declares them."""
    return name if name in known else re.sub("_(bucket|sum|count)$", "", name)


def undeclared(names):
    known = declared()
    return [f"docs/metrics.md has no {name}" for name in names if family(name, known) not in known]


def that_never_moved(moved):
    known = declared()
    return sorted(known - {family(name, known) for name in moved} - set(NOT_IN_A_REPLAY))
