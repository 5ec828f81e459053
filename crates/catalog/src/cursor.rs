//! Where a page begins: opaque to clients, exact for us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::Sort;
use crate::error::Error;

const VERSION: u8 = 1;

/// The row after which a page begins: the values of the sort's columns, ending in the id, which makes them unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sort", content = "last", rename_all = "snake_case")]
pub(crate) enum After {
    /// Microseconds of Unix time, as exact as the database keeps it.
    Newest(i64, Uuid),
    Popular(i64, Uuid),
    PriceAsc(i64, Uuid),
    PriceDesc(i64, Uuid),
    Name(String, Uuid),
    /// Relevance in millionths, then popularity.
    Relevance(i64, i64, Uuid),
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    v: u8,
    filter: String,
    /// Whether the list is of names that resemble what was searched for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    resembling: bool,
    #[serde(flatten)]
    after: After,
}

impl After {
    /// Before every row, so that the first page is no special case.
    pub(crate) fn start(sort: Sort) -> Self {
        match sort {
            Sort::Newest => Self::Newest(end_of_time(), Uuid::max()),
            Sort::Popular => Self::Popular(i64::MAX, Uuid::max()),
            Sort::PriceAsc => Self::PriceAsc(-1, Uuid::nil()),
            Sort::PriceDesc => Self::PriceDesc(i64::MAX, Uuid::max()),
            Sort::Name => Self::Name(String::new(), Uuid::nil()),
            Sort::Relevance => Self::Relevance(i64::MAX, i64::MAX, Uuid::max()),
        }
    }

    fn sort(&self) -> Sort {
        match self {
            Self::Newest(..) => Sort::Newest,
            Self::Popular(..) => Sort::Popular,
            Self::PriceAsc(..) => Sort::PriceAsc,
            Self::PriceDesc(..) => Sort::PriceDesc,
            Self::Name(..) => Sort::Name,
            Self::Relevance(..) => Sort::Relevance,
        }
    }

    /// A value that no row can have would be an error of the database instead of an answer.
    fn possible(&self) -> bool {
        match self {
            // The database's calendar and ours end at different years: only what both have is asked for.
            Self::Newest(micros, _) => (0..=end_of_time()).contains(micros),
            Self::Name(name, _) => !name.contains('\0'),
            Self::Popular(..) | Self::PriceAsc(..) | Self::PriceDesc(..) | Self::Relevance(..) => true,
        }
    }
}

/// `filter` is the canonical text of the list's filters: a cursor is good for the list it came from, and no other.
pub(crate) fn encode(after: After, filter: &str, resembling: bool) -> String {
    let cursor = Cursor { v: VERSION, filter: digest(filter), resembling, after };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).expect("strings and numbers always serialize"))
}

/// Where the page begins, and whether its list is of names that resemble what was searched for.
pub(crate) fn decode(text: &str, sort: Sort, filter: &str) -> Result<(After, bool), Error> {
    let cursor = URL_SAFE_NO_PAD.decode(text).ok().and_then(|json| serde_json::from_slice::<Cursor>(&json).ok());
    cursor
        .filter(|cursor| cursor.v == VERSION && cursor.filter == digest(filter))
        .filter(|cursor| cursor.after.sort() == sort && cursor.after.possible())
        .map(|cursor| (cursor.after, cursor.resembling))
        .ok_or(Error::InvalidCursor)
}

/// The moment at `micros` of Unix time, if the calendar has it.
pub(crate) fn instant(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()
}

pub(crate) fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).expect("the calendar's years fit into 64 bits of microseconds")
}

fn end_of_time() -> i64 {
    micros(time::macros::datetime!(9999-12-31 23:59:59 UTC))
}

fn digest(filter: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(filter)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        for after in [
            After::Newest(1_700_000_000_000_001, Uuid::max()),
            After::Name("Ärmel \"x\"".into(), Uuid::nil()),
            After::Relevance(607_927, 1_000_000, Uuid::max()),
        ] {
            let sort = after.sort();
            for resembling in [false, true] {
                let text = encode(after.clone(), "f", resembling);
                assert_eq!(decode(&text, sort, "f").unwrap(), (after.clone(), resembling));
            }
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let text = encode(After::Popular(7, Uuid::max()), "f", false);
        assert!(decode(&text, Sort::Newest, "f").is_err());
        assert!(decode(&text, Sort::Popular, "g").is_err());
    }

    #[test]
    fn garbage_is_refused() {
        for unreal in [i64::MIN, -300_000_000_000_000_000, -1, end_of_time() + 1, i64::MAX] {
            let unreal = encode(After::Newest(unreal, Uuid::max()), "", false);
            assert!(decode(&unreal, Sort::Newest, "").is_err());
        }
        let null = encode(After::Name("a\0b".into(), Uuid::max()), "", false);
        assert!(decode(&null, Sort::Name, "").is_err());
        assert!(decode("%%%", Sort::Newest, "").is_err());
        assert!(decode("", Sort::Newest, "").is_err());
    }
}
