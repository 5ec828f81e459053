"""What was answered how often; not zero if a documented success never was: summary.py OPENAPI SEEN..."""

import collections
import json
import sys

described = json.load(open(sys.argv[1]))
seen = collections.defaultdict(collections.Counter)
for name in sys.argv[2:]:
    for operation, statuses in json.load(open(name)).items():
        seen[operation].update(statuses)

never = []
for path, item in described["paths"].items():
    for method, operation in item.items():
        statuses = seen[f"{method.upper()} {path}"]
        counts = ", ".join(f"{status} x {count}" for status, count in sorted(statuses.items()))
        print(f"{method.upper():6} {path}: {counts}")
        never += [f"{method.upper()} {path} {status}" for status in operation["responses"] if status < "4" and not statuses[status]]
if never:
    sys.exit(f"documented, and never seen: {', '.join(never)}")
