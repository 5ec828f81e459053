//! A real bouncer in front of the shared server, for one test.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_embedded::Server;
use forebay_embedded::testing::database;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::time::{Instant, sleep};

use crate::{LIMIT, options, shared};

/// A bouncer that runs, and a database of its own behind it. The program ends with the value, or with this process.
#[derive(Debug)]
pub(super) struct Bouncer {
    /// A shell between us: it sees our end of a pipe close, however that comes about, and ends the program.
    shell: Child,
    port: u16,
    /// Past it.
    pub(super) direct: PgConnectOptions,
    _folder: tempfile::TempDir,
}

/// Runs the program behind it until the pipe closes.
const UNTIL_CLOSED: &str = r#"signal=$1; shift
exec 3<&0
"$@" 3<&- </dev/null & program=$!
{ cat <&3 >/dev/null; kill -"$signal" "$program" 2>/dev/null; } &
wait "$program""#;

impl Bouncer {
    /// PgBouncer with `pool_mode` and further settings, one a line.
    pub(super) async fn pgbouncer(pool_mode: &str, settings: &str) -> Self {
        let server = shared().await;
        let config = |port: u16, folder: &Path| {
            let (socket, behind) = (server.socket_dir().display(), port_of(server));
            let log = folder.join("log");
            format!(
                "[databases]\n* = host={socket} port={behind} user=forebay\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = any\nlogfile = {}\npool_mode = {pool_mode}\n\
                 {settings}\n",
                log.display()
            )
        };
        Self::start("pgbouncer", "KILL", config, |config| vec![config.into()]).await
    }

    /// pgpool-II that passes statements on to its only server.
    pub(super) async fn pgpool() -> Self {
        let server = shared().await;
        let config = |port: u16, folder: &Path| {
            let (socket, behind, folder) = (server.socket_dir().display(), port_of(server), folder.display());
            format!(
                "listen_addresses = '127.0.0.1'\nport = {port}\nsocket_dir = '{folder}'\npcp_socket_dir = '{folder}'\n\
                 pcp_listen_addresses = ''\npcp_port = {port}\nbackend_hostname0 = '{socket}'\n\
                 backend_port0 = {behind}\nbackend_flag0 = 'DISALLOW_TO_FAILOVER'\nbackend_clustering_mode = 'raw'\n\
                 pid_file_name = '{folder}/pid'\nlogdir = '{folder}'\npool_passwd = ''\nnum_init_children = 8\n\
                 sr_check_period = 0\nhealth_check_period = 0\n"
            )
        };
        let arguments = |config: &Path| {
            let users = config.with_extension("users");
            std::fs::write(&users, "").expect("writable");
            vec!["-n".into(), "-f".into(), config.into(), "-F".into(), users]
        };
        Self::start("pgpool", "INT", config, arguments).await
    }

    async fn start(
        program: &str,
        signal: &str,
        config: impl Fn(u16, &Path) -> String,
        arguments: impl Fn(&Path) -> Vec<PathBuf>,
    ) -> Self {
        let (program, direct, owner) = (find(program), database().await.options(), shared().await.socket_dir());
        let owner = owner.metadata().expect("it is there");
        for _ in 0..5 {
            // Somebody may take the port in between: then there is a next one.
            let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
            let folder = tempfile::tempdir().expect("a temporary folder");
            let file = folder.path().join("config");
            std::fs::write(&file, config(port, folder.path())).expect("writable");
            let log = std::fs::File::create(folder.path().join("out")).expect("writable");
            let mut command = Command::new("sh");
            command.args(["-c", UNTIL_CLOSED, "sh", signal]).arg(&program).args(arguments(&file));
            if rustix::process::geteuid().is_root() {
                // Neither runs as root: as the server's owner it reaches the socket.
                chown(folder.path(), Some(owner.uid()), Some(owner.gid())).expect("root may");
                command.uid(owner.uid()).gid(owner.gid());
            }
            command.current_dir(folder.path()).stdin(Stdio::piped());
            command.stdout(log.try_clone().expect("a file")).stderr(log);
            let shell = command.spawn().expect("a shell");
            let mut bouncer = Self { shell, port, direct: direct.clone(), _folder: folder };
            if bouncer.listens().await {
                return bouncer;
            }
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
        let out = std::fs::read_to_string(self._folder.path().join("out")).unwrap_or_default();
        let _quiet = std::io::stderr().write_all(out.as_bytes());
        false
    }

    /// Through it.
    pub(super) fn options(&self) -> PgConnectOptions {
        options(&self.direct).host("127.0.0.1").port(self.port).ssl_mode(PgSslMode::Disable)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ended = self.shell.wait();
    }
}

fn port_of(server: &Server) -> u16 {
    crate::options_of(server).get_port()
}

/// Where the shell finds it, or where daemons lie.
fn find(program: &str) -> PathBuf {
    let look = r#"PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$0""#;
    let found = Command::new("sh").args(["-c", look, program]).output().expect("a shell");
    let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    assert!(!path.is_empty(), "this test needs {program}: `bin/test` installs it, or your package manager does");
    path.into()
}
