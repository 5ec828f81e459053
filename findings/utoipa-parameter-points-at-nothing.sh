#!/usr/bin/env bash
# utoipa 6.0.0.
#
# The schemas that the bodies of an operation name are put among the components by themselves, also those that they name in turn. Those
# that its parameters name are not: an enum as a field of `IntoParams` becomes a `$ref` to a component that the document does not have,
# and nothing says so when it is built. Name the
# enum in `components(schemas(..))`, or use it in a body too, or inline it.
#
# Output seen:
#   in a body: $ref #/components/schemas/Of, which is there
#   in a parameter: $ref #/components/schemas/Sort, which is not there
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
serde_json = "1"
utoipa = "=6.0.0"
TOML
cat >"$dir/src/main.rs" <<'RS'
#![allow(dead_code)]
use utoipa::{IntoParams, OpenApi, ToSchema};

#[derive(ToSchema)]
enum Sort {
    Name,
    Price,
}

#[derive(ToSchema)]
enum Of {
    Shop,
    Partner,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    sort: Sort,
}

#[derive(ToSchema)]
struct Body {
    of: Of,
}

#[utoipa::path(get, path = "/things", params(Query), responses((status = 200, body = Body)))]
fn things() {}

#[derive(OpenApi)]
#[openapi(paths(things))]
struct Api;

fn main() {
    let api = serde_json::to_value(Api::openapi()).unwrap();
    let body = &api["components"]["schemas"]["Body"]["properties"]["of"];
    let parameter = &api["paths"]["/things"]["get"]["parameters"][0]["schema"];
    for (place, schema) in [("a body", body), ("a parameter", parameter)] {
        let target = schema["$ref"].as_str().unwrap();
        let there = api.pointer(target.trim_start_matches('#')).is_some();
        println!("in {place}: $ref {target}, which is {}there", if there { "" } else { "not " });
    }
}
RS
seen=$(cd "$dir" && cargo run --quiet)
printf '%s\n' "$seen"
[ "$seen" = 'in a body: $ref #/components/schemas/Of, which is there
in a parameter: $ref #/components/schemas/Sort, which is not there' ] || { echo "this has changed"; exit 1; }
