//! How long the parts of a request took, for whoever looks at it in a browser's tools (`Server-Timing`).

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

tokio::task_local! {
    static TIMES: Arc<Times>;
}

/// In microseconds.
#[derive(Debug)]
struct Times {
    began: Instant,
    /// Until a connection was first asked for; zero before.
    admission: AtomicU64,
    acquire: AtomicU64,
    db: AtomicU64,
}

/// The answer, with the times of all that was waited for to make it.
pub(crate) async fn told(answering: impl Future<Output = Response>) -> Response {
    let (admission, acquire, db) = Default::default();
    let times = Arc::new(Times { began: Instant::now(), admission, acquire, db });
    let mut response = TIMES.scope(Arc::clone(&times), answering).await;
    response.headers_mut().insert(SERVER_TIMING, times.header());
    response
}

impl Times {
    fn header(&self) -> HeaderValue {
        let ms = |micros: &AtomicU64| Duration::from_micros(micros.load(Ordering::Relaxed)).as_secs_f64() * 1_000.0;
        let (admission, acquire, db) = (ms(&self.admission), ms(&self.acquire), ms(&self.db));
        let total = self.began.elapsed().as_secs_f64() * 1_000.0;
        let text =
            format!("admission;dur={admission:.3}, acquire;dur={acquire:.3}, db;dur={db:.3}, total;dur={total:.3}");
        HeaderValue::try_from(text).expect("numbers are plain ASCII")
    }
}

fn add(sum: &AtomicU64, since: Instant) {
    sum.fetch_add(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Waiting for a connection, where that is told.
#[derive(Debug)]
pub(crate) struct Waiting(Option<(Arc<Times>, Instant)>);

impl Waiting {
    /// Of the request that this task serves.
    pub(crate) fn begin() -> Self {
        let times = TIMES.try_with(Arc::clone).ok();
        Self(times.map(|times| {
            if times.admission.load(Ordering::Relaxed) == 0 {
                add(&times.admission, times.began);
            }
            (times, Instant::now())
        }))
    }

    /// It has come.
    pub(crate) fn over(self) -> Using {
        Using(self.0.map(|(times, since)| {
            add(&times.acquire, since);
            (times, Instant::now())
        }))
    }
}

/// The time for which a connection is held; told when it is dropped.
#[derive(Debug)]
pub(crate) struct Using(Option<(Arc<Times>, Instant)>);

impl Drop for Using {
    fn drop(&mut self) {
        if let Some((times, since)) = &self.0 {
            add(&times.db, *since);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_part_has_the_time_that_it_took() {
        let wait = |ms| tokio::time::sleep(Duration::from_millis(ms));
        let answering = async {
            wait(1).await;
            for _ in 0..2 {
                let waiting = Waiting::begin();
                wait(10).await;
                let using = waiting.over();
                wait(100).await;
                drop(using);
            }
            wait(1_000).await;
            "here".into_response()
        };
        let response = told(answering).await;
        let told = response.headers()[SERVER_TIMING].to_str().unwrap();
        assert_eq!(told, "admission;dur=1.000, acquire;dur=20.000, db;dur=200.000, total;dur=1221.000");
    }

    #[test]
    fn nothing_is_measured_where_nothing_is_told() {
        assert!(Waiting::begin().over().0.is_none());
    }
}
