//! Pages of a list that is sorted by a key: each begins behind the row that its cursor names, which is opaque to clients and
//! exact for us. Whatever is added or taken away meanwhile, no row that stays is shown twice or left out.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::header::LINK;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::extract::Json;
use crate::problem::{Code, Problem};

const VERSION: u8 = 1;

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;

/// A page that may be asked for. `K` is the key that the list is sorted by, which no two rows have: its last part is an id.
///
/// ```
/// use forebay_platform::page::PageRequest;
///
/// let first = PageRequest::<String>::parse("/v1/things", &[("colour", Some("red"))], Some(2), None)?;
/// let page = first.cut(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], String::clone);
/// let cursor = page.next_cursor().expect("there is a third");
/// let next = PageRequest::<String>::parse("/v1/things", &[("colour", Some("red"))], None, Some(cursor))?;
/// assert_eq!(next.after(), Some(&"b".to_owned()));
/// # Ok::<(), forebay_platform::problem::Problem>(())
/// ```
#[derive(Debug)]
pub struct PageRequest<K> {
    /// Path and filters: the list, as a client would ask for it.
    list: String,
    after: Option<K>,
    limit: i64,
}

/// A page of a list, with `Link` to the next one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    data: Vec<T>,
    /// Which part of the list it is.
    page: PageInfo,
    #[serde(skip)]
    list: String,
}

/// Which part of a list it is.
#[derive(Debug, Serialize, ToSchema)]
struct PageInfo {
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<String>,
    /// How many there may be on it.
    limit: i64,
}

#[derive(Serialize, Deserialize)]
struct Cursor<K> {
    v: u8,
    /// A cursor is good for the list that it came from, and for no other.
    list: String,
    after: K,
}

/// A moment in a key, in microseconds, as exact as the database keeps it; from 1970 to 9999, which its calendar has too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Moment(pub OffsetDateTime);

impl From<Moment> for i64 {
    fn from(Moment(at): Moment) -> Self {
        Self::try_from(at.unix_timestamp_nanos() / 1_000)
            .expect("the calendar's years fit into 64 bits of microseconds")
    }
}

impl TryFrom<i64> for Moment {
    type Error = &'static str;

    fn try_from(micros: i64) -> Result<Self, Self::Error> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000);
        at.ok().filter(|at| (1970..=9999).contains(&at.year())).map(Self).ok_or("not of this calendar")
    }
}

impl<K: Serialize + DeserializeOwned> PageRequest<K> {
    /// Of the list at `path` with these filters, 20 rows unless `limit` says otherwise, from the first one on or behind
    /// `cursor`.
    ///
    /// # Errors
    /// `400 invalid-request` for a limit that is none of 1 to 100, `400 invalid-cursor` for one of another list.
    pub fn parse(
        path: &str,
        filters: &[(&str, Option<&str>)],
        limit: Option<i64>,
        cursor: Option<&str>,
    ) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::of_parameter(Code::InvalidRequest, "limit", "must be a whole number from 1 to 100"));
        }
        let list = list(path, filters);
        let after = match cursor {
            None => None,
            Some(text) => Some(decode(text, &list).ok_or_else(|| {
                Problem::of_parameter(Code::InvalidCursor, "cursor", "must be the next_cursor of the same list")
            })?),
        };
        Ok(Self { list, after, limit })
    }

    /// The key of the row behind which the page begins.
    #[must_use]
    pub fn after(&self) -> Option<&K> {
        self.after.as_ref()
    }

    /// How many rows to ask for: one more than are shown, which says whether there is a next page.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.limit + 1
    }

    /// Of so many rows, those that are shown.
    #[must_use]
    pub fn cut<T>(self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
        let limit = usize::try_from(self.limit).expect("a limit is between 1 and 100");
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next_cursor = last.map(|row| encode(key(row), &self.list));
        Page { data: rows, page: PageInfo { next_cursor, limit: self.limit }, list: self.list }
    }
}

impl<T> Page<T> {
    /// Where the next page begins, if there is one.
    #[must_use]
    pub fn next_cursor(&self) -> Option<&str> {
        self.page.next_cursor.as_deref()
    }

    /// `<...>; rel="next"` (RFC 8288), for clients that do not read the body.
    fn link(&self) -> Option<HeaderValue> {
        let (cursor, limit) = (self.next_cursor()?, self.page.limit);
        let and = if self.list.contains('?') { '&' } else { '?' };
        let link = format!("<{}{and}limit={limit}&cursor={cursor}>; rel=\"next\"", self.list);
        Some(HeaderValue::try_from(link).expect("what is percent-encoded is plain ASCII"))
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        let link = self.link();
        let mut answer = Json(self).into_response();
        if let Some(link) = link {
            answer.headers_mut().insert(LINK, link);
        }
        answer
    }
}

fn list(path: &str, filters: &[(&str, Option<&str>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in filters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

fn encode<K: Serialize>(after: K, list: &str) -> String {
    let cursor = Cursor { v: VERSION, list: digest(list), after };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).expect("a key is made of strings, numbers and ids"))
}

fn decode<K: DeserializeOwned>(text: &str, list: &str) -> Option<K> {
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    // No text of the database holds it, and to ask for it would be an error there.
    if json.contains("\\u0000") {
        return None;
    }
    let cursor: Cursor<K> = serde_json::from_str(&json).ok()?;
    (cursor.v == VERSION && cursor.list == digest(list)).then_some(cursor.after)
}

fn digest(list: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(list)[..8])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const AT: Moment = Moment(datetime!(2026-11-27 15:04:05.123_456 UTC));

    fn code<K: std::fmt::Debug>(parsed: Result<PageRequest<K>, Problem>) -> (u16, &'static str) {
        let problem = parsed.unwrap_err();
        (problem.status().as_u16(), problem.code().as_str())
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_and_only_to_its_list() {
        let text = encode((AT, "Ärmel \"x\""), "/v1/things?a=1");
        assert_eq!(decode(&text, "/v1/things?a=1"), Some((AT, "Ärmel \"x\"".to_owned())));
        assert_eq!(decode::<(Moment, String)>(&text, "/v1/things?a=2"), None);
        assert_eq!(decode::<(String, Moment)>(&text, "/v1/things?a=1"), None, "another key");
    }

    #[test]
    fn what_no_row_can_have_is_refused() {
        for micros in [i64::MIN, -1, 253_402_300_800_000_000, i64::MAX] {
            assert_eq!(decode::<Moment>(&encode(micros, ""), ""), None, "{micros}");
        }
        assert_eq!(decode::<String>(&encode("a\0b", ""), ""), None);
        for garbage in ["", "%%%", "AAAA", "bnVsbA"] {
            assert_eq!(decode::<String>(garbage, ""), None, "{garbage}");
        }
    }

    #[test]
    fn a_limit_is_1_to_100() {
        for limit in [i64::MIN, 0, 101, i64::MAX] {
            assert_eq!(code(PageRequest::<i64>::parse("/", &[], Some(limit), None)), (400, "invalid-request"));
        }
        assert_eq!(code(PageRequest::<i64>::parse("/", &[], None, Some("x"))), (400, "invalid-cursor"));
    }

    #[test]
    fn the_link_leads_to_the_next_page_of_the_same_list() {
        let request =
            PageRequest::<u8>::parse("/v1/things", &[("a", Some("x y")), ("b", None)], Some(1), None).unwrap();
        let answer = request.cut(vec![1, 2], |row| *row).into_response();
        let link = answer.headers()["link"].to_str().unwrap();
        assert!(link.starts_with("</v1/things?a=x+y&limit=1&cursor=") && link.ends_with(">; rel=\"next\""), "{link}");
        let last = PageRequest::<u8>::parse("/v1/things", &[], Some(2), None).unwrap().cut(vec![1, 2], |row| *row);
        assert!(last.next_cursor().is_none() && !last.into_response().headers().contains_key("link"));
    }

    proptest! {
        #[test]
        fn the_pages_together_are_the_list(rows in 0_u16..200, limit in 1_i64..=100) {
            let (mut seen, mut cursor) = (Vec::new(), None);
            for _page in 0..=rows {
                let request = PageRequest::<u16>::parse("/", &[], Some(limit), cursor.as_deref()).unwrap();
                let first = request.after().map_or(0, |last| last + 1);
                let fetched = (first..rows).take(usize::try_from(request.rows()).unwrap()).collect();
                let page = request.cut(fetched, |row| *row);
                seen.extend_from_slice(&page.data);
                cursor = page.next_cursor().map(str::to_owned);
                if cursor.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen, (0..rows).collect::<Vec<_>>());
        }
    }
}
