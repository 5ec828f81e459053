//! When a client repeats a request, as `docs/api.md` asks it to: a pure decision over what came back.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::{ATTEMPT_TIMEOUT, NoAnswer, Response};

/// How often a request is sent at most while it is certain that nothing was done, or harmless if it was.
const TRIES: u32 = 5;
/// How long such a request may take, its waits included.
const SHORT: Duration = Duration::from_secs(10);
/// How long a client asks what has become of an order whose answer was lost.
const LONG: Duration = Duration::from_secs(30);
/// The pause where the shop names none; it doubles from try to try.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Also where the shop says at once: nobody shall be asked thousands of times.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// The codes of 503 by which the shop promises that nothing was executed.
const REFUSALS: [&str; 3] = ["overloaded", "draining", "dependency-unavailable"];
const IN_FLIGHT: &str = "idempotency-in-flight";
/// A longer code is none of the shop's.
const LONGEST_CODE: usize = 40;

/// What came of one attempt.
#[derive(Clone, Debug)]
pub(crate) enum Seen<T> {
    /// 2xx, and what it says.
    Good(StatusCode, T),
    /// 2xx with a body that the API does not document.
    Strange(StatusCode),
    /// Any other answer.
    Problem(Problem),
    /// No answer.
    Nothing(NoAnswer),
}

#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: Option<String>,
    retry_after: Option<Duration>,
}

/// What a client makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Success,
    /// Nothing was executed.
    Refused,
    /// An earlier attempt with the same key still runs.
    Running,
    /// It may have been executed.
    Unclear,
    /// An answer, and the last one.
    Final,
}

impl<T: DeserializeOwned> From<Result<Response, NoAnswer>> for Seen<T> {
    fn from(answer: Result<Response, NoAnswer>) -> Self {
        match answer {
            Ok(Response { status, body, .. }) if status.is_success() => {
                serde_json::from_slice(&body).map_or(Self::Strange(status), |said| Self::Good(status, said))
            }
            Ok(Response { status, headers, body }) => {
                let problem = serde_json::from_slice(&body).map(|Coded { code }| code).ok();
                let code = problem.filter(|code| is_code(code));
                Self::Problem(Problem { status, code, retry_after: retry_after(&headers) })
            }
            Err(nothing) => Self::Nothing(nothing),
        }
    }
}

#[derive(Deserialize)]
struct Coded {
    code: String,
}

fn is_code(text: &str) -> bool {
    (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// The finer of the two headers, where both are there.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok().map(u64::from);
    number("retry-after-ms").map(Duration::from_millis).or_else(|| number("retry-after").map(Duration::from_secs))
}

impl<T> Seen<T> {
    pub(crate) fn meaning(&self) -> Meaning {
        match self {
            Self::Good(..) => Meaning::Success,
            Self::Strange(_) => Meaning::Final,
            Self::Problem(Problem { status, code, .. }) => match (status.as_u16(), code.as_deref()) {
                (503, Some(code)) if REFUSALS.contains(&code) => Meaning::Refused,
                (409, Some(IN_FLIGHT)) => Meaning::Running,
                (502..=504, _) => Meaning::Unclear,
                _ => Meaning::Final,
            },
            Self::Nothing(NoAnswer::Unreachable(_)) => Meaning::Refused,
            Self::Nothing(NoAnswer::Broken | NoAnswer::TimedOut) => Meaning::Unclear,
        }
    }

    /// Refused by the shop itself, with nothing executed.
    pub(crate) fn is_shed(&self) -> bool {
        matches!(self, Self::Problem(_)) && self.meaning() == Meaning::Refused
    }

    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Good(status, _) | Self::Strange(status) | Self::Problem(Problem { status, .. }) => Some(*status),
            Self::Nothing(_) => None,
        }
    }

    /// In a few words, of which there are few: attempts are counted by them.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Good(status, _) => status.as_u16().to_string(),
            Self::Strange(status) => format!("{}, not as documented", status.as_u16()),
            Self::Problem(Problem { status, code: Some(code), .. }) => format!("{} {code}", status.as_u16()),
            Self::Problem(Problem { status, code: None, .. }) => format!("{} without a code", status.as_u16()),
            Self::Nothing(NoAnswer::Unreachable(_)) => "no connection".to_owned(),
            Self::Nothing(NoAnswer::Broken) => "connection broken".to_owned(),
            Self::Nothing(NoAnswer::TimedOut) => format!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs()),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after,
            _ => None,
        }
    }
}

/// Which requests may be sent again although they may have been executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// None: twice would be two.
    Unexecuted,
    /// Harmless ones.
    Idempotent,
    /// Orders: their key makes it safe, and whoever does not ask never learns what they have bought.
    Keyed,
}

/// The attempts of one request so far.
#[derive(Debug)]
pub(crate) struct Tries {
    repeat: Repeat,
    made: u32,
    lost: bool,
}

impl Tries {
    pub(crate) fn new(repeat: Repeat) -> Self {
        Self { repeat, made: 0, lost: false }
    }

    /// Whether nothing was sent yet.
    pub(crate) fn is_first(&self) -> bool {
        self.made == 0
    }

    /// Whether one of them may have been executed without an answer that said so.
    pub(crate) fn lost(&self) -> bool {
        self.lost
    }

    /// How long to wait before the next attempt; `None` if there is none. `elapsed` is the time since the first.
    pub(crate) fn next<T>(&mut self, seen: &Seen<T>, elapsed: Duration) -> Option<Duration> {
        self.made += 1;
        let again = match seen.meaning() {
            Meaning::Success | Meaning::Final => false,
            Meaning::Refused => true,
            Meaning::Unclear => {
                self.lost = true;
                self.repeat != Repeat::Unexecuted
            }
            Meaning::Running => {
                self.lost = true;
                self.repeat == Repeat::Keyed
            }
        };
        let (tries, limit) = match self.lost && self.repeat == Repeat::Keyed {
            true => (u32::MAX, LONG),
            false => (TRIES, SHORT),
        };
        let wait = seen.retry_after().unwrap_or_else(|| pause(self.made)).max(SHORTEST_PAUSE);
        (again && self.made < tries && elapsed + wait <= limit).then_some(wait)
    }
}

/// Doubles with every try.
fn pause(made: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << made.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn answer(status: u16, body: &'static str, headers: &[(&'static str, &'static str)]) -> Seen<u32> {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Ok(Response { status, headers, body: Bytes::from_static(body.as_bytes()) }).into()
    }

    fn shed(wait: &'static str) -> Seen<u32> {
        answer(503, r#"{"code":"overloaded"}"#, &[("retry-after", "9"), ("retry-after-ms", wait)])
    }

    fn broken() -> Seen<u32> {
        Err(NoAnswer::Broken).into()
    }

    #[test]
    fn a_refusal_is_repeated_after_the_time_that_it_names_whatever_the_method() {
        for repeat in [Repeat::Unexecuted, Repeat::Idempotent, Repeat::Keyed] {
            assert_eq!(Tries::new(repeat).next(&shed("70"), NOW), Some(Duration::from_millis(70)), "{repeat:?}");
        }
        let coarse = answer(503, r#"{"code":"draining"}"#, &[("retry-after", "1")]);
        assert_eq!(Tries::new(Repeat::Unexecuted).next(&coarse, NOW), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_refusal_is_repeated_four_times_and_not_past_ten_seconds() {
        let mut tries = Tries::new(Repeat::Keyed);
        let waits = std::iter::from_fn(|| tries.next(&shed("0"), NOW)).count();
        assert_eq!(waits, 4);
        assert_eq!(Tries::new(Repeat::Keyed).next(&shed("2000"), Duration::from_secs(9)), None);
    }

    #[test]
    fn what_may_have_been_executed_is_repeated_only_where_that_is_harmless() {
        let lost = [broken(), Err(NoAnswer::TimedOut).into(), answer(504, "{}", &[]), answer(502, "<html>", &[])];
        for seen in lost {
            assert!(Tries::new(Repeat::Idempotent).next(&seen, NOW).is_some(), "{seen:?}");
            assert!(Tries::new(Repeat::Keyed).next(&seen, NOW).is_some(), "{seen:?}");
            assert_eq!(Tries::new(Repeat::Unexecuted).next(&seen, NOW), None, "{seen:?}");
        }
        let unreachable: Seen<u32> = Err(NoAnswer::Unreachable(String::new())).into();
        assert!(Tries::new(Repeat::Unexecuted).next(&unreachable, NOW).is_some(), "nothing was sent");
    }

    #[test]
    fn a_503_of_somebody_else_promises_nothing() {
        assert_eq!(answer(503, "<html>", &[]).meaning(), Meaning::Unclear);
        assert_eq!(answer(503, r#"{"code":"maintenance"}"#, &[]).meaning(), Meaning::Unclear);
    }

    #[test]
    fn after_a_lost_answer_an_order_is_asked_for_until_thirty_seconds_have_passed() {
        let mut tries = Tries::new(Repeat::Keyed);
        assert!(tries.next(&broken(), Duration::from_secs(1)).is_some());
        for second in 2..29 {
            assert!(tries.next(&shed("1000"), Duration::from_secs(second)).is_some(), "{second}");
        }
        let running = answer(409, r#"{"code":"idempotency-in-flight"}"#, &[("retry-after", "1")]);
        assert_eq!(tries.next(&running, Duration::from_secs(29)), Some(Duration::from_secs(1)));
        assert_eq!(tries.next(&running, Duration::from_secs(30)), None);
        assert!(tries.lost());
    }

    #[test]
    fn an_answer_is_an_answer() {
        for seen in [
            answer(201, "7", &[]),
            answer(200, "no number", &[]),
            answer(500, r#"{"code":"internal"}"#, &[]),
            answer(409, r#"{"code":"insufficient-stock"}"#, &[]),
            answer(302, "", &[]),
        ] {
            let mut tries = Tries::new(Repeat::Keyed);
            assert_eq!(tries.next(&seen, NOW), None, "{seen:?}");
            assert!(!tries.lost());
        }
    }

    #[test]
    fn attempts_are_counted_by_few_labels() {
        assert_eq!(shed("1").label(), "503 overloaded");
        assert_eq!(answer(502, "<html>", &[]).label(), "502 without a code");
        assert_eq!(answer(400, r#"{"code":"trace 7f3a"}"#, &[]).label(), "400 without a code");
        assert_eq!(answer(200, "x", &[]).label(), "200, not as documented");
        assert_eq!(broken().label(), "connection broken");
    }
}
