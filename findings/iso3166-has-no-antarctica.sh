#!/usr/bin/env bash
# iso3166 1.2.1 (crates.io), beside pycountry 26.2.16 (PyPI), which is made from Debian's iso-codes.
#
# ISO 3166-1 has 249 codes of two letters. The crate has 248: it lacks AQ, Antarctica. So an address there, which is valid, is refused
# by who checks a country against the crate.
#
# Output seen:
#   pycountry 249, iso3166 248, missing: AQ, besides: none
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "try"
version = "0.0.0"
edition = "2024"
[dependencies]
iso3166 = "=1.2.1"
TOML
cat >"$dir/src/main.rs" <<'RS'
fn main() {
    for first in b'A'..=b'Z' {
        for second in b'A'..=b'Z' {
            let code = String::from_utf8(vec![first, second]).unwrap();
            if iso3166::Country::from_alpha2(&code).is_some() {
                println!("{code}");
            }
        }
    }
}
RS
(cd "$dir" && cargo run --quiet) >"$dir/known"
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check pycountry==26.2.16
seen=$(
    "$dir/venv/bin/python" - "$dir/known" <<'PY'
import pycountry, sys
standard = {country.alpha_2 for country in pycountry.countries}
crate = set(open(sys.argv[1]).read().split())
names = lambda codes: " ".join(sorted(codes)) or "none"
print(f"pycountry {len(standard)}, iso3166 {len(crate)}, missing: {names(standard - crate)}, besides: {names(crate - standard)}")
PY
)
printf '%s\n' "$seen"
[ "$seen" = 'pycountry 249, iso3166 248, missing: AQ, besides: none' ] || { echo "this has changed"; exit 1; }
