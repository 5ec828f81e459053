//! The report as a page for somebody who was not there: one file that needs no network and no script.

mod axis;
mod chart;
mod fixes;
mod series;
mod story;
mod tables;
mod words;

#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::chart::ChartError;
use self::series::{Group, groups};
use super::Report;
use crate::measure::PATIENCE_S;
use crate::scenario::Kind;
use crate::verdict::Outcome;

const STYLE: &str = include_str!("../../assets/report.css");
/// Whatever a text may hold, a browser loads nothing for it and runs nothing of it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// What a single machine and a shortened afternoon cannot tell.
const DOUBTS: [&str; 4] = [
    "Generator, shop and Postgres share one machine, without a network between them.",
    "Phases are shortened and nothing else: what takes minutes on a real day, such as restarts or people who talk to each other, is not here.",
    "Every user of the judged stretch counts once, whatever he wanted; the share depends on the length of journeys and on ten seconds of patience.",
    "Payments are simulated, and never fail.",
];

/// The whole page.
///
/// # Errors
/// A chart could not be drawn.
pub fn page(report: &Report) -> Result<String, ChartError> {
    let groups = groups(&report.plays);
    let played = groups.iter().map(|group| played(group, report)).collect::<Result<Vec<_>, _>>()?;
    let class = match report.verdict.outcome {
        Outcome::Held => "held",
        Outcome::Failed => "failed",
        Outcome::Invalid => "invalid",
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Replay: " (report.verdict.outcome.name()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "The outage, replayed" }
                    p.verdict.(class) { (story::verdict(report)) }
                    @if report.verdict.reasons.len() > 1 {
                        ul.reasons { @for reason in report.verdict.reasons.iter().skip(1) { li { (words::plain(reason)) } } }
                    }
                    p { "Words that may not be known are explained " a href="#words" { "at the end" } "." }
                }
                main {
                    @for one in &played { (one) }
                    @if !report.postmortem.is_empty() {
                        section aria-labelledby="postmortem" {
                            h2 id="postmortem" { "The postmortem, line by line" }
                            (tables::postmortem(report))
                        }
                    }
                    section aria-labelledby="judged" {
                        h2 id="judged" { "What was judged" }
                        (tables::verdict(report))
                    }
                    section aria-labelledby="data" {
                        h2 id="data" { "Is the data right?" }
                        p {
                            "After each play payments that were still pending were settled, and the whole database was counted: also orders from outside of the "
                            "judged stretch, and orders of which the client was never told. An order may end unpaid, when its payment was not there in time. "
                            "All counts but the first two must be zero."
                        }
                        (tables::correctness(&report.plays))
                    }
                    @for group in &groups { (details(group)) }
                    (method(report))
                    section aria-labelledby="words" {
                        h2 id="words" { "Words" }
                        (words::list())
                    }
                }
                footer { (made(report)) }
            }
        }
    };
    Ok(page.into_string())
}

/// One scenario on its arms: the story, the marks, the charts.
fn played(group: &Group<'_>, report: &Report) -> Result<Markup, ChartError> {
    let charts = series::charts(group)?;
    let name = group.scenario.name.as_str();
    let of = |what: &str| format!("{what}-{}", name.replace(' ', "-"));
    Ok(html! {
        section aria-labelledby=(of("numbers")) {
            h2 id=(of("numbers")) { "In numbers: " (name) }
            (story::clock(group, report))
            (story::arms(group))
            (story::numbers(group))
        }
        section aria-labelledby=(of("broke")) {
            h2 id=(of("broke")) { "What broke" }
            (story::what_broke(group, report))
        }
        section aria-labelledby=(of("database")) {
            h2 id=(of("database")) { "Was it the database?" }
            (story::database(group))
        }
        @if tables::has_ours(group) {
            @if let Some(fixes) = fixes::table(group) {
                section aria-labelledby=(of("fixes")) {
                    h2 id=(of("fixes")) { "What each fix did, and what it cost" }
                    (fixes)
                }
            }
        }
        @if report.plays.first().is_some_and(|first| first.scenario == *group.scenario) {
            section aria-labelledby="doubts" {
                h2 id="doubts" { "What to doubt" }
                ul {
                    @for doubt in fixes::doubts(group, report) { li { (doubt) } }
                    @for doubt in DOUBTS { li { (doubt) } }
                }
            }
        }
        @if let Some(marks) = tables::marks(group) {
            section aria-labelledby=(of("marks")) {
                h2 id=(of("marks")) { "The marks, on the postmortem's clock" }
                p {
                    "What had to be seen at each of these moments, what was, and how each arm was in the three seconds before. Marks are judged on legacy as well: "
                    "there they say whether the outage is the one of the postmortem. A figure in brackets is the same before any fault; lines of logs "
                    "are counted since the shop was started."
                }
                (marks)
            }
        }
        @for play in &group.plays {
            @if let Some(requirements) = tables::requirements(play) {
                section.plain { h3 { "What was required of the whole play on " (play.arm.name()) } (requirements) }
            }
        }
        section aria-labelledby=(of("charts")) {
            h2 id=(of("charts")) { "How it went" }
            p {
                "The grey band in each chart is the judged stretch, " (story::judged(group)) ". "
                @if group.scenario.kind != Kind::Marked {
                    "A minute on the postmortem's clock lasts " (format!("{:.0} s", group.scenario.clock.span(1.0))) " of real time; answers, "
                    "time-outs and patience last as long as ever. " (format!("{PATIENCE_S:.0}")) " s of patience are "
                    (format!("{:.1}", PATIENCE_S / group.scenario.clock.span(1.0))) " minutes of this clock: who came that shortly before an action was still "
                    "served in time after it, so users affected become fewer before it."
                }
            }
            (charts)
        }
    })
}

/// Latencies, decisions and refusals.
fn details(group: &Group<'_>) -> Markup {
    html! {
        @for play in &group.plays {
            @let name = format!("{} on {}", play.scenario.name.as_str(), play.arm.name());
            section {
                h2 { "In detail: " (name) }
                h3 { "How long answers took, in the judged stretch" }
                p {
                    "Served counts requests that ended in this stretch, from the intended start, repetitions included, whereas goodput and lost orders count "
                    "what was meant for it; refused and failed count each attempt."
                }
                (tables::latencies(play))
                @if let Some(decisions) = tables::decisions(play) {
                    details {
                        summary { "What the pool decided about its limit, and why: " (play.decisions.len()) " lines" }
                        (decisions)
                    }
                }
                @if let Some(refused) = tables::refused(play) {
                    h3 { "What was refused, and what the pool had a moment before" }
                    (refused)
                }
            }
        }
    }
}

fn method(report: &Report) -> Markup {
    let calibration = &report.calibration;
    html! {
        section aria-labelledby="method" {
            h2 id="method" { "How it was played" }
            ul { @for line in &report.method { li { (words::plain(line)) } } }
            p {
                "Calibration: " (format!("{:.2}", calibration.measured.leases_per_request)) " leases a request, held for "
                (format!("{:.1}", calibration.measured.base_hold_s * 1e3)) " ms before they come back late, so the legacy pool can serve "
                (format!("{:.0}", calibration.capacity)) " requests a second. Check at " (format!("{:.0}", calibration.check_offered)) ": "
                (format!("{:.0}", calibration.check_served)) " served, " (format!("{:.2} %", calibration.check_errors_percent)) " errors."
            }
            h3 { "Settings by which the shop that was played on differs from the shop as shipped" }
            (tables::departures(report))
        }
    }
}

/// Where the figures are from, and how to get them again.
fn made(report: &Report) -> Markup {
    let host = &report.host;
    html! {
        h2 { "This run" }
        dl.made {
            dt { "began" } dd { (words::to_the_second(&report.began)) }
            dt { "command" } dd { code { (report.command) } }
            dt { "seed" } dd { (report.seed) }
            dt { "machine" } dd { (host.cores) " cores (" (host.processor) "), " (host.memory_mib) " MiB, Linux " (host.kernel) }
            dt { "commit" } dd { (report.commit.as_deref().unwrap_or("not known")) ", version " (report.version) }
            dt { "all figures" } dd { code { "report.json" } " beside this file" }
        }
    }
}
