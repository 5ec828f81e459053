//! A running server: started, used by its address, stopped.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use rustix::process::Signal;

use crate::{
    Programs, StartError, StopError,
    account::Account,
    cluster::{self, SUPERUSER},
    folder::{self, Folder},
    guardian::{self, Life},
    leftovers::{Leftovers, send},
    postmaster::{self, Postmaster, SOCKET_PORT},
    programs::programs_for,
};

/// How long the fast shutdown may take, then the immediate one.
const STOP_LIMITS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(30)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder; made where it is missing. Beside it, under the same name, lie `.run` (the socket) and `.lock`.
    pub data_dir: PathBuf,
    /// Also listen on this port of 127.0.0.1, with a password; `None` is the unix socket alone.
    pub port: Option<u16>,
    /// Settings for `postgres -c`, which go before all of ours.
    pub settings: Vec<(String, String)>,
    /// Whether what is committed survives a crash of the machine. `false` is for tests: it then survives only the
    /// server's own.
    pub durable: bool,
}

impl Options {
    /// A durable server in `data_dir`, on its unix socket.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), port: None, settings: Vec::new(), durable: true }
    }
}

/// A running Postgres.
///
/// [`shutdown`](Self::shutdown) stops it and waits. Dropping it asks it to stop (fast: sessions are ended, what is
/// committed stays) and does not wait. If this process is killed, the guardian stops it.
#[derive(Debug)]
pub struct Server {
    folder: Folder,
    port: u16,
    postmaster: Postmaster,
    _lock: File,
}

impl Server {
    /// Starts a server on `options.data_dir`, which is made on the first start and found again on the next; leftovers of
    /// a killed run are cleared away. `progress` hears of each step that may take a moment.
    ///
    /// If the future is dropped, whatever it started is stopped.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; each says what to do.
    pub async fn start(options: Options, progress: impl Fn(&str) + Send) -> Result<Self, StartError> {
        let folder = Folder::at(&options.data_dir)?;
        Self::start_in(folder, &options, &[], progress).await
    }

    /// Starts a server that is not durable, in a new temporary folder that is removed when the server stops, also when
    /// this process is killed.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub async fn start_temporary(
        settings: Vec<(String, String)>,
        progress: impl Fn(&str) + Send,
    ) -> Result<Self, StartError> {
        let home = folder::temporary()?;
        let options = Options { durable: false, settings, ..Options::new(home.join("pg")) };
        let folder = Folder::at(&options.data_dir)?;
        let throw_away = [home, folder.run.clone()];
        Self::start_in(folder, &options, &throw_away, progress).await
    }

    async fn start_in(
        folder: Folder,
        options: &Options,
        throw_away: &[PathBuf],
        progress: impl Fn(&str) + Send,
    ) -> Result<Self, StartError> {
        // First of all, so that a throw-away folder is removed even if the next step fails.
        let guardian = guardian::post(throw_away).map_err(StartError::io("run", "sh"))?;
        let account = Account::choose(&folder.data)?;
        folder.check_reachable(account.as_ref())?;
        let lock = folder.take_lock().await?;
        let version = folder.version()?;
        let programs: Programs = programs_for(&folder.data, version.as_deref())?;
        programs.check_runnable(account.as_ref())?;
        cluster::remove_half_done(&folder)?;
        if version.is_none() {
            postmaster::check_port(options.port)?;
            progress("creating the database folder");
            cluster::create(&folder, &programs, account.as_ref(), options.durable).await?;
        } else if let Some(leftovers) = Leftovers::find(&folder, account.as_ref()).await? {
            if let Some(processes) = leftovers.waits_for() {
                progress(&format!("waiting for the Postgres of an earlier run to end ({processes})"));
            }
            leftovers.clear().await?;
            progress("the last run was killed: cleared what it left, Postgres will recover");
        }
        postmaster::check_port(options.port)?;
        folder.fresh_run_folder(account.as_ref())?;
        progress(&format!("starting Postgres {}", programs.major));
        let postmaster = postmaster::spawn(&folder, options, &programs, account.as_ref(), guardian)?;
        let server = Self { folder, port: options.port.unwrap_or(SOCKET_PORT), postmaster, _lock: lock };
        postmaster::ready(&server.folder, &server.postmaster).await?;
        Ok(server)
    }

    /// The address of `database` over the unix socket, as `PgConnectOptions::from_str` reads it.
    pub fn url(&self, database: &str) -> String {
        url(&self.folder, self.port, database)
    }

    /// The password of the superuser `forebay`, which connections to 127.0.0.1 need (only with [`Options::port`]).
    ///
    /// # Errors
    ///
    /// The file in the data folder cannot be read.
    pub fn password(&self) -> std::io::Result<String> {
        Ok(fs::read_to_string(self.folder.password())?.trim().to_owned())
    }

    /// The folder of the unix socket.
    pub fn socket_dir(&self) -> &Path {
        &self.folder.run
    }

    /// The data folder, absolute.
    pub fn data_dir(&self) -> &Path {
        &self.folder.data
    }

    /// The server's log.
    pub fn log_file(&self) -> PathBuf {
        self.folder.log()
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> u32 {
        self.postmaster.pid
    }

    /// Waits until the server has ended, by whatever cause. Nothing happens if the future is dropped.
    pub async fn ended(&self) -> Option<ExitStatus> {
        let mut life = self.postmaster.life.clone();
        let life = life.wait_for(|life| *life != Life::Running).await.ok()?;
        match *life {
            Life::Ended(status) | Life::Buried(status) => Some(status),
            Life::Running => None,
        }
    }

    /// Ends all sessions, stops the server and waits for its end. If the future is dropped, the server has been asked to
    /// stop and ends on its own.
    ///
    /// # Errors
    ///
    /// It did not end by the fast shutdown (30 s), the immediate one (5 s), nor when killed (5 s).
    pub async fn shutdown(self) -> Result<(), StopError> {
        for (signal, limit) in STOP_LIMITS {
            self.tell(signal);
            if tokio::time::timeout(limit, self.buried()).await.is_ok() {
                // Empty by now; the next start makes it anew either way.
                _ = fs::remove_dir_all(&self.folder.run);
                return Ok(());
            }
        }
        let limit = STOP_LIMITS.iter().map(|(_, limit)| *limit).sum();
        Err(StopError::StillRunning { pid: self.pid(), limit })
    }

    async fn buried(&self) {
        // An error means that the watching thread has ended, and with it the server.
        _ = self.postmaster.life.clone().wait_for(|life| matches!(life, Life::Buried(_))).await;
    }

    /// Signals the postmaster unless it has ended: then its process id may be another's.
    fn tell(&self, signal: Signal) {
        if *self.postmaster.life.borrow() == Life::Running {
            send(self.postmaster.pid, signal);
        }
    }
}

/// The address of `database` on the server that another process runs in `data_dir` at the moment, as [`Server::url`] says it;
/// nothing where none runs. It lasts for as long as that process does.
///
/// # Errors
///
/// The folder above cannot be used.
pub fn url_of_running(data_dir: impl AsRef<Path>, database: &str) -> Result<Option<String>, StartError> {
    let folder = Folder::at(data_dir.as_ref())?;
    if !folder.is_locked()? {
        return Ok(None);
    }
    Ok(folder.socket_port().map(|port| url(&folder, port, database)))
}

fn url(folder: &Folder, port: u16, database: &str) -> String {
    let socket = folder.run.to_string_lossy();
    let (socket, database) = (percent_encoded(&socket), percent_encoded(database));
    // Over a socket nothing is encrypted, also where PGSSLMODE asks for it.
    format!("postgres://{SUPERUSER}@localhost/{database}?host={socket}&port={port}&sslmode=disable")
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tell(Signal::INT);
    }
}

/// A part of an address. What is no letter, digit or one of `-_.~/` is written as `%XX`.
fn percent_encoded(text: &str) -> PercentEncode<'_> {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
    utf8_percent_encode(text, ENCODED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_and_a_plus_survives_in_the_address() {
        assert_eq!(percent_encoded("/my data/a+b").to_string(), "/my%20data/a%2Bb");
    }
}
