//! `postmaster.pid`: what a running server, or one that was killed, says about itself.

use std::{fs, path::Path};

use rustix::process::Pid;

/// The lines of `postmaster.pid` that we read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: u32,
    /// The eighth line says `ready` once connections are accepted.
    pub(crate) ready: bool,
}

impl PidFile {
    pub(crate) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        // A standalone backend writes its process id negated.
        let pid = lines.next()?.trim_start_matches('-').parse().ok()?;
        Some(Self { pid, ready: lines.nth(6) == Some("ready") })
    }
}

/// The process id as the system's calls take it; `None` for what is no process id.
pub(crate) fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eighth_line_says_whether_the_server_is_ready() {
        let file = |status: &str| format!("42\n/data\n1700000000\n5432\n/run\n\n  5432001  3\n{status}\n");
        assert_eq!(PidFile::parse(&file("ready   ")), Some(PidFile { pid: 42, ready: true }));
        assert_eq!(PidFile::parse(&file("starting")), Some(PidFile { pid: 42, ready: false }));
        assert_eq!(PidFile::parse("42\n"), Some(PidFile { pid: 42, ready: false }));
        assert_eq!(PidFile::parse(""), None);
    }
}
