//! Who gets the processors first. Callers that come late prove nothing, and every process of the server is an equal of the
//! generator as a whole: so the generator comes first, whichever pool has its turn. Where the database has a machine of its
//! own there is nothing to settle.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, setpriority_process, setsid};
use serde::{Deserialize, Serialize};

const AUTOGROUP: &str = "/proc/self/autogroup";
/// Nice values that are given: to the generator's group, or to the server's processes.
const FIRST: i32 = -15;
const LAST: i32 = 10;

/// Whether the generator's processes come before the server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precedence {
    /// By the nice value of their scheduling group.
    Group(i32),
    /// By the nice value of the server's processes.
    Server(i32),
    /// They do not.
    #[default]
    Nobody,
}

impl Precedence {
    /// For the report.
    #[must_use]
    pub fn described(self) -> String {
        match self {
            Self::Group(nice) => format!("The generator's processes come before the server's (autogroup {nice})."),
            Self::Server(nice) => {
                format!("The generator's processes come before the server's (which run at nice {nice}).")
            }
            Self::Nobody => {
                "The generator's processes do not come before the server's: the system did not allow it. Turns \
                             may be void for that alone."
                    .to_owned()
            }
        }
    }
}

/// The precedence that the generator's group has as long as this lives. A run that is killed leaves it to its session, where
/// that is not its own.
#[derive(Debug)]
pub(crate) struct PriorityGuard {
    /// What the group had before, where it was given more.
    before: Option<i32>,
    group: bool,
}

impl PriorityGuard {
    /// Puts this process's group first, where groups share the processors: each of the server's processes has one of its own.
    pub(crate) fn stake() -> Self {
        if !shared_by_groups() {
            return Self { before: None, group: false };
        }
        // Otherwise whatever else runs in the session, such as a build, would come first too. Whoever leads a job of a
        // terminal cannot have a session of its own, and is alone with its shell.
        _ = setsid();
        let found = fs::read_to_string(AUTOGROUP).ok().and_then(|text| nice_of(&text));
        if found.is_some_and(|nice| nice <= FIRST) {
            return Self { before: None, group: true };
        }
        let group = found.is_some() && fs::write(AUTOGROUP, FIRST.to_string()).is_ok();
        Self { before: found.filter(|_| group), group }
    }

    /// Lets the server yield where groups do not count. Its children, which serve, inherit that.
    pub(crate) fn over(&self, postmaster: u32) -> Precedence {
        if self.group {
            return Precedence::Group(FIRST);
        }
        if shared_by_groups() {
            return Precedence::Nobody;
        }
        let postmaster = i32::try_from(postmaster).ok().and_then(Pid::from_raw);
        let yields = postmaster.is_some_and(|pid| setpriority_process(Some(pid), LAST).is_ok());
        if yields { Precedence::Server(LAST) } else { Precedence::Nobody }
    }
}

impl Drop for PriorityGuard {
    fn drop(&mut self) {
        if let Some(nice) = self.before {
            _ = fs::write(AUTOGROUP, nice.to_string());
        }
    }
}

/// Of a line such as `/autogroup-5 nice 0`.
fn nice_of(line: &str) -> Option<i32> {
    let rest = line.trim_end().strip_prefix("/autogroup-")?;
    rest.split_once(" nice ")?.1.parse().ok()
}

/// Whether the kernel shares the processors among sessions first. It does not where it is told not to, nor within a control
/// group that has a share of its own, as containers may.
fn shared_by_groups() -> bool {
    let enabled = fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled");
    let control_groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    enabled.is_ok_and(|text| text.trim() == "1") && !control_groups.lines().any(has_a_share)
}

/// Of a line such as `0::/user.slice`, or `2:cpu,cpuacct:/`.
fn has_a_share(line: &str) -> bool {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return false };
    match controllers {
        "" => Path::new(path).ancestors().any(|path| {
            let folder = Path::new("/sys/fs/cgroup").join(path.strip_prefix("/").unwrap_or(path));
            folder.join("cpu.weight").exists()
        }),
        controllers => path != "/" && controllers.split(',').any(|name| name == "cpu"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nice_value_of_a_group_is_read() {
        assert_eq!(nice_of("/autogroup-5 nice 0\n"), Some(0));
        assert_eq!(nice_of("/autogroup-26623 nice -15\n"), Some(-15));
        assert_eq!(nice_of(""), None);
        assert_eq!(nice_of("/autogroup-5"), None);
    }

    #[test]
    fn only_the_processors_control_group_takes_the_place_of_sessions() {
        assert!(has_a_share("2:cpu,cpuacct:/docker/1"));
        assert!(!has_a_share("2:cpu,cpuacct:/"));
        assert!(!has_a_share("4:memory:/docker/1"));
        assert!(!has_a_share("2:cpuacct:/docker/1"));
    }

    #[test]
    fn the_report_says_who_comes_first() {
        let group = Precedence::Group(FIRST).described();
        assert_eq!(group, "The generator's processes come before the server's (autogroup -15).");
        assert!(Precedence::Server(LAST).described().contains("come before the server's (which run at nice 10)"));
        assert!(Precedence::Nobody.described().contains("do not come before"));
        assert_eq!(serde_json::to_string(&Precedence::Group(FIRST)).expect("plain data"), r#"{"group":-15}"#);
    }
}
