"""The dashboards, from one source: python3 ops/grafana/dashboards.py FOLDER writes each as JSON for Grafana 10 and later.

Every panel answers one question, and says it in its title. A panel of metrics that exist only while something goes wrong is
told so with `quiet`: ops/grafana/ask.py wants data of all others from a healthy shop under load.
"""

import json
import pathlib
import sys
import warnings

# The builders of schema 2 want Grafana 13; those of schema 1, which every Grafana reads, say so at their import.
warnings.simplefilter("ignore", DeprecationWarning)

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import prometheus as prometheus_model

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
JOB = 'job=~"$job"'
INSTANCE = 'job=~"$job",instance=~"$instance"'
REQUESTS = "http_server_request_duration_seconds"
# By route and status, which the histogram does not have.
ANSWERS = "http_server_requests_total"
# Paths that do not exist are nobody's service.
SERVED = 'job=~"$job",service!="none"'
ROUTES = 'job=~"$job",service=~"$service"'
OK, BAD = ',outcome="ok"', ',outcome!="ok"'
ADMITTED, REFUSED = f'{JOB},decision="admit"', f'{JOB},decision="shed"'
CATALOG, OTHERS = f'{JOB},service="catalog"{OK}', f'{JOB},service=~"auth|checkout"{OK}'
# Prometheus 3 writes the bound as 1.0.
IN_250_MS, IN_1_S = ',le="0.25"', ',le=~"1|1[.]0"'
ORDERS, LOGINS = f'{JOB},event=~"order_placed|order_paid"', f'{JOB},event="login"'
UTILISATION = "instance:forebay_pool_utilisation:ratio_rate20s"
# The share of bad answers that a month may have.
BUDGET = 0.005


def rate(metric, labels, window="$__rate_interval"):
    return f"rate({metric}{{{labels}}}[{window}])"


def quantile(q, metric, labels, by):
    return f"histogram_quantile({q}, sum by ({', '.join([*by, 'le'])}) ({rate(metric + '_bucket', labels)}))"


def ratio(over, under, *by):
    """Of two rates, the sum of the one by the sum of the other: a mean, or a share."""
    kept = f"sum by ({', '.join(by)})"
    return f"{kept} ({over}) / {kept} ({under})"


def mean(metric, labels, by, window="$__rate_interval"):
    return ratio(rate(metric + "_sum", labels, window), rate(metric + "_count", labels, window), by)


# --- panels


def query(expr, legend="", *, instant=False, exemplars=False, form=None):
    made = prometheus.Dataquery().expr(expr).datasource(SOURCE).legend_format(legend or "__auto")
    made = made.instant() if instant else made.range()
    if exemplars:
        made = made.exemplar(True)
    return made.format(form) if form else made


def thresholds(first, *steps):
    """The colour below the first step, then (value, colour) of each."""
    all_steps = [dashboard.Threshold(value=None, color=first)]
    all_steps += [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(all_steps)


def words(**named):
    """Value mappings: words(v1="pending") shows 1 as pending."""
    texts = {name[1:]: dashboard.ValueMappingResult(text=text) for name, text in named.items()}
    return [dashboard.ValueMap(options=texts)]


def panel(builder, title, description, unit, *queries, span=12, height=8, quiet=False):
    made = builder.title(title).description(description).unit(unit).datasource(SOURCE).span(span).height(height)
    for letter, one in zip("ABCDEFGH", queries):
        made = made.with_target(one.ref_id(letter))
    made.quiet = quiet
    return made


def lines(title, description, unit, *queries, stacked=False, limits=(), colours=None, top=None, **place):
    made = panel(timeseries.Panel(), title, description, unit, *queries, **place)
    made = made.min(0).line_width(2).fill_opacity(10).show_points(common.VisibilityMode.NEVER)
    made = made.legend(options.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM))
    made = made.tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    if top is not None:
        made = made.axis_soft_max(top)
    if stacked:
        made = made.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL).group("A")).fill_opacity(60).line_width(1)
    if limits:
        made = made.thresholds(thresholds("transparent", *limits))
        made = made.thresholds_style(options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    for name, colour in (colours or {}).items():
        made = made.override_by_name(name, [dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})])
    return made


def strips(title, description, unit, expr, legend, steps, mappings=None, **place):
    """One strip a series, coloured by value."""
    made = panel(statetimeline.Panel(), title, description, unit, query(expr, legend), **place)
    made = made.thresholds(steps).color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    made = made.show_value(common.VisibilityMode.NEVER if mappings is None else common.VisibilityMode.AUTO)
    made = made.merge_values(True).row_height(0.8).fill_opacity(80).line_width(0)
    return made.mappings(mappings) if mappings else made


def number(title, description, unit, expr, steps, mappings=None, **place):
    made = panel(stat.Panel(), title, description, unit, query(expr, instant=True), **{"span": 6, "height": 4, **place})
    made = made.thresholds(steps).color_mode(common.BigValueColorMode.BACKGROUND).graph_mode(common.BigValueGraphMode.NONE)
    made = made.reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]))
    return made.mappings(mappings) if mappings else made


def heat(title, description, metric, labels, **place):
    expr = f"sum by (le) ({rate(metric + '_bucket', labels)})"
    made = panel(heatmap.Panel(), title, description, "s", query(expr, "{{le}}", form=prometheus_model.PromQueryFormat.HEATMAP), **place)
    made = made.y_axis(heatmap.YAxisConfig().unit("s")).color(
        heatmap.HeatmapColorOptions().mode(heatmap_model.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    )
    return made.show_legend()


def rows(title, description, unit, expr, label, **place):
    """A table of two columns: a label, and how much."""
    made = panel(table.Panel(), title, description, unit, query(expr, instant=True, form=prometheus_model.PromQueryFormat.TABLE), **place)
    made = made.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}, "renameByName": {"Value": "how many"}}))
    return made.sort_by([options.TableSortByFieldState().display_name("how many").desc(True)])


# --- dashboards


def variable(name, label, of, *, everything=True):
    made = build.QueryVariable(name).label(label).datasource(SOURCE).query(f"label_values({of}, {name})")
    made = made.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    made = made.multi(everything).include_all(everything)
    return made.current(dashboard.VariableOption(text="All", value="$__all")) if everything else made


def happened(name, expr, colour, title):
    made = build.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour).expr(expr)
    return made.title_format(title).step("5s")


JOBS = variable("job", "Job", "pool_limit")
INSTANCES = variable("instance", "Process", "pool_limit")
SERVICES = variable("service", "Service", f'{REQUESTS}_count{{service!="none"}}')


def room(uid, title, question, panels, *variables, span="now-30m", refresh="10s"):
    made = build.Dashboard(title).uid(f"forebay-{uid}").description(question).tags(["forebay"]).readonly()
    made = made.tooltip(dashboard.DashboardCursorSync.CROSSHAIR).time(span, "now").refresh(refresh).timezone("browser")
    made = made.with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    for one in (JOBS, *variables):
        made = made.with_variable(one)
    made = made.annotation(happened("Alerts", 'ALERTS{alertstate="firing",alertname!="Watchdog"}', RED, "{{alertname}}"))
    made = made.annotation(happened("Faults put in on purpose", "chaos_fault_active == 1", "purple", "{{fault}}"))
    made = made.link(build.DashboardLink("Other rooms").type(dashboard.DashboardLinkType.DASHBOARDS).tags(["forebay"]).as_dropdown(True).include_vars(True).keep_time(True))
    for position, one in enumerate(panels, 1):
        made = made.with_panel(one.id(position))
    made.quiet = {position for position, one in enumerate(panels, 1) if one.quiet}
    return uid, made


def incident():
    return room(
        "incident",
        "Forebay: incident room",
        "Is anybody not served, since when, and is it the pool, the database or something else?",
        [
            number("Requests that go wrong", "Of the last minute's requests, how many failed or were refused. ErrorRateHigh pages at 5 %.", "percentunit",
                   f"max(job:forebay_bad:ratio_rate1m{{{JOB}}})", thresholds(GREEN, (0.005, YELLOW), (0.05, RED))),
            number("How near the pool is to exhaustion", "The fullest process: what was busy and what waited, of what its pool can lend. At 100 % the next caller waits or is refused. PoolUtilizationHigh rings at 80 %.",
                   "percentunit", f"max({UTILISATION}{{{JOB}}})", thresholds(GREEN, (0.8, YELLOW), (1, RED))),
            number("Does the database answer?", "Whether every process has a connection or can open one.", "short",
                   f"min(pool_breaker_closed{{{JOB}}})", thresholds(RED, (1, GREEN)), words(v0="no", v1="yes")),
            number("Alerts that ring", "All but Watchdog, which always does. docs/runbooks.md has a section for each.", "short",
                   'count(ALERTS{alertstate="firing",alertname!="Watchdog"}) or vector(0)', thresholds(GREEN, (1, YELLOW))),
            lines("Who is served, refused, failed?", "Requests a second. Shed: refused before anything was done for them, told when to come back. Error: failed, or the client left.", "reqps",
                  query(f"sum by (outcome) ({rate(REQUESTS + '_count', SERVED)})", "{{outcome}}"),
                  stacked=True, colours={"ok": GREEN, "shed": YELLOW, "error": RED}, span=16, height=9),
            strips("What rings, and since when?", "Pending: its condition holds, not for long enough yet.", "short",
                   'max by (alertname) (2 * ALERTS{alertstate="firing",alertname!="Watchdog"} or ALERTS{alertstate="pending",alertname!="Watchdog"})',
                   "{{alertname}}", thresholds(YELLOW, (2, RED)), words(v1="pending", v2="rings"), span=8, height=9, quiet=True),
            strips("Whose pool is full?", "A strip a process: below 80 % of what it can lend, below 100 %, above.", "percentunit",
                   f"{UTILISATION}{{{JOB}}}", "{{instance}}", thresholds(GREEN, (0.8, YELLOW), (1, RED)), span=16, height=7),
            rows("Who held connections without using them?", "The file and line that took them, of the time shown. This is a program, not the database: PoolLeakSuspected's runbook goes on.", "short",
                 f"topk(10, sum by (owner) (increase(pool_leaks_suspected_total{{{JOB}}}[$__range])) > 0)", "owner", span=8, height=7, quiet=True),
            lines("Is the database slow?", "How long 95 % of the leases were out, and how long it takes to open a connection. If both are as before, more connections or fewer holders help; if not, they do not.", "s",
                  query(quantile(0.95, "db_client_connection_use_time_seconds", JOB, ["instance"]), "{{instance}} holds"),
                  query(mean("db_client_connection_create_time_seconds", JOB, "instance", "5m"), "{{instance}} opens")),
            lines("How long do those wait who are served?", "95 % of the answers that were given came within this time.", "s",
                  query(quantile(0.95, REQUESTS, SERVED + OK, ["service"]), "{{service}}", exemplars=True)),
        ],
        refresh="5s",
    )


def pool():
    return room(
        "pool",
        "Forebay: pool",
        "How many connections are lent, to whom, and why not more?",
        [
            lines("How near is exhaustion?", "What was busy and what waited, of what the pool can lend. Counters: exact at any interval of scrapes.", "percentunit",
                  query(f"{UTILISATION}{{{INSTANCE}}}", "{{instance}}"), limits=((0.8, YELLOW), (1, RED)), top=1),
            lines("In use, of how many?", "Limit: what ordinary work may have out, as the pool has chosen it. Ceiling: what it may never pass. If it would like more than it may have, its bounds are in the way (PoolHeldDown).", "short",
                  query(f'sum(db_client_connections{{{INSTANCE},db_client_connection_state="used"}})', "in use"),
                  query(f"sum(pool_limit{{{INSTANCE}}})", "limit"),
                  query(f"sum(pool_recommended_limit{{{INSTANCE}}})", "would like"),
                  query(f"sum(db_client_connection_max{{{INSTANCE}}})", "ceiling")),
            lines("Who waits?", "Callers without a connection, by class.", "short",
                  query(f"sum by (class) (pool_waiters{{{INSTANCE}}})", "{{class}}"), stacked=True),
            lines("How long is the oldest lease out?", "Above ten seconds ConnectionHeldTooLong rings. Suspects run no statement on what they hold.", "s",
                  query(f"max by (instance) (pool_oldest_hold_seconds{{{INSTANCE}}})", "{{instance}}"), limits=((10, RED),)),
            heat("How long did callers wait?", "Of those who got a connection.", "db_client_connection_wait_time_seconds", INSTANCE),
            heat("How long were connections out?", "A second band above the first is one kind of work that holds longer.", "db_client_connection_use_time_seconds", INSTANCE),
            lines("Why did the limit move?", "Moves a minute, by direction and reason.", "short",
                  query(f"sum by (direction, reason) ({rate('pool_limit_changes_total', INSTANCE)}) * 60", "{{direction}}: {{reason}}"), quiet=True),
            lines("Why were connections opened and closed?", "A minute. Many of both are churn: raise FOREBAY_POOL_MIN.", "short",
                  query(f"sum by (reason) ({rate('pool_connections_opened_total', INSTANCE)}) * 60", "opened: {{reason}}"),
                  query(f"sum by (reason) ({rate('pool_connections_closed_total', INSTANCE)}) * 60", "closed: {{reason}}")),
            rows("Who held connections without using them?", "The file and line that took them, of the time shown.", "short",
                 f"topk(10, sum by (owner) (increase(pool_leaks_suspected_total{{{INSTANCE}}}[$__range])) > 0)", "owner", quiet=True),
            lines("What was wrong with leases that came back?", "A minute: taken back from who held them too long, and given back dirty, which costs a cleaning.", "short",
                  query(f"sum by (owner) ({rate('pool_reclaimed_total', INSTANCE)}) * 60", "taken back: {{owner}}"),
                  query(f"sum({rate('pool_quarantined_total', INSTANCE)}) * 60", "dirty"), quiet=True),
        ],
        INSTANCES,
    )


def admission():
    return room(
        "admission",
        "Forebay: admission",
        "Who is refused, why, and is it fair?",
        [
            lines("How many are let in?", "Leases granted a second, by class.", "reqps",
                  query(f'sum by (class) ({rate("admission_decisions_total", ADMITTED)})', "{{class}}"), stacked=True),
            lines("What share of each class is refused?", "SheddingSustained rings above 5 %; critical work is refused last.", "percentunit",
                  query(f'(sum by (class) ({rate("admission_decisions_total", REFUSED)}) or 0 * sum by (class) ({rate("admission_decisions_total", JOB)})) / sum by (class) ({rate("admission_decisions_total", JOB)})', "{{class}}"),
                  limits=((0.05, RED),)),
            lines("Why are they refused?", "Refusals a second. predicted_wait and queue_full: too much traffic for what there is. deadline: callers with too little time.", "reqps",
                  query(f'sum by (reason) ({rate("admission_decisions_total", REFUSED)})', "{{reason}}"), stacked=True, quiet=True),
            lines("How long do those wait who are let in?", "99 % of each class waited less.", "s",
                  query(quantile(0.99, "db_client_connection_wait_time_seconds", JOB, ["class"]), "{{class}}"), limits=((0.1, YELLOW),)),
            lines("When are they told to come back?", "Half and 95 % of the refusals named less. A wide spread keeps them from coming back together.", "s",
                  query(quantile(0.5, "admission_retry_after_seconds", JOB, ["instance"]), "{{instance}}: half"),
                  query(quantile(0.95, "admission_retry_after_seconds", JOB, ["instance"]), "{{instance}}: 95 %"), quiet=True),
            lines("Who uses up a quota?", "Answers 429 a second, by quota. That is one client, not the pool.", "reqps",
                  query(f"sum by (policy) ({rate('quota_refusals_total', JOB)})", "{{policy}}"), quiet=True),
            lines("What would a pool that only reports have refused?", "A second. Nothing is refused in that mode (FOREBAY_POOL_MODE).", "reqps",
                  query(f"sum by (instance) ({rate('admission_would_shed_total', JOB)})", "{{instance}}")),
            lines("What were retry tickets worth?", "Those who come back as they were told to show one. A second, by what came of it.", "reqps",
                  query(f"sum by (outcome) ({rate('admission_tickets_total', JOB)})", "{{outcome}}"), quiet=True),
        ],
    )


def red():
    return room(
        "requests",
        "Forebay: requests",
        "Which route is slow, or fails?",
        [
            lines("How many requests?", "A second, by route.", "reqps",
                  query(f"sum by (service, route) ({rate(ANSWERS, ROUTES)})", "{{service}} {{route}}")),
            lines("What do they get that is not well?", "Answers a second, by status. 503 is a refusal, 504 work that had begun, 499 a client that left.", "reqps",
                  query(f"sum by (service, route, status) ({rate(ANSWERS, ROUTES + BAD)})", "{{service}} {{route}} {{status}}"), quiet=True),
            lines("How long do the answered ones take?", "95 % of each service's answers came within this time. The dots lead to traces.", "s",
                  query(quantile(0.95, REQUESTS, ROUTES + OK, ["service"]), "{{service}}", exemplars=True)),
            lines("Which route takes how long?", "The mean of the answers that were given.", "s",
                  query(ratio(rate("http_server_request_time_seconds_total", ROUTES), rate(ANSWERS, ROUTES + OK), "service", "route"), "{{service}} {{route}}")),
            heat("How are the times spread?", "Of the services chosen, answers that were given.", REQUESTS, ROUTES + OK),
            lines("How many are being answered?", "Requests that have not been answered yet. One that rises without more traffic is a queue.", "short",
                  query(f"sum by (service) (http_server_active_requests{{{ROUTES}}})", "{{service}}")),
            lines("How many connections do clients have open?", "By listener.", "short",
                  query(f"sum by (listener) (http_server_connections{{{JOB}}})", "{{listener}}")),
        ],
        SERVICES,
    )


def slo():
    def pair(short, long, times, meaning):
        return lines(f"Burn over {short} and {long}", f"Times the rate at which a month's budget lasts a month. {meaning}", "short",
                     query(f"service:forebay_bad:ratio_rate{short}{{{JOB}}} / {BUDGET}", "{{service}} " + short),
                     query(f"service:forebay_bad:ratio_rate{long}{{{JOB}}} / {BUDGET}", "{{service}} " + long),
                     limits=((times, RED),), top=times)

    return room(
        "slo",
        "Forebay: promises",
        "99.5 % of answers are to be good in a month: how much of that is left?",
        [
            number("Budget left of the last three days", "If every month were like these three days. Refusals count as bad, as they do for whoever asked.", "percentunit",
                   f"1 - max(service:forebay_bad:ratio_rate3d{{{JOB}}}) / {BUDGET}", thresholds(RED, (0, YELLOW), (0.5, GREEN)), span=12),
            number("Bad answers in the last day", "The worst service.", "percentunit", f"max(service:forebay_bad:ratio_rate1d{{{JOB}}})", thresholds(GREEN, (BUDGET, RED)), span=12),
            pair("5m", "1h", 14.4, "SLOBurnFast pages when both are above 14.4: gone within two days."),
            pair("30m", "6h", 6, "SLOBurnFast pages when both are above 6: gone within five days."),
            pair("2h", "1d", 3, "SLOBurnSlow makes a ticket when both are above 3."),
            pair("6h", "3d", 1, "SLOBurnSlow makes a ticket when both are above 1."),
            lines("How many answers come late?", "Of those given: later than 250 ms in the catalog, 1 s elsewhere. AnswersSlow makes a ticket above 5 %.", "percentunit",
                  query("1 - " + ratio(rate(REQUESTS + "_bucket", CATALOG + IN_250_MS, "5m"), rate(REQUESTS + "_count", CATALOG, "5m"), "service"), "{{service}}"),
                  query("1 - " + ratio(rate(REQUESTS + "_bucket", OTHERS + IN_1_S, "5m"), rate(REQUESTS + "_count", OTHERS, "5m"), "service"), "{{service}}"),
                  limits=((0.05, RED),), span=24),
        ],
        span="now-6h",
        refresh="1m",
    )


def postgres():
    return room(
        "postgres",
        "Forebay: Postgres, as the shop sees it",
        "Is it the database? No exporter runs beside it: all of this is what the shop's own connections see.",
        [
            strips("Can it be reached?", "A strip a process.", "short", f"pool_breaker_closed{{{INSTANCE}}}", "{{instance}}",
                   thresholds(RED, (1, GREEN)), words(v0="no", v1="yes"), height=6),
            lines("Why do connections fail?", "Attempts a second that failed. server: it said no (its log says why). connection: it was not reached.", "ops",
                  query(f"sum by (instance, error_type) ({rate('pool_connect_failures_total', INSTANCE)})", "{{instance}} {{error_type}}"), height=6, quiet=True),
            lines("How many sessions does the shop have there?", "Of all processes together, by state. The server's max_connections is the wall (docs/budget.md).", "short",
                  query(f"sum by (db_client_connection_state) (db_client_connections{{{INSTANCE}}})", "{{db_client_connection_state}}"), stacked=True),
            lines("How long does it take to open one?", "95 % were open within this time: the server's processor, its fork, and TLS.", "s",
                  query(quantile(0.95, "db_client_connection_create_time_seconds", INSTANCE, ["instance"]), "{{instance}}")),
            lines("How long is a connection held?", "The mean. If it rises while the pool is not full, the database is slower (HoldsLonger): do not raise the pool's bounds.", "s",
                  query(mean("db_client_connection_use_time_seconds", INSTANCE, "instance"), "{{instance}}")),
            lines("Are idle connections still alive?", "Checks a second before a connection is lent. Failed ones were cut by the server or by something between.", "ops",
                  query(f"sum by (outcome) ({rate('pool_checks_total', INSTANCE)})", "{{outcome}}")),
        ],
        INSTANCES,
    )


def business():
    return room(
        "business",
        "Forebay: business",
        "Do people buy, and is anybody kept from it?",
        [
            lines("How many orders?", "A minute. A gap between placed and paid is the payment provider.", "short",
                  query(f'sum by (event) ({rate("security_events_total", ORDERS)}) * 60', "{{event}}")),
            lines("Who logs in?", "A minute, by outcome. Many bad ones are somebody who guesses.", "short",
                  query(f'sum by (outcome) ({rate("security_events_total", LOGINS)}) * 60', "{{outcome}}")),
            lines("What does the payment provider say?", "Questions a second, by what was asked and answered.", "reqps",
                  query(f"sum by (question, outcome) ({rate('payments_provider_answers_total', JOB)})", "{{question}}: {{outcome}}")),
            lines("How long does the provider take?", "95 % of the answers came within this time. No connection is held meanwhile.", "s",
                  query(quantile(0.95, "payments_provider_seconds", JOB, ["question"]), "{{question}}")),
            strips("May the provider be asked?", "Open: nobody asks for a moment, and new orders are refused (PaymentBreakerOpen).", "short",
                   f"max by (instance) (payments_breaker_state{{{JOB}}})", "{{instance}}", thresholds(GREEN, (1, YELLOW), (2, RED)), words(v0="yes", v1="one tries", v2="no"), height=6),
            lines("How late are others told of orders?", "Age of the oldest event that a subscriber waits for. EventsLate rings at a minute.", "s",
                  query(f"max by (instance) (event_lag_seconds{{{JOB}}})", "{{instance}}"), limits=((60, RED),), height=6),
            lines("How old is what the catalog and checkout know of others?", "What the catalog knows of stock, and each process of ended sessions. A minute rings.", "s",
                  query(f"max by (instance) (catalog_stock_age_seconds{{{JOB}}})", "{{instance}} stock"),
                  query(f"max by (instance) (revoked_sessions_age_seconds{{{JOB}}})", "{{instance}} sessions"), limits=((60, RED),)),
            number("Events that were given up", "They keep back the later ones of their orders: `shop events list`.", "short",
                   f"max(event_dead_letters{{{JOB}}})", thresholds(GREEN, (1, RED)), span=12, height=8),
        ],
    )


ROOMS = [incident, pool, admission, red, slo, postgres, business]


def write(folder):
    """Writes each dashboard; gives back the ids of their quiet panels, by the dashboard's uid."""
    quiet = {}
    for one in ROOMS:
        name, made = one()
        built = made.build()
        text = json.dumps(json.loads(JSONEncoder().encode(built)), indent=1, ensure_ascii=False) + "\n"
        (folder / f"{name}.json").write_text(text)
        quiet[built.uid] = made.quiet
    return quiet


if __name__ == "__main__":
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1]).is_dir():
        sys.exit("python3 ops/grafana/dashboards.py FOLDER: the folder must exist")
    write(pathlib.Path(sys.argv[1]))
