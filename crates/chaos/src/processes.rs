//! What `/proc` says of processes: who is alive, whose child it is, how much CPU it used.

use std::fs;
use std::path::PathBuf;

/// A process, told from a later one with the same id by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    started: u64,
}

/// CPU ticks of the system per second.
#[must_use]
pub fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

struct Stat {
    parent: u32,
    own_ticks: u64,
    reaped_ticks: u64,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).ok()?;
    // The second field is the name in brackets, and may contain anything.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    if fields.first() == Some(&"Z") {
        return None;
    }
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        own_ticks: number(11)? + number(12)?,
        reaped_ticks: number(13)? + number(14)?,
        started: number(19)?,
    })
}

impl Process {
    /// The live process with this id.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, started: stat.started })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// The live processes whose parent is `pid`.
#[must_use]
pub fn children(pid: u32) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|candidate| stat(*candidate).is_some_and(|stat| stat.parent == pid))
        .filter_map(Process::of)
        .collect()
}

/// Ticks that the process itself used.
#[must_use]
pub fn own_ticks(pid: u32) -> u64 {
    stat(pid).map_or(0, |stat| stat.own_ticks)
}

/// Ticks of a process and all its children, also those that have ended.
#[must_use]
pub fn family_ticks(pid: u32) -> u64 {
    let living: u64 = children(pid).into_iter().map(|child| own_ticks(child.pid)).sum();
    stat(pid).map_or(0, |stat| stat.own_ticks + stat.reaped_ticks + living)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_has_used_cpu() {
        let me = Process::of(std::process::id()).expect("the test runs");
        assert!(me.is_alive());
        assert!(!Process { started: me.started + 1, ..me }.is_alive());
        assert!(ticks_per_second() >= 1.0);
    }
}
