//! Which sources a report speaks of.

use std::process::Command;

/// The commit of the sources that this program was built from, with a `+` where they were changed since; nothing where they are
/// not there any more, or not under git.
#[must_use]
pub fn commit() -> Option<String> {
    let said = |arguments: &[&str]| {
        let git = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        git.status.success().then(|| String::from_utf8_lossy(&git.stdout).trim().to_owned())
    };
    let commit = said(&["rev-parse", "--short", "HEAD"]).filter(|commit| !commit.is_empty())?;
    let changed = said(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    Some(if changed { commit + "+" } else { commit })
}
