//! The edge of the containers knows where each operation is served.

use std::collections::BTreeSet;

use utoipa::openapi::OpenApi;

const RULES: &str = include_str!("../../../../ops/edge/haproxy.cfg");

/// What services ask each other, and nobody else.
const WITHIN: [&str; 2] = ["/.well-known/revoked-sessions.json", "/v1/availability/changes"];

/// Where a request for `path` goes: the first rule decides.
fn backend(path: &str) -> &'static str {
    let rules = RULES.lines().filter_map(|line| line.trim().strip_prefix("use_backend "));
    let mut fitting = rules.filter(|rule| {
        let conditions = rule.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        conditions.map(str::trim).any(|condition| match condition.split_once(' ') {
            Some(("path", paths)) => paths.split_whitespace().any(|known| known == path),
            Some(("path_beg", starts)) => starts.split_whitespace().any(|start| path.starts_with(start)),
            other => panic!("a rule of another kind: {other:?}"),
        })
    });
    fitting.next().and_then(|rule| rule.split_whitespace().next()).unwrap_or("nowhere")
}

/// Of a service, with a word for what stands in braces.
fn paths(described: OpenApi) -> BTreeSet<String> {
    let filled = |path: &String| {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    described.paths.paths.keys().map(filled).collect()
}

#[test]
fn each_operation_is_reached_through_the_edge_at_the_service_that_has_it() {
    let services = [
        ("catalog", paths(forebay_catalog::openapi())),
        ("auth", paths(forebay_auth::openapi())),
        ("checkout", paths(forebay_checkout::openapi())),
    ];
    let mut astray = Vec::new();
    for (service, path) in services.iter().flat_map(|(service, paths)| paths.iter().map(move |path| (*service, path))) {
        let wanted = if WITHIN.contains(&path.as_str()) { "nowhere" } else { service };
        if backend(path) != wanted {
            astray.push(format!("{path}: {} in place of {wanted}", backend(path)));
        }
    }
    assert!(astray.is_empty(), "{astray:#?}");
}

#[test]
fn the_admin_listener_has_no_way_in() {
    for path in ["/pool", "/metrics", "/livez", "/readyz", "/v1/admin/", "/v1/nothing"] {
        assert_eq!(backend(path), "nowhere", "{path}");
    }
}
