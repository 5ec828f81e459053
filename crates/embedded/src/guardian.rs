//! The guardian: stops the server when our process is no longer there to do it.

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
};

use tokio::sync::watch;

/// Reads the server's process id, then waits for a second line. `done` means that the server has ended; an end of file
/// means that we have. Then removes the folders it was given.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
read -r pid || pid=
word=
if [ -n "$pid" ]; then read -r word || word=; fi
if [ -n "$pid" ] && [ "$word" != done ]; then
  kill -INT "$pid" 2>/dev/null
  turns=0
  while kill -0 "$pid" 2>/dev/null && [ "$turns" -lt 400 ]; do
    turns=$((turns + 1))
    [ "$turns" -eq 300 ] && kill -QUIT "$pid" 2>/dev/null
    [ "$turns" -eq 350 ] && kill -KILL "$pid" 2>/dev/null
    sleep 0.1 2>/dev/null || sleep 1
  done
fi
for path; do rm -rf -- "$path"; done
"#;

/// Waits for the end of file, then removes the container of the given name with its volumes. It may come into being a
/// moment later than we ended, so one that is not found is looked for again. `docker rm` says the name of what it removed.
#[cfg(feature = "testing-containers")]
const CONTAINER_SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
while read -r line; do :; done
turns=0
while [ "$turns" -lt 20 ]; do
  turns=$((turns + 1))
  [ "$(docker rm --force --volumes "$1")" = "$1" ] && exit
  sleep 0.5 2>/dev/null || sleep 1
done
"#;

/// How far the end of a server has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// The server has ended.
    Ended(ExitStatus),
    /// The guardian has ended too; throw-away folders are gone.
    Buried(ExitStatus),
}

/// Starts a guardian that will remove `throw_away` at the end. It waits for [`Guardian::watch`].
pub(crate) fn post(throw_away: &[PathBuf]) -> io::Result<Guardian> {
    spawn(SCRIPT, throw_away)
}

/// Starts a guardian that removes the container `name` when the value is dropped, at the latest when we end.
#[cfg(feature = "testing-containers")]
pub(crate) fn post_for_container(name: &str) -> io::Result<Guardian> {
    spawn(CONTAINER_SCRIPT, &[name])
}

fn spawn(script: &str, arguments: &[impl AsRef<OsStr>]) -> io::Result<Guardian> {
    let mut child = Command::new("sh")
        .args(["-c", script, "forebay-guardian"])
        .args(arguments)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pipe = child.stdin.take().ok_or_else(|| io::Error::other("the guardian has no pipe"))?;
    Ok(Guardian { child, pipe })
}

/// A guardian that does not know its server yet, or that knows its container by name.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Child,
    pipe: ChildStdin,
}

impl Guardian {
    /// Hands the server over. A thread of its own waits for the server's end, so that no runtime needs to live that long.
    pub(crate) fn watch(mut self, mut server: Child) -> io::Result<watch::Receiver<Life>> {
        let (says, life) = watch::channel(Life::Running);
        writeln!(self.pipe, "{}", server.id())?;
        let watcher = move || {
            let Ok(status) = server.wait() else { return };
            says.send_replace(Life::Ended(status));
            // A guardian that was killed has nothing left to be told.
            _ = writeln!(self.pipe, "done");
            drop(self.pipe);
            _ = self.child.wait();
            says.send_replace(Life::Buried(status));
        };
        thread::Builder::new().name("forebay-embedded".into()).spawn(watcher)?;
        Ok(life)
    }
}
