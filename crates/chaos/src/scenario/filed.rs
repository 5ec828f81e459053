//! A scenario as its file says it; `docs/scenarios.md` is the schema.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::bound::{Bound, Measure};
use super::moment::{Moment, Stretch};
use super::text::{Faults, Notes, unknown};
use super::{Holders, Kind, Load, Phase, Scenario, Slowdown, Window, reading, shipped};
use crate::arm::Arm;
use crate::clock::Clock;

/// No scenario is larger, in bytes.
const LARGEST: u64 = 64 * 1024;
/// A scenario apart from the speed at which it is played.
#[derive(Clone, Debug, PartialEq)]
pub struct Filed {
    /// Its file's name without the ending.
    pub name: String,
    /// What it is about, in a line.
    pub about: String,
    /// The arms that it is played on, in order.
    pub arms: Vec<Arm>,
    /// What must hold.
    pub marks: Vec<Bound>,
    pub(super) only_for_real: Vec<Measure>,
    pub(super) is_postmortem: bool,
    pub(super) begins: Option<Moment>,
    pub(super) retries: u32,
    pub(super) action: Option<Moment>,
    pub(super) phases: Vec<FiledPhase>,
    pub(super) baseline: Part,
    pub(super) judged: Part,
    pub(super) holders: Option<FiledHolders>,
    pub(super) slowdown: Option<FiledSlowdown>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct FiledPhase {
    pub(super) name: Option<String>,
    pub(super) until: Moment,
    pub(super) quick_until: Option<Moment>,
    pub(super) load: Load,
}

/// A stretch of the play; what is not said of it follows from the phases.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Part {
    pub(super) from: Option<Moment>,
    pub(super) until: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct FiledHolders {
    pub(super) from: Moment,
    pub(super) count: u32,
    pub(super) every: Stretch,
    pub(super) sleep: Option<Stretch>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct FiledSlowdown {
    pub(super) from: Moment,
    pub(super) until: Moment,
    pub(super) speed: f64,
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Its text.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// Its file.
    #[error("the scenario {}: {says}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        says: String,
    },
    /// Its name.
    #[error("there is no scenario {0} (a file has its path: ./mine.toml)")]
    Name(String),
}

impl Filed {
    /// The scenario of this name, or in this file: what ends in `.toml` or has a `/` is a file.
    ///
    /// # Errors
    /// See [`ScenarioError`].
    pub fn open(name_or_file: &str) -> Result<Self, ScenarioError> {
        if name_or_file.ends_with(".toml") || name_or_file.contains('/') {
            return Self::read(Path::new(name_or_file));
        }
        let names = shipped::NAMES.map(|(name, _)| name);
        let named = names.contains(&name_or_file).then(|| shipped::named(name_or_file));
        named.ok_or_else(|| ScenarioError::Name(unknown(name_or_file, &names)))
    }

    /// The scenario in this file.
    ///
    /// # Errors
    /// See [`ScenarioError`].
    pub fn read(file: &Path) -> Result<Self, ScenarioError> {
        let fault = |says: String| ScenarioError::File { file: file.to_owned(), says };
        let mut bytes = Vec::new();
        let opened = File::open(file).map_err(|error| fault(format!("cannot be opened: {error}")))?;
        opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| fault(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > LARGEST {
            return Err(fault(format!("is larger than {} KiB, so it is no scenario", LARGEST / 1024)));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            fault(format!("is no text: byte {} is not UTF-8", error.utf8_error().valid_up_to() + 1))
        })?;
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(Self::parse(&file.display().to_string(), &name, &text)?)
    }

    /// The scenario that this text is.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(file: &str, name: &str, text: &str) -> Result<Self, Faults> {
        let notes = Notes::default();
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            notes.fault(&error.span().unwrap_or(0..0), format!("this is no TOML: {}", error.message()));
        }
        let filed = reading::read(&notes, name, &document);
        notes.end(file, text)?;
        Ok(filed)
    }

    /// What is played at this speed; `quick` takes the ends of phases that are for that.
    #[must_use]
    pub fn scenario(&self, speed: f64, quick: bool) -> Scenario {
        let clock = self.clock(speed);
        let phases = self.phases_at(clock, quick);
        let [first, second] = [0, 1].map(|n| phases.get(n).or(phases.last()).map(|phase| phase.window));
        let part = |part: &Part, otherwise: Option<Window>| {
            let otherwise = otherwise.unwrap_or(Window::new(0.0, 0.0));
            let at = |moment: &Option<Moment>, otherwise| moment.as_ref().map_or(otherwise, |at| at.second(clock));
            Window::new(at(&part.from, otherwise.from), at(&part.until, otherwise.to))
        };
        Scenario {
            name: self.name.clone(),
            kind: if self.is_postmortem { Kind::Incident } else { Kind::Marked },
            clock,
            baseline: part(&self.baseline, first),
            judged: part(&self.judged, second),
            phases,
            holders: self.holders.as_ref().map(|holders| Holders {
                from: holders.from.second(clock),
                count: holders.count,
                every: holders.every.seconds(clock),
                sleep: holders.sleep.map(|sleep| sleep.seconds(clock)),
            }),
            slowdown: self.slowdown.as_ref().map(|slow| Slowdown {
                window: Window::new(slow.from.second(clock), slow.until.second(clock)),
                speed: slow.speed,
            }),
            action: self.action.as_ref().map(|action| action.second(clock)),
            retries: self.retries,
            marks: self.marks.clone(),
            only_for_real: self.only_for_real.clone(),
        }
    }

    /// Whether it tells the postmortem, and is judged line by line.
    #[must_use]
    pub const fn is_postmortem(&self) -> bool {
        self.is_postmortem
    }

    /// Whether it is told on the postmortem's clock, so that a speed means something.
    #[must_use]
    pub const fn has_clock(&self) -> bool {
        self.begins.is_some()
    }

    /// Whether it is played on this arm, or on any where none is named.
    ///
    /// # Errors
    /// It is not: the arm, and those that it names.
    pub fn check_arm(&self, arm: Option<Arm>) -> Result<(), (&'static str, String)> {
        match arm.filter(|arm| !self.arms.contains(arm)) {
            Some(arm) => Err((arm.key(), self.arms.iter().map(|arm| arm.key()).collect::<Vec<_>>().join(", "))),
            None => Ok(()),
        }
    }

    /// Why it cannot be played for real, if that is so.
    #[must_use]
    pub fn only_virtual(&self) -> Option<&'static str> {
        self.slowdown.as_ref().map(|_| "nothing slows a real database yet, as its [slow_database] wants")
    }

    /// The postmortem's, or one that counts seconds from the end of the first phase.
    pub(super) fn clock(&self, speed: f64) -> Clock {
        if let Some(begins) = &self.begins {
            return Clock::beginning_at(begins.minute_of_day().unwrap_or(0), speed);
        }
        let clock = Clock::new(0.0, 1.0);
        Clock::new(self.phases.first().map_or(0.0, |first| first.until.second(clock)), 1.0)
    }

    pub(super) fn phases_at(&self, clock: Clock, quick: bool) -> Vec<Phase> {
        let mut from = 0.0;
        let phase = |(n, phase): (usize, &FiledPhase)| {
            let until = phase.quick_until.as_ref().filter(|_| quick).unwrap_or(&phase.until).second(clock);
            let window = Window::new(from, until);
            from = until;
            let name = phase.name.clone().unwrap_or_else(|| format!("phase {}", n + 1));
            Phase { name, window, load: phase.load }
        };
        self.phases.iter().enumerate().map(phase).collect()
    }
}
