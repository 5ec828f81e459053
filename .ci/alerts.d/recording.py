"""Writes a test of the rules whose series are those that Prometheus scraped during a replay."""

import os, re, subprocess, tempfile

from watch import EVERY_S

# What the pages and the pool's warning are made of.
NEEDED = """up pool_busy_connection_seconds_total pool_waiting_seconds_total pool_capacity_connection_seconds_total pool_breaker_closed
payments_breaker_state db_client_connection_timeouts_total http_server_request_duration_seconds_count""".split()

HEAD = """# Series that a Prometheus scraped from a replay's shop on its {arm} arm, and what rings of them. Written by
#     .ci/alerts --arm {arm} --seeds {seed}{quick} --record
# at {what}. A second here is a second of that run: only
# the phases of the postmortem were shorter, and the rules, their windows and delays are the real ones. What was scraped every 5 s, at
# its own moments, stands here at 0, 5, 10. Begin of the report jobs {holders:.0f} s, of the spike {spike:.0f} s, {ends}.
rule_files:
  - ../rules/recording.yml
  - ../rules/pool.yml
  - ../rules/service.yml

evaluation_interval: 5s
group_eval_order: [forebay-recorded, forebay-recorded-slowly, forebay-pool, forebay-service]

tests:
  - name: {name}
    interval: 5s
    input_series:
"""
RINGING = 'group by (alertname) (ALERTS{alertstate="firing",severity!="none"})'


def write(arm, seed, quick, what, shown, began, end, fault):
    """The series of a play, and as many expectations as say when each alert begins and ends."""
    scrapes = next(values for _, values in shown.of("up", began, end))
    first, steps = scrapes[0][0], 1 + round((scrapes[-1][0] - scrapes[0][0]) / EVERY_S)
    lines = []
    for name in NEEDED:
        for labels, values in shown.of(name, began, end):
            if labels.get("service") != "none":
                lines += series(name, labels, {round((at - first) / EVERY_S): value for at, value in values}, steps)
    ends = f"it is ended by hand at {fault['ends'] - first:.0f} s" if arm == "legacy" else f"which ends at {fault['ends'] - first:.0f} s"
    name = "the warning of a recorded outage comes before its page" if arm == "legacy" else "the same day on our pool pages nobody"
    head = HEAD.format(arm=arm, seed=seed, quick=" --quick" if quick else "", what=what, name=name, ends=ends, holders=fault["begins"] - first, spike=fault["spike"] - first)
    text = head + "".join(lines)
    expected = expectations(ringing(text, steps), steps)
    path = f"ops/prometheus/tests/recorded-{arm}.yml"
    with open(path, "w") as file:
        file.write(text + expected)
    subprocess.run(["promtool", "test", "rules", path], check=True)
    print(f"wrote {path}")


def series(name, labels, values, steps):
    kept = {key: value for key, value in sorted(labels.items()) if key not in ("__name__", "instance", "job")}
    kept = {"job": "forebay", "instance": "a"} | kept
    listed = ",".join(f'{key}="{value}"' for key, value in kept.items())
    return [f"      - series: '{name}{{{listed}}}'\n", f'        values: "{notation([values.get(step) for step in range(steps)])}"\n']


def notation(values):
    """As promtool reads it: what stays the same `n` times more is `valuexn`."""
    words = ["_" if value is None else f"{value:.3f}".rstrip("0").rstrip(".") for value in values]
    runs = []
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1][1] += 1
        else:
            runs.append([word, 1])
    # Of values that are missing, `_xn` is n of them.
    return " ".join(word if n == 1 else f"{word}x{n if word == '_' else n - 1}" for word, n in runs)


def ringing(text, steps):
    """What rings at each step, as promtool finds it: it is made to expect nothing, and says what there was."""
    for step in range(steps + 1):
        text += "" if step else "    promql_expr_test:\n"
        text += f"      - {{expr: '{RINGING}', eval_time: {round(step * EVERY_S)}s, exp_samples: []}}\n"
    with tempfile.NamedTemporaryFile("w", suffix=".yml", dir="ops/prometheus/tests") as file:
        file.write(text)
        file.flush()
        told = subprocess.run(["promtool", "test", "rules", file.name], capture_output=True, text=True)
    found = {}
    for complaint in (told.stdout + told.stderr).split(" expr: ")[1:]:
        time, got = re.search(r" time: (\w+),", complaint), complaint.partition("got:")[2]
        found[seconds(time[1])] = sorted(re.findall(r'alertname="(\w+)"', got))
    return found


def seconds(text):
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def expectations(found, steps):
    """One for each moment at which something begins or ends to ring, and for the last one before it."""
    lines, before = ["    promql_expr_test:\n"], None
    moments = [round(step * EVERY_S) for step in range(steps)]
    for at, after in zip(moments, moments[1:] + [None]):
        now, then = found.get(at, []), found.get(after, []) if after is not None else None
        if before != now or now != then:
            samples = ", ".join(f"{{labels: '{{alertname=\"{name}\"}}', value: 1}}" for name in now)
            lines += [f"      - expr: {RINGING}\n", f"        eval_time: {at}s\n", f"        exp_samples: [{samples}]\n"]
        before = now
    return "".join(lines)
