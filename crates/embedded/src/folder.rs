//! The paths around one data folder, and the lock that keeps a second start out.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
    process::geteuid,
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{
    StartError,
    account::{Account, give},
};

/// A socket's path may have about 104 bytes; `/.s.PGSQL.5432` is added to the folder's.
const LONGEST_SOCKET_FOLDER: usize = 90;

/// How long a lock may outlive its holder: a child that has been forked and is not yet another program holds it too.
const LOCK_LINGERS: Duration = Duration::from_secs(2);

/// Where everything of one server lies.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// What `initdb` makes: absolute, its parent free of symbolic links.
    pub(crate) data: PathBuf,
    /// Holds the unix socket and nothing else.
    pub(crate) run: PathBuf,
    /// Locked by the process that runs the server.
    pub(crate) lock: PathBuf,
}

impl Folder {
    /// Resolves `data_dir`; makes its parent where it is missing.
    pub(crate) fn at(data_dir: &Path) -> Result<Self, StartError> {
        let absolute = std::path::absolute(data_dir).map_err(StartError::io("resolve", data_dir))?;
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return Err(StartError::NotAFolderOfOurs(absolute));
        };
        make_passable(parent).map_err(StartError::io("create", parent))?;
        let parent = parent.canonicalize().map_err(StartError::io("resolve", parent))?;
        let beside = |end: &str| parent.join(format!("{}{end}", name.to_string_lossy()));
        let data = parent.join(name);
        let run = socket_folder(beside(".run"), &data);
        Ok(Self { run, lock: beside(".lock"), data })
    }

    /// The server's log.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("postgres.log")
    }

    /// The superuser's password, for connections over TCP.
    pub(crate) fn password(&self) -> PathBuf {
        self.data.join("forebay-password")
    }

    /// The major version that made the folder; `None` for a folder that is missing or empty.
    pub(crate) fn version(&self) -> Result<Option<String>, StartError> {
        match fs::read_to_string(self.data.join("PG_VERSION")) {
            Ok(version) => Ok(Some(version.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match fs::read_dir(&self.data).map(|entries| entries.count()) {
                    Ok(1..) => Err(StartError::NotAFolderOfOurs(self.data.clone())),
                    _ => Ok(None),
                }
            }
            Err(error) => Err(StartError::io("read", &self.data)(error)),
        }
    }

    /// Refuses a folder that the server's account could not get to.
    pub(crate) fn check_reachable(&self, account: Option<&Account>) -> Result<(), StartError> {
        let Some(account) = account else {
            return Ok(());
        };
        match closed_ancestor(&self.data, account) {
            Some(closed) => Err(StartError::Unreachable { closed, account: account.name.clone() }),
            None => Ok(()),
        }
    }

    /// Takes the lock; it is given back when the file is closed, at the latest when the process ends.
    pub(crate) async fn take_lock(&self) -> Result<File, StartError> {
        let file = open_itself(OpenOptions::new().create(true).write(true).truncate(false).mode(0o644), &self.lock)
            .map_err(StartError::io("open", &self.lock))?;
        let locked = async {
            while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
                if error != Errno::WOULDBLOCK {
                    return Err(StartError::io("lock", &self.lock)(error.into()));
                }
                sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        match timeout(LOCK_LINGERS, locked).await {
            Ok(locked) => locked.map(|()| file),
            Err(_elapsed) => Err(StartError::Busy { folder: self.data.clone(), lock: self.lock.clone() }),
        }
    }

    /// Whether another process has the lock, and so the server. Takes it for no longer than the look.
    pub(crate) fn is_locked(&self) -> Result<bool, StartError> {
        let file = match open_itself(OpenOptions::new().read(true), &self.lock) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StartError::io("open", &self.lock)(error)),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(StartError::io("lock", &self.lock)(error.into())),
        }
    }

    /// The port in the name of the socket, if there is one.
    pub(crate) fn socket_port(&self) -> Option<u16> {
        let names = fs::read_dir(&self.run).ok()?.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.to_str()?.strip_prefix(".s.PGSQL.")?.parse().ok()).next()
    }

    /// Makes the socket's folder anew: what a killed server left in it may carry a process id that lives again.
    pub(crate) fn fresh_run_folder(&self, account: Option<&Account>) -> Result<(), StartError> {
        match fs::remove_dir_all(&self.run) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StartError::io("clear", &self.run)(error));
            }
            _ => {}
        }
        make(&self.run, 0o700, account)
    }
}

/// Makes `folder` and what is missing above it. Where we are root, the account that runs the server may pass through
/// all that is made, whatever the umask.
///
/// # Errors
///
/// The system's.
pub fn make_passable(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_passable(above)?;
    }
    match create(folder, 0o755) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made.map(drop),
    }
}

/// Makes the folder `path`, for the account where there is one.
pub(crate) fn make(path: &Path, mode: u32, account: Option<&Account>) -> Result<(), StartError> {
    let made = create(path, mode).map_err(StartError::io("create", path))?;
    give(&made, path, account)
}

/// Makes one folder. Root's umask takes nothing from `mode`: it is meant for root's own files, not for those of the
/// account that runs the server.
fn create(path: &Path, mode: u32) -> io::Result<File> {
    DirBuilder::new().mode(mode).create(path)?;
    let made = open_itself(OpenOptions::new().read(true), path)?;
    if geteuid().is_root() {
        made.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(made)
}

/// Opens `path` unless it is a symbolic link: as root we would get wherever the owner of its folder points.
pub(crate) fn open_itself(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
    options.custom_flags(flags).open(path).map_err(|error| {
        if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
            return io::Error::other("it is a symbolic link, which is not followed: remove it");
        }
        error
    })
}

/// The folder above `data_dir` that keeps the server's account out, if there is one: only where we are root, and the
/// server runs as somebody else. For choosing another place before starting.
pub fn closed_above(data_dir: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(data_dir).ok()?;
    closed_ancestor(&absolute, &Account::choose(&absolute).ok()??)
}

/// The first ancestor of `folder` that `account` may not pass through.
pub(crate) fn closed_ancestor(folder: &Path, account: &Account) -> Option<PathBuf> {
    let mut ancestors: Vec<_> = folder.ancestors().skip(1).filter(|folder| folder.is_dir()).collect();
    ancestors.reverse();
    ancestors.into_iter().find(|folder| !account.may_pass(folder)).map(Path::to_owned)
}

/// `beside` where a socket's path fits, else a short name in the folder for temporary files.
fn socket_folder(beside: PathBuf, data: &Path) -> PathBuf {
    if beside.as_os_str().len() < LONGEST_SOCKET_FOLDER {
        return beside;
    }
    let name = format!("forebay-{:016x}", fnv1a(data.as_os_str().as_encoded_bytes()));
    let temporary = env::temp_dir().join(&name);
    if temporary.as_os_str().len() < LONGEST_SOCKET_FOLDER { temporary } else { Path::new("/tmp").join(name) }
}

/// The hash FNV-1a (Fowler, Noll, Vo), 64 bit: the same name for the same folder with any compiler.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Makes a folder for a throw-away server, where the server's account can get to it.
pub(crate) fn temporary() -> Result<PathBuf, StartError> {
    let mut refused = None;
    for parent in [env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")] {
        let made = match temporary_in(&parent) {
            Ok(made) => made,
            Err(error) => {
                refused = Some(StartError::io("create a folder in", &parent)(error));
                continue;
            }
        };
        if let Some(account) = Account::choose(made.path())?
            && let Some(closed) = closed_ancestor(made.path(), &account)
        {
            refused.get_or_insert(StartError::Unreachable { closed, account: account.name });
            continue;
        }
        return Ok(made.keep());
    }
    Err(refused.unwrap_or(StartError::NoAccount))
}

fn temporary_in(parent: &Path) -> io::Result<TempDir> {
    let (name, mode) = (format!("forebay-{}-", std::process::id()), Permissions::from_mode(0o755));
    let made = tempfile::Builder::new().prefix(&name).permissions(mode.clone()).tempdir_in(parent)?;
    if geteuid().is_root() {
        fs::set_permissions(made.path(), mode)?;
    }
    Ok(made)
}

/// Whether two paths are the same folder on the same disk.
pub(crate) fn same_folder(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_socket_folder() {
        let data = PathBuf::from(format!("/{}/pg", "x".repeat(100)));
        let run = socket_folder(PathBuf::from(format!("{}.run", data.display())), &data);
        assert!(run.as_os_str().len() < LONGEST_SOCKET_FOLDER, "{}", run.display());
        assert_eq!(socket_folder("/short/pg.run".into(), &data), Path::new("/short/pg.run"));
    }
}
