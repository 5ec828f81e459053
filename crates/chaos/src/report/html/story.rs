//! What a run shows, in sentences: for somebody who was not there.

use maud::{Markup, html};

use super::axis::face;
use super::series::{Group, watched};
use super::words::plain;
use crate::alert::{ERROR_PERCENT, POOL_PERCENT, window_s};
use crate::arm::Arm;
use crate::calibration::{Calibration, LEGACY_POOL};
use crate::marks::seconds;
use crate::measure::{PATIENCE_S, mean};
use crate::report::Report;
use crate::scenario::Kind;
use crate::schedule::Operation;
use crate::summary::{Second, Summary};
use crate::verdict::Outcome;

/// The whole run in one sentence.
pub(super) fn verdict(report: &Report) -> String {
    let first = report.verdict.reasons.first().map_or("no reason is given", String::as_str);
    match report.verdict.outcome {
        Outcome::Held => format!("All requirements were met: {}.", outcome_in_users(&report.plays)),
        Outcome::Failed => {
            format!("Not all requirements were met: {}. {}.", plain(first), outcome_in_users(&report.plays))
        }
        Outcome::Invalid => format!("This run proves nothing: {}.", plain(first)),
    }
}

fn outcome_in_users(plays: &[Summary]) -> String {
    let one = |play: &Summary| {
        let what = format!("{:.1} % of users were affected on {}", play.affected(), pool_of(play.arm));
        if plays.windows(2).any(|pair| pair[0].scenario != pair[1].scenario) {
            format!("{what} ({})", play.scenario.name)
        } else {
            what
        }
    };
    let all: Vec<String> = plays.iter().map(one).collect();
    match all.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{}, and {last}, under the same load and the same faults", rest.join(", ")),
        None => "nothing was played".to_owned(),
    }
}

fn pool_of(arm: Arm) -> &'static str {
    match arm {
        Arm::Legacy => "the legacy pool",
        Arm::Stock60 => "the legacy pool with 60 connections",
        Arm::Resilient => "Forebay's pool",
    }
}

/// How long a minute of the clock is, and how long the plays were.
pub(super) fn clock(group: &Group<'_>, report: &Report) -> Markup {
    let scenario = group.scenario;
    let lasted = group.plays.iter().filter_map(|play| Some((play.arm, watched(&play.seconds).last()?.at + 1)));
    let lasted: Vec<String> = lasted.map(|(arm, seconds)| format!("{seconds} s on {}", arm.name())).collect();
    let quick = report.command.split_whitespace().any(|word| word == "--quick");
    html! {
        p {
            @if scenario.kind == Kind::Marked {
                "Times are seconds of real time. "
            } @else {
                "One minute of the postmortem's clock is " (format!("{:.1}", scenario.clock.span(1.0)).trim_end_matches(".0")) " s of real time: the afternoon is played "
                (format!("{:.0}", scenario.clock.speed)) " times as fast as it was. Time-outs, patience and the work of the shop are real and not compressed. "
            }
            @if quick { "This was the quick form of the replay (" code { "--quick" } "). " }
            @if !lasted.is_empty() { "The play lasted " (lasted.join(" and ")) " of real time. " }
            "The judged stretch is " (judged(group)) ", " (format!("{:.0} s", scenario.judged.length())) " of real time."
        }
    }
}

/// A figure of a card, and what is said more quietly behind it.
type CardText = (String, String);

/// The lead of the pool alert: in real seconds, as nothing else of it is compressed.
fn lead(play: &Summary) -> CardText {
    let said = |text: &str| (text.to_owned(), String::new());
    match (play.alerts.pool, play.alerts.lead()) {
        (_, Some(lead)) if play.scenario.kind == Kind::Marked => said(&format!("{lead:.0} s")),
        (_, Some(lead)) => {
            (format!("{lead:.0} s"), format!("{:.1} min of the clock", lead * play.scenario.clock.speed / 60.0))
        }
        (Some(pool), None) => (format!("at {}", face(&play.scenario, pool)), "and no error alert".to_owned()),
        (None, None) if play.alerts.errors.is_none() => said("neither fired"),
        (None, None) => said("no pool alert"),
    }
}

/// How often a failed attempt would have taken as long as 95 % of the successes, if it is a whole number of attempts.
fn attempts_long(play: &Summary) -> Option<String> {
    let list =
        |outcome: &str| play.latencies.iter().find(|one| one.operation == Operation::List && one.outcome == outcome);
    let (success, failed) = (list("success")?, list("failed")?);
    let attempts = (1..=play.scenario.retries.saturating_add(1)).map(f64::from);
    let near = |attempts: &f64| (success.p95_ms - attempts * failed.p50_ms).abs() < 0.02 * success.p95_ms;
    let attempts = attempts.filter(|attempts| *attempts > 1.5).find(near)?;
    Some(format!(
        "On {}, {} is {attempts:.0} times the {} after which a failed attempt usually ended.",
        play.arm.name(),
        seconds(Some(success.p95_ms / 1e3)),
        seconds(Some(failed.p50_ms / 1e3)),
    ))
}

/// The figures that matter most, before and after.
pub(super) fn numbers(group: &Group<'_>) -> Markup {
    let cells =
        |of: &dyn Fn(&Summary) -> CardText| group.plays.iter().map(|play| (play.arm, of(play))).collect::<Vec<_>>();
    let bare = |text: String| (text, String::new());
    let stretch = judged(group);
    let all = [
        (
            format!("Users affected, of those who came from {stretch}"),
            cells(&|play| bare(format!("{:.1} %", play.affected()))),
        ),
        (
            format!("Requests of {stretch} that succeeded within {PATIENCE_S:.0}\u{a0}s"),
            cells(&|play| bare(format!("{:.1} %", play.goodput.percent()))),
        ),
        (
            "Of the lists that succeeded at all, 95 % came within".to_owned(),
            cells(&|play| bare(seconds(play.accepted_p95_s(Operation::List)))),
        ),
        ("The pool alert came before the error alert by".to_owned(), cells(&lead)),
    ];
    let window = window_s(group.scenario);
    html! {
        div.numbers {
            @for (what, cells) in &all {
                dl {
                    dt { (what) }
                    @for (arm, (value, quietly)) in cells {
                        dd {
                            span.arm { (arm.name()) } " " strong { (value) }
                            @if !quietly.is_empty() { " " span.quiet { (quietly) } }
                        }
                    }
                }
            }
        }
        p {
            "Both alerts are rules that the replay works out from its own record; on the day there was none on the pool. The pool alert fires when more than "
            (format!("{POOL_PERCENT:.0} %")) " of the pool was used, and the error alert when more than " (format!("{ERROR_PERCENT:.0} %"))
            " of the answers were errors, each over " (format!("{window:.0} s")) ". "
            @for note in group.plays.iter().filter_map(|play| attempts_long(play)) { (note) " " }
        }
    }
}

/// Who is compared.
pub(super) fn arms(group: &Group<'_>) -> Markup {
    html! {
        ul {
            @for play in &group.plays {
                li { strong { (play.arm.name()) } ": " (describe(play.arm)) }
            }
        }
    }
}

fn describe(arm: Arm) -> String {
    match arm {
        Arm::Legacy => format!(
            "the postmortem's platform, a stock sqlx pool of {LEGACY_POOL} connections: first come first served, nobody is refused, \
             nothing is taken back."
        ),
        Arm::Stock60 => "the team's first fix, the same pool with 60 connections.".to_owned(),
        Arm::Resilient => "Forebay's pool and its door (see Words), with the pool's default settings.".to_owned(),
    }
}

/// How many requests a second a phase of the play offers.
fn offered(group: &Group<'_>, calibration: &Calibration, phase: usize) -> Option<f64> {
    Some(group.scenario.phases.get(phase)?.load.requests_per_second(calibration.capacity))
}

/// What broke.
pub(super) fn what_broke(group: &Group<'_>, report: &Report) -> Markup {
    let scenario = group.scenario;
    let [base, peak] = [0, 1].map(|phase| offered(group, &report.calibration, phase).unwrap_or(0.0));
    let began = face(scenario, scenario.peak().from);
    let capacity = report.calibration.capacity;
    html! {
        p {
            "In every arm each connection that a request used comes back some milliseconds later than it could: so a pool of " (LEGACY_POOL)
            " serves " (format!("{capacity:.0}")) " requests a second at most, whatever the database could do. "
            (format!("{base:.0}")) " a second arrive at first, and " (format!("{peak:.0}")) " from " (began) " on: that is the peak. "
            @if let Some(holders) = scenario.holders {
                "From " (face(scenario, holders.from)) " on "
                @if f64::from(holders.count) * holders.every > scenario.end() { "jobs keep coming, one each " (format!("{:.1} s", holders.every)) ", that each borrow" }
                @else { (holders.count) " report jobs each borrow" }
                " a connection, begin a transaction, and "
                @match holders.sleep {
                    Some(sleep) => {
                        "sleep for " (format!("{sleep:.0} s")) " with it in their hands, again and again. They ask nothing of the database, and "
                        "nobody else can have these connections. "
                        @if let Some(left) = LEGACY_POOL.checked_sub(holders.count) {
                            "Of a pool of " (LEGACY_POOL) " that leaves " (left) ", for "
                            (format!("{:.0}", capacity * f64::from(left) / f64::from(LEGACY_POOL))) " requests a second. "
                        }
                    },
                    None => { "never give it back. " },
                }
            }
        }
        @if let Some(play) = group.plays.iter().find(|play| play.arm == Arm::Legacy) { p { (broke_on(play, group)) } }
        @if let Some(play) = group.plays.iter().find(|play| play.arm == Arm::Resilient) { p { (stood_on(play)) } }
    }
}

/// The stretch whose users are judged.
pub(super) fn judged(group: &Group<'_>) -> String {
    let judged = group.scenario.judged;
    format!("{} to {}", face(group.scenario, judged.from), face(group.scenario, judged.to))
}

fn broke_on(play: &Summary, group: &Group<'_>) -> Markup {
    let scenario = group.scenario;
    let within = || play.seconds.iter().filter(|second| scenario.judged.holds(f64::from(second.at)));
    let most = |of: fn(&Second) -> u32| within().map(of).max().unwrap_or(0);
    let (idle, waiting) = (most(|one| one.idle_in_transaction), most(|one| one.waiting));
    let users = play.users.affected;
    html! {
        "On " strong { (play.arm.name()) } " up to " (idle) " of the pool's connections were held by somebody who did nothing with them. Up to "
        (waiting) " requests waited for one of the others, in the order in which they came; those that had waited for 5 s failed, and their clients "
        "asked again, up to " (scenario.retries) " times, which made the queue longer. Products, login and orders wait for the same pool, so all of them failed "
        "together. " (users.part) " of " (users.total) " users who came from " (judged(group)) " were affected, and " (play.orders_lost.part) " of " (play.orders_lost.total)
        " orders of that stretch were lost: they had no success at all. "
        @match (scenario.action, play.recovery_s) {
            (Some(action), Some(after)) => { "At " (face(scenario, action)) " somebody gave the shop a larger pool and ended the sessions that slept; "
                (format!("{after:.0} s")) " of real time later it was well (the ten seconds that show it not counted), though as many came as before." },
            (Some(action), None) => { "The action of " (face(scenario, action)) " did not restore it." },
            (None, _) => { "Nobody acted." },
        }
    }
}

fn stood_on(play: &Summary) -> Markup {
    let users = play.users.affected;
    html! {
        "On " strong { (play.arm.name()) } ", under the same load and the same faults, " (users.part) " of " (users.total)
        " users were affected and " (play.orders_lost.part) " of " (play.orders_lost.total) " orders were lost; nobody had to act."
    }
}

/// The means and the worst of a play's judged stretch, as the database saw it.
struct Database {
    active: f64,
    idle: f64,
    sessions: f64,
    commit_ms: Option<f64>,
    before_ms: Option<f64>,
    cpu: Option<f64>,
    served: f64,
}

impl Database {
    fn of(play: &Summary) -> Option<Self> {
        let within =
            |window: crate::scenario::Window| play.seconds.iter().filter(move |one| window.holds(f64::from(one.at)));
        let judged = || within(play.scenario.judged);
        let average = |of: fn(&Second) -> f64| mean(judged().map(of));
        let commits = |window| mean(within(window).filter_map(|second| second.commit_ms));
        Some(Self {
            active: average(|one| f64::from(one.active))?,
            idle: average(|one| f64::from(one.idle_in_transaction))?,
            sessions: average(|one| f64::from(one.sessions))?,
            commit_ms: commits(play.scenario.judged),
            before_ms: commits(play.scenario.baseline),
            cpu: play.cpu.map(|cpu| cpu.postgres),
            served: average(|one| one.ok as f64)?,
        })
    }
}

/// Why it was not the database.
pub(super) fn database(group: &Group<'_>) -> Markup {
    let found: Vec<(&Summary, Database)> =
        group.plays.iter().filter_map(|play| Some((*play, Database::of(play)?))).collect();
    let ms = |value: Option<f64>| value.map_or_else(|| "not seen".to_owned(), |value| format!("{value:.1} ms"));
    let of = |arm: Arm| found.iter().find(|(play, _)| play.arm == arm).map(|(_, database)| database);
    html! {
        p {
            @if let Some(legacy) = of(Arm::Legacy) {
                "While the shop on legacy failed, its database had next to nothing to do: of "
                (format!("{:.0}", legacy.sessions)) " sessions " (format!("{:.1}", legacy.active)) " ran a statement and "
                (format!("{:.1}", legacy.idle)) " were idle in a transaction, on average. "
            }
            @if let (Some(legacy), Some(ours)) = (of(Arm::Legacy), of(Arm::Resilient)) {
                "An identical database, with the same data, on the same machine, answered " (format!("{:.0}", ours.served))
                " requests a second with success behind the other pool, and this one " (format!("{:.0}", legacy.served)) ", however late. "
                "So it was not the database that could do no more: the requests did not reach it."
            }
        }
        div.scroll tabindex="0" role="region" aria-label="Table: the database" {
            table {
                thead { tr {
                    th scope="col" { "mean of the judged stretch, " (judged(group)) }
                    @for (play, _) in &found { th.n scope="col" { (play.arm.name()) } }
                } }
                tbody {
                    (row("sessions of the pool", &found, |one| format!("{:.1}", one.sessions)))
                    (row("of these running a statement", &found, |one| format!("{:.1}", one.active)))
                    (row("of these idle in a transaction", &found, |one| format!("{:.1}", one.idle)))
                    (row("slowest commit of each second", &found, |one| ms(one.commit_ms)))
                    (row("slowest commit of each second, before any fault", &found, |one| ms(one.before_ms)))
                    (row("processor, of one core", &found, |one| one.cpu.map_or_else(|| "not seen".to_owned(), |cpu| format!("{cpu:.0} %"))))
                    (row("requests that succeeded at all, in a second", &found, |one| format!("{:.0}", one.served)))
                }
            }
        }
    }
}

fn row(what: &str, found: &[(&Summary, Database)], cell: impl Fn(&Database) -> String) -> Markup {
    html! { tr { th scope="row" { (what) } @for (_, database) in found { td.n { (cell(database)) } } } }
}
