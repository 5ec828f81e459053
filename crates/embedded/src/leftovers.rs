//! What a killed run may have left: a server that still runs, processes of one that was killed, a stale pid file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Signal, kill_process, test_kill_process};
use tokio::time::{sleep, timeout};

use crate::{
    StartError,
    account::{Account, drop_to},
    folder::{Folder, same_folder},
    pidfile::{PidFile, as_pid},
};

/// How long an orphan may take for each of SIGINT, SIGQUIT and SIGKILL.
const PATIENCE: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(20)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];
/// The same for processes whose postmaster is gone: recovery follows in any case, so nothing is gained by patience.
const PATIENCE_WITHOUT_POSTMASTER: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(2)),
    (Signal::QUIT, Duration::from_secs(3)),
    (Signal::KILL, Duration::from_secs(5)),
];
/// Between two looks at who still lives.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Prints the ids of the processes whose working folder is `$1`.
const SCRIPT: &str = r#"for process in /proc/[0-9]*; do [ "$process/cwd" -ef "$1" ] && echo "${process#/proc/}"; done"#;

/// What was found on a folder. The caller holds its lock, so nobody else starts a server there meanwhile.
#[derive(Debug)]
pub(crate) struct Leftovers<'a> {
    folder: &'a Folder,
    account: Option<&'a Account>,
    /// Whom the pid file names.
    named: Option<u32>,
    living: Vec<u32>,
}

impl<'a> Leftovers<'a> {
    /// Looks for processes and the pid file.
    pub(crate) async fn find(folder: &'a Folder, account: Option<&'a Account>) -> Result<Option<Self>, StartError> {
        let named = PidFile::read(&folder.data).map(|file| file.pid);
        let living = living_on(&folder.data, account, named).await?;
        let anything = named.is_some() || !living.is_empty();
        Ok(anything.then_some(Self { folder, account, named, living }))
    }

    /// Whom [`clear`](Self::clear) will wait for, in words.
    pub(crate) fn waits_for(&self) -> Option<String> {
        (!self.living.is_empty()).then(|| processes(&self.living))
    }

    /// Stops whatever still runs, waits for the last of it, and removes the pid file.
    pub(crate) async fn clear(mut self) -> Result<(), StartError> {
        let has_postmaster = self.living.iter().any(|pid| Some(*pid) == self.named);
        for (signal, limit) in if has_postmaster { PATIENCE } else { PATIENCE_WITHOUT_POSTMASTER } {
            if let Ok(stopped) = timeout(limit, self.stop(signal)).await {
                stopped?;
                return remove_pid_file(&self.folder.data);
            }
        }
        Err(StartError::Orphan { pids: self.living, folder: self.folder.data.clone() })
    }

    /// Signals the postmaster where there is one, else each process that outlived it, until none is left.
    async fn stop(&mut self, signal: Signal) -> Result<(), StartError> {
        let mut told = Vec::new();
        loop {
            self.living = living_on(&self.folder.data, self.account, self.named).await?;
            if self.living.is_empty() {
                return Ok(());
            }
            let postmaster = self.living.iter().copied().filter(|pid| Some(*pid) == self.named).collect::<Vec<_>>();
            for pid in if postmaster.is_empty() { self.living.clone() } else { postmaster } {
                if !told.contains(&pid) {
                    told.push(pid);
                    send(pid, signal);
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// `process 7`, or `processes 7, 8`.
pub(crate) fn processes(pids: &[u32]) -> String {
    let listed = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    format!("{} {listed}", if pids.len() == 1 { "process" } else { "processes" })
}

/// Sends a signal; a process that has ended meanwhile is what we wanted.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = as_pid(pid) {
        _ = kill_process(pid, signal);
    }
}

fn remove_pid_file(data: &Path) -> Result<(), StartError> {
    let path = data.join("postmaster.pid");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StartError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The Postgres processes that run on `data`, whose owner is `account` where we are root: by `/proc` where it exists,
/// else the one the pid file names, by `ps`. A process id alone proves nothing: it may have been given to another
/// program since.
pub(crate) async fn living_on(
    data: &Path,
    account: Option<&Account>,
    named: Option<u32>,
) -> Result<Vec<u32>, StartError> {
    if !Path::new("/proc/self").exists() {
        return Ok(named.into_iter().filter(|pid| lives(*pid) && is_postgres_by_ps(*pid)).collect());
    }
    let mut found = match account {
        Some(account) => seen_by(account, data).await.map_err(StartError::io("look for processes on", data))?,
        None => seen_by_us(data),
    };
    found.retain(|pid| is_postgres(*pid));
    Ok(found)
}

/// A process's working folder is shown to its own account. Root sees it too, but not the root of most containers, which
/// lacks `CAP_SYS_PTRACE`: so the account looks.
async fn seen_by(account: &Account, data: &Path) -> io::Result<Vec<u32>> {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "forebay-look"]).arg(data).stdin(Stdio::null()).stderr(Stdio::null());
    drop_to(&mut command, Some(account));
    let said = tokio::process::Command::from(command).kill_on_drop(true).output().await?;
    Ok(String::from_utf8_lossy(&said.stdout).lines().filter_map(|line| line.parse().ok()).collect())
}

fn seen_by_us(data: &Path) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| same_folder(&PathBuf::from(format!("/proc/{pid}/cwd")), data)).collect()
}

fn is_postgres(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| matches!(name.trim(), "postgres" | "postmaster"))
}

fn lives(pid: u32) -> bool {
    as_pid(pid).is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

fn is_postgres_by_ps(pid: u32) -> bool {
    let said = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("postgres"))
}
