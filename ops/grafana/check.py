"""Judges the dashboards as data: python3 ops/grafana/check.py, from the repository's top. Not zero if the committed JSON is not
what dashboards.py makes, breaks Grafana's schema, has a panel that does not say what it shows, or asks for what the shop
does not declare.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import promql_parser as promql

import dashboards

HERE = pathlib.Path(__file__).parent
# What Prometheus adds, to what it scrapes and to its alerts.
ADDED_NAMES, ADDED_LABELS = {"ALERTS": set(), "up": set()}, {"job", "instance", "le", "alertname", "alertstate"}
# What Grafana puts in place of these is known only to it: any time does for a parser.
GRAFANAS = {"__rate_interval": "1m", "__range": "30m"}

faults = []


def fault(where, what):
    faults.append(f"{where}: {what}")


def schema(name):
    whole = json.loads((HERE / "schema" / f"{name.replace('-', '')}.json").read_text())
    # Grafana's own schema, in CUE, says of these two that they may be anything; the exported one wants objects.
    for part, field in (("MatcherConfig", "options"), ("DynamicConfigValue", "value")):
        if part in whole["definitions"]:
            whole["definitions"][part]["properties"][field] = {}
    return whole


def holds(where, value, name, part=None):
    """Whether a value is what a schema, or one definition of it, says."""
    whole = schema(name)
    if part is not None:
        if part not in whole["definitions"]:
            return
        whole = {"definitions": whole["definitions"], "$ref": f"#/definitions/{part}"}
    for error in jsonschema.Draft7Validator(whole).iter_errors(value):
        fault(where, f"{'/'.join(map(str, error.absolute_path))} {error.message[:200]}")


def plain(expr, variables):
    """The expression without Grafana's variables."""
    for name in set(re.findall(r"\$\{?(\w+)", expr)) - set(GRAFANAS) - variables:
        fault(expr, f"there is no variable {name}")
    return re.sub(r"\$\{?(\w+)\}?", lambda found: GRAFANAS.get(found[1], ".*"), expr)


def asked_for(node, names, kept):
    """Adds each metric that an expression speaks of, with the labels that it is chosen by, and each label that is kept."""
    match node:
        case promql.VectorSelector():
            names.append((node.name, {matcher.name for matcher in node.matchers.matchers}))
        case promql.MatrixSelector():
            asked_for(node.vector_selector, names, kept)
        case promql.AggregateExpr():
            if node.modifier:
                kept.update(node.modifier.labels)
            asked_for(node.expr, names, kept)
        case promql.Call():
            for one in node.args:
                asked_for(one, names, kept)
        case promql.BinaryExpr():
            asked_for(node.lhs, names, kept)
            asked_for(node.rhs, names, kept)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            asked_for(node.expr, names, kept)


def declared():
    """Each family with its labels, from docs/metrics.md, which a test holds against the shop."""
    rows = re.findall(r"^\| `([a-z_]+)` \| \w+ \| [^|]* \| ([^|]*) \|", pathlib.Path("docs/metrics.md").read_text(), re.M)
    return {name: set(re.findall("`([a-z_]+)`", labels)) for name, labels in rows}


def recorded():
    """What the rules record, whose names begin with their labels: service:... has the job too."""
    rules = pathlib.Path("ops/prometheus/rules").glob("*.yml")
    names = {name for path in rules for name in re.findall(r"record: (\S+)", path.read_text())}
    return {name: {name.split(":")[0]} for name in names}


def expressions(board):
    """Each expression of a dashboard, with where it stands."""
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield f"{board['title']} / {panel['title']}", target["expr"]
    for one in board["annotations"]["list"]:
        yield f"{board['title']} / annotation {one['name']}", one["expr"]


def judge_panel(where, panel):
    for field in ("title", "description"):
        if not panel.get(field):
            fault(where, f"has no {field}")
    if not panel["fieldConfig"]["defaults"].get("unit"):
        fault(where, "has no unit")
    if not panel["targets"]:
        fault(where, "asks for nothing")
    for one in [panel, *panel["targets"]]:
        if one["datasource"] != {"type": "prometheus", "uid": "${datasource}"}:
            fault(where, "does not ask the datasource of the variable")
    holds(where, panel.get("options", {}), panel["type"], "Options")
    holds(where, panel["fieldConfig"]["defaults"].get("custom", {}), panel["type"], "FieldConfig")
    for target in panel["targets"]:
        holds(where, target, "prometheus", "Dataquery")


def main():
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder)
        dashboards.write(made)
        texts = {path.name: path.read_text() for path in made.glob("*.json")}
    committed = {path.name: path.read_text() for path in (HERE / "dashboards").glob("*.json")}
    for name in sorted(texts.keys() | committed.keys()):
        if texts.get(name) != committed.get(name):
            fault(f"ops/grafana/dashboards/{name}", "is not what dashboards.py makes: .ci/dashboards --write")

    known, rules, ids = {**declared(), **recorded(), **ADDED_NAMES}, [], set()
    for name, text in sorted(texts.items()):
        board = json.loads(text)
        holds(name, board, "dashboard")
        if board["uid"] in ids:
            fault(name, f"its uid {board['uid']} is another's too")
        ids.add(board["uid"])
        variables = {one["name"]: one for one in board["templating"]["list"]}
        if variables.get("datasource", {}).get("type") != "datasource":
            fault(name, "has no variable for its datasource")
        for panel in board["panels"]:
            judge_panel(f"{board['title']} / {panel.get('title')}", panel)
        for where, expr in expressions(board):
            expr = plain(expr, set(variables))
            rules.append({"record": "a:dashboards:expression", "labels": {"n": str(len(rules))}, "expr": expr})
            names, kept = [], set()
            try:
                asked_for(promql.parse(expr), names, kept)
            except ValueError as error:
                fault(where, f"{expr}: {error}")
            there = set(ADDED_LABELS)
            for metric, chosen_by in names:
                family = re.sub("_(bucket|count|sum)$", "", metric)
                labels = known.get(metric, known.get(family))
                if labels is None:
                    fault(where, f"docs/metrics.md has no {metric}")
                    continue
                there |= labels
                for label in chosen_by - labels - ADDED_LABELS:
                    fault(where, f"{metric} has no label {label}")
            for label in kept - there:
                fault(where, f"nothing in it has the label {label}")

    # Prometheus' own parser has the last word. It takes JSON for YAML.
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
        file.flush()
        said = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True)
        if said.returncode:
            fault("promtool", said.stdout + said.stderr)

    for line in faults:
        print(line, file=sys.stderr)
    if faults:
        sys.exit(1)
    print(f"{len(texts)} dashboards hold to Grafana's schema, {len(rules)} expressions ask for metrics that exist")


if __name__ == "__main__":
    main()
