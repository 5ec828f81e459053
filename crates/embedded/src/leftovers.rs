//! What a killed run may have left: a server that still runs, processes of one that was killed, a stale pid file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::{Signal, kill_process, test_kill_process};

use crate::{
    StartError,
    folder::{Folder, same_folder},
    pidfile::{PidFile, as_pid},
};

/// How long an orphan may take for each of SIGINT, SIGQUIT and SIGKILL.
const PATIENCE: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(20)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// Stops whatever still runs on the folder and removes the pid file of what does not. The caller holds the folder's lock,
/// so nobody else starts a server there meanwhile. Returns whether there was anything.
pub(crate) async fn clean(folder: &Folder) -> Result<bool, StartError> {
    let named = PidFile::read(&folder.data).map(|file| file.pid);
    let orphans = living_on(&folder.data, named);
    if orphans.is_empty() && named.is_none() {
        return Ok(false);
    }
    for (signal, limit) in PATIENCE {
        if stop(folder, named, signal, limit).await {
            return remove_pid_file(&folder.data).map(|()| true);
        }
    }
    let pid = living_on(&folder.data, named).first().copied().unwrap_or_default();
    Err(StartError::Orphan { pid, folder: folder.data.clone() })
}

/// Signals the postmaster where there is one, else each process that outlived it; whether all ended within `limit`.
async fn stop(folder: &Folder, named: Option<u32>, signal: Signal, limit: Duration) -> bool {
    let gone = async {
        let mut told = Vec::new();
        loop {
            let living = living_on(&folder.data, named);
            if living.is_empty() {
                return;
            }
            let postmaster = living.iter().copied().filter(|pid| Some(*pid) == named).collect::<Vec<_>>();
            for pid in if postmaster.is_empty() { living } else { postmaster } {
                if !told.contains(&pid) {
                    told.push(pid);
                    send(pid, signal);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(limit, gone).await.is_ok()
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

/// The Postgres processes that run on `data`: by `/proc` where it exists, else the one the pid file names, by `ps`.
/// A process id alone proves nothing: it may have been given to another program since.
fn living_on(data: &Path, named: Option<u32>) -> Vec<u32> {
    let proc = Path::new("/proc/self");
    if proc.exists() {
        return in_proc().filter(|(_, cwd)| same_folder(cwd, data)).map(|(pid, _)| pid).collect();
    }
    named.into_iter().filter(|pid| lives(*pid) && is_postgres_by_ps(*pid)).collect()
}

/// Every Postgres process that we may look at, with its working folder: a server's is its data folder.
fn in_proc() -> impl Iterator<Item = (u32, PathBuf)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        if !matches!(name.trim(), "postgres" | "postmaster") {
            return None;
        }
        Some((pid, fs::read_link(entry.path().join("cwd")).ok()?))
    })
}

fn lives(pid: u32) -> bool {
    as_pid(pid).is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

fn is_postgres_by_ps(pid: u32) -> bool {
    let said = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("postgres"))
}
