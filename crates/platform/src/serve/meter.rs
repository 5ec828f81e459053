//! How many requests a service answers, how, and how long it took: each series is looked for by its name once.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::telemetry::Metrics;

const ACTIVE: &str = "http_server_active_requests";
const DURATION: &str = "http_server_request_duration_seconds";
const REQUESTS: &str = "http_server_requests_total";
const TIME: &str = "http_server_request_time_seconds_total";

pub(super) fn describe_metrics() {
    metrics::describe_gauge!(ACTIVE, "Requests that have not been answered");
    metrics::describe_histogram!(DURATION, "From the request's head to the answer's head");
    metrics::describe_counter!(REQUESTS, "Requests that were answered, or whose client left (499)");
    metrics::describe_counter!(TIME, "Time that those took which ended well, of all of them together");
}

/// What is refused before a route has its say, and by each alike: who asks, how much at once, in what form.
const ALIKE: [StatusCode; 13] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::LENGTH_REQUIRED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::URI_TOO_LONG,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::EXPECTATION_FAILED,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should, also where its client was told what was wrong with it.
    Ok,
    /// It was refused before any work.
    Shed,
    /// It failed, or its client left.
    Error,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Ok, Self::Shed, Self::Error];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Shed => "shed",
            Self::Error => "error",
        }
    }
}

/// The metrics of one service's requests.
///
/// A histogram for each route and status would be a thousand series and more, so that a route has its counts and its sum alone.
#[derive(Debug)]
pub(super) struct Meter {
    service: &'static str,
    active: Gauge,
    durations: [Histogram; 3],
    /// By the template of the path. There are as many as the router has, whatever clients send.
    routes: RwLock<HashMap<String, Vec<Answers>>>,
}

/// Of one method of one route, those that ended alike.
#[derive(Clone, Debug)]
struct Answers {
    method: &'static str,
    status: StatusCode,
    outcome: Outcome,
    requests: Counter,
    time: Gauge,
}

impl Meter {
    pub(super) fn new(service: &'static str) -> Self {
        // A handle that is resolved before there is a recorder records nothing.
        Metrics::of_process();
        Self {
            service,
            active: gauge!(ACTIVE, "service" => service),
            durations: Outcome::ALL
                .map(|outcome| histogram!(DURATION, "service" => service, "outcome" => outcome.name())),
            routes: RwLock::default(),
        }
    }

    pub(super) const fn service(&self) -> &'static str {
        self.service
    }

    pub(super) fn begin(&self) {
        self.active.increment(1);
    }

    pub(super) fn end(&self, method: &'static str, route: &str, status: StatusCode, outcome: Outcome, took: Duration) {
        self.active.decrement(1);
        let took = took.as_secs_f64();
        self.durations[outcome as usize].record(took);
        // As many of these as there are routes and methods would say nothing more.
        let route = if ALIKE.contains(&status) { "any" } else { route };
        let method = match method {
            _ if status == StatusCode::METHOD_NOT_ALLOWED => "_OTHER",
            "HEAD" => "GET",
            method => method,
        };
        self.with(method, route, status, outcome, |answers| {
            answers.requests.increment(1);
            answers.time.increment(took);
        });
    }

    fn with(
        &self,
        method: &'static str,
        route: &str,
        status: StatusCode,
        outcome: Outcome,
        act: impl FnOnce(&Answers),
    ) {
        let same = |known: &&Answers| (known.method, known.status, known.outcome) == (method, status, outcome);
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.get(route).and_then(|known| known.iter().find(same)) {
            return act(known);
        }
        drop(routes);
        let answers = self.resolve(method, route, status, outcome);
        act(&answers);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let known = routes.entry(route.to_owned()).or_default();
        if known.iter().find(same).is_none() {
            known.push(answers);
        }
    }

    fn resolve(&self, method: &'static str, route: &str, status: StatusCode, outcome: Outcome) -> Answers {
        let of_route =
            [("service", self.service.to_owned()), ("method", method.to_owned()), ("route", route.to_owned())];
        let time = if outcome == Outcome::Ok { gauge!(TIME, &of_route) } else { Gauge::noop() };
        let how = [("status", status.as_str().to_owned()), ("outcome", outcome.name().to_owned())];
        let labels: Vec<_> = of_route.into_iter().chain(how).collect();
        Answers { method, status, outcome, requests: counter!(REQUESTS, &labels), time }
    }
}
