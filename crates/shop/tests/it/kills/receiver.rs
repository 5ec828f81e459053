//! Somebody who is told of events, in a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::events::{free_port, reachable};

const PROGRAM: &str = include_str!("receiver.py");

/// What it took is on the disk before it says so, and outlives it.
#[derive(Debug)]
pub(super) struct Receiver {
    port: u16,
    heard: PathBuf,
    child: Child,
}

/// An event as it was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) order: Uuid,
    pub(super) event: Uuid,
}

impl Receiver {
    pub(super) async fn start(home: &Path) -> Self {
        let (port, heard) = (free_port().await, home.join("heard"));
        let receiver = Self { port, child: spawn(port, &heard), heard };
        reachable(port).await;
        receiver
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// `kill -9`, in the middle of whatever it does; and it comes back at the same address.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
        self.child = spawn(self.port, &self.heard);
    }

    /// All that it ever took, in the order in which it did.
    pub(super) fn heard(&self) -> Vec<Heard> {
        let lines = fs::read_to_string(&self.heard).unwrap_or_default();
        lines.lines().map(Heard::read).collect()
    }
}

impl Heard {
    fn read(line: &str) -> Self {
        let mut words = line.split(' ');
        let mut id = || words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        Self { order: id(), event: id() }
    }
}

/// Each order's events in the order of their first arrival.
pub(super) fn in_order(heard: &[Heard]) -> BTreeMap<Uuid, Vec<Uuid>> {
    let (mut orders, mut seen) = (BTreeMap::<_, Vec<_>>::new(), BTreeSet::new());
    for Heard { order, event } in heard {
        if seen.insert(*event) {
            orders.entry(*order).or_default().push(*event);
        }
    }
    orders
}

fn spawn(port: u16, heard: &Path) -> Child {
    let mut command = Command::new("python3");
    command.args(["-c", PROGRAM]).env("PORT", port.to_string()).env("HEARD", heard);
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
