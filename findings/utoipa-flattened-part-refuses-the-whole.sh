#!/usr/bin/env bash
# utoipa 6.0.0 with serde 1.0.229, and jsonschema 4.25.1 (Python) as the judge.
#
# A struct that refuses unknown fields when it is read (`deny_unknown_fields`) becomes a schema with `additionalProperties: false`.
# When another struct, which is only written, holds it flattened, its schema is `allOf` of that one and its own fields. In JSON Schema each
# branch of `allOf` judges the whole object: the first refuses the fields of the second. What serde writes is valid for no
# reader of the description, and a checker says so of every answer. Give the part that is flattened no `deny_unknown_fields`,
# or describe the whole by hand with `unevaluatedProperties`.
#
# Output seen:
#   written: {"amount":5,"note":"x"}
#   refused: Additional properties are not allowed ('note' was unexpected)
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
serde = { version = "=1.0.229", features = ["derive"] }
serde_json = "1"
utoipa = "=6.0.0"
TOML
cat >"$dir/src/main.rs" <<'RS'
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    amount: i64,
}

#[derive(Serialize, ToSchema)]
struct Whole {
    #[serde(flatten)]
    part: Part,
    note: String,
}

#[derive(OpenApi)]
#[openapi(components(schemas(Part, Whole)))]
struct Api;

fn main() {
    let whole = Whole { part: Part { amount: 5 }, note: "x".to_owned() };
    println!("{}", serde_json::to_string(&whole).unwrap());
    println!("{}", Api::openapi().to_json().unwrap());
}
RS
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check 'jsonschema==4.25.1'
(cd "$dir" && cargo run --quiet) >"$dir/out"
seen=$("$dir/venv/bin/python" - "$dir/out" <<'PY'
import json, sys
import jsonschema
written, api = open(sys.argv[1]).read().split("\n", 1)
schema = {"$ref": "#/components/schemas/Whole", **json.loads(api)}
print("written:", written)
for error in jsonschema.Draft202012Validator(schema).iter_errors(json.loads(written)):
    print("refused:", error.message)
PY
)
printf '%s\n' "$seen"
[ "$seen" = "written: {\"amount\":5,\"note\":\"x\"}
refused: Additional properties are not allowed ('note' was unexpected)" ] || { echo "this has changed"; exit 1; }
