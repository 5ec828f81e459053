//! When to come back.

use std::time::{Duration, SystemTime};

use forebay_pool::http::RETRY_AFTER_MS;
use http::HeaderMap;
use http::header::{HeaderName, RETRY_AFTER};

/// The first pause of those who are told nothing is up to this; it doubles with each.
const FIRST: Duration = Duration::from_millis(100);

/// A pause that is not drawn yet: so long at least, and up to so much longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wait {
    least: Duration,
    /// By how much those who were told the same have to be spread, since it was said in whole seconds.
    coarse: Duration,
}

impl Wait {
    pub(super) fn least(self) -> Duration {
        self.least
    }

    /// Full jitter above what was told (Marc Brooker, "Exponential Backoff and Jitter", 2015). `chance` from `[0, 1)`.
    pub(super) fn draw(self, repetition: u32, chance: f64) -> Duration {
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(repetition.saturating_sub(1)));
        self.least.saturating_add(doubled.max(self.coarse).mul_f64(chance))
    }
}

/// What a refusal says, if it says something that can be read: in milliseconds, in seconds, or as a date (RFC 9110 10.2.3).
pub(super) fn told(headers: &HeaderMap, now: SystemTime) -> Option<Wait> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    if let Some(milliseconds) = text(RETRY_AFTER_MS).and_then(number) {
        return Some(Wait { least: Duration::from_millis(milliseconds), coarse: Duration::ZERO });
    }
    let said = text(RETRY_AFTER)?;
    let least = match number(said) {
        Some(seconds) => Duration::from_secs(seconds),
        None => httpdate::parse_http_date(said).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(Wait { least, coarse: Duration::from_secs(1) })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Option<(u64, u64)> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        // Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        told(&headers, now).map(|wait| (wait.least.as_secs(), wait.coarse.as_secs()))
    }

    #[test]
    fn milliseconds_go_before_seconds_and_what_cannot_be_read_says_nothing() {
        assert_eq!(of(&[("retry-after", "7"), ("retry-after-ms", "3000")]), Some((3, 0)));
        assert_eq!(of(&[("retry-after", "7"), ("retry-after-ms", "soon")]), Some((7, 1)));
        assert_eq!(of(&[("retry-after", " 7 ")]), Some((7, 1)));
        assert_eq!(of(&[("retry-after", "99999999999999999999999")]), Some((u64::MAX, 1)));
        for wrong in ["", "-1", "1.5", "soon", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(of(&[("retry-after", wrong)]), None, "{wrong}");
        }
    }

    #[test]
    fn a_date_is_read_in_each_of_its_three_forms_and_one_that_is_past_means_now() {
        for date in ["Sun, 06 Nov 1994 08:49:42 GMT", "Sunday, 06-Nov-94 08:49:42 GMT", "Sun Nov  6 08:49:42 1994"] {
            assert_eq!(of(&[("retry-after", date)]), Some((5, 1)), "{date}");
        }
        assert_eq!(of(&[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")]), Some((0, 1)));
    }

    proptest! {
        #[test]
        fn nobody_comes_before_they_were_told(least in any::<u64>(), coarse in 0..2_u64, repetition in any::<u32>(), chance in 0.0..1.0_f64) {
            let wait = Wait { least: Duration::from_millis(least), coarse: Duration::from_secs(coarse) };
            prop_assert!(wait.draw(repetition, chance) >= wait.least);
        }
    }

    #[test]
    fn those_who_are_told_nothing_back_off_twice_as_long_each_time() {
        let pauses = [1, 2, 3].map(|repetition| Wait::default().draw(repetition, 0.5).as_millis());
        assert_eq!(pauses, [50, 100, 200]);
    }
}
