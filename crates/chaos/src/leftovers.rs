//! What an arm may have left behind: processes, listening sockets, folders.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use forebay_embedded::Server;
use tokio::time::{Instant, sleep};

use crate::arm::Child;
use crate::processes::{Process, children};

/// How long the last of it may take to vanish.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Everything that must be gone, noted while it is there.
#[derive(Clone, Debug)]
pub struct Leftovers {
    processes: Vec<Process>,
    sockets: Vec<SocketAddr>,
    folders: Vec<PathBuf>,
}

impl Leftovers {
    /// Notes what belongs to an arm that runs.
    #[must_use]
    pub fn note(child: &Child, server: &Server) -> Self {
        let mut processes = vec![child.identity];
        processes.extend(Process::of(server.pid()));
        processes.extend(children(server.pid()));
        let data = server.data_dir();
        let folders = [Some(data), data.parent(), Some(server.socket_dir())];
        Self {
            processes,
            sockets: vec![child.ports.http, child.ports.admin],
            folders: folders.into_iter().flatten().map(PathBuf::from).collect(),
        }
    }

    /// Waits until all is gone, and says what is not.
    pub async fn still_there(self) -> Vec<String> {
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            let left = self.list();
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn list(&self) -> Vec<String> {
        let Self { processes, sockets, folders } = self;
        let alive = processes.iter().filter(|process| process.is_alive()).map(|one| format!("process {}", one.pid));
        let open =
            sockets.iter().filter(|socket| TcpStream::connect(socket).is_ok()).map(|one| format!("socket {one}"));
        let there = folders.iter().filter(|folder| folder.exists()).map(|one| format!("folder {}", one.display()));
        alive.chain(open).chain(there).collect()
    }
}
