//! The description of the API and what it describes are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forebay_auth::SigningKey;
use forebay_checkout::Payments;
use forebay_platform::{
    admit::{Admit, TimeLimits},
    db::Db,
};
use forebay_pool::Pool;
use forebay_shop::{Services, openapi};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;

use crate::random::{Documented, Endpoint};

/// A method and a path.
type Operation = (String, String);

/// Whether it is of the API. What else is served is pages, and this description.
fn is_operation(path: &str) -> bool {
    path.starts_with("/v1/") || path.starts_with("/.well-known/")
}

/// Follows from what an operation takes, so that no table has to say it.
const COMMON: [u16; 13] = [400, 401, 403, 404, 408, 413, 414, 415, 422, 431, 500, 503, 504];

fn described() -> Value {
    serde_json::to_value(openapi::described()).unwrap()
}

fn operations(document: &Value) -> BTreeMap<Operation, &Value> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| ((method.to_uppercase(), path.clone()), operation))
    });
    all.collect()
}

fn statuses(operation: &Value) -> BTreeSet<u16> {
    operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect()
}

/// The names of the parameters of its query.
fn queried(operation: &Value) -> BTreeSet<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let queried = parameters.filter(|parameter| parameter["in"] == "query");
    queried.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}

/// Every route of the public router, as axum tells them to who debugs it: it has no other way to list them.
fn routes() -> BTreeSet<Operation> {
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1);
    let db = Db::forebay(Pool::builder(options.clone(), forebay_pool::Config::named("described")).connect().unwrap());
    let payments = Payments::simulated(options, Duration::ZERO, 0);
    let admit = Admit::new(&db, TimeLimits::default());
    let services = Services::all(&db, &admit, SigningKey::generate(), payments, Duration::from_secs(60));
    let shown = format!("{:?}", services.router());
    let (routes, rest) = shown.split_once("node: Node { paths: {").unwrap();
    let (paths, _) = rest.split_once('}').map(|(_, _)| rest.split_once("} }").unwrap()).unwrap();
    let path_of: BTreeMap<&str, &str> = paths
        .split(", RouteId(")
        .map(|entry| {
            let (id, path) = entry.trim_start_matches("RouteId(").split_once("): ").unwrap();
            (id, path.trim_matches('"'))
        })
        .collect();
    let mut found = BTreeSet::new();
    for route in routes.split("RouteId(").skip(1) {
        let (id, _) = route.split_once(')').unwrap();
        let Some((_, allowed)) = route.split_once("allow_header: Bytes(b\"") else { continue };
        let (methods, _) = allowed.split_once('"').unwrap();
        let methods = methods.split(',').filter(|method| *method != "HEAD");
        found.extend(methods.map(|method| (method.to_owned(), path_of[id].to_owned())));
    }
    found
}

#[tokio::test]
async fn every_route_is_described_and_every_operation_is_routed() {
    let document = described();
    let described: BTreeSet<_> = operations(&document).into_keys().collect();
    let routed: BTreeSet<_> = routes().into_iter().filter(|(_, path)| is_operation(path)).collect();
    let missing: Vec<_> = routed.difference(&described).collect();
    let surplus: Vec<_> = described.difference(&routed).collect();
    assert!(
        missing.is_empty(),
        "give these handlers a utoipa::path, and name them in their crate's openapi.rs: {missing:?}"
    );
    assert!(surplus.is_empty(), "these are described, and routed nowhere: {surplus:?}");
}

#[test]
fn the_table_for_people_says_the_same() {
    let document = described();
    let operations = operations(&document);
    let mut rows: BTreeMap<(String, BTreeSet<u16>), Vec<Endpoint>> = BTreeMap::new();
    let listed = Documented::read().endpoints.into_iter().filter(|endpoint| !endpoint.admin);
    for endpoint in listed.filter(|endpoint| is_operation(&endpoint.path)) {
        rows.entry((endpoint.path.clone(), endpoint.statuses.clone())).or_default().push(endpoint);
    }
    let mut named = BTreeSet::new();
    for ((path, told), endpoints) in rows {
        // People read `{id or slug}`.
        let path = path.replace(" or ", "_or_");
        let mut all = BTreeSet::new();
        for Endpoint { method, query, .. } in endpoints {
            let operation = (method, path.clone());
            let found = operations.get(&operation).unwrap_or_else(|| panic!("{operation:?} is only in docs/api.md"));
            assert_eq!(queried(found), query.into_iter().collect(), "{operation:?}: the parameters of its query");
            let statuses = statuses(found);
            let untold: Vec<_> = statuses.difference(&told).filter(|status| !COMMON.contains(status)).collect();
            assert!(untold.is_empty(), "{operation:?}: docs/api.md does not say {untold:?}");
            all.extend(statuses);
            named.insert(operation);
        }
        let surplus: Vec<_> = told.difference(&all).collect();
        assert!(surplus.is_empty(), "{path}: only docs/api.md says {surplus:?}");
    }
    let unnamed: Vec<_> = operations.keys().filter(|operation| !named.contains(*operation)).collect();
    assert!(unnamed.is_empty(), "docs/api.md has no row for {unnamed:?}");
}

#[test]
fn an_operation_has_a_name_of_its_own_and_words_for_each_answer() {
    let document = described();
    let mut names = BTreeSet::new();
    for (operation, said) in operations(&document) {
        let name = said["operationId"].as_str().unwrap_or_default();
        assert!(names.insert(name), "{operation:?}: two operations are called {name}");
        assert!(said["summary"].is_string(), "{operation:?} has no summary");
        assert!(said["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{operation:?} has no tag");
        for (status, answer) in said["responses"].as_object().unwrap() {
            let problem = answer["$ref"].as_str().is_some_and(|target| document.pointer(&target[1..]).is_some());
            assert!(
                problem || answer["description"].as_str().is_some_and(|words| !words.is_empty()),
                "{operation:?}: {status}"
            );
        }
    }
}

/// What only those who wrote the program know, or say.
const OURS: [&str; 9] =
    ["None", "database", "transaction", "lease", "handler", "lock", "The body of", "The answer", "as it is kept"];

/// Every description and summary, with where it stands.
fn words(place: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let place = format!("{place}/{name}");
                match value {
                    Value::String(text) if matches!(name.as_str(), "description" | "summary") => {
                        found.push((place, text.clone()));
                    }
                    _ => words(&place, value, found),
                }
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| words(&format!("{place}/{index}"), value, found));
        }
        _ => {}
    }
}

#[test]
fn the_words_are_for_who_calls_the_api_and_not_for_who_wrote_it() {
    let mut found = Vec::new();
    words("", &described(), &mut found);
    assert!(found.len() > 300, "{}", found.len());
    let is_ours = |text: &str| {
        let mut words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '-');
        OURS.iter()
            .any(|ours| if ours.contains(' ') { text.contains(ours) } else { words.clone().any(|word| word == *ours) })
            || words.any(|word| word.contains("sqlx"))
    };
    found.retain(|(_, text)| is_ours(text));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn whatever_is_sent_or_answered_has_words() {
    let document = described();
    let mut mute = Vec::new();
    let mut look = |place: String, value: &Value| {
        if value["description"].as_str().is_none_or(str::is_empty) {
            mute.push(place);
        }
    };
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        look(name.clone(), schema);
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            look(format!("{name}.{field}"), schema);
        }
    }
    for (name, header) in document["components"]["headers"].as_object().unwrap() {
        look(name.clone(), header);
    }
    for ((method, path), operation) in operations(&document) {
        // An id in a path needs no words.
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["in"] != "path" && parameter["$ref"].is_null()) {
            look(format!("{method} {path} {}", parameter["name"]), parameter);
        }
    }
    assert!(mute.is_empty(), "{mute:#?}");
}

#[test]
fn whatever_is_referred_to_is_there() {
    let document = described();
    let text = document.to_string();
    let targets: BTreeSet<_> = text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(targets.len() > 20, "{targets:?}");
    for target in targets {
        assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target} is nowhere");
    }
}

#[test]
fn services_mean_the_same_by_the_name_of_a_type() {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for part in [forebay_catalog::openapi(), forebay_auth::openapi(), forebay_checkout::openapi()] {
        for (name, schema) in part.components.unwrap_or_default().schemas {
            let mut schema = serde_json::to_value(schema).unwrap();
            // One reads it, and refuses what it does not know; the other one only writes it.
            schema.as_object_mut().unwrap().remove("additionalProperties");
            if let Some(other) = known.insert(name.clone(), schema.clone()) {
                assert_eq!(schema, other, "{name}");
            }
        }
    }
}
