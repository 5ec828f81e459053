//! Reads the keys of a scenario's file.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Load;
use super::bound::{Bound, Measure, arm_named};
use super::check;
use super::filed::{Filed, FiledHolders, FiledPhase, FiledSlowdown, Part};
use super::moment::{Moment, Stretch};
use super::text::{Notes, Placed, Section, between, count, kind, line, unknown};
use crate::arm::Arm;
use crate::crowd::RETRIES;

/// Nobody has more phases.
const MOST_PHASES: usize = 100;

const KEYS: [&str; 12] = [
    "about",
    "story",
    "begins",
    "arms",
    "retries",
    "only_for_real",
    "action",
    "phases",
    "baseline",
    "judged",
    "idle_holders",
    "slow_database",
];
const MUST: &str = "must";

/// A scenario, which holds only if nothing was noted.
pub(super) fn read(notes: &Notes, name: &str, document: &Spanned<DeTable<'_>>) -> Filed {
    let keys: Vec<&str> = KEYS.into_iter().chain([MUST]).collect();
    let top = Section::new(notes, "the scenario", 0..0, document.get_ref(), &keys);
    let begins = top.optional("begins", begins);
    let has_clock = top.has("begins");
    let moment = || Moment::read(has_clock);
    let arms = top.optional("arms", arms);
    let arms = arms.map_or_else(|| vec![Arm::Legacy, Arm::Resilient], |arms| arms.value);
    let marks = marks(&top, notes, &arms);
    let about = value(top.required("about", line)).unwrap_or_default();
    let only_for_real = value(top.optional("only_for_real", measures)).unwrap_or_default();
    let retries = value(top.optional("retries", count(0, 20))).unwrap_or(RETRIES);
    let noted = notes.count();
    let holders = top.section("idle_holders", &["from", "count", "every", "sleep"]);
    let slowdown = top.section("slow_database", &["from", "until", "speed"]);
    let [baseline, judged] = ["baseline", "judged"].map(|key| top.section(key, &["from", "until"]));
    let phases = top.list("phases", &["name", "until", "quick_until", "capacity", "per_second"]);
    if phases.len() > MOST_PHASES {
        top.fault(format_args!("has {} phases, and may have {MOST_PHASES}", phases.len()));
    }
    let action = top.optional("action", moment());
    let filed = Filed {
        name: name.to_owned(),
        about,
        is_postmortem: top.optional("story", story).is_some(),
        begins: value(begins),
        marks,
        arms,
        only_for_real,
        retries,
        action: action.clone().map(|action| action.value),
        phases: phases.iter().map(|section| phase(section, has_clock)).collect(),
        baseline: part(baseline.as_ref(), has_clock),
        judged: part(judged.as_ref(), has_clock),
        holders: holders.as_ref().map(|section| FiledHolders {
            from: value(section.required("from", moment())).unwrap_or_else(Moment::start),
            count: value(section.optional("count", count(1, 10_000))).unwrap_or(u32::MAX),
            every: value(section.required("every", Stretch::read(has_clock))).unwrap_or(Stretch::Seconds(1.0)),
            sleep: value(section.optional("sleep", Stretch::read(has_clock))),
        }),
        slowdown: slowdown.as_ref().map(|section| FiledSlowdown {
            from: value(section.required("from", moment())).unwrap_or_else(Moment::start),
            until: value(section.required("until", moment())).unwrap_or_else(Moment::start),
            speed: value(section.required("speed", between(0.0, 1.0))).unwrap_or(1.0),
        }),
    };
    if filed.is_postmortem && !(has_clock && filed.action.is_some() && filed.holders.is_some()) {
        top.fault("tells the postmortem's `story`, which needs `begins`, `action` and [idle_holders]");
    }
    let places = check::Places {
        top: &top,
        phases: &phases,
        baseline: baseline.as_ref(),
        judged: judged.as_ref(),
        holders: holders.as_ref(),
        slowdown: slowdown.as_ref(),
        action: action.map(|action| action.span),
    };
    // What could not be read has no time that fits.
    if notes.count() == noted {
        check::times(notes, &filed, &places);
    }
    filed
}

fn begins(value: &DeValue<'_>) -> Result<Moment, String> {
    let moment = Moment::read(true)(value)?;
    match moment.minute_of_day() {
        Some(minute) if minute <= 150 => Ok(moment),
        _ => Err("must be a time up to \"2:30\", at which the alert rang".to_owned()),
    }
}

fn part(section: Option<&Section<'_, '_>>, has_clock: bool) -> Part {
    let Some(section) = section else { return Part::default() };
    let moment = |key| value(section.optional(key, Moment::read(has_clock)));
    Part { from: moment("from"), until: moment("until") }
}

fn value<T>(placed: Option<Placed<T>>) -> Option<T> {
    placed.map(|placed| placed.value)
}

fn story(value: &DeValue<'_>) -> Result<(), String> {
    let told = line(value)?;
    if told == "postmortem" { Ok(()) } else { Err(format!("can only be \"postmortem\", and is \"{told}\"")) }
}

fn arms(value: &DeValue<'_>) -> Result<Vec<Arm>, String> {
    let list = value.as_array().ok_or_else(|| format!("must be a list of arms, and is {}", kind(value)))?;
    let mut arms = Vec::new();
    for one in list {
        let arm = arm_named(&line(one.get_ref())?)?;
        if arms.contains(&arm) {
            return Err(format!("names `{}` twice", arm.key()));
        }
        arms.push(arm);
    }
    if arms.is_empty() { Err("is empty: nothing would be played".to_owned()) } else { Ok(arms) }
}

fn measures(value: &DeValue<'_>) -> Result<Vec<Measure>, String> {
    let list = value.as_array().ok_or_else(|| format!("must be a list of measures, and is {}", kind(value)))?;
    let named = |one: &Spanned<DeValue<'_>>| {
        let name = line(one.get_ref())?;
        let found = Measure::ALL.into_iter().find(|measure| measure.key() == name);
        found.ok_or_else(|| format!("names no measure {}", unknown(&name, &Measure::ALL.map(Measure::key))))
    };
    list.iter().map(named).collect()
}

fn phase(section: &Section<'_, '_>, has_clock: bool) -> FiledPhase {
    let capacity = section.optional("capacity", between(0.01, 25.0)).map(|share| Load::OfCapacity(share.value));
    let per_second = section.optional("per_second", between(0.1, 5_000.0)).map(|rate| Load::PerSecond(rate.value));
    if section.has("capacity") == section.has("per_second") {
        section.fault("needs its load: either `capacity`, a multiple of what legacy can do, or `per_second`");
    }
    FiledPhase {
        name: value(section.optional("name", line)),
        until: value(section.required("until", Moment::read(has_clock))).unwrap_or_else(Moment::start),
        quick_until: value(section.optional("quick_until", Moment::read(has_clock))),
        load: capacity.or(per_second).unwrap_or(Load::PerSecond(1.0)),
    }
}

fn marks(top: &Section<'_, '_>, notes: &Notes, arms: &[Arm]) -> Vec<Bound> {
    let keys: Vec<&str> = arms.iter().map(|arm| arm.key()).collect();
    let Some(must) = top.section(MUST, &keys) else {
        if !top.has(MUST) {
            top.fault("says nothing that must hold: state a mark, as in [must.resilient] users_affected = \"< 5 %\"");
        }
        return Vec::new();
    };
    let measures = Measure::ALL.map(Measure::key);
    let (mut marks, mut stated) = (Vec::new(), false);
    for arm in arms {
        let Some(section) = must.section(arm.key(), &measures) else { continue };
        for (key, bound) in section.entries() {
            stated = true;
            let Some(measure) = Measure::ALL.into_iter().find(|measure| measure.key() == key.value) else { continue };
            let read = line(bound.get_ref()).and_then(|text| Bound::parse(*arm, measure, &text));
            match read.and_then(|bound| bound.among(arms)) {
                Ok(bound) => marks.push(bound),
                Err(says) => notes.fault(&bound.span(), format!("`{}` {says}", key.value)),
            }
        }
    }
    if !stated {
        must.fault("states no mark");
    }
    marks
}
