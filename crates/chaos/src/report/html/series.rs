//! What the charts show of plays.

use std::borrow::Cow;

use maud::{Markup, html};
use plotters::style::RGBColor;

use super::axis::{Scale, TimeAxis, face};
use super::chart::{Chart, ChartError, Flag, Layer, Panel, ink};
use crate::arm::Arm;
use crate::scenario::Scenario;
use crate::summary::{Second, Summary};

/// More points than this cannot be told apart.
const MOST_POINTS: usize = 300;

/// The colour of an arm, and its name in the style sheet.
pub(super) fn colour(arm: Arm) -> (RGBColor, &'static str) {
    match arm {
        Arm::Legacy => (ink::LEGACY, "legacy"),
        Arm::Stock60 => (ink::STOCK, "stock"),
        Arm::Resilient => (ink::OURS, "ours"),
    }
}

/// Without the seconds at the end in which nobody looked at the pool any more: nothing is known of them, which is not zero.
pub(super) fn watched(seconds: &[Second]) -> &[Second] {
    let last = seconds.iter().rposition(|second| second.limit > 0);
    last.and_then(|last| seconds.get(..=last)).unwrap_or(seconds)
}

/// Seconds in a row as one point: rates are means, and what is bad is the worst.
fn thinned(seconds: &[Second]) -> Vec<Second> {
    let seconds = watched(seconds);
    let each = seconds.len().div_ceil(MOST_POINTS).max(1);
    let worst = |seconds: &[Second], of: fn(&Second) -> Option<f64>| seconds.iter().filter_map(of).reduce(f64::max);
    let one = |seconds: &[Second]| -> Option<Second> {
        let count = seconds.len();
        let mean = |of: fn(&Second) -> usize| (seconds.iter().map(of).sum::<usize>() + count / 2) / count;
        let sum = |of: fn(&Second) -> usize| seconds.iter().map(of).sum::<usize>();
        let most = |of: fn(&Second) -> u32| seconds.iter().map(of).max().unwrap_or(0);
        Some(Second {
            at: seconds.first()?.at,
            ok: mean(|second| second.ok),
            shed: mean(|second| second.shed),
            failed: mean(|second| second.failed),
            accepted_p95_ms: worst(seconds, |second| second.accepted_p95_ms),
            arrived: sum(|second| second.arrived),
            affected: sum(|second| second.affected),
            in_use: most(|second| second.in_use),
            limit: most(|second| second.limit),
            waiting: most(|second| second.waiting),
            sessions: most(|second| second.sessions),
            idle_in_transaction: most(|second| second.idle_in_transaction),
            active: most(|second| second.active),
            commit_ms: worst(seconds, |second| second.commit_ms),
            postgres_cpu: worst(seconds, |second| second.postgres_cpu),
        })
    };
    seconds.chunks(each).filter_map(one).collect()
}

/// The plays of one scenario, on one axis.
pub(super) struct Group<'a> {
    /// What was played.
    pub(super) scenario: &'a Scenario,
    /// On which arms.
    pub(super) plays: Vec<&'a Summary>,
}

/// Plays in a row of the same scenario belong together.
pub(super) fn groups(plays: &[Summary]) -> Vec<Group<'_>> {
    let same = |one: &Summary, other: &Summary| one.scenario == other.scenario;
    let groups = plays.chunk_by(same).filter_map(|plays| Some((&plays.first()?.scenario, plays)));
    groups.map(|(scenario, plays)| Group { scenario, plays: plays.iter().collect() }).collect()
}

/// A chart with its head, its key and what it says in words.
struct Figure {
    head: &'static str,
    about: Cow<'static, str>,
    /// What the axis up counts.
    up: &'static str,
    key: Vec<(&'static str, String)>,
    scale: Scale,
    unit: fn(f64) -> String,
    panels: Vec<Panel>,
    /// In words, for each arm.
    says: Vec<String>,
}

/// All charts of a group.
///
/// # Errors
/// The plotting library's.
pub(super) fn charts(group: &Group<'_>) -> Result<Markup, ChartError> {
    let time = TimeAxis::over(group.scenario, &group.plays);
    let thin: Vec<(&Summary, Vec<Second>)> = group.plays.iter().map(|play| (*play, thinned(&play.seconds))).collect();
    let figures = [
        affected(group, &thin),
        requests(&thin),
        latency(group, &thin),
        pool(&thin),
        waiting(group, &thin),
        sessions(&thin),
        commits(group, &thin),
        cpu(group, &thin),
    ];
    let drawn = figures.into_iter().map(|figure| figure.draw(&time)).collect::<Result<Vec<_>, _>>()?;
    Ok(html! { @for figure in &drawn { (figure) } })
}

impl Figure {
    fn draw(self, time: &TimeAxis<'_>) -> Result<Markup, ChartError> {
        let Self { head, about, up, key, scale, unit, panels, says } = self;
        let says = says.join("; ");
        let chart = Chart { time, scale, unit, judged: time.scenario.judged, panels };
        let drawing = chart.draw(&format!("{head}. {says}"))?;
        Ok(html! {
            figure {
                h3 { (head) }
                p { (about) " Upwards: " (up) ". Across: " (time.unit()) "." }
                ul.key { @for (class, name) in &key { li { span class=(format!("swatch {class}")) {} (name) } } }
                (drawing)
                figcaption { (says) "." }
            }
        })
    }
}

type Thin<'a> = [(&'a Summary, Vec<Second>)];
/// A colour and what is shown in it.
type Area = (RGBColor, fn(&Second) -> f64);
/// A colour and the bound that is shown in it.
type Bound = (RGBColor, fn(&Second) -> u32);

/// A line for each arm in one panel.
fn lines(thin: &Thin<'_>, of: fn(&Second) -> Option<f64>) -> Panel {
    let line = |(play, seconds): &(&Summary, Vec<Second>)| {
        Layer::Line(colour(play.arm).0, seconds.iter().map(|second| (f64::from(second.at), of(second))).collect())
    };
    Panel { layers: thin.iter().map(line).collect(), ..Panel::default() }
}

/// Areas above each other, and a line over them, in a panel for each arm. Areas are given from the lowest on.
fn stacks(thin: &Thin<'_>, areas: &[Area], over: Option<Bound>) -> Vec<Panel> {
    let panel = |(play, seconds): &(&Summary, Vec<Second>)| {
        let upto = |count: usize, second: &Second| areas.iter().take(count).map(|(_, of)| of(second)).sum::<f64>();
        // The highest first, so that each lower one covers what is not its own.
        let mut layers: Vec<Layer> = (1..=areas.len())
            .rev()
            .filter_map(|count| {
                let colour = areas.get(count - 1)?.0;
                let points = seconds.iter().map(|second| (f64::from(second.at), upto(count, second))).collect();
                Some(Layer::Area(colour, points))
            })
            .collect();
        layers.extend(over.map(|(colour, of)| {
            // There is always one: none is a second in which nobody looked.
            let known = |second: &Second| Some(f64::from(of(second))).filter(|value| *value > 0.0);
            Layer::Line(colour, seconds.iter().map(|second| (f64::from(second.at), known(second))).collect())
        }));
        Panel { title: play.arm.name().to_owned(), layers, flags: Vec::new() }
    };
    thin.iter().map(panel).collect()
}

fn arms(thin: &Thin<'_>) -> Vec<(&'static str, String)> {
    thin.iter().map(|(play, _)| (colour(play.arm).1, play.arm.name().to_owned())).collect()
}

/// The most of a figure on each arm, and when that was.
fn most(group: &Group<'_>, of: fn(&Second) -> Option<f64>, unit: fn(f64) -> String) -> Vec<String> {
    let most = |play: &&Summary| {
        let values = play.seconds.iter().filter_map(|second| Some((second.at, of(second)?)));
        let found = values.max_by(|one, other| one.1.total_cmp(&other.1));
        match found {
            Some((_, 0.0)) | None => format!("{}: none", play.arm.name()),
            Some((at, value)) => {
                format!("{}: at most {}, at {}", play.arm.name(), unit(value), face(group.scenario, f64::from(at)))
            }
        }
    };
    group.plays.iter().map(most).collect()
}

fn affected(group: &Group<'_>, thin: &Thin<'_>) -> Figure {
    let share = |second: &Second| (second.arrived > 0).then(|| second.affected as f64 * 100.0 / second.arrived as f64);
    let mut panel = lines(thin, share);
    for (row, (play, _)) in (0u32..).zip(thin) {
        let restored = play.recovery_s.zip(play.scenario.action).map(|(after, action)| action + after);
        let flags =
            [("P", play.alerts.pool), ("E", play.alerts.errors), ("R", restored.filter(|_| play.arm == Arm::Legacy))];
        let colour = colour(play.arm).0;
        let flags = flags.into_iter().filter_map(|(letter, at)| Some(Flag { at: at?, letter, colour, row }));
        panel.flags.extend(flags);
    }
    let says = group.plays.iter().map(|play| {
        let users = play.users.affected;
        let judged = format!("{}: {} of {} users judged were affected", play.arm.name(), users.part, users.total);
        let clock = |at: Option<f64>| at.map_or_else(|| "never".to_owned(), |at| face(&play.scenario, at));
        let alerts = format!("pool alert {}, error alert {}", clock(play.alerts.pool), clock(play.alerts.errors));
        format!("{judged}; {alerts}")
    });
    Figure {
        head: "Users affected",
        about: "Of those who came at that moment, the share that did not get what they wanted within ten seconds. \
                P: the pool alert fires, E: the error alert fires, R: service is restored; in the colour of the arm. \
                Numbers are the marks of the table above."
            .into(),
        up: "users affected, in percent of those who came",
        key: arms(thin),
        scale: Scale::Linear,
        unit: percent,
        panels: vec![panel],
        says: says.collect(),
    }
}

fn requests(thin: &Thin<'_>) -> Figure {
    let areas: [Area; 3] = [
        (ink::OK, |second| second.ok as f64),
        (ink::SHED, |second| second.shed as f64),
        (ink::FAILED, |second| second.failed as f64),
    ];
    let says = thin.iter().map(|(play, _)| {
        let sum = |of: fn(&Second) -> usize| play.seconds.iter().map(of).sum::<usize>();
        let (ok, shed, failed) = (sum(|one| one.ok), sum(|one| one.shed), sum(|one| one.failed));
        format!("{}: in the whole play {ok} attempts succeeded, {shed} were refused, {failed} failed", play.arm.name())
    });
    Figure {
        head: "Requests answered in a second",
        about: "Stacked. Each attempt counts, so a request that is sent again counts again. Refused means 503 by admission, with nothing \
                executed; failed is any other 5xx, and no answer at all. All arms have the same scale."
            .into(),
        up: "attempts answered in a second",
        key: key(&[("ok", "served"), ("shed", "refused"), ("failed", "failed")]),
        scale: Scale::Linear,
        unit: number,
        panels: stacks(thin, &areas, None),
        says: says.collect(),
    }
}

fn latency(group: &Group<'_>, thin: &Thin<'_>) -> Figure {
    Figure {
        head: "How long successful requests took",
        about: "Of the requests that succeeded in a second, 95 % took no longer than this, counted from when they were meant to start, \
                repetitions included. All operations together, while the figure at the top is of lists alone. Each step up is ten times as long."
            .into(),
        up: "time until success",
        key: arms(thin),
        scale: Scale::Log,
        unit: milliseconds,
        panels: vec![lines(thin, |second| second.accepted_p95_ms)],
        says: most(group, |second| second.accepted_p95_ms, milliseconds),
    }
}

fn pool(thin: &Thin<'_>) -> Figure {
    let in_use: Area = (ink::OK, |second| f64::from(second.in_use));
    let says = thin.iter().map(|(play, _)| {
        let limits = || play.seconds.iter().map(|second| second.limit).filter(|limit| *limit > 0);
        let (least, most) = (limits().min().unwrap_or(0), limits().max().unwrap_or(0));
        let in_use = play.seconds.iter().map(|second| second.in_use).max().unwrap_or(0);
        format!("{}: limit between {least} and {most}; at most {in_use} in use, at whatever moment", play.arm.name())
    });
    let above =
        thin.iter().any(|(_, seconds)| seconds.iter().any(|second| second.limit > 0 && second.in_use > second.limit));
    let above = if above { " What lies above the limit is held by jobs whose place was given to others." } else { "" };
    Figure {
        head: "The pool: connections in use, and its limit",
        about: format!("In use counts also those that somebody holds without doing anything, after the load has gone as well.{above}").into(),
        up: "connections",
        key: key(&[("ok", "in use"), ("limit", "limit")]),
        scale: Scale::Linear,
        unit: number,
        panels: stacks(thin, &[in_use], Some((ink::LIMIT, |second| second.limit))),
        says: says.collect(),
    }
}

fn waiting(group: &Group<'_>, thin: &Thin<'_>) -> Figure {
    let of = |second: &Second| Some(f64::from(second.waiting));
    Figure {
        head: "The pool: requests that wait for a connection",
        about: "As it was seen last in each second.".into(),
        up: "requests",
        key: arms(thin),
        scale: Scale::Linear,
        unit: number,
        panels: vec![lines(thin, of)],
        says: most(group, of, number),
    }
}

fn sessions(thin: &Thin<'_>) -> Figure {
    let active: Area = (ink::ACTIVE, |second| f64::from(second.active));
    let idle: Area = (ink::IDLE, |second| f64::from(second.idle_in_transaction));
    let says = thin.iter().map(|(play, _)| {
        let most = |of: fn(&Second) -> u32| play.seconds.iter().map(of).max().unwrap_or(0);
        let (sessions, idle) = (most(|one| one.sessions), most(|one| one.idle_in_transaction));
        format!(
            "{}: at most {sessions} sessions, and at whatever moment at most {idle} idle in a transaction",
            play.arm.name()
        )
    });
    Figure {
        head: "The database: what the pool's sessions did",
        about: "As pg_stat_activity says. Running is the work that the database had; idle in a transaction is somebody who keeps a \
                connection and asks nothing. The others, up to the line, are open and wait for work."
            .into(),
        up: "sessions",
        key: key(&[("active", "running a statement"), ("idle", "idle in a transaction"), ("limit", "all sessions")]),
        scale: Scale::Linear,
        unit: number,
        panels: stacks(thin, &[active, idle], Some((ink::LIMIT, |second| second.sessions))),
        says: says.collect(),
    }
}

fn commits(group: &Group<'_>, thin: &Thin<'_>) -> Figure {
    Figure {
        head: "The database: how long a commit takes",
        about: "The slowest of ten commits in a second, made on a connection beside the pool. Each step up is ten times as long.".into(),
        up: "time of a commit",
        key: arms(thin),
        scale: Scale::Log,
        unit: milliseconds,
        panels: vec![lines(thin, |second| second.commit_ms)],
        says: most(group, |second| second.commit_ms, milliseconds),
    }
}

fn cpu(group: &Group<'_>, thin: &Thin<'_>) -> Figure {
    Figure {
        head: "The database: processor",
        about: "All processes of Postgres together.".into(),
        up: "percent of one core",
        key: arms(thin),
        scale: Scale::Linear,
        unit: percent,
        panels: vec![lines(thin, |second| second.postgres_cpu)],
        says: most(group, |second| second.postgres_cpu, percent),
    }
}

fn key(names: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    names.iter().map(|(class, name)| (*class, (*name).to_owned())).collect()
}

fn number(value: f64) -> String {
    format!("{value:.0}")
}

fn percent(value: f64) -> String {
    format!("{value:.0} %")
}

pub(super) fn milliseconds(value: f64) -> String {
    if value < 1_000.0 { format!("{value:.0} ms") } else { format!("{:.0} s", value / 1e3) }
}
