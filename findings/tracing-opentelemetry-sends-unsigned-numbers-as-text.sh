#!/usr/bin/env bash
# tracing-opentelemetry 0.34.0 (opentelemetry 0.33.1, tracing 0.1.44).
#
# A field of a span that is an unsigned number, as a status or a length in bytes is in most programs, arrives as a string; the same
# number signed arrives as an integer. OpenTelemetry's conventions want `http.response.status_code` to be an integer, and whoever asks
# a store of traces for statuses of 500 and more finds none. Nothing warns. Record `i64::from(status)`.
#
# Output seen:
#   http.response.status_code as u16: String "201"
#   http.response.status_code as i64: I64 201
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
opentelemetry = { version = "=0.33.1", default-features = false, features = ["trace"] }
opentelemetry_sdk = { version = "=0.33.1", default-features = false, features = ["trace", "testing"] }
tracing = "=0.1.44"
tracing-opentelemetry = { version = "=0.34.0", default-features = false }
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["registry", "std"] }
TOML
cat >"$dir/src/main.rs" <<'RS'
use opentelemetry::{Value, trace::TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;

fn main() {
    let sent = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(sent.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("try"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        drop(tracing::info_span!("as u16", http.response.status_code = 201_u16));
        drop(tracing::info_span!("as i64", http.response.status_code = 201_i64));
    });
    for span in sent.get_finished_spans().unwrap() {
        let status = span.attributes.iter().find(|of| of.key.as_str() == "http.response.status_code").unwrap();
        let kind = match &status.value {
            Value::I64(number) => format!("I64 {number}"),
            Value::String(text) => format!("String {:?}", text.as_str()),
            other => format!("{other:?}"),
        };
        println!("{} {}: {kind}", status.key, span.name);
    }
}
RS
seen=$(cargo run --quiet --manifest-path "$dir/Cargo.toml")
echo "$seen"
[ "$seen" = 'http.response.status_code as u16: String "201"
http.response.status_code as i64: I64 201' ] || { echo "this has changed"; exit 1; }
