"""Asks a Prometheus everything that the dashboards ask: python3 ops/grafana/ask.py http://127.0.0.1:9090 [--all]

Not zero if an expression is refused, has no data, or has a label that is always empty. Panels of what exists only while
something goes wrong may be empty, but with --all: then all must have data.
"""

import json
import pathlib
import re
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import promql_parser as promql

import dashboards

TIMES = {"__rate_interval": "20s", "__range": "30m"}
HERE = pathlib.Path(__file__).parent / "dashboards"


def ask(prometheus, expr):
    query = urllib.parse.urlencode({"query": expr})
    try:
        with urllib.request.urlopen(f"{prometheus}/api/v1/query?{query}", timeout=30) as answer:
            return json.load(answer)["data"]["result"], None
    except urllib.error.HTTPError as error:
        return [], error.read().decode(errors="replace")


def grouped_by(expr):
    """The labels that the outermost aggregation keeps."""
    node = promql.parse(expr)
    while not isinstance(node, promql.AggregateExpr):
        inside = getattr(node, "lhs", None) or getattr(node, "expr", None) or next(iter(getattr(node, "args", [])[::-1]), None)
        if inside is None:
            return []
        node = inside
    return [label for label in (node.modifier.labels if node.modifier else []) if label != "le"]


def main(prometheus, everything):
    with tempfile.TemporaryDirectory() as folder:
        quiet = dashboards.write(pathlib.Path(folder))
    asked, faults, silent = 0, [], []
    for path in sorted(HERE.glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                expr = re.sub(r"\$\{?(\w+)\}?", lambda found: TIMES.get(found[1], ".*"), target["expr"])
                rows, refused = ask(prometheus, expr)
                asked += 1
                where = f"{board['title']} / {panel['title']}: {expr}"
                if refused:
                    faults.append(f"{where}: {refused}")
                elif not rows and (everything or panel["id"] not in quiet[board["uid"]]):
                    faults.append(f"{where}: no data")
                elif not rows:
                    silent.append(where)
                for label in grouped_by(expr):
                    if rows and not any(row["metric"].get(label) for row in rows):
                        faults.append(f"{where}: {label} is always empty")
    for line in faults:
        print(line, file=sys.stderr)
    print(f"{asked} expressions asked, {len(faults)} faults; nothing went wrong in {len(silent)} that only then have data")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not sys.argv[1].startswith("http"):
        sys.exit(__doc__)
    main(sys.argv[1].rstrip("/"), "--all" in sys.argv[2:])
