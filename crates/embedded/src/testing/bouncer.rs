//! A real bouncer in front of the shared server.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr as _,
    time::Duration,
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::time::{Instant, sleep};

use super::{choice::variable, server};
use crate::Server;

const VARIABLE: &str = "FOREBAY_TEST_BOUNCER";
/// Until it listens.
const LIMIT: Duration = Duration::from_secs(30);
/// Runs the program behind it until the pipe closes.
const UNTIL_CLOSED: &str = r#"signal=$1; shift
exec 3<&0
"$@" 3<&- </dev/null & program=$!
{ cat <&3 >/dev/null; kill -"$signal" "$program" 2>/dev/null; } &
wait "$program""#;

/// A bouncer that runs in front of the shared server. The program ends with the value, or with this process.
#[derive(Debug)]
pub struct TestBouncer {
    /// A shell between us: it sees our end of a pipe close, however that comes about, and ends the program.
    shell: Child,
    port: u16,
    folder: tempfile::TempDir,
}

/// Which bouncer the environment asks for, for tests that are not about bouncers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Transaction,
    Session,
    Pgpool,
}

impl Kind {
    pub(super) fn of_environment() -> Result<Option<Self>, String> {
        Self::read(variable(VARIABLE))
    }

    /// A variable that is empty counts as unset.
    fn read(asked: Option<OsString>) -> Result<Option<Self>, String> {
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(None) };
        match asked.to_str() {
            Some("transaction") => Ok(Some(Self::Transaction)),
            Some("session") => Ok(Some(Self::Session)),
            Some("pgpool") => Ok(Some(Self::Pgpool)),
            _ => Err(format!("{VARIABLE} is {asked:?}: say `transaction`, `session` (PgBouncer's modes) or `pgpool`")),
        }
    }

    /// What a pool has to be told of it.
    pub(super) const fn setting(self) -> &'static str {
        match self {
            Self::Transaction => "bouncer = transaction",
            Self::Session | Self::Pgpool => "bouncer = session",
        }
    }

    /// Has room for every test of a process, and gives back what a test has left, whose database nobody uses again.
    pub(super) async fn start(self) -> TestBouncer {
        const ROOM: &str = "max_client_conn = 2000\ndefault_pool_size = 60\nserver_idle_timeout = 1";
        match self {
            Self::Transaction => TestBouncer::pgbouncer("transaction", ROOM).await,
            Self::Session => TestBouncer::pgbouncer("session", ROOM).await,
            Self::Pgpool => TestBouncer::pgpool("num_init_children = 120\nmax_pool = 1\nclient_idle_limit = 0").await,
        }
    }
}

impl TestBouncer {
    /// PgBouncer with `pool_mode` and further settings, one a line.
    ///
    /// # Panics
    ///
    /// It is not installed or does not start, or the shared server has no socket here.
    pub async fn pgbouncer(pool_mode: &str, settings: &str) -> Self {
        let config = |server: &Server, port: u16, folder: &Path| {
            let (socket, behind, log) = (server.socket_dir().display(), port_of(server), folder.join("log"));
            format!(
                "[databases]\n* = host={socket} port={behind} user=forebay\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = any\nlogfile = {}\npool_mode = {pool_mode}\n\
                 {settings}\n",
                log.display()
            )
        };
        Self::start("pgbouncer", "KILL", config, |config| vec![config.into()]).await
    }

    /// pgpool-II that passes statements on to its only server, with further settings, one a line.
    ///
    /// # Panics
    ///
    /// As [`Self::pgbouncer`] does.
    pub async fn pgpool(settings: &str) -> Self {
        let config = |server: &Server, port: u16, folder: &Path| {
            let (socket, behind, folder) = (server.socket_dir().display(), port_of(server), folder.display());
            format!(
                "listen_addresses = '127.0.0.1'\nport = {port}\nsocket_dir = '{folder}'\npcp_socket_dir = '{folder}'\n\
                 pcp_listen_addresses = ''\npcp_port = {port}\nbackend_hostname0 = '{socket}'\n\
                 backend_port0 = {behind}\nbackend_flag0 = 'DISALLOW_TO_FAILOVER'\nbackend_clustering_mode = 'raw'\n\
                 pid_file_name = '{folder}/pid'\nlogdir = '{folder}'\npool_passwd = ''\n\
                 sr_check_period = 0\nhealth_check_period = 0\n{settings}\n"
            )
        };
        let arguments = |config: &Path| {
            let users = config.with_extension("users");
            fs::write(&users, "").expect("a temporary folder is writable");
            vec!["-n".into(), "-f".into(), config.into(), "-F".into(), users]
        };
        Self::start("pgpool", "INT", config, arguments).await
    }

    /// The same user and database as `direct`, through it.
    ///
    /// # Panics
    ///
    /// `direct` names no database.
    pub fn options(&self, direct: &PgConnectOptions) -> PgConnectOptions {
        let database = direct.get_database().expect("a test's address names a database");
        let options = PgConnectOptions::new_without_pgpass().username(direct.get_username()).database(database);
        options.host("127.0.0.1").port(self.port).ssl_mode(PgSslMode::Disable)
    }

    async fn start(
        program: &str,
        signal: &str,
        config: impl Fn(&Server, u16, &Path) -> String,
        arguments: impl Fn(&Path) -> Vec<PathBuf>,
    ) -> Self {
        let server = server().await.embedded().expect("a bouncer needs an embedded server: unset FOREBAY_TEST_SERVER");
        let program = find(program);
        for _ in 0..5 {
            // Somebody may take the port in between: then there is a next one.
            let folder = tempfile::tempdir().expect("a temporary folder");
            let started = free_port().and_then(|port| {
                let file = folder.path().join("config");
                fs::write(&file, config(server, port, folder.path()))?;
                Ok((port, spawn(&program, signal, &arguments(&file), folder.path(), server)?))
            });
            let (port, shell) = started.unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
            let mut bouncer = Self { shell, port, folder };
            if bouncer.listens().await {
                return bouncer;
            }
            eprintln!("{}", fs::read_to_string(bouncer.folder.path().join("out")).unwrap_or_default());
        }
        panic!("{} does not start", program.display());
    }

    async fn listens(&mut self) -> bool {
        let end = Instant::now() + LIMIT;
        while self.shell.try_wait().expect("a child of ours").is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            assert!(Instant::now() < end, "a bouncer neither listens nor ends");
            sleep(Duration::from_millis(5)).await;
        }
        false
    }
}

impl Drop for TestBouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ended = self.shell.wait();
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// As root it runs as the server's owner, who reaches the socket: neither program runs as root.
fn spawn(program: &Path, signal: &str, arguments: &[PathBuf], folder: &Path, server: &Server) -> io::Result<Child> {
    let out = File::create(folder.join("out"))?;
    let mut command = Command::new("sh");
    command.args(["-c", UNTIL_CLOSED, "sh", signal]).arg(program).args(arguments);
    if rustix::process::geteuid().is_root() {
        let owner = server.socket_dir().metadata()?;
        chown(folder, Some(owner.uid()), Some(owner.gid()))?;
        command.uid(owner.uid()).gid(owner.gid());
    }
    command.current_dir(folder).stdin(Stdio::piped()).stdout(out.try_clone()?).stderr(out).spawn()
}

fn port_of(server: &Server) -> u16 {
    let options = PgConnectOptions::from_str(&server.url("postgres"));
    options.expect("sqlx reads the address of an embedded server").get_port()
}

/// Where the shell finds it, or where daemons lie.
fn find(program: &str) -> PathBuf {
    let look = r#"PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$0""#;
    let found = Command::new("sh").args(["-c", look, program]).output().expect("a shell");
    let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    assert!(!path.is_empty(), "this test needs {program}: `bin/test` installs it, or your package manager does");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bouncer_is_asked_for_by_name_and_another_name_is_a_mistake() {
        let read = |asked: &str| Kind::read(Some(asked.into()));
        assert_eq!([Kind::read(None), read("")], [Ok(None), Ok(None)]);
        assert_eq!(read("transaction"), Ok(Some(Kind::Transaction)));
        assert_eq!([read("session"), read("pgpool")], [Ok(Some(Kind::Session)), Ok(Some(Kind::Pgpool))]);
        let mistake = read("statement").unwrap_err();
        assert!(mistake.starts_with(r#"FOREBAY_TEST_BOUNCER is "statement": say `transaction`"#), "{mistake}");
    }
}
