//! Moments and stretches as a scenario's file says them.

use toml::de::DeValue;

use super::text::{kind, number};
use crate::clock::Clock;

/// Nothing is longer, in seconds.
const LONGEST: f64 = 1e6;

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stretch {
    /// Seconds of play, which no speed shortens.
    Seconds(f64),
    /// Minutes of the postmortem.
    Minutes(f64),
}

/// A moment: of the postmortem's clock or of the play, and what is added to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moment {
    /// Hour and minute; none is second 0.
    clock: Option<(u32, u32)>,
    /// Each with its sign.
    added: Vec<(bool, Stretch)>,
}

impl Stretch {
    /// Seconds of play.
    pub(super) fn seconds(self, clock: Clock) -> f64 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Minutes(minutes) => clock.span(minutes),
        }
    }

    /// A number of seconds, `"60 s"`, or where there is a clock `"0.33 min"`.
    pub(super) fn read(has_clock: bool) -> impl Fn(&DeValue<'_>) -> Result<Self, String> {
        move |value| {
            let text = match value {
                DeValue::String(text) => text.as_ref(),
                _ => return seconds(value).map(Self::Seconds),
            };
            Self::parse(text, has_clock)
        }
    }

    fn parse(text: &str, has_clock: bool) -> Result<Self, String> {
        let wanted = || format!("must be like \"10 s\" or \"2 min\", and has `{}`", text.trim());
        let text = text.trim();
        let unit = text.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(wanted)?;
        let (digits, unit) = text.split_at(unit);
        let length: f64 = digits.trim().parse().map_err(|_no_number| wanted())?;
        if !(0.0..=LONGEST).contains(&length) {
            return Err(wanted());
        }
        match unit {
            "s" => Ok(Self::Seconds(length)),
            "min" if has_clock => Ok(Self::Minutes(length)),
            "min" => Err(needs_clock("minutes are the postmortem's")),
            _ => Err(wanted()),
        }
    }
}

impl Moment {
    /// The second of play.
    pub(super) fn second(&self, clock: Clock) -> f64 {
        let from = self.clock.map_or(0.0, |(hour, minute)| clock.at(hour, minute));
        self.added.iter().fold(from, |at, (plus, stretch)| {
            let seconds = stretch.seconds(clock);
            if *plus { at + seconds } else { at - seconds }
        })
    }

    /// Minutes after midnight, where it is a time of the clock and nothing else.
    pub(super) fn minute_of_day(&self) -> Option<u32> {
        self.clock.filter(|_| self.added.is_empty()).map(|(hour, minute)| hour * 60 + minute)
    }

    /// Second 0.
    pub(super) fn start() -> Self {
        Self { clock: None, added: Vec::new() }
    }

    /// A number of seconds, or where there is a clock `"2:30"`, `"2:30 - 8 s"` and `"3:15 + 5 min"`.
    pub(super) fn read(has_clock: bool) -> impl Fn(&DeValue<'_>) -> Result<Self, String> {
        move |value| match value {
            DeValue::String(text) => Self::parse(text, has_clock),
            _ => Ok(Self { clock: None, added: vec![(true, Stretch::Seconds(seconds(value)?))] }),
        }
    }

    fn parse(text: &str, has_clock: bool) -> Result<Self, String> {
        let (first, rest) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
        let mut moment = if first.contains(':') {
            Self { clock: Some(time(first, has_clock)?), added: Vec::new() }
        } else {
            Self { clock: None, added: vec![(true, Stretch::parse(first, has_clock)?)] }
        };
        let mut rest = rest;
        while let Some(sign) = rest.chars().next() {
            let end = rest[1..].find(['+', '-']).map_or(rest.len(), |end| end + 1);
            moment.added.push((sign == '+', Stretch::parse(&rest[1..end], has_clock)?));
            rest = &rest[end..];
        }
        Ok(moment)
    }
}

fn seconds(value: &DeValue<'_>) -> Result<f64, String> {
    let seconds = match value {
        DeValue::Integer(_) | DeValue::Float(_) => number(value)?,
        other => return Err(format!("must be a number of seconds or text like \"2:30\", and is {}", kind(other))),
    };
    if (0.0..=LONGEST).contains(&seconds) { Ok(seconds) } else { Err(format!("must not be {seconds} seconds")) }
}

fn time(text: &str, has_clock: bool) -> Result<(u32, u32), String> {
    if !has_clock {
        return Err(needs_clock("times are the postmortem's"));
    }
    let read = text.trim().split_once(':').and_then(|(hour, minute)| {
        let minute = (minute.len() == 2).then(|| minute.parse::<u32>().ok()).flatten()?;
        Some((hour.parse::<u32>().ok()?, minute))
    });
    read.filter(|(hour, minute)| *hour < 12 && *minute < 60)
        .ok_or_else(|| format!("must be a time like \"2:30\", and has `{}`", text.trim()))
}

fn needs_clock(why: &str) -> String {
    format!("must be in seconds: {why}, and this scenario does not say at what time it `begins`")
}
