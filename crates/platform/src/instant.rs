//! Moments as the database keeps them and the API tells them: UTC, in microseconds, six digits always.
//!
//! For a field: `#[serde(serialize_with = "forebay_platform::instant::serialize")]`.

use serde::{Serialize as _, Serializer};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

const FORMAT: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// Now, without the nanoseconds that the database would not keep: what is answered at once is what is read later.
#[must_use]
pub fn now() -> OffsetDateTime {
    whole_micros(OffsetDateTime::now_utc())
}

fn whole_micros(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(at.microsecond() * 1_000).unwrap_or(at)
}

/// RFC 3339, such as `2026-11-27T15:04:05.000120Z`.
///
/// # Errors
///
/// The serializer's.
pub fn serialize<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    at.to_offset(UtcOffset::UTC).format(FORMAT).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn told(at: OffsetDateTime) -> serde_json::Value {
        serialize(&at, serde_json::value::Serializer).unwrap()
    }

    #[test]
    fn a_moment_has_six_digits_whatever_they_are_and_wherever_it_was() {
        assert_eq!(told(datetime!(2026-11-27 15:04:05 UTC)), json!("2026-11-27T15:04:05.000000Z"));
        assert_eq!(told(datetime!(2026-11-27 15:04:05.12 UTC)), json!("2026-11-27T15:04:05.120000Z"));
        assert_eq!(told(datetime!(2026-11-27 15:04:05.999_999_999 +2)), json!("2026-11-27T13:04:05.999999Z"));
    }

    #[test]
    fn now_has_no_nanoseconds() {
        assert_eq!(
            whole_micros(datetime!(2026-11-27 15:04:05.123_456_789 UTC)),
            datetime!(2026-11-27 15:04:05.123_456 UTC)
        );
        assert_eq!(now().nanosecond() % 1_000, 0);
    }
}
