#!/usr/bin/env bash
# failsafe 1.3.0 (a circuit breaker).
#
# A breaker that has tripped is there to keep callers away from somebody who is ill, and half open is there to try with few
# whether he is well again. Here half open has no bound: from the end of the pause until the first call has come back everybody
# is permitted, so that a slow patient meets the whole crowd at once. Let one caller through by yourself, with a flag beside it.
#
# Output seen:
#   closed: 3 of 1000 permitted before it tripped
#   open: 0 of 1000 permitted
#   half open: 1000 of 1000 permitted, none of which has come back
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
failsafe = { version = "=1.3.0", default-features = false }
TOML
cat >"$dir/src/main.rs" <<'RS'
use std::time::Duration;

use failsafe::{CircuitBreaker, Config, backoff::constant, failure_policy::consecutive_failures};

const PAUSE: Duration = Duration::from_secs(2);

fn main() {
    let breaker = Config::new().failure_policy(consecutive_failures(3, constant(PAUSE))).build();
    let asks = |breaker: &dyn Fn() -> bool| (0..1000).filter(|_| breaker()).count();

    let fails = || {
        let permitted = breaker.is_call_permitted();
        if permitted {
            breaker.call(|| Err::<(), _>("ill")).unwrap_err();
        }
        permitted
    };
    println!("closed: {} of 1000 permitted before it tripped", asks(&fails));
    let waits = || breaker.is_call_permitted();
    println!("open: {} of 1000 permitted", asks(&waits));
    std::thread::sleep(PAUSE * 2);
    println!("half open: {} of 1000 permitted, none of which has come back", asks(&waits));
}
RS
seen=$(cd "$dir" && cargo run --quiet)
printf '%s\n' "$seen"
[ "$seen" = 'closed: 3 of 1000 permitted before it tripped
open: 0 of 1000 permitted
half open: 1000 of 1000 permitted, none of which has come back' ] || { echo "this has changed"; exit 1; }
