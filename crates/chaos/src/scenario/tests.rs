//! The shipped scenarios are what the constructors were, and whatever is wrong with a file is said with its place.

use super::bound::{Against, Measure, Relation};
use super::filed::Filed;
use super::*;
use crate::arm::Arm;

fn assert_contiguous(scenario: &Scenario) {
    assert_eq!(scenario.phases[0].window.from, 0.0);
    for pair in scenario.phases.windows(2) {
        assert_eq!(pair[0].window.to, pair[1].window.from);
    }
}

#[test]
fn the_spike_starts_eight_real_seconds_before_half_past_two_at_any_speed() {
    for speed in [1.0, 7.0, 15.0, 20.0] {
        let scenario = Scenario::incident(speed, false);
        assert_contiguous(&scenario);
        assert_eq!(scenario.phases[1].window.from, scenario.clock.at(2, 30) - 8.0);
        assert_eq!(scenario.phases[1].window.to, scenario.clock.at(3, 15));
    }
}

#[test]
fn the_quick_replay_never_shortens_the_spike_below_ninety_seconds() {
    let quick = Scenario::incident(QUICK_SPEED, true);
    assert!(quick.judged.length() >= 90.0);
    assert!(quick.end() < Scenario::incident(QUICK_SPEED, false).end());
}

#[test]
fn all_holders_are_in_place_before_the_spike_at_any_speed() {
    for speed in [1.0, 15.0, FASTEST] {
        let scenario = Scenario::incident(speed, false);
        let holders = scenario.holders.expect("the incident has holders");
        let last = holders.from + f64::from(holders.count - 1) * holders.every;
        assert!(last < scenario.clock.at(2, 27) - scenario.clock.span(0.9));
        assert!(scenario.clock.at(2, 27) < scenario.phases[1].window.from);
    }
}

#[test]
fn what_follows_a_play_is_base_load_and_moves_nothing_that_was_before() {
    for scenario in shipped::all().iter().map(|filed| filed.scenario(15.0, false)) {
        let longer = scenario.clone().followed_by(60.0);
        assert_contiguous(&longer);
        assert_eq!(longer.end(), scenario.end() + 60.0);
        assert_eq!(longer.phases.last().map(|phase| phase.load), Some(Load::OfCapacity(BASE_LOAD)));
        assert_eq!((longer.peak(), longer.judged), (scenario.peak(), scenario.judged));
        assert_eq!(scenario.clone().followed_by(0.0), scenario);
    }
}

#[test]
fn each_control_leaves_out_one_thing() {
    assert_eq!(Scenario::spike_alone(20.0).holders, None);
    assert_eq!(Scenario::without_action(20.0).action, None);
    let calm = Scenario::holders_alone(20.0);
    assert!(calm.phases.iter().all(|phase| phase.load == Load::OfCapacity(BASE_LOAD)));
    assert_contiguous(&calm);
}

/// What the constructors made before there were files.
mod constructed {
    use super::*;

    pub(super) fn incident(speed: f64, quick: bool) -> Scenario {
        let clock = Clock::new(600.0 / speed, speed);
        let tail = clock.span(if quick { 2.0 } else { 5.0 });
        let spike = clock.at(2, 30) - 8.0;
        let restored = clock.at(3, 15);
        Scenario {
            kind: Kind::Incident,
            clock,
            phases: vec![
                phase("base", 0.0, spike, Load::OfCapacity(BASE_LOAD)),
                phase("spike", spike, restored, Load::OfCapacity(SPIKE_LOAD)),
                phase("tail", restored, restored + tail, Load::OfCapacity(BASE_LOAD)),
            ],
            holders: Some(Holders { from: clock.at(2, 24), count: 7, every: clock.span(0.33), sleep: Some(60.0) }),
            action: Some(clock.at(3, 0)),
            baseline: Window::new(0.0, clock.at(2, 24)),
            judged: Window::new(clock.at(2, 30), clock.at(3, 0)),
            ..plain("incident")
        }
    }

    pub(super) fn leak() -> Scenario {
        let (start, end) = (10.0, 100.0);
        Scenario {
            clock: Clock::new(start, 1.0),
            phases: vec![
                phase("base", 0.0, start, Load::OfCapacity(BASE_LOAD)),
                phase("leak", start, end, Load::OfCapacity(SPIKE_LOAD)),
            ],
            holders: Some(Holders { from: start, count: u32::MAX, every: 0.7, sleep: None }),
            baseline: Window::new(0.0, start),
            judged: Window::new(start, end - 10.0),
            ..plain("leak")
        }
    }

    pub(super) fn overload() -> Scenario {
        let (start, end) = (10.0, 70.0);
        Scenario {
            clock: Clock::new(start, 1.0),
            phases: vec![
                phase("base", 0.0, start, Load::OfCapacity(BASE_LOAD)),
                phase("overload", start, end, Load::PerSecond(1_500.0)),
                phase("tail", end, end + 10.0, Load::OfCapacity(BASE_LOAD)),
            ],
            baseline: Window::new(0.0, start),
            judged: Window::new(start, end),
            ..plain("overload")
        }
    }

    fn plain(name: &str) -> Scenario {
        let none = Window::new(0.0, 0.0);
        Scenario {
            name: name.to_owned(),
            kind: Kind::Marked,
            clock: Clock::new(0.0, 1.0),
            phases: Vec::new(),
            holders: None,
            slowdown: None,
            action: None,
            baseline: none,
            judged: none,
            retries: 3,
            marks: Vec::new(),
            only_for_real: Vec::new(),
        }
    }

    fn phase(name: &str, from: f64, to: f64, load: Load) -> Phase {
        Phase { name: name.to_owned(), window: Window::new(from, to), load }
    }
}

#[test]
fn the_files_are_what_the_constructors_were_to_the_last_digit() {
    let unmarked = |name: &str, speed, quick| Scenario {
        marks: Vec::new(),
        only_for_real: Vec::new(),
        ..shipped::named(name).scenario(speed, quick)
    };
    for speed in [1.0, 7.0, 13.7, 15.0, 20.0] {
        for quick in [false, true] {
            assert_eq!(unmarked("incident", speed, quick), constructed::incident(speed, quick));
            assert_eq!(unmarked("leak", speed, quick), constructed::leak());
            assert_eq!(unmarked("overload", speed, quick), constructed::overload());
        }
    }
}

#[test]
fn the_files_say_what_the_marks_of_the_postmortem_say() {
    use crate::marks::{legacy, resilient};
    let bound = |arm, measure, relation, number| Bound { arm, measure, relation, against: Against::Number(number) };
    let ours = |measure, relation, number| bound(Arm::Resilient, measure, relation, number);
    assert_eq!(
        shipped::named("incident").marks,
        [
            bound(Arm::Legacy, Measure::UsersAffected, Relation::AtLeast, legacy::AFFECTED_PERCENT),
            ours(Measure::Goodput, Relation::AtLeast, resilient::GOODPUT_PERCENT),
            ours(Measure::SlowestP95, Relation::Below, resilient::ACCEPTED_P95_S),
            ours(Measure::UsersAffected, Relation::Below, resilient::AFFECTED_PERCENT),
        ]
    );
    let overload = shipped::named("overload").marks;
    assert!(overload.contains(&ours(Measure::DoorRefusalP95, Relation::Below, resilient::DOOR_P95_S)));
    assert!(overload.contains(&ours(Measure::QueueRefusalP95, Relation::Below, resilient::QUEUE_P95_S)));
}

#[test]
fn all_scenarios_of_the_folder_come_along() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../loadtests/scenarios");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|file| file.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort_unstable();
    let mut shipped = shipped::NAMES.map(|(name, _)| format!("{name}.toml"));
    shipped.sort_unstable();
    assert_eq!(files, shipped);
    assert_eq!(shipped::all().len(), files.len());
}

/// A scenario with nothing wrong in it.
const SOUND: &str = r#"about = "a test"
phases = [
    { until = 10, capacity = 0.2 },
    { until = 30, per_second = 400 },
]
[must.resilient]
users_affected = "< 5 %"
"#;

fn faults(text: &str) -> Vec<String> {
    match Filed::parse("mine.toml", "mine", text) {
        Ok(filed) => panic!("nothing is wrong with {filed:?}"),
        Err(faults) => faults.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn what_a_file_does_not_say_follows_from_its_phases() {
    let scenario = Filed::parse("mine.toml", "mine", SOUND).expect("it is sound").scenario(15.0, false);
    assert_eq!((scenario.baseline, scenario.judged), (Window::new(0.0, 10.0), Window::new(10.0, 30.0)));
    assert_eq!((scenario.clock, scenario.retries), (Clock::new(10.0, 1.0), 3));
}

#[test]
fn each_fault_has_its_place_and_says_what_to_do() {
    for (from, to, expected) in [
        ("capacity", "capacty", "mine.toml:3:19: number 1 of `phases` has no key `capacty`: did you mean `capacity`?"),
        ("about = \"a test\"", "", "mine.toml:1:1: the scenario lacks `about`"),
        ("about", "colour = 1\nabout", "mine.toml:1:1: the scenario has no key `colour`; there are about, story,"),
        ("until = 30", "until = 5", "mine.toml:4:5: number 2 of `phases` ends at second 5, and begins at 10"),
        ("until = 10", "until = \"2:30\"", "mine.toml:3:15: `until` must be in seconds: times are the postmortem's"),
        ("until = 10", "until = 1979-05-27", "mine.toml:3:15: `until` must be a number of seconds or text"),
        ("until = 10", "until = -1", "mine.toml:3:15: `until` must not be -1 seconds"),
        ("until = 10", "until = nan", "mine.toml:3:15: `until` must be a number that can be counted with"),
        ("400", "\"400\"", "mine.toml:4:32: `per_second` must be a number, and is text"),
        ("400", "400, capacity = 1", "mine.toml:4:5: number 2 of `phases` needs its load: either"),
        ("per_second = 400", "capacity = 900", "mine.toml:4:30: `capacity` must lie between 0.01 and 25, and is 900"),
        ("\"< 5 %\"", "5", "mine.toml:7:18: `users_affected` must be text in quotes, and is a whole number"),
        ("\"< 5 %\"", "\"5 %\"", "mine.toml:7:18: `users_affected` must begin with <, <=, >= or >, and is `5 %`"),
        ("\"< 5 %\"", "\"< 5 s\"", "mine.toml:7:18: `users_affected` must be like \"< 5 %\", and has `5 s`"),
        ("\"< 5 %\"", "\"< stock60\"", "mine.toml:7:18: `users_affected` compares with `stock60`, which is not played"),
        (
            "\"< 5 %\"",
            "\"< resilent\"",
            "mine.toml:7:18: `users_affected` names no arm `resilent`: did you mean `resilient`?",
        ),
        (
            "users_affected",
            "users_effected",
            "[must.resilient] has no key `users_effected`: did you mean `users_affected`?",
        ),
        (
            "must.resilient",
            "must.resillient",
            "mine.toml:6:7: [must] has no key `resillient`: did you mean `resilient`?",
        ),
        (
            "[must.resilient]",
            "[slow_database]\nfrom = 1\nuntil = 99\nspeed = 0.5\n[must.resilient]",
            "mine.toml:6:1: [slow_database] lasts from second 1.0 to 99.0",
        ),
        (
            "[must.resilient]",
            "[idle_holders]\nfrom = 1\nevery = 1\nsleep = 0\n[must.resilient]",
            "[idle_holders] must `sleep` for longer than 0 s",
        ),
        ("[must.resilient]", "[must]\n[phases]", "this is no TOML"),
        ("about", "begins = \"2:31\"\nabout", "mine.toml:1:10: `begins` must be a time up to \"2:30\""),
        ("about", "story = \"postmortem\"\nabout", "needs `begins`, `action` and [idle_holders]"),
        ("phases = [", "phases = [[", "this is no TOML"),
        ("about", "arms = []\nabout", "mine.toml:1:8: `arms` is empty: nothing would be played"),
        ("about", "arms = [\"legacy\", \"legacy\"]\nabout", "mine.toml:1:8: `arms` names `legacy` twice"),
        (
            "about",
            "retries = 99\nabout",
            "mine.toml:1:11: `retries` must be a whole number between 0 and 20, and is 99",
        ),
    ] {
        let said = faults(&SOUND.replacen(from, to, 1));
        assert!(said.iter().any(|line| line.contains(expected)), "{expected}\n{said:#?}");
    }
}

#[test]
fn all_faults_are_said_at_once_and_in_order() {
    let text = SOUND.replace("capacity", "capacty").replace("400", "true").replace("< 5 %", "5").replace("a test", "");
    let said = faults(&text);
    let lines: Vec<&str> = said.iter().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(lines, ["1", "3", "3", "4", "7"], "{said:#?}");
}

#[test]
fn an_empty_file_says_what_it_lacks_and_nothing_else() {
    let said = faults("");
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said.iter().any(|line| line.contains("lacks `phases`")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("says nothing that must hold")), "{said:#?}");
}

#[test]
fn a_file_that_is_none_or_no_text_or_too_large_is_refused_with_its_name() {
    let folder = std::env::temp_dir().join(format!("forebay-scenarios-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        let file = folder.join(name);
        std::fs::write(&file, bytes).expect("a file");
        file
    };
    let large = write("large.toml", "# a comment\n".repeat(10_000).as_bytes());
    let binary = write("binary.toml", &[b'a', 0xff, 0xfe]);
    for (file, expected) in [
        (large.as_path(), "is larger than 64 KiB"),
        (binary.as_path(), "byte 2 is not UTF-8"),
        (&folder.join("none.toml"), "cannot be opened"),
        (&folder, "cannot be read"),
    ] {
        let said = Filed::read(file).expect_err("nothing can be played").to_string();
        assert!(said.contains(expected) && said.contains(&file.display().to_string()), "{said}");
    }
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

#[test]
fn a_name_that_is_none_names_the_nearest() {
    let said = |name| Filed::open(name).expect_err("there is none").to_string();
    assert!(said("overlod").contains("did you mean `overload`?"), "{}", said("overlod"));
    assert!(said("").contains("there are incident, leak,"), "{}", said(""));
    assert_eq!(Filed::open("leak").expect("it comes along").name, "leak");
}

#[test]
fn the_scenario_of_the_guide_is_sound_and_has_ten_lines() {
    let guide = include_str!("../../../../docs/scenarios.md");
    let (_, rest) = guide.split_once("```toml\n").expect("it has an example");
    let (example, _) = rest.split_once("```").expect("which ends");
    assert_eq!(example.lines().count(), 10);
    let filed = Filed::parse("docs/scenarios.md", "newsletter", example).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(filed.only_virtual(), None);
}

#[test]
fn the_guide_names_every_measure() {
    let guide = include_str!("../../../../docs/scenarios.md");
    for measure in Measure::ALL {
        assert!(guide.contains(&format!("| `{}` |", measure.key())), "{}", measure.key());
    }
}
