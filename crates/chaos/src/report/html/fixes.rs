//! What each fix did in a run, and what it cost.

use maud::{Markup, html};

use super::axis::face;
use super::series::Group;
use crate::arm::Arm;
use crate::marks::seconds;
use crate::measure::Share;
use crate::scenario::Kind;
use crate::schedule::Operation;
use crate::summary::Summary;

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
                ". More requests were served for it: " (ours.goodput.part) " at the peak, against " (other.goodput.part) "."
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

fn taken_back(ours: &Summary) -> Fix {
    let cost = if ours.told == 0 {
        "Nothing in this run.".to_owned()
    } else {
        format!(
            "{} times a job lost its open transaction, was told so by a typed error, and had to begin again.",
            ours.told
        )
    };
    let did = match ours.taken_back {
        0 => "Nothing had to be taken back.".to_owned(),
        count => format!(
            "{count} connections were taken back from jobs that held them without running a statement, and given to requests."
        ),
    };
    Fix { name: "Idle leases are taken back", did, cost }
}

fn limit(ours: &Summary, other: Option<&Summary>) -> Fix {
    let limits = || ours.sizes.iter().map(|change| change.limit);
    let (least, most) = (limits().min().unwrap_or(0), limits().max().unwrap_or(0));
    let sessions = |play: &Summary| play.seconds.iter().map(|second| second.sessions).max().unwrap_or(0);
    let before =
        other.map_or_else(String::new, |other| format!("; {} had at most {}", other.arm.name(), sessions(other)));
    Fix {
        name: "The limit follows the traffic",
        did: format!(
            "The pool moved its limit between {least} and {most} by itself, in {} steps.",
            ours.sizes.len().saturating_sub(1)
        ),
        cost: format!("At most {} sessions on the server{before}.", sessions(ours)),
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
        format!("list {}, log-in {}, order {}", of(Operation::List), of(Operation::Login), of(Operation::Order))
    };
    let before = other.map_or_else(String::new, |other| format!(" On {}: {}.", other.arm.name(), p95(other)));
    Fix {
        name: "Nobody waits for long",
        did: format!("95 % of what succeeded came within: {}.{before}", p95(ours)),
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
            "It also fires where the pool copes: somebody looks, and finds who holds connections."
        }
        _ => "Nothing in this run.",
    };
    Fix { name: "An alert on the pool", did: format!("{did}."), cost: cost.to_owned() }
}
