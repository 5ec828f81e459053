//! The page holds what it must, and nothing that somebody could have put into it.

use super::page;
use super::story::verdict;
use crate::arm::Arm;
use crate::marks::Mark;
use crate::record::LimitMove;
use crate::report::tests::{HOSTILE, hostile, sample};
use crate::scenario::shipped;
use crate::summary::Decision;
use crate::verdict::Outcome;

#[test]
fn the_page_is_one_small_file_that_loads_nothing() {
    let page = page(&sample()).unwrap();
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    for word in ["<script", "http://", "https://", "url(", "@import", "src=", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_play_of_an_hour_makes_no_larger_page() {
    let mut report = sample();
    for play in &mut report.plays {
        play.seconds = play
            .seconds
            .iter()
            .cycle()
            .zip(0..3_600)
            .map(|(second, at)| {
                let mut one = *second;
                one.at = at;
                one
            })
            .collect();
    }
    let page = page(&report).unwrap();
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

#[test]
fn texts_from_outside_are_shown_and_never_obeyed() {
    let page = page(&hostile()).unwrap();
    for wrong in ["<script", "<img", HOSTILE] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"));
    let attribute = "aria-label=\"";
    for (at, _) in page.match_indices(attribute) {
        let value = &page[at + attribute.len()..];
        let value = &value[..value.find('"').unwrap()];
        assert!(!value.contains('<'), "{value}");
    }
}

#[test]
fn everything_is_there_that_the_reader_was_promised() {
    let page = page(&sample()).unwrap();
    for head in [
        "What broke",
        "Was it the database?",
        "What each fix did, and what it cost",
        "The marks, on the postmortem's clock",
        "Users affected",
        "Requests answered in a second",
        "How long successful requests took",
        "The pool: connections in use, and its limit",
        "The pool: requests that wait for a connection",
        "The postmortem, line by line",
        "Is the data right?",
        "Settings by which the shop that was played on differs",
        "One minute of the postmortem's clock is 3 s of real time",
        "the quick form of the replay",
        "Its ceiling is",
        "id=\"words\"",
        "What to doubt",
        "1234567",
        "forebay-chaos replay --quick",
    ] {
        assert!(page.contains(head), "{head}");
    }
    assert_eq!(page.matches("class=\"wide\"").count(), 8);
    assert_eq!(page.matches("class=\"narrow\"").count(), 8);
}

#[test]
fn refusals_that_nobody_had_are_not_said_to_be_tried() {
    let mut report = sample();
    let mark = |evidence: &str| Mark {
        clock: String::new(),
        says: "refusals at the door: p95 below 25 ms".into(),
        evidence: evidence.to_owned(),
        held: true,
    };
    report.plays[1].marks = vec![mark("0 refused, p95 none")];
    assert!(page(&report).unwrap().contains("so this was not tried"));
    report.plays[1].marks = vec![mark("10 refused, p95 3.0 ms")];
    assert!(!page(&report).unwrap().contains("so this was not tried"));
}

#[test]
fn what_the_pool_decided_is_folded_and_its_steps_are_those_of_the_table() {
    let mut report = sample();
    let moved = |number, from, to| LimitMove { number, at: 31.0, from, to, reason: "demand".to_owned(), times: 1 };
    report.plays[1].decisions = [moved(1, 10, 11), moved(2, 11, 11), moved(3, 11, 12)]
        .map(|moved| Decision { clock: "2:30".to_owned(), moved })
        .to_vec();
    let page = page(&report).unwrap();
    assert!(page.contains("<details><summary>What the pool decided about its limit, and why: 3 lines"));
    assert!(page.contains("by itself, in 2 steps"));
}

#[test]
fn the_first_sentence_is_the_verdict() {
    let mut report = sample();
    report.verdict.reasons.clear();
    report.verdict.outcome = Outcome::Held;
    assert_eq!(
        verdict(&report),
        "All requirements were met: 85.0 % of users were affected on the legacy pool, and 0.0 % of users were affected on Forebay's pool, under the same \
         load and the same faults."
    );
    report.verdict.reasons = vec!["something was late".to_owned()];
    report.verdict.outcome = Outcome::Invalid;
    assert_eq!(verdict(&report), "This run proves nothing: something was late.");
}

#[test]
fn one_arm_alone_and_nothing_at_all_make_a_page_too() {
    let mut report = sample();
    report.plays.retain(|play| play.arm == Arm::Resilient);
    assert!(page(&report).unwrap().contains("nobody had to act"));
    report.plays.clear();
    assert!(page(&report).unwrap().contains("This run"));
}

#[test]
fn plays_of_several_scenarios_each_have_their_own_axis() {
    let mut report = sample();
    report.plays[1].scenario = shipped::named("leak").scenario(1.0, false);
    let page = page(&report).unwrap();
    assert_eq!(page.matches("<h2 id=\"charts-").count(), 2);
    assert!(page.contains("id=\"charts-leak\""), "identifiers are told apart");
}
