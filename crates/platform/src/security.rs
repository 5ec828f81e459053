//! Security events: each is one structured log record (target `security`, level info) and one count.
//!
//! A record says what happened, to whose account, in which request and from which network. It never holds an e-mail
//! address, a secret, or the whole address of a client.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

use crate::{client::CLIENT, problem::REQUEST_ID};

const EVENTS: &str = "security_events_total";

/// How many records are written in one second of what was refused without any work: it costs its sender nothing, and shall
/// not fill a disk.
const CHEAP_A_SECOND: u32 = 10;
/// How much is written of what a sender chooses, in characters.
const LONGEST: usize = 200;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Good,
    /// It was refused: the password, the token or the origin was wrong.
    Bad,
    /// It was refused without a look at it.
    Throttled,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Somebody tried to log in.
    Login(Outcome),
    /// An account was made.
    Registered,
    /// A refresh token was presented that somebody else had used; its session is over.
    RefreshReused,
    /// Somebody who is logged in tried to change the password.
    PasswordChange(Outcome),
    /// A session was ended by its own user.
    LoggedOut,
    /// All sessions of a user were ended by the user.
    LoggedOutEverywhere,
    /// One session of a user was ended from another.
    SessionEnded,
    /// Something was changed by way of the admin listener.
    AdminAction {
        /// Such as `POST /pool`.
        what: &'a str,
        /// Who did it, by the name of the token that was shown.
        by: &'a str,
        /// As it was.
        before: &'a str,
        /// As it is now.
        after: &'a str,
    },
    /// An admin changed something of the shop; the [audit log](crate::audit) has what.
    AdminChange {
        /// Such as `order.ship`.
        what: &'a str,
        /// Such as `order 0190b3a0-7c5e-7abc-8def-0123456789ab`.
        object: &'a str,
    },
    /// The admin listener refused somebody, or a public route that only admins may take did.
    AdminRefused {
        /// Such as `POST /pool`.
        what: &'a str,
    },
    /// A message came that nobody who is known has signed.
    WebhookRefused {
        /// What is wrong with it, in words of ours.
        why: &'a str,
    },
    /// An order was accepted, and its stock reserved.
    OrderPlaced {
        /// Which.
        order: Uuid,
    },
    /// An order was paid.
    OrderPaid {
        /// Which.
        order: Uuid,
    },
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Throttled => "throttled",
        }
    }
}

impl Event<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Login(_) => "login",
            Self::Registered => "register",
            Self::RefreshReused => "refresh_reuse",
            Self::PasswordChange(_) => "password_change",
            Self::LoggedOut => "logout",
            Self::LoggedOutEverywhere => "logout_all",
            Self::SessionEnded => "session_end",
            Self::AdminAction { .. } | Self::AdminChange { .. } | Self::AdminRefused { .. } => "admin_action",
            Self::WebhookRefused { .. } => "webhook",
            Self::OrderPlaced { .. } => "order_placed",
            Self::OrderPaid { .. } => "order_paid",
        }
    }

    const fn outcome(&self) -> Outcome {
        match self {
            Self::Login(outcome) | Self::PasswordChange(outcome) => *outcome,
            Self::RefreshReused | Self::AdminRefused { .. } | Self::WebhookRefused { .. } => Outcome::Bad,
            _ => Outcome::Good,
        }
    }
}

/// Writes one record and counts it. `user` is the account that it is about, where one is known. The request and its
/// sender are those of the task ([`REQUEST_ID`], [`CLIENT`]).
///
/// ```
/// use forebay_platform::security::{self, Event, Outcome};
///
/// security::record(Event::Login(Outcome::Bad), None);
/// ```
pub fn record(event: Event<'_>, user: Option<Uuid>) {
    let (name, outcome) = (event.name(), event.outcome());
    metrics::counter!(EVENTS, "event" => name, "outcome" => outcome.name()).increment(1);
    let Some(left_out) = left_out(&event) else { return };
    let client = CLIENT.try_with(|client| *client).ok().flatten();
    let request_id = REQUEST_ID.try_with(Arc::clone).ok();
    let order = match event {
        Event::OrderPlaced { order } | Event::OrderPaid { order } => Some(order),
        _ => None,
    };
    let (what, by, before, after) = match event {
        Event::AdminAction { what, by, before, after } => (Some(what), Some(by), Some(before), Some(after)),
        Event::AdminRefused { what } => (Some(shortened(what)), None, None, None),
        Event::WebhookRefused { why } => (Some(why), None, None, None),
        Event::AdminChange { what, .. } => (Some(what), None, None, None),
        _ => (None, None, None, None),
    };
    let object = if let Event::AdminChange { object, .. } = event { Some(object) } else { None };
    tracing::info!(
        target: "security",
        event = name,
        outcome = outcome.name(),
        user = user.map(display),
        client = client.map(display),
        request_id = request_id.map(display),
        order = order.map(display),
        what,
        object,
        by,
        before,
        after,
        left_out = (left_out > 0).then_some(left_out),
        "security event"
    );
}

fn shortened(text: &str) -> &str {
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end])
}

/// How many records of this kind were left out since the last one; none when this one is left out too.
fn left_out(event: &Event<'_>) -> Option<u64> {
    static THROTTLED: Mutex<Written> = Mutex::new(Written::NOTHING);
    static REFUSED: Mutex<Written> = Mutex::new(Written::NOTHING);
    static WEBHOOKS: Mutex<Written> = Mutex::new(Written::NOTHING);
    let written = match event {
        Event::AdminRefused { .. } => &REFUSED,
        Event::WebhookRefused { .. } => &WEBHOOKS,
        _ if event.outcome() == Outcome::Throttled => &THROTTLED,
        _ => return Some(0),
    };
    written.lock().unwrap_or_else(PoisonError::into_inner).note(Instant::now())
}

/// What was written in the second that runs.
#[derive(Debug)]
struct Written {
    since: Option<Instant>,
    records: u32,
    left_out: u64,
}

impl Written {
    const NOTHING: Self = Self { since: None, records: 0, left_out: 0 };

    fn note(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            (self.since, self.records) = (Some(now), 0);
        }
        if self.records == CHEAP_A_SECOND {
            self.left_out += 1;
            return None;
        }
        self.records += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Says what the counter means, and shows those that alerts wait for before they first happen.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(EVENTS, "Logins, orders, changes of accounts and of the pool, by how they ended");
    for outcome in [Outcome::Good, Outcome::Bad, Outcome::Throttled] {
        metrics::counter!(EVENTS, "event" => "login", "outcome" => outcome.name()).increment(0);
    }
    metrics::counter!(EVENTS, "event" => "refresh_reuse", "outcome" => "bad").increment(0);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;

    use serde_json::Value;
    use tracing_subscriber::EnvFilter;

    use super::*;
    use crate::{client::Client, telemetry::Metrics};

    /// The JSON records of `work` at the default levels.
    fn records(work: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("info,sqlx=warn"))
            .json()
            .flatten_event(true)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Where a test's subscriber writes.
    pub(crate) struct Sink(pub(crate) Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_record_and_one_count_and_shows_no_whole_address() {
        let metrics = Metrics::of_process();
        let (user, order) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let client = Client::of([192, 0, 2, 77].into());
        let records = records(|| {
            REQUEST_ID.sync_scope("the-request".into(), || {
                CLIENT.sync_scope(Some(client), || record(Event::OrderPaid { order }, Some(user)));
            });
        });
        let [record] = records.as_slice() else { panic!("{records:?}") };
        let said = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        assert_eq!((said("event"), said("outcome")), ("order_paid".to_owned(), "good".to_owned()));
        assert_eq!((said("user"), said("order")), (user.to_string(), order.to_string()));
        assert_eq!((said("client"), said("request_id")), ("192.0.2.0/24".to_owned(), "the-request".to_owned()));
        assert_eq!(said("target"), "security");
        assert!(record.get("what").is_none() && !record.to_string().contains("192.0.2.77"), "{record}");
        let text = metrics.render();
        assert!(text.contains("# HELP security_events_total "), "{text}");
        assert!(text.contains(r#"security_events_total{event="order_paid",outcome="good"} 1"#), "{text}");
        assert!(text.contains(r#"security_events_total{event="refresh_reuse",outcome="bad"} 0"#), "{text}");
    }

    #[test]
    fn an_admin_action_says_what_it_changed() {
        let records = records(|| {
            record(Event::AdminAction { what: "POST /pool", by: "ops", before: "max=60", after: "max=8" }, None);
        });
        assert_eq!((&records[0]["before"], &records[0]["after"]), (&"max=60".into(), &"max=8".into()));
        assert_eq!((&records[0]["what"], &records[0]["by"]), (&"POST /pool".into(), &"ops".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn webhooks_that_nobody_signed_are_counted_and_few_of_them_written() {
        let metrics = Metrics::of_process();
        let refused = || (0..50).for_each(|_| record(Event::WebhookRefused { why: "not signed" }, None));
        let records = records(refused);
        assert_eq!((records.len(), &records[0]["what"]), (10, &"not signed".into()));
        let text = metrics.render();
        assert!(text.contains(r#"security_events_total{event="webhook",outcome="bad"} 50"#), "{text}");
    }

    #[test]
    fn throttled_attempts_are_counted_and_few_of_them_written() {
        let (mut written, now) = (Written::NOTHING, Instant::now());
        let first: Vec<_> = (0..15).filter_map(|_| written.note(now)).collect();
        assert_eq!(first, [0; 10]);
        assert_eq!(written.note(now + Duration::from_secs(1)), Some(5));
    }
}
