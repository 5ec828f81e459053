//! What each fix did in a run, and what it cost.

use forebay_pool::Config;
use maud::{Markup, html};

use super::axis::face;
use super::series::Group;
use super::story::judged;
use crate::arm::Arm;
use crate::marks::seconds;
use crate::measure::{PATIENCE_S, Share, mean};
use crate::report::Report;
use crate::scenario::Kind;
use crate::schedule::Operation;
use crate::summary::{Second, Summary};

/// A fix, what it did in this run and what that cost.
struct Fix {
    name: &'static str,
    did: String,
    cost: String,
}

/// What each fix did and cost, on our arm; with the legacy arm beside it where both were played.
pub(super) fn table(group: &Group<'_>) -> Option<Markup> {
    let ours = group.plays.iter().find(|play| play.arm == Arm::Resilient)?;
    let other = group.plays.iter().find(|play| play.arm != Arm::Resilient).copied();
    let mut fixes =
        vec![taken_back(ours), limit(ours, other), refusals(ours), short_waits(ours, other), alert(ours, other)];
    fixes.extend(other.and_then(action));
    Some(html! {
        p {
            "The first five are Forebay's, and were on at once: this run does not say which of them was needed. A larger pool of the old "
            "kind, from the beginning, is played by " code { "bin/replay --controls" } ", and the days after it, which such a pool has "
            "still to survive, by " code { "bin/replay --scenario leak" } " and " code { "overload" } "."
        }
        div.scroll tabindex="0" role="region" aria-label="Table: what each fix did and cost" {
            table.prose {
                thead { tr { th scope="col" { "fix" } th scope="col" { "what it did" } th scope="col" { "what it cost" } } }
                tbody {
                    @for fix in &fixes {
                        tr { th scope="row" { (fix.name) } td data-head="what it did" { (fix.did) } td data-head="what it cost" { (fix.cost) } }
                    }
                }
            }
        }
        @if let (Some(cpu), Some(other)) = (ours.cpu, other) {
            p {
                "Forebay's five together: the shop used " (format!("{:.0} %", cpu.shop)) " of a core and Postgres " (format!("{:.0} %", cpu.postgres))
                @if let Some(before) = other.cpu {
                    "; on " (other.arm.name()) " " (format!("{:.0} %", before.shop)) " and " (format!("{:.0} %", before.postgres))
                }
                ". More requests were served for it: of those of " (judged(group)) ", " (ours.goodput.part) " succeeded within "
                (format!("{PATIENCE_S:.0} s")) ", against " (other.goodput.part) "."
            }
        }
    })
}

/// What the engineer on call did.
fn action(other: &Summary) -> Option<Fix> {
    let action = other.scenario.action.filter(|_| other.arm == Arm::Legacy)?;
    let after = other.recovery_s.map_or_else(
        || "It did not restore the shop.".to_owned(),
        |after| format!("{after:.0} s of real time later the shop was well."),
    );
    let seconds = other.seconds.iter().filter(|second| f64::from(second.at) >= action);
    let slowest = seconds.filter_map(|second| second.commit_ms).fold(0.0, f64::max);
    let users = other.users.affected;
    Some(Fix {
        name: "By hand, on legacy: a larger pool, and the sleepers ended",
        did: format!("Done at {}. {after}", face(&other.scenario, action)),
        cost: format!(
            "Somebody had to find it: until then {} of {} users were affected. The jobs lost their transactions. All who had waited \
             came at once: a commit took up to {slowest:.0} ms.",
            users.part, users.total,
        ),
    })
}

fn within_judged(play: &Summary) -> impl Iterator<Item = &Second> {
    play.seconds.iter().filter(|second| play.scenario.judged.holds(f64::from(second.at)))
}

/// What these plays in particular do not show.
pub(super) fn doubts(group: &Group<'_>, report: &Report) -> Vec<String> {
    let mut all = vec![format!("One run, of the one seed {}, is one draw: other seeds give other users.", report.seed)];
    if report.command.split_whitespace().any(|word| word == "--quick") {
        all.push("It was the quick form, whose phases are shorter than those of the full replay.".to_owned());
    }
    let Some(ours) = group.plays.iter().find(|play| play.arm == Arm::Resilient) else { return all };
    if report.plays.iter().all(|play| play.scenario.kind == Kind::Incident && play.arm != Arm::Stock60) {
        all.push(
            "This page has no control: no larger pool of the old kind from the beginning (such as one of 40), no pool that does nothing but take back, \
             and not the peak or the sleeping jobs alone. So it does not say which cause or which fix was the one that mattered."
                .to_owned(),
        );
    }
    let limits = ours.sizes.iter().map(|change| change.limit).chain(ours.seconds.iter().map(|second| second.limit));
    let (ceiling, most) = (Config::named("replay").rules.ceiling, limits.max().unwrap_or(0));
    if most < ceiling {
        all.push(format!(
            "The limit came to {most} at most. Its ceiling is {ceiling} and was not reached: what happens there is not shown."
        ));
    }
    if ours.refused.is_empty() {
        all.push(
            "Nobody was refused on resilient: that who cannot be served is refused in time was not tried.".to_owned(),
        );
    }
    all
}

fn taken_back(ours: &Summary) -> Fix {
    let cost = if ours.told == 0 {
        "Nothing in this run.".to_owned()
    } else {
        let others = match ours.taken_back.saturating_sub(ours.told) {
            0 => String::new(),
            others => format!(
                " The other {others} holders had not been told by the end of the record: a job notices only when it wakes."
            ),
        };
        format!(
            "{} times a job lost its open transaction, was told so by an error of a type of its own, and had to begin again.{others}",
            ours.told
        )
    };
    let did = match ours.taken_back {
        0 => "Nothing had to be taken back.".to_owned(),
        count => format!(
            "{count} times a connection was taken back from a job that held it without running a statement{}, and its place given to requests.",
            Config::named("replay")
                .rules
                .revoke_after
                .map_or_else(String::new, |after| format!(" for {:.0} s", after.as_secs_f64())),
        ),
    };
    Fix { name: "Idle leases are taken back", did, cost }
}

fn limit(ours: &Summary, other: Option<&Summary>) -> Fix {
    let limits = || ours.sizes.iter().map(|change| change.limit);
    let (least, most) = (limits().min().unwrap_or(0), limits().max().unwrap_or(0));
    let sessions = |play: &Summary| within_judged(play).map(|second| second.sessions).max().unwrap_or(0);
    let before =
        other.map_or_else(String::new, |other| format!("; {} had at most {}", other.arm.name(), sessions(other)));
    let commit = |play: &Summary| mean(within_judged(play).filter_map(|second| second.commit_ms));
    let commits = match (commit(ours), other.and_then(|other| Some((other.arm, commit(other)?)))) {
        (Some(commit), Some((arm, before))) => {
            format!(
                " The slowest commit of each second took {commit:.1} ms on average, on {} {before:.1} ms.",
                arm.name()
            )
        }
        _ => String::new(),
    };
    Fix {
        name: "The limit follows the traffic",
        did: format!("The pool moved its limit between {least} and {most} by itself, in {} steps.", ours.limit_steps()),
        cost: format!("In the judged stretch at most {} sessions on the server{before}.{commits}", sessions(ours)),
    }
}

fn refusals(ours: &Summary) -> Fix {
    let refused: usize = ours.refused.iter().map(|refused| refused.count).sum();
    let name = "Who cannot be served in time is refused at once";
    if refused == 0 {
        let did = "Nothing had to be refused: all that came could be served.".to_owned();
        return Fix { name, did, cost: "Nothing in this run.".to_owned() };
    }
    let answers: usize = ours.seconds.iter().map(|second| second.ok + second.shed + second.failed).sum();
    let share = Share { part: refused, total: answers }.percent();
    let slowest = ours.latencies.iter().filter(|one| one.outcome == "shed").map(|one| one.p95_ms).fold(0.0, f64::max);
    let lost = ours.orders_lost;
    Fix {
        name,
        did: format!(
            "{refused} of {answers} answers ({share:.2} %) were a 503 with a time to come back; in the judged stretch 95 % of them within {slowest:.0} ms, for the slowest operation."
        ),
        cost: format!(
            "These users had to ask again: {} attempts for each success. {} of {} orders were lost.",
            ours.attempts_per_success.map_or_else(|| "no".to_owned(), |attempts| format!("{attempts:.2}")),
            lost.part,
            lost.total
        ),
    }
}

fn short_waits(ours: &Summary, other: Option<&Summary>) -> Fix {
    let p95 = |play: &Summary| {
        let of = |operation| {
            play.accepted_p95_s(operation).map_or_else(|| "none succeeded".to_owned(), |p95| seconds(Some(p95)))
        };
        format!("list {}, login {}, order {}", of(Operation::List), of(Operation::Login), of(Operation::Order))
    };
    let before = other.map_or_else(String::new, |other| format!(" On {}: {}.", other.arm.name(), p95(other)));
    Fix {
        name: "Nobody waits for long",
        did: format!("95 % of what succeeded in the judged stretch came within: {}.{before}", p95(ours)),
        cost: "Who would wait for longer is refused, and is counted there.".to_owned(),
    }
}

fn alert(ours: &Summary, other: Option<&Summary>) -> Fix {
    let clock = |play: &Summary, at: Option<f64>| at.map_or_else(|| "never".to_owned(), |at| face(&play.scenario, at));
    let of = |play: &Summary| match (play.alerts.pool, play.alerts.errors) {
        (None, None) => format!("On {} neither it nor the alert on errors fires", play.arm.name()),
        (pool, errors) => {
            let (pool, errors) = (clock(play, pool), clock(play, errors));
            format!("On {} it fires at {pool}, and the alert on errors at {errors}", play.arm.name())
        }
    };
    let did = other.into_iter().chain([ours]).map(of).collect::<Vec<_>>().join(". ");
    let cost = match (ours.alerts.pool, ours.scenario.kind) {
        (Some(_), Kind::Incident) if ours.affected() < 1.0 => {
            "It also fires when the pool copes: somebody looks, and finds who holds connections."
        }
        _ => "Nothing in this run.",
    };
    Fix { name: "An alert on the pool", did: format!("{did}."), cost: cost.to_owned() }
}
