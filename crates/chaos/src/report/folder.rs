//! A folder that gets several files, or none.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// A report is smaller than this.
const ROOM: usize = 2 * 1024 * 1024;

/// Writes them all under other names first, so that a disk that is full half-way leaves what was there before.
pub(super) fn write(folder: &Path, files: impl Iterator<Item = (&'static str, Vec<u8>)>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let written: Vec<(&str, NamedTempFile)> =
        files.map(|(name, text)| Ok((name, written(folder, &text)?))).collect::<io::Result<_>>()?;
    for (name, file) in written {
        file.persist(folder.join(name))?;
    }
    Ok(())
}

/// Writes as much as a report may be, and takes it away again.
pub(super) fn try_out(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    written(folder, &vec![0; ROOM]).map(drop)
}

fn written(folder: &Path, text: &[u8]) -> io::Result<NamedTempFile> {
    // As everybody's umask has it, and not for its owner alone, as other temporary files are.
    let mut file = Builder::new().prefix(".report-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    Ok(file)
}
