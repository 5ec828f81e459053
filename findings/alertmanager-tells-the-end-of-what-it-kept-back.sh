#!/usr/bin/env bash
# Alertmanager 0.25.0-1+b4 (Debian's prometheus-alertmanager).
#
# Two alerts of one group ring, and one of them inhibits the other for as long as they ring: the webhook is told of the first
# alone, as it should be. Then both end. The message of the end names both: the receiver is told that an alert is resolved of
# which it was never told that it rang. Whoever pairs beginnings with ends, or opens a ticket on any message, has one too many.
#
# Output seen:
#   firing Outage
#   resolved KeptBack
#   resolved Outage
set -euo pipefail
dir=$(mktemp -d)
running=()
stop() {
    for one in "${running[@]}"; do kill -TERM "$one" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap stop EXIT

mkdir "$dir/debs" "$dir/root"
(cd "$dir/debs" && apt-get -qq download prometheus-alertmanager=0.25.0-1+b4 2>/dev/null)
dpkg -x "$dir"/debs/*.deb "$dir/root"

cat >"$dir/receiver.py" <<'PY'
import http.server
import json
import os
import sys

folder = sys.argv[1]


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(f"{folder}/told", "a") as file:
            for alert in message["alerts"]:
                print(alert["status"], alert["labels"]["alertname"], file=file)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
with open(f"{folder}/port.new", "w") as file:
    print(server.server_port, file=file)
os.rename(f"{folder}/port.new", f"{folder}/port")
server.serve_forever()
PY
: >"$dir/told"
python3 "$dir/receiver.py" "$dir" &
running+=($!)
within() { for _ in $(seq 300); do ! "$@" || return 0; sleep 0.1; done; echo "not within 30 s: $*"; cat "$dir/told" "$dir/log"; return 1; }
within test -s "$dir/port"
cat >"$dir/alertmanager.yml" <<CONF
route: {receiver: hook, group_by: [job], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
inhibit_rules:
  - source_matchers: [alertname = "Outage"]
    target_matchers: [alertname = "KeptBack"]
    equal: [job]
receivers:
  - name: hook
    webhook_configs: [{url: "http://127.0.0.1:$(cat "$dir/port")/"}]
CONF
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$dir/root/usr/bin/prometheus-alertmanager" --config.file="$dir/alertmanager.yml" --storage.path="$dir/data" \
    --web.listen-address="127.0.0.1:$port" --cluster.listen-address= >"$dir/log" 2>&1 &
running+=($!)
api=http://127.0.0.1:$port
answers() { curl -sfo "$dir/body" "$api/-/ready"; }
within answers

tell() { # END: in seconds from now
    curl -sf "$api/api/v2/alerts" -H 'Content-Type: application/json' -d "$(python3 - "$began" "$1" <<'PY'
import datetime, json, sys
begin = sys.argv[1]
end = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=int(sys.argv[2]))).isoformat()
names = ["Outage", "KeptBack"]
print(json.dumps([{"labels": {"alertname": name, "job": "shop"}, "startsAt": begin, "endsAt": end} for name in names]))
PY
)"
}
began=$(python3 -c 'import datetime; print(datetime.datetime.now(datetime.timezone.utc).isoformat())')
tell 600
within grep -q firing "$dir/told"
# Three more flushes of the group, in which the second one is kept back.
sleep 3
tell 0
within grep -q 'resolved Outage' "$dir/told"
# One message holds both ends, in no promised order.
seen=$(sort "$dir/told")
echo "$seen"
[ "$seen" = 'firing Outage
resolved KeptBack
resolved Outage' ] || { echo "this has changed"; exit 1; }
