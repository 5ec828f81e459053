//! What has to hold of an answer, whatever was asked.

use serde_json::Value;

use super::documented::{Documented, Endpoint};
use super::request::Draft;
use super::wire::{Answer, Outcome};

/// Words of the program that are none of the API.
const INTERNALS: [&str; 24] = [
    "struct",
    "enum",
    "tuple",
    "u8",
    "u16",
    "u32",
    "u64",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "f64",
    "deserialize",
    "deserializer",
    "serde",
    "sqlx",
    "unwrap",
    "panicked",
    "hyper",
    "axum",
    "Option",
    "Vec",
    "PgDatabaseError",
];

/// What is wrong with what became of a request, in words that are the same for all of its kind.
pub(super) fn faults(documented: &Documented, endpoint: &Endpoint, draft: &Draft, outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Answered(answer) => of_answer(documented, endpoint, draft, answer),
        // There may have been no request, or it was refused before it was all sent.
        Outcome::Closed { reset } if draft.broken || *reset => Vec::new(),
        Outcome::Closed { .. } => vec!["closed without an answer".to_owned()],
        Outcome::Hung(how) => vec![(*how).to_owned()],
        Outcome::Unreadable(what) => vec![format!("no HTTP: {what}")],
    }
}

fn of_answer(documented: &Documented, endpoint: &Endpoint, draft: &Draft, answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    let status = answer.status;
    if !endpoint.admin && !documented.has_status(status) {
        faults.push(format!("{status} is not in docs/api.md"));
    }
    if draft.at_endpoint && status < 400 && !endpoint.statuses.contains(&status) {
        faults.push(format!("{status} is not one of the endpoint's statuses in docs/api.md"));
    }
    // A caller who waits for a few milliseconds may be told that it was too late.
    let late = status == 504 && draft.has("request-timeout-ms");
    if status >= 500 && status != 503 && !late {
        faults.push(format!("a fault of the server: {status}"));
    }
    // A head that is too long is not read to its end.
    let read = !draft.broken && !matches!(status, 414 | 431);
    if !endpoint.admin && read && draft.id.as_deref().is_some_and(|id| answer.header("x-request-id") != Some(id)) {
        faults.push(format!("{status} does not repeat the request's id"));
    }
    if matches!(status, 429 | 503) && answer.header("retry-after").is_none() {
        faults.push(format!("{status} without Retry-After"));
    }
    if status == 405 && answer.header("allow").is_none() {
        faults.push("405 without Allow".to_owned());
    }
    if status >= 400 && draft.method != "HEAD" {
        faults.extend(of_problem(documented, endpoint, answer));
    }
    faults
}

fn of_problem(documented: &Documented, endpoint: &Endpoint, answer: &Answer) -> Vec<String> {
    let status = answer.status;
    // The probe tells what it sees, not what is wrong with the request.
    if endpoint.path == "/readyz" && status == 503 {
        return Vec::new();
    }
    if answer.header("content-type") != Some("application/problem+json") {
        return vec![format!("{status} without a problem")];
    }
    let Ok(problem) = serde_json::from_slice::<Value>(&answer.body) else {
        return vec![format!("{status} with a problem that is no JSON")];
    };
    let mut faults = Vec::new();
    let code = problem["code"].as_str().unwrap_or("none");
    if problem["status"] != status || !endpoint.admin && !documented.has_problem(status, code) {
        faults.push(format!("{status} {code} is not in docs/api.md"));
    }
    let instance = answer.header("x-request-id").map(|id| format!("urn:uuid:{id}"));
    if !endpoint.admin && problem["instance"].as_str() != instance.as_deref() {
        faults.push(format!("{status} {code}: its instance is not the request's"));
    }
    if !endpoint.admin && problem["trace_id"].as_str().is_none_or(str::is_empty) {
        faults.push(format!("{status} {code}: it has no trace_id"));
    }
    let mut texts = Vec::new();
    texts_in(&problem, &mut texts);
    for text in texts {
        let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let internal = words.into_iter().find(|word| INTERNALS.contains(word));
        if let Some(word) = internal.or_else(|| text.contains("::").then_some("::")) {
            faults.push(format!("{status} {code} speaks of the program: {word}"));
        }
    }
    faults
}

fn texts_in<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts_in(item, found)),
        Value::Object(members) => members.values().for_each(|inner| texts_in(inner, found)),
        _ => {}
    }
}
