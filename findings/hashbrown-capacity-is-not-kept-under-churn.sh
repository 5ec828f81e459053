#!/usr/bin/env bash
# hashbrown 0.17.1 (the table of Rust's std::collections::HashMap).
#
# `with_capacity(n)` is documented to hold n elements without reallocating. That is so while it is filled, and not while it is used: a
# map that is full, and from which one element is removed for each one that is inserted, never holds more than n, and still
# doubles. A removed element leaves a mark behind; once the marks use the room up, the table is cleaned in place when it is at
# most half full, and else grows to twice its size. So a cache that is bounded by its number of elements takes twice the memory
# that was reserved for it. To bound the bytes, make it hold half of its capacity at most.
#
# Output seen (memory at the start, and after so many replacements):
#   full: 288 KiB, then 576 KiB after a million replacements, never more than 28672 elements
#   half full: 288 KiB, then 288 KiB after a million replacements, never more than 14336 elements
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
hashbrown = "=0.17.1"
TOML
cat >"$dir/src/main.rs" <<'RS'
use hashbrown::HashMap;

fn churn(name: &str, share: usize) {
    let mut map: HashMap<u64, ()> = HashMap::with_capacity(28_672);
    let began = map.allocation_size() / 1024;
    let bound = (map.capacity() / share) as u64;
    for key in 0..bound {
        map.insert(key, ());
    }
    let mut most = map.len();
    for key in bound..bound + 1_000_000 {
        map.remove(&(key - bound));
        map.insert(key, ());
        most = most.max(map.len());
    }
    println!(
        "{name}: {began} KiB, then {} KiB after a million replacements, never more than {most} elements",
        map.allocation_size() / 1024
    );
}

fn main() {
    churn("full", 1);
    churn("half full", 2);
}
RS
seen=$(cd "$dir" && cargo run --quiet --release)
printf '%s\n' "$seen"
[ "$seen" = 'full: 288 KiB, then 576 KiB after a million replacements, never more than 28672 elements
half full: 288 KiB, then 288 KiB after a million replacements, never more than 14336 elements' ] || { echo "this has changed"; exit 1; }
