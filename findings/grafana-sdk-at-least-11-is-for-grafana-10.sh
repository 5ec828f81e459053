#!/usr/bin/env bash
# grafana-foundation-sdk, as its versions up to January 2026 are on PyPI, by pip 23.2.1.
#
# The SDK was published once for each Grafana, all within minutes, as `SECONDS!GRAFANA`: its time of publication is the version's epoch
# (PEP 440). An epoch comes before all else, and the oldest Grafana is published last. So `>=11.6`, and no version at all, install the SDK for
# Grafana 10.1, whose panels lack what the newer have; `==11.6.0` finds nothing, since no epoch is the epoch 0; and `>=0.0.21`, the scheme
# of today, finds the same old one. Name the version whole: `==1769699379!11.6.0`, or `==0.0.21`.
#
# Output seen:
#   >=11.6: 1769699998!10.1.0
#   ==11.6.0: nothing
#   >=0.0.21: 1769699998!10.1.0
#   ==1769699379!11.6.0: 1769699379!11.6.0
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# What is published later is not asked for.
until='<=1769699998!10.1.0'
got() { # SPECIFIER
    rm -rf "$dir/got" && mkdir "$dir/got"
    if python3 -m pip download -q --disable-pip-version-check --no-deps -d "$dir/got" "grafana-foundation-sdk$1,$until" >"$dir/log" 2>&1; then
        basename "$dir"/got/* | sed -E 's/^grafana_foundation_sdk-([0-9]+![0-9.]*[0-9]).*/\1/'
    else
        grep -q 'No matching distribution' "$dir/log" || { cat "$dir/log"; exit 1; }
        echo nothing
    fi
}
for specifier in '>=11.6' '==11.6.0' '>=0.0.21' '==1769699379!11.6.0'; do echo "$specifier: $(got "$specifier")"; done | tee "$dir/seen"
diff - "$dir/seen" <<'SEEN'
>=11.6: 1769699998!10.1.0
==11.6.0: nothing
>=0.0.21: 1769699998!10.1.0
==1769699379!11.6.0: 1769699379!11.6.0
SEEN
