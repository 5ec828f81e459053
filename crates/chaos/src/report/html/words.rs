//! Words that the page uses, and the record's texts as a reader should see them.

use maud::{Markup, html};

use crate::marks::Mark;

/// What a reader may not know, in the order of the alphabet.
const WORDS: [(&str, &str); 15] = [
    ("admission, the door", "What decides before a request gets a connection whether it can be served in time."),
    (
        "affected",
        "A user who had no success within ten seconds of the intended start of something that was asked, repetitions included. Failed for \
         good: no success at all.",
    ),
    ("arm", "One of the shops that are compared. A play is one scenario on one arm."),
    (
        "calm, demand, knee",
        "Why the pool moved its limit: fewer connections were needed; more were needed; it looked for the number up to which more connections do more work.",
    ),
    ("Forebay", "The connection pool that this page is about. sqlx is the library whose own pool the legacy arm has."),
    ("goodput", "Requests that succeeded within ten seconds, of all that were meant for the judged stretch."),
    ("judged stretch", "The part of the play whose users and requests are judged; grey in the charts."),
    ("lease", "A connection of the pool, lent to somebody."),
    (
        "lost orders",
        "Orders meant for the judged stretch that had no success at all, also those whose user gave up before. The database may hold one \
         whose client was never told so.",
    ),
    (
        "mark",
        "Something that must be seen in a play. Marks with a time on the clock have a number; the others are about the whole play.",
    ),
    (
        "p95",
        "95 % took no longer. Of successes: from the intended start, repetitions included. Two figures of one p95 may differ in the last \
         digit: one of them is rounded to the steps of a histogram.",
    ),
    ("pool usage", "Connections in use and requests that wait, of the limit: more than 100 % when requests wait."),
    (
        "postmortem",
        "The report on the outage that is replayed: its sentences stand in the table \u{201c}The postmortem, line by line\u{201d}.",
    ),
    ("refused", "Answered with 503 by admission before anything was done; the record calls it shed."),
    (
        "2 B + 25 ms",
        "The bound on a refusal out of the queue: twice the longest wait B that its class is allowed, and 25 ms.",
    ),
];

/// The list of words.
pub(super) fn list() -> Markup {
    html! {
        dl.made { @for (word, means) in &WORDS { dt { (word) } dd { (means) } } }
    }
}

/// A text of the record with proper signs, and with what it says several times said once.
pub(super) fn plain(text: &str) -> String {
    let signs = [("->", "\u{2192}"), ("<=", "\u{2264}"), (">=", "\u{2265}")];
    let text = signs.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let mut parts: Vec<(&str, usize)> = Vec::new();
    for part in text.split("; ") {
        match parts.iter_mut().find(|(known, _)| *known == part) {
            Some((_, times)) => *times += 1,
            None => parts.push((part, 1)),
        }
    }
    let told =
        |(part, times): (&str, usize)| if times == 1 { part.to_owned() } else { format!("{part} ({times} times)") };
    parts.into_iter().map(told).collect::<Vec<_>>().join("; ")
}

/// A time stamp without parts of a second.
pub(super) fn to_the_second(stamp: &str) -> String {
    match stamp.split_once('.') {
        Some((second, parts)) if parts.trim_end_matches('Z').bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{second}Z")
        }
        _ => stamp.to_owned(),
    }
}

/// Whether a mark about refusals holds because there were none.
pub(super) fn is_untried(mark: &Mark) -> bool {
    mark.held && mark.says.starts_with("refusals") && mark.evidence.starts_with("0 refused")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_several_times_is_said_once_and_counted() {
        assert_eq!(plain("a -> 503; b; a -> 503; a -> 503"), "a \u{2192} 503 (3 times); b");
        assert_eq!(plain("pool 10 -> 40, p95 <= 2"), "pool 10 \u{2192} 40, p95 \u{2264} 2");
    }

    #[test]
    fn time_stamps_lose_their_nanoseconds_and_other_texts_nothing() {
        assert_eq!(to_the_second("2026-01-01T00:00:01.028774039Z"), "2026-01-01T00:00:01Z");
        for same in ["2026-01-01T00:00:00Z", "v1.x", ""] {
            assert_eq!(to_the_second(same), same);
        }
    }
}
