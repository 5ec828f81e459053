//! Pages that were answered lately, for the time in which nobody is let in. They lie outside the door: what the pool refuses
//! is answered with one, where there is one, and everything else passes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AGE, CACHE_CONTROL, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use forebay_platform::etag;
use forebay_pool::http::Shed;
use metrics::counter;

/// RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const DEGRADED: HeaderValue = HeaderValue::from_static("forebay-catalog; hit; detail=degraded");

/// As long as `stale-if-error` lets others.
const OLDEST: Duration = Duration::from_secs(300);
const MOST_PAGES: usize = 512;
const MOST_BYTES: usize = 8 << 20;
const LARGEST: usize = 128 << 10;
const LONGEST_KEY: usize = 512;

/// The pages, by path and query. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    pages: HashMap<String, Page>,
    /// Of all bodies.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Page {
    rendered: Instant,
    headers: HeaderMap,
    body: Bytes,
}

/// Keeps public pages as they pass, and answers with one what the pool refused.
pub(crate) async fn instead_of_a_refusal(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let key = key_of(&request);
    let asked = request.headers().clone();
    let answer = next.run(request).await;
    let Some(key) = key else { return answer };
    if answer.extensions().get::<Shed>().is_some() {
        return pages.find(&key, now()).map_or(answer, |(page, age)| page.answer(&asked, age));
    }
    if is_kept(&answer) { pages.keep(key, answer).await } else { answer }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn key_of(request: &Request) -> Option<String> {
    let key = request.uri().path_and_query()?.as_str();
    (request.method() == Method::GET && key.len() <= LONGEST_KEY).then(|| key.to_owned())
}

fn is_kept(answer: &Response) -> bool {
    let public = answer.headers().get(CACHE_CONTROL).is_some_and(|policy| policy.as_bytes().starts_with(b"public"));
    let size = answer.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    answer.status() == StatusCode::OK && public && size.is_some_and(|size| size <= LARGEST)
}

impl Pages {
    async fn keep(&self, key: String, answer: Response) -> Response {
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, LARGEST).await.expect("what was rendered lies in memory, and its size is known");
        let page = Page { rendered: now(), headers: parts.headers.clone(), body: body.clone() };
        self.lock().keep(key, page);
        Response::from_parts(parts, Body::from(body))
    }

    fn find(&self, key: &str, now: Instant) -> Option<(Page, Duration)> {
        self.lock().find(key, now)
    }

    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    fn keep(&mut self, key: String, page: Page) {
        self.forget(&key);
        self.bytes += page.body.len();
        self.pages.insert(key, page);
        while self.pages.len() > MOST_PAGES || self.bytes > MOST_BYTES {
            let oldest = self.pages.iter().min_by_key(|(_, page)| page.rendered).map(|(key, _)| key.clone());
            oldest.iter().for_each(|key| self.forget(key));
        }
    }

    fn forget(&mut self, key: &str) {
        if let Some(page) = self.pages.remove(key) {
            self.bytes -= page.body.len();
        }
    }

    fn find(&self, key: &str, now: Instant) -> Option<(Page, Duration)> {
        let page = self.pages.get(key)?;
        let age = now.saturating_duration_since(page.rendered);
        (age <= OLDEST).then(|| (page.clone(), age))
    }
}

/// Says what the metric of this module means.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        "catalog_degraded_total",
        "Requests that the pool refused and that were answered with a page of before"
    );
}

impl Page {
    /// As it was answered then, with its age.
    fn answer(self, asked: &HeaderMap, age: Duration) -> Response {
        counter!("catalog_degraded_total").increment(1);
        let Self { mut headers, body, .. } = self;
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
        headers.insert(CACHE_STATUS, DEGRADED);
        etag::unless_known(asked, headers, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rendered: Instant, bytes: usize) -> Page {
        Page { rendered, headers: HeaderMap::new(), body: vec![0; bytes].into() }
    }

    #[test]
    fn a_page_is_found_for_five_minutes() {
        let (mut kept, begin) = (Stored::default(), now());
        kept.keep("/a".into(), page(begin, 1));
        assert_eq!(kept.find("/a", begin + OLDEST).unwrap().1, OLDEST);
        assert!(kept.find("/a", begin + OLDEST + Duration::from_millis(1)).is_none());
        assert!(kept.find("/a?", begin).is_none());
    }

    #[test]
    fn however_many_pages_come_the_oldest_make_way_and_both_bounds_hold() {
        let (mut kept, begin) = (Stored::default(), now());
        for number in 0..2_000_u64 {
            let size = if number < 1_000 { 1 } else { LARGEST };
            kept.keep(format!("/{}", number % 1_500), page(begin + Duration::from_millis(number), size));
            assert!(kept.pages.len() <= MOST_PAGES && kept.bytes <= MOST_BYTES);
            assert_eq!(kept.bytes, kept.pages.values().map(|page| page.body.len()).sum::<usize>());
            assert!(kept.pages.contains_key(&format!("/{}", number % 1_500)), "the newest stays");
        }
    }
}
