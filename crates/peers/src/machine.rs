//! The machine that a report speaks of, and what `/proc` says of processor time.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::precedence::Precedence;

/// Where the figures were measured, and with what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// The kernel.
    pub kernel: String,
    /// The server's version.
    pub postgres: String,
    /// Runnable tasks, on average over the minute before the run: others were at work if it is far from 0.
    pub load_before: f64,
    /// Whether the generator came before the server.
    #[serde(default)]
    pub precedence: Precedence,
    /// Names and versions of what was measured.
    pub packages: Vec<(String, String)>,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here(postgres: String, precedence: Precedence) -> Self {
        let memory = field("/proc/meminfo", "MemTotal");
        let memory = memory.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        let load = fs::read_to_string("/proc/loadavg").ok();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            memory_gib: memory.unwrap_or(0).div_ceil(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            postgres,
            load_before: load.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0.0),
            precedence,
            packages: ["sqlx", "deadpool", "bb8", "tokio"].map(|name| (name.to_owned(), locked(name))).to_vec(),
        }
    }

    /// As a line of a report; `how` says how its server ran, such as ` with fsync`.
    pub(crate) fn line(&self, how: &str) -> String {
        let Self { cores, processor, memory_gib, kernel, postgres, load_before, .. } = self;
        format!(
            "**Machine.** {cores} cores ({processor}), {memory_gib} GiB, Linux {kernel}, Postgres {postgres}{how}; load before the run {load_before}."
        )
    }
}

/// The version of a package that this was built with.
fn locked(name: &str) -> String {
    let lock = include_str!("../../../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("\nname = \"{name}\"\n")));
    let version = entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next());
    version.unwrap_or("unknown").to_owned()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

/// Processor time used so far.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    client: Duration,
    server: Duration,
}

impl Processor {
    /// Of this process, and of the living children of the server. `None` where the kernel does not tell.
    #[must_use]
    pub fn now(postmaster: u32) -> Option<Self> {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let client = Duration::try_from(used).ok()?;
        let backends = entries(Path::new("/proc")).filter(|process| parent(process) == Some(postmaster));
        let server: Duration = backends.filter_map(|backend| time_of(&backend)).sum();
        (server > Duration::ZERO).then_some(Self { client, server })
    }

    /// Microseconds of client and server since then.
    #[must_use]
    pub fn since(self, before: Self) -> (f64, f64) {
        let micros = |later: Duration, earlier| later.saturating_sub(earlier).as_secs_f64() * 1e6;
        (micros(self.client, before.client), micros(self.server, before.server))
    }
}

/// What this process's threads of that name have used so far. `None` where the kernel does not tell.
pub(crate) fn time_of_threads(name: &str) -> Option<Duration> {
    let named = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|found| found.trim_end() == name);
    let used = entries(Path::new("/proc/self/task")).filter(named).filter_map(|task| time_of(&task)).sum();
    (used > Duration::ZERO).then_some(used)
}

/// Lets this process open as many files as it may: an overload over HTTP takes two for each request under way.
pub(crate) fn allow_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it may not, connections fail, and the turn says so.
    _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let numbered = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().is_ok();
    entries.filter(move |entry| numbered(entry)).map(|entry| entry.path())
}

/// In nanoseconds, where `stat` counts hundredths of a second.
fn time_of(task: &Path) -> Option<Duration> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn parent(process: &Path) -> Option<u32> {
    stat(process, 1..2)?.pop()?.try_into().ok()
}

/// What a process has used so far with all its threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// By those that live, in nanoseconds.
    living: Duration,
    /// By those that have ended too, in hundredths of a second.
    all: Duration,
}

impl Used {
    /// `None` where there is no such process.
    pub(crate) fn by(pid: u32) -> Option<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let all = ticks(&process, 11..13)?;
        let living = entries(&process.join("task")).filter_map(|task| time_of(&task)).sum();
        Some(Self { living, all })
    }

    /// Since then: the finer figure, unless threads have ended meanwhile and taken what they used along.
    pub(crate) fn since(self, before: Self) -> Duration {
        let all = self.all.saturating_sub(before.all);
        match self.living.checked_sub(before.living) {
            Some(living) if living.abs_diff(all) <= Self::ROUNDING => living,
            _ => all,
        }
    }

    /// User's and system's time, each cut off to a hundredth, before and after.
    const ROUNDING: Duration = Duration::from_millis(20);
}

/// What of a process lies in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resident {
    /// All of it.
    pub(crate) now: u64,
    /// The most that it ever was.
    pub(crate) peak: u64,
    /// What is the process's own; the rest are pages of its program and of libraries.
    pub(crate) own: u64,
}

impl Resident {
    /// `None` where there is no such process.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let status = format!("/proc/{pid}/status");
        let bytes = |name| Some(field(&status, name)?.strip_suffix(" kB")?.parse::<u64>().ok()? << 10);
        Some(Self { now: bytes("VmRSS")?, peak: bytes("VmHWM")?, own: bytes("RssAnon")? })
    }
}

/// What a server has used so far with the processes that it has started, those that have ended included.
pub(crate) fn time_of_server(postmaster: u32) -> Option<Duration> {
    let process = PathBuf::from(format!("/proc/{postmaster}"));
    let ended = ticks(&process, 13..15)?;
    let children = entries(Path::new("/proc")).filter(|child| parent(child) == Some(postmaster));
    Some(time_of(&process)? + ended + children.filter_map(|child| time_of(&child)).sum::<Duration>())
}

/// What the processes have used that this one has started, and waited for.
pub(crate) fn time_of_ended_children() -> Option<Duration> {
    ticks(Path::new("/proc/self"), 13..15)
}

fn ticks(process: &Path, fields: Range<usize>) -> Option<Duration> {
    let ticks: u64 = stat(process, fields)?.into_iter().sum();
    let second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_secs(ticks).div_f64(second as f64))
}

/// Some fields of `stat`, counted after the name.
fn stat(process: &Path, fields: Range<usize>) -> Option<Vec<u64>> {
    let text = fs::read_to_string(process.join("stat")).ok()?;
    // The second field is the name in brackets, and may contain anything.
    let rest = text.rsplit_once(')')?.1.split_whitespace();
    rest.skip(fields.start).take(fields.len()).map(|field| field.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_of_what_is_measured_are_known() {
        for name in ["sqlx", "deadpool", "bb8", "tokio"] {
            assert_ne!(locked(name), "unknown", "{name}");
        }
    }

    #[test]
    fn the_finer_figure_counts_unless_it_misses_threads_that_have_ended() {
        let used = |living, all| Used { living: Duration::from_millis(living), all: Duration::from_millis(all) };
        assert_eq!(used(1_503, 2_500).since(used(500, 1_500)), Duration::from_millis(1_003));
        assert_eq!(used(1_503, 2_500).since(used(900, 1_500)), Duration::from_millis(1_000));
        assert_eq!(used(100, 2_500).since(used(500, 1_500)), Duration::from_millis(1_000));
    }

    #[test]
    fn what_a_process_has_in_memory_is_its_own_in_part_and_never_more_than_its_peak() {
        let Resident { now, peak, own } = Resident::of(std::process::id()).expect("the kernel tells");
        assert!(0 < own && own < now && now <= peak);
        assert_eq!(Resident::of(0), None);
    }

    #[test]
    fn a_process_with_children_at_work_has_used_processor_time() {
        let parent = parent(Path::new("/proc/self")).expect("every process has one");
        let now = Processor::now(parent).expect("the kernel tells");
        assert!(now.client > Duration::ZERO && now.server > Duration::ZERO);
        assert!(time_of_server(parent).expect("the kernel tells") >= now.server);
        assert!(Used::by(std::process::id()).is_some() && Used::by(0).is_none());
    }
}
