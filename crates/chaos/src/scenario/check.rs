//! Whether the times of a scenario fit each other, at every speed.

use std::ops::Range;

use super::filed::Filed;
use super::text::{Notes, Section};
use super::{FASTEST, Phase, Window};

/// No play is longer, in seconds.
const LONGEST_PLAY_S: f64 = 3600.0;
/// Nor has more requests, if legacy can do as many a second as it can anywhere.
const MOST_REQUESTS: f64 = 1_000_000.0;
/// More than legacy's capacity ever is: ten leases of 45 ms.
const CAPACITY: f64 = 222.0;
/// The shortest stretch of which shares mean something, in seconds.
const SHORTEST_S: f64 = 1.0;
/// Times are sums of numbers that have no exact form.
const HAIR: f64 = 1e-6;

/// Where in the text what is checked stands.
pub(super) struct Places<'s, 'd, 'i> {
    pub(super) top: &'s Section<'d, 'i>,
    pub(super) phases: &'s [Section<'d, 'i>],
    pub(super) baseline: Option<&'s Section<'d, 'i>>,
    pub(super) judged: Option<&'s Section<'d, 'i>>,
    pub(super) holders: Option<&'s Section<'d, 'i>>,
    pub(super) slowdown: Option<&'s Section<'d, 'i>>,
    pub(super) action: Option<Range<usize>>,
}

/// Notes what does not fit.
pub(super) fn times(notes: &Notes, filed: &Filed, places: &Places<'_, '_, '_>) {
    let speeds: &[f64] = if filed.has_clock() { &[1.0, 15.0, FASTEST] } else { &[1.0] };
    for speed in speeds {
        for quick in [false, true] {
            // Of several speeds at which the same is wrong, one is enough.
            if !at(notes, filed, *speed, quick, places) {
                return;
            }
        }
    }
}

fn at(notes: &Notes, filed: &Filed, speed: f64, quick: bool, places: &Places<'_, '_, '_>) -> bool {
    let scenario = filed.scenario(speed, quick);
    let end = scenario.end();
    let mut fits = true;
    let mut must = |holds: bool, section: Option<&Section<'_, '_>>, says: String| {
        if !holds {
            fits = false;
            section.unwrap_or(places.top).fault(says);
        }
    };
    let how = if filed.has_clock() { format!(", at speed {speed}") } else { String::new() };
    for (phase, section) in scenario.phases.iter().zip(places.phases) {
        let Window { from, to } = phase.window;
        must(to > from, Some(section), format!("ends at second {to}{how}, and begins at {from}"));
    }
    // How long it takes at a lower speed is the player's own choice.
    if !filed.has_clock() || speed >= FASTEST {
        let rate = |phase: &Phase| phase.load.requests_per_second(CAPACITY) * phase.window.length();
        let requests: f64 = scenario.phases.iter().map(rate).sum();
        let longest = format!("lasts {end:.0} s{how}, and may last {LONGEST_PLAY_S:.0}");
        must(end <= LONGEST_PLAY_S, None, longest);
        let most = format!("sends about {requests:.0} requests{how}, and may send {MOST_REQUESTS:.0}");
        must(requests <= MOST_REQUESTS, None, most);
    }
    let inside = |window: Window| window.from >= 0.0 && window.to <= end + HAIR && window.length() >= SHORTEST_S - HAIR;
    let told = |window: Window| format!("second {:.1} to {:.1}", window.from, window.to);
    for (window, section, name) in
        [(scenario.baseline, places.baseline, "baseline"), (scenario.judged, places.judged, "judged stretch")]
    {
        let says = format!(
            "has a {name} from {}{how}: it must lie within the play, up to second {end:.1}, and last a second",
            told(window)
        );
        must(inside(window), section, says);
    }
    must(
        scenario.baseline.to <= scenario.judged.from + HAIR,
        places.baseline.or(places.judged),
        format!(
            "has a baseline from {}{how}, which must end before what is judged, {}",
            told(scenario.baseline),
            told(scenario.judged)
        ),
    );
    if let Some(holders) = scenario.holders {
        must(holders.from < end, places.holders, format!("begins at second {:.1}{how}, after the end", holders.from));
        must(holders.every >= 0.01, places.holders, "needs at least 10 ms between two holders (`every`)".to_owned());
        must(
            holders.sleep.is_none_or(|sleep| sleep > 0.0),
            places.holders,
            "must `sleep` for longer than 0 s".to_owned(),
        );
    }
    if let Some(slow) = scenario.slowdown {
        must(
            inside(slow.window),
            places.slowdown,
            format!(
                "lasts from {}{how}: it must lie within the play, up to second {end:.1}, and last a second",
                told(slow.window)
            ),
        );
    }
    if let (Some(at), Some(span)) = (scenario.action, &places.action)
        && !(0.0..end).contains(&at)
    {
        notes.fault(span, format!("`action` is at second {at:.1}{how}, and the play ends at {end:.1}"));
        fits = false;
    }
    fits
}
