//! What docs/api.md promises: it is read here, so that a route which it gains is asked too, and an answer that it does not
//! name is found.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

const API: &str = include_str!("../../../../../docs/api.md");

/// One line of the table of endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: String,
    /// With its parameters in braces.
    pub(crate) path: String,
    /// Names of the query's parameters.
    pub(crate) query: Vec<String>,
    /// Names of the body's fields, with a question mark behind those that it may leave out; nothing where it takes no body.
    pub(crate) fields: Vec<String>,
    /// `bearer`, `cart`, `admin`, and names of headers.
    pub(crate) needs: String,
    pub(crate) statuses: BTreeSet<u16>,
    /// Whether it is on the admin listener, of which the table says nothing.
    pub(crate) admin: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Endpoint {
    /// Whether only those who run the shop may ask it.
    pub(crate) fn is_for_admins(&self) -> bool {
        self.needs.split(',').any(|need| need.trim() == "admin")
    }
}

#[derive(Debug)]
pub(crate) struct Documented {
    pub(crate) endpoints: Vec<Endpoint>,
    /// The problems, by status and code.
    problems: HashSet<(u16, String)>,
}

impl Documented {
    pub(crate) fn read() -> Self {
        let endpoints: Vec<_> = rows("## Endpoints").flat_map(|cells| endpoints(&cells)).collect();
        let problems: HashSet<_> = rows("## Errors").flat_map(|cells| problems(&cells)).collect();
        assert!(
            endpoints.len() >= 12 && problems.len() >= 20,
            "docs/api.md has its two tables: {endpoints:?} {problems:?}"
        );
        Self { endpoints: [endpoints, admin()].concat(), problems }
    }

    pub(crate) fn has_problem(&self, status: u16, code: &str) -> bool {
        self.problems.contains(&(status, code.to_owned()))
    }

    pub(crate) fn has_status(&self, status: u16) -> bool {
        let failed = self.problems.iter().any(|(known, _)| *known == status);
        failed || self.endpoints.iter().any(|endpoint| endpoint.statuses.contains(&status))
    }
}

/// The rows of the first table below a heading, without its head.
fn rows(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let (_, rest) = API.split_once(heading).expect("docs/api.md has that heading");
    let table = rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    table.skip(2).map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// The parts between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Numbers of three digits that can be one.
fn statuses(cell: &str) -> impl Iterator<Item = u16> + '_ {
    cell.split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| word.len() == 3)
        .filter_map(|word| word.parse().ok())
        .filter(|status| (200..600).contains(status))
}

/// `` `GET`, `PUT /v1/things/{id}` `{name}` `` are two endpoints; the fields are the last one's.
fn endpoints(cells: &[&'static str]) -> Vec<Endpoint> {
    let [request, needs, answers, ..] = cells else { return Vec::new() };
    let (mut methods, mut found) = (Vec::new(), Vec::new());
    for part in quoted(request) {
        if let Some(fields) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            let names = fields.split(',').map(|field| field.trim().to_owned());
            if let Some(Endpoint { fields, .. }) = found.last_mut() {
                *fields = names.collect();
            }
            continue;
        }
        let (method, target) = part.split_once(' ').unwrap_or((part, ""));
        methods.push(method);
        if target.is_empty() {
            continue;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
        let query: Vec<_> = query.map(str::to_owned).collect();
        found.extend(methods.drain(..).map(|method| Endpoint {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.clone(),
            fields: if sends_an_address(method, path) { ADDRESS.map(str::to_owned).to_vec() } else { Vec::new() },
            needs: (*needs).to_owned(),
            statuses: statuses(answers).collect(),
            admin: false,
        }));
    }
    found
}

/// What an address says, of which the table speaks in words.
const ADDRESS: [&str; 5] = ["name", "line1", "city", "postal_code", "country"];

fn sends_an_address(method: &str, path: &str) -> bool {
    path.contains("/addresses") && matches!(method, "POST" | "PUT")
}

/// `| 400 | `invalid-request`, `invalid-cursor` | no |`; where there are several statuses, each code may have any of them.
fn problems(cells: &[&'static str]) -> Vec<(u16, String)> {
    let [status, codes, ..] = cells else { return Vec::new() };
    statuses(status).flat_map(|status| quoted(codes).map(move |code| (status, code.to_owned()))).collect()
}

/// What the README says of the admin listener.
fn admin() -> Vec<Endpoint> {
    let of = |method: &str, path: &str, fields: &[&str]| Endpoint {
        method: method.to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        needs: String::new(),
        statuses: BTreeSet::from([200]),
        admin: true,
    };
    vec![
        of("GET", "/livez", &[]),
        of("GET", "/readyz", &[]),
        of("GET", "/metrics", &[]),
        of("GET", "/pool", &[]),
        of("POST", "/pool", &["max", "flush_idle"]),
    ]
}
