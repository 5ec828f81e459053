//! What can go wrong at start and stop; each message says what to do.

use std::{io, path::PathBuf, time::Duration};

use crate::leftovers::processes;

/// Why a server did not start. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `initdb` and `postgres` were found nowhere.
    #[error(
        "the Postgres server programs (initdb, postgres; version 14 or newer) were not found in {}. \
         Install the distribution's package: `apt-get install postgresql` (Debian, Ubuntu), `dnf install postgresql-server` \
         (Fedora), `apk add postgresql` (Alpine), `pacman -S postgresql` (Arch), `brew install postgresql@17` (macOS)",
        looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoPrograms {
        /// The folders that were looked into.
        looked: Vec<PathBuf>,
    },
    /// The folder that `FOREBAY_PG_BIN` names lacks a program.
    #[error(
        "FOREBAY_PG_BIN names {}, where this account sees no program `{program}`: name the folder that holds initdb and \
         postgres, such as /usr/lib/postgresql/17/bin, or unset it and the newest that is installed is taken", folder.display()
    )]
    Lacks {
        /// The folder that was named.
        folder: PathBuf,
        /// What is not in it.
        program: &'static str,
    },
    /// The programs in the folder that `FOREBAY_PG_BIN` names do not run, or are too old.
    #[error(
        "FOREBAY_PG_BIN names {}, and its `postgres` does not run here or is not of version 14 or newer: \
         see what `{}/postgres --version` says, or unset it and the newest that is installed is taken",
        folder.display(), folder.display()
    )]
    Unfit {
        /// The folder that was named.
        folder: PathBuf,
    },
    /// Postgres refuses to run as root, and the account it would run as cannot run its programs.
    #[error(
        "as root, Postgres runs as user `{account}`, who may not pass through or run {}: `chmod o+rx {}`, or put the programs \
         where everybody may read them, lib and share too (such as /opt/postgresql), and name their folder with FOREBAY_PG_BIN",
        closed.display(), closed.display()
    )]
    Closed {
        /// The program, or the folder above it, without the x bit.
        closed: PathBuf,
        /// The account that runs the server.
        account: String,
    },
    /// The folder was made by another major version than any installed one.
    #[error(
        "{} holds data of Postgres {folder_version}, but the programs found are version {found}: \
         install Postgres {folder_version}, or move the folder away to start with an empty one", folder.display()
    )]
    Version {
        /// The data folder.
        folder: PathBuf,
        /// Its `PG_VERSION`.
        folder_version: String,
        /// The versions that the machine has.
        found: String,
    },
    /// The folder exists, is not empty, and is no data folder.
    #[error("{} is not empty and holds no Postgres data (no PG_VERSION): name another folder", .0.display())]
    NotAFolderOfOurs(PathBuf),
    /// The folder belongs to somebody else.
    #[error("{} belongs to user id {owner}, and Postgres insists on owning it: run as that user, or `chown -R` it", folder.display())]
    Owner {
        /// The data folder.
        folder: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// Postgres refuses to run as root, and the account it would run as cannot get to the folder.
    #[error(
        "as root, Postgres runs as user `{account}`, who may not pass through {}: `chmod o+x {}`, or name a data folder elsewhere (such as /var/lib/forebay)",
        closed.display(), closed.display()
    )]
    Unreachable {
        /// The ancestor without the x bit.
        closed: PathBuf,
        /// The account that runs the server.
        account: String,
    },
    /// We are root and no unprivileged account exists.
    #[error(
        "Postgres does not run as root, and /etc/passwd has neither `postgres` nor `nobody`: add one, or run as an ordinary user"
    )]
    NoAccount,
    /// Another process of ours holds the folder.
    #[error("another process is using {} (its lock {} is held): stop that one, or name another data folder", folder.display(), lock.display())]
    Busy {
        /// The data folder.
        folder: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// A server that an earlier run left behind could not be stopped.
    #[error(
        "a Postgres of an earlier run ({}) still uses {} and could not be stopped: `kill -9 {}` as its owner or as root, \
         then start again. What stays even then waits for its disk, and goes when the disk answers",
        processes(pids), folder.display(), pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
    )]
    Orphan {
        /// The processes that are left.
        pids: Vec<u32>,
        /// The data folder.
        folder: PathBuf,
    },
    /// The port that it was to listen on is somebody else's.
    #[error("127.0.0.1:{port}, where Postgres was to listen too, is in use, perhaps by another Postgres")]
    PortInUse {
        /// Which.
        port: u16,
    },
    /// `initdb` failed.
    #[error("initdb failed in {}:\n{output}", folder.display())]
    Init {
        /// The data folder.
        folder: PathBuf,
        /// What `initdb` wrote.
        output: String,
    },
    /// The server ended while it started.
    #[error("Postgres ended while it started ({status}); the end of {}:\n{log}", log_file.display())]
    Ended {
        /// How it ended.
        status: String,
        /// Where its log is.
        log_file: PathBuf,
        /// The last lines of it.
        log: String,
    },
    /// The server was not ready in time.
    #[error("Postgres was not ready within {} s; the end of {}:\n{log}", limit.as_secs(), log_file.display())]
    NotReady {
        /// The limit.
        limit: Duration,
        /// Where its log is.
        log_file: PathBuf,
        /// The last lines of it.
        log: String,
    },
    /// The operating system refused something.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// For `map_err`: names what was tried and where.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

/// Why a server could not be stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// Neither the fast nor the immediate shutdown ended it.
    #[error("Postgres (process {pid}) did not end within {} s: `kill -9 {pid}`", limit.as_secs())]
    StillRunning {
        /// The postmaster.
        pid: u32,
        /// How long was waited.
        limit: Duration,
    },
}
