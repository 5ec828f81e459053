//! Runs `postgres` itself and waits until it is ready.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    Options, Programs, StartError,
    account::{Account, drop_to, give},
    cluster::plain_environment,
    folder::{Folder, open_itself},
    guardian::{Guardian, Life},
    pidfile::PidFile,
};

/// How long a start may take, recovery after a crash included.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// A log larger than this is set aside at the next start.
const LARGE_LOG: u64 = 16 << 20;

/// The port in the socket's name where none is asked for.
pub(crate) const SOCKET_PORT: u16 = 5432;

/// What is off in a server that need not be durable. Commits still reach the operating system, so that only a crash of
/// the machine loses them.
pub(crate) const OFF_UNLESS_DURABLE: [&str; 2] = ["fsync", "full_page_writes"];

/// A postmaster that has been started.
#[derive(Debug)]
pub(crate) struct Postmaster {
    pub(crate) pid: u32,
    pub(crate) life: watch::Receiver<Life>,
}

/// Refuses a port that is taken: Postgres would end, and its log is the only one to say why.
pub(crate) fn check_port(port: Option<u16>) -> Result<(), StartError> {
    let Some(port) = port else { return Ok(()) };
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(StartError::PortInUse { port }),
        // What else may be wrong with it Postgres says.
        _ => Ok(()),
    }
}

/// Starts the server under `guardian`. If this fails the guardian ends, and nothing runs.
pub(crate) fn spawn(
    folder: &Folder,
    options: &Options,
    programs: &Programs,
    account: Option<&Account>,
    guardian: Guardian,
) -> Result<Postmaster, StartError> {
    let log = open_log(folder, account)?;
    let errors = log.try_clone().map_err(StartError::io("open", folder.log()))?;
    let mut command = Command::new(&programs.postgres);
    command
        .arg("-D")
        .arg(&folder.data)
        .args(arguments(folder, options))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    plain_environment(&mut command);
    drop_to(&mut command, account);
    let child = command.spawn().map_err(StartError::io("run", &programs.postgres))?;
    let pid = child.id();
    let life = guardian.watch(child).map_err(StartError::io("guard", &folder.data))?;
    Ok(Postmaster { pid, life })
}

/// Waits for the status line `ready`. On an error the caller drops the server, which ends it.
pub(crate) async fn ready(folder: &Folder, postmaster: &Postmaster) -> Result<(), StartError> {
    let mut life = postmaster.life.clone();
    let ended = async {
        loop {
            if let Life::Ended(status) | Life::Buried(status) = *life.borrow_and_update() {
                return status.to_string();
            }
            if life.changed().await.is_err() {
                return "unknown".to_owned();
            }
        }
    };
    let answers = async {
        while PidFile::read(&folder.data) != Some(PidFile { pid: postmaster.pid, ready: true }) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = answers => Ok(()),
        status = ended => Err(StartError::Ended { status, log_file: folder.log(), log: tail(&folder.log()) }),
        () = tokio::time::sleep(READY_LIMIT) => {
            Err(StartError::NotReady { limit: READY_LIMIT, log_file: folder.log(), log: tail(&folder.log()) })
        }
    }
}

fn arguments(folder: &Folder, options: &Options) -> Vec<OsString> {
    // A list of folders in double quotes, so that commas and spaces in the path are part of it.
    let sockets = format!("\"{}\"", folder.run.to_string_lossy().replace('"', "\"\""));
    let mut settings = vec![
        ("listen_addresses", if options.port.is_some() { "127.0.0.1".into() } else { String::new() }),
        ("port", options.port.unwrap_or(SOCKET_PORT).to_string()),
        ("unix_socket_directories", sockets),
        ("unix_socket_permissions", "0700".into()),
        ("logging_collector", "off".into()),
        ("log_destination", "stderr".into()),
    ];
    if !options.durable {
        settings.extend(OFF_UNLESS_DURABLE.map(|name| (name, "off".into())));
    }
    let chosen = options.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
    settings
        .into_iter()
        .chain(chosen)
        .flat_map(|(name, value)| ["-c".into(), format!("{name}={value}").into()])
        .collect()
}

fn open_log(folder: &Folder, account: Option<&Account>) -> Result<File, StartError> {
    let path = folder.log();
    if fs::symlink_metadata(&path).is_ok_and(|found| found.len() > LARGE_LOG) {
        fs::rename(&path, folder.data.join("postgres.log.old")).map_err(StartError::io("set aside", &path))?;
    }
    let file = open_itself(OpenOptions::new().create(true).append(true).mode(0o600), &path)
        .map_err(StartError::io("open", &path))?;
    give(&file, &path, account)?;
    Ok(file)
}

/// The last lines of a log, as far as it can be read.
fn tail(path: &Path) -> String {
    let text = last_bytes(path, 4_096).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn last_bytes(path: &Path, count: u64) -> io::Result<String> {
    let mut file = open_itself(OpenOptions::new().read(true), path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(count)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_log_that_is_a_link_is_refused_and_what_it_names_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(&home.path().join("pg")).unwrap();
        let victim = home.path().join("victim");
        fs::create_dir(&folder.data).unwrap();
        fs::write(&victim, "untouched").unwrap();
        let owner = fs::metadata(&victim).unwrap().uid();
        let account = Account { name: "nobody".into(), uid: 65_534, gid: 65_534 };

        symlink(&victim, folder.log()).unwrap();
        let error = open_log(&folder, Some(&account)).unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        assert_eq!(tail(&folder.log()), "");

        fs::remove_file(folder.log()).unwrap();
        fs::hard_link(&victim, folder.log()).unwrap();
        let error = open_log(&folder, Some(&account)).unwrap_err().to_string();
        assert!(error.contains("second name"), "{error}");

        assert_eq!(fs::metadata(&victim).unwrap().uid(), owner);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    }
}
